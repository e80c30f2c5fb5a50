"""A few assets have nearly all batches, and PostgreSQL's statistics know no others: what is asked of the quiet ones is a look-up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from dagster_contracts.core.deliveries import Quiet
from dagster_contracts.core.snapshot import Change
from dagster_contracts.ports import Watched
from dagster_contracts.store import silent
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import metadata
from dagster_contracts.store.upgrade import upgrade
from tests.store.test_questions import selects
from tests.store.values import batch, breaker, day, numbered

HOT, ROWS, QUIET = 8, 40_000, 300


def copied(connection: Connection, name: str, upto: int, **changed: str) -> None:
    """`upto` copies of the one row whose number is 1, with what is changed in the n-th."""
    columns = [column.name for column in metadata.tables[f"contracts_{name}"].columns]
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    one = "t.key = 'feed'" if name == "breakers" else "t.id = 'b'"
    copies = f"SELECT {values} FROM contracts_{name} AS t, generate_series(1, {upto}) AS n WHERE {one}"
    connection.execute(text(f"INSERT INTO contracts_{name} ({names}) {copies}"))


@pytest.fixture
def skewed(postgres_url: str) -> SqlStore:
    """Statistics from before the quiet assets were there: autovacuum looks again once a tenth of the rows has changed."""
    upgrade(postgres_url)
    store = SqlStore(postgres_url)
    store.save(Change(numbered(breaker("feed"), "made")[0], batches=(batch("b", day(1)),)))
    hot, quiet = f"'hot' || n % {HOT}", "'quiet' || n"
    with store._database.writing() as connection:
        connection.execute(text("ALTER TABLE contracts_batches SET (autovacuum_enabled = false)"))
        copied(connection, "breakers", HOT, key="'hot' || n - 1")
        copied(connection, "batches", ROWS, id="'h' || n", asset=hot, breaker_key=hot, sequence="n + 1")
        connection.execute(text("ANALYZE"))
        copied(connection, "breakers", QUIET, key=quiet)
        copied(connection, "batches", QUIET, id="'q' || n", asset=quiet, breaker_key=quiet, sequence=f"n + {ROWS + 1}")
    return store


def rows_looked_at(plan: dict[str, Any]) -> float:
    """Of batches, by all parts of a plan."""
    below = sum(rows_looked_at(each) for each in plan.get("Plans", ()))  # type: ignore[attr-defined]
    if plan.get("Relation Name") != "contracts_batches":
        return below
    return below + sum(float(str(plan.get(name, 0))) for name in ("Actual Rows", "Rows Removed by Filter")) * float(
        str(plan["Actual Loops"])
    )


def explained(connection: Connection, statement: str, parameters: Any = None) -> float:
    (found,) = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).one()
    return rows_looked_at(found[0]["Plan"])


def test_who_is_silent_looks_at_ten_batches_of_each(skewed: SqlStore) -> None:
    quiet = Quiet(since=skewed.now() + timedelta(days=1))
    watched = [Watched(f"quiet{number}", "asset", quiet) for number in range(1, QUIET + 1)]
    assert len(skewed.silent(watched)) == QUIET
    given = str(silent.values(watched)["watched"]).replace("'", "''")
    with skewed._database.reading() as connection:
        looked_at = explained(connection, silent.SILENT.postgres.sql.replace("$1", f"'{given}'"))
    assert looked_at <= 2 * 10 * QUIET


@pytest.mark.parametrize("generic", [False, True])
def test_what_came_last_looks_at_no_batch_of_others(skewed: SqlStore, generic: bool) -> None:
    for ask in (lambda: skewed.arrivals("quiet7", None), lambda: skewed.batches(asset="quiet7", limit=5)):
        with selects(skewed) as sent:
            assert len(ask()) == 1
        (statement, parameters) = sent[-1]
        with skewed._database.reading() as connection:
            connection.exec_driver_sql(f"SET LOCAL plan_cache_mode = {'force_generic_plan' if generic else 'force_custom_plan'}")
            looked_at = explained(connection, statement, parameters)
        assert looked_at <= 10, statement
