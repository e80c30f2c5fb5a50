"""The invariants under kill -9: a process dies before or after any of its writes (verdict, data, confirmation, decision, lease, event), and
whoever comes next finds everything whole. Numbers are those of test_invariants.py."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from pathlib import Path

import pytest

from dagster_contracts import probing, routing
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, OutputStatus, RouteKind, Status, StepKey
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.store.upgrade import upgrade
from tests import crash_worker
from tests.crash_worker import Feed, is_closed
from tests.gate_world import daily, day

# Fresh processes, forked from one that has imported the worker and opened nothing.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([crash_worker.__name__])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found: str = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(found)
    return found


def run(url: str, asset: str, folder: Path, dies_at: int | None) -> tuple[int | None, list[int]]:
    """The exit code of a process that runs the story, and the points it had passed as each step began (and the last one ended)."""
    folder.mkdir()
    progress = folder / "progress"
    process = _processes.Process(target=crash_worker.tell_story, args=(url, asset, str(folder), dies_at, str(progress)))
    process.start()
    process.join(60)
    return process.exitcode, [int(line) for line in progress.read_text().splitlines()]


def undisturbed(url: str, folder: Path) -> list[object]:
    """What there is after each step when nobody dies."""
    folder.mkdir()
    feed = Feed.open(url, "undisturbed", folder)
    return [(step(), outcome(feed))[1] for step in feed.steps()]


def test_wherever_a_process_is_killed_the_next_one_goes_on(url: str, tmp_path: Path) -> None:
    expected = undisturbed(url, tmp_path / "undisturbed")
    code, begun = run(url, "whole", tmp_path / "whole", None)
    assert code == 0
    assert begun[-1] > 50
    for point in range(begun[-1]):
        asset = f"feed {point}"
        code, progress = run(url, asset, tmp_path / asset, point)
        assert code == -signal.SIGKILL, f"point {point}"
        feed = Feed.open(url, asset, tmp_path / asset)
        assert_whole(feed)
        feed.reconcile()
        assert_live_is_what_the_ledger_says(feed)
        died_in = len(progress) - 1
        last = point == begun[died_in + 1] - 1  # of its step: from there the whole story is told to its end
        for number, step in list(enumerate(feed.steps()))[died_in : None if last else died_in + 1]:
            step()  # the step that died is run again, as Dagster retries a run
            assert_whole(feed)
            assert outcome(feed) == expected[number], f"killed at point {point}, in step {died_in}; now after step {number}"
        if last:
            assert_nobody_is_wedged(feed)


def assert_whole(feed: Feed) -> None:
    """What holds at every moment, also before anybody has cleaned up."""
    for path in (feed.folder / "live").iterdir():
        assert feed.read(f"live/{path.name}") != {"rows": 103, "outside": 9}, "1: the bad batch is never live"
    if (breaker := feed.breaker) is None:
        assert feed.store.batches(asset=feed.asset) == []
        return
    transitions = list(reversed(feed.store.transitions(feed.asset)))
    assert all(earlier.to_state is later.from_state for earlier, later in itertools.pairwise(transitions)), "4"
    assert recorded(feed) == list(range(1, breaker.event_sequence + 1)), "4: each once"
    told = list(dict.fromkeys(received(feed)))
    assert told == list(range(1, len(told) + 1)), "4: the sink receives in order"
    names = [entry.batch_id for entry in breaker.window]
    assert len(names) == len(set(names)), "9"
    good = feed.store.load(feed.asset, asset=feed.asset, partition=daily(9)).last_good
    whole = None if good is None else feed.store.batch(good.id)  # a snapshot leaves out the verdict
    assert whole is None or feed.read(f"live/{whole.partition.key}") == content_of(whole), "7"


def assert_live_is_what_the_ledger_says(feed: Feed) -> None:
    assert feed.store.batches(asset=feed.asset, statuses=(Status.PUBLISHING,)) == [], "reconcile leaves nothing open"
    for batch in feed.store.batches(asset=feed.asset, statuses=(Status.PUBLISHED,)):
        assert feed.read(f"live/{batch.partition.key}") == content_of(batch)
        assert batch.outcome is Outcome.PASS


def content_of(batch: Batch) -> dict[str, int]:
    assert batch.verdict is not None
    assert batch.verdict.rows is not None
    return {"rows": batch.verdict.rows}


def recorded(feed: Feed) -> list[int]:
    return [event.sequence for event in feed.store.events(feed.asset)]


def received(feed: Feed) -> list[int]:
    path = feed.folder / "told"
    return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []


def outcome(feed: Feed) -> object:
    """Everything that must be as if nobody had died. (Generations may not: a lost lease is followed by another.)"""
    breaker = feed.breaker
    assert breaker is not None
    rows = feed.store.batches(asset=feed.asset)
    scores = feed.store.output(f"scores of {feed.asset}", daily(3).key)
    return (
        (breaker.state, breaker.reopened, breaker.lease, [(len(entry.batch_id) > 0, entry.failed) for entry in breaker.window]),
        [(made.from_state, made.to_state) for made in feed.store.transitions(feed.asset)],
        sorted((row.partition.key, row.status, row.outcome, row.counted, row.verdict and row.verdict.rows) for row in rows),
        {path.name: path.read_text() for path in (feed.folder / "live").iterdir()},
        scores and (scores.status, scores.confidence),
        list(dict.fromkeys(received(feed))) == recorded(feed),
    )


def assert_nobody_is_wedged(feed: Feed) -> None:
    feed.deliver(day(6, 6), 6, {"rows": 106})
    route = routing.route(feed.gate, StepKey("last", "x"), routing.Input("x", feed.asset, Confidence.FULL, feed.terms), daily(6))
    assert route.kind is RouteKind.FRESH, "13"
    made = feed.consume(day(6, 7), 6, Confidence.FULL, "last run")
    assert made.status is OutputStatus.OK


def test_a_killed_probers_lease_ends_by_itself_and_another_then_probes(url: str, tmp_path: Path) -> None:
    """3: the prober dies between claim and result; until its lease ends nobody probes, then one does."""
    _, begun = run(url, "whole", tmp_path / "whole", None)
    step = 6
    code, progress = run(url, "feed", tmp_path / "feed", begun[step] + 2)  # the claim is written, the result is not
    assert (code, len(progress)) == (-signal.SIGKILL, step + 1)
    feed = Feed.open(url, "feed", tmp_path / "feed")
    assert feed.breaker is not None
    assert feed.breaker.lease is not None
    lease = feed.breaker.lease
    feed.clock.at = day(4, 12)
    before = feed.breaker
    refused = probing.claim(feed.gate, feed.terms, feed.asset, holder="another")
    assert "a probe is running" in getattr(refused, "reason", "")
    assert feed.breaker == before
    feed.probe(day(4, 12))  # waits for the end of the lease
    assert feed.clock.at == lease.expires_at
    assert is_closed(feed)
