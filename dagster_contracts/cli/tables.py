"""Files as tables, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from dagster_contracts.engines.files.places import files_of
from dagster_contracts.engines.files.tables import require_tabular, table


def tables(places: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each file of the places as a table of its own with its name, in the order of their names. Raises MeasurementError."""
    for file in files_of([place if place.startswith("s3://") else Path(place) for place in places]):
        require_tabular(file.name, file.address)
        with ExitStack() as stack:
            yield file.name, table([file], stack).collect()
