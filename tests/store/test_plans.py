"""PostgreSQL reads few rows where its statistics know nothing of what is asked for: a few hot streams, and many assets that are rare.

Statistics are taken of the hot ones alone, as autoanalyze leaves them, and what is rare came before all of theirs. A plan that walks
everything in its order of arrival, until it has met enough of one asset, looks cheap by them, and reads every row there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from dagster_contracts.core.deliveries import Quiet
from dagster_contracts.core.ledger import FALLEN, UNPARTITIONED, ReviewStatus, Status, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.snapshot import Change
from dagster_contracts.ports import Asked, Watched
from dagster_contracts.store import tables
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.succession import WAITING
from dagster_contracts.store.upgrade import upgrade
from tests.store.values import T0, batch, breaker, day, numbered, output, review, route, transition

HOT, RARE = 12_000, 200
BOUND = 40  # rows read for one that is rare; of it there is one of each kind
ASSET = "rare7"
_COPIED: Mapping[str, Mapping[str, str]] = {
    "breakers": {"key": "name"},
    "transitions": {"key": "name", "number": "n"},
    "batches": {"id": "'b' || n", "asset": "name", "breaker_key": "name", "sequence": "n"},
    "decisions": {"run_id": "'run' || n", "consumer": "'of ' || name", "upstream": "name", "number": "n"},
    "outputs": {"id": "'o' || n", "asset": "'of ' || name", "number": "n", "status": "'ok'"},
    "reviews": {"id": "'o' || n", "asset": "'of ' || name", "number": "n"},
    "profiles": {"batch_id": "'b' || n"},
    "events": {"key": "name", "sequence": "n", "number": "n"},
}
QUESTIONS: Mapping[str, Callable[[SqlStore], object]] = {
    "a verdict's snapshot": lambda store: store.load(ASSET, asset=ASSET, partition=UNPARTITIONED, batch_id="b7"),
    "a decision's grounds": lambda store: store.grounds(ASSET, asset=ASSET, partition=UNPARTITIONED, step=StepKey("run7", "step")),
    "grounds of several": lambda store: store.grounds_of([Asked(ASSET, ASSET, UNPARTITIONED)]),
    "what may be last good": lambda store: store.good_before(ASSET, day(30), 50),
    "what was decided": lambda store: store.decided(StepKey("run7", "step"), ASSET, None),
    "arrivals": lambda store: store.arrivals(ASSET, UNPARTITIONED),
    "arrivals that passed": lambda store: store.arrivals(ASSET, None, accepted=True),
    "batches": lambda store: store.batches(asset=ASSET),
    "the newest batch": lambda store: store.batches(asset=ASSET, limit=1),
    "batches that wait": lambda store: store.batches(asset=ASSET, statuses=WAITING),
    "batches that wait anywhere": lambda store: store.batches(statuses=(Status.QUARANTINED, Status.HELD)),
    "batches that wait, in piles": lambda store: store.piles(ASSET),
    "batches being published anywhere": lambda store: store.batches(statuses=(Status.PUBLISHING,)),
    "profiles of the last good": lambda store: store.profiles(LastGood(5), ProfileOf("x"), key=ASSET, asset=ASSET, partition=UNPARTITIONED),
    "profiles of a partition": lambda store: store.profiles(
        GoodPartition(""), ProfileOf("x"), key=ASSET, asset=ASSET, partition=UNPARTITIONED
    ),
    "transitions": lambda store: store.transitions(ASSET),
    "the last transition": lambda store: store.transitions(ASSET, limit=1),
    "events": lambda store: store.events(ASSET, limit=10),
    "an output": lambda store: store.output(f"of {ASSET}", None),
    "outputs": lambda store: store.outputs(asset=f"of {ASSET}", limit=10),
    "outputs that are fallen": lambda store: store.outputs(asset=f"of {ASSET}", statuses=FALLEN, limit=10),
    "reviews": lambda store: store.reviews(asset=f"of {ASSET}", limit=10),
    "reviews that are open": lambda store: store.reviews(asset=f"of {ASSET}", statuses=(ReviewStatus.PENDING,), limit=10),
    "how it stands": lambda store: store.standing(ASSET),
    "how its consumer stands": lambda store: store.standing(f"of {ASSET}"),
    "what was given": lambda store: store.given(f"of {ASSET}", T0 + timedelta(days=400)),
    "candidates": lambda store: store.candidates({ASSET: "1.0.0"}, []),
    "releasable": lambda store: store.releasable(),
}  # fmt: skip


@pytest.fixture
def address(postgres_url: str) -> str:
    """The url of a store with hot streams that the planner knows, and rare ones that it does not."""
    upgrade(postgres_url)
    store = SqlStore(postgres_url)
    made, events = numbered(breaker("hot0"), "told")
    of = batch("b", asset="hot0", breaker_key="hot0")
    kept = KeptProfile("b", ProfileOf("x"), NumericProfile((1.0,), (1,)))
    store.save(Change(batches=(of,), profiles=(kept,)))
    store.save(
        Change(
            made,
            (transition("hot0"),),
            (of,),
            events=events,
            outputs=(output("o", asset="of hot0"),),
            reviews=(replace(review("o"), asset="of hot0"),),
        )
    )
    store.decide(StepKey("run", "step"), "of hot0", route("hot0"))
    with store._database.writing() as connection:
        _copies(connection, f"SELECT n, 'hot' || n % 11 AS name FROM generate_series({RARE + 2}, {HOT}) AS n")
        connection.execute(text("ANALYZE"))
        _copies(connection, f"SELECT n, 'rare' || n AS name FROM generate_series(2, {RARE}) AS n")
    return postgres_url


def _copies(connection: Connection, named: str) -> None:
    """Of one row of each table, so that their columns are as valid as its own."""
    for name, changed in _COPIED.items():
        columns = [column.name for column in tables.metadata.tables[f"contracts_{name}"].columns]
        values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        first = f"(SELECT * FROM contracts_{name} LIMIT 1) AS t"
        copied = f"SELECT {values} FROM ({named}) AS named, {first} ON CONFLICT DO NOTHING"
        connection.execute(text(f"INSERT INTO contracts_{name} ({names}) {copied}"))


def _planned(address: str, mode: str) -> SqlStore:
    """A store whose connections plan its statements for any values, or for each value anew."""
    with SqlStore(address)._database.writing() as connection:
        database = connection.engine.url.database
        connection.execute(text(f"ALTER DATABASE {database} SET plan_cache_mode = {mode}"))
    return SqlStore(address)


def _read(store: SqlStore, ask: Callable[[SqlStore], object]) -> int:
    """How many rows the server fetches for it, once it has prepared what it is asked: as it counts them itself."""
    for _ in range(6):
        ask(store)
    before = _fetched(store)
    ask(store)
    return _fetched(store) - before


def _fetched(store: SqlStore) -> int:
    with store._database.reading() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        counted = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname LIKE 'contracts%'"
        return int(connection.execute(text(counted)).scalar_one())


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_what_is_rare_costs_few_rows(address: str, mode: str) -> None:
    store = _planned(address, mode)
    rows = {name: _read(store, ask) for name, ask in QUESTIONS.items()}
    assert {name: count for name, count in rows.items() if count > BOUND} == {}
    watched = [Watched(f"rare{number}", "asset", Quiet(since=T0 + timedelta(days=1))) for number in range(2, RARE + 1)]
    assert len(store.silent(watched)) == len(watched)
    assert _read(store, lambda store: store.silent(watched)) <= 10 * len(watched)
