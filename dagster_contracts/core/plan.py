"""A plan is data: what must hold of a batch. Building one has no side effects.

A `Rule` joins a `Check` (what must hold) to its identity (id, clause, severity). Some checks need only the observed columns
(`Present`, `Closed`, `Stored`, `Gone`) or when deliveries came (`Cadence`, `Due`, `InForce`); the others name a `Metric` (metrics.py),
which an engine measures without knowing any threshold. Equal metrics are measured once, however many rules use them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

from dagster_contracts.core.contract import Clause, Operator, Severity, Waiver
from dagster_contracts.core.metrics import Expectation, Histogram, Metric, Newest, Oldest, ProfileOf

# --- checks: what must hold ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Threshold:
    """`operator` against `value` (a number, or a pair for the between operators), in rows or in percent of the rows."""

    operator: Operator
    value: float | tuple[float, float]
    percent: bool = False

    def as_percent(self) -> Threshold:
        """Of a part, the same in percent, exactly: 0.07 is 7 percent."""
        if isinstance(self.value, tuple):
            low, high = map(_hundredfold, self.value)
            return Threshold(self.operator, (low, high), percent=True)
        return Threshold(self.operator, _hundredfold(self.value), percent=True)


def _hundredfold(value: float) -> float:
    return float(Decimal(str(value)) * 100)


ZERO = Threshold(Operator.MUST_BE, 0)


@dataclass(frozen=True, slots=True)
class Present:
    """The column exists, once."""

    column: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A deprecated column does not exist any more from `after` on; until then its presence is told and breaks nothing.

    Until then it stands in for the columns of `replaced_by` that have not come yet. `readers` are the consumers that say they read it.
    """

    column: str
    after: date | None
    replaced_by: tuple[str, ...] = field(default=(), compare=False)
    readers: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """No column beyond `columns`."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """The column has this type in its source. Only tables of a database and typed files have one to compare."""

    column: str
    physical_type: str


@dataclass(frozen=True, slots=True)
class Within:
    """A measured count or number meets a threshold."""

    metric: Metric
    threshold: Threshold = ZERO


@dataclass(frozen=True, slots=True)
class Fresh:
    """The newest instant is at most `maximum_age` before arrival. Judged for head batches only."""

    metric: Newest
    maximum_age: timedelta


@dataclass(frozen=True, slots=True)
class Retained:
    """The oldest instant is at most `maximum_age` before arrival: nothing is kept for longer than promised."""

    metric: Oldest
    maximum_age: timedelta


@dataclass(frozen=True, slots=True)
class Cadence:
    """One head batch in every `interval` since the one before, or at each moment of the cron `schedule` (UTC), give or take `tolerance`.

    Judged from the ledger's arrivals. `interval` of a schedule is its shortest.
    """

    interval: timedelta
    tolerance: timedelta
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A batch arrives by `at` (local time in `zone`, a name or an offset): the first one after the end of its time window or, without
    one, on each day."""

    at: time
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class InForce:
    """A batch arrives not before `start` and before `end`: general availability, end of support, end of life."""

    start: datetime | None = None
    end: datetime | None = None


class DriftKind(StrEnum):
    """How two distributions are compared; each is defined in core/drift.py."""

    PSI = "psi"
    JENSEN_SHANNON = "jensenShannon"
    KOLMOGOROV_SMIRNOV = "kolmogorovSmirnov"
    KOLMOGOROV_SMIRNOV_P = "kolmogorovSmirnovPValue"
    WASSERSTEIN = "wasserstein"
    CHI_SQUARE = "chiSquare"
    CHI_SQUARE_P = "chiSquarePValue"
    TOTAL_VARIATION = "totalVariation"
    NEW_VALUES = "newValues"  # values that the reference does not hold; in percent: of the rows
    BELOW_REFERENCE = "belowReference"  # share of values below a part of the reference's median
    MEAN_CHANGE = "meanChange"  # how much the mean is above the reference's, as a part of that


@dataclass(frozen=True, slots=True)
class LastGood:
    """The batches before this one that were published on their own merit, the newest `batches` of them together."""

    batches: int


@dataclass(frozen=True, slots=True)
class GoodPartition:
    """What is published of one partition."""

    partition: str


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile that came with the contract, as the JSON text of a file."""

    file: str
    profile: str


BINS = 10  # that numbers are cut into, unless a rule says otherwise

Reference = LastGood | GoodPartition | StoredProfile


@dataclass(frozen=True, slots=True)
class Drifted:
    """How far the distribution of a column is from that of a reference meets a threshold."""

    metric: ProfileOf | Histogram
    kind: DriftKind
    reference: Reference
    threshold: Threshold
    bins: int = BINS
    factor: float | None = None  # of BELOW_REFERENCE: the part of the median, 0..1
    samples: int = 1  # values that the reference holds at least


@dataclass(frozen=True, slots=True)
class Expected:
    """Great Expectations says that the expectation is met."""

    metric: Expectation


Check = Present | Gone | Closed | Stored | Within | Fresh | Retained | Cadence | Due | InForce | Drifted | Expected


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
    elsewhere: frozenset[str] = frozenset()  # rules of the contract that are judged of something larger or smaller than this batch
    beside: tuple[Metric, ...] = ()  # measured, though no rule here asks for it: for what is judged elsewhere
    waivers: tuple[Waiver, ...] = ()  # of its rules
    files: bool = False  # each file of the data is a row: the files themselves are measured, not what stands in them

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric to measure, once, in the order of the rules."""
        return tuple(dict.fromkeys((*_metrics(self.rules), *self.beside)))

    @property
    def promised(self) -> tuple[tuple[Rule, Cadence | Due], ...]:
        """The rules that say when batches come, each with its check."""
        # Asked of each contract at each tick; a union made anew for each rule would cost more than all else.
        return tuple([(rule, rule.check) for rule in self.rules if isinstance(rule.check, _PROMISES)])


_PROMISES = (Cadence, Due)


def _metrics(rules: tuple[Rule, ...]) -> Iterator[Metric]:
    for rule in rules:
        if isinstance(rule.check, Within | Fresh | Retained | Drifted | Expected):
            yield rule.check.metric
