"""pandas object columns of dicts and lists, judged cell by cell: their values may be of any type, each row with fields of its own.

Numbers, text and times at a path become a Polars series, which is judged like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from dagster_contracts.core.metrics import EACH, KEYS, VALUES, ValueMetric
from dagster_contracts.engines.polars import objects
from dagster_contracts.engines.polars.frames import from_objects
from dagster_contracts.engines.polars.values import NotThere, Values

Placed = tuple[int, object]  # a value and the number of its row


def breaking(
    cells: Sequence[object], path: tuple[str, ...], metric: ValueMetric, breaks: Callable[[ValueMetric, Values], pl.Expr]
) -> list[Placed]:
    """The values at `path` that break the metric. `breaks` judges what is no container. Raises NotThere."""
    found = _at(cells, path)
    if objects.of_containers(metric):
        return [(row, value) for row, value in found if objects.breaks(metric, value)]
    import pandas as pd

    column, is_text, _ = from_objects(pd.Series([value for _, value in found], dtype=object))
    frame = pl.DataFrame({"value": column, **({} if is_text is None else {"text": is_text})})
    broken = frame.select(breaks(metric, Values(pl.col("value"), column.dtype, None if is_text is None else pl.col("text")))).to_series()
    return [place for place, breaks_it in zip(found, broken.to_list(), strict=True) if breaks_it]


def rows(placed: Sequence[Placed], height: int) -> pl.Expr:
    """Which rows hold one of these values."""
    flags = [False] * height
    for row, _ in placed:
        flags[row] = True
    return pl.lit(pl.Series(flags, dtype=pl.Boolean))


def _at(cells: Sequence[object], path: tuple[str, ...]) -> list[Placed]:
    """Everything that stands at `path`. A field that an object lacks, and others have, counts as null."""
    found: list[Placed] = list(enumerate(cells))
    for step in path:
        found = [(row, cell) for row, cell in found if not objects.is_null(cell)]
        fit = [(row, cell) for row, cell in found if _fits(step, cell)]
        if found and not fit:
            raise NotThere(f"there are no {_HOLDERS.get(step, 'objects')} to look into")
        if fit and step not in _HOLDERS and not any(step in cell for _, cell in fit):  # type: ignore[operator]
            raise NotThere(f'no object has a field "{step}"')
        found = [(row, below) for row, cell in fit for below in _step(cell, step)]
    return found


_HOLDERS = {EACH: "arrays", KEYS: "maps", VALUES: "maps"}


def _fits(step: str, cell: object) -> bool:
    if step == EACH:
        return objects.is_array(cell)
    return objects.is_map(cell) if step in _HOLDERS else isinstance(cell, dict)


def _step(cell: Any, step: str) -> Iterator[object]:
    if step == EACH:
        yield from cell
    elif step in _HOLDERS:
        yield from (pair[0 if step == KEYS else 1] for pair in (cell.items() if isinstance(cell, dict) else cell))
    else:
        yield cell.get(step)
