"""What the `implementation` of a custom rule of ours must keep: its JSON schema, and what no schema can say."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.resources import files

from dagster_contracts.core.conformance import Schema
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, shown

_BETWEEN = (Operator.BETWEEN, Operator.NOT_BETWEEN)


@cache
def _schema() -> Schema:
    place = files("dagster_contracts.core") / "schemas" / "custom-rule.schema.json"
    return Schema(json.loads(place.read_text(encoding="utf-8")))


def custom_flaws(value: Mapping[str, object], path: Path = (), columns: Collection[str] | None = None) -> Iterator[Flaw]:
    """Everything wrong with an implementation. `columns` are those of the object, where they are known."""
    broken = _schema().breaches(dict(value))
    yield from (Flaw((*path, *breach.path), breach.message) for breach in broken)
    told = {breach.path for breach in broken}
    for operator in Operator:
        if operator in value and (operator,) not in told and (message := _operand(operator, value[operator])):
            yield Flaw((*path, operator), message)
    for key in ("column", "other"):
        name = value.get(key)
        if columns is not None and isinstance(name, str) and name not in columns:
            yield Flaw((*path, key), f'the object has no property "{name[:60]}"{did_you_mean(name[:80], columns)}')


def _operand(operator: Operator, given: object) -> str:
    listed = given if isinstance(given, list) else [given]
    numbers = [number for number in listed if isinstance(number, int | float) and math.isfinite(number)]
    if len(numbers) < len(listed):
        return f"{operator}: expected {'finite numbers' if operator in _BETWEEN else 'a finite number'}, found {shown(given)}"
    if operator in _BETWEEN and len(numbers) == 2 and numbers[0] > numbers[1]:
        return f"{operator}: the smaller number comes first; found {numbers[0]} before {numbers[1]}"
    return ""
