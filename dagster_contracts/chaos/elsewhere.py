"""Faults outside a campaign: injected into a pandas or Polars frame, or into a file, which come back in the form that they came in."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.fault import Fault, generator
from dagster_contracts.core.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def _csv(path: Path) -> pl.DataFrame:
    """Every value as text; the doubled quotes of a quoted name, which Polars leaves, are one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    return pl.read_csv(path, infer_schema=False, new_columns=names if any('"' in name for name in names) else None)


_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_READ: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _csv,
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
    ".parquet": pl.read_parquet,
}


def inject_into_frame(
    fault: Fault, frame: pl.DataFrame | pd.DataFrame, *, column: str | None = None, dose: float | None = None, seed: int = 0
) -> tuple[pl.DataFrame | pd.DataFrame, Injected]:
    """A damaged copy of a pandas or Polars frame (of the same kind), and what was done to it. `dose` is the highest by default.

    Raises UsageError where the fault does not fit `column`, or is not one of rows (a delivery that is late, a broken file), and
    whatever the fault raises. The frame that is given is never changed.
    """
    polars = frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)
    injected = _injected(fault, polars, column, dose, seed)
    if injected.batch is None or injected.batch.written is not None or injected.also:
        raise UsageError(f"fault {fault.name} does not speak of the rows of one frame; give it a file, or run a campaign")
    damaged = injected.batch.frame
    return (damaged if isinstance(frame, pl.DataFrame) else as_pandas(damaged, frame)), injected


def inject_into_file(
    fault: Fault, source: Path, target: Path, *, column: str | None = None, dose: float | None = None, seed: int = 0
) -> Injected:
    """Write a damaged copy of `source` (.csv, .jsonl, .ndjson or .parquet) to `target`, in the format of `source`.

    Raises UsageError for another format, where the fault does not fit `column`, where nothing would be written, and where both are one
    file.
    """
    form = source.suffix.lower()
    if form not in _READ:
        raise UsageError(f"{source}: a file named *{form} is not damaged; expected one of {', '.join(_READ)}")
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target} is the file itself; name another one for the damaged copy")
    injected = _injected(fault, _READ[form](source), column, dose, seed)
    if injected.batch is None:
        raise UsageError(f"fault {fault.name} delivers nothing: there is no file to write")
    if injected.batch.written is not None:  # it damages any file in the same way
        content = source.read_bytes()
        target.write_bytes(content[: len(content) // 2])
        return replace(injected, description=f"the file ends after {len(content) // 2:,} of its {len(content):,} bytes")
    _write(injected.batch.frame, form, target)
    return injected


def _injected(fault: Fault, frame: pl.DataFrame, column: str | None, dose: float | None, seed: int) -> Injected:
    batch = Batch(frame, _SOME_TIME)
    fitting = list(fault.fits(batch.shape))
    if column not in fitting:
        listed = ", ".join("the batch as a whole" if name is None else name for name in fitting) or "nothing here"
        raise UsageError(
            f"fault {fault.name} does not fit {'the batch as a whole' if column is None else f'column {column}'}; it fits {listed}"
        )
    return fault.inject(batch, column, fault.doses[-1] if dose is None else dose, generator(seed, fault.name, column))


def _told(column: str | None) -> str:
    return "the batch as a whole" if column is None else f"column {column}"


def _write(frame: pl.DataFrame, form: str, target: Path) -> None:
    if form == ".parquet":
        frame.write_parquet(target)
    elif form == ".csv":
        frame.write_csv(target)
    else:
        frame.write_ndjson(target)


def as_pandas(damaged: pl.DataFrame, before: Any) -> Any:
    """Columns that are as they were keep their own type and values; rows keep their labels where there are as many."""
    kept = pl.from_pandas(before)
    found = damaged.to_pandas()
    if damaged.height != len(before):
        return found
    for name in damaged.columns:
        if name in kept.columns and damaged[name].dtype == kept[name].dtype and damaged[name].equals(kept[name], null_equal=True):
            found[name] = before[name].to_numpy() if before[name].dtype == object else before[name].array
    found.index = before.index
    return found
