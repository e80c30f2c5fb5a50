"""Bugs that are planted in the real functions, one or more for each invariant, to see that the search finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

import dagster_contracts.gate as gate
from dagster_contracts.core import breaker as machine
from dagster_contracts.core import events, route
from dagster_contracts.core.errors import LostRace
from dagster_contracts.core.ledger import Batch, Status
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, Judged, State, Step
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.store.memory import MemoryStore

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """What is wrong, which invariant that breaks, and the scenario (part of its name) that shows it."""

    name: str
    breaks: int
    scenario: str
    plant: Plant


def consumers_overlook_the_breaker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Snapshot, "open", property(lambda self: False))


def stale_readers_get_the_refused_batch(patch: pytest.MonkeyPatch) -> None:
    def fallback(blank: Any, snapshot: Snapshot, *asked: object) -> Any:
        if snapshot.refused is not None and snapshot.refused.staged:
            return route._read(blank, route.RouteKind.LAST_GOOD, route.Confidence.STALE, snapshot.refused)
        return blank

    patch.setattr(route, "_fallback", fallback)


def a_claim_overlooks_a_live_lease(patch: pytest.MonkeyPatch) -> None:
    refusal = machine._refusal

    def careless(breaker: Breaker, now: datetime) -> str | None:
        return refusal(replace(breaker, lease=None), now)

    patch.setattr(machine, "_refusal", careless)


def a_result_under_another_lease_counts(patch: pytest.MonkeyPatch) -> None:
    settle = machine.settle

    def careless(breaker: Breaker, lease_id: str, judged: Judged, now: datetime) -> Any:
        return settle(breaker, breaker.lease.id if breaker.lease else lease_id, judged, now)

    patch.setattr(machine, "settle", careless)


def a_lease_never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "lease_is_live", lambda breaker, now: breaker.lease is not None)


def a_save_does_not_compare(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "_refuse", lambda self, change: None)


def a_lost_race_is_saved_as_it_was_decided(patch: pytest.MonkeyPatch) -> None:
    def transact(self: Any, key: str, asset: str, partition: Any, name: str | None, decide: Any) -> Any:
        change, result = decide(self.store.load(key, asset=asset, partition=partition, batch_id=name))
        while change != Change():
            try:
                self.store.save(change)
                break
            except LostRace:
                now = self.store.load(key, asset=asset, partition=partition, batch_id=name).breaker
                change = replace(change, breaker=replace(change.breaker, version=now.version))
        return result

    patch.setattr(gate.Gate, "transact", transact)


def a_transition_is_not_told(patch: pytest.MonkeyPatch) -> None:
    enter = machine._enter

    def silent(breaker: Breaker, state: State, cause: str, now: datetime, **about: Any) -> Step:
        step = enter(breaker, state, cause, now, **about)
        return Step(step.breaker) if state is State.HALF_OPEN else step

    patch.setattr(machine, "_enter", silent)


def a_cursor_moves_over_what_was_not_told(patch: pytest.MonkeyPatch) -> None:
    advance = MemoryStore.advance

    def careless(self: Any, sink: str, holder: str, cursors: Any) -> None:
        advance(self, sink, holder, {key: sequence + 1 for key, sequence in cursors.items()})

    patch.setattr(MemoryStore, "advance", careless)


def what_could_not_be_measured_counts(patch: pytest.MonkeyPatch) -> None:
    moves = Judged.moves.fget  # type: ignore[attr-defined]
    patch.setattr(Judged, "moves", property(lambda self: moves(replace(self, outcome=Outcome.PASS))))
    patch.setattr(machine, "_count", _counts_as_failed(machine._count))


def _counts_as_failed(count: Any) -> Any:
    def counted(breaker: Breaker, judged: Judged, now: datetime) -> Step:
        failed = replace(judged, outcome=Outcome.FAIL) if judged.outcome is Outcome.INCONCLUSIVE else judged
        step: Step = count(breaker, failed, now)
        return step

    return counted


def an_inconclusive_probe_passes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "inconclusive", lambda breaker, judged: False)


def an_unmeasured_batch_is_silent(patch: pytest.MonkeyPatch) -> None:
    of_batch = events.of_batch
    patch.setattr(events, "of_batch", lambda batch, *more: () if batch.outcome is Outcome.INCONCLUSIVE else of_batch(batch, *more))


def last_good_overlooks_the_verdict(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Batch, "last_good", property(lambda self: self.status is Status.PUBLISHED))


def last_good_overlooks_a_writer_that_died(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "_overwritten", lambda self, batch: False)


def a_batch_that_comes_again_counts_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Judged, "moves", property(lambda self: self.head and self.outcome is not Outcome.INCONCLUSIVE))


def the_next_probe_is_never_due(patch: pytest.MonkeyPatch) -> None:
    refusal = machine._refusal

    def never(breaker: Breaker, now: datetime) -> str | None:
        return "the cooldown is not over" if breaker.state is State.OPEN else refusal(breaker, now)

    patch.setattr(machine, "_refusal", never)


def an_override_that_ended_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "_lapse", lambda breaker, now: Step(breaker))


def passing_probes_never_close(patch: pytest.MonkeyPatch) -> None:
    close = machine._close

    def never(breaker: Breaker, cause: str, now: datetime, **about: Any) -> Step:
        return Step(replace(breaker, lease=None)) if cause.startswith("probe of") else close(breaker, cause, now, **about)

    patch.setattr(machine, "_close", never)


BACK, PROBERS, TWICE = "the way back", "three workers probe", "three workers: two bring"
UNREADABLE, STORED = "what cannot be measured", "cannot be measured any more"

BUGS = (
    Bug("consumers overlook the breaker", 2, BACK, consumers_overlook_the_breaker),
    Bug("stale readers get the refused batch", 2, BACK, stale_readers_get_the_refused_batch),
    Bug("a claim overlooks a live lease", 3, PROBERS, a_claim_overlooks_a_live_lease),
    Bug("a result under another lease counts", 3, PROBERS, a_result_under_another_lease_counts),
    Bug("a lease never ends", 3, PROBERS, a_lease_never_ends),
    Bug("a save does not compare", 4, BACK, a_save_does_not_compare),
    Bug("a lost race is saved as it was decided", 4, TWICE, a_lost_race_is_saved_as_it_was_decided),
    Bug("a transition is not told", 4, BACK, a_transition_is_not_told),
    Bug("a cursor moves over what was not told", 4, "two relays", a_cursor_moves_over_what_was_not_told),
    Bug("what could not be measured counts", 5, UNREADABLE, what_could_not_be_measured_counts),
    Bug("an inconclusive probe passes", 5, STORED, an_inconclusive_probe_passes),
    Bug("an unmeasured batch is silent", 5, UNREADABLE, an_unmeasured_batch_is_silent),
    Bug("last good overlooks the verdict", 7, "older partitions", last_good_overlooks_the_verdict),
    Bug("last good overlooks a writer that died", 7, "writers die", last_good_overlooks_a_writer_that_died),
    Bug("a batch that comes again counts again", 9, TWICE, a_batch_that_comes_again_counts_again),
    Bug("the next probe is never due", 13, BACK, the_next_probe_is_never_due),
    Bug("an override that ended stays", 2, "overrides that end", an_override_that_ended_stays),
    Bug("passing probes never close", 13, BACK, passing_probes_never_close),
)
