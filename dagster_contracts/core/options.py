"""ODCS `logicalTypeOptions` -> metrics, or why an option is not measured. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import date

from dagster_contracts.core.contract import Property, Severity
from dagster_contracts.core.formats import FLOATS, INTEGERS, LARGEST_FLOAT, LONGEST, TEXT_PATTERNS, TEXT_WITHOUT_RULE
from dagster_contracts.core.metrics import (
    Absent,
    LengthOutside,
    NotMatching,
    NotMultiple,
    OutOfRange,
    Repeating,
    SizeOutside,
    TimeText,
    TypeBreaches,
    ValueMetric,
)
from dagster_contracts.core.patterns import pattern_problem
from dagster_contracts.core.time_text import ISO_FORMATS, Written, iso_bound, read_format, zone_problem

CLOCKED = ("date", "timestamp", "time")

PACKED = "a binary vector may be packed, eight of its elements in a byte"
_ADVICE = ("distanceMetric", "embeddingModel", "embeddingModelVersion")
_UTC = ("utc", "etc/utc", "z", "gmt", "etc/gmt")
_LARGEST = sys.float_info.max


class NotMeasurable(Exception):
    """Why one promise cannot become a rule. Caught where the promise is listed as not executed.

    `severity` is that of the entry where the promise asks nothing of the data; None: that of the promise.
    """

    def __init__(self, reason: str, severity: Severity | None = None):
        super().__init__(reason)
        self.severity = severity


def option_metrics(prop: Property) -> Iterator[tuple[str, ValueMetric | NotMeasurable]]:
    """Each option of `prop` with its metric, or with the reason why it has none. `required` of an object has one for each field.

    Options that the type rule judges are left out, and so is what asks for nothing (`uniqueItems: false`).
    """
    for option, given in prop.options.items():
        if _judged_by_type(prop, option) or asks_nothing(prop, option):
            continue
        try:
            if option == "required" and isinstance(given, list):
                yield from ((f"required.{field}", Absent(prop.name, str(field))) for field in given)
            else:
                metric = _metric(prop, option)
                yield option, metric
                if isinstance(metric, NotMatching) and metric.format in LONGEST:
                    yield f"{option}.length", LengthOutside(prop.name, maximum=LONGEST[metric.format])
        except NotMeasurable as why:
            yield option, why


def _metric(prop: Property, option: str) -> ValueMetric:
    given = prop.options[option]
    if option in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        return _range(prop, option)
    if option in ("minItems", "minProperties", "maxItems", "maxProperties"):
        return SizeOutside(prop.name, **{option[:3] + "imum": _whole(option, given)})
    if option in ("minLength", "maxLength"):
        return LengthOutside(prop.name, **{option[:3] + "imum": _whole(option, given)})
    if option in _ADVICE:
        raise NotMeasurable(f"{option} says how the vectors came about or are compared, and asks nothing of them", Severity.INFO)
    measured = _METRICS.get(option)
    if measured is None:
        raise NotMeasurable(f"option {option}: {shown(given)} is not known")
    return measured(prop, given)


def _dimensions(prop: Property, given: object) -> SizeOutside:
    if prop.options.get("elementType") == "binary":
        raise NotMeasurable(PACKED)
    size = _whole("dimensions", given)
    return SizeOutside(prop.name, size, size)


def _normalized(prop: Property, given: object) -> ValueMetric:
    raise NotMeasurable("the length of vectors is not measured")


def _multiple(prop: Property, given: object) -> NotMultiple:
    if not is_number(given) or given <= 0:  # type: ignore[operator]
        raise NotMeasurable(f"multipleOf is {shown(given)}, not a number above 0")
    return NotMultiple(prop.name, given)  # type: ignore[arg-type]


def _zoned(prop: Property, given: object) -> TypeBreaches:
    if prop.logical_type not in CLOCKED or not isinstance(given, bool):
        raise NotMeasurable(f"timezone: {shown(given)} of {prop.logical_type or 'values without a logicalType'} says nothing")
    return TypeBreaches(prop.name, prop.logical_type, foreign_text(prop), zoned=given)


def _zone(prop: Property, given: object) -> ValueMetric:
    raise NotMeasurable(
        zone_problem(str(given)) or f"defaultTimezone of {prop.logical_type or 'values without a logicalType'} says nothing"
    )


def _format(prop: Property, given: object) -> ValueMetric:
    word = given.strip().lower() if isinstance(given, str) else ""
    if prop.logical_type in CLOCKED:
        written_of(prop)  # raises: what can be read is judged by the type rule
    ranges: dict[str, tuple[float, float]] = {**INTEGERS, **{name: (-most, most) for name, most in FLOATS.items()}}
    if prop.logical_type in ("integer", "number") and word in ranges:
        low, high = ranges[word]
        return OutOfRange(prop.name, low, high)
    if word in TEXT_WITHOUT_RULE:
        raise NotMeasurable(f"format {word} {TEXT_WITHOUT_RULE[word]}", Severity.INFO)
    if word in TEXT_PATTERNS:
        return NotMatching(prop.name, TEXT_PATTERNS[word], word)
    raise NotMeasurable(f"format {shown(given)} is not known; known are {', '.join(TEXT_PATTERNS)}")


_METRICS: dict[str, Callable[[Property, object], ValueMetric]] = {
    "pattern": lambda prop, given: NotMatching(prop.name, checked_pattern(given)),
    "multipleOf": _multiple,
    "uniqueItems": lambda prop, _: Repeating(prop.name),
    "timezone": _zoned,
    "defaultTimezone": _zone,
    "format": _format,
    "dimensions": _dimensions,
    "normalized": _normalized,
}


def vector_items(prop: Property) -> Property | None:
    """What the elements of a vector must be, as a property of their own."""
    if prop.logical_type != "vector":
        return None
    match prop.options.get("elementType"):
        case "binary":
            return None
        case "int8" | "uint8" as word:
            return Property("", "integer", options={"format": f"{word[0]}8"})
        case str(word) if word in LARGEST_FLOAT:
            return Property("", "number", options={"minimum": -LARGEST_FLOAT[word], "maximum": LARGEST_FLOAT[word]})
        case _:
            return Property("", "number")


# --- dates and times -----------------------------------------------------------------------------------------------


def foreign_format(prop: Property) -> str | None:
    """The text format of a date, timestamp or time that is not ISO 8601."""
    given = prop.options.get("format")
    if prop.logical_type not in CLOCKED or given is None:
        return None
    iso = str(given).lower() in ISO_FORMATS or (prop.logical_type == "date" and given == "yyyy-MM-dd")
    return None if iso else str(given)


def foreign_zone(prop: Property) -> str | None:
    """The time zone of values without one, where it is not UTC."""
    zone = prop.options.get("defaultTimezone")
    return None if zone is None or str(zone).lower() in _UTC else str(zone)


def written_of(prop: Property) -> Written | None:
    """What its foreign format says; None for ISO 8601. Raises NotMeasurable."""
    form = foreign_format(prop)
    try:
        return None if form is None else read_format(form)
    except ValueError as why:
        raise NotMeasurable(str(why)) from None


def foreign_text(prop: Property) -> TimeText | None:
    """How values are written where that is not ISO 8601. A format that cannot be judged is named without a pattern."""
    form, zone = foreign_format(prop), foreign_zone(prop) or "UTC"
    if form is None:
        return None
    zone = "UTC" if zone_problem(zone) else zone  # lint refuses such a zone; nothing that needs one is executed
    try:
        written = read_format(form)
    except ValueError:
        return TimeText(form, zone=zone)
    return TimeText(form, written.pattern, written.directives(str(prop.logical_type)), zone)


def type_text(prop: Property) -> TimeText | None:
    """How the type rule reads values: in a time zone, clocks leap over some times. None: ISO 8601 in UTC."""
    zone = foreign_zone(prop) if prop.logical_type == "timestamp" else None
    return foreign_text(prop) or (TimeText(zone=zone) if zone and zone_problem(zone) is None else None)


def instant_text(prop: Property) -> TimeText | None:
    """How the instants of a column are read; None where they are ISO 8601 in UTC. Raises NotMeasurable where they cannot be."""
    zone = foreign_zone(prop)
    if zone is not None and (problem := zone_problem(zone)):
        raise NotMeasurable(problem)
    written = written_of(prop)
    if written is not None and written.directives(str(prop.logical_type)) is None:
        raise NotMeasurable(f'texts of the format "{written.format}" name no whole {prop.logical_type}')
    return foreign_text(prop) or (TimeText(zone=zone) if zone else None)


def _judged_by_type(prop: Property, option: str) -> bool:
    if prop.logical_type not in CLOCKED:
        return False
    if option == "format":
        text = foreign_text(prop)
        return text is None or text.pattern is not None
    zone = foreign_zone(prop)
    return option == "defaultTimezone" and (zone is None or zone_problem(zone) is None)


def asks_nothing(prop: Property, option: str) -> bool:
    """`exclusiveMinimum: true` (JSON Schema draft 4) only sharpens `minimum`, and `false` asks for nothing."""
    given = prop.options[option]
    if option in ("uniqueItems", "normalized"):
        return given is False
    if option == "elementType":  # asks of the elements (vector_items), not of the vector
        return prop.logical_type == "vector"
    sharpens = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}.get(option)
    return sharpens is not None and (given is False or (given is True and sharpens in prop.options))


# --- values of options ---------------------------------------------------------------------------------------------


def _range(prop: Property, option: str) -> OutOfRange:
    bound = _bound(prop, option)
    text = instant_text(prop) if prop.logical_type in CLOCKED else None
    exclusive = option.startswith("exclusive") or prop.options.get(f"exclusive{option[0].upper()}{option[1:]}") is True
    if option.endswith(("minimum", "Minimum")):
        return OutOfRange(prop.name, minimum=bound, exclusive_minimum=exclusive, text=text)
    return OutOfRange(prop.name, maximum=bound, exclusive_maximum=exclusive, text=text)


def _bound(prop: Property, option: str) -> int | float | str:
    given = prop.options[option]
    if prop.logical_type in CLOCKED:
        instant_text(prop)
        return _instant(option, given, prop.logical_type, written_of(prop), foreign_zone(prop) or "UTC")
    if prop.logical_type in ("object", "array", "map", "vector", "boolean"):
        raise NotMeasurable(f"{option} of {prop.logical_type} values says nothing")
    if is_number(given):
        return given  # type: ignore[return-value]
    if prop.logical_type is None and isinstance(given, str | date):
        return _instant(option, given, None, None, "UTC")
    raise NotMeasurable(f"{option} is {shown(given)}, not a number")


def _instant(option: str, given: object, logical_type: str | None, written: Written | None, zone: str) -> str:
    text = given.isoformat() if isinstance(given, date) else given
    if not isinstance(text, str):
        raise NotMeasurable(f"{option} is {shown(given)}, not an ISO 8601 {logical_type or 'date or timestamp'}")
    try:
        return iso_bound(text, logical_type, written, zone)
    except ValueError as wrong:
        raise NotMeasurable(f"{option}: {wrong}") from None


def checked_pattern(given: object) -> str:
    if not isinstance(given, str):
        raise NotMeasurable(f"pattern is {shown(given)}, not text")
    if problem := pattern_problem(given):
        raise NotMeasurable(problem)
    return given


def _whole(option: str, given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    raise NotMeasurable(f"{option} is {shown(given)}, not a whole number of 0 or more")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST  # NaN is not


def shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 80 else f"{text[:77]}..."
