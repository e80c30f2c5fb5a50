"""What people ask of the ledger: the same answers from every store, and from a database with one SELECT over indexes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, event, text

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Draft, EventType, number
from dagster_contracts.core.ledger import UNPARTITIONED, OutputStatus, Partition, RouteKind, Status, StepKey
from dagster_contracts.core.snapshot import Change, Incident, Standing
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import STREAM, WINDOW
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import metadata
from tests.store.values import T0, batch, breaker, day, numbered, output, route

OPEN = State.OPEN
HOUR = timedelta(hours=1)


def save(store: Store, *changes: Change) -> None:
    for change in changes:
        store.save(change)


# --- how things stand ------------------------------------------------------------------------------------------------


def test_of_what_nobody_knows_nothing_stands(store: Store) -> None:
    found = store.standing("feed")
    assert found == Standing(found.now, "feed")
    assert list(store.given("scores", found.now)) == []
    assert store.incident("feed", 1) == Incident()


def test_breakers_are_the_assets_own_and_those_that_are_not_closed(store: Store) -> None:
    keys = ["feed", "feed[vendor=a]", "feed[vendor=b]", "feed2", "fee", "feed/x", "feed]", "Feed[vendor=a]"]
    for key in keys:
        save(store, Change(breaker=breaker(key)))
    save(store, Change(breaker=breaker("above", state=OPEN)), Change(breaker=breaker("feed[vendor=c]", state=State.HALF_OPEN)))
    found = store.standing("feed")
    assert [each.key for each in found.breakers] == ["feed", "feed[vendor=a]", "feed[vendor=b]", "feed[vendor=c]"]
    assert [each.key for each in found.above] == ["above"]
    assert [each.key for each in store.standing("other").above] == ["above", "feed[vendor=c]"]


def test_batches_that_wait_the_newest_and_the_published_one(store: Store) -> None:
    kinds = [Status.PUBLISHED, Status.QUARANTINED, Status.PUBLISHING, Status.HELD, Status.PUBLISHED, Status.DISCARDED]
    for each, status in enumerate(kinds, start=1):
        save(store, Change(batches=(batch(f"b{each}", day(each), status),)))
    save(store, Change(batches=(batch("other", day(7), Status.HELD, asset="elsewhere"), batch("plain", UNPARTITIONED, Status.HELD))))
    found = store.standing("feed")
    assert [each.id for each in found.waiting] == ["plain", "b4", "b3", "b2"]
    assert (found.newest and found.newest.id, found.published and found.published.id) == ("plain", "b5")
    here = store.standing("feed", str(day(2).key))
    assert ([each.id for each in here.waiting], here.newest and here.newest.id, here.published) == (["b2"], "b2", None)
    gone = store.standing("feed", str(day(6).key))
    assert (gone.waiting, gone.newest and gone.newest.id, gone.published) == ((), "b6", None)


def test_no_breaker_hides_another_in_what_waits(store: Store) -> None:
    """A stream may have thousands of batches set aside: they are counted, and one of all else is listed before the second of them."""
    named = {"data_version": STREAM, "outcome": Outcome.PASS}
    for each in range(6):
        of = {**named, "run_id": f"s{each}", "arrived_at": T0 + each * HOUR, "breaker_key": "feed[x=1]"}
        save(store, Change(batches=(batch(f"s{each}", Partition(f"s{each}"), Status.HELD, **of),)))
    window = {"data_version": STREAM, "run_id": WINDOW, "breaker_key": "feed[x=1]", "outcome": Outcome.PASS}
    save(store, Change(batches=(batch("w", day(1), Status.HELD, **window), batch("done", day(3)))))
    bad = [batch(f"q{each}", day(each), Status.QUARANTINED, asset="pay", breaker_key="pay") for each in (1, 2)]
    save(
        store,
        Change(batches=(*bad, batch("unsure", day(4), Status.HELD, outcome=Outcome.INCONCLUSIVE), batch("on", day(5), Status.PUBLISHING))),
    )

    def told(asset: str | None = None, limit: int = 1000) -> list[tuple[int, list[str]]]:
        return [(pile.count, [each.id for each in pile.newest]) for pile in store.piles(asset, limit)]

    streamed = (6, ["s5", "s4", "s3", "s2", "s1", "s0"])
    assert told() == [(1, ["on"]), (1, ["unsure"]), (2, ["q2", "q1"]), (1, ["w"]), streamed]
    assert told(limit=7) == [(1, ["on"]), (1, ["unsure"]), (2, ["q2", "q1"]), (1, ["w"]), (6, ["s5", "s4"])]
    assert told(limit=1) == [(1, ["on"]), (1, ["unsure"]), (2, ["q2"]), (1, ["w"]), (6, ["s5"])]
    assert told("pay") == [(2, ["q2", "q1"])]
    assert [pile.since for pile in store.piles("feed")][-1] == T0
    assert store.piles("pay")[0].newest == tuple(store.batches(asset="pay"))
    assert told("nobody") == []


def test_what_it_made_and_what_was_made_from_it(store: Store) -> None:
    def made(name: str, asset: str, upstream: str, number: int, status: OutputStatus = OutputStatus.DEGRADED) -> Change:
        low = route(upstream, day(number), RouteKind.LOW_CONFIDENCE, confidence=Confidence.LOW)
        return Change(outputs=(output(name, status, day(number), asset=asset, inputs=(low,), at=T0 + number * HOUR),))

    save(store, made("o1", "scores", "feed", 1), made("o2", "reports", "scores", 1, OutputStatus.HALTED), made("o3", "loop", "reports", 1))
    save(store, made("o4", "else", "another", 1), made("o5", "fine", "feed", 1, OutputStatus.OK), made("o6", "scores", "feed", 2))
    found = store.standing("feed")
    assert [each.id for each in found.affected] == ["o1", "o2", "o3", "o6"]
    assert found.output is None
    scores = store.standing("scores")
    assert (scores.output and scores.output.id, [each.id for each in scores.affected]) == ("o6", ["o2", "o3"])
    assert [each.id for each in store.standing("feed", str(day(1).key)).affected] == ["o1", "o2", "o3"]
    assert [each.id for each in store.standing("feed", str(day(2).key)).affected] == ["o6"]
    first = store.standing("scores", str(day(1).key))
    assert first.output is not None
    assert first.output.id == "o1"
    fine = store.standing("fine").output
    assert fine is not None
    assert fine.status is OutputStatus.OK


def test_what_was_read_fresh_is_not_why_an_output_has_fallen(store: Store) -> None:
    fresh = route("features", day(1), served=day(1), confidence=Confidence.FULL)
    low = route("feed", day(1), RouteKind.LOW_CONFIDENCE, confidence=Confidence.LOW)
    save(store, Change(outputs=(output("o1", OutputStatus.DEGRADED, day(1), asset="training", inputs=(fresh, low)),)))
    assert store.standing("features").affected == ()
    assert [each.id for each in store.standing("feed").affected] == ["o1"]


# --- what was read, what happened ------------------------------------------------------------------------------------


def test_what_a_consumer_had_been_given_at_a_time(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(T0)
    store = open_store(clock=clock)
    first, retry, later = StepKey("run1", "scores"), StepKey("run1", "scores", 1), StepKey("run2", "scores")
    for step, hour, partition in ((first, 1, 1), (first, 2, 2), (retry, 3, 1), (later, 5, 1)):
        clock.at = T0 + hour * HOUR
        store.decide(step, "scores", route(requested=day(partition)))
    store.decide(StepKey("run3", "x"), "other", route())

    def told(hour: float, requested: str | None = None) -> list[tuple[str, int, str | None]]:
        found = store.given("scores", T0 + hour * HOUR, requested)
        assert {each.consumer for each in found} <= {"scores"}
        assert all(each.decided_at <= T0 + hour * HOUR for each in found)
        return [(each.step.run_id, each.step.attempt, each.route.requested.key) for each in found]

    one, two = day(1).key, day(2).key
    assert told(0.9) == []
    assert told(1) == [("run1", 0, one)]
    assert told(2.5) == [("run1", 0, one), ("run1", 0, two)]
    assert told(4) == [("run1", 1, one)]
    assert told(5) == told(99) == [("run2", 0, one)]
    assert told(99, two) == [("run1", 0, one), ("run1", 0, two)]
    assert told(99, "never") == []


def test_what_happened_in_an_incident(store: Store) -> None:
    made = breaker(state=OPEN, incident=1)
    made, opened = number(made, [Draft(EventType.BREAKER_OPENED, "opened", {}), Draft(EventType.BATCH_QUARANTINED, "put aside", {})], T0)
    save(store, Change(made, events=opened))
    closed, closing = number(breaker(version=1, incident=1, event_sequence=2), [Draft(EventType.BREAKER_CLOSED, "closed", {})], T0 + HOUR)
    save(store, Change(closed, events=closing))
    quiet, between = numbered(breaker(version=2, incident=1, event_sequence=3), "between")
    save(store, Change(quiet, events=between))
    again, second = number(breaker(version=3, state=OPEN, incident=2, event_sequence=4), [Draft(EventType.BREAKER_OPENED, "again", {})], T0)
    save(store, Change(again, events=second))
    assert store.incident("feed", 1) == Incident((*opened, *closing))
    assert [each.message for each in store.incident("feed", 1, limit=1).events] == ["opened", "closed"]
    assert [each.message for each in store.incident("feed", 2).events] == ["again"]
    assert store.incident("other", 1) == Incident()


def test_of_a_long_incident_the_beginning_and_the_end_are_told(store: Store) -> None:
    drafts = [Draft(EventType.BREAKER_OPENED, "opened", {}), *(Draft(EventType.BATCH_HELD, f"held {n}", {}) for n in range(20))]
    drafts += [Draft(EventType.BREAKER_CLOSED, "closed", {}), *(Draft(EventType.OUTPUT_HEALED, f"healed {n}", {}) for n in range(5))]
    made, events = number(breaker(incident=1), drafts, T0)
    save(store, Change(made, events=events))
    found = store.incident("feed", 1, limit=5)
    assert [each.message for each in found.events] == ["opened", "held 0", "held 1", "closed", "healed 3", "healed 4"]
    assert found.left_out == 21
    assert store.incident("feed", 1, limit=27) == store.incident("feed", 1) == Incident(events)


# --- one SELECT, over indexes ----------------------------------------------------------------------------------------


def fill(store: SqlStore) -> None:
    """So much that a planner who may choose an index does: one of everything, and 3,000 copies."""
    made, events = numbered(breaker("feed", incident=1), "told")
    store.save(Change(made, batches=(batch("b", day(1)),), outputs=(output("o", partition=day(1)),), events=events))
    store.decide(StepKey("run", "step"), "scores", route())
    given = {
        "breakers": {"key": "'feed' || n"},
        "batches": {"id": "'b' || n", "asset": "'feed' || n % 30", "breaker_key": "'feed' || n % 30", "sequence": "n + 1"},
        "outputs": {"id": "'o' || n", "asset": "'scores' || n % 30", "number": "n + 1"},
        "events": {"key": "'feed' || n % 30", "sequence": "n", "number": "n + 1", "incident": "n % 7"},
        "decisions": {"run_id": "'run' || n", "consumer": "'scores' || n % 30", "number": "n + 1"},
    }
    with store._database.writing() as connection:
        numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000) SELECT n FROM s"
        for name, changed in given.items():
            columns = [column.name for column in metadata.tables[f"contracts_{name}"].columns]
            names = ", ".join(f'"{column}"' for column in columns)
            values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
            copies = f"SELECT {values} FROM contracts_{name} AS t, ({numbers}) AS numbers"
            connection.execute(text(f"INSERT INTO contracts_{name} ({names}) {copies}"))
        if connection.dialect.name == "postgresql":  # which does so of itself; nothing ever does in a SQLite store
            connection.execute(text("ANALYZE"))


@contextmanager
def selects(store: SqlStore) -> Iterator[list[tuple[str, object]]]:
    """The statements that a block sends, without those that only begin a transaction."""
    sent: list[tuple[str, object]] = []
    engine = store._database._engine

    def note(_: Connection, cursor: object, statement: str, parameters: object, *__: object) -> None:
        if not re.match(r"BEGIN|SELECT (now\(\)|strftime)", statement):
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


QUESTIONS: dict[str, Callable[[SqlStore], object]] = {
    "why is it held": lambda store: store.standing("feed7"),
    "why is this partition held": lambda store: store.standing("feed7", "2026-11-25"),
    "what did it read": lambda store: store.given("scores7", store.now()),
    "what waits": lambda store: store.piles(),
    "what waits of it": lambda store: store.piles("feed7"),
    "what is degraded": lambda store: store.outputs(statuses=(OutputStatus.DEGRADED, OutputStatus.HALTED)),
    "what happened": lambda store: store.incident("feed1", 1),
}


def test_each_question_is_one_select_over_indexes(url: str) -> None:
    store = SqlStore(url)
    fill(store)
    store.batch("warm")
    for name, ask in QUESTIONS.items():
        with selects(store) as sent:
            ask(store)
        assert len(sent) == 1, (name, [statement for statement, _ in sent])
        statement, parameters = sent[0]
        with store._database.reading() as connection:
            explain = "EXPLAIN " if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
            plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters).all())  # type: ignore[arg-type]
        assert not re.findall(r"Seq Scan on contracts_\w+|SCAN contracts_\w+(?! USING)", plan), f"{name}: {plan}"
