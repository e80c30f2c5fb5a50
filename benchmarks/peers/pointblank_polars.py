"""pointblank on Polars: one validation of all rules, without the extracts of failing rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars_frames
from rules import (
    ALLOWED,
    COLUMNS,
    COMPOSITE,
    COUNTRY_LENGTH,
    DECILES,
    DEVIATION,
    EMAIL,
    KEY,
    MEAN,
    MEDIAN,
    NEWEST_AT_LEAST,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    REFERENCE_TIME,
    ROWS,
)

VERSIONS = ("pointblank", "polars")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL = {
    "unique.customer_id": "counts all rows of a repeated value, and nulls as values",
    "unique.composite": "counts all rows of a repeated value, and nulls as values",
    "median.f7": "a function of ours in `specially`",
    "psi.f8": "a function of ours in `specially`",
    "psi.f9": "a function of ours in `specially`",
    "rows": "a function of ours in `specially`: row_count_match takes one number",
    "pandas": "converts the frame with polars.from_pandas in each run",
    "parquet": "reads the file into Polars first",
}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import pointblank as pb

    source = polars_frames.source(form, path)

    def run() -> list[str]:
        frame = source()
        steps = _validation(pb, frame).interrogate(collect_extracts=False, collect_tbl_checked=False)
        if wrong := [step.brief for step in steps.validation_info if step.eval_error]:
            raise RuntimeError(f"pointblank could not evaluate {wrong}")
        return [step.brief for step in steps.validation_info if not _keeps(step)]

    return run


def _keeps(step: Any) -> bool:
    allowed = NULL_SHARES.get(step.brief.removeprefix("nulls."), 0.0) if step.brief.startswith("nulls.") else 0.0
    return bool(step.f_failed <= allowed) if step.n else bool(step.all_passed)


def _validation(pb: Any, frame: Any) -> Any:
    found = pb.Validate(frame)
    types = {name: str(frame.schema[name]) for name, _ in COLUMNS}
    found = found.col_schema_match(pb.Schema(columns=types), brief="schema")
    for column in NULL_SHARES:
        found = found.col_vals_not_null(column, brief=f"nulls.{column}")
    for column, values in ALLOWED.items():
        found = found.col_vals_in_set(column, list(values), brief=f"allowed.{column}")
    for column, (low, high) in RANGES.items():
        found = found.col_vals_between(column, low, high, na_pass=True, brief=f"range.{column}")
    found = found.rows_distinct(columns_subset=[KEY], brief="unique.customer_id")
    found = found.rows_distinct(columns_subset=list(COMPOSITE), brief="unique.composite")
    found = found.col_vals_regex("email", EMAIL, na_pass=True, brief="pattern.email")
    found = found.specially(lambda data: ROWS[0] <= data.height <= ROWS[1], brief="rows")
    age = REFERENCE_TIME - NEWEST_AT_LEAST
    found = found.data_freshness("updated_at", max_age=age, reference_time=REFERENCE_TIME, brief="newest.updated_at")
    found = found.col_vals_ge("updated_at", pb.col("opened_at"), brief="ordered.opened_updated")
    found = found.col_avg_ge("f5", MEAN["f5"][0], brief="mean.f5").col_avg_le("f5", MEAN["f5"][1], brief="mean.f5")
    found = found.col_sd_ge("f6", DEVIATION["f6"][0], brief="deviation.f6").col_sd_le("f6", DEVIATION["f6"][1], brief="deviation.f6")
    found = found.specially(lambda data: MEDIAN["f7"][0] <= data["f7"].median() <= MEDIAN["f7"][1], brief="median.f7")
    for column, edges in DECILES.items():
        found = found.specially(_stable(column, edges), brief=f"psi.{column}")
    return found.col_vals_str_len("country", COUNTRY_LENGTH, COUNTRY_LENGTH, na_pass=True, brief="length.country")


def _stable(column: str, edges: tuple[float, ...]) -> Callable[[Any], bool]:
    from psi import psi_of_values

    return lambda data: psi_of_values(data[column].to_numpy(), edges) <= PSI_AT_MOST
