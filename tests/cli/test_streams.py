"""`why` and `status` of a breaker that a stream feeds: no run is dead, and nothing can be fetched from a place."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dagster_contracts.core.contract import BreakerPolicy, Fallback
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Partition, Status
from dagster_contracts.core.snapshot import Change
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.gate import Gate
from dagster_contracts.ports import FixedClock
from dagster_contracts.recovery import release, reset
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import Ran
from tests.schemas import assert_described
from tests.streaming.lab import contract
from tests.streaming.test_gate import BAD, MINUTE, START, TEN_ROWS, World


@pytest.fixture
def fed(tmp_path: Path) -> str:
    """Two that went on unconfirmed, a bad one, one that is held, one that nobody can measure."""
    url = f"sqlite:///{tmp_path}/stream.db"
    policy = BreakerPolicy(fallback=Fallback.LAST_GOOD)
    world = World(SqlStore(url, clock=FixedClock(START)), terms=contract(policy, quality=(TEN_ROWS,)), window="PT5M")
    for name, data in (("e/1", None), ("e/2", None), ("e/3", BAD), ("e/4", None), ("e/5", object())):
        world.judge(name, data)
    return url


def test_why_speaks_of_the_stream(run: Callable[..., Ran], fed: str):
    out = run("why", "orders", "--database-url", fed).out
    for said in (
        "its stream holds or diverts what arrives, or stops, as it was told.",
        "2 micro-batches were let in since 2026-11-26 12:01Z",
        "no consumer has confirmed yet that they went on.",
        "Next: correct the dead letters and send them as new events, or leave them; off the list by `batch discard`, or `prune` once old.",
        "Next: kept by the consumer and judged again, or set aside, to be sent again once the breaker is closed; off the list by `batch d",
        "Next: set aside by the consumer, to be sent again once it can be measured; off the list by `batch discard`, or `prune` once old.",
        "the first whole window.",
        "dagster-contracts batch show orders --partition e/3",
        "dagster-contracts batch discard orders --partition e/3 --reason ...",
        "dagster-contracts batch discard orders --partition e/5 --reason ...",
    ):
        assert said in out, said
    for wrong in ("reconcile", "rejudge", "release", "routed away", "deliver", "written"):
        assert wrong not in out, wrong
    assert "batch discard orders --partition e/4" not in out, "its consumer may hold it"


@pytest.mark.parametrize("name", ["a\nb\x1b[31m", "it's \\ here\t", "\x85\u2028|\U000e0001a", "it's | here"])
def test_what_is_advised_of_a_name_names_it_in_a_shell(run: Callable[..., Ran], tmp_path: Path, name: str):
    url = f"sqlite:///{tmp_path}/stream.db"
    World(SqlStore(url, clock=FixedClock(START)), terms=contract()).judge(name, BAD)
    lines = run("why", "orders", "--database-url", url).out.splitlines()
    (advised,) = (line.strip().partition("batch show ")[2] for line in lines if "dagster-contracts batch show" in line)
    assert advised.isprintable()
    shell = ["bash", "-c", f"export LC_ALL=C.UTF-8; printf '%s\\0' {advised}"]
    told = subprocess.run(shell, capture_output=True, check=True).stdout.decode().split("\0")
    assert told == ["orders", "--partition", name, ""]
    assert run("batch", "show", *told[:3], "--database-url", url).code == 0


def test_a_refused_micro_batch_is_taken_off_the_list(run: Callable[..., Ran], fed: str):
    """What there is left to do is told, not to deliver it again: nobody can."""
    assert "off the list by `batch discard`" in run("status", "--database-url", fed).out
    for name in ("e/3", "e/5"):
        ran = run("batch", "discard", "orders", "--partition", name, "--reason", "sent anew", "--database-url", fed)
        assert ran.code == 0
        assert "its events stay where its consumer has set them aside" in ran.out
        told = run("why", "orders", "--partition", name, "--database-url", fed).out
        assert f"orders [{name}] was discarded on " in told
        assert "deliver" not in told
    assert len(run("status", "--database-url", fed, "--format", "json").json["held"]) == 1
    assert run("status", "--database-url", fed, "--format", "json").json["quarantined"] == []


def test_status_speaks_of_the_stream_in_one_row_for_all_that_goes_on(run: Callable[..., Ran], fed: str):
    out = run("status", "--database-url", fed).out
    rows = [line.split()[:2] for line in out.splitlines() if line and not line.startswith(" ")]
    found = [row for row in rows if row[0] in ("breaker", "batch", "stream")]
    assert found == [["breaker", "orders"], *[["stream", "orders"]] * 4]
    assert "2 micro-batches were let in" in out
    assert "reconcile" not in out
    assert len(run("status", "--database-url", fed, "--format", "json").json["publishing"]) == 2


def test_what_a_stream_set_aside_is_summed_up_and_discarded_at_once(run: Callable[..., Ran], tmp_path: Path):
    """A stream that diverts sets hundreds aside in an hour, and nobody fetches them from here one by one."""
    url = f"sqlite:///{tmp_path}/stream.db"
    world = World(SqlStore(url, clock=FixedClock(START)), when_open="divert")
    for number in range(3):
        world.judge(f"bad/{number}", BAD)
    for number in range(9):
        world.judge(f"e/{number}")
    out = run("status", "--database-url", url).out
    rows = [line.split(maxsplit=3)[1:3] for line in out.splitlines() if line.startswith(("stream", "batch"))]
    assert rows == [["orders", "held"], ["orders", "quarantined"]]
    assert "9 micro-batches are held; the newest [e/8]: pass" in out
    told = run("why", "orders", "--database-url", url).out
    assert "3 micro-batches are quarantined since 2026-11-26 12:01Z" in told
    assert "the newest is [bad/2]: it failed its contract." in told
    assert "more batches of orders wait" not in told
    assert "dagster-contracts batch show orders --partition e/8" in told
    assert "dagster-contracts batch discard orders --all --status quarantined --reason ..." in told
    some = run("batch", "discard", "orders", "--all", "--status", "quarantined", "--reason", "sent anew", "--database-url", url)
    assert some.out == "orders: 3 batches that waited were discarded by root\n".replace("root", getpass.getuser())
    assert run("status", "--database-url", url, "--format", "json").json["waiting"] == {"held": 9, "quarantined": 0, "publishing": 0}
    assert run("batch", "discard", "orders", "--all", "--reason", "over", "--database-url", url).code == 0
    again = run("batch", "discard", "orders", "--all", "--reason", "over", "--database-url", url)
    assert (again.code, "orders has no held or quarantined batch" in again.err) == (2, True)
    for wrong in (["--all", "--partition", "e/1"], ["--status", "held"], ["--all", "--status", "published"]):
        assert run("batch", "discard", "orders", *wrong, "--reason", "x", "--database-url", url).code == 2


def test_what_a_stream_set_aside_hides_no_other_asset(run: Callable[..., Ran], fed: str, monkeypatch: pytest.MonkeyPatch):
    for module in ("status", "breakers"):
        monkeypatch.setattr(f"dagster_contracts.cli.{module}.LISTED", 2)
    store = SqlStore(fed)
    bad = replace(store.batches(statuses=(Status.QUARANTINED,))[0], asset="pay", breaker_key="pay", id="pay", sequence=0)
    store.save(Change(batches=(bad, *(replace(bad, id=f"{n}", partition=Partition(f"e/9{n}"), run_id=f"e/9{n}") for n in range(4)))))
    ran = run("status", "--database-url", fed)
    assert {"pay", "orders"} == {line.split()[1] for line in ran.out.splitlines() if line.startswith("stream")}
    assert "held: 2; quarantined: 6;" in ran.out
    assert ran.err == ""
    told = run("status", "--database-url", fed, "--format", "json")
    assert "only 5 of 10 batches are listed, the newest of each breaker and status; see `dagster-contracts batch list ASSET`" in told.err
    form = told.json
    assert form["waiting"] == {"held": 2, "quarantined": 6, "publishing": 2}
    assert sorted(batch["asset"] for batch in form["quarantined"]) == ["orders", "pay"]
    assert "only 4 of 5 batches" in run("breaker", "show", "orders", "--database-url", fed).err


def test_a_long_incident_has_closed(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stream goes on while its breaker is open: there may be thousands of events between the first and the last."""
    monkeypatch.setattr("dagster_contracts.cli.why.LISTED", 4)
    url = f"sqlite:///{tmp_path}/stream.db"
    world = World(SqlStore(url, clock=FixedClock(START)), when_open="divert")
    world.judge("bad", BAD)
    for number in range(6):
        world.judge(f"e/{number}")
    reset(Gate(world.store, PolarsEngine()), "orders", actor="ann", reason="back")
    ran = run("why", "orders", "--incident", "1", "--database-url", url)
    lines = ran.out.splitlines()
    assert "; it closed on 2026-11-26 12:01:00Z, after " in lines[0]
    assert lines[1] == "Its first and its last events are listed; between them there were 6 more events."
    assert "breaker.opened" in lines[2]
    assert lines[-1].split("  ")[2].startswith("breaker.closed: orders: open -> closed: reset")
    form = run("why", "orders", "--incident", "1", "--database-url", url, "--format", "json").json
    assert_described("why", form)
    assert (len(form["events"]), form["left_out"]) == (4, 6)


def test_the_breaker_of_a_stream_is_shown_with_its_stream(run: Callable[..., Ran], fed: str, tmp_path: Path):
    out = run("breaker", "show", "orders", "--database-url", fed).out
    assert "stream      holds or diverts what arrives, or stops, as it was told" in out
    assert "consumers" not in out
    World(SqlStore(f"sqlite:///{tmp_path}/other.db")).judge("e/1")
    assert "stream      goes on" in run("breaker", "show", "orders", "--database-url", f"sqlite:///{tmp_path}/other.db").out
    assert "1 micro-batch was let in" in run("status", "--database-url", f"sqlite:///{tmp_path}/other.db").out


def test_a_probe_of_a_stream_is_what_arrives_next(run: Callable[..., Ran], tmp_path: Path):
    """Nothing that it has delivered is stored here."""
    url = f"sqlite:///{tmp_path}/stream.db"
    World(SqlStore(url, clock=FixedClock(START))).judge("e/1", BAD)  # its cooldown is over by now
    for command in (["status"], ["why", "orders"], ["breaker", "show", "orders"]):
        out = run(*command, "--database-url", url).out
        assert "probe due, of what arrives next" in out
        assert "stored batch" not in out


def test_a_micro_batch_cannot_be_released_from_here(fed: str):
    store = SqlStore(fed)
    (bad,) = store.batches(statuses=(Status.QUARANTINED,))
    with pytest.raises(UsageError, match="its stream's consumer keeps it, or has set it aside; send it again as new events"):
        release(Gate(store, PolarsEngine()), bad, actor="ann", reason="tests")


def test_a_stream_that_goes_on_is_well(run: Callable[..., Ran], tmp_path: Path):
    url = f"sqlite:///{tmp_path}/stream.db"
    World(SqlStore(url)).judge("e/1")
    out = run("why", "orders", "--database-url", url).out
    assert out.startswith("orders is closed: its stream goes on.\n")
    assert out.endswith("Nothing is the matter.\n")


def test_a_window_that_failed_is_nothing_to_deliver_again(run: Callable[..., Ran], tmp_path: Path):
    url = f"sqlite:///{tmp_path}/stream.db"
    world = World(SqlStore(url, clock=FixedClock(START)), terms=contract(quality=(TEN_ROWS,)), window="PT5M")
    world.judge("e/1")
    world.store._clock.at += 5 * MINUTE  # type: ignore[attr-defined]
    world.gate.close_windows("orders")
    out = run("why", "orders", "--database-url", url).out
    assert "Next: micro-batches have gone on one by one; the next window is judged by itself; off the list by `batch discard`" in out
