"""The table that everything in benchmarks/ is measured on: 19 columns, 30 rules, generated from a seed.

`parquet(rows, failing)` writes it once into the cache folder; frames are read from there, so that all engines see the same values.
In the failing table 0.1% of the rows (at least one) break each of 11 rules.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers.rules import ALLOWED, FLOATS, NAMES, REFERENCE_TIME, RULES

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
CONTRACT = HERE / "customers.odcs.yaml"
SEED = 20260601
ROW_GROUP = 250_000
_VERSION = 1  # of the generator: part of the name of what is cached
_DOMAINS = ("example.com", "mail.example.org", "post.example.net", "example.co.uk")
_SMALL = 1_000  # below this, distributions are drawn evenly: ten random rows would not keep the rules about them

assert len(RULES) == 30


def cache() -> Path:
    """$XDG_CACHE_HOME/dagster-contracts/benchmarks, made where it does not exist."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dagster-contracts" / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    return place


def parquet(rows: int, *, failing: bool = False) -> Path:
    """The table as a Parquet file (Snappy, row groups of 250,000), generated on first use."""
    place = cache() / f"customers-{_VERSION}-{rows}-{'failing' if failing else 'clean'}.parquet"
    if not place.exists():
        unfinished = place.with_suffix(f".{os.getpid()}")
        pq.write_table(table(rows, failing=failing), unfinished, row_group_size=ROW_GROUP)
        unfinished.replace(place)
    return place


def frame(path: Path) -> pd.DataFrame:
    """The table as pandas has it by default: str columns, NaN for missing numbers, dates as timestamps at midnight."""
    found = pq.read_table(path).to_pandas(date_as_object=False)
    return found  # type: ignore[no-any-return]


def table(rows: int, *, failing: bool = False) -> pa.Table:
    """The table in Arrow. Raises ValueError for fewer than 1 row."""
    if rows < 1:
        raise ValueError(f"rows is {rows}; the table has at least 1")
    random = np.random.default_rng([SEED, rows])
    columns = _columns(rows, random)
    if failing:
        _break(columns, rows, random)
    return pa.table({name: _arrow(name, columns[name]) for name in NAMES})


# --- clean ---------------------------------------------------------------------------------------------------------


def _columns(rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    now = np.datetime64(REFERENCE_TIME, "us")
    numbers = random.permutation(rows)
    found: dict[str, np.ndarray] = {
        "customer_id": np.char.add("C", np.char.zfill(numbers.astype("U9"), 9)).astype(object),
        "account_status": random.choice(np.array(ALLOWED["account_status"], object), rows),
        "risk_indicator": random.choice(np.array(ALLOWED["risk_indicator"], object), rows, p=(0.6, 0.25, 0.1, 0.05)),
        "balance": _without(np.minimum(random.lognormal(8, 1, rows), 900_000), 0.02, np.nan, random),
        "score": np.clip(random.normal(650, 80, rows).round(), 300, 850).astype(np.int64),
        "opened_at": now.astype("datetime64[D]") - random.integers(2, 3_650, rows).astype("timedelta64[D]"),
        "updated_at": now - random.integers(0, 86_400_000_000, rows).astype("timedelta64[us]"),
        "email": _without(_emails(rows, random), 0.005, None, random),
        "country": random.choice(np.array(ALLOWED["country"], object), rows),
    }
    for number, name in enumerate(FLOATS):
        found[name] = np.abs(random.normal(0, 1, rows)) * 10 if 1 <= number <= 4 else _drawn(name, rows, random)
    found["f0"] = _without(found["f0"], 0.003, np.nan, random)
    return found


def _emails(rows: int, random: np.random.Generator) -> np.ndarray:
    users = np.char.add("user", random.integers(0, 10 * rows, rows).astype("U11"))
    return np.char.add(np.char.add(users, "@"), random.choice(np.array(_DOMAINS), rows)).astype(object)


def _drawn(name: str, rows: int, random: np.random.Generator) -> np.ndarray:
    def some(count: int) -> np.ndarray:
        return random.gamma(2, 2, count) if name == "f8" else random.normal(0, 1, count)

    if rows >= _SMALL:
        return some(rows)
    return random.permutation(np.quantile(some(100_000), (np.arange(rows) + 0.5) / rows))


def _without(values: np.ndarray, share: float, nothing: object, random: np.random.Generator) -> np.ndarray:
    values[random.choice(len(values), int(len(values) * share), replace=False)] = nothing
    return values


def _arrow(name: str, values: np.ndarray) -> pa.Array:
    found = pa.array(values, from_pandas=True)
    return found.cast(pa.string()) if values.dtype == object else found


# --- failing -------------------------------------------------------------------------------------------------------


def _break(columns: dict[str, np.ndarray], rows: int, random: np.random.Generator) -> None:
    """Each fault in rows of its own where there are enough of them."""
    share = max(1, rows // 1_000)
    order = random.permutation(rows)

    def fault(number: int) -> np.ndarray:
        return order.take(np.arange(number * share, (number + 1) * share), mode="wrap")

    columns["customer_id"][fault(0)] = columns["customer_id"][fault(1)]  # unique
    columns["customer_id"][fault(2)] = None
    columns["account_status"][fault(3)] = "active"
    columns["risk_indicator"][fault(4)] = "UNKNOWN"
    columns["country"][fault(5)] = "USA"  # not allowed, and too long
    columns["balance"][fault(6)] = 2_000_000
    columns["score"][fault(7)] = 9_999
    columns["f1"][fault(8)] = -1
    columns["email"][fault(9)] = "not an address"
    columns["opened_at"][fault(10)] = np.datetime64(REFERENCE_TIME, "D") + np.timedelta64(30, "D")


if __name__ == "__main__":
    for size in map(int, sys.argv[1:]):
        for broken in (False, True):
            print(parquet(size, failing=broken))
