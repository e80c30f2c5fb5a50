"""ODCS `slaProperties` -> what one batch can show of them: the age of its newest data. The rest is listed, with the reason."""

from __future__ import annotations

import re
from datetime import timedelta

from dagster_contracts.core.contract import Clause, Contract, Property, SchemaObject, ServiceLevel, Severity
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.metrics import Newest
from dagster_contracts.core.options import foreign_format, foreign_zone
from dagster_contracts.core.plan import Fresh, NotExecuted, Rule

_AGE = ("latency", "ly", "freshness")
_SCHEDULE = ("frequency", "fy", "timeofavailability", "ta")
_UNITS = {
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), timedelta(days=365)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def promises(level: ServiceLevel, contract: Contract, obj: SchemaObject) -> list[Rule | NotExecuted]:
    """What one service level promises of a batch of `obj`; nothing where it speaks of another object."""
    if level.property.lower() not in _AGE:
        return [_not_of_a_batch(level)]
    if not level.element:
        return [_unclear(level, "names no element; expected the column that holds the time of the data, as object.property")]
    found = (_age(level, element.strip(), contract, obj) for element in level.element.split(","))
    return [promise for promise in found if promise is not None]


def _not_of_a_batch(level: ServiceLevel) -> NotExecuted:
    name = f"sla.{level.property}"
    if level.property.lower() in _SCHEDULE:
        return NotExecuted(name, "judged from when batches arrive, which is not watched yet", Severity.WARNING, Clause.FRESHNESS)
    return NotExecuted(name, "speaks of the service, not of a batch of data", Severity.INFO, Clause.CUSTOM)


def _unclear(level: ServiceLevel, reason: str) -> NotExecuted:
    return NotExecuted(f"sla.{level.property}", reason, Severity.ERROR, Clause.FRESHNESS)


def _age(level: ServiceLevel, element: str, contract: Contract, obj: SchemaObject) -> Rule | NotExecuted | None:
    prop = _property_of(element, obj)
    if prop is None:
        others = (other for other in contract.objects if other.name != obj.name)
        if any(_names(element, other) or _property_of(element, other) for other in others):
            return None
        return _unclear(level, f'element "{element}" names no property of {obj.name}')
    if (form := foreign_format(prop)) is not None:
        return _unclear(level, f'{prop.name} has format "{form}"; only ISO 8601 times are read yet')
    if (zone := foreign_zone(prop)) is not None:
        return _unclear(level, f'{prop.name} has defaultTimezone "{zone}"; only UTC is read yet')
    age = _duration(level)
    if isinstance(age, str):
        return _unclear(level, age)
    return Rule(f"{prop.name}.{level.property}", Clause.FRESHNESS, Severity.ERROR, Fresh(Newest(prop.name), age), prop.name)


def _names(element: str, obj: SchemaObject) -> bool:
    """Whether `element` starts with the name of `obj`."""
    return any(element == name or element.startswith(f"{name}.") for name in (obj.name, obj.physical_name) if name)


def _property_of(element: str, obj: SchemaObject) -> Property | None:
    for name in (obj.name, obj.physical_name):
        if name and element.startswith(f"{name}."):
            element = element[len(name) + 1 :]
            break
    return next((prop for prop in obj.properties if prop.name == element), None)


def _duration(level: ServiceLevel) -> timedelta | str:
    """The promised age, or what is wrong with it. A year is 365 days."""
    text = f"{level.value}{level.unit or ''}" if isinstance(level.value, int | float) else str(level.value)
    if text.startswith("P"):
        try:
            return parse_duration(text)
        except ValueError as error:
            return str(error)
    found = _AMOUNT.fullmatch(text if any(map(str.isalpha, text)) else f"{text} {level.unit or ''}")
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or isinstance(level.value, bool):
        return f"value {level.value!r} with unit {level.unit!r} is no duration; expected a number and one of d, h, m, s, w, y"
    try:
        return float(found[1]) * unit
    except OverflowError:
        return f"value {level.value!r} with unit {level.unit!r} is too long a duration"
