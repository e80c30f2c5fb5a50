"""Measuring a damaged batch without measuring all of it again: what its columns have in common with the clean one is known already.

Which columns differ is looked up and not believed: a fault may tell less than it did. Where rows have come or gone everything is
measured; of a file that is damaged as such, the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from dagster_contracts.chaos.batch import Batch, Written
from dagster_contracts.core.metrics import Expectation, Metric, Orphans, Query
from dagster_contracts.core.verdict import Measurement, Sample, Unmeasured
from dagster_contracts.ports import NO_OTHERS, Division, MetricEngine, Related

_EVERY = re.compile(r"(?:\bselect|\bdistinct|,|\.)\s*\*|\bcolumns\s*\(|\b(?:natural|positional|pivot|unpivot)\b")


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A MetricEngine that knows one frame and what was measured of it, and asks `engine` for no more than is new."""

    engine: MetricEngine
    clean: pl.DataFrame
    known: Measurement | Unmeasured

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        if isinstance(data, Written):
            return self._file(data, metrics, related)
        if not isinstance(data, pl.DataFrame) or isinstance(self.known, Unmeasured) or data.height != self.clean.height:
            return self.engine.measure(data, metrics, related)
        changed = differing_columns(self.clean, data)
        there = Counter(data.columns)
        asked = [metric for metric in metrics if all(there[column] == 1 for column in metric.columns)]
        old = {metric: value for metric in asked if (value := self.known.values.get(metric)) and not _looks_at(metric, changed)}
        found = self.engine.measure(data, [metric for metric in asked if metric not in old], related)
        if isinstance(found, Unmeasured):
            return found
        both = {**old, **found.values}
        return replace(found, values={metric: both[metric] for metric in asked if metric in both})

    def _file(self, data: Written, metrics: Sequence[Metric], related: Related) -> Measurement | Unmeasured:
        with TemporaryDirectory(prefix="dagster-contracts-") as folder:
            place = Path(folder, f"damaged{data.suffix}")
            place.write_bytes(data.content)
            found = self.engine.measure(place, metrics, related)
            if isinstance(found, Unmeasured):  # where it lay is nobody's business, and another place each time
                return replace(found, reason=found.reason.replace(str(place), place.name))
            return found

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        """None: which rows are damaged is known, since we did it."""
        return {}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return self.engine.divide(data, rules, related)


def delivered(batch: Batch) -> object:
    """What is measured of a batch: its rows, or the file that they came in."""
    return batch.written or batch.frame


def differing_columns(clean: pl.DataFrame, damaged: pl.DataFrame) -> frozenset[str]:
    """Names of the columns that are not the same in two frames of equally many rows, those of only one of them included."""
    known = {series.name: series for series in clean.get_columns()}
    found = {series.name: series for series in damaged.get_columns()}
    unlike = {name for name, series in found.items() if name not in known or not _same(known[name], series)}
    return frozenset(unlike | (known.keys() - found.keys()))


def differs(clean: pl.DataFrame, damaged: pl.DataFrame, likely: Iterable[str]) -> bool:
    """Whether two frames differ at all; `likely` columns are looked at first."""
    if clean.height != damaged.height or clean.columns != damaged.columns:
        return True
    first = [name for name in likely if name in damaged.columns]
    return any(not _same(clean[name], damaged[name]) for name in dict.fromkeys((*first, *damaged.columns)))


def _same(one: pl.Series, other: pl.Series) -> bool:
    if one.dtype != other.dtype or one.dtype == pl.Object:
        return False
    return one.equals(other, null_equal=True)


def _looks_at(metric: Metric, columns: frozenset[str]) -> bool:
    """An expectation may look at any column, a query at those that it names."""
    if isinstance(metric, Query):
        return reads_all(metric) or any(_named(column, metric.sql) for column in columns)
    if isinstance(metric, Orphans):  # an object may refer to itself
        return not columns.isdisjoint((*metric.columns, *metric.targets))
    return isinstance(metric, Expectation) or not columns.isdisjoint(metric.columns)


def reads_all(query: Query) -> bool:
    """Whether a query may look at columns that it does not name. Only the plainest are known not to: one SELECT of one table, with
    conditions at most, without a star (but for count(*) and what is multiplied), an alias or another table."""
    text = _COUNTED.sub("1", query.sql.strip().rstrip(";").lower())
    name = re.escape(query.name.lower())
    plain = re.fullmatch(rf'select\s(.*)\sfrom\s+"?{name}"?(?:\s+where\s(.*))?', text, re.DOTALL)
    if plain is None or len(re.findall(rf"\b{name}\b", text)) != 1:
        return True
    return bool(_STAR.search(text)) or not _BEYOND.isdisjoint(re.findall(r"\w+", f"{plain[1]} {plain[2] or ''}"))


_COUNTED = re.compile(r"count\s*\(\s*\*\s*\)")
_STAR = re.compile(r"(?:[,(.]|\b(?:select|distinct|all|by))\s*\*")
_BEYOND = frozenset(("columns", "select", "from", "join", "table", "values"))


def _named(column: str, sql: str) -> bool:
    """Whether all words of a column's name stand in the query; of a name without a word that is not known."""
    return set(re.findall(r"\w+", column.lower())) <= set(re.findall(r"\w+", sql.lower()))
