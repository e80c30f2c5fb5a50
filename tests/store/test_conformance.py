"""What every store does, in the same way: in memory, on SQLite, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.deliveries import Quiet
from dagster_contracts.core.errors import LostRace, StoreError
from dagster_contracts.core.ledger import (
    UNPARTITIONED,
    Batch,
    Output,
    OutputStatus,
    Partition,
    Release,
    Review,
    ReviewStatus,
    Route,
    RouteKind,
    Status,
    StepKey,
)
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, Profile
from dagster_contracts.core.references import GoodProfile, KeptProfile
from dagster_contracts.core.snapshot import Change, Grounds, Snapshot
from dagster_contracts.core.state import Override, OverrideKind, State
from dagster_contracts.core.verdict import Arrival, Outcome
from dagster_contracts.ports import Asked, FixedClock, Store, Tripped, Waiting, Watched
from tests.store.values import DAY, T0, batch, breaker, day, numbered, output, review, route, transition

STATIC = Partition("static", None, None, ())


def save(store: Store, *batches: Batch) -> None:
    """Each in a transaction of its own: they arrive one after the other."""
    for each in batches:
        store.save(Change(batches=(each,)))


def look(
    store: Store, partition: Partition = UNPARTITIONED, *, key: str = "feed", asset: str = "feed", batch_id: str | None = None
) -> Snapshot:
    return store.load(key, asset=asset, partition=partition, batch_id=batch_id)


def ids(found: Sequence[Batch | Output | Review]) -> list[str]:
    return [each.id for each in found]


def status(store: Store, batch_id: str) -> Status:
    found = store.batch(batch_id)
    assert found is not None
    return found.status


# --- an empty store ------------------------------------------------------------------------------------------------


def test_an_empty_store_has_nothing(store: Store) -> None:
    snapshot = look(store, day(1), batch_id="b")
    assert snapshot == Snapshot(now=snapshot.now)
    assert (list(store.breakers()), list(store.transitions("feed")), store.batch("b"), list(store.batches())) == ([], [], None, [])
    assert list(store.arrivals("feed", day(1))) == []
    assert (store.output("scores", None), list(store.outputs()), list(store.reviews()), list(store.events())) == (None, [], [], [])
    assert (store.decided(StepKey("run", "step"), "feed", None), list(store.decisions(StepKey("run", "step")))) == (None, [])


def test_the_database_tells_the_time(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # SQLite's clock has milliseconds
    empty = store.now()
    save(store, batch("b"))
    found = store.now()
    after = datetime.now(UTC)
    assert before <= empty <= found <= after
    assert {empty.tzinfo, found.tzinfo, look(store).now.tzinfo} == {UTC}


def test_a_fixed_clock_overrules_it(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    assert (store.now(), look(store).now) == (T0, T0)
    save(store, batch("b"))
    clock.at = T0 + DAY
    assert (store.now(), look(store).now) == (T0 + DAY, T0 + DAY)


# --- breakers: compare and set -------------------------------------------------------------------------------------


def test_a_new_breaker_is_inserted_at_version_1(store: Store) -> None:
    store.save(Change(breaker=breaker()))
    assert look(store).breaker == breaker(version=1)


def test_a_loaded_breaker_is_updated(store: Store) -> None:
    store.save(Change(breaker=breaker()))
    store.save(Change(breaker=breaker(version=1, state=State.OPEN)))
    assert look(store).breaker == breaker(version=2, state=State.OPEN)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_another_version_loses_and_nothing_is_written(store: Store, version: int) -> None:
    store.save(Change(breaker=breaker()))
    store.save(Change(breaker=breaker(version=1, cause="second")))
    late, events = numbered(breaker(version=version, cause="late"), "late")
    with pytest.raises(LostRace, match="breaker feed was changed by another process since it was loaded at version"):
        store.save(
            Change(late, (transition(),), (batch("b"),), (output("o"),), (review("o"),), events),
        )
    assert look(store).breaker == breaker(version=2, cause="second")
    assert (list(store.transitions("feed")), store.batch("b"), store.output("scores", None)) == ([], None, None)
    assert (list(store.reviews()), list(store.events())) == ([], [])


def test_a_breaker_that_was_never_stored_cannot_be_updated(store: Store) -> None:
    with pytest.raises(LostRace):
        store.save(Change(breaker=breaker(version=1)))
    assert look(store).breaker is None


def test_all_of_a_change_is_written(store: Store) -> None:
    changed, events = numbered(breaker(), "one", "two")
    store.save(Change(changed, (transition(),), (batch("b"),), (output("o"),), (review("o"),), events))
    assert look(store).breaker == replace(changed, version=1)
    assert list(store.transitions("feed")) == [transition()]
    assert store.batch("b") == batch("b", sequence=1)
    assert store.output("scores", None) == output("o")
    assert list(store.reviews()) == [review("o")]
    assert list(store.events()) == list(events)


def test_breakers_come_by_key_in_byte_order(store: Store) -> None:
    keys = ["feed", "Feed", "feed[vendor=ä]", "feed[vendor=z]", "a/b", "a_b", "é", "z"]
    for key in keys:
        store.save(Change(breaker=breaker(key)))
    assert [found.key for found in store.breakers()] == sorted(keys)
    assert [found.key for found in store.breakers(["z", "none", "Feed"])] == ["Feed", "z"]
    assert list(store.breakers([])) == []


def test_transitions_come_newest_first(store: Store) -> None:
    store.save(Change(transitions=(transition(generation=1), transition(generation=2), transition("other", generation=9))))
    store.save(Change(transitions=(transition(generation=3),)))
    assert [found.generation for found in store.transitions("feed")] == [3, 2, 1]
    assert [found.generation for found in store.transitions("feed", limit=2)] == [3, 2]


# --- arrivals --------------------------------------------------------------------------------------------------------


def ends(found: Sequence[Arrival]) -> list[datetime | None]:
    return [arrival.window_end for arrival in found]


def test_arrivals_are_those_of_head_batches_whatever_became_of_them(store: Store) -> None:
    for number, state in enumerate(Status, start=1):
        save(store, batch(f"{number}", day(number), state, arrived_at=T0 + number * DAY))
    save(store, batch("old", day(1), head=False))
    found = store.arrivals("feed", day(9))
    assert list(found) == [Arrival(T0 + number * DAY, day(number).end, accepted=number > 1) for number in (5, 4, 3, 2, 1)]
    save(store, batch("unread", day(6), Status.HELD, outcome=Outcome.INCONCLUSIVE, arrived_at=T0))
    assert [arrival.accepted for arrival in store.arrivals("feed", day(9), limit=2)] == [False, True]
    assert list(store.arrivals("feed", day(9), accepted=True)) == list(found[:4])
    found = store.arrivals("feed", day(9))
    assert list(store.arrivals("feed", day(9), limit=2)) == list(found[:2])
    third = store.batch("3")
    assert third is not None
    assert ends(store.arrivals("feed", day(9), before=third.sequence)) == [day(2).end, day(1).end]


def test_arrivals_are_of_one_kind(store: Store) -> None:
    save(store, batch("de", day(1, country="DE")), batch("fr", day(2, country="FR")), batch("static", STATIC), batch("plain"))
    save(store, batch("other", day(3, country="DE"), asset="elsewhere", breaker_key="elsewhere"))
    save(store, batch("scoped", day(4, country="DE"), breaker_key="feed[country=DE]"))
    assert ends(store.arrivals("feed", day(9, country="DE"))) == [day(1).end]
    assert ends(store.arrivals("feed", STATIC)) == ends(store.arrivals("feed", UNPARTITIONED)) == [None]
    assert ends(store.arrivals("feed", Partition("another"))) == []
    assert ends(store.arrivals("feed", None)) == [None, None, day(2).end, day(1).end]
    assert ends(store.arrivals("feed[country=DE]", day(9, country="DE"))) == [day(4).end]


# --- batches: arrival ----------------------------------------------------------------------------------------------


def test_batches_are_numbered_as_they_arrive(store: Store) -> None:
    save(store, batch("a", day(1)), batch("b", day(2)))
    store.save(Change(batches=(batch("c", day(3)), batch("d", day(4)))))
    assert ids(store.batches()) == ["d", "c", "b", "a"]
    numbers = [found.sequence for found in store.batches()]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4
    assert min(numbers) > 0


def test_a_loaded_batch_keeps_its_number_a_new_delivery_of_it_does_not(store: Store) -> None:
    save(store, batch("a", day(1)), batch("b", day(2)))
    first = store.batch("a")
    assert first is not None
    save(store, replace(first, note="seen"))
    assert store.batch("a") == replace(first, note="seen")
    assert ids(store.batches()) == ["b", "a"]
    save(store, batch("a", day(1), note="again"))
    assert ids(store.batches()) == ["a", "b"]


def test_batches_are_found_by_asset_partition_and_status(store: Store) -> None:
    save(
        store,
        batch("a", day(1)),
        batch("b", day(2), Status.HELD),
        batch("c", day(1), asset="other"),
        batch("d", asset="other"),
        batch("e", day(2), Status.QUARANTINED),
    )
    assert ids(store.batches(asset="feed")) == ["e", "b", "a"]
    assert ids(store.batches(partition="2026-11-01")) == ["c", "a"]
    assert ids(store.batches(statuses=[Status.HELD, Status.QUARANTINED])) == ["e"]
    assert ids(store.batches(statuses=["discarded"])) == ["b"]
    assert ids(store.batches(asset="other", partition="2026-11-01", statuses=["published"])) == ["c"]
    assert ids(store.batches(limit=2)) == ["e", "d"]


# --- batches: what replaces what -----------------------------------------------------------------------------------


REPLACED = {
    Status.PUBLISHED: {Status.PUBLISHED, Status.PUBLISHING, Status.HELD, Status.QUARANTINED},
    Status.HELD: {Status.HELD, Status.QUARANTINED},
    Status.QUARANTINED: {Status.HELD, Status.QUARANTINED},
    Status.PUBLISHING: set(),
    Status.DISCARDED: set(),
}


@pytest.mark.parametrize("partition", [UNPARTITIONED, STATIC, day(1)], ids=str)
def test_a_batch_replaces_earlier_ones_of_its_partition(store: Store, partition: Partition) -> None:
    for old, new in product(Status, Status):
        asset = f"{old}-{new}"
        save(store, batch(f"{asset}-old", partition, old, asset=asset))
        save(store, batch(f"{asset}-new", partition, new, asset=asset, updated_at=T0 + DAY))
        newer, older = store.batches(asset=asset)
        assert newer == batch(f"{asset}-new", partition, new, asset=asset, updated_at=T0 + DAY, sequence=newer.sequence)
        if old in REPLACED[new]:
            assert (older.status, older.note, older.updated_at) == (Status.DISCARDED, f"replaced by {asset}-new", T0 + DAY)
        else:
            assert older == batch(f"{asset}-old", partition, old, asset=asset, sequence=older.sequence)


def test_a_batch_replaces_nothing_elsewhere_and_nothing_later(store: Store) -> None:
    save(store, batch("early", day(1), Status.PUBLISHING), batch("late", day(1), Status.HELD))
    save(store, batch("there", day(2)), batch("other", day(1), asset="other"), batch("nowhere"))
    early = store.batch("early")
    assert early is not None
    save(store, replace(early, status=Status.PUBLISHED))
    assert [status(store, each) for each in ("late", "there", "other", "nowhere")] == [
        Status.HELD,
        Status.PUBLISHED,
        Status.PUBLISHED,
        Status.PUBLISHED,
    ]


# --- snapshots -----------------------------------------------------------------------------------------------------


def test_a_snapshot_has_the_batch_asked_for_wherever_it_is(store: Store) -> None:
    save(store, batch("a", day(1)), batch("b", day(2), Status.DISCARDED, asset="other"))
    assert look(store, day(1), batch_id="b").batch == store.batch("b")
    assert look(store, day(1), batch_id="c").batch is None
    assert look(store, day(1)).batch is None


@pytest.mark.parametrize("partition", [UNPARTITIONED, STATIC, day(1)], ids=str)
def test_published_is_what_was_published_last_here(store: Store, partition: Partition) -> None:
    save(store, batch("there", day(2)), batch("a", partition), batch("other", partition, asset="other"), batch("b", partition))
    snapshot = look(store, partition)
    assert snapshot.published == store.batch("b")
    assert (snapshot.publishing, snapshot.refused) == (None, None)


def test_a_later_publishing_batch_hides_what_is_published(store: Store) -> None:
    save(store, batch("a", day(1)), batch("b", day(1), Status.PUBLISHING))
    snapshot = look(store, day(1))
    assert (snapshot.published, snapshot.publishing) == (None, store.batch("b"))


def test_a_publishing_batch_that_came_before_what_is_published_does_not_count(store: Store) -> None:
    save(store, batch("b", day(1), sequence=5), batch("a", day(1), Status.PUBLISHING, sequence=3))
    snapshot = look(store, day(1))
    assert (snapshot.published, snapshot.publishing) == (store.batch("b"), None)


@pytest.mark.parametrize("live", [None, Status.PUBLISHED, Status.PUBLISHING])
@pytest.mark.parametrize("refused", [Status.HELD, Status.QUARANTINED])
def test_refused_is_the_newest_set_aside_after_what_is_live(store: Store, live: Status | None, refused: Status) -> None:
    if live is not None:
        save(store, batch("live", day(1), live))
    save(store, batch("first", day(1), Status.QUARANTINED), batch("second", day(1), refused), batch("there", day(2), refused))
    assert look(store, day(1)).refused == store.batch("second")


@pytest.mark.parametrize("live", [Status.PUBLISHED, Status.PUBLISHING])
def test_refused_before_what_is_live_is_not_refused_any_more(store: Store, live: Status) -> None:
    save(store, batch("held", day(1), Status.HELD, sequence=1), batch("live", day(1), live, sequence=2))
    assert look(store, day(1)).refused is None


def test_judged_is_whether_the_partition_ever_had_a_batch(store: Store) -> None:
    save(store, batch("a", day(1), Status.DISCARDED), batch("b", day(2), asset="other"), batch("c", STATIC))
    assert [look(store, partition).judged for partition in (day(1), day(2), STATIC, UNPARTITIONED)] == [True, False, True, False]


def test_last_good_is_the_newest_window_before(store: Store) -> None:
    save(store, batch("d2", day(2)), batch("d1", day(1)), batch("d4", day(4)), batch("d3", day(3), outcome=Outcome.WARN))
    assert look(store, day(1)).last_good is None
    assert look(store, day(3)).last_good == store.batch("d2")
    assert look(store, day(4)).last_good == store.batch("d3")
    assert look(store, day(9)).last_good == store.batch("d4")


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": Outcome.FAIL},
        {"outcome": Outcome.INCONCLUSIVE},
        {"confidence": Confidence.STALE},
        {"confidence": Confidence.LOW},
        {"released": Release("ann", "we need it", T0)},
        {"status": Status.HELD},
        {"status": Status.QUARANTINED},
        {"status": Status.PUBLISHING},
        {"status": Status.DISCARDED},
        {"asset": "other"},
    ],
    ids=str,
)
def test_last_good_is_published_on_its_own_merit(store: Store, change: dict[str, object]) -> None:
    save(store, batch("d1", day(1)), replace(batch("d2", day(2)), **change))  # type: ignore[arg-type]
    assert look(store, day(3)).last_good == store.batch("d1")
    here = Partition("here")
    save(store, replace(batch("here", here), **change))  # type: ignore[arg-type]
    assert look(store, here).last_good is None


def test_what_may_be_last_good_the_newest_window_first(store: Store) -> None:
    bad = batch("d4", day(4), outcome=Outcome.FAIL)
    save(store, batch("d2", day(2)), batch("d1", day(1)), bad, batch("d3", day(3)), batch("v3", day(3, vendor="a")))
    save(store, batch("d5", day(5)), batch("again", day(5), Status.PUBLISHING), batch("other", day(3), asset="other"))
    found = store.good_before("feed", day(6), 10)
    assert [each.id for each in found] == ["d3", "d2", "d1"]
    assert list(found) == [replace(each, verdict=None) for name in ("d3", "d2", "d1") if (each := store.batch(name))]
    assert [each.id for each in store.good_before("feed", day(3), 10)] == ["d2", "d1"]
    assert [each.id for each in store.good_before("feed", day(6), 2)] == ["d3", "d2"]
    assert [each.id for each in store.good_before("feed", day(6, vendor="a"), 10)] == ["v3"]
    save(store, batch("static", STATIC))
    assert list(store.good_before("feed", STATIC, 10)) == []


def test_last_good_has_the_same_other_dimensions(store: Store) -> None:
    save(store, batch("a1", day(1, vendor="a")), batch("b2", day(2, vendor="b")), batch("3", day(3)))
    save(store, batch("a4", day(4, vendor="a", region="eu")))
    assert look(store, day(5, vendor="a")).last_good == store.batch("a1")
    assert look(store, day(5)).last_good == store.batch("3")
    assert look(store, day(5, region="eu", vendor="a")).last_good == store.batch("a4")


def test_what_is_being_written_over_is_not_last_good(store: Store) -> None:
    save(store, batch("d1", day(1)), batch("d2", day(2)), batch("again", day(2), Status.PUBLISHING))
    assert look(store, day(3)).last_good == store.batch("d1")
    save(store, replace(store.batch("again"), status=Status.PUBLISHED))  # type: ignore[type-var]
    assert look(store, day(3)).last_good == store.batch("again")


def test_what_was_being_written_before_it_was_published_does_not_count(store: Store) -> None:
    save(store, batch("d2", day(2), sequence=5), batch("older", day(2), Status.PUBLISHING, sequence=3))
    assert look(store, day(3)).last_good == store.batch("d2")


def test_of_two_published_the_later_arrival_counts(store: Store) -> None:
    """As happens where the earlier one was slower to write."""
    save(store, batch("late", day(2), sequence=2), batch("early", day(2), sequence=1))
    assert look(store, day(2)).published == store.batch("late")
    assert look(store, day(3)).last_good == store.batch("late")


def test_a_failed_redelivery_leaves_the_earlier_batch_last_good(store: Store) -> None:
    save(store, batch("d1", day(1)), batch("d2", day(2)), batch("bad", day(2), Status.QUARANTINED))
    assert look(store, day(3)).last_good == store.batch("d2")


@pytest.mark.parametrize("partition", [UNPARTITIONED, STATIC], ids=str)
def test_without_time_last_good_is_of_the_same_key(store: Store, partition: Partition) -> None:
    save(store, batch("there", Partition("elsewhere")), batch("day", day(1)), batch("a", partition))
    assert look(store, partition).last_good == store.batch("a")
    save(store, batch("bad", partition, Status.QUARANTINED))
    assert look(store, partition).last_good == store.batch("a")
    save(store, batch("b", partition, Status.PUBLISHING))
    assert look(store, partition).last_good is None


def test_the_newest_published_end_is_the_breakers(store: Store) -> None:
    assert look(store, day(1)).newest_published_end is None
    save(
        store,
        batch("a", day(3)),
        batch("b", day(2)),
        batch("c", day(5), Status.HELD),
        batch("d", day(6), breaker_key="feed[vendor=b]"),
        batch("e", day(4, vendor="x"), asset="another"),
        batch("f"),
    )
    assert look(store, day(1)).newest_published_end == day(4).end
    assert look(store, day(1), key="feed[vendor=b]").newest_published_end == day(6).end
    assert look(store, day(1), key="none").newest_published_end is None


# --- decisions -----------------------------------------------------------------------------------------------------


def test_the_first_decision_stands(store: Store) -> None:
    step = StepKey("run", "step")
    first, second = route(kind=RouteKind.LAST_GOOD, served=day(1)), route(kind=RouteKind.FRESH)
    assert store.decide(step, "scores", first) == first
    assert store.decide(step, "scores", second) == first
    assert store.decided(step, "feed", None) == first
    assert list(store.decisions(step)) == [first]


def test_a_change_comes_with_the_decision_that_stands(store: Store) -> None:
    step = StepKey("run", "step")
    told, events = numbered(breaker(), "told")
    store.decide(step, "scores", route(), Change(breaker=told, events=events))
    store.decide(step, "scores", route(kind=RouteKind.FRESH), Change(breaker=told, events=events))  # decided before: no second event
    assert [event.message for event in store.events()] == ["told"]
    assert [each.version for each in store.breakers()] == [1]


def test_a_decision_whose_change_loses_the_race_is_not_kept(store: Store) -> None:
    step = StepKey("run", "step")
    store.save(Change(breaker=breaker()))
    told, events = numbered(breaker(), "told")
    with pytest.raises(LostRace):
        store.decide(step, "scores", route(), Change(breaker=told, events=events))
    assert (list(store.decisions(step)), list(store.events())) == ([], [])


def test_decisions_are_kept_apart(store: Store) -> None:
    step = StepKey("run", "step")
    made = [
        (step, "scores", route()),
        (step, "scores", route(requested=day(1))),
        (step, "scores", route("other")),
        (step, "report", route(kind=RouteKind.HALTED, confidence=None)),
        (StepKey("run", "step", 1), "scores", route(kind=RouteKind.LAST_GOOD)),
        (StepKey("run", "step2"), "scores", route(kind=RouteKind.LOW_CONFIDENCE)),
        (StepKey("run2", "step"), "scores", route(kind=RouteKind.UNJUDGED)),
    ]
    for each, consumer, decision in made:
        assert store.decide(each, consumer, decision) == decision
    assert list(store.decisions(step)) == [decision for each, _, decision in made if each == step]
    assert store.decided(step, "feed", day(1).key) == route(requested=day(1))
    assert store.decided(step, "feed", day(2).key) is None
    assert store.decided(StepKey("run", "step", 1), "feed", None) == route(kind=RouteKind.LAST_GOOD)
    assert store.decided(StepKey("run", "step", 2), "feed", None) is None


# --- outputs and reviews -------------------------------------------------------------------------------------------

CURRENT = [OutputStatus.OK, OutputStatus.DEGRADED, OutputStatus.HALTED, OutputStatus.WITHDRAWN]


@pytest.mark.parametrize("partition", [UNPARTITIONED, STATIC, day(1)], ids=str)
def test_an_output_ends_the_one_before(store: Store, partition: Partition) -> None:
    for old, new in product(CURRENT, CURRENT):
        asset = f"{old}-{new}"
        first, second = (
            output(f"{asset}-old", old, partition, asset=asset),
            output(f"{asset}-new", new, partition, asset=asset, at=T0 + DAY),
        )
        store.save(Change(outputs=(first,), reviews=(review(first.id),)))
        store.save(Change(outputs=(second,), reviews=(review(second.id),)))
        became = OutputStatus.HEALED if new is OutputStatus.OK and old is not OutputStatus.OK else OutputStatus.SUPERSEDED
        assert list(store.outputs(asset=asset)) == [second, replace(first, status=became, ended_at=T0 + DAY)]
        assert store.output(asset, partition.key) == second
        superseded = replace(review(first.id, ReviewStatus.SUPERSEDED), decided_at=T0 + DAY)
        assert list(store.reviews(limit=2)) == [review(second.id), superseded]


def test_an_output_ends_nothing_elsewhere(store: Store) -> None:
    others = [
        output("a", OutputStatus.DEGRADED, day(1)),
        output("b", OutputStatus.DEGRADED, asset="report"),
        output("c", OutputStatus.HEALED),
    ]
    for other in others:
        store.save(Change(outputs=(other,), reviews=(review(other.id),)))
    store.save(Change(outputs=(output("new"),)))
    assert list(store.outputs()) == [output("new"), *reversed(others)]
    assert [found.status for found in store.reviews()] == [ReviewStatus.PENDING] * 3


def test_only_a_current_output_ends_others(store: Store) -> None:
    store.save(Change(outputs=(output("old", OutputStatus.DEGRADED),)))
    store.save(Change(outputs=(output("new", OutputStatus.DISMISSED),)))
    assert store.output("scores", None) == output("old", OutputStatus.DEGRADED)


def test_a_decided_review_stays_decided(store: Store) -> None:
    approved = replace(review("old", ReviewStatus.APPROVED), actor="ann", decided_at=T0, reason="looked at it")
    store.save(Change(outputs=(output("old", OutputStatus.DEGRADED),), reviews=(review("old"),)))
    store.save(Change(reviews=(approved,)))
    store.save(Change(outputs=(output("new"),)))
    assert list(store.reviews()) == [approved]


def test_an_output_saved_again_is_replaced_in_its_place(store: Store) -> None:
    store.save(Change(outputs=(output("a", OutputStatus.DEGRADED, day(1)),)))
    store.save(Change(outputs=(output("b", OutputStatus.DEGRADED, day(2)),)))
    dismissed = output("a", OutputStatus.DISMISSED, day(1), ended_at=T0)
    store.save(Change(outputs=(dismissed,)))
    assert list(store.outputs()) == [output("b", OutputStatus.DEGRADED, day(2)), dismissed]
    assert store.output("scores", day(1).key) is None


def test_an_earlier_output_saved_again_ends_nothing_later(store: Store) -> None:
    store.save(Change(outputs=(output("old", OutputStatus.DEGRADED),)))
    store.save(Change(outputs=(output("new"),), reviews=(review("new"),)))
    store.save(Change(outputs=(output("old", OutputStatus.DEGRADED),)))
    assert store.output("scores", None) == output("new")
    assert list(store.reviews()) == [review("new")]


def test_outputs_and_reviews_are_found_by_status(store: Store) -> None:
    for number, each in enumerate(OutputStatus):
        store.save(Change(outputs=(output(each, each, day(number + 1)),)))
    for each in ReviewStatus:
        store.save(Change(reviews=(review(each, each),)))
    assert ids(store.outputs(statuses=["halted", OutputStatus.OK])) == ["halted", "ok"]
    assert ids(store.outputs(asset="other")) == []
    assert ids(store.outputs(asset="scores", limit=2)) == ["dismissed", "superseded"]
    assert ids(store.reviews(statuses=["pending", ReviewStatus.REJECTED])) == ["rejected", "pending"]
    assert ids(store.reviews(limit=1)) == ["superseded"]


# --- the outbox ----------------------------------------------------------------------------------------------------


LEASE = timedelta(minutes=1)


def claimed(store: Store, sink: str = "log", holder: str = "me", **bounds: int) -> list[str]:
    return [event.id for event in store.claim(sink, holder=holder, lease=LEASE, **bounds)]


def recorded(store: Store, **counts: int) -> None:
    """So many events of each breaker, first those of the first."""
    for key, count in counts.items():
        known = next(iter(store.breakers([key])), breaker(key))
        changed, events = numbered(known, *(str(number) for number in range(count)))
        store.save(Change(breaker=changed, events=events))


def test_events_are_read_in_order_of_recording(store: Store) -> None:
    recorded(store, a=2)
    recorded(store, b=1)
    recorded(store, a=1)
    assert [event.id for event in store.events()] == ["a:1", "a:2", "b:1", "a:3"]
    assert [event.id for event in store.events(limit=2)] == ["a:1", "a:2"]
    assert [event.id for event in store.events("a", after=1)] == ["a:2", "a:3"]


def test_events_of_one_change_are_read_in_their_own_order(store: Store) -> None:
    changed, events = numbered(breaker(), "1", "2", "3")
    store.save(Change(breaker=changed, events=(events[2], events[0], events[1])))
    assert [event.sequence for event in store.events()] == [1, 2, 3]


def test_a_claim_takes_what_is_beyond_the_cursor_until_it_is_given_back(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    recorded(store, a=2, b=1)
    assert claimed(store) == ["a:1", "a:2", "b:1"]
    assert claimed(store, holder="other") == []
    assert claimed(store, "kafka") == ["a:1", "a:2", "b:1"], "another sink has cursors of its own"
    store.advance("log", "me", {"a": 1, "b": 1})
    assert claimed(store) == ["a:2"], "given back with what was not told"
    recorded(store, b=1)
    assert claimed(store) == ["b:2"], "a is held"


def test_a_claim_that_is_not_given_back_ends_by_itself(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    recorded(store, a=3)
    assert claimed(store, holder="dies") == ["a:1", "a:2", "a:3"]
    clock.at += LEASE - timedelta(microseconds=1)
    assert claimed(store) == []
    clock.at = T0 + LEASE
    assert claimed(store) == ["a:1", "a:2", "a:3"]
    store.advance("log", "dies", {"a": 3})
    clock.at += LEASE
    assert claimed(store, holder="third") == ["a:1", "a:2", "a:3"], "who lost the lease moves nothing"
    store.advance("log", "third", {"a": 2})
    store.advance("log", "me", {"a": 0})
    assert claimed(store) == ["a:3"]


def test_claims_are_bounded_and_take_turns(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    recorded(store, a=5, b=5, c=5)
    assert claimed(store, keys=2, limit=4) == ["a:1", "a:2", "b:1", "b:2"]
    clock.at += timedelta(seconds=1)
    store.advance("log", "me", {"a": 2, "b": 2})
    assert claimed(store, keys=1, limit=4) == ["c:1", "c:2", "c:3", "c:4"], "never told comes before told just now"
    clock.at += timedelta(seconds=1)
    store.advance("log", "me", {"c": 4})
    assert claimed(store, keys=2, limit=100) == ["a:3", "a:4", "a:5", "b:3", "b:4", "b:5"]
    assert claimed(store, keys=2, limit=100) == ["c:5"]


def test_the_first_sinks_begin_at_the_first_event_and_later_ones_with_the_least_advanced(store: Store) -> None:
    store.register(["log"])
    assert list(store.waiting()) == [], "there is nothing to tell of yet"
    recorded(store, a=3, b=3)
    store.register(["log", "kafka"])
    for sink, reached in (("log", {"a": 3, "b": 1}), ("kafka", {"a": 2})):
        assert claimed(store, sink) == ["a:1", "a:2", "a:3", "b:1", "b:2", "b:3"]
        store.advance(sink, "me", reached)
    store.register(["slack", "log"])
    store.register(["slack"])
    assert claimed(store, "slack") == ["a:3", "b:1", "b:2", "b:3"]


def test_it_is_known_how_far_each_sink_is_behind(store: Store) -> None:
    recorded(store, a=2, b=1)
    store.register(["log", "kafka"])
    claimed(store)
    store.advance("log", "me", {"a": 1, "b": 1})
    assert list(store.waiting()) == [Waiting("kafka", 3, T0), Waiting("log", 1, T0)]
    claimed(store)
    store.advance("log", "me", {"a": 2})
    assert list(store.waiting()) == [Waiting("kafka", 3, T0), Waiting("log", 0)]
    assert store.forget("kafka")
    assert not store.forget("kafka")
    assert list(store.waiting()) == [Waiting("log", 0)]


def test_an_event_is_recorded_once(store: Store) -> None:
    """Two changes that give out the same number are a defect, not a race: a new attempt would not mend it."""
    changed, events = numbered(breaker(), "1")
    store.save(Change(breaker=changed, events=events))
    with pytest.raises(StoreError) as caught:
        store.save(Change(breaker=replace(changed, version=1), batches=(batch("b"),), events=events))
    assert type(caught.value) is StoreError
    assert (look(store).breaker, store.batch("b"), list(store.events())) == (replace(changed, version=1), None, list(events))


# --- profiles ------------------------------------------------------------------------------------------------------

NUMBERS = ProfileOf("amount")


def deliver(
    store: Store, name: str, partition: Partition, status: Status = Status.PUBLISHED, *, value: float = 1.0, **fields: object
) -> None:
    kept = KeptProfile(name, NUMBERS, NumericProfile((value,), (1,)))
    store.save(Change(batches=(batch(name, partition, status, **fields),), profiles=(kept,)))


def compared(
    store: Store,
    partition: Partition,
    reference: LastGood | GoodPartition = LastGood(9),  # noqa: B008
    *,
    metric: ProfileOf = NUMBERS,
    batch_id: str | None = None,
    key: str = "feed",
) -> list[float]:
    found = store.profiles(reference, metric, key=key, asset="feed", partition=partition, batch_id=batch_id)
    assert all(isinstance(each, GoodProfile) for each in found)
    return [each.profile.values[0] for each in found if isinstance(each.profile, NumericProfile)]


def test_the_newest_good_windows_before_a_partition_are_compared_with(store: Store) -> None:
    for number in (3, 1, 4, 2):
        deliver(store, f"b{number}", day(number), value=number)
    assert compared(store, day(4)) == [3, 2, 1]
    assert compared(store, day(4), LastGood(2)) == [3, 2]
    assert compared(store, day(1)) == []
    assert compared(store, day(4), key="feed[vendor=x]") == []
    assert compared(store, day(4), metric=ProfileOf("amount", categorical=True)) == []
    assert compared(store, day(4), metric=ProfileOf("other")) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.QUARANTINED},
        {"status": Status.HELD},
        {"status": Status.PUBLISHING},
        {"outcome": Outcome.INCONCLUSIVE},
        {"confidence": Confidence.STALE},
        {"released": Release("ana", "looked at", T0)},
    ],
)
@pytest.mark.parametrize("partition", [day(1), UNPARTITIONED])
def test_only_what_was_published_on_its_merit_is_compared_with(store: Store, partition: Partition, fields: dict[str, object]) -> None:
    deliver(store, "b", partition, **fields)  # type: ignore[arg-type]
    later = day(2) if partition.end else UNPARTITIONED
    assert compared(store, later) == []
    assert compared(store, later, GoodPartition(partition.key or "")) == []


def test_a_batch_is_compared_with_once_it_is_published(store: Store) -> None:
    deliver(store, "b", day(1), Status.PUBLISHING)
    deliver(store, "u", STATIC, Status.PUBLISHING)
    save(store, batch("b", day(1)), batch("u", STATIC))
    assert (compared(store, day(2)), compared(store, STATIC)) == ([1], [1])
    save(store, batch("b", day(1), Status.QUARANTINED), batch("u", STATIC, Status.QUARANTINED))
    assert (compared(store, day(2)), compared(store, STATIC)) == ([], [])


def test_without_windows_what_was_replaced_is_compared_with_too(store: Store) -> None:
    for number in (1, 2, 3):
        deliver(store, f"b{number}", STATIC, value=number)
    deliver(store, "elsewhere", Partition("other"), value=9)
    assert status(store, "b1") is Status.DISCARDED
    assert compared(store, STATIC) == [3, 2, 1]
    assert compared(store, STATIC, LastGood(2)) == [3, 2]
    assert compared(store, STATIC, batch_id="b2") == [1]  # judged again: what came after it is no reference
    assert compared(store, STATIC, batch_id="b4") == [3, 2, 1]


def test_of_a_window_that_was_delivered_again_the_last_delivery_counts(store: Store) -> None:
    deliver(store, "first", day(1), value=1)
    deliver(store, "again", day(1), value=2)
    assert compared(store, day(2)) == [2]


def test_a_named_partition_is_compared_with_as_it_is_published(store: Store) -> None:
    deliver(store, "b1", day(1), value=1)
    deliver(store, "b2", day(2), value=2)
    wanted = GoodPartition(str(day(1).key))
    assert (compared(store, day(2), wanted), compared(store, day(1), wanted)) == ([1], [1])
    assert compared(store, day(1), wanted, batch_id="b1") == []  # never with itself
    found = store.profiles(wanted, NUMBERS, key="feed", asset="feed", partition=day(2))
    assert [(each.partition, each.arrived_at) for each in found] == [(day(1), T0)]


def test_a_profile_is_kept_as_it_is(store: Store) -> None:
    numbers = NumericProfile((float("-inf"), -0.1, 1e300, float("inf")), (1, 2, 3, 4), 5, 1 / 2048)
    categories = CategoryProfile((("\x00\ud800", 3), ("é", 1)), 1, 7, veiled=True)
    kinds: list[tuple[ProfileOf, Profile]] = [(ProfileOf("c\x00"), numbers), (ProfileOf("c\x00", True), categories)]
    store.save(Change(batches=(batch("b", day(1)),), profiles=tuple(KeptProfile("b", metric, profile) for metric, profile in kinds)))
    for metric, profile in kinds:
        (found,) = store.profiles(LastGood(1), metric, key="feed", asset="feed", partition=day(2))
        assert found.profile == profile


def test_a_profile_is_replaced_by_that_of_the_same_batch(store: Store) -> None:
    deliver(store, "b", day(1), value=1)
    deliver(store, "b", day(1), value=2)
    assert compared(store, day(2)) == [2]


def test_profiles_are_part_of_the_change(store: Store) -> None:
    store.save(Change(breaker=breaker()))
    kept = KeptProfile("b", NUMBERS, NumericProfile((1.0,), (1,)))
    with pytest.raises(LostRace):
        store.save(Change(breaker=breaker(), batches=(batch("b", day(1)),), profiles=(kept,)))
    save(store, batch("b", day(1)))
    assert compared(store, day(2)) == []


# --- threads -------------------------------------------------------------------------------------------------------


def test_what_a_sink_has_said_is_kept_by_sink_and_incident(store: Store) -> None:
    assert store.thread("slack", "feed#1") is None
    store.keep_thread("slack", "feed#1", {"place": None, "text": "\x00 \ud800 \u202e", "counts": {"a": 1}})
    store.keep_thread("slack", "feed#2", {"place": "2"})
    store.keep_thread("other", "feed#1", {"place": "3"})
    store.keep_thread("slack", "feed#2", {"place": "4"})
    assert store.thread("slack", "feed#1") == {"place": None, "text": "\x00 \ud800 \u202e", "counts": {"a": 1}}
    assert (store.thread("slack", "feed#2"), store.thread("other", "feed#1")) == ({"place": "4"}, {"place": "3"})


# --- what sensors ask ------------------------------------------------------------------------------------------------


def test_breakers_of_an_asset_are_its_own_in_every_scope(store: Store) -> None:
    for name in ("feed", "feed[vendor=a]", "feed[vendor=b]", "feed2", "feed/a", "fee", "a[vendor=feed]", "feed-", "Feed"):
        store.save(Change(breaker=breaker(name)))
    assert [found.key for found in store.breakers(asset="feed")] == ["feed", "feed[vendor=a]", "feed[vendor=b]"]
    assert [found.key for found in store.breakers(["feed2", "feed"], asset="feed")] == ["feed"]
    assert list(store.breakers(asset="none")) == []


def test_breakers_that_are_not_closed_wait(store: Store) -> None:
    for name, state in (("c", State.CLOSED), ("o", State.OPEN), ("h", State.HALF_OPEN)):
        store.save(Change(breaker=breaker(name, state=state, retry_at=T0, contract_version="2.0.0")))
    assert sorted(store.tripped(), key=lambda each: each.key) == [Tripped("h", "2.0.0", T0), Tripped("o", "2.0.0", T0)]


def stored(name: str, number: int, **fields: object) -> Batch:
    return batch(name, day(number), **{"status": Status.QUARANTINED, "staged": "s"} | fields)  # type: ignore[arg-type]


def test_the_candidate_of_a_probe_is_the_newest_data_set_aside(store: Store) -> None:
    save(store, stored("new", 3), stored("old", 1), stored("held", 2, status=Status.HELD), stored("other", 4, breaker_key="other"))
    save(store, stored("gone", 5, staged=None), stored("late", 6, head=False), stored("low", 7, confidence=Confidence.LOW))
    save(store, stored("live", 8, status=Status.PUBLISHED), stored("unasked", 9, breaker_key="unasked"))
    versions = dict.fromkeys(("feed", "other", "none"), "1.0.0")
    assert ids(store.candidates(versions, [])) in (["new", "other"], ["other", "new"])
    assert ids(store.candidates({"feed": "1.0.0"}, ["new"])) == ["held"]
    assert ids(store.candidates({"feed": "1.0.0"}, ["new", "held", "old"])) == ids(store.candidates({}, [])) == []


def test_what_was_judged_before_the_breaker_opened_is_probed_under_another_version_only(store: Store) -> None:
    opened = T0 + timedelta(hours=1)
    for key in ("feed", "other"):
        store.save(Change(breaker=breaker(key, state=State.OPEN, opened_at=opened)))
    save(store, stored("leftover", 3, updated_at=T0), stored("since", 2, updated_at=opened), stored("before", 1, updated_at=T0))
    save(store, stored("others", 4, breaker_key="other", updated_at=opened - timedelta(seconds=1)))
    same = {"feed": "1.0.0", "other": "1.0.0"}
    assert ids(store.candidates(same, [])) == ["since"]
    assert ids(store.candidates(same, ["since"])) == []
    assert ids(store.candidates(same | {"other": "1.1.0"}, [])) in (["since", "others"], ["others", "since"])
    assert ids(store.candidates({"feed": "1.1.0"}, [])) == ["leftover"]


def test_what_may_be_released_passed_under_a_closed_breaker_or_a_person_let_it_through(store: Store) -> None:
    word = Override(OverrideKind.FORCE_CLOSED, "ana", "looked at", T0)
    for name, state, override in (("c", State.CLOSED, None), ("o", State.OPEN, None), ("f", State.OPEN, word)):
        store.save(Change(breaker=breaker(name, state=state, override=override)))
    held = {"status": Status.HELD, "outcome": Outcome.WARN}
    for number, name in enumerate("cof", start=1):
        save(store, stored(f"{name} held", number, breaker_key=name, **held), stored(f"{name} bad", number + 10, breaker_key=name))
    save(store, stored("let", 20, breaker_key="o", released=Release("ana", "looked at", T0)), stored("unread", 21, breaker_key="c", **held))
    save(store, stored("unread", 21, breaker_key="c", status=Status.HELD, outcome=Outcome.INCONCLUSIVE))
    save(store, stored("unstored", 22, breaker_key="c", staged=None, **held))
    assert ids(store.releasable()) == ["c held", "f held", "let"]
    assert ids(store.releasable(limit=1)) == ["c held"]


def fallen(name: str, number: int | None, *inputs: Route, **fields: object) -> Output:
    place = Partition() if number is None else day(number)
    return output(name, **{"partition": place, "asset": name, "status": OutputStatus.HALTED, "inputs": inputs} | fields)  # type: ignore[arg-type]


def asked_for(upstream: str, number: int | None, kind: RouteKind = RouteKind.HALTED, key: str | None = None) -> Route:
    place = Partition() if number is None else day(number)
    return Route(upstream, place, kind, None, breaker_key=key or upstream, reason="\x00 \ud800", findings=("[\x00]",))


def test_outputs_are_healable_once_nothing_that_they_asked_for_is_refused(store: Store) -> None:
    for name, state in (("feed", State.CLOSED), ("feed[vendor=a]", State.OPEN), ("open", State.OPEN)):
        store.save(Change(breaker=breaker(name, state=state)))
    forced = Override(OverrideKind.FORCE_CLOSED, "ana", "looked at", T0)
    store.save(Change(breaker=breaker("forced", state=State.OPEN, override=forced)))
    published = {"status": Status.PUBLISHED}
    save(
        store,
        batch("good", day(1), **published),
        batch("bad", day(2), status=Status.QUARANTINED),
        batch("gone", day(3), status=Status.DISCARDED),
    )
    save(
        store,
        batch("live", asset="open", breaker_key="open", **published),
        batch("day", day(1), asset="open", breaker_key="open", **published),
    )
    save(store, batch("let", asset="forced", breaker_key="forced", **published))
    unjudged = RouteKind.UNJUDGED
    yes = (
        fallen("published", 1, asked_for("feed", 1)),
        fallen("all of them", 1, asked_for("feed", 1), asked_for("open", 1), asked_for("forced", None)),
        fallen("never judged", 4, asked_for("feed", 4, unjudged)),
        fallen("without a breaker", 4, asked_for("elsewhere", 4)),
        fallen("of another's trouble", 4, asked_for("elsewhere", 4, key="open")),
        fallen("withdrawn", 1, asked_for("feed", 1), status=OutputStatus.WITHDRAWN, confidence=Confidence.LOW),
    )
    no = (
        fallen("quarantined", 2, asked_for("feed", 2)),
        fallen("discarded", 3, asked_for("feed", 3)),
        fallen("never came", 4, asked_for("feed", 4)),
        fallen("one of them", 1, asked_for("feed", 1), asked_for("feed", 2)),
        fallen("of a fallen one", 2, asked_for("quarantined", 2, RouteKind.LOW_CONFIDENCE, key="feed")),
        fallen("live", None, asked_for("open", None)),
        fallen("in an open scope", 9, asked_for("feed", 9, unjudged, key="feed[vendor=a]")),
        fallen("fresh", 1, asked_for("feed", 1), status=OutputStatus.OK, confidence=Confidence.FULL),
    )
    store.save(Change(outputs=(*yes, *no)))
    assert list(store.healable()) == list(reversed(yes))
    assert list(store.healable(limit=2)) == [yes[5], yes[4]]
    assert list(store.healable(["published", "live", "withdrawn"])) == [yes[5], yes[0]]
    assert list(store.healable([])) == []


def test_the_grounds_of_many_are_those_of_each(store: Store) -> None:
    store.save(Change(breaker=breaker("feed", state=State.OPEN)))
    save(store, batch("good", day(1), status=Status.PUBLISHED), batch("anew", day(1), status=Status.PUBLISHING))
    save(store, batch("bad", day(2), status=Status.QUARANTINED), batch("gone", day(3), status=Status.DISCARDED))
    store.save(
        Change(outputs=(output("first", partition=day(1), asset="feed"), output("later", OutputStatus.DEGRADED, day(1), asset="feed")))
    )
    asked = [Asked(key, "feed", place) for key in ("feed", "none") for place in (day(1), day(2), day(3), day(4), Partition())]
    asked.append(Asked("feed", "none", day(1)))

    def bare(found: Grounds) -> Grounds:
        refused = found.snapshot.refused
        told = replace(refused, verdict=None) if refused is not None else None
        return replace(found, snapshot=replace(found.snapshot, now=T0, refused=told, last_good=None))

    singly = [bare(store.grounds(each.key, asset=each.asset, partition=each.partition)) for each in asked]
    assert list(map(bare, store.grounds_of(asked))) == singly
    assert list(store.grounds_of([])) == []


def test_a_breaker_is_silent_since_its_latest_delivery(store: Store) -> None:
    """Of a time window the first arrival; without windows the newest. What is older than the newest published is no delivery."""
    names = (
        "quiet",
        "loud",
        "again",
        "timed",
        "other",
        "timed[vendor=a]",
        "scoped[vendor=a]",
        "scoped[vendor=b]",
        "scoped[kind=a]",
        "never",
    )
    for name in names:
        store.save(Change(breaker=breaker(name)))
    hour = timedelta(hours=1)

    def came(name: str, number: int | None, hours: int, **fields: object) -> Batch:
        place = Partition() if number is None else day(number)
        own = {"asset": name.split("[", maxsplit=1)[0], "breaker_key": name, "arrived_at": T0 + hours * hour, "status": Status.QUARANTINED}
        return batch(f"{name} {number} {hours}", place, **own | fields)  # type: ignore[arg-type]

    save(store, came("quiet", None, 1), came("quiet", None, 2), came("quiet", None, 9, head=False))
    save(store, came("loud", None, 1), came("loud", None, 8), came("other", None, 1))
    save(store, came("again", 2, 1), came("again", 2, 8), came("timed", 1, 1), came("timed", 3, 8), came("timed", 2, 9))
    save(store, *(came(f"scoped[{scope}]", 1, 1) for scope in ("vendor=a", "kind=a")), came("scoped[vendor=b]", 1, 8))
    bound = T0 + 4 * hour

    def silent(**quiet: datetime) -> dict[str, Arrival]:
        unscoped = [Watched(asset, "asset", Quiet(**quiet)) for asset in ("quiet", "loud", "again", "timed", "never", "unknown")]
        found = store.silent([*unscoped, Watched("scoped", "vendor", Quiet(**quiet))])
        assert [key for key, _ in found] == sorted(key for key, _ in found)
        return {key: Arrival(last.at, last.window_end) for key, last in found}

    first, second = Arrival(T0 + hour, day(1).end), Arrival(T0 + hour, day(2).end)
    assert silent(since=bound) == {"quiet": Arrival(T0 + 2 * hour), "again": second, "scoped[vendor=a]": first}
    assert silent(day=bound) == {"quiet": Arrival(T0 + 2 * hour)}
    scoped = {"scoped[vendor=a]": first, "scoped[vendor=b]": Arrival(T0 + 8 * hour, day(1).end)}
    assert silent(window=day(3).end or T0) == {"again": second, **scoped}
    assert silent(since=T0 + 2 * hour) == {"again": second, "scoped[vendor=a]": first}, "exactly then is not before"
    assert silent() == {}
    assert list(store.silent([])) == []
