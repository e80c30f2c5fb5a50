"""What a contract must keep beyond the JSON schema of the standard, so that it can be executed.

Works on documents that may break the schema as well, so that all problems are told at once: whatever has the wrong shape is passed over
here, because the schema reports it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from datetime import datetime
from typing import TypeGuard

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.document import Document, Flaw, Path, maps, path_text, shown
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.patterns import pattern_problem

CONTRACT_KEYS = ("circuitBreaker", "samples")
OBJECT_KEYS = ("dagsterAsset", "closedSchema")
_OPERATORS = tuple(Operator)
_BETWEEN = (Operator.BETWEEN, Operator.NOT_BETWEEN)
_LENGTHS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"))


def own_flaws(document: Document) -> Iterator[Flaw]:
    """Every breach of our own rules but those of the circuitBreaker block (see policy.py)."""
    root = document.value
    if not isinstance(root, dict):
        return
    yield from _custom_properties(root, (), CONTRACT_KEYS, OBJECT_KEYS)
    objects: list[tuple[Path, dict[str, object]]] = [(("schema", index), obj) for index, obj in maps(root.get("schema"))]
    yield from _duplicates(document, objects, "name", "schema object")
    for path, obj in objects:
        yield from _custom_properties(obj, path, OBJECT_KEYS, CONTRACT_KEYS)
        yield from _quality(obj, path)
        yield from _properties(document, obj, path)


def is_library(rule: dict[str, object]) -> bool:
    """Whether a quality rule counts something: `type: library`, which may be left out beside `metric` (formerly `rule`)."""
    return rule.get("type", "library" if "metric" in rule or "rule" in rule else None) == "library"


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
            level = "a schema object" if name in OBJECT_KEYS else "the contract"
            yield Flaw((*here, "property"), f'the customProperty "{name}" is read from {level} only; move it there')
        elif near := _near_miss(name, value, (*ours, *elsewhere)):
            yield Flaw((*here, "property"), f'the customProperty "{name}" is not read, did you mean "{near}"?')


def _near_miss(name: str, value: object, ours: tuple[str, ...]) -> str | None:
    """The key of ours that `name` misspells. Of a short key that needs our type as well: others have a `sample` too."""
    folded = name[:80].lower().replace("_", "").replace("-", "")
    for key in ours:
        if abs(len(folded) - len(key)) > 3:
            continue
        near = (len(key) > 8 or isinstance(value, bool)) and difflib.get_close_matches(folded, [key.lower()], cutoff=0.88)
        if folded == key.lower() or near:
            return key
    return None


def _our_value(name: str, value: object, path: Path) -> Iterator[Flaw]:
    if name in ("samples", "closedSchema") and not isinstance(value, bool):
        yield Flaw(path, f"{name}: expected true or false, found {shown(value)}")
    if name == "dagsterAsset" and not (isinstance(value, str) and value and all(part.strip() for part in value.split("/"))):
        yield Flaw(path, f'dagsterAsset: expected an asset key such as "vendor/feed", found {shown(value)}')


# --- schema --------------------------------------------------------------------------------------------------------


def _properties(document: Document, owner: dict[str, object], path: Path) -> Iterator[Flaw]:
    listed = [((*path, "properties", index), prop) for index, prop in maps(owner.get("properties"))]
    named = list(_duplicates(document, listed, "name", "property"))
    yield from named
    if not named:  # a name that stands twice is told once
        columns = [(at, {"column": prop.get("physicalName") or prop.get("name")}) for at, prop in listed]
        yield from _duplicates(document, columns, "column", "column (physicalName)")
    for at, prop in listed:
        yield from _property(document, prop, at)


def _property(document: Document, prop: dict[str, object], path: Path) -> Iterator[Flaw]:
    options = prop.get("logicalTypeOptions")
    if isinstance(options, dict):
        yield from _options(options, (*path, "logicalTypeOptions"))
    yield from _scalars([entry.get("value") for _, entry in maps(prop.get("enum"))], (*path, "enum"), "enum")
    yield from _quality(prop, path)
    yield from _properties(document, prop, path)
    if isinstance(items := prop.get("items"), dict):
        yield from _property(document, items, (*path, "items"))


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


def _options(options: dict[str, object], path: Path) -> Iterator[Flaw]:
    yield from _pattern(options.get("pattern"), (*path, "pattern"))
    for low, high in _LENGTHS:
        least, most = options.get(low), options.get(high)
        if _number(least) and _number(most) and least > most:
            yield Flaw((*path, low), f"{low} {shown(least)} is above {high} {shown(most)}: no value fits")
    for low in ("minimum", "exclusiveMinimum"):
        for high in ("maximum", "exclusiveMaximum"):
            touching = low == "minimum" and high == "maximum"
            if _crossed(options.get(low), options.get(high), touching):
                yield Flaw((*path, low), f"{low} {shown(options[low])} and {high} {shown(options[high])} leave no value that fits")


def _crossed(low: object, high: object, touching: bool) -> bool:
    """Whether bounds (numbers, or ISO dates as text) exclude everything. Bounds of other kinds are passed over."""
    if isinstance(low, str) and isinstance(high, str):
        try:
            start, end = datetime.fromisoformat(low), datetime.fromisoformat(high)
        except ValueError:
            return False
        if (start.tzinfo is None) != (end.tzinfo is None):
            return False
        return start > end or (start == end and not touching)
    if not (_number(low) and _number(high)):
        return False
    return low > high or (low == high and not touching)


# --- quality -------------------------------------------------------------------------------------------------------


def _quality(owner: dict[str, object], path: Path) -> Iterator[Flaw]:
    for index, rule in maps(owner.get("quality")):
        here = (*path, "quality", index)
        if is_library(rule):
            yield from _operators(rule, here)
        for operator in _BETWEEN:
            if operator in rule:
                yield from _between(rule[operator], (*here, operator))
        arguments = rule.get("arguments")
        yield from _arguments(arguments if isinstance(arguments, dict) else {}, (*here, "arguments"))
        if is_library(rule):
            yield from _arguments({key: rule[key] for key in ("validValues", "pattern") if key in rule}, here)  # as ODCS 3.0 wrote them


def _operators(rule: dict[str, object], path: Path) -> Iterator[Flaw]:
    given = [operator for operator in _OPERATORS if operator in rule]
    if not given and rule.get("rule") != "validValues":  # ODCS 3.0 wrote that one without an operator: none may be invalid
        near = [(key, hint) for key in rule if (hint := did_you_mean(key[:80], _OPERATORS))]
        hint = f' ("{near[0][0][:60]}"{near[0][1]})' if near else ""
        yield Flaw(path, f"this rule has no operator{hint}; give it one of {', '.join(_OPERATORS)}")
    for operator in given:
        if operator not in _BETWEEN and not _number(rule[operator]):
            yield Flaw((*path, operator), f"{operator}: expected a number, found {shown(rule[operator])}")


def _between(bounds: object, path: Path) -> Iterator[Flaw]:
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(_number(bound) for bound in bounds)):
        found = f"[{', '.join(shown(item) for item in bounds[:4])}]" if isinstance(bounds, list) else shown(bounds)
        yield Flaw(path, f"{path[-1]}: expected two numbers, the smaller first, found {found}")
    elif bounds[0] > bounds[1]:
        yield Flaw(path, f"{path[-1]}: the smaller number comes first; found {bounds[0]} before {bounds[1]}")


def _arguments(arguments: dict[str, object], path: Path) -> Iterator[Flaw]:
    yield from _pattern(arguments.get("pattern"), (*path, "pattern"), known="pattern" in arguments)
    for key in ("validValues", "missingValues"):
        if key not in arguments:
            continue
        values = arguments[key]
        if isinstance(values, list) and values:
            yield from _scalars(values, (*path, key), key)
        else:
            yield Flaw((*path, key), f"{key}: expected a list of values, found {'an empty list' if values == [] else shown(values)}")


def _scalars(values: list[object], path: Path, what: str) -> Iterator[Flaw]:
    for index, value in enumerate(values):
        if isinstance(value, dict | list) or (isinstance(value, float) and not math.isfinite(value)):
            yield Flaw((*path, index), f"{what}: expected text, a number, true or false, found {shown(value)}")


def _pattern(pattern: object, path: Path, known: bool = False) -> Iterator[Flaw]:
    if isinstance(pattern, str):
        if problem := pattern_problem(pattern):
            yield Flaw(path, problem)
    elif known:
        yield Flaw(path, f"expected a regular expression, found {shown(pattern)}")


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
