"""The vendor: drops one Parquet file a day, the same for the same seed. On bad days it has renumbered `risk_indicator` to 1..100."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 2_000
RISKS = ("HIGH_RISK", "MEDIUM_RISK", "LOW_RISK", "MINIMAL_RISK")
STATUSES = ("ACTIVE", "CLOSED", "DELINQUENT")


def drop_path(directory: Path, day: str) -> Path:
    return directory / "vendor" / f"{day}.parquet"


def drop(directory: Path, day: str, *, renumbered: bool = False) -> Path:
    """Write the vendor's file of `day` (ISO date) under `directory`, replacing an earlier delivery."""
    path = drop_path(directory, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(date.fromisoformat(day), renumbered=renumbered).to_parquet(path, index=False)
    return path


def frame(day: date, *, renumbered: bool = False) -> pd.DataFrame:
    """One day of the feed, `ROWS` rows. Seeded by the day, so that a redelivery differs from the bad file in `risk_indicator` alone."""
    random = np.random.default_rng(day.toordinal())
    risk = random.choice(RISKS, ROWS, p=(0.1, 0.25, 0.4, 0.25))
    status = random.choice(STATUSES, ROWS, p=(0.8, 0.15, 0.05))
    balance = np.round(np.clip(random.lognormal(8, 1, ROWS), 0, 900_000), 2)
    balance[random.random(ROWS) < 0.02] = np.nan
    score = np.clip(random.normal(650, 80, ROWS), 300, 850).astype("int64")
    opened = [(day - timedelta(days=int(days))).isoformat() for days in random.integers(1, 3650, ROWS)]
    delivered = datetime.combine(day, time(6))
    updated = [delivered - timedelta(seconds=int(seconds)) for seconds in random.integers(60, 6 * 3600, ROWS)]
    renumbering = random.integers(1, 101, ROWS)
    return pd.DataFrame(
        {
            "customer_id": [f"C{number:06d}" for number in random.permutation(ROWS)],
            "risk_indicator": renumbering if renumbered else risk,
            "account_status": status,
            "balance": balance,
            "credit_score": score,
            "opened_at": opened,
            "updated_at": pd.Series(updated).dt.tz_localize("UTC"),
        }
    )
