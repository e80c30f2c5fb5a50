"""`db ...`: the tables, forward and back."""

from __future__ import annotations

from collections.abc import Callable

from dagster_contracts.store.upgrade import REQUIRED_REVISION, current_revision
from tests.cli.conftest import Ran


def test_going_back_and_forward(run: Callable[..., Ran], past: str):
    ran = run("db", "downgrade", "--to", "0002")
    assert (ran.code, ran.out) == (0, f"went back from revision {REQUIRED_REVISION} to revision 0002\n")
    assert current_revision(past) == "0002"
    assert run("db", "downgrade", "--to", "0002").out == "the tables are at revision 0002 already\n"
    refused = run("status")
    assert (refused.code, refused.out) == (2, "")
    assert "db upgrade" in refused.err
    assert run("db", "upgrade").code == 0
    assert run("status").code == 0


def test_a_whole_history_is_not_dropped_by_one_word(run: Callable[..., Ran], past: str):
    ran = run("db", "downgrade", "--to", "base")
    assert (ran.code, ran.out) == (2, "")
    assert "would drop every table" in ran.err
    assert current_revision(past) == REQUIRED_REVISION


def test_registered_contracts_are_lost_with_force_alone(run: Callable[..., Ran], past: str):
    assert run("registry", "add-consumer", "fraud_scores", "vendor/feed").code == 0
    ran = run("db", "downgrade", "--to", "0003")
    assert (ran.code, ran.out) == (2, "")
    assert "0 registered versions of 0 contracts and 2 names of consumers, for which revision 0003 has no place" in ran.err
    assert "--force" in ran.err
    assert current_revision(past) == REQUIRED_REVISION
    ran = run("db", "downgrade", "--to", "0003", "--force")
    assert (ran.code, ran.out) == (0, f"went back from revision {REQUIRED_REVISION} to revision 0003\n")


def test_a_revision_that_is_none(run: Callable[..., Ran], past: str):
    ran = run("db", "downgrade", "--to", "4")
    assert (ran.code, ran.out) == (2, "")
    assert 'no revision "4" of the tables; there are 0001, ' in ran.err
    assert current_revision(past) == REQUIRED_REVISION
