"""The use case over the in-memory store, with time as an argument: the demonstration's story, and what goes wrong around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dagster_contracts import probing, recovery, routing, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import Confidence, Window
from dagster_contracts.core.errors import LostRace, StoreUnavailable, UsageError
from dagster_contracts.core.ledger import UNPARTITIONED, OutputStatus, Partition, ReviewStatus, Route, RouteKind, Status, StepKey
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import OverrideKind, State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import RACES, Gate
from dagster_contracts.judgement import Delivery, Probe
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from tests.gate_world import BAD, GOOD, POLICY, UNREADABLE, Counts, World, daily, day, terms

FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW


def five_good_days(world: World | None = None) -> World:
    world = world or World()
    for number in range(1, 6):
        world.deliver(number, {**GOOD, "rows": 100 + number}, day(number, 6))
    return world


def tripped() -> World:
    world = five_good_days()
    world.deliver(6, BAD, day(6, 6))
    return world


# --- the story -----------------------------------------------------------------------------------------------------


def test_the_story_of_the_demonstration() -> None:
    world = five_good_days()
    assert world.events() == [], "good days are not worth an event"

    # D6 06:00: bad. Quarantined, and the breaker opens in the same transaction.
    sixth = world.deliver(6, BAD, day(6, 6))
    assert (sixth.verdict.outcome, sixth.batch.status, sixth.breaker.state) == (Outcome.FAIL, Status.QUARANTINED, State.OPEN)
    assert world.events() == ["breaker.opened", "contract.violated", "batch.quarantined"]
    assert "2026-01-06" not in world.live
    assert world.breaker.retry_at == day(7, 12)

    made = {
        name: world.consume(name, 6, accepts)
        for name, accepts in (("marketing_scores", STALE), ("fraud_scores", FULL), ("underwriting_scores", LOW))
    }
    report = world.consume("portfolio_report", 6, LOW, "marketing_scores", "underwriting_scores")
    assert [(output.status, output.confidence) for output in (*made.values(), report)] == [
        (OutputStatus.DEGRADED, STALE),
        (OutputStatus.HALTED, None),
        (OutputStatus.DEGRADED, LOW),
        (OutputStatus.DEGRADED, LOW),
    ]
    served = made["marketing_scores"].inputs[0]
    assert (served.kind, served.served, served.breaker_key, served.contract_version) == (RouteKind.LAST_GOOD, daily(5), "feed", "1.0.0")
    assert world.beside[made["underwriting_scores"].inputs[0].staged or ""] is BAD
    assert "Next probe after 2026-01-07 12:00Z" in made["fraud_scores"].inputs[0].reason
    assert [review.asset for review in world.store.reviews()] == ["portfolio_report", "underwriting_scores"]

    # D7 06:00: bad again: recorded and refused, no second alarm. D7 12:00: a probe of it fails, and the next one comes later.
    world.deliver(7, BAD, day(7, 6))
    assert Counter(world.events())["breaker.opened"] == 1
    assert world.changes() == [("closed", "open")]
    assert world.due_probes() == []
    world.clock.at = day(7, 12)
    (due,) = world.due_probes()
    assert due.batch.partition == daily(7)
    assert world.probe().verdict.outcome is Outcome.FAIL
    assert (world.breaker.state, world.breaker.retry_at) == (State.OPEN, day(9, 0))
    assert Counter(world.events())["breaker.opened"] == 1

    # D8 06:00: repaired, while open: held.
    eighth = world.deliver(8, GOOD, day(8, 6))
    assert (eighth.verdict.outcome, eighth.batch.status) == (Outcome.PASS, Status.HELD)
    assert recovery.due_releases(world.gate) == []
    assert recovery.due_healings(world.gate) == []

    # D9 00:00: a probe of day 8 passes and closes; day 8 is released.
    assert world.probe(day(9, 0)).batch.partition == daily(8)
    assert world.breaker.state is State.CLOSED
    (release,) = recovery.due_releases(world.gate)
    assert release.batch.partition == daily(8)
    world.publish(release.batch)
    assert recovery.due_releases(world.gate) == []
    assert world.live["2026-01-08"] is GOOD

    # D9 01:00: days 6 and 7 are delivered again: older than what is published, and published on their own verdict.
    for number in (6, 7):
        again = world.deliver(number, {**GOOD, "rows": 500 + number}, day(9, 1))
        assert (again.batch.status, again.batch.head, again.batch.counted) == (Status.PUBLISHING, False, False)
        assert world.status(number) == [("published", "pass"), ("discarded", "fail")]

    # Every degraded or halted output is made again on its right partition, upstreams first.
    for _ in range(3):
        for healing in recovery.due_healings(world.gate):
            output = healing.output
            world.consume(output.asset, 6, STALE, *[route.upstream for route in output.inputs])
    assert world.store.outputs(statuses=[OutputStatus.DEGRADED, OutputStatus.HALTED]) == []
    assert recovery.due_healings(world.gate) == []
    healed = world.store.outputs(statuses=[OutputStatus.HEALED])
    assert {output.asset: (output.ended_at or output.at) - output.at for output in healed} == dict.fromkeys(
        ("marketing_scores", "fraud_scores", "underwriting_scores", "portfolio_report"), timedelta(days=2, hours=19)
    )
    assert {review.status for review in world.store.reviews()} == {ReviewStatus.SUPERSEDED}
    assert all(output.inputs[0].served == daily(6) for output in world.store.outputs(statuses=[OutputStatus.OK]))
    assert world.changes() == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    assert Counter(world.events()) == {
        "breaker.opened": 1,
        "breaker.half_opened": 2,
        "breaker.reopened": 1,
        "breaker.closed": 1,
        "contract.violated": 2,
        "batch.quarantined": 2,
        "batch.held": 1,
        "route.served_fallback": 5,
        "output.healed": 4,
    }
    assert [event.sequence for event in world.store.events(limit=100)] == list(range(1, 20))
    assert all(data is not BAD for data in world.live.values())


# --- what a batch is -----------------------------------------------------------------------------------------------


def test_the_same_batch_twice_counts_once() -> None:
    world = World(policy=replace(POLICY, failures=2, window=Window(batches=3), trip_on=frozenset()))
    first = world.deliver(1, BAD)
    again = world.deliver(1, BAD)
    assert first.batch.id == again.batch.id
    assert world.breaker.state is State.CLOSED
    assert len(world.breaker.window) == 1
    assert world.events() == ["contract.violated", "batch.quarantined"], "told once"
    assert world.status(1) == [("quarantined", "fail")]
    world.deliver(1, {**BAD, "rows": 99})
    assert world.breaker.state is State.OPEN


def test_an_unpartitioned_batch_is_named_by_its_root_run() -> None:
    world = World(policy=replace(POLICY, failures=2, window=Window(batches=3), trip_on=frozenset()))
    names = [world.deliver(None, BAD, run=run).batch.id for run in ("a", "a", "b")]
    assert names[0] == names[1] != names[2]
    assert world.breaker.state is State.OPEN


def test_the_users_data_version_names_a_batch_whatever_was_measured() -> None:
    world = World()
    one, other = (world.deliver(1, data, data_version="v1").batch for data in (GOOD, {**GOOD, "rows": 7}))
    assert one.id == other.id == "feed|2026-01-01|v1"


def test_judging_again_under_another_contract_version_replaces_the_verdict() -> None:
    world = five_good_days()
    world.deliver(6, BAD, day(6, 6), data_version="v1")
    world.terms = terms(version="2.0.0")
    again = world.deliver(6, GOOD, day(6, 7), data_version="v1")
    assert (again.verdict.outcome, again.batch.contract_version) == (Outcome.PASS, "2.0.0")
    assert (again.batch.status, again.breaker.state) == (Status.PUBLISHING, State.CLOSED), "a new version makes a probe due now"
    assert world.status(6) == [("published", "pass")]
    assert (world.breaker.contract_version, world.breaker.window) == ("2.0.0", ())


def test_a_published_batch_that_is_delivered_again_while_open_stays_published() -> None:
    world = tripped()
    same = world.deliver(5, {**GOOD, "rows": 105}, day(6, 7))
    assert (same.publish, same.batch.status) == (False, Status.PUBLISHED)
    assert world.status(5) == [("published", "pass")]
    assert world.route("marketing_scores", 6, STALE).served == daily(5), "it is the last good still"


@pytest.mark.parametrize(("version", "status", "served"), [("1.0.0", "published", 5), ("2.0.0", "quarantined", 4)])
def test_a_published_batch_is_good_until_another_contract_version_fails_it(version: str, status: str, served: int) -> None:
    world = five_good_days()
    world.deliver(5, {**GOOD, "rows": 200}, data_version="v1")
    world.terms = terms(version=version)
    again = world.deliver(5, BAD, data_version="v1")
    assert again.verdict.outcome is Outcome.FAIL
    assert world.status(5)[0][0] == status
    assert "contract.violated" in world.events()
    assert world.route("marketing_scores", 7, STALE).kind is (RouteKind.UNJUDGED if served == 5 else RouteKind.LAST_GOOD)
    last_good = world.store.load("feed", asset="feed", partition=daily(7)).last_good
    assert last_good is not None
    assert last_good.partition == daily(served)


def test_could_not_measure_is_held_told_and_moves_nothing() -> None:
    world = five_good_days()
    window = world.breaker.window
    arrival = world.deliver(6, UNREADABLE, day(6, 6))
    assert (arrival.verdict.outcome, arrival.batch.status) == (Outcome.INCONCLUSIVE, Status.HELD)
    assert (world.breaker.state, world.breaker.window) == (State.CLOSED, window)
    assert world.events() == ["batch.held"]
    assert world.route("fraud_scores", 6, FULL).kind is RouteKind.HALTED
    assert recovery.due_releases(world.gate) == []


def test_what_was_made_from_fallback_data_never_counts_probes_or_becomes_last_good() -> None:
    world = World()
    world.deliver(1, GOOD, day(1, 6), confidence=STALE)
    assert world.breaker.window == ()
    assert world.route("x", 1, FULL).kind is RouteKind.HALTED
    assert world.route("x", 2, STALE).kind is RouteKind.UNJUDGED
    world.deliver(2, BAD, day(2, 6), confidence=LOW)
    assert world.breaker.state is State.CLOSED
    world.deliver(3, BAD, day(3, 6))
    world.deliver(4, GOOD, day(4, 6), confidence=STALE)
    world.clock.at = day(6)
    claimed = world.claim()
    assert isinstance(claimed, Probe)
    assert claimed.batch.partition == daily(3), "the newest that may probe"
    assert world.route("x", 4, STALE).kind is RouteKind.HALTED, "there is no last good"


def test_scoped_breakers_trip_one_by_one() -> None:
    world = World(policy=replace(POLICY, scope="vendor"))

    def of(vendor: str) -> Partition:
        return replace(daily(1), key=f"2026-01-01|{vendor}", dimensions=(("day", "2026-01-01"), ("vendor", vendor)))

    world.store_away(world.judge(of("a"), BAD), BAD)
    world.store_away(world.judge(of("b"), GOOD), GOOD)
    assert {breaker.key: breaker.state for breaker in world.store.breakers()} == {
        "feed[vendor=a]": State.OPEN,
        "feed[vendor=b]": State.CLOSED,
    }
    for known in (world.terms, None):  # its own code location, and another one that has no contract of it
        for vendor, kind in (("a", RouteKind.HALTED), ("b", RouteKind.FRESH)):
            step = StepKey(world.run(), "x")
            route = routing.route(world.gate, step, routing.Input("x", "feed", FULL, known), of(vendor))
            assert (route.kind, route.breaker_key) == (kind, f"feed[vendor={vendor}]")


def test_observe_only_publishes_and_routes_nothing_and_the_record_says_so() -> None:
    world = five_good_days()
    recovery.override(world.gate, "feed", OverrideKind.OBSERVE_ONLY, actor="ann", reason="trial", expires_at=day(8))
    bad = world.deliver(6, BAD, day(6, 6))
    assert (bad.batch.status, bad.verdict.outcome) == (Status.PUBLISHING, Outcome.FAIL)
    assert world.route("fraud_scores", 6, FULL).kind is RouteKind.FRESH
    assert [change.shadow for change in world.store.transitions("feed", 1)] == [True]
    world.deliver(8, GOOD, day(8, 6))
    newest = world.store.transitions("feed", 1)[0]
    assert (newest.from_state, newest.to_state, newest.cause) == (State.OPEN, State.CLOSED, "observe_only by ann expired")
    assert world.breaker.override is None
    last_good = world.store.load("feed", asset="feed", partition=daily(7)).last_good
    assert last_good is not None
    assert last_good.partition == daily(5), "what was published despite its verdict is not"


# --- probes --------------------------------------------------------------------------------------------------------


def test_a_late_probe_changes_nothing_but_its_batch() -> None:
    world = tripped()
    world.clock.at = day(7, 12)
    claimed = world.claim()
    assert isinstance(claimed, Probe)
    assert isinstance(world.claim(), Refused)
    world.clock.at += world.policy.lease
    before = world.breaker
    late = probing.settle(world.gate, world.terms, claimed, GOOD)
    assert replace(world.breaker, version=0) == replace(before, version=0)
    assert (late.batch.status, late.batch.outcome, late.batch.counted) == (Status.HELD, Outcome.PASS, True)
    assert world.changes()[-1] == ("open", "half_open")
    assert isinstance(world.claim(), Probe), "the next probe is due at once"


def test_a_probe_does_not_touch_a_batch_that_was_published_or_discarded_meanwhile() -> None:
    for word in (recovery.release, recovery.discard):
        world = tripped()
        world.clock.at = day(7, 12)
        claimed = world.claim()
        assert isinstance(claimed, Probe)
        word(world.gate, claimed.batch, actor="ann", reason="why")
        stored = world.store.batch(claimed.batch.id)
        assert stored is not None
        if word is recovery.release:
            world.publish(stored)
        before = world.store.batch(claimed.batch.id)
        probing.settle(world.gate, world.terms, claimed, BAD)
        assert world.store.batch(claimed.batch.id) == before
        assert world.breaker.state is State.OPEN


@pytest.mark.parametrize("data", [UNREADABLE, {**GOOD, "columns": 0}])
def test_a_probe_that_proves_nothing_says_so_and_leaves_the_batch_as_it_was(data: dict[str, int]) -> None:
    world = tripped()
    world.deliver(7, GOOD, day(7, 6))
    world.clock.at = day(7, 12)
    if data:  # without the column its rule is not executed; presence is made harmless so that nothing else fails
        rules = tuple(rule for rule in world.terms.plan.rules if rule.id != "risk.present")
        world.terms = replace(world.terms, plan=replace(world.terms.plan, rules=rules))
    judgement = world.probe(data=data)
    assert judgement.verdict.outcome is not Outcome.FAIL
    assert (judgement.batch.status, judgement.batch.outcome.value in ("pass", "warn")) == (Status.HELD, True)
    assert not judgement.batch.counted
    assert world.events().count("probe.inconclusive") == 1
    assert world.breaker.state is State.HALF_OPEN
    assert isinstance(world.claim(), Refused)
    world.clock.at += world.policy.lease
    assert world.probe().breaker.state is State.CLOSED


def test_without_a_stored_batch_there_is_nothing_to_probe_and_a_delivery_is_the_probe() -> None:
    world = tripped()
    world.clock.at = day(7, 12)
    world.probe()
    world.clock.at = day(9)
    refused = world.claim()
    assert isinstance(refused, Refused)
    assert "deliver a new one" in refused.reason
    assert world.due_probes() == []
    assert world.deliver(9, GOOD).breaker.state is State.CLOSED
    assert isinstance(probing.claim(world.gate, world.terms, "nothing", holder="x"), Refused)


# --- routes --------------------------------------------------------------------------------------------------------


def test_a_decision_is_kept_for_the_step_attempt_and_made_anew_for_the_next() -> None:
    world = tripped()
    step = StepKey("run", "fraud_scores", 0)
    first = world.route("fraud_scores", 6, FULL, step=step)
    assert first.kind is RouteKind.HALTED
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    world.deliver(6, {**GOOD, "rows": 1})
    assert world.route("fraud_scores", 6, FULL, step=step) == first
    assert world.store.decisions(step) == [first]
    assert world.route("fraud_scores", 6, FULL, step=replace(step, attempt=1)).kind is RouteKind.FRESH
    assert world.events().count("route.served_fallback") == 1


def test_a_consumer_that_says_nothing_gets_the_contracts_word() -> None:
    world = tripped()
    assert world.route("anybody", 6, None).kind is RouteKind.LAST_GOOD
    assert world.route("anybody", 6, FULL).kind is RouteKind.HALTED


def test_an_unjudged_upstream_is_no_better_than_its_own_inputs() -> None:
    world = tripped()
    world.consume("marketing_scores", 6, STALE)
    governed = terms(asset="marketing_scores")
    route = routing.route(world.gate, StepKey("r", "s"), routing.Input("s", "marketing_scores", FULL, governed), daily(6))
    assert route.kind is RouteKind.HALTED
    route = routing.route(world.gate, StepKey("r2", "s"), routing.Input("s", "marketing_scores", STALE, governed), daily(6))
    assert (route.kind, route.confidence) == (RouteKind.LAST_GOOD, STALE)


# --- races and a store out of reach --------------------------------------------------------------------------------


class Contested(MemoryStore):
    """Somebody else is first, `losses` times."""

    losses = 0

    def save(self, change: Change) -> None:
        if change.breaker is not None and self.losses:
            self.losses -= 1
            raise LostRace("somebody else was first")
        super().save(change)


def test_a_lost_race_is_decided_anew() -> None:
    world = five_good_days()
    contested = Contested(clock=world.clock)
    contested.__dict__.update(world.store.__dict__)
    world.gate = Gate(contested, Counts())
    contested.losses = 5
    world.deliver(6, BAD, day(6, 6))
    assert world.changes() == [("closed", "open")]
    assert contested.losses == 0
    contested.losses = RACES
    with pytest.raises(StoreUnavailable, match=f"feed changed {RACES} times"):
        world.judge(daily(7), BAD)


def test_a_decision_is_taken_on_what_the_winner_left() -> None:
    world = five_good_days()

    class Raced(MemoryStore):
        """The first save comes after another process has tripped the breaker."""

        def save(self, change: Change) -> None:
            if not (rival := self.__dict__.get("rival")):
                super().save(change)
                return
            self.__dict__["rival"] = None
            rival()
            super().save(change)

    raced = Raced(clock=world.clock)
    raced.__dict__.update(world.store.__dict__)
    raced.__dict__["rival"] = lambda: world.deliver(6, BAD, day(6, 6))
    judgement = Gate(raced, Counts()).judge(world.terms, Delivery(daily(7), "run", "run"), GOOD)
    assert judgement.batch.status is Status.HELD, "the breaker had opened before this verdict was recorded"


class Down(MemoryStore):
    def load(self, *_: Any, **__: Any) -> Snapshot:
        raise StoreUnavailable("connection refused")

    def decided(self, *_: Any, **__: Any) -> Route | None:
        raise StoreUnavailable("connection refused")


def down(admit: bool, **policy: Any) -> World:
    world = World(policy=replace(POLICY, admit_when_unavailable=admit, **policy))
    world.gate = Gate(Down(clock=FixedClock(day(1))), Counts())
    return world


def test_a_store_out_of_reach_halts_unless_the_policy_admits() -> None:
    halted = down(admit=False).route("x", 6, LOW)
    assert (halted.kind, halted.confidence) == (RouteKind.HALTED, None)
    assert "connection refused" in halted.reason
    admitted = down(admit=True).route("x", 6, FULL)
    assert (admitted.kind, admitted.served) == (RouteKind.UNJUDGED, daily(6))
    unknown = down(admit=True).route("x", 6, FULL, upstream="elsewhere")
    assert unknown.kind is RouteKind.HALTED, "where the policy cannot be read, the default holds"


@pytest.mark.parametrize(
    ("data", "admit", "admit_inconclusive", "published"),
    [
        (GOOD, False, False, False),
        (GOOD, True, False, True),
        (BAD, True, True, False),
        (UNREADABLE, True, False, False),
        (UNREADABLE, True, True, True),
        (UNREADABLE, False, True, False),
    ],
)
def test_what_is_published_while_no_store_can_record_it(
    data: dict[str, int], admit: bool, admit_inconclusive: bool, published: bool
) -> None:
    world = down(admit, admit_inconclusive=admit_inconclusive)
    if not published:
        with pytest.raises(StoreUnavailable):
            world.judge(daily(1), data)
        return
    judgement = world.judge(daily(1), data)
    assert judgement.publish
    assert "onStoreUnavailable: admit" in judgement.batch.note


@pytest.mark.parametrize(
    ("data", "admit", "told"),
    [
        (BAD, True, r"feed \[2026-01-01\] is not let in without it.*broke contract 1\.0\.0: risk\.enum: 88 .* expected"),
        (UNREADABLE, True, r"could not be measured: .*the file is truncated"),
        (BAD, False, r"^connection refused$"),
    ],
)
def test_what_is_wrong_with_a_batch_is_told_where_no_store_can_record_it_and_others_are_let_in(data: Any, admit: bool, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told):
        down(admit).judge(daily(1), data)


# --- outputs -------------------------------------------------------------------------------------------------------


def test_a_low_output_opens_a_review_that_the_healed_one_supersedes() -> None:
    world = tripped()
    low = world.consume("underwriting_scores", 6, LOW)
    (review,) = world.store.reviews()
    assert (review.id, review.status, review.asset, review.partition) == (low.id, ReviewStatus.PENDING, "underwriting_scores", daily(6))
    assert review.reason.startswith("feed is open since 2026-01-06 06:00Z")
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    world.deliver(6, GOOD, day(6, 8))
    world.consume("underwriting_scores", 6, LOW)
    assert [review.status for review in world.store.reviews()] == [ReviewStatus.SUPERSEDED]
    healed = world.store.outputs(statuses=[OutputStatus.HEALED])
    assert [(output.id, output.ended_at) for output in healed] == [(low.id, day(6, 8))]
    (told,) = [event for event in world.store.events() if event.type == "output.healed"]
    assert (told.key, told.payload["asset"], told.payload["seconds"]) == ("feed", "underwriting_scores", 7200.0)


def test_stale_outputs_need_no_review() -> None:
    world = tripped()
    world.consume("marketing_scores", 6, STALE)
    assert world.store.reviews() == []


# --- what the adapters report back ---------------------------------------------------------------------------------


def test_a_stored_batch_is_published_on_the_verdict_it_has() -> None:
    world = tripped()
    world.deliver(7, GOOD, day(7, 6))
    held = world.store.batches(statuses=[Status.HELD])[0]
    with pytest.raises(UsageError, match=r"is held \(pass\) and may not be published now"):
        stored.publishing(world.gate, held, world.run())
    world.probe(day(7, 12))
    (due,) = recovery.due_releases(world.gate)
    going = stored.publishing(world.gate, due.batch, world.run())
    assert (going.publish, going.batch.id) == (True, held.id)
    assert world.route("x", 7, FULL).kind is RouteKind.HALTED, "it is being written"
    with pytest.raises(UsageError, match="is publishing"):
        stored.publishing(world.gate, due.batch, world.run())
    world.gate.published(going.batch, "etag")
    row = world.store.batch(held.id)
    assert stored is not None
    assert (row.status, row.storage_version, row.staged) == (Status.PUBLISHED, "etag", None)


def test_a_release_that_died_while_writing_is_found_out_and_due_again() -> None:
    world = tripped()
    recovery.release(world.gate, world.store.batches(statuses=[Status.QUARANTINED])[0], actor="ann", reason="known bug")
    (due,) = recovery.due_releases(world.gate)
    going = stored.publishing(world.gate, due.batch, world.run()).batch
    assert recovery.due_releases(world.gate) == []
    assert stored.settle_publishing(world.gate, world.terms, going, None).status is Status.QUARANTINED
    (again,) = recovery.due_releases(world.gate)
    going = stored.publishing(world.gate, again.batch, world.run()).batch
    assert stored.settle_publishing(world.gate, world.terms, going, BAD).status is Status.PUBLISHED
    assert recovery.due_releases(world.gate) == []


@pytest.mark.parametrize(("there", "status"), [(GOOD, Status.PUBLISHED), ({**GOOD, "rows": 3}, Status.DISCARDED), (None, Status.DISCARDED)])
def test_a_delivery_that_died_while_writing_is_what_stands_in_the_live_place_or_it_is_not(
    there: dict[str, int] | None, status: Status
) -> None:
    world = World()
    batch = world.judge(daily(1), GOOD, data_version="v1").batch
    assert stored.settle_publishing(world.gate, world.terms, batch, there).status is status


def test_a_discarded_batch_does_not_come_back_by_a_late_report() -> None:
    world = tripped()
    bad = world.store.batches(statuses=[Status.QUARANTINED])[0]
    recovery.discard(world.gate, bad, actor="ann", reason="useless")
    world.gate.published(bad, None)
    world.gate.staged(bad, "f11")
    stored = world.store.batch(bad.id)
    assert stored is not None
    assert (stored.status, stored.staged, stored.note) == (Status.DISCARDED, bad.staged, "discarded by ann: useless")


@pytest.mark.parametrize("report", [lambda gate, batch: gate.published(batch, None), lambda gate, batch: gate.staged(batch, "f")])
def test_a_report_on_a_batch_that_no_ledger_knows_changes_nothing(report: Callable[[Gate, Any], None]) -> None:
    admitted = down(admit=True).judge(daily(1), GOOD).batch
    world = World()
    report(world.gate, admitted)
    assert world.store.batches() == []
    assert world.store.breakers() == []


def test_a_refused_unpartitioned_delivery_leaves_the_live_data_last_good() -> None:
    world = World()
    world.deliver(None, GOOD, day(1))
    world.deliver(None, BAD, day(2))
    assert [(route.kind, route.served) for route in (world.route("x", None, accepts) for accepts in (FULL, STALE))] == [
        (RouteKind.HALTED, None),
        (RouteKind.LAST_GOOD, UNPARTITIONED),
    ]
    low = world.route("x", None, LOW)
    assert world.beside[low.staged or ""] is BAD


# --- adoption ------------------------------------------------------------------------------------------------------


def test_a_baseline_gives_a_last_good_moves_no_breaker_and_can_be_repeated() -> None:
    world = World()
    for number, data in ((1, GOOD), (2, BAD), (3, UNREADABLE)):
        stored.baseline(world.gate, world.terms, Delivery(daily(number), "run", "run"), data)
    assert [world.status(number) for number in (1, 2, 3)] == [[("published", "pass")], [], []]
    assert (world.breaker.state, world.breaker.window, world.events()) == (State.CLOSED, (), [])
    world.deliver(1, BAD, day(4))
    before = world.status(1)
    stored.baseline(world.gate, world.terms, Delivery(daily(1), "run 2", "run 2"), GOOD)
    assert world.status(1) == before == [("quarantined", "fail"), ("published", "pass")], "what came later stays the newer"
    assert world.route("marketing_scores", 2, STALE).served == daily(1)
