"""`prune`: counts, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from dagster_contracts.core.snapshot import Change
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import FIRST, Ran
from tests.schemas import assert_described
from tests.store.values import batch


def _old_batches(url: str) -> None:
    store = SqlStore(url, clock=FixedClock(FIRST))
    for number in range(4):
        store.save(Change(batches=(batch(f"old{number}", head=False, arrived_at=FIRST, updated_at=FIRST, breaker_key="x", asset="x"),)))


def test_a_dry_run_counts_and_the_other_prunes(run: Callable[..., Ran], past: str):
    _old_batches(past)
    dry = run("prune", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.splitlines()[2].split(maxsplit=2)[:2] == ["3", "P90D"]
    assert "discarded batches that nothing looks back at, and micro-batches" in dry.out
    assert "rows would be pruned; nothing was" in dry.out
    assert len(SqlStore(past).batches(asset="x")) == 4
    before = run("status", "--format", "json").json
    found = run("prune", "--format", "json").json
    assert_described("prune", found)
    assert (found["dry_run"], found["pruned"]["batches"], found["older_than"]["transitions"]) == (False, 3, "P365D")
    assert len(SqlStore(past).batches(asset="x")) == 1
    after = run("status", "--format", "json").json
    for each in (*before["degraded"], *after["degraded"]):
        del each["seconds"]
    assert {**before, "at": None} == {**after, "at": None}
    assert run("prune", "--format", "json").json["pruned"]["batches"] == 0


def test_one_age_for_all(run: Callable[..., Ran], past: str):
    _old_batches(past)
    age = (SqlStore(past).now() - FIRST) / timedelta(days=1)
    found = run("prune", "--older-than", f"P{int(age) + 1}D", "--format", "json").json
    assert set(found["older_than"].values()) == {f"P{int(age) + 1}D"}
    assert found["pruned"]["batches"] == 0
    assert run("prune", "--older-than", f"P{int(age)}D", "--format", "json").json["pruned"]["batches"] == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("PT1H", "would be kept for 1:00:00; from 1 to 36,500 days are possible"),
        ("banana", '"banana" is not an ISO 8601 duration'),
        ("90", "is not an ISO 8601 duration"),
        ("P99999W", "36,500 days"),
    ],
)
def test_an_age_that_is_none(run: Callable[..., Ran], past: str, given: str, said: str):
    _old_batches(past)
    ran = run("prune", "--older-than", given)
    assert (ran.code, ran.out) == (2, "")
    assert f"--older-than {given}: " in ran.err
    assert said in ran.err
    assert len(SqlStore(past).batches(asset="x")) == 4
