"""What a `quality` rule must keep beyond the JSON schema of the standard, so that it can be executed.

Works on rules of any shape, as odcs_rules does: whatever has the wrong one is passed over here, because the schema reports it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TypeGuard

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.errors import ContractSyntaxError, did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, maps, shown
from dagster_contracts.core.odcs_custom import custom_flaws
from dagster_contracts.core.patterns import is_foreign, pattern_problem

# The arguments that each metric of the library reads.
ARGUMENTS: dict[object, tuple[str, ...]] = {
    "nullValues": (),
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
    "duplicateValues": ("properties",),
    "rowCount": (),
}
FORMER_METRICS = {"duplicateCount": "duplicateValues", "validValues": "invalidValues"}  # ODCS 3.0 `rule` -> `metric`
GREAT_EXPECTATIONS = ("greatexpectations", "gx")
OURS = "dagster-contracts"
EXPECTATION_KEYS = ("type", "expectation_type", "kwargs", "meta", "notes", "id", "severity", "description", "rendered_content")

_OPERATORS = tuple(Operator)
_BETWEEN = (Operator.BETWEEN, Operator.NOT_BETWEEN)


def is_library(rule: dict[str, object]) -> bool:
    """Whether a quality rule counts something: `type: library`, which may be left out beside `metric` (formerly `rule`)."""
    return rule.get("type", "library" if "metric" in rule or "rule" in rule else None) == "library"


def is_great_expectations(engine: object) -> bool:
    """However it is spelled: greatExpectations, great-expectations, great_expectations, gx."""
    return isinstance(engine, str) and engine.replace("-", "").replace("_", "").replace(" ", "").lower() in GREAT_EXPECTATIONS


def read_implementation(rule: dict[str, object]) -> tuple[object | None, str | None]:
    """The `implementation` of a custom rule and what is wrong with it. Text that an engine of ours reads is YAML or JSON."""
    given = rule.get("implementation")
    if not isinstance(given, str) or not (is_great_expectations(rule.get("engine")) or rule.get("engine") == OURS):
        return given, None
    from dagster_contracts.core.document import read  # loads a YAML parser, which what merely compiles contracts can do without

    try:
        value = read(given).value
    except ContractSyntaxError as broken:
        return given, f"the implementation cannot be read: {broken}"
    return (value, None) if isinstance(value, dict) else (given, f"the implementation is no mapping of keys to values: {shown(value)}")


def quality_flaws(owner: dict[str, object], path: Path, columns: Collection[str] | None = None) -> Iterator[Flaw]:
    """What is wrong with the rules of an object or property. `columns` are those of the object, where they are known."""
    for index, rule in maps(owner.get("quality")):
        here = (*path, "quality", index)
        for operator in _BETWEEN:
            if operator in rule:
                yield from _between(rule[operator], (*here, operator))
        arguments = rule.get("arguments")
        yield from _arguments(arguments if isinstance(arguments, dict) else {}, (*here, "arguments"))
        if is_library(rule):
            yield from _operators(rule, here)
            yield from _arguments({key: rule[key] for key in ("validValues", "pattern") if key in rule}, here)  # as ODCS 3.0 wrote them
            yield from _library(rule, arguments if isinstance(arguments, dict) else {}, (*here, "arguments"), columns)
        if rule.get("type") == "custom":
            yield from _custom(rule, (*here, "implementation"), columns)


def _library(rule: dict[str, object], arguments: dict[str, object], path: Path, columns: Collection[str] | None) -> Iterator[Flaw]:
    former = rule.get("rule")
    metric = rule.get("metric") or (FORMER_METRICS.get(former, former) if isinstance(former, str) else None)
    known = ARGUMENTS.get(metric, tuple(arguments)) if isinstance(metric, str) else tuple(arguments)
    for name in arguments:
        if name not in known:
            near = did_you_mean(name[:80], known) or (f"; known are {', '.join(known)}" if known else "; it takes none")
            yield Flaw((*path, name), f'{metric} knows no argument "{name[:60]}"{near}')
    named = arguments.get("properties")
    if metric != "duplicateValues" or columns is None or not isinstance(named, list):
        return
    for index, name in enumerate(named):
        if isinstance(name, str) and name not in columns and name.split(".")[0] not in columns:
            yield Flaw((*path, "properties", index), f'the object has no property "{name[:60]}"{did_you_mean(name[:80], columns)}')


def _custom(rule: dict[str, object], path: Path, columns: Collection[str] | None) -> Iterator[Flaw]:
    value, problem = read_implementation(rule)
    if problem is not None:
        yield Flaw(path, problem)
    elif is_great_expectations(rule.get("engine")) and isinstance(value, dict):
        yield from _expectation(value, path)
    elif rule.get("engine") == OURS and isinstance(value, dict):
        yield from custom_flaws(value, path, columns)


def _expectation(value: dict[str, object], path: Path) -> Iterator[Flaw]:
    name = value.get("type", value.get("expectation_type"))
    if not isinstance(name, str) or not name:
        yield Flaw(path, f'names no expectation: expected the key "type", such as expect_column_values_to_not_be_null, found {shown(name)}')
    for key in value:
        if key not in EXPECTATION_KEYS:
            yield Flaw((*path, key), f'unknown key "{key[:60]}"{did_you_mean(key[:80], EXPECTATION_KEYS)}; arguments stand in "kwargs"')
    if not isinstance(value.get("kwargs", {}), dict):
        yield Flaw((*path, "kwargs"), f"expected a mapping of arguments, found {shown(value['kwargs'])}")


def _operators(rule: dict[str, object], path: Path) -> Iterator[Flaw]:
    given = [operator for operator in _OPERATORS if operator in rule]
    former = rule.get("rule")
    if "metric" not in rule and isinstance(former, str) and FORMER_METRICS.get(former, former) not in ARGUMENTS:
        return  # ODCS 3.0 left the names of rules free (its own examples have nullCheck): listed as not executed
    if not given and former != "validValues":  # ODCS 3.0 wrote that one without an operator: none may be invalid
        near = [(key, hint) for key in rule if (hint := did_you_mean(key[:80], _OPERATORS))]
        hint = f' ("{near[0][0][:60]}"{near[0][1]})' if near else ""
        yield Flaw(path, f"this rule has no operator{hint}; give it one of {', '.join(_OPERATORS)}")
    for operator in given:
        if operator not in _BETWEEN and not is_finite(rule[operator]):
            yield Flaw((*path, operator), f"expected a number, found {shown(rule[operator])}")


def _between(bounds: object, path: Path) -> Iterator[Flaw]:
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(is_finite(bound) for bound in bounds)):
        found = f"[{', '.join(shown(item) for item in bounds[:4])}]" if isinstance(bounds, list) else shown(bounds)
        yield Flaw(path, f"expected two numbers, the smaller first, found {found}")
    elif bounds[0] > bounds[1]:
        yield Flaw(path, f"the smaller number comes first; found {bounds[0]} before {bounds[1]}")


def _arguments(arguments: dict[str, object], path: Path) -> Iterator[Flaw]:
    yield from pattern_flaws(arguments.get("pattern"), (*path, "pattern"), known="pattern" in arguments)
    for key in ("validValues", "missingValues"):
        if key not in arguments:
            continue
        values = arguments[key]
        if isinstance(values, list) and values:
            yield from scalar_flaws(values, (*path, key), key)
        else:
            yield Flaw((*path, key), f"expected a list of values, found {'an empty list' if values == [] else shown(values)}")


def scalar_flaws(values: list[object], path: Path, what: str) -> Iterator[Flaw]:
    for index, value in enumerate(values):
        if isinstance(value, dict | list) or (isinstance(value, float) and not math.isfinite(value)):
            yield Flaw((*path, index), f"{what}: expected text, a number, true or false, found {shown(value)}")


def pattern_flaws(pattern: object, path: Path, known: bool = False) -> Iterator[Flaw]:
    if isinstance(pattern, str):
        if (problem := pattern_problem(pattern)) and not is_foreign(pattern):
            yield Flaw(path, problem)
    elif known:
        yield Flaw(path, f"expected a regular expression, found {shown(pattern)}")


def is_finite(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
