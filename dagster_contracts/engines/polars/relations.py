"""Relationships: keys that are not among those of another object of the contract."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.core.metrics import Orphans
from dagster_contracts.core.verdict import Measured, NotApplicable, Unmeasured
from dagster_contracts.engines.polars.frames import FAILURES, Frame, UnsupportedFrame, read
from dagster_contracts.engines.polars.instants import instant
from dagster_contracts.engines.polars.keys import complete
from dagster_contracts.engines.polars.spellings import spelled
from dagster_contracts.engines.polars.values import Values, is_text, number
from dagster_contracts.ports import Related


def targets(metric: Orphans, related: Related) -> pl.DataFrame | Measured:
    """The distinct keys of the other object, columns in the order of the relationship; or why there are none to compare with."""
    if metric.object not in related:
        return NotApplicable(f"{metric.object} is not at hand")
    try:
        frame = read(related[metric.object](), metric.targets)
        if missing := [name for name in metric.targets if name not in frame.schema]:
            return _missing(metric, frame, missing[0])
        keys = frame.lazy.select(frame.values(name).plain.alias(name) for name in dict.fromkeys(metric.targets)).drop_nulls().unique()
        return keys.collect(engine="streaming" if frame.out_of_core else "in-memory").select(metric.targets)
    except UnsupportedFrame as error:
        return Unmeasured(f"{metric.object}: {error}")
    except MeasurementError as error:
        return Unmeasured(str(error))
    except FAILURES as error:
        return Unmeasured(f"{metric.object} could not be read ({type(error).__name__})", str(error).strip())


def _missing(metric: Orphans, frame: Frame, column: str) -> Measured:
    if column in frame.unreadable:
        return Unmeasured(f"{metric.object}.{column}: {frame.unreadable[column]}")
    return NotApplicable(f"{metric.object} has no column {column}" + (", or several" if column in {c.name for c in frame.columns} else ""))


def orphans(metric: Orphans, values: Sequence[Values], targets: pl.DataFrame) -> pl.Expr:
    """Which rows have a key (no part of it null) that is none of `targets`, whose columns are those of the key, in order."""
    sides = zip(metric.columns, values, targets.schema.items(), strict=True)
    keys = [_alike(each, Values(pl.col(name), dtype), column in metric.numbers) for column, each, (name, dtype) in sides]
    whole = complete(values)
    if any(pair is None for pair in keys):  # text beside instants, say: nothing of the one is among the other
        return whole
    pairs = [pair for pair in keys if pair is not None]
    others = targets.lazy().select(right.alias(f"{n}") for n, (_, right) in enumerate(pairs)).drop_nulls().unique().collect()

    def lacks(found: pl.Series) -> pl.Series:
        given = found.struct.unnest().with_row_index("row")
        missing = given.join(others, on=others.columns, how="anti")
        return pl.Series(found.name, given.get_column("row").is_in(missing.get_column("row").implode()))

    key = pl.struct(left.alias(f"{n}") for n, (left, _) in enumerate(pairs))
    return whole & key.map_batches(lacks, return_dtype=pl.Boolean)


def _alike(left: Values, right: Values, numbers: bool) -> tuple[pl.Expr, pl.Expr] | None:
    """Both sides in one type in which equal values are equal, text of numbers as `numbers` says. None: there is none."""
    if numbers and is_text(left.dtype) and is_text(right.dtype):
        return spelled(left, "number").found, spelled(right, "number").found
    if left.dtype == right.dtype or (is_text(left.dtype) and is_text(right.dtype)):
        return left.plain, right.plain
    if pl.Null in (left.dtype, right.dtype):
        return None
    whole = [_whole(each) for each in (left, right)]
    if whole[0] is not None and whole[1] is not None:
        return whole[0], whole[1]
    floats = [_floating(each) for each in (left, right)]
    if floats[0] is not None and floats[1] is not None:
        return floats[0], floats[1]
    points = [instant(each) for each in (left, right)]
    if points[0] is not None and points[1] is not None:
        return points[0].cast(pl.Datetime("us")), points[1].cast(pl.Datetime("us"))
    return None


def _whole(values: Values) -> pl.Expr | None:
    """Whole numbers, exact; text that is one too, where the other side holds integers."""
    if values.dtype.is_integer():
        return values.found.cast(pl.Int128, strict=False)
    if is_text(values.dtype):
        text = values.plain.str.strip_chars()
        floating = number(text)
        exact = pl.when(floating.floor() == floating).then(floating).cast(pl.Int128, strict=False)
        return pl.coalesce(text.cast(pl.Int128, strict=False), exact)
    return None


def _floating(values: Values) -> pl.Expr | None:
    if is_text(values.dtype):
        return number(values.plain)
    return values.plain.cast(pl.Float64) if values.dtype.is_numeric() else None
