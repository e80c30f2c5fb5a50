"""Uniqueness.

Values whose hashes differ are different values. So hashes are compared first (sorted: several times faster than a set of the values,
and small), and only rows whose hash stands twice are compared by value: the count is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from dagster_contracts.core.metrics import Duplicates, Metric
from dagster_contracts.core.verdict import Count, Measured
from dagster_contracts.engines.polars.asked import ROWS, Answers, Asked
from dagster_contracts.engines.polars.spellings import spelled
from dagster_contracts.engines.polars.values import Values

_FEW = 10  # suspects below a tenth of all rows are compared by value at once


def duplicates(metric: Duplicates, labels: Sequence[str], values: Sequence[Values], asked: Collection[Metric]) -> Asked | Count:
    """Rows beyond the first of each key. A key is not looked at where one of its columns, asked for by itself, repeats nothing.

    `labels` name the values.
    """
    if any(each.dtype == pl.Null for each in values):
        return Count(0)
    pairs = zip(metric.columns, labels, strict=True)
    labels = tuple(f"{label} as number" if column in metric.numbers else label for column, label in pairs)
    values = _compared(metric, values)
    for column, label, each in zip(metric.columns, labels, values, strict=True):
        if len(labels) > 1 and metric.alone(column) in asked:
            return _implied(labels, values, label, each)
    return _by_hash(labels, values)


def _compared(metric: Duplicates, values: Sequence[Values]) -> list[Values]:
    """Text of numbers in one spelling for each number, so that equal numbers are equal values."""
    pairs = zip(metric.columns, values, strict=True)
    return [spelled(each, "number") if column in metric.numbers else each for column, each in pairs]


def _implied(columns: tuple[str, ...], values: Sequence[Values], column: str, single: Values) -> Asked:
    name = _name((column,))

    def read(answers: Answers) -> Measured | Asked:
        suspects = answers[name]
        if not len(suspects):
            return Count(0)
        few = len(suspects) * _FEW < answers[ROWS]  # a key repeats only where each of its columns does
        return _by_value(columns, values, suspects, [single]) if few else _by_hash(columns, values)

    return Asked({name: _repeated_hashes([single])}, read, whole=True)


def _by_hash(columns: tuple[str, ...], values: Sequence[Values]) -> Asked:
    name = _name(columns)

    def read(answers: Answers) -> Measured | Asked:
        suspects = answers[name]
        return Count(0) if not len(suspects) else _by_value(columns, values, suspects, values)

    return Asked({name: _repeated_hashes(values)}, read, whole=True)


def _by_value(columns: tuple[str, ...], values: Sequence[Values], suspects: pl.Series, hashed: Sequence[Values]) -> Asked:
    """Counted exactly, among the rows whose hash (of `hashed`) is one of `suspects`."""
    name = f"{_name(columns)} by value"
    kept = _key(values).filter(complete(values) & _hash(hashed).is_in(suspects.unique().implode()))
    return Asked({name: kept.len() - kept.n_unique()}, lambda answers: Count(answers[name]), whole=True)


def repeats(metric: Duplicates, values: Sequence[Values]) -> pl.Expr:
    """Which rows stand beyond the first of their key."""
    if any(each.dtype == pl.Null for each in values):
        return pl.lit(value=False)
    values = _compared(metric, values)
    hashed = pl.when(complete(values)).then(_hash(values)).alias("hash")  # Series methods read names like "*" as patterns
    return pl.map_batches([hashed, _key(values).alias("key")], _beyond_the_first, return_dtype=pl.Boolean)


def _name(columns: tuple[str, ...]) -> str:
    return f"{columns} repeated"


def _key(values: Sequence[Values]) -> pl.Expr:
    return values[0].plain if len(values) == 1 else pl.struct(each.plain.alias(f"{n}") for n, each in enumerate(values))


def complete(values: Sequence[Values]) -> pl.Expr:
    """Which rows have a null in none of `values`."""
    return pl.all_horizontal(each.present for each in values)


def _hash(values: Sequence[Values]) -> pl.Expr:
    found = values[0].plain.hash()
    for seed, each in enumerate(values[1:], start=1):
        found = found ^ each.plain.hash(seed)
    return found


def _hash_of_one(values: Values) -> pl.Expr:
    return values.plain.drop_nulls().hash()


def _repeated_hashes(values: Sequence[Values]) -> pl.Expr:
    """Each hash as often as it stands after itself, as one list."""
    hashes = _hash_of_one(values[0]) if len(values) == 1 else _hash(values).filter(complete(values))
    return hashes.map_batches(_repeated, return_dtype=pl.UInt64).implode()


def _repeated(hashes: pl.Series) -> pl.Series:
    import numpy as np

    ordered = np.sort(hashes.to_numpy())
    return pl.Series(hashes.name, ordered[1:][ordered[1:] == ordered[:-1]], dtype=pl.UInt64)


def _beyond_the_first(columns: Sequence[pl.Series]) -> pl.Series:
    import numpy as np

    hashes, keys = columns
    suspects = hashes.is_in(_repeated(hashes.drop_nulls()).unique().implode()).arg_true()
    beyond = suspects.filter(keys.gather(suspects).is_first_distinct().not_())
    return pl.Series(hashes.name, np.zeros(len(hashes), dtype=bool)).scatter(beyond, True)
