"""Deliveries that come at the wrong time, and those that never come, through the gate and every store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dagster_contracts import recovery, stored
from dagster_contracts.core.contract import Attached, Confidence, Contract, Property, SchemaObject, ServiceLevel, Waiver
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.ledger import Partition, RouteKind, Status
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.watching import MissedDelivery, record_missed
from tests.gate_world import BAD, GOOD, POLICY, UNREADABLE, Counts, Data, World, daily, day
from tests.invariant_model import Unsteady
from tests.schemas import assert_described

MINUTE = timedelta(minutes=1)
COOLDOWN = replace(POLICY, cooldown=30 * MINUTE)


def watched(severity: str | None = None, version: str = "1.0.0", **level: object) -> Terms:
    """A feed that promises a batch each day, give or take 2 hours."""
    promise = ServiceLevel("frequency", 1, unit="d", severity=severity, tolerance="PT2H")
    promise = replace(promise, **level)  # type: ignore[arg-type]
    feed = SchemaObject("feed", properties=(Property("risk", logical_type="string", enum=("HIGH", "LOW")),))
    contract = Contract("feed", version, "v3.2.0", "active", (feed,), policy=COOLDOWN, service_levels=(promise,))
    return Terms.of(Attached("feed", contract, feed))


def world(severity: str | None = None, **level: object) -> World:
    made = World(COOLDOWN)
    made.terms = watched(severity, **level)
    return made


def look(of: World, at: datetime, windows: Sequence[datetime] = ()) -> list[MissedDelivery]:
    """A tick of the sensor."""
    of.clock.at = at
    return record_missed(of.gate, {"feed": of.terms}, lambda asset, now: windows)


def finding(of: World, number: int | None, data: Data, at: datetime) -> tuple[Outcome, str]:
    verdict = of.deliver(number, data, at).verdict
    told = [found.observed for found in verdict.findings if found.rule == "sla.frequency"]
    told += [missed.reason for missed in verdict.not_executed if missed.rule == "sla.frequency"]
    (only,) = told
    return verdict.outcome, only


# --- batches that come -----------------------------------------------------------------------------------------------


def test_a_feed_is_judged_by_when_it_came_before() -> None:
    feed = world()
    assert finding(feed, 1, GOOD, day(2, 6)) == (Outcome.PASS, "the first batch: there is none before it to compare with")
    assert finding(feed, 2, GOOD, day(3, 6)) == (Outcome.PASS, "1 d after the one before")
    assert finding(feed, 3, GOOD, day(4, 9)) == (Outcome.WARN, "1 d 3 h after the one before: 3 h late")
    assert feed.status(3) == [("published", "warn")]


def test_a_refused_delivery_can_be_repaired_the_same_day() -> None:
    feed = world("critical")
    feed.deliver(None, GOOD, day(1, 6))
    assert finding(feed, None, BAD, day(2, 6)) == (Outcome.FAIL, "1 d after the one before")
    assert feed.breaker.state is State.OPEN
    assert finding(feed, None, GOOD, day(2, 6) + 5 * MINUTE)[0] is Outcome.PASS  # held
    assert feed.probe(day(2, 7)).verdict.outcome is Outcome.PASS
    assert feed.breaker.state is State.CLOSED


def test_after_the_cooldown_a_repaired_delivery_closes_the_breaker_and_the_next_is_too_early() -> None:
    feed = world("critical")
    feed.deliver(None, GOOD, day(1, 6))
    feed.deliver(None, BAD, day(2, 6))
    feed.deliver(None, UNREADABLE, day(2, 6) + MINUTE)
    assert finding(feed, None, GOOD, day(2, 7)) == (Outcome.PASS, "1 d 1 h after the one before")
    assert feed.breaker.state is State.CLOSED
    assert finding(feed, None, GOOD, day(2, 8)) == (Outcome.FAIL, "1 h after the one before: too early")


def test_many_refused_deliveries_do_not_hide_the_one_that_was_accepted() -> None:
    feed = world("critical")
    feed.deliver(None, GOOD, day(1, 6))
    for minute in range(1, 13):
        assert finding(feed, None, GOOD, day(1, 6) + minute * MINUTE)[0] is Outcome.FAIL


def test_a_redelivery_and_a_backfill_are_no_breach() -> None:
    feed = world()
    for number in (1, 2, 3):
        feed.deliver(number, GOOD, day(number + 1, 6))
    again = {"rows": 101}
    assert finding(feed, 3, again, day(4, 7)) == (Outcome.PASS, "its window was delivered before: delivered again")
    assert "backfill" in finding(feed, 1, {"rows": 102}, day(4, 8))[1]
    assert finding(feed, 4, GOOD, day(5, 6)) == (Outcome.PASS, "1 d after the one before")


def test_daily_turned_hourly_is_refused_where_that_is_critical() -> None:
    feed = world("critical")
    feed.deliver(None, GOOD, day(1, 6))
    feed.deliver(None, {"rows": 101}, day(2, 6))
    assert finding(feed, None, {"rows": 102}, day(2, 7)) == (Outcome.FAIL, "1 h after the one before: too early")
    assert feed.breaker.state is State.OPEN


def test_the_same_batch_again_is_judged_as_when_it_came() -> None:
    feed = world()
    feed.deliver(None, GOOD, day(1, 6), run="a")
    first = feed.deliver(None, {"rows": 101}, day(2, 6), run="b").verdict
    again = feed.deliver(None, {"rows": 101}, day(2, 9), run="b").verdict
    assert again == first


def test_a_stored_batch_is_judged_by_what_came_before_it() -> None:
    """Not by itself, nor by what came after: in a probe and by people."""
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    feed.deliver(2, BAD, day(3, 6))
    held = feed.deliver(3, GOOD, day(3, 6.25))
    feed.deliver(4, GOOD, day(3, 6.3))
    of = feed.store.batch(held.batch.id)
    assert of is not None
    rejudged = stored.rejudge(feed.gate, feed.terms, of, GOOD, actor="ann", reason="why not").verdict
    assert rejudged == held.verdict
    probed = feed.probe(day(3, 8), GOOD).verdict
    assert [found.observed for found in probed.findings if found.rule == "sla.frequency"] == [
        "3 min after the one before, of the window that follows: catching up"
    ]


def test_static_partitions_are_each_their_own() -> None:
    feed = world()
    for number, key in enumerate(("de", "fr", "it")):
        feed.clock.at = day(1, 6) + number * MINUTE
        taken = feed.judge(Partition(key), GOOD)
        assert taken.verdict.outcome is Outcome.PASS, key
    feed.clock.at = day(2, 6)
    verdict = feed.judge(Partition("de"), {"rows": 101}).verdict
    assert [found.observed for found in verdict.findings if found.rule == "sla.frequency"] == ["1 d after the one before"]


def test_without_a_promise_no_arrival_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = World(COOLDOWN)
    monkeypatch.setattr(feed.store, "arrivals", None)
    assert feed.judge(daily(1), GOOD).publish


# --- batches that do not come ----------------------------------------------------------------------------------------


def test_a_missed_delivery_is_told_once_and_warns() -> None:
    feed = world()
    assert look(feed, day(9)) == []
    feed.deliver(1, GOOD, day(2, 6))
    assert look(feed, day(3, 8)) == []
    (found,) = look(feed, day(3, 8) + MINUTE)
    assert (found.asset, found.missed.rule, found.missed.since) == ("feed", "sla.frequency", day(3, 6))
    assert look(feed, day(3, 20)) == []
    assert feed.breaker.state is State.CLOSED
    (again,) = look(feed, day(4, 9))
    assert (again.missed.since, again.missed.due) == (day(3, 6), day(4, 6))
    assert feed.events() == ["delivery.missed"] * 2


def test_its_event_says_what_is_missing() -> None:
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    look(feed, day(3, 9))
    (event,) = feed.store.events()
    assert event.message == (
        "feed: sla.frequency: a delivery was due at 2026-01-03T06:00:00Z and has not arrived; the last came at 2026-01-02T06:00:00Z"
    )
    assert event.payload == {
        "version": 1,
        "breaker": "feed",
        "incident": None,
        "asset": "feed",
        "contract": {"id": "feed", "version": "1.0.0"},
        "rule": "sla.frequency",
        "severity": "warning",
        "since": "2026-01-03T06:00:00Z",
        "due": "2026-01-03T06:00:00Z",
        "last": "2026-01-02T06:00:00Z",
        "state": "closed",
    }
    assert_described("events/delivery.missed", dict(event.payload))


def test_a_critical_one_routes_consumers_away_until_the_delivery_comes() -> None:
    feed = world("critical")
    feed.deliver(None, GOOD, day(2, 6))
    assert feed.route("strict", None, None).kind is RouteKind.FRESH
    (found,) = look(feed, day(3, 9))
    assert found.breaker.state is State.OPEN
    assert feed.events()[-2:] == ["breaker.opened", "delivery.missed"]
    halted = feed.route("strict", None, Confidence.FULL)
    assert halted.kind is RouteKind.HALTED
    assert halted.reason.startswith("feed is open since 2026-01-03 09:00Z: a delivery was due at 2026-01-03T06:00:00Z and has not arrived")
    assert feed.due_probes() == []
    came = feed.deliver(None, {"rows": 101}, day(3, 10))
    assert (came.verdict.outcome, came.batch.status, feed.breaker.state) == (Outcome.WARN, Status.PUBLISHING, State.CLOSED)
    assert feed.changes() == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert feed.breaker.overdue == ()
    assert look(feed, day(3, 11)) == []


def test_a_delivery_within_the_cooldown_is_probed_after_it() -> None:
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))
    look(feed, day(3, 9))
    assert feed.deliver(2, GOOD, day(3, 9.1)).batch.status is Status.HELD
    assert feed.due_probes() == []
    feed.clock.at = day(3, 10)
    (due,) = feed.due_probes()
    assert due.batch.partition == daily(2)
    assert feed.probe().breaker.state is State.CLOSED


def test_a_batch_that_was_stored_before_proves_nothing() -> None:
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))
    assert feed.deliver(2, UNREADABLE, day(3, 6)).batch.status is Status.HELD
    look(feed, day(4, 9))
    assert feed.breaker.state is State.OPEN
    feed.clock.at = day(4, 20)
    assert feed.due_probes() == []
    assert feed.deliver(3, GOOD).batch.status is Status.PUBLISHING
    assert feed.breaker.state is State.CLOSED


def test_only_a_new_window_is_the_delivery_that_was_missing() -> None:
    feed = world()
    for number in (1, 2):
        feed.deliver(number, GOOD, day(number + 1, 6))
    look(feed, day(4, 9))
    feed.deliver(1, {"rows": 101}, day(4, 10))  # a backfill
    feed.deliver(2, {"rows": 102}, day(4, 11))  # a redelivery
    feed.deliver(2, {"rows": 102}, day(4, 12), run="again")
    assert [each.since for each in feed.breaker.overdue] == [day(4, 6)]
    feed.deliver(3, GOOD, day(4, 13))
    assert feed.breaker.overdue == ()


def test_what_was_found_in_storage_is_no_delivery() -> None:
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    look(feed, day(3, 9))
    stored.baseline(feed.gate, feed.terms, Delivery(daily(8), "b", "b"), {"rows": 101})
    assert feed.deliver(2, GOOD, day(3, 10)).batch.head is False, "older than what is published"
    assert feed.breaker.overdue != ()


def test_a_reset_is_a_way_out_and_tells_nothing_twice() -> None:
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))
    look(feed, day(3, 9))
    recovery.reset(feed.gate, "feed", actor="ann", reason="holiday")
    assert feed.breaker.state is State.CLOSED
    assert look(feed, day(3, 10)) == []
    look(feed, day(4, 9))
    assert feed.breaker.state is State.OPEN


def test_windows_are_due_by_their_end() -> None:
    feed = world("critical", property="timeOfAvailability", value="09:00", unit=None)
    feed.deliver(1, GOOD, day(2, 6))
    assert look(feed, day(3, 8), [day(3), day(2)]) == []
    (found,) = look(feed, day(3, 9.5), [day(3), day(2)])
    assert (found.missed.rule, found.missed.since) == ("sla.timeOfAvailability", day(3, 9))
    assert feed.deliver(2, GOOD, day(3, 11)).batch.status is Status.PUBLISHING
    assert look(feed, day(3, 12), [day(3), day(2)]) == []


def test_a_new_contract_version_is_adopted_with_it() -> None:
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    feed.terms = watched("critical", "2.0.0")
    (found,) = look(feed, day(3, 9))
    assert (found.breaker.contract_version, found.breaker.state) == ("2.0.0", State.OPEN)


def test_breakers_of_others_are_left_alone() -> None:
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    feed.clock.at = day(9)
    assert record_missed(feed.gate, {}, lambda asset, now: ()) == []
    assert feed.store.events() == []


def test_a_tick_that_finds_nothing_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))
    before = feed.breaker
    look(feed, day(2, 12))
    look(feed, day(3, 9))
    told = feed.breaker
    monkeypatch.setattr(feed.store, "load", None)
    look(feed, day(3, 10))
    assert (before.version, told.version, feed.breaker.version) == (before.version, before.version + 1, told.version)


@pytest.mark.parametrize("calls", range(6))
@pytest.mark.parametrize("after", [False, True])
def test_a_store_that_fails_in_between_loses_and_doubles_nothing(calls: int, after: bool) -> None:
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))
    unsteady = Unsteady(feed.store)
    feed.gate = Gate(unsteady, Counts())  # type: ignore[arg-type]
    unsteady.fail((calls, after))
    try:
        look(feed, day(3, 9))
    except StoreUnavailable:
        assert unsteady.failed
    unsteady.fail(None)
    look(feed, day(3, 9))
    assert feed.events() == ["breaker.opened", "delivery.missed"]
    assert feed.changes() == [("closed", "open")]


def test_a_batch_that_arrives_meanwhile_is_seen() -> None:
    """Between the look and the transaction: what was missing is there."""
    feed = world("critical")
    feed.deliver(1, GOOD, day(2, 6))

    arrived: list[Status] = []

    def windows(asset: str, now: datetime) -> Sequence[datetime]:
        if not arrived:
            arrived.append(feed.deliver(2, GOOD, day(3, 9)).batch.status)
        return ()

    feed.clock.at = day(3, 9)
    found = record_missed(feed.gate, {"feed": feed.terms}, windows)
    assert arrived == [Status.PUBLISHING]
    assert (found, feed.breaker.state) == ([], State.CLOSED)


@pytest.mark.parametrize(("scope", "watched_keys"), [("asset", {"feed"}), ("vendor", {"feed[vendor=acme]", "feed[vendor=best]"})])
def test_each_breaker_of_the_scope_waits_for_its_own(scope: str, watched_keys: set[str]) -> None:
    """One that another scope has left behind waits for nothing."""
    feed = world()
    feed.deliver(1, GOOD, day(2, 6))
    contract = feed.terms.attached.contract
    scoped = replace(feed.terms.attached, contract=replace(contract, policy=replace(contract.policy, scope="vendor")))
    feed.terms = Terms.of(scoped)
    for number, vendor in enumerate(("acme", "best")):
        feed.judge(replace(daily(1), key=f"2026-01-01|{vendor}", dimensions=(("vendor", vendor),)), {"rows": 100 + number})
    if scope == "asset":
        feed.terms = watched()
    assert {found.breaker.key for found in look(feed, day(3, 9))} == watched_keys


def test_a_waived_promise_is_told_and_opens_nothing() -> None:
    """Until the day is over; what is missing after it opens."""
    feed = world("critical")
    waiver = Waiver("sla.frequency", day(4).date(), "holidays", "ann")
    feed.terms = Terms.of(replace(feed.terms.attached, contract=replace(feed.terms.attached.contract, waivers=(waiver,))))
    feed.deliver(None, GOOD, day(2, 6))
    (told,) = look(feed, day(4, 6))
    assert told.missed.told.startswith("waived until 2026-01-04 by ann (holidays): ")
    assert feed.breaker.state is State.CLOSED
    (told,) = look(feed, day(5, 9))
    assert "waived" not in told.missed.told
    assert feed.breaker.state is State.OPEN
