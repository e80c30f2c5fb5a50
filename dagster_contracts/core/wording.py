"""What findings say to people: expected and observed, and values as JSON. Values of classified columns never pass this module."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import assert_never

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import (
    Absent,
    Among,
    Compared,
    Duplicates,
    Expectation,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Oldest,
    Orphans,
    OutOfRange,
    ProfileOf,
    Query,
    Repeating,
    RowCount,
    SizeOutside,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Threshold
from dagster_contracts.core.verdict import Sample

MASK = "***"
MASKED = "values masked: classification"

_SHOWN = 5  # most frequent offending values in a sentence
_LONGEST = 80  # characters of one value in a sentence
_LONGEST_IN_SAMPLE = 500
_MANY = 20  # contract values listed in a sentence


# --- expected ------------------------------------------------------------------------------------------------------


def expected_count(metric: Metric, threshold: Threshold) -> str:
    """What a threshold on a count asks for: "one of A, B", "at most 2% of rows null", "more than 0 rows"."""
    if isinstance(metric, RowCount):
        return f"{bounds(threshold)} row{'' if threshold.value == 1 else 's'}"
    if isinstance(metric, Statistic | Query):
        return f"{_name(metric)} {bounds(threshold)}"
    wanted, counted = _meaning(metric)
    none_allowed = threshold.value == 0 and threshold.operator in (Operator.MUST_BE, Operator.LESS_OR_EQUAL)
    unit = "values" if isinstance(metric, Nested) and metric.of_many else "rows"
    return wanted if none_allowed else f"{bounds(threshold)} {'of ' if threshold.percent else ''}{unit} {counted}"


def expected_age(maximum: timedelta, which: str = "newest") -> str:
    return f"{which} data at most {duration(maximum)} old"


def _meaning(metric: Metric) -> tuple[str, str]:
    """What holds when nothing is counted, and what the counted rows are."""
    match metric:
        case TypeBreaches():
            return f"every value {_typed(metric)}", f"not {_typed(metric)}"
        case Nulls():
            return "no nulls", "null"
        case Missing(values=values):
            return f"none of {_listed(values)}", f"one of {_listed(values)}"
        case NotIn(values=values):
            return f"one of {_listed(values)}", f"outside {_listed(values)}"
        case NotMatching(format=str(name)):
            return f"{_article(name)} {name}", f"not {_article(name)} {name}"
        case NotMatching(pattern=pattern):
            return f"matching {clipped(pattern)}", f"not matching {clipped(pattern)}"
        case OutOfRange():
            return _range(metric), f"not {_range(metric)}"
        case LengthOutside(minimum=low, maximum=high):
            return _sized(low, high, "character"), f"not of {_sized(low, high, 'character')}"
        case Duplicates(columns=columns):
            return f"no duplicates of {', '.join(columns)}", f"repeating {', '.join(columns)}"
        case NotMultiple(of=of):
            return f"multiples of {number(of)}", f"not multiples of {number(of)}"
        case SizeOutside(minimum=low, maximum=high):
            return _sized(low, high, "element"), f"not of {_sized(low, high, 'element')}"
        case Repeating():
            return "no element twice", "with an element that stands twice"
        case Absent(field=field):
            return f"a field {field}", f"without a field {field}"
        case Nested(metric=inner):
            return _meaning(inner)
        case Compared(left=left, operator=operator, right=right):
            return f"{left} {operator} {right}", f"in which {left} {operator} {right} does not hold"
        case Orphans(object=other, targets=targets):
            return f"every one among {other} ({', '.join(targets)})", f"not among {other} ({', '.join(targets)})"
        case Query() | Statistic():
            return _name(metric), _name(metric)
        case RowCount() | Newest() | Oldest() | Histogram() | ProfileOf() | Expectation():
            return "", ""
        case _:
            assert_never(metric)


def _name(metric: Statistic | Query) -> str:
    if isinstance(metric, Query):
        return f"{clipped(' '.join(metric.sql.split()), 200)} is"
    words = {
        Kind.MEAN: "mean",
        Kind.STANDARD_DEVIATION: "standard deviation",
        Kind.MINIMUM: "minimum",
        Kind.MAXIMUM: "maximum",
        Kind.SUM: "sum",
        Kind.DISTINCT_COUNT: "distinct values",
        Kind.DISTINCT_SHARE: "share of distinct values",
    }
    return f"quantile {number(metric.at or 0)}" if metric.kind is Kind.QUANTILE else words[metric.kind]


def _typed(metric: TypeBreaches) -> str:
    kind = f"{_article(metric.logical_type)} {metric.logical_type}"
    written = f" written as {metric.text.format}" if metric.text and metric.text.format else ""
    zone = "" if metric.zoned is None else f" with{'' if metric.zoned else 'out'} a time zone"
    return kind + written + zone


def _sized(low: int | None, high: int | None, unit: str) -> str:
    """Limits with their unit: "at least 1 element", "exactly 3 characters"."""
    limits = (("exactly", low),) if low == high else (("at least", low), ("at most", high))
    told = " and ".join(f"{word} {limit:,}" for word, limit in limits if limit is not None)
    return f"{told} {unit}{'' if (low if high is None else high) == 1 else 's'}"


def _article(kind: str) -> str:
    return "an" if kind[:1] in "aeio" else "a"


def _range(metric: OutOfRange) -> str:
    parts = []
    if metric.minimum is not None:
        parts.append(f"{'more than' if metric.exclusive_minimum else 'at least'} {_bound(metric.minimum)}")
    if metric.maximum is not None:
        parts.append(f"{'less than' if metric.exclusive_maximum else 'at most'} {_bound(metric.maximum)}")
    return " and ".join(parts)


def _bound(bound: float | str) -> str:
    return bound if isinstance(bound, str) else number(bound)


def _listed(values: Sequence[object]) -> str:
    shown = ", ".join("null" if value is None else clipped(plain(value)) for value in values[:_MANY])
    return shown + (f", ... ({len(values):,} values)" if len(values) > _MANY else "")


def bounds(threshold: Threshold) -> str:
    """A threshold in words: "at most 2%"."""
    unit = "%" if threshold.percent else ""
    if isinstance(threshold.value, tuple):
        low, high = (number(value) + unit for value in threshold.value)
        return f"between {low} and {high}" if threshold.operator is Operator.BETWEEN else f"less than {low} or more than {high}"
    words = {
        Operator.MUST_BE: "exactly",
        Operator.MUST_NOT_BE: "other than",
        Operator.GREATER_THAN: "more than",
        Operator.GREATER_OR_EQUAL: "at least",
        Operator.LESS_THAN: "less than",
        Operator.LESS_OR_EQUAL: "at most",
    }
    return f"{words[threshold.operator]} {number(threshold.value)}{unit}"


# --- observed ------------------------------------------------------------------------------------------------------


def observed_count(metric: Metric, count: int, rows: int, sample: Sample | None, *, masked: bool) -> str:
    """How many rows, what part of all, and the most frequent values: "12 of 1,000 rows (1.2%) outside: 37 (9), 12 (3)"."""
    if isinstance(metric, RowCount):
        return counted(count, "row")
    if isinstance(metric, Nested) and metric.of_many:
        told = f"{counted(count, 'value')} in {counted(rows, 'row')}"
    else:
        told = f"{count:,} of {counted(rows, 'row')}" + (f" ({percent(count, rows)})" if rows else "")
    told += f" {_counted(metric)}"
    if not count or isinstance(metric, Nulls) or (isinstance(metric, Nested) and isinstance(metric.metric, Nulls)):
        return told
    if sample is not None and sample.reading:
        told += f"; they look like {sample.reading}"
    if masked:
        return f"{told} ({MASKED})"
    values = sample.values if sample else ()
    if not values:
        return told
    shown = ", ".join(f"{clipped(plain(value))} ({times:,})" for value, times in values[:_SHOWN])
    return f"{told}: {shown}" + (", ..." if len(values) > _SHOWN else "")


def _counted(metric: Metric) -> str:
    match metric:
        case NotIn() | OutOfRange():
            return "outside"
        case Missing() if not isinstance(metric, Among):
            return "missing"
        case NotMatching():
            return "not matching"
        case LengthOutside():
            return "too short or too long"
        case Duplicates():
            return "repeated"
        case Nested(metric=inner):
            return _counted(inner)
        case _:
            return _meaning(metric)[1]


def observed_age(moment: datetime, as_of: datetime, which: str = "newest") -> str:
    age = as_of - moment
    told = f"{duration(age)} old" if age > timedelta(0) else "not older than its arrival"
    return f"{which} data is of {rfc3339(moment)}: {told} at {rfc3339(as_of)}"


# --- numbers, times, text ------------------------------------------------------------------------------------------


def percent(count: int, rows: int) -> str:
    """Three significant digits; never "0%" of something, nor "100%" of less than all."""
    whole, part = divmod(100 * count, rows)
    if not part:
        return f"{whole}%"
    if 10_000 * count < rows:
        return "less than 0.01%"
    if 10_000 * count > 9_999 * rows:
        return "more than 99.99%"
    value = 100 * count / rows
    digits = 2 if value < 1 or value > 99.9 else 1
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + "%"


def figure(value: float) -> str:
    """A measured number in six significant digits, an integer in full."""
    if isinstance(value, int):
        return number(value)
    if not math.isfinite(value):
        return str(value)
    return number(float(f"{value:.6g}")) if abs(value) < 1e15 else f"{value:.6g}"


def number(value: float) -> str:
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return repr(value)


def duration(span: timedelta) -> str:
    """The two largest units: "2 d 3 h", "45 min", "0 s"."""
    seconds = int(span.total_seconds())
    parts = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        whole, seconds = divmod(seconds, size)
        if whole:
            parts.append(f"{whole:,} {name}")
    return " ".join(parts[:2]) or "0 s"


def counted(number: int, what: str, plural: str = "s") -> str:
    """ "1 batch", "2,000 batches": `plural` is what several have more."""
    return f"{number:,} {what}{'' if number == 1 else plural}"


def rfc3339(moment: datetime) -> str:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def plain(value: object) -> str:
    """A value in a sentence; text in quotes only where its edges would not be seen."""
    if isinstance(value, str):
        return f'"{value}"' if not value or value != value.strip() else value
    if isinstance(value, list | tuple):
        return "(" + ", ".join(plain(part) for part in value) + ")"
    return str(as_json(value))


def clipped(text: str, longest: int = _LONGEST) -> str:
    """At most `longest` characters, control characters and lone surrogates escaped."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return cut if cut.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def as_json(value: object) -> object:
    """A value of a row as a JSON value: times as RFC 3339, bytes as hex, decimals as text, NaN as null."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return clipped(value.hex(), _LONGEST_IN_SAMPLE)
    if isinstance(value, Mapping):
        return {clipped(str(key), _LONGEST_IN_SAMPLE): as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(part) for part in value]
    return clipped(str(value), _LONGEST_IN_SAMPLE)


def masked_row(row: Mapping[str, object], masked: frozenset[str]) -> dict[str, object]:
    """A failing row as JSON values, classified columns as "***" (null too: that a value is there can say something)."""
    return {clipped(name, _LONGEST_IN_SAMPLE): MASK if name in masked else as_json(value) for name, value in row.items()}


def quoted(text: str) -> str:
    """For a shell, and printable: what a terminal would not show stands escaped in the quotes $'...' of bash, ksh and zsh."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return f"\\{character}" if character in "\\'" else character
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
