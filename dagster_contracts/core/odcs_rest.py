"""What an ODCS document says and nothing here acts on, as text: `diff` tells when it changes. Pure.

Of rules and service levels what is written beside them (`schedule`, `businessImpact`) is left out, and so are the ids of objects and
properties.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set

from dagster_contracts.core.flaws import maps
from dagster_contracts.core.odcs_references import column_of, object_name
from dagster_contracts.core.odcs_rules import CONTRACT_KEYS, OBJECT_KEYS, PROPERTY_KEYS

_Map = dict[str, object]
_Entry = tuple[tuple[str, str], str]

_NAMED = {"id", "name", "description", "customProperties"}
_OF_CONTRACT = _NAMED | {"kind", "version", "status", "domain", "tags", "schema", "servers", "slaProperties", "slaDefaultElement"}
_OF_OBJECT = _NAMED | {"physicalName", "physicalType", "logicalType", "properties", "quality", "relationships"}
_OF_PROPERTY = (
    (_OF_OBJECT - {"name"})
    | {"logicalTypeOptions", "enum", "items", "map", "required", "unique", "primaryKey", "primaryKeyPosition"}
    | {"classification", "deprecated", "semanticType", "tags"}
)
_DESCRIPTION = ("purpose", "usage", "limitations")


def rest(root: _Map) -> dict[tuple[str, str], str]:
    """By owner ("" is the contract, else an object or a column in words, "orders.items[].sku") and by what it is called there."""
    return dict(_all(root))


def _all(root: _Map) -> Iterator[_Entry]:
    yield from _others("", root, _OF_CONTRACT, CONTRACT_KEYS)
    description = _map(root.get("description"))
    purpose = next((key for key in _DESCRIPTION if description.get(key)), None)  # which is the contract's description
    yield from ((("", f"description.{key}"), _told(value)) for key, value in description.items() if key != purpose)
    for index, server in maps(root.get("servers")):
        yield ("", f"servers.{server.get('server', index)}"), _told(server)
    for _, obj in maps(root.get("schema")):
        yield from _others(object_name(obj), obj, _OF_OBJECT, OBJECT_KEYS)
        for _, prop in maps(obj.get("properties")):
            yield from _property(f"{object_name(obj)}.{column_of(prop)}", prop)


def _property(path: str, prop: _Map) -> Iterator[_Entry]:
    known = _OF_PROPERTY if prop.get("physicalName") else _OF_PROPERTY | {"name"}  # else it names the column
    yield from _others(path, prop, known, PROPERTY_KEYS)
    for _, inner in maps(prop.get("properties")):
        yield from _property(f"{path}.{column_of(inner)}", inner)
    parts = _map(prop.get("map"))
    for part, step in ((prop.get("items"), "[]"), (parts.get("key"), "{keys}"), (parts.get("value"), "{values}")):
        if isinstance(part, dict):
            yield from _property(path + step, part)


def _others(owner: str, entry: _Map, read: Set[str], ours: tuple[str, ...]) -> Iterator[_Entry]:
    yield from (((owner, key), _told(value)) for key, value in entry.items() if key not in read)
    for _, custom in maps(entry.get("customProperties")):
        if custom.get("property") not in ours:
            yield (owner, f"customProperties.{custom.get('property')}"), _told(custom.get("value"))


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _map(value: object) -> _Map:
    return value if isinstance(value, dict) else {}
