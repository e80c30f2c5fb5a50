"""ODCS `logicalTypeOptions` -> metrics, or why an option is not measured. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, datetime

from dagster_contracts.core.contract import Property
from dagster_contracts.core.metrics import LengthOutside, Metric, NotMatching, OutOfRange
from dagster_contracts.core.patterns import pattern_problem

CLOCKED = ("date", "timestamp", "time")

_ISO_FORMATS = ("date", "date-time", "time", "iso8601", "iso-8601", "rfc3339", "rfc-3339")
_LARGEST = sys.float_info.max


class NotMeasurable(Exception):
    """Why one promise cannot become a rule. Caught where the promise is listed as not executed."""


def option_metrics(prop: Property) -> Iterator[tuple[str, Metric | str]]:
    """Each option of `prop` with its metric, or with the reason why it has none. Options the type rule judges are left out."""
    for option in prop.options:
        if _judged_by_type(prop, option) or _flag(prop, option):
            continue
        try:
            yield option, _metric(prop, option)
        except NotMeasurable as why:
            yield option, str(why)


def foreign_format(prop: Property) -> str | None:
    """The text format of a date, timestamp or time that is not ISO 8601."""
    given = prop.options.get("format")
    if prop.logical_type not in CLOCKED or given is None:
        return None
    iso = str(given).lower() in _ISO_FORMATS or (prop.logical_type == "date" and given == "yyyy-MM-dd")
    return None if iso else str(given)


def foreign_zone(prop: Property) -> str | None:
    """The time zone of values without one, where it is not UTC."""
    zone = prop.options.get("defaultTimezone")
    return None if zone is None or str(zone).lower() in ("utc", "etc/utc", "z", "gmt") else str(zone)


def _judged_by_type(prop: Property, option: str) -> bool:
    iso_format = option == "format" and prop.logical_type in CLOCKED and foreign_format(prop) is None
    return iso_format or (option == "defaultTimezone" and foreign_zone(prop) is None)


def _flag(prop: Property, option: str) -> bool:
    """`exclusiveMinimum: true` (JSON Schema draft 4) only sharpens `minimum`, and `false` asks for nothing."""
    given = prop.options[option]
    sharpens = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}.get(option)
    return sharpens is not None and (given is False or (given is True and sharpens in prop.options))


def _metric(prop: Property, option: str) -> Metric:
    given = prop.options[option]
    match option:
        case "pattern":
            return NotMatching(prop.name, checked_pattern(given))
        case "minLength":
            return LengthOutside(prop.name, minimum=_length(option, given))
        case "maxLength":
            return LengthOutside(prop.name, maximum=_length(option, given))
        case "minimum":
            return OutOfRange(prop.name, minimum=_bound(prop, option), exclusive_minimum=prop.options.get("exclusiveMinimum") is True)
        case "maximum":
            return OutOfRange(prop.name, maximum=_bound(prop, option), exclusive_maximum=prop.options.get("exclusiveMaximum") is True)
        case "exclusiveMinimum":
            return OutOfRange(prop.name, minimum=_bound(prop, option), exclusive_minimum=True)
        case "exclusiveMaximum":
            return OutOfRange(prop.name, maximum=_bound(prop, option), exclusive_maximum=True)
    raise NotMeasurable(f"option {option}: {shown(given)} is not measured yet")


def checked_pattern(given: object) -> str:
    if not isinstance(given, str):
        raise NotMeasurable(f"pattern is {shown(given)}, not text")
    if problem := pattern_problem(given):
        raise NotMeasurable(problem)
    return given


def _length(option: str, given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    raise NotMeasurable(f"{option} is {shown(given)}, not a whole number of characters")


def _bound(prop: Property, option: str) -> int | float | str:
    given = prop.options[option]
    if prop.logical_type in ("date", "timestamp"):
        if (form := foreign_format(prop) or foreign_zone(prop)) is not None:
            raise NotMeasurable(f'{option} of dates and times with format or zone "{form}" is not measured yet')
        return _instant(option, given)
    if prop.logical_type in ("time", "object", "array", "map"):
        raise NotMeasurable(f"{option} of {prop.logical_type} values is not measured yet")
    if is_number(given):
        return given  # type: ignore[return-value]
    if prop.logical_type is None and isinstance(given, str | date):
        return _instant(option, given)
    raise NotMeasurable(f"{option} is {shown(given)}, not a number")


def _instant(option: str, given: object) -> str:
    text = given.isoformat() if isinstance(given, date) else given
    try:
        if isinstance(text, str):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass  # said below, as for every other value
    raise NotMeasurable(f"{option} is {shown(given)}, not an ISO 8601 date or timestamp")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST  # NaN is not


def shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 80 else f"{text[:77]}..."
