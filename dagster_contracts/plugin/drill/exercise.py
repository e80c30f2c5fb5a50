"""One fault from delivery to recovery, through the real gate.

healthy    the batches before are delivered, and read fresh
fault      the damaged batch arrives, until the breaker opens where the policy says it does
routed     its readers get what the policy says
repaired   the batch comes again as it was; where the breaker is open it is held, the cooldown passes, and a probe judges it
recovered  what waited is published, what was made from fallback data is made anew, and everybody reads the repaired batch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dagster_contracts.core import references
from dagster_contracts.core.contract import Clause, Confidence
from dagster_contracts.core.ledger import Batch, OutputStatus, RouteKind, Status
from dagster_contracts.core.route import strictest
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.plugin.drill.sandbox import Sandbox
from dagster_contracts.plugin.drill.subjects import like
from dagster_contracts.plugin.frames import as_polars

if TYPE_CHECKING:
    from dagster_contracts.chaos.batch import Injected
    from dagster_contracts.chaos.campaign import Cell, Result

NOTHING, FAULTY, REPAIRED, EARLIER = "nothing", "the faulty batch", "the repaired batch", "an earlier batch"
PART = "a part of the batch"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader was given, and what it found there. `as_promised`: both are what the policy says."""

    reader: str
    accepts: Confidence
    kind: RouteKind
    found: str
    as_promised: bool


@dataclass(frozen=True, slots=True)
class Exercise:
    """What came of one fault. `batches`: how many times it was delivered; `probed`: the way back led through a probe; `problem`: why it
    did not end well, "" where it did."""

    fault: str
    column: str | None
    dose: float
    clause: Clause
    result: Result
    rules: tuple[str, ...]
    batches: int
    tripped: bool
    readings: tuple[Reading, ...]
    probed: bool = False
    recovered: bool = False
    problem: str = ""

    @property
    def damage(self) -> str:
        return f"{self.fault} in {self.column or 'the batch'}"

    @property
    def what_went_wrong(self) -> str:
        """Of one that did not end as the policy says."""
        return f"{self.damage}: {self.problem or 'a consumer read what its policy forbids'}"

    @property
    def caught(self) -> bool:
        return self.result.caught

    @property
    def as_promised(self) -> bool:
        return all(reading.as_promised for reading in self.readings)


class WentWrong(Exception):
    """An exercise cannot go on, and why."""


def exercised(box: Sandbox, cell: Cell, injected: Injected) -> Exercise:
    """Take the last trial of a cell all the way; `injected` is its damaged batch."""
    from dagster_contracts.chaos.campaign import Result

    subject, trial = box.subject, cell.trials[-1]
    begun = Exercise(cell.fault, cell.column, trial.dose, cell.clause, Result.MISSED, (), 0, tripped=False, readings=())
    assert injected.batch is not None
    faulty = like(subject.feed.copies[-1].value, injected.batch.frame)
    try:
        clean = _healthy(box)
        batches = _until_tripped(box, faulty, trial.batches_to_trip or 1)
        last = batches[-1]
        breaker = box.breaker(last.breaker_key)
        rules = _rules(last, clean)
        found = replace(
            begun,
            result=_result(last, rules, set_aside=_rows_were_set_aside(box, last)),
            rules=rules,
            batches=len(batches),
            tripped=breaker is not None and breaker.state is not State.CLOSED,
        )
        box.consume(last.partition)
        found = replace(found, readings=tuple(_readings(box, found.result, faulty)))
        return _recovered(box, found)
    except WentWrong as error:
        return replace(begun, problem=str(error))


# --- there ---------------------------------------------------------------------------------------------------------


def _healthy(box: Sandbox) -> Batch | None:
    """The batches before; of an asset without partitions, the good one itself. Returns the last of them."""
    subject = box.subject
    copies = subject.feed.copies
    past = list(zip(copies, subject.batches, strict=True))
    before = past[:-1] or (past if copies[0].partition.key is None else [])
    if not (subject.feed.terms.plan.promised or references.asked(subject.feed.terms.plan)):
        before = before[-1:]  # no rule looks further back
    latest: Batch | None = None
    for other in subject.others:
        for copy in other.copies:
            box.deliver(other.terms.asset, copy.partition, copy.value)
    for copy, clean in before:
        latest = box.deliver(subject.asset, copy.partition, copy.value, clean.arrived_at)
        if latest.status is not Status.PUBLISHED:
            raise WentWrong(f"the good batch [{copy.partition}] is {latest.status} here ({latest.outcome}): {_told(latest)}")
    for copy, _ in before[-1:]:
        box.consume(copy.partition)
        if unfresh := [reader.asset for reader in subject.readers if not _same(box.read.get(reader.asset), copy.value)]:
            raise WentWrong(f"{', '.join(unfresh)} did not read the good batch [{copy.partition}] fresh")
    return latest


def _until_tripped(box: Sandbox, faulty: Any, most: int) -> list[Batch]:
    subject, found = box.subject, list[Batch]()
    place, at = subject.batches[-1].partition, subject.batches[-1].arrived_at
    for _ in range(most):
        found.append(box.deliver(subject.asset, place, faulty, at))
        breaker = box.breaker(found[-1].breaker_key)
        if breaker is not None and breaker.state is not State.CLOSED:
            break
    return found


def _told(batch: Batch) -> str:
    broken = [finding for finding in batch.verdict.findings if finding.outcome is not Outcome.PASS] if batch.verdict else []
    return "; ".join(f"{finding.rule}: {finding.observed}" for finding in broken[:3]) or "no rule says why"


def _rules(batch: Batch, clean: Batch | None) -> tuple[str, ...]:
    """The rules that complain, and did not of the clean batch."""
    from dagster_contracts.core.contract import Severity

    found = batch.verdict.findings if batch.verdict else ()
    before = {each.rule: each.outcome for each in clean.verdict.findings} if clean is not None and clean.verdict else {}
    new = (each for each in found if each.outcome not in (Outcome.PASS, before.get(each.rule)) and each.severity is not Severity.INFO)
    return tuple(dict.fromkeys(finding.rule for finding in new))


def _rows_were_set_aside(box: Sandbox, batch: Batch) -> bool:
    import dagster as dg

    if batch.status is not Status.PUBLISHED:
        return False
    key = dg.AssetKey.from_user_string(batch.asset)
    wanted = key if batch.partition.key is None else dg.AssetRecordsFilter(key, asset_partitions=[batch.partition.key])
    made = [record.asset_materialization for record in box.instance.fetch_materializations(wanted, limit=1).records]
    return any(each is not None and "contracts/quarantined_rows" in each.metadata for each in made)


def _result(batch: Batch, rules: Sequence[str], *, set_aside: bool) -> Result:
    from dagster_contracts.chaos.campaign import Result

    if set_aside:
        return Result.SET_ASIDE
    if batch.status is Status.QUARANTINED:
        return Result.REFUSED
    if batch.status is Status.HELD:
        return Result.HELD
    return Result.WARNED if rules else Result.MISSED


# --- who reads what ------------------------------------------------------------------------------------------------


def _readings(box: Sandbox, result: Result, faulty: Any) -> Iterator[Reading]:
    from dagster_contracts.chaos.campaign import Result as Of
    from dagster_contracts.chaos.consequences import as_promised

    place = box.subject.batches[-1].partition
    for reader in box.subject.readers:
        output = box.output(reader.asset, place)
        route = strictest(output.inputs) if output is not None else None
        kind = route.kind if route is not None else RouteKind.HALTED
        allowed = {RouteKind.HALTED: NOTHING, RouteKind.LAST_GOOD: EARLIER, RouteKind.LOW_CONFIDENCE: FAULTY}.get(kind)
        allowed = allowed or (PART if result is Of.SET_ASIDE else FAULTY)
        may_be = _may_be(box, box.read.get(reader.asset), faulty)
        fits = allowed in may_be and as_promised(kind, reader.accepts, result)
        yield Reading(reader.asset, reader.accepts, kind, allowed if allowed in may_be else may_be[0], fits)


def _may_be(box: Sandbox, value: Any, faulty: Any) -> list[str]:
    """What was read, told by its rows: a fault may deliver an earlier batch again."""
    if value is None:
        return [NOTHING]
    *before, last = (copy.value for copy in box.subject.feed.copies)
    known = [(FAULTY, [faulty]), (EARLIER, before or [last]), (REPAIRED, [last])]
    return [name for name, values in known if any(_same(value, each) for each in values)] or [PART]


def _same(value: Any, other: Any) -> bool:
    return value is not None and as_polars(value).equals(as_polars(other), null_equal=True)


# --- and back ------------------------------------------------------------------------------------------------------


def _recovered(box: Sandbox, found: Exercise) -> Exercise:
    """Deliver the batch as it was, and go the way back to its end."""
    subject = box.subject
    good, place = subject.feed.copies[-1].value, subject.batches[-1].partition
    repaired = box.deliver(subject.asset, place, good)
    if repaired.outcome not in (Outcome.PASS, Outcome.WARN):
        return replace(found, problem=f"the repaired batch is {repaired.status} ({repaired.outcome}): {_told(repaired)}")
    probed = False
    for _ in range(subject.feed.terms.policy.probes):
        breaker = box.breaker(repaired.breaker_key)
        if breaker is None or breaker.state is State.CLOSED:
            break
        box.probe(breaker)
        probed = True
        if (after := box.breaker(breaker.key)) is not None and after.state is not State.CLOSED:
            box.deliver(subject.asset, place, good)  # for a policy that wants several probes to pass
    box.settle()
    if not all(_same(box.read.get(reader.asset), good) for reader in subject.readers):
        box.consume(place)
    problem = "; ".join(_unwell(box, repaired.breaker_key, good))
    return replace(found, probed=probed, recovered=not problem, problem=problem)


def _unwell(box: Sandbox, key: str, good: Any) -> Iterator[str]:
    breaker, place = box.breaker(key), box.subject.batches[-1].partition
    if breaker is not None and breaker.state is not State.CLOSED:
        yield f"the breaker is {breaker.state} still"
    for reader in box.subject.readers:
        output = box.output(reader.asset, place)
        if output is None or output.status is not OutputStatus.OK or not _same(box.read.get(reader.asset), good):
            yield f"{reader.asset} does not read the repaired batch fresh ({output.status if output is not None else 'never made'})"
