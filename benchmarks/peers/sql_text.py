"""What the SQL peers share: a drift index, an age and a spread as one SQL expression each (DuckDB's dialect)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rules import DEVIATION, MEAN, MEDIAN, REFERENCE_TIME

EMPTY = 1e-4  # share that stands for an empty bin

AGE_IN_HOURS = f"epoch(TIMESTAMP '{REFERENCE_TIME.isoformat(' ')}' - max(updated_at)) / 3600"
AVERAGES = {  # rule -> expression and its bounds
    "mean.f5": ("avg(f5)", MEAN["f5"]),
    "deviation.f6": ("stddev_samp(f6)", DEVIATION["f6"]),
    "median.f7": ("quantile_cont(f7, 0.5)", MEDIAN["f7"]),
}


def bins(column: str, edges: Sequence[float]) -> list[str]:
    inner = [f"{column} >= {low} AND {column} < {high}" for low, high in itertools.pairwise(edges)]
    return [f"{column} < {edges[0]}", *inner, f"{column} >= {edges[-1]}"]


def psi(column: str, edges: Sequence[float]) -> str:
    """Against one tenth of the reference in each bin."""
    tenth = 1 / (len(edges) + 1)
    shares = [f"greatest(sum(({bin_})::INT) / count({column}), {EMPTY})" for bin_ in bins(column, edges)]
    return " + ".join(f"({share} - {tenth}) * ln({share} / {tenth})" for share in shares)
