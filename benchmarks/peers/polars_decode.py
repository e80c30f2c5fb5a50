"""No rules at all: Polars decoding the Parquet file. What any engine that reads the file has to pay."""

from __future__ import annotations

from collections.abc import Callable

VERSIONS = ("polars",)
FORMS = ("parquet",)
UNEQUAL: dict[str, str] = {}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import polars as pl

    def run() -> list[str]:
        pl.read_parquet(path)
        return []

    return run
