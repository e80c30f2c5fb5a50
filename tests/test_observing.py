"""What nobody here makes, judged where it stands: one batch for as long as it does not change, and probes that look at it anew."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts import observing, probing, recovery, routing, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import (
    Attached,
    BreakerPolicy,
    Confidence,
    Contract,
    Operator,
    Property,
    QualityRule,
    SchemaObject,
    ServiceLevel,
    Severity,
    Window,
)
from dagster_contracts.core.ledger import IN_PLACE, OBSERVED, UNPARTITIONED, Partition, RouteKind, Status, StepKey
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.engines.sampling import sampled
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, ProbeResult, Terms
from dagster_contracts.ports import FixedClock, Sampled
from dagster_contracts.store.memory import MemoryStore

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD, BETTER, BAD = ["LOW"] * 40, ["HIGH", *["LOW"] * 40], ["LOW"] * 20 + ["7"] * 20
ONE_BAD = ["LOW"] * 399 + ["7"]


def terms(version: str = "1.0.0", *, levels: tuple[ServiceLevel, ...] = (), **policy: Any) -> Terms:
    enough = QualityRule("library", "rowCount", ((Operator.GREATER_OR_EQUAL, 40),), severity="error")
    risk = Property("risk", "string", required=True, enum=("LOW", "HIGH"))
    feed = SchemaObject("feed", properties=(risk, Property("at", "timestamp")), quality=(enough,))
    given = BreakerPolicy(**{"cooldown": HOUR, "sample_rows": 10, **policy})
    contract = Contract("feed", version, "v3.1.0", "active", (feed,), policy=given, service_levels=levels)
    return Terms.of(Attached("feed", contract, feed))


@dataclass
class Source:
    """A table that somebody else writes, and what is read of it."""

    terms: Terms = field(default_factory=terms)
    clock: FixedClock = field(default_factory=lambda: FixedClock(START))
    rows: list[str] = field(default_factory=lambda: GOOD)
    newest: datetime = START
    reads: int = 0
    samples: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore(clock=self.clock)
        self.gate = Gate(self.store, PolarsEngine(), sources={"feed"}, sampled=self.sampled)

    def sampled(self, data: object, rows: int, seed: int) -> Sampled | None:
        found = sampled(data, rows, seed)
        self.samples.append(found.rows if found is not None else 0)
        return found

    def read(self) -> pl.DataFrame:
        self.reads += 1
        return pl.DataFrame({"risk": self.rows, "at": [self.newest] * len(self.rows)})

    def observe(self, version: str | None = None, *, run: str = "r", place: Partition = UNPARTITIONED) -> Judgement:
        self.clock.at += timedelta(minutes=1)
        return observing.observe(self.gate, self.terms, place, run_id=run, version=version, read=self.read)

    def probe(self) -> Judgement | Refused:
        return stored.probe(self.gate, self.terms, "feed", holder="p", read=lambda batch: self.read())

    def due(self) -> int:
        return len(recovery.due_probes(self.gate, {"feed": self.terms}))

    @property
    def breaker(self) -> Breaker:
        (found,) = self.store.breakers()
        return found

    @property
    def statuses(self) -> list[tuple[str, Status]]:
        return [(batch.data_version, batch.status) for batch in reversed(self.store.batches())]


def probed(source: Source) -> Judgement:
    came = source.probe()
    assert isinstance(came, Judgement), came
    return came


def test_a_version_is_read_once_and_counts_once() -> None:
    source = Source(terms(failures=2, trip_on=frozenset(), window=Window(batches=5)))
    source.observe("v1")
    source.rows = BAD
    for run in ("a", "b", "c"):
        judgement = source.observe("v2", run=run)
        assert (judgement.batch.status, judgement.batch.run_id) == (Status.QUARANTINED, "a")
    assert source.reads == 2
    assert source.breaker.state is State.CLOSED, "one failed batch, however often it is looked at"
    source.observe("v3")
    assert (source.reads, source.breaker.state) == (3, State.OPEN)


def test_without_versions_what_measures_the_same_is_the_same() -> None:
    source = Source(terms(failures=2, trip_on=frozenset(), window=Window(batches=5)))
    source.observe(run="a")
    source.rows = BAD
    first, again = source.observe(run="b"), source.observe(run="c")
    assert first.batch.id == again.batch.id
    assert source.breaker.state is State.CLOSED
    assert [entry.failed for entry in source.breaker.window] == [False, True]


def test_what_comes_back_after_another_stood_there_is_a_new_delivery() -> None:
    source = Source(terms(failures=2, trip_on=frozenset(), window=Window(batches=5)))
    for rows in (GOOD, BAD, GOOD, BAD):
        source.rows = rows
        source.observe()
    assert source.breaker.state is State.OPEN


def test_a_new_contract_version_judges_the_same_version_anew() -> None:
    source = Source()
    source.observe("v1")
    source.terms = terms("2.0.0")
    source.observe("v1")
    assert source.reads == 2


def test_a_probe_finds_what_stands_there_now_and_publishes_it() -> None:
    source = Source()
    source.observe("v1")
    source.rows = BAD
    source.observe("v2")
    assert source.statuses == [("v1", Status.DISCARDED), ("v2", Status.QUARANTINED)]
    source.clock.at += HOUR
    source.rows = BETTER
    came = probed(source)
    assert (came.probe, came.breaker.state) == (ProbeResult.PASSED, State.CLOSED)
    assert [status for _, status in source.statuses] == [Status.DISCARDED, Status.DISCARDED, Status.PUBLISHED]
    assert (came.batch.staged, came.verdict.rows) == (IN_PLACE, 41)


def test_a_source_that_stays_bad_is_looked_at_after_each_longer_cooldown() -> None:
    source = Source(terms(sample_rows=1000))
    source.rows = BAD
    source.observe("v1")
    waits = []
    for _ in range(4):
        assert source.due() == 0
        assert isinstance(source.probe(), Refused)
        assert source.breaker.retry_at is not None
        waits.append(source.breaker.retry_at - source.clock.at)
        source.clock.at = source.breaker.retry_at
        assert source.due() == 1
        assert probed(source).probe is ProbeResult.FAILED
        assert source.breaker.state is State.OPEN
    assert waits == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR]
    assert source.statuses == [("v1", Status.QUARANTINED)], "found unchanged, it is the same batch"


def test_a_sample_is_taken_by_probes_alone_and_its_failure_spares_the_rest() -> None:
    source = Source()
    source.observe("v1")
    source.rows = BAD
    source.observe("v2")
    assert source.samples == []
    source.clock.at += HOUR
    came = probed(source)
    assert source.samples == [10]
    assert (came.probe, came.verdict.rows, came.batch.status) == (ProbeResult.FAILED, 10, Status.QUARANTINED)
    assert source.breaker.findings[0].endswith("in a sample of 10 of 40 rows; expected one of LOW, HIGH")
    assert [finding.rule for finding in came.verdict.findings if finding.rule == "rowCount"] == [], "a sample says nothing of it"


def test_a_sample_that_passes_closes_nothing_all_of_it_is_judged() -> None:
    source = Source(rows=ONE_BAD)
    source.observe("v1")
    source.clock.at += HOUR
    came = probed(source)
    assert source.samples == [10]
    assert (came.probe, came.verdict.rows) == (ProbeResult.FAILED, 400)
    assert source.breaker.state is State.OPEN


def test_no_more_rows_than_a_sample_has_are_judged_at_once() -> None:
    source = Source(terms(sample_rows=40), rows=BAD)
    source.observe("v1")
    source.clock.at += HOUR
    assert probed(source).verdict.rows == 40
    assert source.samples == [0]


def test_several_probes_pass_on_different_data() -> None:
    source = Source(terms(probes=2), rows=BAD)
    source.observe()
    source.clock.at += HOUR
    source.rows = GOOD
    assert probed(source).breaker.state is State.HALF_OPEN
    again = probed(source)
    assert (again.breaker.state, again.batch.status) == (State.HALF_OPEN, Status.HELD), "it stands there still, which proves nothing"
    assert isinstance(source.probe(), Refused), "and is not looked at again at once"
    source.clock.at += HOUR
    source.rows = BETTER
    assert probed(source).breaker.state is State.CLOSED


def test_a_late_probe_changes_no_breaker() -> None:
    source = Source(rows=BAD)
    source.observe("v1")
    source.clock.at += HOUR
    claimed = probing.claim(source.gate, source.terms, "feed", holder="slow")
    assert not isinstance(claimed, Refused)
    source.clock.at += HOUR
    source.rows = GOOD
    came = observing.settle(source.gate, source.terms, claimed, source.read())
    assert (came.probe, came.breaker.state, came.batch.status) == (ProbeResult.LATE, State.HALF_OPEN, Status.HELD)
    assert came.breaker.generation == claimed.breaker.generation


def test_what_arrives_after_the_cooldown_is_its_own_probe() -> None:
    source = Source(rows=BAD)
    source.observe("v1")
    source.rows = GOOD
    assert source.observe("v2").batch.status is Status.HELD
    source.clock.at += HOUR
    assert source.observe("v2").breaker.state is State.CLOSED, "looked at again, for it had not counted"
    assert source.statuses[-1] == ("v2", Status.PUBLISHED)


def test_a_held_version_is_published_once_the_breaker_was_reset() -> None:
    source = Source(rows=BAD)
    source.observe("v1")
    source.rows = GOOD
    source.observe("v2")
    recovery.reset(source.gate, "feed", actor="ann", reason="known")
    assert source.observe("v2").publish
    assert source.statuses[-1] == ("v2", Status.PUBLISHED)


def test_a_partition_that_goes_bad_is_replaced_by_the_one_before() -> None:
    source = Source()
    first, second = (Partition(f"d{n}", START + timedelta(days=n - 1), START + timedelta(days=n)) for n in (1, 2))
    source.observe("v1", place=first)
    source.rows = BAD
    source.observe("v1", place=second)
    route = routing.route(source.gate, StepKey("r", "s"), routing.Input("c", "feed", Confidence.STALE, source.terms), second)
    assert (route.served, route.confidence) == (first, Confidence.STALE)


def test_what_cannot_be_read_leaves_everything_as_it_was() -> None:
    source = Source()
    source.observe("v1")

    def gone() -> object:
        raise ConnectionError("no route to host")

    with pytest.raises(ConnectionError):
        observing.observe(source.gate, source.terms, UNPARTITIONED, run_id="r", version=None, read=gone)
    assert source.statuses == [("v1", Status.PUBLISHED)]


@pytest.mark.parametrize("version", [None, "v2"])
def test_what_a_person_has_dismissed_is_not_listed_again_for_standing_there(version: str | None) -> None:
    source = Source(terms(failures=9, trip_on=frozenset(), window=Window(batches=9)))
    source.observe(version and "v1")
    source.rows = BAD
    refused = source.observe(version).batch
    recovery.discard(source.gate, refused, actor="ann", reason="known")
    assert source.observe(version).batch.status is Status.DISCARDED
    assert [status for _, status in source.statuses] == [Status.DISCARDED, Status.DISCARDED]
    source.rows = GOOD
    assert source.observe(version and "v3").publish


@pytest.mark.parametrize("version", [None, "v1"])
def test_what_was_fresh_when_it_was_found_is_refused_once_it_is_too_old(version: str | None) -> None:
    source = Source(terms(levels=(ServiceLevel("freshness", 2, unit="h", element="feed.at"),)))
    source.newest = START
    assert source.observe(version).publish
    source.clock.at += HOUR
    assert source.observe(version).batch.status in (Status.PUBLISHING, Status.PUBLISHED)
    source.clock.at += HOUR
    for _ in range(3):
        judgement = source.observe(version)
        assert (judgement.batch.status, judgement.breaker.state) == (Status.QUARANTINED, State.OPEN)
    (first, found), (aged, refused) = source.statuses
    assert (found, refused, aged) == (Status.DISCARDED, Status.QUARANTINED, f"{first} (too old)")
    assert source.reads == (2 if version else 5), "a version that has its verdict is not read again"
    source.clock.at += HOUR
    assert probed(source).probe is ProbeResult.FAILED
    source.clock.at += 2 * HOUR
    source.newest = source.clock.at
    came = probed(source)
    assert (came.probe, came.breaker.state) == (ProbeResult.PASSED, State.CLOSED)


def test_where_the_writer_of_a_verdict_died_what_stands_there_is_found_again() -> None:
    source = Source()
    taken = source.gate.measured(source.terms, UNPARTITIONED, source.read())
    row = source.gate.recorded(source.terms, Delivery(UNPARTITIONED, "r", OBSERVED, data_version="v1", in_place=True), taken).batch
    assert row.status is Status.PUBLISHING
    settled = stored.settle_publishing(source.gate, source.terms, row, source.read())
    assert (settled.id, settled.status) == (row.id, Status.PUBLISHED)


TABLES = {"good": GOOD, "better": BETTER, "bad": BAD, "worse": ["7"] * 50, "one bad": ONE_BAD}
OFTEN = ["look", "named", "probe", "half a day", "bad"] * 3
OPERATIONS = st.sampled_from([*OFTEN, *TABLES, "hour", "reset", "new contract"])


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(OPERATIONS, min_size=10, max_size=30),
    failures=st.integers(1, 2),
    probes=st.integers(1, 2),
    samples=st.sampled_from([10, 1000]),
)
def test_what_was_last_found_bad_is_never_fresh_and_good_data_always_finds_its_way(
    steps: list[str], failures: int, probes: int, samples: int
) -> None:
    trips = frozenset[Severity]() if failures > 1 else frozenset({Severity.CRITICAL})
    policy: dict[str, Any] = {"failures": failures, "trip_on": trips, "window": Window(batches=4), "probes": probes, "sample_rows": samples}
    source, standing, versions = Source(terms(**policy)), "good", 1
    found: str | None = None
    for step in steps:
        if step in TABLES:
            standing, source.rows = step, TABLES[step]
        elif step in ("look", "named"):
            source.observe(standing if step == "named" else None)
            found = standing
        elif step == "probe":
            if isinstance(came := source.probe(), Judgement):
                found = standing
                assert (came.breaker.state is State.OPEN) is (came.verdict.outcome is Outcome.FAIL)
        elif step == "reset" and found is not None:
            recovery.reset(source.gate, "feed", actor="ann", reason="so")
        elif step == "new contract":
            versions += 1
            source.terms = terms(f"{versions}.0.0", **policy)
        else:
            source.clock.at += HOUR if step == "hour" else 12 * HOUR
        assert sum(status is Status.PUBLISHED for _, status in source.statuses) <= 1
        assert not any(status is Status.PUBLISHING for _, status in source.statuses)
        if found is not None and TABLES[found] not in (GOOD, BETTER):
            assert {read_as(source, accepts) for accepts in (Confidence.FULL, Confidence.STALE)} == {RouteKind.HALTED}
    for number in range(3):  # what comes next is good, and each time another
        source.clock.at += 13 * HOUR
        source.rows = ["HIGH"] * (60 + number)
        source.observe()
    assert read_as(source, Confidence.FULL) is RouteKind.FRESH
    assert source.breaker.state is State.CLOSED


def read_as(source: Source, accepts: Confidence) -> RouteKind:
    name = StepKey(f"{source.clock.at} {len(source.statuses)} {uuid.uuid4()}", "s")
    return routing.route(source.gate, name, routing.Input("c", "feed", accepts, source.terms), UNPARTITIONED).kind
