"""Avro schemas as contracts, to compare verdicts: what the reader needs is the old version, what the writer delivers the new one.

int and long are integers of 32 and 64 bits, float and double numbers; bytes and fixed are text; a union with null is a property that is
not required, and one of unlike types a property without a type. A reader's field that has a default, and that the writer lacks, is
nothing the reader needs of the data.
"""

from __future__ import annotations

from typing import Any

from dagster_contracts.core.contract import Contract, Property, SchemaObject

_TYPES: dict[str, tuple[str | None, dict[str, object]]] = {
    "int": ("integer", {"format": "i32"}),
    "long": ("integer", {"format": "i64"}),
    "float": ("number", {"format": "f32"}),
    "double": ("number", {"format": "f64"}),
    "string": ("string", {}),
    "bytes": ("string", {"format": "binary"}),
    "boolean": ("boolean", {}),
    "null": (None, {}),
}
_NUMBERS = ("int", "long", "float", "double")


def pair(reader: Any, writer: Any) -> tuple[Contract, Contract]:
    return _contract(reader, writer, "1.0.0"), _contract(writer, writer, "2.0.0")


def _contract(schema: Any, writer: Any, version: str) -> Contract:
    if isinstance(schema, dict) and schema["type"] == "record":
        obj = SchemaObject(schema["name"], properties=_fields(schema, writer))
    else:
        obj = SchemaObject("value", properties=(_property("value", schema),))
    return Contract("avro", version, "v3.1.0", "active", (obj,), content_hash=version, source=version)


def _fields(schema: Any, writer: Any) -> tuple[Property, ...]:
    delivered = {field["name"] for field in writer.get("fields", ())} if isinstance(writer, dict) else set()
    needed = [field for field in schema["fields"] if field["name"] in delivered or "default" not in field]
    return tuple(_property(field["name"], field["type"]) for field in needed)


def _property(name: str, schema: Any) -> Property:
    branches = schema if isinstance(schema, list) else [schema]
    kinds = [branch for branch in branches if branch != "null"]
    required = len(kinds) == len(branches)
    if len(kinds) > 1 and all(isinstance(kind, str) and kind in _NUMBERS for kind in kinds):
        kinds = [max(kinds, key=_NUMBERS.index)]  # the widest holds the values of all
    if len(kinds) != 1:
        return Property(name, required=required)
    kind = kinds[0]
    if isinstance(kind, str):
        logical, options = _TYPES[kind]
        return Property(name, logical, options=options, required=required)
    match kind["type"]:
        case "array":
            return Property(name, "array", required=required, items=_property("", kind["items"]))
        case "map":
            keys = Property("", "string", required=True)
            return Property(name, "map", required=required, keys=keys, values=_property("", kind["values"]))
        case "enum":
            return Property(name, "string", required=required, enum=tuple(kind["symbols"]))
        case "fixed":
            return Property(name, "string", required=required, options={"minLength": kind["size"], "maxLength": kind["size"]})
    return Property(name, "object", required=required, properties=_fields(kind, kind))
