"""What an engine counts, without knowing any threshold. Metrics are values: equal ones are measured once.

    rows       RowCount
    values     TypeBreaches, Nulls, Missing, NotIn, NotMatching, OutOfRange, LengthOutside, NotMultiple, SizeOutside, Repeating, Absent
    nested     Nested: one of those, at a path within a column
    rows       Compared: two columns of one row
    keys       Duplicates, Orphans
    times      Newest, Oldest
    numbers    Statistic
    shapes     Histogram, ProfileOf
    others     Query (SQL), Expectation (Great Expectations)

Each is measured as one kind of value (see verdict.py): counts as Count, times as Instant, Statistic and Query as Figure, Histogram as
Bins, ProfileOf as a profile, Expectation as Answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from dagster_contracts.core.contract import Scalar


@dataclass(frozen=True, slots=True)
class TimeText:
    """How dates and times are written as text, where that is not ISO 8601 in UTC.

    `format` is the contract's own word for it (JDK DateTimeFormatter), None for ISO 8601; `pattern` a regular expression that every
    such text matches, `directives` the same for a strptime parser; `zone` the IANA time zone of times that carry none.
    """

    format: str | None = None
    pattern: str | None = None
    directives: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What the text of a column stands for: its ODCS logical type, and how dates and times are written."""

    logical: str
    text: TimeText | None = None


@dataclass(frozen=True, slots=True)
class OfColumn:
    """What looks at the values of one column."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of the batch. Measured as `Measurement.rows`."""

    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeBreaches(OfColumn):
    """Non-null values of `column` that are not of the ODCS logical type.

    A column whose own type fits counts 0; one whose type cannot fit counts every non-null value; text is parsed value by value
    (dates and timestamps as ISO 8601), and floats count as integers where they are integral (pandas turns integers with nulls
    into floats). A timestamp at midnight is a date (pandas has no date type). `text` says how dates and times are written where
    that is not ISO 8601. `zoned` asks of text and of typed timestamps that they carry a time zone (True) or none (False).
    """

    logical_type: str
    text: TimeText | None = None
    zoned: bool | None = None


@dataclass(frozen=True, slots=True)
class Nulls(OfColumn):
    """Rows where `column` is null. NaN counts as null."""


@dataclass(frozen=True, slots=True)
class Missing(OfColumn):
    """Rows where `column` is one of `values`; None among them stands for null."""

    values: tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class Among(Missing):
    """The same rows where their share is what matters: to be among them is no fault."""


@dataclass(frozen=True, slots=True)
class NotIn(OfColumn):
    """Non-null values of `column` outside `values`. Numbers compare as numbers (1 equals 1.0 and "1" in text), text as text."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class NotMatching(OfColumn):
    """Non-null values of `column` in which the regular expression finds no match (search; anchors are the pattern's own).

    `format` is what the pattern stands for, in words ("uuid"), where the contract names a format and no pattern.
    """

    pattern: str
    format: str | None = None


@dataclass(frozen=True, slots=True)
class OutOfRange(OfColumn):
    """Non-null values of `column` outside the bounds. A value that cannot be compared (text in a numeric range) is outside.

    Bounds are numbers, or as text ISO 8601 dates and timestamps (without a time zone: in that of `text`) or times of day.
    """

    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    text: TimeText | None = None


@dataclass(frozen=True, slots=True)
class LengthOutside(OfColumn):
    """Non-null values of `column` whose text has fewer than `minimum` or more than `maximum` characters (code points)."""

    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows beyond the first of each distinct combination of `columns`; rows with a null in any of them are left out.

    `numbers` are those of `columns` that the contract says hold numbers: text in them compares as numbers (1 equals 1.0 and 01).
    """

    columns: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    def alone(self, column: str) -> Duplicates:
        """The same of one of its columns."""
        return Duplicates((column,), (column,) if column in self.numbers else ())


@dataclass(frozen=True, slots=True)
class Newest(OfColumn):
    """The newest instant of `column` (date, timestamp, or text), as an aware UTC datetime; naive values are UTC, or of `text.zone`."""

    text: TimeText | None = None


@dataclass(frozen=True, slots=True)
class NotMultiple(OfColumn):
    """Non-null values of `column` that are no whole multiple of `of` (a number above 0). Decimal: 0.3 is a multiple of 0.1."""

    of: int | float


@dataclass(frozen=True, slots=True)
class SizeOutside(OfColumn):
    """Non-null arrays (or maps) of `column` with fewer than `minimum` or more than `maximum` elements (objects: non-null fields)."""

    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Repeating(OfColumn):
    """Non-null arrays of `column` in which an element stands twice."""


@dataclass(frozen=True, slots=True)
class Absent(OfColumn):
    """Non-null objects of `column` (or batches, for a column itself) that have no field `field` at all; a null field is there."""

    field: str


EACH = "[]"  # the elements of an array, in a path
KEYS, VALUES = "{keys}", "{values}"  # of a map

ValueMetric = (
    TypeBreaches
    | Nulls
    | Missing
    | NotIn
    | NotMatching
    | OutOfRange
    | LengthOutside
    | NotMultiple
    | SizeOutside
    | Repeating
    | Absent
    | Duplicates
)


@dataclass(frozen=True, slots=True)
class Nested(OfColumn):
    """`metric`, of the values at `path` within `column`; its own column name is the path in words ("items[].sku").

    A step of `path` is the name of a field, EACH, KEYS or VALUES. Values below a null parent are not there: they are no nulls.
    """

    path: tuple[str, ...]
    metric: ValueMetric

    @property
    def of_many(self) -> bool:
        """Whether a row may have several values at the path."""
        return not {EACH, KEYS, VALUES}.isdisjoint(self.path)


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows in which `left` `operator` `right` does not hold; rows with a null on either side are left out.

    `operator` is one of ==, !=, <, <=, >, >=. Instants compare with instants, numbers (and text of numbers) with numbers, text with text.
    Two texts are compared as what both sides stand for by the contract (`logical`: number, boolean, timestamp, time) where both values
    are such; without it they are in order as numbers or as instants where both are such, and equal as text. What cannot be compared does
    not hold.
    `left_text` and `right_text` say how dates and times are written there; text in a format of the contract's own is compared as the
    time that it stands for, and what is not written so does not hold.
    """

    left: str
    operator: str
    right: str
    left_text: TimeText | None = None
    right_text: TimeText | None = None
    logical: str | None = field(default=None, repr=False)  # digests of batches are made of the repr, and outlive this word

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows whose `columns` (none of them null) are not among the `targets` of the contract's object `object`.

    `numbers` are those of `columns` that, like their targets, hold numbers by the contract: text compares with text as numbers.
    """

    columns: tuple[str, ...]
    object: str
    targets: tuple[str, ...]
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Oldest(OfColumn):
    """The oldest instant of `column`, as Newest gives the newest."""

    text: TimeText | None = None


class Kind(StrEnum):
    """Of a Statistic. Nulls and NaN are left out; text is read as a number where the column is text.

    Minimum, maximum and sum of integers are exact, also of text in which every number is one.
    """

    MEAN = "mean"
    STANDARD_DEVIATION = "standardDeviation"  # of a sample: divided by n - 1
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    SUM = "sum"
    QUANTILE = "quantile"  # linear interpolation between the two nearest ranks
    DISTINCT_COUNT = "distinctCount"
    DISTINCT_SHARE = "distinctShare"  # distinct values by values, 0..1


@dataclass(frozen=True, slots=True)
class Statistic(OfColumn):
    """One number about the non-null values of `column`; `at` is the rank of a quantile, 0..1.

    Of distinct values, text is told apart as what it stands for by the contract (`logical`: number, boolean, date, timestamp, time):
    1 and 1.0 are one number. Without it as text.
    """

    kind: Kind
    at: float | None = None
    logical: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Histogram(OfColumn):
    """Non-null values of `column` in each bin. `edges` are the inner ones, ascending; a bin holds its left edge (numpy.histogram)."""

    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProfileOf(OfColumn):
    """The distribution of `column`: of numbers, or of categories where `categorical`. See core/profile.py.

    Categories of text are what it stands for by the contract (`logical`), as of a Statistic, in the spelling of a column of that type.
    """

    categorical: bool = False
    logical: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """The one number that a SQL query over the batch answers. Placeholders are filled in: the batch is the table `name`.

    `types` say what text columns stand for: where the data has them as text, the query reads them as that.
    """

    sql: str
    name: str
    types: tuple[tuple[str, ColumnType], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """A Great Expectations expectation: its type in snake case, its arguments as canonical JSON, and `types` as Query has them."""

    type: str
    arguments: str = "{}"
    types: tuple[tuple[str, ColumnType], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


Metric = ValueMetric | RowCount | Nested | Compared | Orphans | Newest | Oldest | Statistic | Histogram | ProfileOf | Query | Expectation


def may_read(metrics: Iterable[Metric]) -> frozenset[str]:
    """Names that columns must have to be looked at: of a query or an expectation, every word and every text in it."""
    found: set[str] = set()
    for metric in metrics:
        found.update(metric.columns)
        if isinstance(metric, Query | Expectation):
            found.update(re.findall(r"\w+", metric.sql if isinstance(metric, Query) else metric.arguments))
    return frozenset(found)


def reads_object(metric: Metric, name: str) -> bool:
    """Whether a metric looks at the contract's object `name`; a query at every one whose name stands in it."""
    if isinstance(metric, Query):
        return name.lower() in re.findall(r"\w+", metric.sql.lower()) or f'"{name.lower()}"' in metric.sql.lower()
    return isinstance(metric, Orphans) and metric.object == name
