"""The ways back: what is due and when, and the words of people. From every state there is one that needs no SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dagster_contracts import recovery, routing, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Batch, OutputStatus, Partition, Release, RouteKind, Status, StepKey
from dagster_contracts.core.state import OverrideKind, State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.judgement import Judgement, Probe
from tests.gate_world import BAD, GOOD, HOUR, POLICY, UNREADABLE, Data, World, daily, day, terms

FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW
MINUTE = timedelta(minutes=1)


def tripped(world: World | None = None) -> World:
    """Day 5 is the last good, day 6 tripped at 06:00."""
    world = world or World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    return world


def row(world: World, number: int) -> Batch:
    return world.store.batches(asset="feed", partition=daily(number).key)[0]


def rejudge(world: World, batch: Batch, data: Data) -> Judgement:
    return stored.rejudge(world.gate, world.terms, batch, data, actor="ann", reason="look again")


# --- probes --------------------------------------------------------------------------------------------------------


def test_a_probe_is_due_once_the_cooldown_is_over_and_there_is_something_to_probe() -> None:
    world = tripped()
    world.clock.at = day(7, 12) - MINUTE
    assert world.due_probes() == []
    world.clock.at = day(7, 12)
    (due,) = world.due_probes()
    assert (due.breaker.key, due.batch.id, due.attempt) == ("feed", row(world, 6).id, 0)
    assert due.run_key == "probe:feed:1:0"
    assert recovery.due_probes(world.gate, {}) == []


def test_a_lost_probe_run_is_followed_by_another_after_a_lease_period() -> None:
    world = tripped()
    lease, keys = world.policy.lease, set()
    for periods in (0, 1, 2):
        world.clock.at = day(7, 12) + periods * lease
        keys.add(world.due_probes()[0].run_key)
        world.clock.at += lease - MINUTE
        keys.add(world.due_probes()[0].run_key)
    assert keys == {"probe:feed:1:0", "probe:feed:1:1", "probe:feed:1:2"}


def test_a_crashed_prober_is_followed_by_another_once_its_lease_has_ended() -> None:
    world = tripped()
    world.clock.at = day(7, 12)
    assert isinstance(world.claim(), Probe)
    assert world.due_probes() == []
    world.clock.at += world.policy.lease
    (due,) = world.due_probes()
    assert due.run_key == "probe:feed:2:1"
    assert world.probe().breaker.state is State.OPEN


def test_the_newest_stored_batch_is_probed_and_each_once_per_incident() -> None:
    world = tripped()
    world.deliver(7, BAD, day(7, 6))
    world.deliver(4, BAD, day(7, 7))  # backfill: never a probe
    probed = []
    for _ in range(2):
        world.clock.at = world.breaker.retry_at or world.clock.at
        (due,) = world.due_probes()
        probed.append(world.probe().batch.partition.key)
        assert due.batch.partition.key == probed[-1]
    assert probed == ["2026-01-07", "2026-01-06"]
    world.clock.at += 40 * HOUR
    assert world.due_probes() == []


def test_leftovers_of_an_earlier_incident_are_probed_under_a_new_version_only() -> None:
    world = tripped()
    world.deliver(7, BAD, day(7, 6))
    world.deliver(8, GOOD, day(8, 12))  # closes; days 6 and 7 stay as they are
    world.deliver(9, BAD, day(9, 6))
    world.clock.at = world.breaker.retry_at or world.clock.at
    assert [due.batch.partition.key for due in world.due_probes()] == [daily(9).key]
    world.probe()
    world.clock.at += 40 * HOUR
    assert world.due_probes() == []
    world.terms = terms(version="2.0.0")
    assert [due.batch.partition.key for due in world.due_probes()] == [daily(9).key]
    world.probe()
    world.clock.at += 40 * HOUR
    assert [due.batch.partition.key for due in world.due_probes()] == [daily(7).key]


def test_a_new_contract_version_lets_the_stored_batches_be_probed_again() -> None:
    world = tripped()
    world.probe(day(7, 12))
    world.clock.at = day(10)
    assert isinstance(world.claim(), Refused)
    world.terms = terms(version="2.0.0")
    assert world.probe(data=GOOD).breaker.state is State.CLOSED


def test_a_new_contract_version_makes_a_probe_due_at_once() -> None:
    world = tripped()
    world.terms = terms(version="2.0.0")
    keys = set()
    for moment in (day(6, 7), day(6, 8), day(7, 12), day(7, 12) + world.policy.lease):
        world.clock.at = moment
        keys.add(world.due_probes()[0].run_key)
    assert keys == {"probe:feed:2:0", "probe:feed:2:1"}, "a lost run is followed by another once the first cooldown is over"
    assert world.probe(day(6, 7), data=GOOD).breaker.state is State.CLOSED


# --- releases ------------------------------------------------------------------------------------------------------


def test_on_closing_the_held_batches_that_passed_are_released_oldest_first() -> None:
    world = World(policy=replace(POLICY, cooldown=90 * HOUR, backoff_maximum=90 * HOUR))
    tripped(world)
    world.deliver(8, {**GOOD, "rows": 8}, day(8, 6))
    world.deliver(7, {**GOOD, "rows": 7}, day(8, 7))
    world.deliver(9, UNREADABLE, day(9, 6))
    assert recovery.due_releases(world.gate) == []
    world.probe(day(11), GOOD)
    assert world.breaker.state is State.CLOSED
    assert [due.batch.partition.key for due in recovery.due_releases(world.gate)] == ["2026-01-07", "2026-01-08", "2026-01-09"]
    assert recovery.due_releases(world.gate, ["other"]) == []


def test_what_could_not_be_measured_is_not_released_until_it_is_judged_again() -> None:
    world = World()
    world.deliver(5, UNREADABLE, day(5, 6))
    assert recovery.due_releases(world.gate) == []
    judged = rejudge(world, row(world, 5), UNREADABLE)
    assert (judged.batch.outcome, judged.batch.status) == (Outcome.INCONCLUSIVE, Status.HELD)
    rejudge(world, row(world, 5), GOOD)
    (due,) = recovery.due_releases(world.gate)
    world.publish(due.batch)
    assert world.status(5) == [("published", "pass")]


def test_judging_again_moves_no_breaker_and_forgets_no_verdict() -> None:
    world = tripped()
    before = world.breaker
    kept = rejudge(world, row(world, 6), UNREADABLE)
    assert (kept.batch.outcome, kept.batch.status) == (Outcome.FAIL, Status.QUARANTINED)
    passed = rejudge(world, row(world, 6), GOOD)
    assert (passed.batch.outcome, passed.batch.status) == (Outcome.PASS, Status.HELD)
    assert (world.breaker.state, world.breaker.generation) == (before.state, before.generation)
    world.deliver(5, {**GOOD, "rows": 1}, day(7, 12))
    assert world.breaker.state is State.CLOSED
    published = row(world, 5)
    with pytest.raises(UsageError, match="only a quarantined or held batch is judged again"):
        rejudge(world, replace(published, id="unknown"), GOOD)


def test_a_lost_release_run_can_be_asked_for_again() -> None:
    world = tripped()
    recovery.release(world.gate, row(world, 6), actor="ann", reason="known bug")
    (first,) = recovery.due_releases(world.gate)
    assert recovery.due_releases(world.gate)[0].run_key == first.run_key
    world.clock.at += HOUR
    recovery.release(world.gate, row(world, 6), actor="ann", reason="again")
    assert recovery.due_releases(world.gate)[0].run_key != first.run_key


def test_a_person_releases_a_failed_batch_and_it_is_never_last_good() -> None:
    world = tripped()
    released = recovery.release(world.gate, row(world, 6), actor="ann", reason="known bug")
    assert released.released == Release("ann", "known bug", world.clock.at)
    assert world.events()[-1] == "batch.released"
    assert world.breaker.state is State.OPEN
    (due,) = recovery.due_releases(world.gate)
    world.publish(due.batch)
    assert world.status(6) == [("published", "fail")]
    assert world.live["2026-01-06"] is BAD
    route = world.route("fraud_scores", 6, FULL)
    assert (route.kind, route.reason) == (RouteKind.FRESH, "released by ann: known bug")
    assert world.route("marketing_scores", 7, STALE).served == daily(5)


def test_a_release_speaks_of_what_was_staged_and_not_of_a_later_delivery_with_equal_counts() -> None:
    world = tripped()
    recovery.release(world.gate, row(world, 6), actor="ann", reason="known bug")
    again = world.deliver(6, BAD)  # the same measurement: other rows could be in it
    assert (again.batch.id, again.batch.status, again.batch.released) == (row(world, 6).id, Status.QUARANTINED, None)
    assert recovery.due_releases(world.gate) == []
    assert "2026-01-06" not in world.live


def test_only_what_waits_beside_the_live_data_can_be_released() -> None:
    world = tripped()
    unwritten = world.judge(daily(7), BAD).batch
    with pytest.raises(UsageError, match="is not stored beside the live data; run the asset again to deliver it"):
        recovery.release(world.gate, unwritten, actor="ann", reason="why")
    stale_view = row(world, 6)
    recovery.discard(world.gate, stale_view, actor="ann", reason="useless")
    world.deliver(6, UNREADABLE, day(6, 7))
    with pytest.raises(UsageError, match="is discarded and a later delivery of its partition has come; only a quarantined or held batch"):
        recovery.release(world.gate, stale_view, actor="bob", reason="why")
    with pytest.raises(UsageError, match="is not in the ledger"):
        recovery.release(world.gate, replace(stale_view, id="unknown"), actor="bob", reason="why")
    with pytest.raises(UsageError, match="is published; only a quarantined or held batch can be discarded"):
        recovery.discard(world.gate, row(world, 5), actor="ann", reason="why")


def test_a_discarded_batch_is_neither_probed_nor_served_until_delivered_anew() -> None:
    world = tripped()
    recovery.discard(world.gate, row(world, 6), actor="ann", reason="useless")
    world.clock.at = day(7, 12)
    assert world.due_probes() == []
    assert world.route("underwriting_scores", 6, LOW).served == daily(5)
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    assert world.route("fraud_scores", 6, FULL).kind is RouteKind.HALTED
    world.deliver(6, GOOD)
    assert world.route("fraud_scores", 6, FULL).kind is RouteKind.FRESH
    assert world.events().count("batch.discarded") == 1


def test_what_was_discarded_last_can_be_released_after_all() -> None:
    world = tripped()
    discarded = recovery.discard(world.gate, row(world, 6), actor="ann", reason="a duplicate")
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    assert recovery.releasable_batch(world.gate, "feed", daily(6).key) == discarded
    released = recovery.release(world.gate, discarded, actor="bob", reason="it was none")
    assert (released.status, released.staged) == (Status.QUARANTINED, discarded.staged)
    assert [due.batch.id for due in recovery.due_releases(world.gate)] == [discarded.id]


# --- healing -------------------------------------------------------------------------------------------------------


def test_an_output_heals_once_the_partition_it_asked_for_is_published() -> None:
    world = tripped()
    made = world.consume("marketing_scores", 6, STALE)
    world.clock.at += MINUTE
    halted = world.consume("fraud_scores", 6, FULL)
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    assert recovery.due_healings(world.gate) == [], "closed, but day 6 has not come"
    world.deliver(7, GOOD, day(7, 6))
    assert recovery.due_healings(world.gate) == [], "another day is not day 6"
    world.deliver(6, GOOD, day(7, 7))
    due = recovery.due_healings(world.gate)
    assert [healing.output for healing in due] == [made, halted]
    assert due[0].inputs == (row(world, 6).id,)
    assert due[0].run_key.startswith(f"heal:{made.id}:")
    assert recovery.due_healings(world.gate, ["fraud_scores"]) == [due[1]]
    assert [healing.run_key for healing in recovery.due_healings(world.gate)] == [healing.run_key for healing in due]


def test_a_new_batch_makes_a_new_healing_run() -> None:
    world = tripped()
    world.consume("marketing_scores", 6, STALE)
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    keys = []
    for rows in (1, 2):
        world.deliver(6, {"rows": rows}, day(7, 6))
        keys.append(recovery.due_healings(world.gate)[0].run_key)
    assert keys[0] != keys[1]


def test_an_output_of_a_partition_that_never_came_waits_for_it() -> None:
    world = tripped()
    world.consume("marketing_scores", 7, STALE)
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    assert world.route("x", 7, FULL).kind is RouteKind.UNJUDGED
    assert recovery.due_healings(world.gate) == []
    world.deliver(7, GOOD, day(7, 6))
    assert len(recovery.due_healings(world.gate)) == 1


def test_an_input_that_nobody_judges_keeps_no_output_degraded() -> None:
    world = tripped()
    other = terms(asset="other")
    step = StepKey("run", "report")
    routes = [
        world.route("report", 6, STALE, step=step),
        routing.route(world.gate, step, routing.Input("report", "other", STALE, other), daily(6)),
        routing.route(world.gate, step, routing.Input("report", "plain", STALE, None), daily(6)),
    ]
    world.store.breakers()  # "other" has none: nothing of it was ever judged
    output = world.gate.record_output("report", daily(6), "run", routes)
    assert (output.status, [route.kind.value for route in routes]) == (OutputStatus.DEGRADED, ["last_good", "unjudged", "fresh"])
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    world.deliver(6, GOOD)
    assert [healing.output for healing in recovery.due_healings(world.gate)] == [output]


def test_what_was_made_of_degraded_outputs_heals_after_them() -> None:
    world = tripped()
    world.consume("marketing_scores", 6, STALE)
    world.consume("report", 6, STALE, "marketing_scores")
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    world.deliver(6, GOOD)
    assert [healing.output.asset for healing in recovery.due_healings(world.gate)] == ["marketing_scores"]
    world.consume("marketing_scores", 6, STALE)
    assert [healing.output.asset for healing in recovery.due_healings(world.gate)] == ["report"]
    world.consume("report", 6, STALE, "marketing_scores")
    assert recovery.due_healings(world.gate) == []


# --- words of people -----------------------------------------------------------------------------------------------


def test_an_override_takes_effect_at_once_and_is_told() -> None:
    world = tripped()
    (closed,) = recovery.override(world.gate, "feed", OverrideKind.FORCE_CLOSED, actor="ann", reason="false alarm", expires_at=day(7))
    assert (closed.override.kind if closed.override else None) is OverrideKind.FORCE_CLOSED
    assert world.route("fraud_scores", 7, FULL).kind is RouteKind.UNJUDGED
    event = world.store.events()[-1]
    assert (event.type.value, event.payload["actor"], event.payload["cause"]) == ("breaker.changed", "ann", "force_closed: false alarm")
    world.clock.at = day(7)
    assert world.route("fraud_scores", 7, FULL).kind is RouteKind.HALTED


def test_reset_closes_and_releases_what_was_held() -> None:
    world = tripped()
    world.deliver(7, GOOD, day(7, 6))
    assert [each.state for each in recovery.reset(world.gate, "feed", actor="ann", reason="fixed")] == [State.CLOSED]
    assert [due.batch.partition.key for due in recovery.due_releases(world.gate)] == ["2026-01-07"]
    assert world.store.transitions("feed", 1)[0].actor == "ann"


def of_vendor(number: int, vendor: str) -> Partition:
    whole = daily(number)
    return replace(whole, key=f"{whole.key}|{vendor}", dimensions=(("day", str(whole.key)), ("vendor", vendor)))


def scoped(*vendors: str) -> World:
    """A breaker for each vendor; the first vendor's is open."""
    world = World(replace(POLICY, scope="vendor"))
    for vendor, data in zip(vendors, (BAD, *(GOOD for _ in vendors)), strict=False):
        world.store_away(world.judge(of_vendor(1, vendor), data), data)
    return world


@pytest.mark.parametrize("kind", list(OverrideKind))
def test_a_word_about_an_asset_is_said_of_all_its_scoped_breakers_and_of_those_that_come(kind: OverrideKind) -> None:
    world = scoped("a", "b")
    said = recovery.override(world.gate, "feed", kind, actor="ann", reason="month end", expires_at=day(3))
    assert [each.key for each in said] == ["feed", "feed[vendor=a]", "feed[vendor=b]"]
    world.judge(of_vendor(1, "c"), GOOD)
    words = {each.key: each.override for each in world.store.breakers()}
    assert len(words) == 4
    assert {(word.kind, word.reason, word.expires_at) for word in words.values() if word} == {(kind, "month end", day(3))}
    assert None not in words.values()
    assert {each.state for each in recovery.reset(world.gate, "feed", actor="ann", reason="over")} == {State.CLOSED}
    assert {each.override for each in world.store.breakers()} == {None}
    world.judge(of_vendor(1, "d"), BAD)
    assert world.store.breakers(["feed[vendor=d]"])[0].state is State.OPEN


def test_a_word_about_one_scoped_breaker_is_said_of_that_one() -> None:
    world = scoped("a", "b")
    recovery.override(world.gate, "feed[vendor=b]", OverrideKind.FORCE_OPEN, actor="ann", reason="why")
    assert [each.key for each in world.store.breakers() if each.override] == ["feed[vendor=b]"]


def test_a_reset_of_an_asset_makes_no_breaker() -> None:
    world = scoped("a", "b")
    assert [each.key for each in recovery.reset(world.gate, "feed", actor="ann", reason="why")] == ["feed[vendor=a]", "feed[vendor=b]"]
    assert len(world.store.breakers()) == 2


def test_an_unknown_breaker_names_the_nearest() -> None:
    world = World()
    with pytest.raises(UsageError, match=r'no breaker "feed".* none yet'):
        recovery.reset(world.gate, "feed", actor="ann", reason="why")
    tripped(world)
    with pytest.raises(UsageError, match=r'no breaker "fed", did you mean "feed"'):
        recovery.override(world.gate, "fed", OverrideKind.FORCE_OPEN, actor="ann", reason="why")


@pytest.mark.parametrize("trouble", ["open", "half open, prober crashed", "all probed", "forced open"])
def test_there_is_a_way_out_of_every_trouble(trouble: str) -> None:
    world = tripped()
    world.clock.at = day(7, 12)
    if trouble == "half open, prober crashed":
        world.claim()
    elif trouble == "all probed":
        world.probe()
    elif trouble == "forced open":
        recovery.override(world.gate, "feed", OverrideKind.FORCE_OPEN, actor="ann", reason="why", expires_at=day(8))
    world.clock.at = day(10)
    assert world.deliver(10, GOOD).breaker.state is State.CLOSED
