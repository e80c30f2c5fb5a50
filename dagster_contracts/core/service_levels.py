"""ODCS `slaProperties` -> what one batch can show of them. The rest is listed, with the reason.

    latency, freshness    the age of the newest value of each element                    error
    retention             the age of the oldest value of each element                    warning
    frequency             one batch in every interval, or at each moment of a cron schedule    warning
    timeOfAvailability    a batch by this time of each day                                     warning
    generalAvailability, endOfSupport, endOfLife     batches come not before, and before       warning

Names are those of the standard's periodic table, short or long, in any case. The severity is that of the entry's customProperty
`severity` where it has one. A month is 30 days, a year 365.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches

from dagster_contracts.core.contract import Clause, Contract, Property, SchemaObject, ServiceLevel, Severity
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.metrics import Newest, Oldest
from dagster_contracts.core.options import NotMeasurable, instant_text
from dagster_contracts.core.plan import Cadence, Check, Due, Fresh, InForce, NotExecuted, Retained, Rule
from dagster_contracts.core.schedule import read_cron, zone_of

_NAMES = {
    **dict.fromkeys(("latency", "ly", "freshness"), "latency"),
    **dict.fromkeys(("retention", "re"), "retention"),
    **dict.fromkeys(("frequency", "fy"), "frequency"),
    **dict.fromkeys(("timeofavailability", "ta"), "timeOfAvailability"),
    **dict.fromkeys(("generalavailability", "ga"), "generalAvailability"),
    **dict.fromkeys(("endofsupport", "es"), "endOfSupport"),
    **dict.fromkeys(("endoflife", "el"), "endOfLife"),
    **dict.fromkeys(("availability", "av"), "availability"),
    **dict.fromkeys(("throughput", "th"), "throughput"),
    **dict.fromkeys(("errorrate", "er"), "errorRate"),
    **dict.fromkeys(("timetodetect", "td"), "timeToDetect"),
    **dict.fromkeys(("timetonotify", "tn"), "timeToNotify"),
    **dict.fromkeys(("timetorepair", "tr"), "timeToRepair"),
}
_UNITS = {
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), timedelta(days=365)),
    **dict.fromkeys(("mo", "mth", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
}
_INTERVALS = {"hourly": "h", "daily": "d", "weekly": "w", "monthly": "mo", "yearly": "y", "annually": "y"}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
_CALENDAR = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?((?:\d+[WD])*(?:T.*)?)", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(\S*)", re.ASCII)
_LONGEST = timedelta(days=36_500)  # between batches
_TOLERANCE = 4  # of an interval: batches may come a quarter of it too early or too late where the contract does not say


class _Unclear(Exception):
    """Why one service level cannot become a rule. Caught where it is listed as not executed."""


def promises(level: ServiceLevel, contract: Contract, obj: SchemaObject) -> list[Rule | NotExecuted]:
    """What one service level promises of the batches of `obj`; nothing where it speaks of another object."""
    name = _NAMES.get(_folded(level.property), "")
    severity = _severity(level, Severity.ERROR if name == "latency" else Severity.WARNING)
    if (reason := _of_the_service(level, name)) is not None:
        return [NotExecuted(f"sla.{level.property}", reason, Severity.INFO, Clause.CUSTOM)]
    try:
        if name in ("latency", "retention"):
            return _ages(level, name, severity, contract, obj)
        if level.element and not _speaks_of(level.element, contract, obj):
            return []
        if level.element and (stray := _stray(level.element, contract)):
            raise _Unclear(stray)
        return [_rule(level, f"sla.{level.property}", severity, _check(level, name)), *_unread(level, name)]
    except _Unclear as why:
        return [NotExecuted(f"sla.{level.property}", str(why), severity, Clause.FRESHNESS)]


def slips_of(level: ServiceLevel, contract: Contract) -> Iterator[tuple[str, str]]:
    """What an entry can hardly mean, as the key that is wrong and why: an unknown name near a known one, elements that name nothing,
    values that cannot be read."""
    name = _NAMES.get(_folded(level.property), "")
    if not name and (reason := _of_the_service(level, name)) is not None and "did you mean" in reason:
        yield "property", reason
    if level.element and contract.objects and (stray := _stray(level.element, contract)):
        yield "element", stray
    if (problem := _value_problem(level, name)) is not None:
        yield "value", problem


def _value_problem(level: ServiceLevel, name: str) -> str | None:
    if name in ("generalAvailability", "endOfSupport", "endOfLife") or (name == "retention" and not level.element):
        dated = name != "retention" and re.match(r"\s*\d", str(level.value))  # other words are for people: "Available 24/7"
        return _of_the_service(level, name) if dated else None
    try:
        if name in ("latency", "retention"):
            _duration(level)
        elif name in ("frequency", "timeOfAvailability"):
            _check(level, name)
    except _Unclear as why:
        return str(why)
    return None


def _stray(elements: str, contract: Contract) -> str:
    """Why one of the elements names no object or property of the contract; the empty string where all do."""
    for element in (element.strip() for element in elements.split(",")):
        named = [obj for obj in contract.objects if _names(element, obj)]
        if any(_property_of(element, obj) or _within(element, obj) for obj in contract.objects):
            continue
        if named:
            inner = element.partition(".")[2]
            near = did_you_mean(inner[:80], [prop.name for prop in named[0].properties])
            return f'element "{element}" names no property of {named[0].name}{near}'
        known = [name for obj in contract.objects for name in (obj.name, *(f"{obj.name}.{prop.name}" for prop in obj.properties))]
        near = did_you_mean(element[:80], [*known, *(prop.name for obj in contract.objects for prop in obj.properties)])
        return f'element "{element}" names no object or property of this contract{near}'
    return ""


def _within(element: str, obj: SchemaObject) -> bool:
    """Whether it names the object itself, or something within one of its columns."""
    if element in (obj.name, obj.physical_name):
        return True
    parts = element.split(".")
    start = element[: len(element) - len(parts[-1]) - 1] if len(parts) > 1 else ""
    while start:
        if _property_of(start, obj):
            return True
        start = start.rpartition(".")[0]
    return False


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _severity(level: ServiceLevel, default: Severity) -> Severity:
    word = (level.severity or "").strip().lower()
    return Severity(word) if word in tuple(Severity) else Severity.ERROR if word else default


def _of_the_service(level: ServiceLevel, name: str) -> str | None:
    """Why no batch can show it; None where one can."""
    if not name and (near := get_close_matches(_folded(level.property)[:80], _NAMES, n=1, cutoff=0.85)):
        return f'"{level.property}" is no service level that is known, did you mean "{_NAMES[near[0]]}"?'
    if name == "retention" and not level.element:
        return "names no element, so that it speaks of the service; a batch shows it by the column that holds the time of the data"
    if name in ("generalAvailability", "endOfSupport", "endOfLife") and _moment(level) is None:
        return f"{level.value!r} is no date or timestamp"
    judged = ("latency", "retention", "frequency", "timeOfAvailability", "generalAvailability", "endOfSupport", "endOfLife")
    return None if name in judged else "speaks of the service, not of a batch of data"


def _unread(level: ServiceLevel, name: str) -> Iterable[NotExecuted]:
    if level.value_ext is not None and name == "frequency":
        reason = "the standard gives valueExt no meaning here; how far a batch may be off is the customProperty tolerance"
        yield NotExecuted(f"sla.{level.property}.valueExt", reason, Severity.INFO, Clause.FRESHNESS)


def _rule(level: ServiceLevel, name: str, severity: Severity, check: Check, column: str | None = None) -> Rule:
    told = (level.description, f"driver {level.driver}" if level.driver else None)
    return Rule(name, Clause.FRESHNESS, severity, check, column, "; ".join(part for part in told if part) or None)


# --- when batches come ---------------------------------------------------------------------------------------------


def _check(level: ServiceLevel, name: str) -> Cadence | Due | InForce:
    match name:
        case "frequency":
            return _cadence(level)
        case "timeOfAvailability":
            return _due(level)
        case "generalAvailability":
            return InForce(start=_moment(level))
        case _:
            return InForce(end=_moment(level, until=True))


def _cadence(level: ServiceLevel) -> Cadence:
    """By value and unit. `schedule` tells when a check is to run, so that it counts only where the value is no interval."""
    schedule = next((text for text in (str(level.value), level.schedule or "") if len(text.split()) == 5 or text.startswith("@")), None)
    word = _INTERVALS.get(str(level.value).strip().lower())
    if word:
        level = replace(level, value=1, unit=word)
    try:
        interval = _duration(level)
        schedule = None
    except _Unclear:
        if schedule is None:
            raise
        try:
            interval = read_cron(schedule).shortest
        except ValueError as why:
            raise _Unclear(str(why)) from None
    if not interval:
        raise _Unclear("a frequency of 0 says nothing; expected a time between batches, such as value: 1, unit: d")
    tolerance = _tolerance(level, interval / _TOLERANCE)
    if max(interval, tolerance) > _LONGEST:
        raise _Unclear(f"value {level.value!r} with unit {level.unit!r} is too long a time between batches")
    return Cadence(interval, tolerance, schedule)


def _tolerance(level: ServiceLevel, default: timedelta) -> timedelta:
    if level.tolerance is None:
        return default
    try:
        return parse_duration(level.tolerance)
    except ValueError as why:
        raise _Unclear(f"tolerance: {why}") from None


def _due(level: ServiceLevel) -> Due:
    """The zone stands behind the time, as an offset or a name, or is the unit; else it is UTC."""
    found = _CLOCK.fullmatch(str(level.value).strip())
    try:
        if found is None:
            raise ValueError(f"{level.value!r} is no time of day; expected 09:00, 09:00-08:00 or 09:00 Europe/Rome")
        zone = found[4] or level.unit or "UTC"
        zone_of(zone)
        return Due(time(int(found[1]), int(found[2]), int(found[3] or 0)), zone)
    except ValueError as why:
        raise _Unclear(str(why)) from None


def _moment(level: ServiceLevel, *, until: bool = False) -> datetime | None:
    """The date or timestamp that is the value, in UTC where it names no zone; None where it is neither. A last day is over at its end."""
    text = str(level.value).strip()
    try:
        found = datetime.fromisoformat(text)
        if until and len(text) <= len("2026-01-01") and found.date() < date.max:
            found += timedelta(days=1)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


# --- how old the data is -------------------------------------------------------------------------------------------


def _ages(level: ServiceLevel, name: str, severity: Severity, contract: Contract, obj: SchemaObject) -> list[Rule | NotExecuted]:
    if not level.element:
        raise _Unclear("names no element; expected the column that holds the time of the data, as object.property")
    elements = [element.strip() for element in level.element.split(",")]
    mine = [element for element in elements if _speaks_of(element, contract, obj)]
    return [_age(level, name, severity, element, obj) for element in mine]


def _age(level: ServiceLevel, name: str, severity: Severity, element: str, obj: SchemaObject) -> Rule | NotExecuted:
    prop = _property_of(element, obj)
    if prop is None:
        return _unclear(level, severity, f'element "{element}" names no property of {obj.name}')
    try:
        age, text = _duration(level), instant_text(prop)
    except (_Unclear, NotMeasurable) as why:
        return _unclear(level, severity, str(why))
    check = Fresh(Newest(prop.name, text), age) if name == "latency" else Retained(Oldest(prop.name, text), age)
    return _rule(level, f"{prop.name}.{level.property}", severity, check, prop.name)


def _unclear(level: ServiceLevel, severity: Severity, reason: str) -> NotExecuted:
    return NotExecuted(f"sla.{level.property}", reason, severity, Clause.FRESHNESS)


def _speaks_of(elements: str, contract: Contract, obj: SchemaObject) -> bool:
    """Whether one of them is of `obj`, or of nothing that is known: then it is said of every object that it names nothing there."""
    others = [other for other in contract.objects if other.name != obj.name]
    for element in (element.strip() for element in elements.split(",")):
        known = [other for other in others if _names(element, other) or _property_of(element, other)]
        if _names(element, obj) or _property_of(element, obj) or not known:
            return True
    return False


def _names(element: str, obj: SchemaObject) -> bool:
    """Whether `element` starts with the name of `obj`."""
    return any(element == name or element.startswith(f"{name}.") for name in (obj.name, obj.physical_name) if name)


def _property_of(element: str, obj: SchemaObject) -> Property | None:
    for name in (obj.name, obj.physical_name):
        if name and element.startswith(f"{name}."):
            element = element[len(name) + 1 :]
            break
    return next((prop for prop in obj.properties if prop.name == element), None)


def _duration(level: ServiceLevel) -> timedelta:
    """The promised time. Raises _Unclear."""
    text = f"{level.value}{level.unit or ''}" if isinstance(level.value, int | float) else str(level.value)
    try:
        if text.startswith("P"):
            return _iso_duration(text)
        found = _AMOUNT.fullmatch(text if any(map(str.isalpha, text)) else f"{text} {level.unit or ''}")
        unit = _UNITS.get(found[2].lower()) if found else None
        if found is None or unit is None or isinstance(level.value, bool):
            wanted = "expected a number and one of y, mo, w, d, h, m, s"
            word = next((w for w in (str(level.value), level.unit or "") if w.isalpha() and w.lower() not in _UNITS), "")
            near = did_you_mean(word[:80].lower(), [*_INTERVALS, *(unit for unit in _UNITS if len(unit) > 2)])
            raise _Unclear(f"value {level.value!r} with unit {level.unit!r} is no duration{near or ';'} {wanted}")
        return float(found[1]) * unit
    except OverflowError:
        raise _Unclear(f"value {level.value!r} with unit {level.unit!r} is too long a duration") from None


def _iso_duration(text: str) -> timedelta:
    """With years and months, which the breaker's own durations do not have."""
    found = _CALENDAR.fullmatch(text)
    years, months, rest = (found[1], found[2], found[3]) if found else (None, None, text[1:])
    try:
        fixed = parse_duration(f"P{rest}") if rest or not (years or months) else timedelta(0)
    except ValueError as why:
        raise _Unclear(str(why)) from None
    return int(years or 0) * _UNITS["y"] + int(months or 0) * _UNITS["mo"] + fixed
