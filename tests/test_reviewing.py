"""What people decide on low-confidence outputs: who reads what afterwards, once, and whoever else acts meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_contracts import recovery, reviewing, routing
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import LostRace, UsageError
from dagster_contracts.core.ledger import OutputStatus, ReviewStatus, RouteKind, Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import State
from dagster_contracts.judgement import Delivery
from dagster_contracts.store.sql import SqlStore
from tests.gate_world import BAD, GOOD, World, daily, day, terms

FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW
DAY6 = daily(6).key


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Day 6 tripped, and `scores` was made from it at low confidence."""
    world = World()
    if request.param == "sqlite":
        world = World(store=SqlStore(f"sqlite:///{tmp_path}/contracts.db", clock=world.clock), clock=world.clock)
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    assert world.consume("scores", 6, LOW).confidence is LOW
    return world


def reject(world: World, reason: str = "numbers instead of words") -> ReviewStatus:
    return reviewing.reject(world.gate, "scores", DAY6, actor="ann", reason=reason).status


def approve(world: World) -> ReviewStatus:
    return reviewing.approve(world.gate, "scores", DAY6, actor="bob", reason="good enough").status


def status(world: World) -> OutputStatus | None:
    output = world.store.output("scores", DAY6)
    return output.status if output is not None else None


def test_an_approved_output_stands_and_is_told_once(world: World) -> None:
    assert approve(world) is approve(world) is ReviewStatus.APPROVED
    assert world.route("report", 6, LOW, upstream="scores").kind is RouteKind.LOW_CONFIDENCE
    assert world.events().count("review.approved") == 1
    (review,) = world.store.reviews()
    assert (review.actor, review.reason, review.decided_at) == ("bob", "good enough", world.clock.at)
    assert status(world) is OutputStatus.DEGRADED


@pytest.mark.parametrize("accepts", [FULL, STALE, LOW])
def test_nobody_reads_a_rejected_output(world: World, accepts: Confidence) -> None:
    assert reject(world) is reject(world) is ReviewStatus.REJECTED
    route = world.route("report", 6, accepts, upstream="scores")
    assert (route.kind, route.breaker_key) == (RouteKind.HALTED, "feed")
    assert "was withdrawn: a person reviewed and rejected it" in route.reason
    assert world.events().count("review.rejected") == 1
    assert status(world) is OutputStatus.WITHDRAWN
    assert world.store.standing("feed").affected == (world.store.output("scores", DAY6),)


def test_a_rejected_output_heals_once_its_inputs_are_fresh(world: World) -> None:
    reject(world)
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    assert recovery.due_healings(world.gate) == []
    world.deliver(6, GOOD, day(7))
    (due,) = recovery.due_healings(world.gate)
    world.consume("scores", 6, LOW)
    assert [output.status.value for output in world.store.outputs(asset="scores")] == ["ok", "healed"]
    assert world.store.events()[-1].payload["was"] == "withdrawn"
    assert due.output.status is OutputStatus.WITHDRAWN
    assert [review.status for review in world.store.reviews()] == [ReviewStatus.REJECTED]


def test_an_approval_can_be_taken_back_a_rejection_not(world: World) -> None:
    approve(world)
    assert reject(world) is ReviewStatus.REJECTED
    with pytest.raises(UsageError, match=r"was rejected by ann \(numbers instead of words\); run it again"):
        approve(world)
    assert status(world) is OutputStatus.WITHDRAWN


def test_an_output_made_again_has_a_review_of_its_own(world: World) -> None:
    reject(world)
    world.consume("scores", 6, LOW)
    assert [review.status.value for review in world.store.reviews()] == ["pending", "rejected"]
    assert world.route("report", 6, LOW, upstream="scores").kind is RouteKind.LOW_CONFIDENCE


def test_what_is_not_of_low_confidence_is_not_reviewed(world: World) -> None:
    world.consume("stale", 6, STALE)
    with pytest.raises(UsageError, match=r"the present output of stale .* is of stale confidence: there is nothing to review"):
        reviewing.reject(world.gate, "stale", DAY6, actor="ann", reason="why")
    with pytest.raises(UsageError, match=r"nothing is recorded of scores .2026-01-05."):
        reviewing.approve(world.gate, "scores", daily(5).key, actor="ann", reason="why")
    with pytest.raises(UsageError, match='no output of "score" waits for a review, did you mean "scores"'):
        reviewing.pending(world.gate, "score")


def test_an_output_made_again_meanwhile_is_not_withdrawn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made again after it was looked at, and before the word on it is written."""
    save, made = world.store.save, []

    def late(change: Change) -> None:
        if change.decided and not made:
            made.append(world.consume("scores", 6, LOW))
        save(change)

    monkeypatch.setattr(world.store, "save", late)
    with pytest.raises(UsageError, match="was made again meanwhile: look at the new output"):
        reject(world)
    assert [output.status.value for output in world.store.outputs(asset="scores")] == ["degraded", "superseded"]
    assert [review.status.value for review in world.store.reviews()] == ["pending", "superseded"]
    assert "review.rejected" not in world.events()


def test_the_store_writes_no_word_on_what_ended(world: World) -> None:
    (review,) = world.store.reviews()
    world.consume("scores", 6, LOW)
    for word in (ReviewStatus.APPROVED, ReviewStatus.REJECTED):
        with pytest.raises(LostRace):
            world.store.save(Change(decided=(type(review)(review.id, "scores", review.partition, word, review.opened_at, "why", "ann"),)))
    assert [each.status.value for each in world.store.reviews()] == ["pending", "superseded"]


def test_a_contracted_asset_loses_the_batch_that_it_published(world: World) -> None:
    contracted = terms(asset="scores")
    for number, confidence in ((5, FULL), (6, LOW)):
        delivery = Delivery(daily(number), f"scores {number}", f"scores {number}", confidence=confidence)
        judged = world.gate.judge(contracted, delivery, {**GOOD, "rows": 90 + number})
        world.gate.published(judged.batch, None)

    def read(accepts: Confidence) -> tuple[str, str | None]:
        step = StepKey(world.run(), "report")
        route = routing.route(world.gate, step, routing.Input("report", "scores", accepts, contracted), daily(6))
        return route.kind.value, route.served.key if route.served else None

    assert read(LOW) == ("low_confidence", DAY6)
    reject(world)
    assert read(LOW) == read(STALE) == ("last_good", daily(5).key)
    assert read(FULL) == ("halted", None)
    (batch,) = world.store.batches(asset="scores", partition=DAY6)
    assert (batch.status, batch.note) == (Status.DISCARDED, "withdrawn: ann rejected it: numbers instead of words")
    assert {breaker.key: breaker.state for breaker in world.store.breakers()} == {"feed": State.OPEN, "scores": State.CLOSED}
