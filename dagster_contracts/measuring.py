"""What is found out about a delivery before anything is decided: one pass over it, failing rows where something fails, the part of it
that passes where the contract lets failing rows be set aside.

The verdict is made of this inside the store's transaction, where the time and place of the delivery are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.judge import digest, failing, judge, refusing_rows, with_findings
from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.metrics import Metric, ProfileOf
from dagster_contracts.core.plan import Plan, Reference
from dagster_contracts.core.sampling import OfSample
from dagster_contracts.core.verdict import Arrival, Count, Finding, Measurement, Outcome, Past, Remembered, Sample, Unmeasured, Verdict
from dagster_contracts.core.wording import counted, percent
from dagster_contracts.ports import NO_OTHERS, Division, FileSet, MetricEngine, Related

References = Mapping[tuple[Reference, ProfileOf], Remembered]


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery, measured. `divided` is set where some rows fail and the rest would pass on their own."""

    plan: Plan
    measurement: Measurement | Unmeasured
    samples: Mapping[Metric, Sample] = field(default_factory=dict)
    references: References = field(default_factory=dict)
    divided: Divided | None = None
    undivided: str = ""  # why rows that fail are not set aside, where the contract lets them be
    of: OfSample | None = None  # what it is a sample of

    @property
    def digest(self) -> str:
        return digest(self.measurement)

    def beside(self, references: References) -> Taken:
        """The same, to be compared with `references`."""
        divided = self.divided and replace(self.divided, kept=self.divided.kept.beside(references))
        return replace(self, references=references, divided=divided)

    def published(self, division: Division | None) -> Taken:
        """What was measured of the part that goes to the live place: the rows that pass, where the others are set aside."""
        return self.divided.kept if division is not None and self.divided is not None else self

    def verdict(self, partition: Partition, *, as_of: datetime, head: bool, arrivals: tuple[Arrival, ...] = ()) -> Verdict:
        """What the whole delivery is worth, arriving at `as_of`. See core.judge."""
        past = Past(self.references, arrivals, partition.end)
        found = judge(self.plan, self.measurement, self.samples, as_of=as_of, head=head, past=past)
        return found if self.of is None else self.of.told(found)

    def worth(
        self,
        partition: Partition,
        *,
        as_of: datetime,
        head: bool,
        arrivals: tuple[Arrival, ...] = (),
        findings: tuple[Finding, ...] = (),
    ) -> Worth:
        """What becomes of it: as a whole, or without the rows that fail. `findings` are what its bearer found out already."""
        verdict = self.verdict(partition, as_of=as_of, head=head, arrivals=arrivals)
        division, undivided = None, self.undivided
        if self.divided is not None and verdict.outcome is Outcome.FAIL:
            whole = verdict
            verdict = self.divided.verdict(whole, partition, as_of=as_of, head=head, arrivals=arrivals)
            division, undivided = (self.divided.division, "") if verdict is not whole else (None, "what is left of it fails too")
        verdict = with_findings(verdict, findings)
        if division is not None and verdict.outcome is Outcome.FAIL:
            division, undivided = None, "more is wrong than the rows that fail"
        return Worth(verdict, division, undivided)

    @property
    def counts_alone(self) -> bool:
        """Whether nothing but counts were measured, and nothing was found that shows rows: two such that are equal say the same."""
        found = self.measurement
        plain = self.divided is None and not self.samples and not self.references
        return plain and isinstance(found, Measurement) and all(type(value) is Count for value in found.values.values())


@dataclass(frozen=True, slots=True)
class Worth:
    """The verdict on a delivery, and how it is divided where failing rows are set aside; else why they are not, where they might be."""

    verdict: Verdict
    division: Division | None
    undivided: str


@dataclass(slots=True)
class Scale:
    """Weighs deliveries one after another. Micro-batches that are good measure alike: the verdict on one that is as the one before, and
    arrives with it, is not made (and written down) anew."""

    _asked: tuple[object, ...] = ()
    _found: Worth | None = None

    def worth(
        self,
        taken: Taken,
        partition: Partition,
        *,
        as_of: datetime,
        head: bool,
        arrivals: tuple[Arrival, ...] = (),
        findings: tuple[Finding, ...] = (),
    ) -> Worth:
        """As `Taken.worth`."""
        asked = (taken, partition.end, as_of, head, arrivals, findings) if taken.counts_alone else ()
        if self._found is None or not asked or asked != self._asked:
            self._asked = asked
            self._found = taken.worth(partition, as_of=as_of, head=head, arrivals=arrivals, findings=findings)
        return self._found


@dataclass(frozen=True, slots=True)
class Divided:
    """The rows that pass (`division.kept`), measured, and those that are set aside."""

    division: Division
    kept: Taken
    rows: int  # of the whole delivery

    def verdict(self, whole: Verdict, partition: Partition, *, as_of: datetime, head: bool, arrivals: tuple[Arrival, ...] = ()) -> Verdict:
        """WARN where the rest passes; each rule that failed tells what was set aside. `whole` where the rest fails too."""
        rest = self.kept.verdict(partition, as_of=as_of, head=head, arrivals=arrivals)
        if rest.outcome not in (Outcome.PASS, Outcome.WARN):
            return whole
        broken = {finding.rule: finding for finding in whole.findings if finding.outcome is Outcome.FAIL}
        told = f"; set aside with {self.division.rows:,} of {counted(self.rows, 'row')} ({percent(self.division.rows, self.rows)})"
        findings = (
            replace(found, outcome=Outcome.WARN, observed=found.observed + told, of_rows=self.rows)
            if (found := broken.get(each.rule))
            else each
            for each in rest.findings
        )
        return replace(rest, outcome=Outcome.WARN, findings=tuple(findings))


def subject(plan: Plan, data: object) -> object:
    """What is measured of `data`: what stands in it, or the files themselves."""
    return FileSet(data) if plan.files else data


def take(
    engine: MetricEngine,
    plan: Plan,
    policy: BreakerPolicy,
    data: object,
    *,
    related: Related = NO_OTHERS,
    divide: bool = False,
    as_of: datetime | None = None,
) -> Taken:
    """Measure `data`. With `divide`, and a policy that sets failing rows aside, also the part of it that passes: rows that break a rule
    which is waived at `as_of` are not set aside."""
    data = subject(plan, data)
    found = engine.measure(data, plan.metrics, related)
    if isinstance(found, Unmeasured):
        return Taken(plan, found)
    broken = failing(plan, found)
    taken = Taken(plan, found, engine.samples(data, broken, related=related) if broken else {})
    if not divide or policy.maximum_failing_share is None:
        return taken
    rules = refusing_rows(plan, found, as_of)
    if not rules:
        return replace(taken, undivided="no rule that failed speaks of single rows")
    division = engine.divide(data, rules, related)
    if division is None or not division.rows:
        return replace(taken, undivided="the rows of such data cannot be told apart")
    if division.rows > policy.maximum_failing_share * found.rows or division.rows == found.rows:
        told = f"{division.rows:,} of {counted(found.rows, 'row')} fail ({percent(division.rows, found.rows)})"
        return replace(taken, undivided=f"{told}, and at most {100 * policy.maximum_failing_share:g}% may be")
    kept = engine.measure(division.kept, plan.metrics, related)
    return replace(taken, divided=Divided(division, Taken(plan, kept), found.rows))
