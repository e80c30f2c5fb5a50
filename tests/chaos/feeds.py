"""Batches to damage: one of every kind of column, typed and as the text of a CSV."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch

FIRST = datetime(2026, 1, 6, 6, tzinfo=UTC)


def frame(seed: int = 0, rows: int = 60) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    morning = FIRST + timedelta(days=seed, hours=-1)
    day = morning.date()
    at = [morning - timedelta(seconds=int(seconds)) for seconds in random.integers(0, 9000, rows)]
    amount = np.round(random.lognormal(3, 1, rows), 2)
    return pl.DataFrame(
        {
            "id": [f"C{number:05d}" for number in random.permutation(rows)],
            "risk": random.choice(["HIGH", "LOW", "medium", "für"], rows),
            "status": random.choice(["ACTIVE", "CLOSED"], rows),
            "amount": pl.Series([None if n % 11 == 0 else float(value) for n, value in enumerate(amount)]),
            "limit": np.round(random.normal(100, 20, rows), 2),
            "score": random.integers(300, 850, rows).astype("int16"),
            "code": random.integers(1, 4, rows),
            "flag": random.random(rows) < 0.3,
            "opened": [day - timedelta(days=int(days)) for days in random.integers(1, 3000, rows)],
            "at": at,
            "tags": [["a", "b"][: int(n)] for n in random.integers(0, 3, rows)],
            "place": [{"zip": str(n), "lat": float(n)} for n in random.integers(0, 9, rows)],
            "empty": pl.Series([None] * rows, dtype=pl.String),
        }
    )


def as_csv(typed: pl.DataFrame) -> pl.DataFrame:
    """The same as a CSV is read: all text."""
    flat = typed.drop("tags", "place")
    return flat.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).cast(pl.String)


def batches(count: int = 3, rows: int = 60, *, text: bool = False) -> list[Batch]:
    """Daily deliveries, each knowing the one before."""
    found: list[Batch] = []
    for number in range(count):
        held = frame(number, rows)
        before = found[-1] if found else None
        arrived = FIRST + timedelta(days=number)
        found.append(Batch(as_csv(held) if text else held, arrived, name=f"day {number}", previous=before))
    return found
