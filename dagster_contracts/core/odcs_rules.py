"""What a contract must keep beyond the JSON schema of the standard, so that it can be executed.

Works on documents that may break the schema as well, so that all problems are told at once: whatever has the wrong shape is passed over
here, because the schema reports it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import date, datetime

from dagster_contracts.core.contract import Relationship, Severity, Unrelated
from dagster_contracts.core.document import Document
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, maps, path_text, shown
from dagster_contracts.core.odcs_options import option_flaws
from dagster_contracts.core.odcs_quality import quality_flaws, scalar_flaws
from dagster_contracts.core.odcs_references import column_of, of_object, of_property
from dagster_contracts.core.waivers import environment_flaws, waiver_flaws

CONTRACT_KEYS = ("circuitBreaker", "samples", "waivers", "environments", "validFrom")
OBJECT_KEYS = ("dagsterAsset", "closedSchema")
PROPERTY_KEYS = ("deprecatedUntil", "replacedBy")
SERVICE_LEVEL_KEYS = ("severity", "tolerance")
_LEVELS = {
    **dict.fromkeys(CONTRACT_KEYS, "the contract"),
    **dict.fromkeys(OBJECT_KEYS, "a schema object"),
    **dict.fromkeys(PROPERTY_KEYS, "a property"),
}

_TYPES: dict[str, type] = {"samples": bool, "environments": dict, "waivers": list}


def own_flaws(document: Document) -> Iterator[Flaw]:
    """Every breach of our own rules but those of the circuitBreaker block (see policy.py)."""
    root = document.value
    if not isinstance(root, dict):
        return
    yield from _custom_properties(root, (), CONTRACT_KEYS, (*OBJECT_KEYS, *PROPERTY_KEYS))
    objects: list[tuple[Path, dict[str, object]]] = [(("schema", index), obj) for index, obj in maps(root.get("schema"))]
    yield from _duplicates(document, objects, "name", "schema object")
    for path, obj in objects:
        columns = {name for _, prop in maps(obj.get("properties")) for name in (prop.get("name"), column_of(prop)) if isinstance(name, str)}
        yield from _custom_properties(obj, path, OBJECT_KEYS, (*CONTRACT_KEYS, *PROPERTY_KEYS))
        yield from quality_flaws(obj, path, columns)
        yield from _properties(document, obj, path)
        yield from _relationships(root, obj, path)
    for index, level in maps(root.get("slaProperties")):
        yield from _service_level(level, ("slaProperties", index))


# --- custom properties ---------------------------------------------------------------------------------------------


def _custom_properties(owner: dict[str, object], path: Path, ours: tuple[str, ...], elsewhere: tuple[str, ...]) -> Iterator[Flaw]:
    seen: dict[str, Path] = {}
    for index, entry in maps(owner.get("customProperties")):
        here = (*path, "customProperties", index)
        name, value = entry.get("property"), entry.get("value")
        if not isinstance(name, str):
            continue
        if name in ours:
            if name in seen:
                yield Flaw(here, f'the customProperty "{name}" stands twice, also at {path_text(seen[name])}; keep one of them')
            seen[name] = here
            yield from _our_value(name, value, (*here, "value"))
        elif name in elsewhere:
            yield Flaw((*here, "property"), f'the customProperty "{name}" is read from {_LEVELS[name]} only; move it there')
        elif near := _near_miss(name, value, (*ours, *elsewhere)):
            yield Flaw((*here, "property"), f'the customProperty "{name}" is not read, did you mean "{near}"?')


def _near_miss(name: str, value: object, ours: tuple[str, ...]) -> str | None:
    """The key of ours that `name` misspells. Of a word that others have too (`sample`, `environment`) that needs our type as well."""
    folded = name[:80].lower().replace("_", "").replace("-", "")
    for key in ours:
        if abs(len(folded) - len(key)) > 3:
            continue
        near = isinstance(value, _TYPES.get(key, object)) and difflib.get_close_matches(folded, [key.lower()], cutoff=0.88)
        if folded == key.lower() or near:
            return key
    return None


def _our_value(name: str, value: object, path: Path) -> Iterator[Flaw]:
    if name in ("samples", "closedSchema") and not isinstance(value, bool):
        yield Flaw(path, f"{name}: expected true or false, found {shown(value)}")
    if name == "dagsterAsset" and not (isinstance(value, str) and value and all(part.strip() for part in value.split("/"))):
        yield Flaw(path, f'dagsterAsset: expected an asset key such as "vendor/feed", found {shown(value)}')
    if name == "waivers":
        yield from waiver_flaws(value, path)
    if name == "environments":
        yield from environment_flaws(value, path)
    if name == "validFrom" and not _is_moment(value):
        yield Flaw(path, f"validFrom: expected a day (UTC) or a time with its offset, such as 2027-01-31T06:00:00Z, found {shown(value)}")
    if name == "deprecatedUntil" and not _is_day(value):
        yield Flaw(path, f"deprecatedUntil: expected the last day of the column, such as 2027-06-30, found {shown(value)}")


def _is_moment(value: object) -> bool:
    """A day, or a time with its offset."""
    try:
        return isinstance(value, str) and (_is_day(value) or datetime.fromisoformat(value).tzinfo is not None)
    except ValueError:
        return False


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


# --- service levels ------------------------------------------------------------------------------------------------


def _service_level(level: dict[str, object], path: Path) -> Iterator[Flaw]:
    elsewhere = (*CONTRACT_KEYS, *OBJECT_KEYS, *PROPERTY_KEYS)
    yield from _custom_properties(level, path, SERVICE_LEVEL_KEYS, elsewhere)
    for index, entry in maps(level.get("customProperties")):
        name, value, here = entry.get("property"), entry.get("value"), (*path, "customProperties", index)
        if name == "severity" and not (isinstance(value, str) and value.lower() in tuple(Severity)):
            near = did_you_mean(value[:80], Severity) if isinstance(value, str) else ""
            yield Flaw((*here, "value"), f"severity: expected one of {', '.join(Severity)}, found {shown(value)}{near}")
        elif name == "tolerance" and not _is_duration(value):
            yield Flaw((*here, "value"), f"tolerance: expected an ISO 8601 duration such as PT2H, found {shown(value)}")
        elif isinstance(name, str) and name not in (*SERVICE_LEVEL_KEYS, *elsewhere) and (near := _near_level_key(name)):
            yield Flaw((*here, "property"), f'the customProperty "{name}" is not read{near}')


def _near_level_key(name: str) -> str:
    return did_you_mean(name[:80].lower(), SERVICE_LEVEL_KEYS)


def _is_duration(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_duration(value) is not None
    except ValueError:
        return False


# --- schema --------------------------------------------------------------------------------------------------------


def _properties(document: Document, owner: dict[str, object], path: Path) -> Iterator[Flaw]:
    listed = [((*path, "properties", index), prop) for index, prop in maps(owner.get("properties"))]
    named = list(_duplicates(document, listed, "name", "property"))
    yield from named
    if not named:  # a name that stands twice is told once
        columns = [(at, {"column": prop.get("physicalName") or prop.get("name")}) for at, prop in listed]
        yield from _duplicates(document, columns, "column", "column (physicalName)")
    names = {name for _, prop in listed for name in (prop.get("name"), prop.get("physicalName")) if isinstance(name, str)}
    for at, prop in listed:
        yield from _property(document, prop, at)
        yield from _replacement(prop, at, names)


def _replacement(prop: dict[str, object], path: Path, names: set[str]) -> Iterator[Flaw]:
    """What a deprecated column stands in for is there, and until when is known."""
    given = {str(entry.get("property")): (index, entry.get("value")) for index, entry in maps(prop.get("customProperties"))}
    if "replacedBy" not in given:
        return
    index, value = given["replacedBy"]
    here = (*path, "customProperties", index, "value")
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(each, str) and each for each in listed):
        yield Flaw(here, f"replacedBy: expected a property or a list of properties, found {shown(value)}")
        return
    if prop.get("deprecated") is not True or "deprecatedUntil" not in given:
        yield Flaw(here, "replacedBy goes with deprecated: true and deprecatedUntil, the last day on which the old column may be there")
    for name in map(str, listed):
        if name not in names or name in (prop.get("name"), prop.get("physicalName")):
            others = names - {prop.get("name"), prop.get("physicalName")}
            yield Flaw(here, f'replacedBy: there is no other property "{name[:80]}"{did_you_mean(name[:80], map(str, others))}'.rstrip(","))


def _property(document: Document, prop: dict[str, object], path: Path) -> Iterator[Flaw]:
    yield from _custom_properties(prop, path, PROPERTY_KEYS, ())
    yield from option_flaws(prop, path)
    yield from scalar_flaws([entry.get("value") for _, entry in maps(prop.get("enum"))], (*path, "enum"), "enum")
    yield from quality_flaws(prop, path)
    yield from _properties(document, prop, path)
    parts = prop.get("map")
    for key, owner, at in (("items", prop, path), ("key", parts, (*path, "map")), ("value", parts, (*path, "map"))):
        if isinstance(owner, dict) and isinstance(inner := owner.get(key), dict):
            yield from _property(document, inner, (*at, key))


def _relationships(root: dict[str, object], obj: dict[str, object], path: Path) -> Iterator[Flaw]:
    related: list[tuple[Path, Relationship | Unrelated]] = [
        ((*path, "relationships", index), of_object(root, obj, entry)) for index, entry in maps(obj.get("relationships"))
    ]
    for at, prop in maps(obj.get("properties")):
        for index, entry in maps(prop.get("relationships")):
            related.append(((*path, "properties", at, "relationships", index), of_property(root, obj, column_of(prop), entry)))
    yield from (Flaw(at, found.reason) for at, found in related if isinstance(found, Unrelated) and found.wrong)


def _duplicates(document: Document, entries: list[tuple[Path, dict[str, object]]], key: str, what: str) -> Iterator[Flaw]:
    first: dict[str, Path] = {}
    for path, entry in entries:
        name = entry.get(key)
        if not isinstance(name, str):
            continue
        if name in first:
            lines = f"lines {document.line(first[name])} and {document.line(path)}"
            yield Flaw(path, f'the {what} "{name}" stands twice, on {lines}; rename or remove one of them')
        else:
            first[name] = path
