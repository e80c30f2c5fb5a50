"""Faults that do something else than compute."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pytest
from psycopg import connect as connect_as_imported_long_ago

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.confined import confined
from dagster_contracts.chaos.edit import edited, picked
from dagster_contracts.chaos.fault import DoesNotFit, Fault, fault
from dagster_contracts.chaos.faults import FAULTS

BATCH = Batch(pl.DataFrame({"a": [1, 2, 3]}), datetime(2026, 1, 1, tzinfo=UTC))


def of(attempt: Callable[[], object]) -> Fault:
    """A fault that tries something, and damages the batch whatever comes of it."""

    @fault("trying", "quality", clause="validity")
    def trying(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        attempt()
        return edited(batch, "a", pl.lit(0), picked(batch, "a", 1.0, rng), "zero")

    return trying


def inject(given: Fault, batch: Batch = BATCH, column: str | None = None) -> Injected:
    return given.inject(batch, column, given.doses[-1], np.random.default_rng(1))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda place: (place / "new").write_text("x"),
        lambda place: (place / "old").open("a"),
        lambda place: os.open(place / "old", os.O_WRONLY),
        lambda place: (place / "old").unlink(),
        lambda place: (place / "old").rename(place / "other"),
        lambda place: (place / "folder").mkdir(),
        lambda place: sqlite3.connect(place / "old"),
        lambda place: subprocess.run([sys.executable, "-c", ""], check=True),
        lambda place: urllib.request.urlopen("http://127.0.0.1:9/"),
        lambda place: connect_as_imported_long_ago("postgresql://127.0.0.1:9/production"),
        lambda place: asyncio.run(psycopg.AsyncConnection.connect("postgresql://127.0.0.1:9/production")),
    ],
    ids=["write", "append", "open", "delete", "rename", "mkdir", "sqlite", "process", "http", "postgres", "postgres_async"],
)
def test_a_fault_reaches_nothing(tmp_path: Path, attempt: Callable[[Path], Any]) -> None:
    (tmp_path / "old").write_text("as it was")
    with pytest.raises((PermissionError, OSError), match=r"fault trying may only compute, and tried "):
        inject(*confined([of(lambda: attempt(tmp_path))]))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "as it was"}


def test_nothing_is_refused_afterwards_nor_to_faults_that_only_read(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("as it was")
    injected = inject(*confined([of((tmp_path / "old").read_text)]))
    assert injected.batch is not None
    assert injected.batch.frame["a"].to_list() == [0, 0, 0]
    (tmp_path / "new").write_text("x")


def test_meanwhile_other_threads_connect_and_write_as_ever(postgres_url: str) -> None:
    wrote: list[object] = []

    def elsewhere() -> None:
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connected:
            connected.execute("CREATE TABLE written (a int)")
            wrote.append(connected.execute("INSERT INTO written VALUES (1) RETURNING a").fetchone())

    def attempt() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    inject(*confined([of(attempt)]))
    assert wrote == [(1,)]


def test_the_built_in_faults_only_compute() -> None:
    frame = pl.DataFrame({"key": [f"k{number}" for number in range(60)], "kind": ["a", "b", "c"] * 20, "amount": list(range(60))})
    batch = Batch(frame, BATCH.arrived_at)
    free, bound = {}, {}
    for given, into in ((FAULTS, free), (confined(FAULTS), bound)):
        for each in given:
            for column in each.fits(batch.shape):
                try:
                    into[each.name, column] = inject(each, batch, column).description
                except DoesNotFit as error:
                    into[each.name, column] = str(error)
    assert bound == free
    assert len(free) > 50
