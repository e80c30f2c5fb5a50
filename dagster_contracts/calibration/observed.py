"""History measured once: batches, what was measured of each, and the value of any rule's figure in each. Nothing is measured again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta

from dagster_contracts.calibration.dials import Dial
from dagster_contracts.calibration.spread import Point
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.history import Known, is_head, past_of, with_itself
from dagster_contracts.core import drift, references
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import Metric, ProfileOf, RowCount
from dagster_contracts.core.plan import Drifted, LastGood, Plan, Rule, StoredProfile, Within
from dagster_contracts.core.profile import CategoryProfile, NumericProfile
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.verdict import Count, Figure, Measured, Measurement, Past, Remembered, Sample, Unmeasured, Verdict
from dagster_contracts.measuring import subject
from dagster_contracts.ports import NO_OTHERS, Division, MetricEngine, Related

_DAY = timedelta(days=1)

Pooled = tuple[Remembered, int]  # of how many batches


@dataclass(frozen=True)
class History:
    """Batches in their order, and what was measured of each."""

    batches: tuple[Batch, ...]
    measured: tuple[Measurement | Unmeasured, ...]
    metrics: frozenset[Metric] = frozenset()  # that were asked for
    references: dict[tuple[int, LastGood, ProfileOf, frozenset[int]], Pooled | None] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key_of(batch) for batch in self.batches)


def key_of(batch: Batch) -> str:
    """What people call a batch: its partition, or the file that it came in."""
    return batch.partition.key or batch.name


def measured(
    plan: Plan, metrics: Sequence[Metric], engine: MetricEngine, batches: Sequence[Batch], related: Related = NO_OTHERS
) -> History:
    """Each batch measured once; `metrics` are those of the plan and whatever else is to be looked at."""
    found = [engine.measure(subject(plan, batch.frame), metrics, with_itself(plan, batch.frame, related)) for batch in batches]
    return History(tuple(batches), tuple(found), frozenset(metrics))


@dataclass(frozen=True)
class Recalling:
    """An engine that knows what was measured of the batches of a history, and measures what else it is asked for. It shows no rows."""

    engine: MetricEngine
    history: History

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        pairs = zip(self.history.batches, self.history.measured, strict=True)
        known = next((found for batch, found in pairs if batch.frame is data), None)
        if not isinstance(known, Measurement):
            return known or self.engine.measure(data, metrics, related)
        unknown = [metric for metric in metrics if metric not in self.history.metrics]
        more = self.engine.measure(data, unknown, related) if unknown else known
        return replace(known, values={**known.values, **more.values}) if isinstance(more, Measurement) else more

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return {}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return self.engine.divide(data, rules, related)


# --- the figure of a rule, batch by batch --------------------------------------------------------------------------


def points(dial: Dial, history: History, bad: Set[int] = frozenset()) -> list[Point]:
    """The figure of a rule in each batch in which it has one, as the contract writes it. `bad` batches are no reference for others.

    Of a distance from the last good batches, those that have fewer than that many before them are left out.
    """
    found = []
    for at, value in enumerate(_values(dial, history, frozenset(bad))):
        measurement = history.measured[at]
        if value is not None and isinstance(measurement, Measurement):
            found.append(Point(at, value / dial.scale, measurement.rows, _weekday(history.batches[at])))
    return found


def _weekday(batch: Batch) -> int | None:
    start, end = batch.partition.start, batch.partition.end
    return start.weekday() if start is not None and end is not None and end - start == _DAY else None


def _values(dial: Dial, history: History, bad: frozenset[int]) -> Iterator[float | None]:
    check = dial.rule.check
    for at, measurement in enumerate(history.measured):
        if isinstance(measurement, Unmeasured):
            yield None
        elif isinstance(check, Drifted):
            yield _distance(check, history, at, bad)
        else:
            assert isinstance(check, Within)
            yield _own(dial.figure or check.metric, measurement, percent=check.threshold.percent and dial.figure is None)


def _own(metric: Metric, measurement: Measurement, *, percent: bool) -> float | None:
    value: Measured | None = Count(measurement.rows) if isinstance(metric, RowCount) else measurement.values.get(metric)
    if isinstance(value, Figure):
        return None if value.value is None else float(value.value)
    if not isinstance(value, Count):
        return None
    if not percent:
        return float(value.value)
    return 100 * value.value / measurement.rows if measurement.rows else None


def _distance(check: Drifted, history: History, at: int, bad: frozenset[int]) -> float | None:
    measurement = history.measured[at]
    assert isinstance(measurement, Measurement)
    past = Past()
    if isinstance(check.reference, LastGood) and isinstance(check.metric, ProfileOf):
        remembered = _reference(check.reference, check.metric, history, at, bad)
        if remembered is None or remembered[1] < check.reference.batches:
            return None
        past = Past({(check.reference, check.metric): remembered[0]})
    elif not isinstance(check.reference, StoredProfile):
        return None
    value = measurement.values.get(check.metric)
    told = drift.observed(check, value, past) if value is not None else None
    return float(told.value) if isinstance(told, drift.Told) else None


def _reference(to: LastGood, metric: ProfileOf, history: History, at: int, bad: frozenset[int]) -> Pooled | None:
    key = (at, to, metric, bad)
    if key not in history.references:
        history.references[key] = _pooled(to, metric, history, at, bad)
    return history.references[key]


def _pooled(to: LastGood, metric: ProfileOf, history: History, at: int, bad: frozenset[int]) -> Pooled | None:
    found: list[GoodProfile] = []
    for before in reversed(range(at)):
        measurement = history.measured[before]
        profile = measurement.values.get(metric) if isinstance(measurement, Measurement) else None
        if before not in bad and isinstance(profile, CategoryProfile | NumericProfile):
            batch = history.batches[before]
            found.append(GoodProfile(profile, batch.partition, batch.arrived_at))
            if len(found) == to.batches:
                break
    remembered = references.remembered(to, found)
    return None if remembered is None else (remembered, len(found))


# --- verdicts ------------------------------------------------------------------------------------------------------


def verdicts(plan: Plan, history: History, bad: Set[int] = frozenset()) -> list[Verdict]:
    """Each batch judged under another contract, as if all before it but `bad` ones had been accepted."""
    found: list[Verdict] = []
    good: list[Known] = []
    without = replace(plan, rules=tuple(rule for rule in plan.rules if not _looks_back(rule)))
    asked = [pair for pair in references.asked(plan) if isinstance(pair[0], LastGood)]
    for at, (batch, measurement) in enumerate(zip(history.batches, history.measured, strict=True)):
        past = past_of(without, batch, good)
        pooled = {pair: _reference(pair[0], pair[1], history, at, frozenset(bad)) for pair in asked if isinstance(pair[0], LastGood)}
        past = replace(past, profiles={**past.profiles, **{pair: found[0] for pair, found in pooled.items() if found is not None}})
        verdict = judge(plan, measurement, {}, as_of=batch.arrived_at, head=is_head(batch, good), past=past)
        found.append(verdict)
        if at not in bad:
            good.append(Known(batch, measurement, verdict))
    return found


def _looks_back(rule: Rule) -> bool:
    return isinstance(rule.check, Drifted) and isinstance(rule.check.reference, LastGood)
