"""kill -9 around and inside every transaction of what people and jobs do: missed deliveries, releases, discards, resets, pruning."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from dagster_contracts.core.state import State
from dagster_contracts.store.upgrade import upgrade
from tests import upkeep_worker
from tests.upkeep_worker import Kept

_processes = multiprocessing.get_context("fork")  # this process has imported the worker, and runs no threads
RELEASE = 3  # its step
COUNTED = ("contracts_batches", "contracts_transitions", "contracts_events", "contracts_decisions")


def told(url: str, folder: Path, dies_at: int | None) -> tuple[int | None, list[int]]:
    folder.mkdir(parents=True)
    progress = folder / "progress"
    process = _processes.Process(target=upkeep_worker.keep, args=(url, str(folder), dies_at, str(progress)))
    process.start()
    process.join(120)
    return process.exitcode, [int(line) for line in progress.read_text().splitlines()]


def outcome(url: str, feed: Kept) -> object:
    engine = create_engine(url)
    with engine.connect() as connection:
        counts = {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in COUNTED}
        with_verdict = connection.execute(text("SELECT count(verdict) FROM contracts_batches")).scalar_one()
    engine.dispose()
    assert feed.breaker is not None
    rows = sorted((row.partition.key, row.status, row.outcome, row.released is not None) for row in feed.store.batches())
    told = sorted(set((feed.folder / "told").read_text().splitlines()), key=lambda line: int(line.split()[0]))
    return counts, with_verdict, rows, told, (feed.breaker.state, feed.breaker.event_sequence, feed.breaker.overdue)


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_wherever_upkeep_is_killed_the_next_one_goes_on(tmp_path: Path, stride: int) -> None:
    empty = tmp_path / "empty.db"
    upgrade(f"sqlite:///{empty}")

    def fresh(name: str) -> str:
        shutil.copy(empty, tmp_path / f"{name}.db")
        return f"sqlite:///{tmp_path}/{name}.db"

    url = fresh("whole")
    code, begun = told(url, tmp_path / "whole" / "feed", None)
    assert code == 0
    expected = outcome(url, Kept.open(url, "feed", tmp_path / "whole" / "feed"))
    assert begun[-1] - begun[-2] > 10, "pruning has many transactions"
    for point in range(begun[2], begun[-1], stride):  # the deliveries before are test_crashes.py's
        url = fresh(f"{point}")
        code, progress = told(url, tmp_path / f"{point}" / "feed", point)
        assert code == -signal.SIGKILL, f"point {point}"
        feed = Kept.open(url, "feed", tmp_path / f"{point}" / "feed")
        if len(progress) - 1 == RELEASE:
            feed.reconcile()  # a person looks for what the release left behind; a delivery is settled by its next run
        for step in feed.steps()[len(progress) - 1 :]:
            step()  # the one that died again, and the rest
        assert outcome(url, feed) == expected, f"killed at point {point}, in step {len(progress) - 1}"
        assert feed.breaker is not None
        assert feed.breaker.state is State.CLOSED
