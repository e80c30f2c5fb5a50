"""Clauses that a contract could have: what each adds to the document, and by which rules it would be noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster_contracts.core.amend import Append, Edit, Put
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.flaws import Path

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quality:
    """An entry of `quality`, of the column or of the object."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the property, or with `option` of its logicalTypeOptions."""

    name: str
    value: object
    option: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A property for a column that the contract does not have."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Closed:
    """closedSchema: no column beyond those of the contract."""


@dataclass(frozen=True, slots=True)
class Level:
    """An entry of `slaProperties`."""

    entry: Entry


Addition = Quality | Key | Listed | Closed | Level


@dataclass(frozen=True, slots=True)
class Candidate:
    """A clause that clean data keeps to.

    `family` is its kind, the same for all columns; `rank` orders them, the promise that data keeps by its meaning first, what it merely
    happens to do last. `rules` are the ids that it is noticed by, `told` what it was learned from.
    """

    family: str
    column: str | None
    addition: Addition
    rules: tuple[str, ...]
    rank: int
    told: str = ""

    @property
    def name(self) -> str:
        return self.rules[0]


# --- into a document -----------------------------------------------------------------------------------------------


def object_at(document: object, name: str) -> tuple[int, Mapping[str, Any]]:
    """The schema object of that name and its position. Raises UsageError."""
    schema = document.get("schema") if isinstance(document, dict) else None
    for number, found in enumerate(schema or ()):
        if isinstance(found, dict) and found.get("name") == name:
            return number, found
    raise UsageError(f'the contract has no schema object "{name}"')


def properties_of(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [prop for prop in found.get("properties") or () if isinstance(prop, dict)]


def column_of(prop: Mapping[str, Any]) -> str:
    """What the data calls a property."""
    return str(prop.get("physicalName") or prop.get("name"))


def of_standard(document: object, *versions: str) -> bool:
    """Whether the document says to be of one of these versions of the standard: "v3.0" is all of v3.0.x."""
    return isinstance(document, dict) and str(document.get("apiVersion")).startswith(versions)


def in_words_of(document: object, candidate: Candidate) -> Candidate:
    """The same as the document's version of the standard has it: 3.0 calls `rule` what later is the `metric` of a library rule."""
    entry = candidate.addition.entry if isinstance(candidate.addition, Quality) else {}
    if not of_standard(document, "v3.0") or "metric" not in entry:
        return candidate
    return replace(candidate, addition=Quality({"rule" if key == "metric" else key: value for key, value in entry.items()}))


def edits_of(document: object, object_name: str, chosen: Sequence[Candidate]) -> list[Edit]:
    """What makes the chosen clauses part of a document. Clauses of columns that it does not have need their Listed among them."""
    chosen = [in_words_of(document, candidate) for candidate in chosen]
    number, found = object_at(document, object_name)
    here: Path = ("schema", number)
    listed = [candidate for candidate in chosen if isinstance(candidate.addition, Listed)]
    names = [column_of(prop) for prop in properties_of(found)] + [str(candidate.column) for candidate in listed]
    order = [*listed, *(candidate for candidate in chosen if not isinstance(candidate.addition, Listed))]
    return [_edit(candidate, here, names, found) for candidate in order]


def _edit(candidate: Candidate, here: Path, names: Sequence[str], found: Mapping[str, Any]) -> Edit:
    there = here if candidate.column is None else (*here, "properties", _place(candidate, names))
    match candidate.addition:
        case Quality(entry):
            return Append((*there, "quality"), entry)
        case Key(name, value, option):
            return Put((*there, "logicalTypeOptions", name) if option else (*there, name), value)
        case Listed(entry):
            return Append((*here, "properties"), entry)
        case Level(entry):
            return Append(("slaProperties",), entry)
        case Closed():
            for number, given in enumerate(found.get("customProperties") or ()):
                if isinstance(given, dict) and given.get("property") == "closedSchema":
                    return Put((*here, "customProperties", number, "value"), value=True)
            return Append((*here, "customProperties"), {"property": "closedSchema", "value": True})


def _place(candidate: Candidate, names: Sequence[str]) -> int:
    if isinstance(candidate.addition, Listed | Level):
        return 0
    if candidate.column not in names:
        raise UsageError(f'the contract has no property for the column "{candidate.column}"')
    return names.index(candidate.column)


def shown(candidate: Candidate, object_name: str, property_name: str | None = None) -> Entry:
    """The clause as a part of a contract: what stands around it, so that it can be copied to its place. `property_name`: what the contract
    calls the column (None: the same)."""
    match candidate.addition:
        case Level(entry):
            return {"slaProperties": [entry]}
        case Quality(entry):
            inner: Entry = {"quality": [entry]}
        case Key(name, value, option):
            inner = {"logicalTypeOptions": {name: value}} if option else {name: value}
        case Listed(entry):
            return {"schema": [{"name": object_name, "properties": [entry]}]}
        case Closed():
            inner = {"customProperties": [{"property": "closedSchema", "value": True}]}
    if candidate.column is None:
        return {"schema": [{"name": object_name, **inner}]}
    return {"schema": [{"name": object_name, "properties": [{"name": property_name or candidate.column, **inner}]}]}


def described(candidate: Candidate, text: str) -> Candidate:
    """The same, with a description where its entry may have one."""
    if isinstance(candidate.addition, Quality):
        return replace(candidate, addition=Quality({**candidate.addition.entry, "description": text}))
    return candidate
