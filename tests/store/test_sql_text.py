"""SQL is parameterized and identifiers are quoted: no value ever stands in a statement's text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

import dagster_contracts
from dagster_contracts.core.events import Draft, EventType, number
from dagster_contracts.core.ledger import OutputStatus, Partition, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import LastGood
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.retention import Retention
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Override, OverrideKind, State
from dagster_contracts.store.sql import SqlStore
from tests.store.values import DAY, T0, batch, breaker, output, review, route, transition

HOSTILE = "x'); DROP TABLE contracts_breakers; --\"%s:p$1"
_TAKES_SQL = {"text", "literal_column", "exec_driver_sql", "execute", "DDL"}

# The only text that is put together: names of parts and roles that stand in the same module, words of letters and underscores alone, and
# the grants, whose names are quoted.
PUT_TOGETHER = {("questions.py", "literal_column"), ("statement.py", "literal_column")}


def test_no_statement_is_put_together_from_text() -> None:
    store = Path(dagster_contracts.__file__).parent / "store"
    found: set[tuple[str, str]] = set()
    for file in store.rglob("*.py"):
        for name, argument in sql_given(ast.parse(file.read_text())):
            if any(isinstance(part, ast.JoinedStr | ast.Mod) or _formats(part) for part in ast.walk(argument)):
                found.add((file.name, name))
    assert found <= PUT_TOGETHER, found


def sql_given(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in _TAKES_SQL:
                yield name, node.args[0]


def _formats(part: ast.AST) -> bool:
    return isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "format"


def test_hostile_names_and_texts_are_values(url: str) -> None:
    store = SqlStore(url)
    store.batches()
    statements: list[str] = []
    engine = store._database._engine

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_: Connection, cursor: object, statement: str, *__: object) -> None:
        statements.append(statement)

    here = Partition(HOSTILE)
    override = Override(OverrideKind.FORCE_OPEN, HOSTILE, HOSTILE, T0)
    made = breaker(HOSTILE, contract_version=HOSTILE, cause=HOSTILE, findings=(HOSTILE,), override=override, state=State.OPEN, incident=1)
    made, events = number(made, [Draft(EventType.BREAKER_OPENED, HOSTILE, {HOSTILE: HOSTILE})], T0)
    row = batch(HOSTILE, here, asset=HOSTILE, breaker_key=HOSTILE, run_id=HOSTILE, data_version=HOSTILE, note=HOSTILE, staged=HOSTILE)
    kept = KeptProfile(HOSTILE, ProfileOf(HOSTILE), NumericProfile((1.0,), (1,)))
    low = output(HOSTILE, OutputStatus.DEGRADED, here, asset=HOSTILE, run_id=HOSTILE)
    store.save(Change(made, (transition(HOSTILE, cause=HOSTILE, actor=HOSTILE),), (row,), (low,), (review(HOSTILE),), events, (kept,)))
    step = StepKey(HOSTILE, HOSTILE)
    store.decide(step, HOSTILE, route(HOSTILE, here, reason=HOSTILE))
    found = store.standing(HOSTILE, HOSTILE)
    assert [each.key for each in found.breakers] == [HOSTILE]
    assert (found.newest and found.newest.id, found.output and found.output.id) == (HOSTILE, HOSTILE)
    assert [each.route.upstream for each in store.given(HOSTILE, store.now(), HOSTILE)] == [HOSTILE]
    assert [each.message for each in store.incident(HOSTILE, 1).events] == [HOSTILE]
    snapshot = store.load(HOSTILE, asset=HOSTILE, partition=here, batch_id=HOSTILE)
    assert (snapshot.breaker and snapshot.breaker.cause, snapshot.batch and snapshot.batch.note) == (HOSTILE, HOSTILE)
    assert len(store.batches(asset=HOSTILE, partition=HOSTILE)) == len(store.transitions(HOSTILE)) == len(store.breakers([HOSTILE])) == 1
    assert len(store.arrivals(HOSTILE, here)) == len(store.outputs(asset=HOSTILE)) == 1
    assert len(store.profiles(LastGood(1), ProfileOf(HOSTILE), key=HOSTILE, asset=HOSTILE, partition=here)) == 1
    assert store.decided(step, HOSTILE, HOSTILE) is not None
    store.prune(Retention.of(DAY))
    assert len(statements) > 20
    assert [statement for statement in statements if "DROP TABLE" in statement or HOSTILE[:5] in statement] == []
    assert len(store.breakers()) == 1


PLANTED = ['text(f"SELECT {x}")', 'connection.execute("a %s" % x)', 'text("SELECT {}".format(x))', 'c.exec_driver_sql(f"{x}")']


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_put_together_would_be_found(planted: str) -> None:
    ((_, argument),) = sql_given(ast.parse(planted))
    assert any(isinstance(part, ast.JoinedStr | ast.Mod) or _formats(part) for part in ast.walk(argument))
