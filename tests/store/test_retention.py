"""What is pruned, and that no answer that matters changes by it: in memory, on SQLite, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select

from dagster_contracts.core.ledger import UNPARTITIONED, Batch, OutputStatus, Partition, ReviewStatus, Status, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, Counted, State
from dagster_contracts.core.verdict import Outcome, Verdict
from dagster_contracts.core.windows import STREAM, WINDOW
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store import dispensable, retention
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import cursors, profiles, threads
from tests.store.values import DAY, T0, batch, breaker, day, numbered, output, review, route, transition

NOW = T0 + 1000 * DAY
OLD = Retention.of(30 * DAY)
VERDICT = Verdict(Outcome.FAIL, "c", "1.0.0", 1, (), (), "digest")
AMOUNT = ProfileOf("amount")


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store(clock=FixedClock(NOW))


def pruned(store: Store, kept: Retention = OLD) -> Pruned:
    """What went, and that a dry run had said so and changed nothing."""
    told = store.prune(kept, dry_run=True)
    assert store.prune(kept, dry_run=True) == told
    gone = store.prune(kept)
    assert told == gone
    assert store.prune(kept) == Pruned()
    return gone


def deliveries(store: Store, count: int, partition: Partition = UNPARTITIONED, **fields: object) -> list[str]:
    """So many batches, each of which replaces the one before."""
    ids = [f"b{number}" for number in range(count)]
    for name in ids:
        store.save(Change(batches=(batch(name, partition, **fields),)))
    return ids


def left(store: Store) -> list[str]:
    return [found.id for found in reversed(store.batches(limit=10_000))]


# --- batches -------------------------------------------------------------------------------------------------------


def test_replaced_batches_go_and_the_newest_arrivals_stay(store: Store) -> None:
    ids = deliveries(store, 25)
    assert pruned(store).batches == 5
    assert left(store) == ids[5:]


def test_batches_that_are_young_stay(store: Store) -> None:
    deliveries(store, 25, arrived_at=NOW, updated_at=NOW)
    deliveries(store, 5, head=False, updated_at=NOW - 30 * DAY)
    assert pruned(store) == Pruned()


def test_a_place_is_judged_for_ever(store: Store) -> None:
    """A partition of which all was dismissed is not one that nobody ever delivered."""
    store.save(Change(batches=(batch("first", day(1), Status.DISCARDED, head=False),)))
    store.save(Change(batches=(batch("second", day(1), Status.DISCARDED, head=False),)))
    assert pruned(store).batches == 1
    assert left(store) == ["second"]
    assert store.load("feed", asset="feed", partition=day(1)).judged


@pytest.mark.parametrize("status", [Status.QUARANTINED, Status.HELD, Status.PUBLISHING])
def test_what_came_before_a_batch_that_waits_stays(store: Store, status: Status) -> None:
    ids = deliveries(store, 5, head=False)
    store.save(Change(batches=(batch("waits", day(9), status),)))
    assert pruned(store).batches == 0
    assert left(store) == [*ids, "waits"]
    store.save(Change(batches=(batch("other", day(9), Status.HELD, breaker_key="feed[x=1]"),)))  # replaces it, on another breaker
    assert pruned(store).batches == (4 if status is not Status.PUBLISHING else 0)


def test_micro_batches_go_by_their_age(store: Store) -> None:
    """Nobody reads or publishes them from here. They keep nothing else either, and the newest arrivals stay as those of a partition do."""
    earlier = deliveries(store, 3, head=False)
    kinds = [Status.HELD, Status.QUARANTINED, Status.DISCARDED, Status.PUBLISHED]
    for number in range(32):
        name, status = f"e/{number}", kinds[number % 4]
        of = batch(name, Partition(name), status, data_version=STREAM, run_id=name)
        profile = KeptProfile(name, AMOUNT, NumericProfile((float(number),), (1,)))  # a place of its own: nothing is compared with it
        store.save(Change(batches=(of,), profiles=(profile,)))
    window = {"data_version": STREAM, "run_id": WINDOW, "head": False}
    store.save(Change(batches=(batch("w1", day(1), Status.QUARANTINED, **window), batch("w2", day(2), Status.HELD, **window))))
    store.save(Change(batches=(batch("young", Partition("y"), Status.HELD, data_version=STREAM, run_id="y", updated_at=NOW),)))
    assert pruned(store).batches == 2 + 13 + 2
    gone = {*(f"e/{number}" for number in range(13)), "w1", "w2", *earlier[:2]}
    assert gone.isdisjoint(left(store))
    assert "young" in left(store)
    assert sum(name.startswith("e/") for name in left(store)) == 32 - 13


def test_what_a_breaker_names_stays(store: Store) -> None:
    ids = deliveries(store, 6, head=False)
    window = (Counted(ids[1], T0, True),)
    store.save(Change(breaker=breaker(window=window, probed=(ids[2],), passed=(ids[3],))))
    assert pruned(store).batches == 2
    assert left(store) == [ids[1], ids[2], ids[3], ids[5]]


def test_the_last_that_passed_stays(store: Store) -> None:
    """Rules about deliveries ask for it."""
    store.save(Change(batches=(batch("passed", status=Status.DISCARDED),)))
    for number in range(30):
        store.save(Change(batches=(batch(f"failed{number}", status=Status.DISCARDED, outcome=Outcome.FAIL),)))
    before = list(store.arrivals("feed", UNPARTITIONED, accepted=True, limit=1))
    assert pruned(store).batches == 10
    assert left(store)[0] == "passed"
    assert list(store.arrivals("feed", UNPARTITIONED, accepted=True, limit=1)) == before


def test_profiles_go_with_their_batches_and_references_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("retention", "dispensable"):
        monkeypatch.setattr(f"dagster_contracts.store.{module}.KEPT_REFERENCES", 3)
    for number in range(8):
        profile = KeptProfile(f"b{number}", AMOUNT, NumericProfile((float(number),), (1,)))
        store.save(Change(batches=(batch(f"b{number}", head=False),), profiles=(profile,)))

    def references(limit: int) -> list[object]:
        found = store.profiles(LastGood(limit), AMOUNT, key="feed", asset="feed", partition=UNPARTITIONED)
        return [each.profile for each in found]

    newest = references(3)
    assert pruned(store).batches == 5
    assert left(store) == ["b5", "b6", "b7"]
    assert references(10) == newest
    if isinstance(store, SqlStore):
        with store._database.reading() as connection:
            assert set(connection.execute(select(profiles.c.batch_id)).scalars()) == {"b5", "b6", "b7"}


def test_findings_go_and_the_batch_stays(store: Store) -> None:
    verdict = VERDICT
    store.save(Change(batches=(batch("published", day(1), verdict=verdict), batch("waits", day(2), Status.QUARANTINED, verdict=verdict))))
    assert pruned(store).verdicts == 1
    found = {each.id: each for each in store.batches()}
    assert found["published"] == batch("published", day(1), sequence=found["published"].sequence)
    assert found["waits"].verdict == verdict


# --- the rest ------------------------------------------------------------------------------------------------------


def test_history_goes_but_for_the_present_incident_and_the_last_word(store: Store) -> None:
    opened = breaker(state=State.OPEN, opened_at=T0 + 3 * DAY)
    at = [transition(generation=number, at=T0 + number * DAY) for number in range(6)]
    other = [transition("other", generation=number, at=T0 + number * DAY) for number in range(3)]
    young = transition("other", generation=9, at=NOW)
    store.save(Change(opened, (*at, *other, young)))
    assert pruned(store).transitions == 3 + 3
    assert [found.generation for found in store.transitions("feed")] == [5, 4, 3]
    assert [found.generation for found in store.transitions("other")] == [9]


def test_decisions_go_but_for_the_last_of_a_consumer_about_an_upstream(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    for number in range(4):
        clock.at = T0 + number * DAY
        store.decide(StepKey(f"run{number}", "s"), "scores", route())
    store.decide(StepKey("run9", "s"), "scores", route("other"))
    clock.at = NOW
    assert pruned(store).decisions == 3
    assert [len(store.decisions(StepKey(f"run{number}", "s"))) for number in (0, 1, 2, 3, 9)] == [0, 0, 0, 1, 1]


def test_ended_outputs_and_decided_reviews_go(store: Store) -> None:
    for number, status in enumerate(OutputStatus):
        store.save(Change(outputs=(output(f"o{number}", status, day(number + 1), ended_at=T0),)))
    store.save(Change(outputs=(output("stands", OutputStatus.DEGRADED, day(9)), output("young", OutputStatus.HEALED, ended_at=NOW))))
    decided = [replace(review(f"r{number}", status), decided_at=T0) for number, status in enumerate(ReviewStatus)]
    approved = replace(review("stands", ReviewStatus.APPROVED), decided_at=T0)
    store.save(Change(reviews=(*decided, approved, replace(review("late", ReviewStatus.REJECTED), decided_at=NOW))))
    gone = pruned(store)
    assert (gone.outputs, gone.reviews) == (3, 3)
    assert {found.id for found in store.outputs()} == {"o0", "o1", "o2", "o3", "stands", "young"}
    assert {found.id for found in store.reviews()} == {"r0", "stands", "late"}


def told(store: Store, last: int) -> None:
    """The only sink has been told the events of the breaker up to this one."""
    store.register(["log"])
    store.claim("log", holder="me", lease=timedelta(minutes=1))
    store.advance("log", "me", {"feed": last})


def test_events_go_once_they_are_told_but_for_the_latest_incident(store: Store) -> None:
    first, before = numbered(breaker(), "1", "2", "3")
    made, during = numbered(replace(first, incident=2, state=State.OPEN), "4", "5")
    earlier = tuple(replace(each, incident=1) for each in before[:1])
    store.save(Change(replace(made, version=0), events=(*earlier, *before[1:], *during)))
    assert pruned(store) == Pruned()
    told(store, 2)
    assert pruned(store).events == 2
    told(store, 5)
    assert pruned(store).events == 1
    assert [event.sequence for event in store.events()] == [4, 5]


def test_events_wait_for_every_sink(url: str) -> None:
    """Each sink has a cursor for each breaker it was told of; one without a cursor for a breaker was told nothing of it."""
    store = SqlStore(url, clock=FixedClock(NOW))
    made, events = numbered(breaker(), "1", "2", "3")
    others, foreign = numbered(breaker("other"), "1")
    store.save(Change(made, events=events))
    store.save(Change(others, events=foreign))

    def stands(sink: str, key: str, sequence: int) -> None:
        with store._database.writing() as connection:
            connection.execute(cursors.insert().values(sink=sink, key=key, sequence=sequence))

    stands("kafka", "feed", 3)
    stands("slack", "feed", 2)
    assert pruned(store).events == 2
    stands("kafka", "other", 1)
    assert pruned(store).events == 0
    stands("slack", "other", 1)
    assert pruned(store).events == 1


def test_threads_of_earlier_incidents_go(url: str) -> None:
    store = SqlStore(url, clock=FixedClock(NOW))
    store.save(Change(breaker("a", incident=2, state=State.OPEN)))
    rows = [("slack", "a#1", T0), ("log", "a#1", T0), ("slack", "a#2", T0), ("slack", "gone#1", T0), ("slack", "gone#2", NOW)]
    with store._database.writing() as connection:
        for sink, incident, at in rows:
            connection.execute(threads.insert().values(sink=sink, incident=incident, thread={}, updated_at=at))
    assert pruned(store).threads == 3
    with store._database.reading() as connection:
        assert set(connection.execute(select(threads.c.incident)).scalars()) == {"a#2", "gone#2"}


def test_a_day_is_the_least() -> None:
    with pytest.raises(ValueError, match="events would be kept for 23:59:59; from 1 to 36,500 days are possible"):
        Retention(events=timedelta(seconds=86_399))
    assert Retention.of(DAY).batches == Retention.of(DAY).threads == DAY


# --- transactions --------------------------------------------------------------------------------------------------


def test_each_transaction_ends_few_rows(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS", 4)
    store = SqlStore(url, clock=FixedClock(NOW))
    deliveries(store, 15, head=False)
    store.save(Change(transitions=tuple(transition(generation=number) for number in range(11))))
    deleted: list[int] = []
    commits: list[int] = []
    engine = store._database._engine

    @event.listens_for(engine, "after_cursor_execute")
    def _count(_: Connection, cursor: object, statement: str, *__: object) -> None:
        if statement.startswith(("DELETE FROM contracts_batches", "DELETE FROM contracts_transitions")):
            deleted.append(len(deleted))

    @event.listens_for(engine, "commit")
    def _committed(_: Connection) -> None:
        commits.append(len(deleted))

    gone = store.prune(OLD)
    assert (gone.batches, gone.transitions) == (14, 10)
    assert len(deleted) == 4 + 3
    assert set(range(8)) <= set(commits)  # a commit between any two


class CutOff(Exception):
    """As a killed process: what was committed stands."""


def test_cut_off_anywhere_it_is_harmless(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS", 3)
    store = SqlStore(url, clock=FixedClock(NOW))
    for number in range(10):
        kept = KeptProfile(f"b{number}", AMOUNT, NumericProfile((1.0,), (1,)))
        store.save(Change(batches=(batch(f"b{number}", day(1), head=False),), profiles=(kept,)))
    total = store.prune(OLD, dry_run=True).batches
    assert total == 9
    engine = store._database._engine
    allowed = 0

    @event.listens_for(engine, "before_cursor_execute")
    def _cut(_: Connection, cursor: object, statement: str, *__: object) -> None:
        nonlocal allowed
        if statement.startswith("DELETE"):
            allowed -= 1
            if allowed < 0:
                raise CutOff

    for rounds in range(3):
        allowed = rounds % 2 + 1
        with pytest.raises(CutOff):
            store.prune(OLD)
        with store._database.reading() as connection:
            named = set(connection.execute(select(profiles.c.batch_id)).scalars())
        assert named == set(left(store))
    allowed = 1000
    store.prune(OLD)
    assert left(store) == ["b9"]


# --- no answer that matters changes --------------------------------------------------------------------------------

AGES = st.integers(0, 60).map(lambda days: NOW - days * DAY)
PLACES = [day(1), day(2), day(2, country="DE"), UNPARTITIONED, Partition("static")]
BATCHES = st.builds(
    lambda place, status, outcome, at, head, key, kept: (place, status, outcome, at, head, key, kept),
    st.sampled_from(PLACES),
    st.sampled_from([*[Status.PUBLISHED] * 3, *[Status.DISCARDED] * 2, Status.QUARANTINED, Status.HELD]),
    st.sampled_from([Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.INCONCLUSIVE]),
    AGES,
    st.booleans(),
    st.sampled_from(["feed", "feed[country=DE]"]),
    st.booleans(),
)
HISTORY = st.tuples(
    st.lists(BATCHES, max_size=60),
    st.lists(st.tuples(st.sampled_from(OutputStatus), st.sampled_from(PLACES), AGES), max_size=6),
    st.lists(st.integers(0, 59), max_size=3),
    st.integers(1, 50),
)


def play(store: Store, history: tuple[list[tuple[object, ...]], list[tuple[OutputStatus, Partition, datetime]], list[int], int]) -> None:
    batches, outputs, window, _ = history
    named = tuple(Counted(f"b{number}", T0, True) for number in window)
    made, events = numbered(breaker(window=named, incident=1), "1", "2")
    store.save(Change(made, tuple(transition(generation=number) for number in range(3)), events=events))
    for number, (place, status, outcome, at, head, key, kept) in enumerate(batches):
        row = batch(
            f"b{number}", place, status, outcome=outcome, arrived_at=at, updated_at=at, head=head, breaker_key=key,
            verdict=VERDICT,
        )  # type: ignore[arg-type]  # fmt: skip
        profile = (KeptProfile(row.id, AMOUNT, NumericProfile((float(number),), (1,))),) if kept else ()
        store.save(Change(batches=(row,), profiles=profile))
    for number, (state, place, moment) in enumerate(outputs):
        row_ = output(f"o{number}", state, place, at=moment)
        store.save(Change(outputs=(row_,), reviews=(review(f"o{number}"),)))
    told(store, 1)


def told_without_findings(found: Batch | None) -> Batch | None:
    settled = found is not None and found.status in (Status.PUBLISHED, Status.DISCARDED)
    return replace(found, verdict=None) if found is not None and settled else found


def answers(store: Store, breakers: Sequence[Breaker]) -> list[object]:
    """Everything that gates, sensors and `status` ask."""
    waiting = store.batches(statuses=(Status.QUARANTINED, Status.HELD, Status.PUBLISHING))
    found: list[object] = [store.breakers(), waiting, store.waiting(), store.reviews(statuses=(ReviewStatus.PENDING,))]
    found += [store.outputs(statuses=(OutputStatus.OK, OutputStatus.DEGRADED, OutputStatus.HALTED))]
    for key in ("feed", "feed[country=DE]"):
        found.append(store.arrivals(key, None))
        for place in [*PLACES, day(9), day(9, country="DE"), Partition("never")]:
            seen = store.load(key, asset="feed", partition=place)
            found.append(replace(seen, published=told_without_findings(seen.published), last_good=told_without_findings(seen.last_good)))
            found += [store.arrivals(key, place), store.arrivals(key, place, accepted=True, limit=1), store.output("scores", place.key)]
            for each in waiting:
                found.append(store.arrivals(key, place, before=each.sequence))
            for reference in (LastGood(7), GoodPartition(place.key or "")):
                found.append(store.profiles(reference, AMOUNT, key=key, asset="feed", partition=place))
    named = {entry.batch_id for each in breakers for entry in each.window}
    return [*found, [told_without_findings(store.batch(name)) for name in sorted(named)]]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_answer_that_matters_changes(kind: str) -> None:
    @settings(max_examples=60 if kind == "memory" else 5)
    @given(HISTORY)
    def unchanged(history: tuple[list[tuple[object, ...]], list[tuple[OutputStatus, Partition, datetime]], list[int], int]) -> None:
        with TemporaryDirectory() as folder:
            clock = FixedClock(NOW)
            store: Store = MemoryStore(clock=clock) if kind == "memory" else SqlStore(f"sqlite:///{folder}/store.db", clock=clock)
            play(store, history)
            before = answers(store, store.breakers())
            kept = Retention.of(history[3] * DAY)
            told, gone = store.prune(kept, dry_run=True), store.prune(kept)
            assert gone.batches == told.batches
            assert answers(store, store.breakers()) == before
            if kind == "sqlite":
                same = MemoryStore(clock=clock)
                play(same, history)
                assert same.prune(kept) == gone
                assert left(same) == left(store)

    unchanged()


@pytest.mark.parametrize("seed", range(6))
def test_what_goes_is_what_the_plain_definition_says(url: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Counted for many batches at once, over several looks and transactions, as if each were looked at by itself."""
    draw = Random(seed)
    monkeypatch.setattr(retention, "ROWS", 7)
    monkeypatch.setattr(retention, "LOOK", draw.choice([5, 20, 60, 1000]))
    for module in ("retention", "dispensable"):
        monkeypatch.setattr(f"dagster_contracts.store.{module}.KEPT_REFERENCES", 2)
        monkeypatch.setattr(f"dagster_contracts.store.{module}.KEPT_ARRIVALS", 3)
    store = SqlStore(url, clock=FixedClock(NOW))
    made = [_any_batch(draw, number) for number in range(200)]
    kept = [KeptProfile(each.id, AMOUNT, NumericProfile((1.0,), (1,))) for each in made if draw.random() < 0.5]
    window = tuple(Counted(each.id, T0, True) for each in draw.sample(made, 5))
    store.save(Change(breaker(window=window), batches=tuple(made), profiles=tuple(kept)))
    before, known = _profiled(store), store.batches(limit=1000)
    over = dispensable.batches(known, {name for name, good in before if good}, store.breakers(), NOW - 30 * DAY)
    assert store.prune(OLD, dry_run=True).batches == store.prune(OLD).batches == len(over) > 2 * retention.ROWS
    assert set(left(store)) == {each.id for each in known} - over
    assert _profiled(store) == {(name, good) for name, good in before if name not in over}


def _any_batch(draw: Random, number: int) -> Batch:
    asset, status = draw.choice(["feed", "gauge", "meter"]), draw.choices(list(Status), [1, 1, 1, 20, 10])[0]
    at, outcome = NOW - draw.randint(20, 400) * DAY, draw.choice(list(Outcome))
    place = draw.choice([day(1), day(2), day(1, country="DE"), UNPARTITIONED, Partition("static"), Partition(f"e/{number % 50}")])
    key = draw.choice([asset, f"{asset}[country=DE]"])
    head = draw.random() < 0.7
    streamed = {"data_version": STREAM, "run_id": draw.choice([place.key or "", WINDOW, "run"])}
    return batch(
        f"b{number}", place, status, outcome=outcome, asset=asset, breaker_key=key, head=head, arrived_at=at, updated_at=at, **streamed
    )


def _profiled(store: SqlStore) -> set[tuple[str, bool]]:
    with store._database.reading() as connection:
        return {(row.batch_id, row.good) for row in connection.execute(select(profiles))}
