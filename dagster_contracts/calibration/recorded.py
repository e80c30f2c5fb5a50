"""What the ledger recorded of batches, judged under another contract: what would have tripped with another policy. Nothing is measured.

    as recorded    a rule that asks for what it asked for then
    judged anew    a rule of which only the threshold is another, by the figure that was recorded; and when batches came
    unknown        every other rule: it is left out, and told

Rules are matched by their names. Where the version that a batch was judged by is not known (neither registered nor given), only rules that
measure what their name and column say are judged anew: rows, nulls, duplicates, statistics, ages. Of a list of values or a pattern nothing
tells whether it was the same then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

from dagster_contracts.calibration.replay import Brought, Replay, Unknown, play
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.judge import with_findings
from dagster_contracts.core.ledger import IN_PLACE, Partition
from dagster_contracts.core.ledger import Batch as Row
from dagster_contracts.core.metrics import Duplicates, Metric, Nulls, Query, RowCount, Statistic
from dagster_contracts.core.plan import (
    Cadence,
    Check,
    Drifted,
    Due,
    Fresh,
    InForce,
    NotExecuted,
    Plan,
    Retained,
    Rule,
    Within,
)
from dagster_contracts.core.rules import MeasuredBatch, expected, finding, judge_rule, meets
from dagster_contracts.core.verdict import Arrival, Finding, Measurement, Outcome, Past, Unmeasured, Verdict
from dagster_contracts.core.waiving import waived
from dagster_contracts.core.wording import bounds
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.measuring import Taken
from dagster_contracts.ports import NO_OTHERS, FixedClock, MetricEngine, Related, Store

_NOT_THEN = "it was not judged then"
_NO_VERSION = "the version that judged it is not known: register it, or give it as the first of two"
_NO_FIGURE = "its figure was not recorded: an earlier release wrote the verdict, or the column is classified"
_ANOTHER = "it measures something else than it did then"
_NO_THRESHOLD = "it asks for something else than it did then, and has no figure"
_PRUNED = "the findings are pruned: the outcome stands as it was recorded"


@dataclass
class Anew:
    """Recorded batches under `plan`. `former` are the plans of the versions that they were judged by, as far as those are known;
    `unknown` collects what could not be judged anew: rule and reason, with the ids of the batches (rule "": all rules)."""

    plan: Plan
    former: Mapping[str, Plan] = field(default_factory=dict)
    sets_aside: bool = False  # whether failing rows may still be set aside
    unknown: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def verdict(self, row: Row, *, as_of: datetime, head: bool, past: Past) -> Verdict:
        plan, was = self.plan, row.verdict
        if was is None:
            self._tell("", _PRUNED, row)
            return Verdict(row.outcome, plan.contract_id, plan.contract_version, None, (), (), row.data_version)
        came = MeasuredBatch(Measurement(0, (), {}), {}, frozenset(), False, as_of, head, past)
        judged = [entry for rule in plan.rules if (entry := self._judged(rule, row, was, came)) is not None]
        findings = tuple(waived(entry, plan.waivers, as_of) for entry in judged if isinstance(entry, Finding))
        missed = (*plan.not_executed, *(entry for entry in judged if isinstance(entry, NotExecuted)))
        blank = Verdict(Outcome.PASS, plan.contract_id, plan.contract_version, was.rows, (), missed, was.digest)
        return with_findings(blank, findings)

    def _tell(self, rule: str, reason: str, row: Row) -> None:
        self.unknown.setdefault((rule, reason), set()).add(row.id)

    def _judged(self, rule: Rule, row: Row, was: Verdict, came: MeasuredBatch) -> Finding | NotExecuted | None:
        if isinstance(rule.check, Cadence | Due | InForce):
            return judge_rule(rule, came)
        found = next((each for each in was.findings if each.rule == rule.id), None)
        if found is None:
            missed = next((each for each in was.not_executed if each.rule == rule.id), None)
            if missed is None:
                self._tell(rule.id, _NOT_THEN, row)
            return missed and replace(missed, severity=rule.severity if missed.severity.refuses else missed.severity)
        if found.outcome is Outcome.INCONCLUSIVE:
            return replace(found, severity=rule.severity, expected=expected(rule))
        held = self._held(rule, found, was.rows, self.former.get(row.contract_version))
        if isinstance(held, str):
            self._tell(rule.id, held, row)
            return None
        return self._finding(rule, found, held=held)

    def _finding(self, rule: Rule, was: Finding, *, held: bool) -> Finding:
        new = finding(rule, held, was.observed, failing_rows=was.failing_rows, value=was.value)
        was_set_aside = was.severity.refuses and was.outcome is Outcome.WARN
        return replace(new, outcome=Outcome.WARN) if new.outcome is Outcome.FAIL and was_set_aside and self.sets_aside else new

    def _held(self, rule: Rule, was: Finding, rows: int | None, former: Plan | None) -> bool | str:
        """Whether a rule held; or why that is not known."""
        before = next((each.check for each in former.rules if each.id == rule.id), None) if former is not None else None
        same = before == rule.check if before is not None else was.expected == expected(rule)
        if same:
            return was.outcome is Outcome.PASS
        if before is not None:
            return _compared(rule.check, was, rows) if _measures(before) == _measures(rule.check) else _ANOTHER
        return _compared(rule.check, was, rows) if _is_told_by_name(rule, was) else _NO_VERSION


def _measures(check: Check) -> object:
    """What a check looks at, whatever it asks of it."""
    match check:
        case Within(metric):
            return metric
        case Drifted():
            return replace(check, threshold=replace(check.threshold, value=0, operator=Operator.MUST_BE))
        case Fresh(metric) | Retained(metric):
            return metric
        case _:
            return check


def _is_told_by_name(rule: Rule, was: Finding) -> bool:
    if (rule.column, rule.clause) != (was.column, was.clause):
        return False
    if isinstance(rule.check, Within) and isinstance(rule.check.metric, Statistic):
        return was.expected.startswith(expected(rule).removesuffix(bounds(rule.check.threshold)))
    return isinstance(rule.check, Fresh | Retained) or (
        isinstance(rule.check, Within) and isinstance(rule.check.metric, RowCount | Nulls | Duplicates)
    )


def _compared(check: Check, was: Finding, rows: int | None) -> bool | str:
    match check:
        case Within(metric, threshold):
            value = _counted(metric, was, rows, percent=threshold.percent)
            return _NO_FIGURE if value is None else meets(threshold, value)
        case Drifted(threshold=threshold):
            return _NO_FIGURE if was.value is None else meets(threshold, Fraction(str(was.value)))
        case Fresh() | Retained():
            return _NO_FIGURE if was.value is None else timedelta(seconds=was.value) <= check.maximum_age
        case _:
            return _NO_THRESHOLD


def _counted(metric: Metric, was: Finding, rows: int | None, *, percent: bool) -> Fraction | int | None:
    """Counts are kept exactly, so that a share can be taken of what was a number of rows, and the other way round."""
    if isinstance(metric, Statistic | Query):
        return None if was.value is None else Fraction(str(was.value))
    count = rows if isinstance(metric, RowCount) else was.failing_rows
    if count is None or (percent and not rows):
        return None
    return Fraction(100 * count, rows) if percent and rows else count


# --- in the gate's place of measuring ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Remembered(Taken):
    """What would be measured of a recorded batch: its verdict, judged anew."""

    row: Row | None = None
    anew: Anew | None = None

    def verdict(self, partition: Partition, *, as_of: datetime, head: bool, arrivals: tuple[Arrival, ...] = ()) -> Verdict:
        assert self.row is not None
        assert self.anew is not None
        return self.anew.verdict(self.row, as_of=as_of, head=head, past=Past({}, arrivals, partition.end))


class Remembering(Gate):
    """A gate to which recorded batches are brought in place of data."""

    def __init__(self, store: Store, engine: MetricEngine, anew: Anew):
        super().__init__(store, engine)
        self.anew = anew

    def measured(self, terms: Terms, partition: Partition, data: object, *, made: Related = NO_OTHERS, divide: bool = False) -> Taken:
        assert isinstance(data, Row)
        return _Remembered(terms.plan, Unmeasured("recorded: nothing is measured"), row=data, anew=self.anew)


def replay_recorded(
    store: Store, clock: FixedClock, engine: MetricEngine, terms: Terms, rows: Sequence[Row], former: Mapping[str, Plan]
) -> Replay:
    """Deliver what was recorded, in the order of its arrival, to the gate of an empty store that goes by `clock`. `engine` measures
    nothing. What people did (overrides, releases) is not repeated."""
    anew = Anew(terms.plan, former, sets_aside=terms.policy.maximum_failing_share is not None)
    found = play(Remembering(store, engine, anew), clock, terms, [_brought(row) for row in rows])
    told = (Unknown(rule, reason, len(batches)) for (rule, reason), batches in sorted(anew.unknown.items()))
    return replace(found, unknown=tuple(told))


def _brought(row: Row) -> Brought:
    delivery = Delivery(
        row.partition, row.run_id, row.run_id, data_version=row.data_version, confidence=row.confidence, in_place=row.staged == IN_PLACE
    )
    return Brought(row.partition.key or row.run_id, row.arrived_at, delivery, row)
