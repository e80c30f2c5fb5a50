"""References of relationships -> the columns they name, within one document.

    shorthand        customers.id, orders.address.country: names of objects and properties
    fully qualified  schema/customers_tbl/properties/cust_id: their ids; with "other.yaml#" before it, those of another contract

Where a property has a physicalName, that is the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dagster_contracts.core.contract import Relationship, Unrelated
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import maps

_Map = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Named:
    """A property of an object: the names and columns on the way to it."""

    object: str
    columns: tuple[str, ...]


def column_of(prop: _Map) -> str:
    """What the data calls a property: its physicalName where one is given, else its name."""
    return next((given for key in ("physicalName", "name") if isinstance(given := prop.get(key), str) and given), "")


def object_name(obj: _Map) -> str:
    return next((given for key in ("name", "physicalName") if isinstance(given := obj.get(key), str) and given), "")


def of_property(root: _Map, obj: _Map, column: str, relationship: _Map) -> Relationship | Unrelated:
    """What one relationship says that stands at a column of `obj`."""
    return _related(root, obj, _Named(object_name(obj), (column,)), relationship)


def of_object(root: _Map, obj: _Map, relationship: _Map) -> Relationship | Unrelated:
    """What one relationship says that stands at an object: it names its own columns in `from`."""
    return _related(root, obj, None, relationship)


def _related(root: _Map, obj: _Map, implicit: _Named | None, relationship: _Map) -> Relationship | Unrelated:
    to = _listed(relationship.get("to"))
    written = ", ".join(to)
    if not to:
        return Unrelated(written, "it names no target")  # which the schema tells
    sources = [implicit] if implicit else [_found(root, reference) for reference in _listed(relationship.get("from"))]
    targets = [_found(root, reference) for reference in to]
    for place in (*sources, *targets):
        if isinstance(place, Unrelated):
            return Unrelated(written, place.reason, place.wrong)
    joined = _joined(
        written, object_name(obj), [s for s in sources if isinstance(s, _Named)], [t for t in targets if isinstance(t, _Named)]
    )
    if isinstance(joined, Unrelated):
        return joined
    there = next((each for _, each in maps(root.get("schema")) if object_name(each) == joined.object), {})
    pairs = zip(joined.columns, joined.targets, strict=True)
    return replace(joined, numbers=tuple(one for one, other in pairs if _numeric(obj, one) and _numeric(there, other)))


def _numeric(obj: _Map, column: str) -> bool:
    return any(column_of(prop) == column and prop.get("logicalType") in ("integer", "number") for _, prop in maps(obj.get("properties")))


def _joined(written: str, owner: str, sources: Sequence[_Named], targets: Sequence[_Named]) -> Relationship | Unrelated:
    if not sources or len(sources) != len(targets):
        return Unrelated(written, f"{len(sources)} columns cannot stand in {len(targets)}: give as many", wrong=True)
    if any(source.object != owner for source in sources):
        return Unrelated(written, f'"from" names properties of another object than {owner}', wrong=True)
    if len({target.object for target in targets}) > 1:
        return Unrelated(written, "the targets are of several objects; a key is of one", wrong=True)
    if any(len(place.columns) > 1 for place in (*sources, *targets)):
        return Unrelated(written, "keys within a column are not compared")
    columns, others = (tuple(place.columns[0] for place in places) for places in (sources, targets))
    return Relationship(written, columns, targets[0].object, others)


def _listed(value: object) -> list[str]:
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, str)]


def _found(root: _Map, reference: str) -> _Named | Unrelated:
    """The property that `reference` names, or why there is none."""
    if "/" in reference:
        if "#" in reference:
            return Unrelated(reference, f"{reference} is another contract's: only objects of this one are compared")
        section, *steps = reference.strip("/").split("/")
        if section != "schema" or not steps or any(step != "properties" for step in steps[1::2]):
            return Unrelated(reference, f'"{reference}" names no property; expected schema/<id>/properties/<id>', wrong=True)
        return _walked(root, reference, steps[::2], ("id", "name"))
    return _walked(root, reference, reference.split("."), ("name", "physicalName"))


def _walked(root: _Map, reference: str, steps: Sequence[str], keys: tuple[str, str]) -> _Named | Unrelated:
    owner = _named(root.get("schema"), steps[0], keys)
    if owner is None:
        near = did_you_mean(steps[0][:80], _known(root.get("schema"), keys))
        return Unrelated(reference, f"{reference}: this contract has no object {steps[0]}{near}")
    name, columns = object_name(owner), []
    for step in steps[1:]:
        found = _named(owner.get("properties"), step, keys)
        if found is None:
            near = did_you_mean(step[:80], _known(owner.get("properties"), keys))
            return Unrelated(reference, f'"{reference}": {steps[0]} has no property "{step}"{near}', wrong=True)
        columns.append(column_of(found))
        owner = found
    if not columns:
        return Unrelated(reference, f'"{reference}" names an object; name a property of it', wrong=True)
    return _Named(name, tuple(columns))


def _named(entries: object, name: str, keys: tuple[str, str]) -> _Map | None:
    return next((entry for key in keys for _, entry in maps(entries) if entry.get(key) == name), None)


def _known(entries: object, keys: tuple[str, str]) -> list[str]:
    return [name for _, entry in maps(entries) for key in keys if isinstance(name := entry.get(key), str)]
