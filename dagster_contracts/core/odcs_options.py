"""What `logicalTypeOptions` must keep beyond the JSON schema of the standard, so that they can be executed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time

from dagster_contracts.core.flaws import Flaw, Path, shown
from dagster_contracts.core.odcs_quality import is_finite, pattern_flaws
from dagster_contracts.core.time_text import ISO_FORMATS, Written, iso_bound, read_format, zone_problem

_LENGTHS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"))
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_CLOCKED = ("date", "timestamp", "time")


def option_flaws(prop: dict[str, object], path: Path) -> Iterator[Flaw]:
    """What is wrong with the options of a property."""
    given = prop.get("logicalTypeOptions")
    if not isinstance(given, dict):
        return
    options, here = dict(given), (*path, "logicalTypeOptions")
    yield from pattern_flaws(options.get("pattern"), (*here, "pattern"))
    if prop.get("logicalType") in _CLOCKED:
        yield from _times(options, str(prop["logicalType"]), here)
    for low, high in _LENGTHS:
        least, most = options.get(low), options.get(high)
        if is_finite(least) and is_finite(most) and least > most:
            yield Flaw((*here, low), f"{low} {shown(least)} is above {high} {shown(most)}: no value fits")
    for low in ("minimum", "exclusiveMinimum"):
        for high in ("maximum", "exclusiveMaximum"):
            touching = low == "minimum" and high == "maximum"
            if _crossed(options.get(low), options.get(high), touching):
                yield Flaw((*here, low), f"{low} {shown(given[low])} and {high} {shown(given[high])} leave no value that fits")


def _times(options: dict[str, object], logical_type: str, path: Path) -> Iterator[Flaw]:
    """Zones and bounds of dates and times; bounds that can be read are turned to ISO 8601 in `options`."""
    zone = options.get("defaultTimezone")
    if isinstance(zone, str) and (problem := zone_problem(zone)):
        yield Flaw((*path, "defaultTimezone"), problem)
    try:
        written = _format(options.get("format"))
    except ValueError:  # told with the reason where the rule is listed as not executed
        return
    for name in _BOUNDS:
        if isinstance(bound := options.get(name), str):
            try:
                options[name] = iso_bound(bound, logical_type, written, "UTC")
            except ValueError as wrong:
                yield Flaw((*path, name), f"{name}: {wrong}")


def _format(given: object) -> Written | None:
    return read_format(given) if isinstance(given, str) and given.lower() not in ISO_FORMATS else None


def _crossed(low: object, high: object, touching: bool) -> bool:
    """Whether bounds (numbers, or ISO dates and times as text) exclude everything. Bounds of other kinds are passed over."""
    if isinstance(low, str) and isinstance(high, str):
        start, end = _moment(low), _moment(high)
        if start is None or end is None or (start.tzinfo is None) != (end.tzinfo is None):
            return False
        return start > end or (start == end and not touching)
    if not (is_finite(low) and is_finite(high)):
        return False
    return low > high or (low == high and not touching)


def _moment(text: str) -> datetime | None:
    """A date, timestamp or time as one that compares with its like."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass  # times of a day, below
    try:
        return datetime.combine(date.min, time.fromisoformat(text))
    except ValueError:
        return None
