"""`review ...`: what waits for a person, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import Ran
from tests.schemas import assert_described

pytestmark = pytest.mark.usefixtures("past")


def test_a_rejected_output_is_listed_as_withdrawn(run: Callable[..., Ran], past: str):
    (waiting,) = run("review", "list", "--format", "json").json["reviews"]
    assert (waiting["asset"], waiting["partition"], waiting["status"]) == ("underwriting", "2026-01-02", "pending")
    assert "underwriting" in run("review", "list").out
    done = run("review", "reject", "underwriting", "--partition", "2026-01-02", "--reason", "17 is no word")
    assert (done.code, done.out.split(":")[0]) == (0, "underwriting [2026-01-02] was rejected by ana")
    assert run("review", "list").out == "no output waits for a review\n"
    found = run("status", "--format", "json").json
    assert_described("status", found)
    assert {each["asset"]: each["status"] for each in found["degraded"]} == {"underwriting": "withdrawn", "fraud": "halted"}
    assert "withdrawn" in run("why", "underwriting").out
    assert_described("why", run("why", "underwriting", "--format", "json").json)
    (review,) = SqlStore(past).reviews()
    assert (review.actor, review.reason) == ("ana", "17 is no word")


def test_the_only_partition_that_waits_needs_no_name(run: Callable[..., Ran]):
    done = run("review", "approve", "underwriting", "--reason", "fine", "--actor", "bob")
    assert done.out == "underwriting [2026-01-02] was approved by bob: it stands\n"


def test_what_cannot_be_decided_says_why(run: Callable[..., Ran]):
    unknown = run("review", "reject", "underwritin", "--reason", "why")
    assert (unknown.code, 'did you mean "underwriting"' in unknown.err) == (2, True)
    halted = run("review", "approve", "fraud", "--partition", "2026-01-02", "--reason", "why")
    assert (halted.code, "is halted: there is nothing to review" in halted.err) == (2, True)
    assert run("review", "approve", "underwriting", "--reason", " ").code == 2
