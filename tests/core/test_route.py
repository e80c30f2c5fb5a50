"""What a consumer reads: the table of `core/route.py` row by row, for each thing a consumer may accept; and what must hold of any route."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core import breaker as machine
from dagster_contracts.core.contract import BreakerPolicy, Clause, Confidence, Severity
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Output, OutputStatus, Partition, Release, Route, RouteKind, Status
from dagster_contracts.core.route import decide, decide_output, left_out, misaligned, of_several, strictest, unavailable
from dagster_contracts.core.snapshot import Change, Snapshot, may_be_released
from dagster_contracts.core.state import Breaker, Judged, OverrideKind
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore

DAY = timedelta(days=1)
T0 = datetime(2026, 11, 1, tzinfo=UTC)
NOW = T0 + 20 * DAY
FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW


def day(number: int, **dimensions: str) -> Partition:
    key = "|".join((f"2026-11-{number:02}", *dimensions.values()))
    return Partition(key, T0 + (number - 1) * DAY, T0 + number * DAY, tuple(sorted(dimensions.items())))


def batch(
    partition: Partition = UNPARTITIONED, status: Status = Status.PUBLISHED, outcome: Outcome = Outcome.PASS, **other: object
) -> Batch:
    finding = Finding("feed.range", Clause.VALIDITY, "x", Severity.ERROR, outcome, "12% outside", "all inside")
    row = Batch(
        id=f"feed|{partition}|{status}",
        asset="feed",
        breaker_key="feed",
        partition=partition,
        data_version="1",
        run_id="run",
        contract_id="feed",
        contract_version="2.1.0",
        outcome=outcome,
        status=status,
        arrived_at=NOW,
        updated_at=NOW,
        staged="f00" if status in (Status.QUARANTINED, Status.HELD) else None,
        verdict=Verdict(outcome, "feed", "2.1.0", 10, (finding,), (), "1"),
    )
    return replace(row, **other)  # type: ignore[arg-type]


DAY_6 = day(6)
CLOSED = Breaker("feed", BreakerPolicy(), "2.2.0")
TRIP = Judged("feed|2026-11-06|x", Outcome.FAIL, findings=("range: 12% outside; expected none", "enum: b", "c", "d"))
OPEN = machine.arrive(CLOSED, TRIP, NOW - timedelta(minutes=10)).step.breaker
GOOD = batch(day(5))
FOUND = ("feed.range: 12% outside; expected all inside",)  # in a batch that failed


def view(breaker: Breaker | None = CLOSED, **other: object) -> Snapshot:
    return Snapshot(NOW, breaker, **{"judged": True, **other})  # type: ignore[arg-type]


def ask(snapshot: Snapshot, accepts: Confidence, requested: Partition = DAY_6, key: str = "feed") -> Route:
    return decide(snapshot, asset="feed", requested=requested, accepts=accepts, breaker_key=key)


def told(route: Route) -> tuple[str, str | None, str | None]:
    """(kind, confidence, what is read: a partition, or the fingerprint of what lies beside the live data)."""
    return route.kind.value, route.confidence, route.staged or (str(route.served) if route.served else None)


HALT = ("halted", None, None)
LAST = ("last_good", "stale", "2026-11-05")
BESIDE = ("low_confidence", "low", "f00")


# --- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepts", Confidence)
@pytest.mark.parametrize("breaker", [CLOSED, OPEN, None])
def test_a_published_partition_is_fresh_whatever_the_breaker(accepts: Confidence, breaker: Breaker | None) -> None:
    route = ask(view(breaker, published=batch(day(6)), last_good=GOOD), accepts)
    assert told(route) == ("fresh", "full", "2026-11-06")
    assert (route.batch_id, route.contract_version) == ("feed|2026-11-06|published", "2.1.0")


@pytest.mark.parametrize("accepts", Confidence)
def test_a_failed_redelivery_leaves_the_published_partition_fresh(accepts: Confidence) -> None:
    worse = batch(day(6), Status.QUARANTINED, Outcome.FAIL)
    assert told(ask(view(OPEN, published=batch(day(6)), refused=worse), accepts)) == ("fresh", "full", "2026-11-06")


REFUSALS = {
    "quarantined": {"refused": batch(day(6), Status.QUARANTINED, Outcome.FAIL)},
    "held": {"refused": batch(day(6), Status.HELD)},
    "publishing": {"publishing": batch(day(6), Status.PUBLISHING)},
    "missing after a refusal": {},
}


@pytest.mark.parametrize("breaker", [CLOSED, OPEN])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_partition_gives_each_consumer_its_fallback(breaker: Breaker, refusal: str) -> None:
    snapshot = view(breaker, last_good=GOOD, **REFUSALS[refusal])
    assert told(ask(snapshot, FULL)) == HALT
    assert told(ask(snapshot, STALE)) == LAST
    assert told(ask(snapshot, LOW)) == (BESIDE if "refused" in REFUSALS[refusal] else LAST)


def test_a_refused_batch_that_lies_nowhere_yet_is_not_read() -> None:
    unwritten = batch(day(6), Status.QUARANTINED, Outcome.FAIL, staged=None)
    assert told(ask(view(OPEN, refused=unwritten, last_good=GOOD), LOW)) == LAST
    assert told(ask(view(OPEN, refused=unwritten), LOW)) == HALT


def test_what_was_never_judged_is_served_and_says_so_while_closed() -> None:
    for breaker in (CLOSED, None):
        route = ask(view(breaker, judged=False, last_good=GOOD), FULL)
        assert told(route) == ("unjudged", "full", "2026-11-06")
        assert route.reason == "never judged"


def test_what_was_never_judged_is_as_held_while_open() -> None:
    assert told(ask(view(OPEN, judged=False, last_good=GOOD), FULL)) == HALT
    assert told(ask(view(OPEN, judged=False, last_good=GOOD), STALE)) == LAST
    assert told(ask(view(OPEN, judged=False), STALE)) == HALT
    assert told(ask(view(OPEN, judged=False), LOW)) == ("low_confidence", "low", "2026-11-06")


def test_unpartitioned_live_data_is_fresh_only_while_closed_and_nothing_newer_was_refused() -> None:
    live = batch()
    refused = batch(status=Status.QUARANTINED, outcome=Outcome.FAIL)
    assert told(ask(view(CLOSED, published=live, last_good=live), FULL, UNPARTITIONED)) == ("fresh", "full", "(unpartitioned)")
    for breaker, newer in ((OPEN, None), (OPEN, refused), (CLOSED, refused)):
        snapshot = view(breaker, published=live, last_good=live, refused=newer)
        assert told(ask(snapshot, FULL, UNPARTITIONED)) == HALT
        assert told(ask(snapshot, STALE, UNPARTITIONED)) == ("last_good", "stale", "(unpartitioned)")
        assert told(ask(snapshot, LOW, UNPARTITIONED)) == (BESIDE if newer else ("last_good", "stale", "(unpartitioned)"))


def test_static_partitions_fall_back_on_their_own_key() -> None:
    static = Partition("DE")
    good = batch(static)
    assert told(ask(view(OPEN, published=good, last_good=good), FULL, static)) == ("fresh", "full", "DE")
    assert told(ask(view(OPEN, last_good=good, publishing=batch(static, Status.PUBLISHING)), STALE, static)) == ("last_good", "stale", "DE")
    assert told(ask(view(OPEN), STALE, static)) == HALT


def test_a_batch_made_from_fallback_data_is_read_by_those_who_accept_it() -> None:
    stale = view(CLOSED, published=batch(day(6), confidence=STALE), last_good=GOOD)
    assert told(ask(stale, LOW)) == told(ask(stale, STALE)) == ("fresh", "stale", "2026-11-06")
    assert told(ask(stale, FULL)) == HALT
    assert "only of stale confidence" in ask(stale, FULL).reason
    low = view(CLOSED, published=batch(day(6), confidence=LOW), last_good=GOOD)
    assert told(ask(low, STALE)) == LAST


def test_what_was_made_from_fallback_data_is_not_to_be_delivered_again() -> None:
    """To run it again makes the same of the same: what helps is said of what it was made from."""
    stale = view(CLOSED, published=batch(day(6), confidence=STALE), last_good=GOOD)
    unknown = ask(stale, FULL).reason
    assert unknown.endswith(" Once what it was made from is fresh, the sensor contracts_heal makes it again, or: dagster-contracts heal")
    read = Route("orders", day(6), RouteKind.LAST_GOOD, STALE, served=day(5))
    output = Output("o", "feed", day(6), "run", OutputStatus.DEGRADED, STALE, (read,), NOW)
    route = decide(stale, asset="feed", requested=day(6), accepts=FULL, breaker_key="feed", output=output)
    assert route.reason == (
        "feed [2026-11-06] was made from fallback data and is only of stale confidence. "
        "Once orders [2026-11-06] is fresh, the sensor contracts_heal makes it again, or: dagster-contracts heal"
    )


def test_a_released_batch_is_read_in_full_and_says_who_let_it_through() -> None:
    let = batch(day(6), outcome=Outcome.FAIL, released=Release("ann", "known vendor bug", NOW))
    route = ask(view(OPEN, published=let), FULL)
    assert told(route) == ("fresh", "full", "2026-11-06")
    assert route.reason == "released by ann: known vendor bug"
    assert not let.last_good


@pytest.mark.parametrize(("limit", "kind"), [(None, "last_good"), (3 * DAY, "last_good"), (3 * DAY - timedelta(microseconds=1), "halted")])
def test_last_good_older_than_max_staleness_halts(limit: timedelta | None, kind: str) -> None:
    breaker = replace(OPEN, policy=replace(OPEN.policy, max_staleness=limit))
    route = ask(view(breaker, last_good=batch(day(3))), STALE)
    assert route.kind == kind
    if kind == "halted":
        assert (
            "The last good partition 2026-11-03 is 3 days, 0:00:00 older, more than maxStaleness 2 days, 23:59:59.999999." in route.reason
        )
        assert route.reason.endswith("Deliver it again.")


def test_staleness_is_not_known_of_what_has_no_time() -> None:
    breaker = replace(OPEN, policy=replace(OPEN.policy, max_staleness=DAY))
    assert ask(view(breaker, last_good=batch()), STALE, UNPARTITIONED).kind is RouteKind.LAST_GOOD


# --- overrides -----------------------------------------------------------------------------------------------------


def forced(breaker: Breaker, kind: OverrideKind, expires_at: datetime | None = None) -> Breaker:
    return machine.override(breaker, kind, actor="ann", reason="vendor called", now=NOW - DAY, expires_at=expires_at).breaker


def test_overrides_decide_over_the_state() -> None:
    live = batch()
    for breaker, kind in (
        (forced(CLOSED, OverrideKind.FORCE_OPEN), "halted"),
        (forced(OPEN, OverrideKind.FORCE_CLOSED), "fresh"),
        (forced(OPEN, OverrideKind.OBSERVE_ONLY), "fresh"),
        (forced(CLOSED, OverrideKind.FORCE_OPEN, NOW), "fresh"),
        (forced(OPEN, OverrideKind.FORCE_CLOSED, NOW), "halted"),
    ):
        assert ask(view(breaker, published=live), FULL, UNPARTITIONED).kind == kind


def test_a_forced_breaker_says_who_forced_it_and_since_when() -> None:
    route = ask(view(forced(CLOSED, OverrideKind.FORCE_OPEN)), FULL)
    assert route.reason.startswith("feed is force_open by ann (vendor called) since 2026-11-20 00:00Z (contract 2.2.0). ")
    assert (route.since, route.retry_at) == (NOW - DAY, None)
    assert "Next probe" not in route.reason


def test_an_expired_override_is_not_spoken_of() -> None:
    route = ask(view(forced(OPEN, OverrideKind.FORCE_CLOSED, NOW)), FULL)
    assert "ann" not in route.reason
    assert route.reason.startswith("feed is open since 2026-11-20 23:50Z")


# --- words ---------------------------------------------------------------------------------------------------------


def test_a_halt_says_what_since_when_why_and_what_next() -> None:
    opened = machine.arrive(CLOSED, replace(TRIP, findings=FOUND), NOW - timedelta(minutes=10)).step.breaker
    route = ask(view(opened, refused=batch(day(6), Status.QUARANTINED, Outcome.FAIL)), FULL)
    assert route.reason == (
        "feed is open since 2026-11-20 23:50Z: feed.range: 12% outside; expected all inside (contract 2.2.0, partition 2026-11-06). "
        "The requested batch is quarantined. Next probe after 2026-11-21 00:20Z. "
        "Deliver it again, or let it through: dagster-contracts batch release feed --partition 2026-11-06 --reason ..."
    )
    assert (route.breaker_key, route.since, route.retry_at) == ("feed", OPEN.opened_at, OPEN.retry_at)
    assert route.findings == FOUND
    assert route.contract_version == "2.2.0"


@pytest.mark.parametrize("findings", [("epoch.range: 9% outside",), FOUND])
def test_a_halt_by_another_batch_tells_of_both(findings: tuple[str, ...]) -> None:
    """What opened the breaker, and since when; and what was found in the batch asked for."""
    other = Judged("feed|2026-11-03|x", Outcome.FAIL, findings=findings)
    opened = machine.arrive(CLOSED, other, NOW - timedelta(minutes=10)).step.breaker
    route = ask(view(opened, refused=batch(day(6), Status.QUARANTINED, Outcome.FAIL)), FULL)
    assert route.reason.startswith(
        f"feed is open since 2026-11-20 23:50Z (feed [2026-11-03] failed): {findings[0]} (contract 2.2.0). "
        "The requested batch [2026-11-06] is quarantined: feed.range: 12% outside; expected all inside. Next probe"
    )


def test_findings_of_another_partition_are_not_told_of_the_one_asked_for() -> None:
    for asked, status in (
        (view(OPEN, judged=False), "feed [2026-11-06] was never judged."),
        (view(OPEN, refused=batch(day(6), Status.HELD, Outcome.PASS)), "The requested batch is held."),
        (view(OPEN), "feed [2026-11-06] is missing: its last delivery was refused or discarded."),
    ):
        reason = ask(asked, FULL).reason
        assert "expected none. enum: b. c (contract 2.2.0). " + status in reason


def test_a_refusal_by_a_closed_breaker_says_what_was_found() -> None:
    route = ask(view(CLOSED, refused=batch(day(6), Status.QUARANTINED, Outcome.FAIL)), FULL)
    assert route.reason == (
        "feed [2026-11-06] is quarantined (fail: feed.range: 12% outside; expected all inside). "
        "Deliver it again, or let it through: dagster-contracts batch release feed --partition 2026-11-06 --reason ..."
    )
    assert route.findings == ("feed.range: 12% outside; expected all inside",)
    assert route.since is None
    held = ask(view(CLOSED, refused=batch(day(6), Status.HELD, Outcome.INCONCLUSIVE, verdict=None)), FULL)
    again = "Run it again, or judge what is stored: dagster-contracts batch rejudge feed"
    assert held.reason.startswith(f"feed [2026-11-06] is held (inconclusive). {again}")


@pytest.mark.parametrize(
    ("breaker", "status", "outcome"),
    [(CLOSED, Status.QUARANTINED, Outcome.FAIL), (CLOSED, Status.HELD, Outcome.INCONCLUSIVE), (OPEN, Status.HELD, Outcome.PASS)],
)
def test_a_command_that_is_advised_can_be_run_as_it_stands(breaker: Breaker, status: Status, outcome: Outcome) -> None:
    """Keys of several dimensions have a "|", keys of scoped breakers brackets: a shell would make something else of them."""
    named, place = replace(breaker, key="feed[vendor=a b]"), day(6, vendor="a b")
    route = ask(view(named, refused=batch(place, status, outcome, breaker_key=named.key)), FULL, place, named.key)
    command = shlex.split(route.reason[route.reason.index("dagster-contracts ") :])
    assert command[3] == (named.key if command[1] == "breaker" else "feed")
    assert command[1] == "breaker" or command[4:6] == ["--partition", "2026-11-06|a b"]
    assert command[-2:] == ["--reason", "..."]


def test_a_halt_advises_what_helps() -> None:
    """A forced closed breaker frees nothing that was refused or held; it lets live data be read."""
    override = "Override: dagster-contracts breaker force-closed feed --reason ..."
    held = batch(day(6), Status.HELD)
    assert ask(view(OPEN, refused=held), FULL).reason.endswith(
        "It passed, and is published once the breaker closes; to close it: dagster-contracts breaker reset feed --reason ..."
    )
    for closed in (CLOSED, forced(OPEN, OverrideKind.FORCE_CLOSED)):
        reason = ask(view(closed, refused=held), FULL).reason
        assert reason.endswith("It passed: the sensor contracts_heal publishes it, or: dagster-contracts heal")
        assert "Deliver it again" not in reason
    for helped in (ask(view(OPEN, published=batch()), FULL, UNPARTITIONED), ask(view(OPEN, judged=False), FULL)):
        assert helped.reason.endswith(override)
    for not_helped in (
        view(OPEN, refused=batch(day(6), Status.QUARANTINED, Outcome.FAIL)),
        view(OPEN, published=batch(day(6), confidence=LOW)),
        view(OPEN, publishing=batch(day(6), Status.PUBLISHING)),
        view(OPEN),
    ):
        assert "force-closed" not in ask(not_helped, FULL).reason


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE])
@pytest.mark.parametrize("breaker", [OPEN, CLOSED])
def test_of_what_is_not_stored_only_a_new_delivery_helps(breaker: Breaker, outcome: Outcome) -> None:
    """Such as the partitions of a run of several: nobody can publish, release or judge them from where they lie."""
    lost = batch(day(6), Status.QUARANTINED if outcome is Outcome.FAIL else Status.HELD, outcome, staged=None)
    reason = ask(view(breaker, refused=lost), FULL).reason
    assert reason.endswith("Its data is not stored beside the live data: run the asset again to deliver it.")
    assert "dagster-contracts" not in reason


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE])
def test_what_was_set_aside_is_served_with_its_outcome(outcome: Outcome) -> None:
    refused = batch(day(6), Status.QUARANTINED if outcome is Outcome.FAIL else Status.HELD, outcome)
    assert ask(view(OPEN, refused=refused), LOW).outcome is outcome
    assert ask(view(OPEN, refused=refused, last_good=GOOD), STALE).outcome is None


def test_a_batch_that_is_being_written_and_one_that_is_missing_say_so() -> None:
    assert "is being written, or its writer died" in ask(view(CLOSED, publishing=batch(day(6), Status.PUBLISHING)), FULL).reason
    assert "is missing: its last delivery was refused or discarded" in ask(view(CLOSED), FULL).reason


@pytest.mark.parametrize(
    ("requested", "what"),
    [(day(6), "No partition of feed before 2026-11-06 has"), (UNPARTITIONED, "No batch of feed [(unpartitioned)] has")],
)
def test_without_a_last_good_the_message_says_what_to_do(requested: Partition, what: str) -> None:
    reason = ask(view(OPEN), STALE, requested).reason
    assert f"{what} been judged good; run `dagster-contracts baseline feed`, or let the consumer accept low." in reason
    assert "accept low" not in ask(view(OPEN), LOW, requested).reason
    assert "judged good" not in ask(view(OPEN), FULL, requested).reason, "a consumer that halts is not missing a last good"


@pytest.mark.parametrize("breaker", [CLOSED, OPEN])
@pytest.mark.parametrize("place", [UNPARTITIONED, Partition("c")], ids=str)
def test_of_a_first_batch_that_passed_and_is_held_it_is_not_said_that_none_was_judged_good(place: Partition, breaker: Breaker) -> None:
    held = batch(place, Status.HELD)
    reason = ask(view(breaker, refused=held), STALE, place).reason
    assert f"No good batch of feed [{place}] came before it: wait for it, or let the consumer accept low. " in reason
    assert "It passed" in reason
    assert "baseline" not in reason
    assert (
        "has been judged good; run `dagster-contracts baseline feed`"
        in ask(view(breaker, refused=batch(day(6), Status.HELD)), STALE).reason
    )


def test_a_fallback_says_why_it_was_needed() -> None:
    route = ask(view(OPEN, last_good=GOOD), STALE)
    assert route.reason.startswith("feed is open since")
    assert (route.batch_id, route.contract_version, route.since) == (GOOD.id, "2.1.0", OPEN.opened_at)


# --- upstreams without a contract ----------------------------------------------------------------------------------


def output(status: OutputStatus, confidence: Confidence | None, *inputs: Route) -> Output:
    return Output("o", "scores", day(6), "run", status, confidence, inputs, NOW)


def test_an_upstream_without_a_contract_is_as_good_as_its_present_output() -> None:
    cause = ask(view(OPEN, last_good=GOOD), STALE)
    for known in (None, output(OutputStatus.OK, FULL)):
        assert decide_output(known, asset="scores", requested=day(6), accepts=FULL) == Route(
            "scores", day(6), RouteKind.FRESH, FULL, served=day(6)
        )
    for confidence, accepts, kind in (
        (STALE, STALE, RouteKind.LAST_GOOD),
        (STALE, LOW, RouteKind.LAST_GOOD),
        (LOW, LOW, RouteKind.LOW_CONFIDENCE),
        (STALE, FULL, RouteKind.HALTED),
        (LOW, STALE, RouteKind.HALTED),
        (None, LOW, RouteKind.HALTED),
    ):
        status = OutputStatus.HALTED if confidence is None else OutputStatus.DEGRADED
        route = decide_output(output(status, confidence, cause), asset="scores", requested=day(6), accepts=accepts)
        halted = kind is RouteKind.HALTED
        assert (route.kind, route.confidence, route.served) == (kind, None if halted else confidence, None if halted else day(6))
        assert (route.breaker_key, route.findings) == ("feed", TRIP.findings)
        assert cause.reason in route.reason
    halt = decide_output(output(OutputStatus.DEGRADED, LOW, cause), asset="scores", requested=day(6), accepts=STALE)
    assert halt.reason.startswith("scores [2026-11-06] is only of low confidence, stale is needed: feed is open")


def test_the_strictest_of_several_routes_leaves_the_least_confidence() -> None:
    routes = {
        name: Route("a", day(6), RouteKind.FRESH, confidence) for name, confidence in (("f", FULL), ("s", STALE), ("l", LOW), ("h", None))
    }
    for names, worst in (("f", "f"), ("fs", "s"), ("slf", "l"), ("lhf", "h")):
        assert strictest(routes[name] for name in names) is routes[worst]
    assert strictest([]) is None


def test_a_store_out_of_reach_never_reads_as_closed() -> None:
    halted = unavailable("feed", day(6), "feed", "connection refused", admit=False)
    assert told(halted) == HALT
    assert halted.reason == "the breaker store is out of reach, so nothing is known of feed [2026-11-06]: connection refused"
    admitted = unavailable("feed", day(6), "feed", "connection refused", admit=True)
    assert told(admitted) == ("unjudged", "full", "2026-11-06")
    assert "connection refused" in admitted.reason
    assert "onStoreUnavailable: admit" in admitted.reason


# --- which stored batches may be released --------------------------------------------------------------------------


def test_what_may_be_released() -> None:
    passed, failed = batch(day(6), Status.HELD), batch(day(6), Status.QUARANTINED, Outcome.FAIL)
    word = Release("ann", "fine", NOW)
    assert may_be_released(passed, CLOSED, NOW)
    assert may_be_released(replace(passed, outcome=Outcome.WARN), CLOSED, NOW)
    assert not may_be_released(passed, OPEN, NOW)
    assert not may_be_released(replace(passed, outcome=Outcome.INCONCLUSIVE), CLOSED, NOW)
    assert not may_be_released(failed, CLOSED, NOW)
    for stored in (passed, failed):
        assert may_be_released(replace(stored, released=word), OPEN, NOW)
        assert not may_be_released(replace(stored, released=word, staged=None), CLOSED, NOW)
    for status in (Status.PUBLISHING, Status.PUBLISHED, Status.DISCARDED):
        assert not may_be_released(replace(passed, status=status, staged="f00", released=word), CLOSED, NOW)


# --- what must hold of any route -----------------------------------------------------------------------------------

PLACES = st.one_of(
    st.builds(day, st.integers(1, 6)),
    st.builds(day, st.integers(1, 4), vendor=st.sampled_from("ab")),
    st.sampled_from([UNPARTITIONED, Partition("DE")]),
)
ROWS = st.builds(
    batch,
    PLACES,
    st.sampled_from(Status),
    st.sampled_from(Outcome),
    confidence=st.sampled_from([FULL, FULL, FULL, STALE, LOW]),
    released=st.sampled_from([None, None, None, Release("ann", "fine", NOW)]),
    staged=st.sampled_from(["f00", None]),
)


def ledger(rows: list[Batch], breaker: Breaker) -> MemoryStore:
    store = MemoryStore(clock=FixedClock(NOW))
    store.save(Change(breaker=breaker))
    for number, row in enumerate(rows):
        published_fail = row.status in (Status.PUBLISHED, Status.PUBLISHING) and row.outcome is Outcome.FAIL and row.released is None
        if not published_fail:  # invariant 1 keeps those out
            store.save(Change(batches=(replace(row, id=f"{row.partition}|{number}", data_version=str(number)),)))
    return store


@given(rows=st.lists(ROWS, max_size=12), opened=st.booleans(), requested=PLACES, accepts=st.sampled_from(Confidence))
def test_no_consumer_is_given_less_than_it_accepts_nor_anything_refused_as_good(
    rows: list[Batch], opened: bool, requested: Partition, accepts: Confidence
) -> None:
    store = ledger(rows, OPEN if opened else CLOSED)
    route = ask(store.load("feed", asset="feed", partition=requested), accepts, requested)
    read = store.batch(route.batch_id) if route.batch_id else None
    if route.kind is RouteKind.HALTED:
        assert (route.confidence, route.served, route.staged, route.batch_id) == (None, None, None, None)
        assert route.reason
        return
    assert route.confidence is not None
    assert route.confidence.satisfies(accepts)
    if read is None:  # nobody has judged what is read
        assert route.kind is (RouteKind.LOW_CONFIDENCE if opened else RouteKind.UNJUDGED)
        assert route.served == requested
    elif read.status is not Status.PUBLISHED:
        assert (route.kind, route.confidence, route.staged) == (RouteKind.LOW_CONFIDENCE, LOW, read.staged)
        assert read.partition == requested
        assert read.staged is not None
    else:
        assert route.staged is None
        assert route.served == read.partition
    if route.kind is RouteKind.LAST_GOOD:
        assert read is not None
        assert read.last_good
        assert route.confidence is STALE
        assert route.served is not None
        if requested.end is None:
            assert route.served == requested
        else:
            assert route.served.end is not None
            assert route.served.end < requested.end, "a later partition leaks the future into a backfill"
            assert route.served.dimensions == requested.dimensions
    if route.kind is RouteKind.FRESH:
        assert read is not None
        assert route.served == requested
        assert route.confidence is read.confidence
        assert read.outcome is not Outcome.FAIL or read.released is not None


@given(rows=st.lists(ROWS, max_size=12), requested=PLACES, accepts=st.sampled_from(Confidence))
def test_the_newest_earlier_last_good_is_served(rows: list[Batch], requested: Partition, accepts: Confidence) -> None:
    store = ledger(rows, OPEN)
    route = ask(store.load("feed", asset="feed", partition=requested), accepts, requested)
    if route.kind is not RouteKind.LAST_GOOD or requested.end is None:
        return
    assert route.served is not None
    publishing = {row.partition for row in store.batches(statuses=[Status.PUBLISHING])}
    for row in store.batches(statuses=[Status.PUBLISHED]):
        between = row.partition.end is not None and route.served.end is not None and route.served.end < row.partition.end < requested.end
        same = row.partition.dimensions == requested.dimensions
        assert not (between and same and row.last_good) or row.partition in publishing


@given(made_of=st.lists(st.sampled_from([FULL, STALE, LOW, None]), min_size=1, max_size=5))
def test_an_output_is_at_most_as_confident_as_its_least_input(made_of: list[Confidence | None]) -> None:
    routes = [Route("a", day(6), RouteKind.FRESH, confidence) for confidence in made_of]
    worst = strictest(routes)
    assert worst is not None
    if None in made_of:
        assert worst.confidence is None
    else:
        assert worst.confidence is not None
        assert all(worst.confidence.rank <= confidence.rank for confidence in made_of if confidence)


def test_of_all_partitions_those_that_cannot_be_read_in_their_place_are_left_out() -> None:
    asked, before = Partition("b"), Partition("a")
    good = Route("feed", before, RouteKind.FRESH, Confidence.FULL, served=before)
    moved = Route("feed", asked, RouteKind.LAST_GOOD, Confidence.STALE, served=before, batch_id="x", reason="open")
    low = Route("feed", asked, RouteKind.LOW_CONFIDENCE, Confidence.LOW, served=asked, staged="f00")
    assert left_out(good, Confidence.STALE) == good
    for each in (moved, low):
        out = left_out(each, Confidence.STALE)
        assert (out.kind, out.confidence, out.served, out.staged, out.batch_id) == (RouteKind.LAST_GOOD, Confidence.STALE, None, None, None)
        assert left_out(each, Confidence.FULL) == each
        assert of_several([good, out], omits=True) == [good, out]
        assert [item.kind for item in of_several([out, out], omits=True)] == [RouteKind.HALTED] * 2, "none is left"
    assert [item.kind for item in of_several([good, moved], omits=False)] == [RouteKind.FRESH, RouteKind.HALTED]


def test_inputs_that_are_served_different_partitions_for_one_are_misaligned() -> None:
    asked, before = Partition("b"), Partition("a")
    fresh = Route("orders", asked, RouteKind.FRESH, Confidence.FULL, served=asked)
    moved = Route("feed", asked, RouteKind.LAST_GOOD, Confidence.STALE, served=before)
    assert misaligned([fresh, moved]) == {asked: (fresh, moved)}
    assert misaligned([fresh, Route("feed", asked, RouteKind.FRESH, Confidence.FULL, served=asked)]) == {}
    behind = {fresh: frozenset({before})}
    assert misaligned([fresh, moved], behind) == {}, "both stand for the same one"
    assert misaligned([fresh, replace(moved, served=asked)], behind) == {asked: (fresh, replace(moved, served=asked))}
    assert misaligned([fresh], {fresh: frozenset({before, asked})}) == {asked: (fresh,)}
