"""What is wanted of a place -> a pool of values that keep it.

Every value has been looked at by the engine that will judge it: what makes candidates need only be right often enough.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any

import polars as pl

from dagster_contracts.core.contract import Scalar
from dagster_contracts.core.metrics import LengthOutside, NotIn, NotMatching, NotMultiple, OutOfRange, Repeating, SizeOutside
from dagster_contracts.engines.polars.predicates import among, fits
from dagster_contracts.engines.polars.values import NotComparable, Values
from dagster_contracts.mocking import numerals, texts, times
from dagster_contracts.mocking.wanted import Wanted

CLOCKED = ("date", "timestamp", "time")
_ROUNDS = 12  # without a new value, after which there are taken to be no more
_MORE = 16
_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Time(),
}
Make = Callable[[int], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Pool:
    """Different values that one place may have, and their type."""

    values: tuple[Any, ...]
    dtype: pl.DataType

    def fitting(self, wanted: Wanted) -> Pool:
        """Those that keep what somebody else wants too."""
        return replace(self, values=tuple(_kept(wanted, self.values, self.dtype)))


def pool(wanted: Wanted, random: Random, need: int, now: datetime) -> Pool:
    """Up to `need` different values, fewer where no more are found."""
    best: Pool | None = None
    for dtype, make in _sources(wanted, random, now):
        found = Pool(tuple(_filled(wanted, dtype, make, need)), dtype)
        if len(found.values) >= need:
            return found
        best = found if best is None or len(found.values) > len(best.values) else best
    assert best is not None
    return best


def _filled(wanted: Wanted, dtype: pl.DataType, make: Make, need: int) -> list[Any]:
    found: dict[Hashable, Any] = {}
    idle = 0
    while len(found) < need and idle < _ROUNDS:
        before = len(found)
        for value in _kept(wanted, make(need - before + _MORE), dtype):
            found.setdefault(_identity(value, wanted.kind), value)
        idle = idle + 1 if len(found) == before else 0
    return list(found.values())[:need]


def _identity(value: Any, kind: str | None) -> Hashable:
    """Text of numbers is equal where the numbers are."""
    number = numerals.read([value], None) if isinstance(value, str) and kind in ("integer", "number") else []
    return number[0] if number else value


def _kept(wanted: Wanted, values: Sequence[Any], dtype: pl.DataType) -> list[Any]:
    if not values:
        return []
    column = Values(pl.col("value"), dtype)
    series = pl.Series("value", values, dtype=dtype)
    asked: list[pl.Expr] = []
    try:
        for metric in wanted.metrics:
            if isinstance(metric, SizeOutside | Repeating):
                continue
            held = fits(metric, column)
            asked.append(pl.lit(held) if isinstance(held, bool) else held.fill_null(False))
        refused = among(column, wanted.refused) if wanted.refused else False
    except NotComparable:
        return []
    asked.append(pl.lit(not refused) if isinstance(refused, bool) else ~refused.fill_null(False))
    kept = series.to_frame().select(pl.all_horizontal(asked).alias("held") & pl.col("value").is_not_null()).to_series().to_list()
    return [value for value, keeps in zip(values, kept, strict=True) if keeps]


# --- where candidates come from, the likeliest type first ----------------------------------------------------------


def _sources(wanted: Wanted, random: Random, now: datetime) -> Iterator[tuple[pl.DataType, Make]]:
    listed = [metric for metric in wanted.metrics if isinstance(metric, NotIn)]
    if listed:
        yield from _listed(wanted, listed[0].values)
        return
    kind = wanted.kind or _guessed(wanted)
    wanted = replace(wanted, kind=kind)
    worded = any(isinstance(metric, NotMatching | LengthOutside) for metric in wanted.metrics)
    if kind in ("integer", "number"):
        yield from _numeric(wanted, random, worded)
    elif kind == "boolean":
        yield pl.Boolean(), lambda _: (True, False)
        yield pl.String(), lambda _: ("true", "false")
    elif kind in CLOCKED:
        yield from _timely(wanted, random, now, worded)
    else:
        yield pl.String(), lambda count: texts.candidates(wanted, random, count)


def _guessed(wanted: Wanted) -> str:
    """What values without a type are, by what is asked of them."""
    ranges = [metric for metric in wanted.metrics if isinstance(metric, OutOfRange)]
    if any(isinstance(bound, str) for each in ranges for bound in (each.minimum, each.maximum)) or wanted.fresh:
        return "timestamp"
    worded = any(isinstance(metric, NotMatching | LengthOutside) for metric in wanted.metrics)
    return "number" if not worded and (ranges or wanted.of(NotMultiple)) else "string"


def _listed(wanted: Wanted, values: Sequence[Scalar]) -> Iterator[tuple[pl.DataType, Make]]:
    kind = wanted.kind
    typed: list[Any] = list(values)
    if kind in ("integer", "number") or (kind is None and all(_is_number(value) for value in values)):
        typed = numerals.read([str(value) for value in values if not isinstance(value, bool)], kind)
        integral = kind == "integer" or (kind is None and all(isinstance(value, int) for value in values))
        yield (pl.Int64() if integral else pl.Float64()), lambda _: [int(v) if integral else float(v) for v in typed if v == v]
    elif kind == "boolean" or (kind is None and all(isinstance(value, bool) for value in values)):
        yield pl.Boolean(), lambda _: (True, False)
    yield pl.String(), lambda _: [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric(wanted: Wanted, random: Random, worded: bool) -> Iterator[tuple[pl.DataType, Make]]:
    dtype = _TYPES[wanted.kind or "number"]
    low, high = numerals.span(wanted)
    if wanted.kind == "integer" and (high >= 2**63 or low < -(2**63)):
        dtype = pl.Int128()
    if not worded:
        yield dtype, lambda count: numerals.numbers(wanted, random, count)
    lettered = replace(wanted, metrics=tuple(metric for metric in wanted.metrics if not isinstance(metric, OutOfRange | NotMultiple)))
    if worded:
        yield dtype, lambda count: _small(numerals.read(_figures(lettered, random, count), wanted.kind), wanted.kind)
        yield dtype, lambda count: numerals.numbers(wanted, random, count)
    yield pl.String(), lambda count: _figures(lettered, random, count)


def _small(values: list[int | float], kind: str | None) -> list[int | float]:
    return [value for value in values if kind != "integer" or (isinstance(value, int) and abs(value) < 2**53)]


def _figures(wanted: Wanted, random: Random, count: int) -> list[str]:
    """Texts of numbers: as the patterns say, or of a number of digits."""
    if wanted.of(NotMatching):
        return texts.candidates(wanted, random, count)
    low, high = texts.lengths(wanted)
    sizes = (max(low, 1), min(high, max(low, 1) + 3, 15))
    if sizes[0] > sizes[1]:
        return []
    lengths = [random.randint(*sizes) for _ in range(count)]
    return [str(random.randint(10 ** (size - 1) if size > 1 else 0, 10**size - 1)) for size in lengths]


def _timely(wanted: Wanted, random: Random, now: datetime, worded: bool) -> Iterator[tuple[pl.DataType, Make]]:
    foreign = wanted.text is not None and wanted.text.format is not None
    if foreign and wanted.text is not None and wanted.text.directives is None:
        metrics = (*wanted.metrics, NotMatching("", wanted.text.pattern or ""))
        shaped = replace(wanted, metrics=metrics)
        yield pl.String(), lambda count: texts.candidates(shaped, random, count)
        return
    if not foreign and not worded and not (wanted.kind == "time" and wanted.zoned):
        dtype = pl.Datetime("us", _zone(wanted)) if wanted.kind == "timestamp" else _TYPES[wanted.kind or "date"]
        yield dtype, lambda count: times.values(wanted, random, count, now)
        return
    for number in range(_ways(wanted, random, now)):
        yield pl.String(), lambda count, number=number: list(times.spellings(wanted, times.values(wanted, random, count, now)))[number]  # type: ignore[misc]
    if worded:
        yield pl.String(), lambda count: texts.candidates(wanted, random, count)


def _ways(wanted: Wanted, random: Random, now: datetime) -> int:
    return len(list(times.spellings(wanted, times.values(wanted, random, 1, now))))


def _zone(wanted: Wanted) -> str | None:
    """With a time zone unless the contract says that there is none, or in which zone times without one are."""
    local = wanted.text is not None and wanted.text.zone != "UTC"
    bare = bool(wanted.physical) and "timestamptz" not in wanted.physical
    return "UTC" if wanted.zoned or (wanted.zoned is None and not local and not bare) else None
