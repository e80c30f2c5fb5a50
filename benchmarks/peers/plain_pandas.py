"""The rules as a careful pandas user would write them: one vectorised expression each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from psi import psi_of_values
from rules import (
    ALLOWED,
    COMPOSITE,
    COUNTRY_LENGTH,
    DECILES,
    DEVIATION,
    EMAIL,
    KEY,
    MEAN,
    MEDIAN,
    NAMES,
    NEWEST_AT_LEAST,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    ROWS,
)

VERSIONS = ("pandas",)
FORMS = ("pandas", "parquet")
UNEQUAL = {"parquet": "reads the file into pandas first"}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import pyarrow.parquet as pq

    def read() -> Any:
        return pq.read_table(path).to_pandas(date_as_object=False)

    held = read() if form == "pandas" else None
    return lambda: [name for name, keeps in _judged(read() if held is None else held) if not keeps]


def _judged(frame: Any) -> Iterator[tuple[str, bool]]:
    yield "schema", list(frame.columns) == list(NAMES) and frame.dtypes.astype(str).to_dict() == _types(frame)
    for name, share in NULL_SHARES.items():
        yield f"nulls.{name}", frame[name].isna().mean() <= share
    for name, values in ALLOWED.items():
        yield f"allowed.{name}", bool(frame[name].isin(values).all())
    for name, (low, high) in RANGES.items():
        yield f"range.{name}", bool(frame[name].dropna().between(low, high).all())
    yield "unique.customer_id", not frame[KEY].dropna().duplicated().any()
    yield "unique.composite", not frame.loc[frame[KEY].notna(), list(COMPOSITE)].duplicated().any()
    yield "pattern.email", bool(frame["email"].dropna().str.match(EMAIL).all())
    yield "rows", ROWS[0] <= len(frame) <= ROWS[1]
    yield "newest.updated_at", frame["updated_at"].max() >= NEWEST_AT_LEAST
    yield "ordered.opened_updated", bool((frame["opened_at"] <= frame["updated_at"]).all())
    yield "mean.f5", MEAN["f5"][0] <= frame["f5"].mean() <= MEAN["f5"][1]
    yield "deviation.f6", DEVIATION["f6"][0] <= frame["f6"].std() <= DEVIATION["f6"][1]
    yield "median.f7", MEDIAN["f7"][0] <= frame["f7"].median() <= MEDIAN["f7"][1]
    for name, edges in DECILES.items():
        yield f"psi.{name}", psi_of_values(frame[name].dropna().to_numpy(), edges) <= PSI_AT_MOST
    yield "length.country", bool((frame["country"].dropna().str.len() == COUNTRY_LENGTH).all())


def _types(frame: Any) -> dict[str, str]:
    typed = {"opened_at": "datetime64[ms]", "updated_at": "datetime64[us]", "score": "int64"}
    text = (KEY, "account_status", "risk_indicator", "email", "country")
    return {name: typed.get(name, "str" if name in text else "float64") for name in frame.columns}
