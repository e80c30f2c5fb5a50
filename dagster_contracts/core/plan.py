"""A plan is data: what to measure, and what the measured value must be. Building one has no side effects.

A `Rule` joins a `Check` (what must hold) to its identity (id, clause, severity). Checks over the shape of the data
(`Present`, `Closed`) need only the observed columns; the others name a `Metric`, which an engine measures without knowing
any threshold. Equal metrics are measured once, however many rules use them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from dagster_contracts.core.contract import Clause, Operator, Scalar, Severity

# --- metrics: what an engine counts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of the batch. Measured as `Measurement.rows`."""

    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeBreaches:
    """Non-null values of `column` that are not of the ODCS logical type.

    A column whose own type fits counts 0; one whose type cannot fit counts every non-null value; text is parsed value by value
    (dates and timestamps as ISO 8601), and floats count as integers where they are integral (pandas turns integers with nulls
    into floats). A timestamp at midnight is a date (pandas has no date type). Where the contract gives another text `format`
    for dates and times, text values are not judged: they count 0, and the plan lists the format as not executed.
    """

    column: str
    logical_type: str
    format: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Nulls:
    """Rows where `column` is null. NaN counts as null."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Missing:
    """Rows where `column` is one of `values`; None among them stands for null."""

    column: str
    values: tuple[Scalar | None, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class NotIn:
    """Non-null values of `column` outside `values`. Numbers compare as numbers (1 equals 1.0 and "1" in text), text as text."""

    column: str
    values: tuple[Scalar, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class NotMatching:
    """Non-null values of `column` in which the regular expression finds no match (search; anchors are the pattern's own)."""

    column: str
    pattern: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """Non-null values of `column` outside the bounds. A value that cannot be compared (text in a numeric range) is outside.

    Bounds are numbers, or ISO 8601 dates and timestamps as text for date, timestamp and text columns.
    """

    column: str
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class LengthOutside:
    """Non-null values of `column` whose text has fewer than `minimum` or more than `maximum` characters (code points)."""

    column: str
    minimum: int | None = None
    maximum: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows beyond the first of each distinct combination of `columns`; rows with a null in any of them are left out."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest instant of `column` (date, timestamp, or ISO 8601 text), as an aware UTC datetime; naive values are UTC."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


Metric = RowCount | TypeBreaches | Nulls | Missing | NotIn | NotMatching | OutOfRange | LengthOutside | Duplicates | Newest

# --- checks: what must hold ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Threshold:
    """`operator` against `value` (a number, or a pair for the between operators), in rows or in percent of the rows."""

    operator: Operator
    value: float | tuple[float, float]
    percent: bool = False


ZERO = Threshold(Operator.MUST_BE, 0)


@dataclass(frozen=True, slots=True)
class Present:
    """The column exists, once."""

    column: str


@dataclass(frozen=True, slots=True)
class Closed:
    """No column beyond `columns`."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """A measured count meets a threshold."""

    metric: Metric
    threshold: Threshold = ZERO


@dataclass(frozen=True, slots=True)
class Fresh:
    """The newest instant is at most `maximum_age` before arrival. Judged for head batches only."""

    metric: Newest
    maximum_age: timedelta


Check = Present | Closed | Within | Fresh


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise of the contract. `id` is unique in its plan and stable across versions: "risk_indicator.enum", "rowCount"."""

    id: str
    clause: Clause
    severity: Severity
    check: Check
    column: str | None = None  # None for rules of the whole object; "a, b" for several columns
    description: str | None = None


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """A rule that is not judged, and why. Nothing of a contract is dropped without one of these."""

    rule: str
    reason: str
    severity: Severity = Severity.ERROR
    clause: Clause = Clause.CUSTOM


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one schema object promises: the rules to execute, and those that cannot be, with the reason."""

    contract_id: str
    contract_version: str
    object_name: str
    rules: tuple[Rule, ...]
    not_executed: tuple[NotExecuted, ...] = ()
    masked: frozenset[str] = frozenset()  # classified columns: their values never leave `core`
    samples: bool = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric to measure, once, in the order of the rules."""
        return tuple(dict.fromkeys(_metrics(self.rules)))


def _metrics(rules: tuple[Rule, ...]) -> Iterator[Metric]:
    for rule in rules:
        if isinstance(rule.check, Within | Fresh):
            yield rule.check.metric
