"""Avro schemas as contracts, to compare verdicts: what the reader needs is the old version, what the writer delivers the new one.

int and long are integers of 32 and 64 bits, float and double numbers; bytes, fixed and strings are text, as Avro reads one for another;
null is a column of nulls; a union with null is a property that is not required, and one of unlike types a property without a type. Two
records are two objects, anything else is the column `value`. A name stands for its type, one within itself for any object. A reader's
field that has a default, and that the writer lacks, is nothing the reader needs of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dagster_contracts.core.contract import Contract, Operator, Property, QualityRule, SchemaObject

_TYPES: dict[str, tuple[str, dict[str, object]]] = {
    "int": ("integer", {"format": "i32"}),
    "long": ("integer", {"format": "i64"}),
    "float": ("number", {"format": "f32"}),
    "double": ("number", {"format": "f64"}),
    "string": ("string", {}),
    "bytes": ("string", {}),
    "boolean": ("boolean", {}),
}
_NUMBERS = ("int", "long", "float", "double")
_RECORDS = ("record", "error")
_NULLS = QualityRule("library", "nullValues", ((Operator.GREATER_OR_EQUAL, 100),), unit="percent")


def pair(reader: Any, writer: Any) -> tuple[Contract, Contract]:
    needed, delivered = _Reading(dict(_named(reader))), _Reading(dict(_named(writer)))
    records = all(isinstance(schema, dict) and schema["type"] in _RECORDS for schema in (reader, writer))
    old, new = (
        SchemaObject(schema["name"] if records else "value", properties=reading.columns(schema, writer, delivered, records))
        for reading, schema in ((needed, reader), (delivered, writer))
    )
    return _contract(old, "1.0.0"), _contract(new, "2.0.0")


def _contract(obj: SchemaObject, version: str) -> Contract:
    return Contract("avro", version, "v3.1.0", "active", (obj,), content_hash=version, source=version)


def _named(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every type of a schema that has a name."""
    for branch in schema if isinstance(schema, list) else [schema]:
        if isinstance(branch, dict):
            if "name" in branch:
                yield branch["name"], branch
            for field in branch.get("fields", ()):
                yield from _named(field["type"])
            for key in ("type", "items", "values"):
                yield from _named(branch.get(key))


@dataclass(frozen=True)
class _Reading:
    """One schema; `names` are its types that have one, but for those that a place lies within."""

    names: Mapping[str, Any]

    def columns(self, schema: Any, writer: Any, delivered: _Reading, records: bool) -> tuple[Property, ...]:
        return self.fields(schema, writer, delivered) if records else (self.property("value", schema, writer, delivered),)

    def kinds(self, schema: Any) -> list[Any]:
        """The branches of a schema but null, each in full; a name that lies within its own type stays a name."""
        branches = schema if isinstance(schema, list) else [schema]
        found = [self.names.get(branch, branch) if isinstance(branch, str) else branch for branch in branches]
        found = [branch["type"] if isinstance(branch, dict) and branch["type"] in (*_TYPES, "null") else branch for branch in found]
        return [branch for branch in found if branch != "null"]

    def fields(self, record: Any, writer: Any, delivered: _Reading) -> tuple[Property, ...]:
        inner = replace(self, names={name: kind for name, kind in self.names.items() if name != record["name"]})
        there = {
            field["name"]: field["type"] for kind in delivered.kinds(writer) if isinstance(kind, dict) for field in kind.get("fields", ())
        }
        needed = [field for field in record["fields"] if field["name"] in there or "default" not in field]
        return tuple(inner.property(field["name"], field["type"], there.get(field["name"]), delivered) for field in needed)

    def property(self, name: str, schema: Any, writer: Any, delivered: _Reading) -> Property:
        kinds = self.kinds(schema)
        required = len(kinds) == (len(schema) if isinstance(schema, list) else 1)
        if not kinds and schema:
            return Property(name, quality=(_NULLS,))
        if len(kinds) > 1 and all(isinstance(kind, str) and kind in _NUMBERS for kind in kinds):
            kinds = [max(kinds, key=_NUMBERS.index)]  # the widest holds the values of all
        if len(kinds) != 1:
            return Property(name, required=required)
        kind = kinds[0]
        if isinstance(kind, str):
            logical, options = _TYPES.get(kind, ("object", {}))
            return Property(name, logical, options=options, required=required)
        within = [other for other in delivered.kinds(writer) if isinstance(other, dict) and other["type"] == kind["type"]]
        inside = within[0].get("items", within[0].get("values")) if within else None
        match kind["type"]:
            case "array":
                return Property(name, "array", required=required, items=self.property("", kind["items"], inside, delivered))
            case "map":
                keys = Property("", "string", required=True)
                return Property(name, "map", required=required, keys=keys, values=self.property("", kind["values"], inside, delivered))
            case "enum":
                return Property(name, "string", required=required, enum=tuple(kind["symbols"]))
            case "fixed":
                return Property(name, "string", required=required, options={"minLength": kind["size"], "maxLength": kind["size"]})
        return Property(name, "object", required=required, properties=self.fields(kind, writer, delivered))
