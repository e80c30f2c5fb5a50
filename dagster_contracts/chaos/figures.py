"""Figures of clean batches, and the bounds that they keep to: means, shares, numbers of rows. An engine measures them first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import polars as pl

from dagster_contracts.chaos.bounds import LEAST, Range, outward, roughly, steady, usual, written
from dagster_contracts.chaos.clauses import Candidate, Quality
from dagster_contracts.chaos.evidence import Evidence, Seen
from dagster_contracts.chaos.shape import Reads
from dagster_contracts.core.odcs_quality import OURS

CODES = 20  # different whole numbers that are still codes
_SHARES = 4  # categories of which the share is looked at
_BY_CHANCE = 0.05  # of the rows
STEADY = 0.05  # how far a number of rows may be from what it always was
_TENFOLD = 10.0  # how far a figure that strays may be from what was seen

# Queries are filled in as all of a contract's are: {object} is the table, {column} the property. Those of the object name their columns.
_PER_MINUTE = "extract(hour FROM {column}) * 60 + extract(minute FROM {column})"
_MINUTES = {
    "mean": f"SELECT avg({_PER_MINUTE}) FROM {{object}}",  # noqa: S608  # constants
    "first": f"SELECT min({_PER_MINUTE}) FROM {{object}}",  # noqa: S608
    "last": f"SELECT max({_PER_MINUTE}) FROM {{object}}",  # noqa: S608
}
_LAST_MINUTE = 24 * 60 - 1
_DAYS = "SELECT (extract(epoch FROM max({column})) - extract(epoch FROM min({column}))) / 86400 FROM {object}"
_EARLY = "SELECT 100.0 * avg(CASE WHEN extract(day FROM {column}) <= 12 THEN 1 ELSE 0 END) FROM {object}"
_RATIO = (
    "SELECT sqrt(var_pop(m) / nullif(var_pop(v), 0)) FROM "
    "(SELECT {column} AS v, avg({column}) OVER (PARTITION BY %s) AS m FROM {object} WHERE {column} IS NOT NULL) AS means"
)


class Unit(StrEnum):
    """What a figure is: a percentage, a count, a number that is never below 0, any number, or a count that is 0 in clean data."""

    PERCENT = "percent"
    COUNT = "count"
    ROWS = "rows"  # a count of rows of the batch that have something
    POSITIVE = "positive"
    ANY = "any"
    ROOT = "root"  # never below 0, and near it
    WHOLE = "whole"  # of whole numbers: steps of one say nothing
    ZERO = "zero"
    MAGNITUDE = "magnitude"  # above 0, and of which the order of magnitude is all that is known


@dataclass(frozen=True, slots=True)
class Open:
    """A figure whose bounds are to be learned. `entry` is a rule without an operator; ours where its implementation is to hold one."""

    family: str
    column: str | None
    entry: Mapping[str, Any]
    unit: Unit
    rank: int
    most: float = math.inf  # that the figure can be

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    def with_(self, operator: str, value: object) -> Mapping[str, Any]:
        if "implementation" not in self.entry:
            return {**self.entry, operator: value}
        return {**self.entry, "implementation": {**self.entry["implementation"], operator: value}}

    def open(self) -> Candidate:
        """With bounds that hold always, so that it is measured."""
        return Candidate(self.family, self.column, Quality(self.with_("mustBeBetween", [-1e300, 1e300])), (self.name,), self.rank)

    def closed(self, values: Sequence[float], rows: Sequence[int]) -> Candidate | None:
        """With the bounds of `values`, one of each clean batch of `rows` rows; None where they are not steady, or nothing is beyond."""
        measured = list(zip(values, rows, strict=True))
        found = steady(measured, self._fit, lambda bounds, each: each[0] in bounds)
        if found is None or (found.low == found.high and self.unit not in (Unit.ZERO, Unit.COUNT)):
            return None
        bounds = self._operator(found)
        if bounds is None:
            return None
        operator, value = bounds
        told = f"{written(min(values))} to {written(max(values))} in {len(values)} clean batches"
        return Candidate(self.family, self.column, Quality(self.with_(operator, value)), (self.name,), self.rank, told)

    def _fit(self, measured: Sequence[tuple[float, int]]) -> Range | None:
        values = [value for value, _ in measured]
        least = min(rows for _, rows in measured)
        if self.unit is Unit.ZERO:
            return Range(0, 0) if len(values) >= LEAST and not any(values) else None
        if self.unit is Unit.MAGNITUDE:
            known = len(values) >= LEAST and min(values) > 0 and math.isfinite(max(values))
            return Range(min(values) / _TENFOLD, max(values) * _TENFOLD) if known else None
        if self.unit is Unit.PERCENT:
            share = sum(values) / len(values) / 100
            found = usual(values, spread=100 * math.sqrt(max(share * (1 - share), 1 / (least or 1)) / (least or 1)))
            return found and Range(max(0.0, found.low), min(100.0, found.high))
        if self.unit is Unit.COUNT and len(set(values)) == 1 and len(values) >= LEAST:
            return self._some(Range(values[0] * (1 - STEADY), values[0] * (1 + STEADY)), values)
        spread = {Unit.COUNT: math.sqrt(max(0.0, *values)), Unit.WHOLE: 0.15}.get(self.unit, 0.0)
        found = usual(values, spread=spread, positive=self.unit in (Unit.COUNT, Unit.POSITIVE))
        if found is not None and self.unit is Unit.ROOT:
            return replace(found, low=max(0.0, found.low))
        return found and self._some(found, values)

    def _some(self, found: Range, values: Sequence[float]) -> Range:
        """A batch without rows is refused, unless a rule on their number allows it: one that never came is not allowed."""
        return replace(found, low=max(1.0, found.low)) if self.family == "rows" and min(values) >= 1 else found

    def _operator(self, found: Range) -> tuple[str, object] | None:
        """Without a bound that no value can break."""
        if self.unit is Unit.ZERO:
            return "mustBe", 0
        if self.unit is Unit.MAGNITUDE:
            return "mustBeBetween", [roughly(found.low), roughly(found.high)]
        low, high = outward(found, whole=self.unit in (Unit.COUNT, Unit.WHOLE))
        signed = self.most == math.inf and self.unit in (Unit.ANY, Unit.WHOLE)
        most = 100 if self.unit is Unit.PERCENT else self.most
        below, above = signed or low > 0, high < most
        if below and above:
            return "mustBeBetween", [low, high]
        if below:
            return "mustBeGreaterOrEqualTo", low
        return ("mustBeLessOrEqualTo", high) if above else None


class Names:
    """Names of rules, none of them given twice, nor one that the contract has."""

    def __init__(self, taken: set[str]):
        self._taken = set(taken)

    def new(self, name: str) -> str:
        number, found = 2, name
        while found in self._taken:
            found, number = f"{name}_{number}", number + 1
        self._taken.add(found)
        return found


def ours(name: str, **implementation: object) -> Mapping[str, Any]:
    return {"name": name, "type": "custom", "engine": OURS, "severity": "warning", "implementation": implementation}


def _sql(name: str, query: str) -> Mapping[str, Any]:
    return {"name": name, "type": "sql", "query": query, "severity": "warning"}


# --- figures -------------------------------------------------------------------------------------------------------


def figures(evidence: Evidence, column: str, names: Names) -> Iterator[Open]:
    """Of one column."""
    seen = evidence.columns[column]
    reads = seen[-1].shape.reads
    if reads is Reads.NUMBER:
        yield from _of_numbers(evidence, column, names)
    if reads in (Reads.CATEGORY, Reads.FLAG) or (reads is Reads.NUMBER and seen[-1].shape.integral):
        yield from _shares(column, seen, names)
    if reads is Reads.TIME:
        for word, query in _MINUTES.items():
            unit = Unit.ANY if word == "mean" else Unit.WHOLE
            yield Open(
                f"minute_of_day.{word}", column, _sql(names.new(f"{column}.minute_of_day.{word}"), query), unit, 6, most=_LAST_MINUTE
            )
    if reads in (Reads.DATE, Reads.TIME):
        yield Open("days", column, _sql(names.new(f"{column}.days"), _DAYS), Unit.POSITIVE, 6)
        yield Open("day_of_month", column, _sql(names.new(f"{column}.day_of_month"), _EARLY), Unit.PERCENT, 6)
    if reads not in (Reads.NESTED, Reads.OTHER):
        unit = Unit.COUNT if max(each.shape.distinct for each in seen) > CODES else Unit.WHOLE
        yield Open("distinct", column, ours(names.new(f"{column}.distinct"), metric="distinctCount"), unit, 7)


def _of_numbers(evidence: Evidence, column: str, names: Names) -> Iterator[Open]:
    seen = evidence.columns[column]
    unit = Unit.WHOLE if all(each.shape.integral for each in seen) else Unit.ANY
    yield Open("mean", column, ours(names.new(f"{column}.mean"), metric="mean"), Unit.ANY, 5)
    yield Open("spread", column, ours(names.new(f"{column}.spread"), metric="standardDeviation"), Unit.POSITIVE, 5)
    for word, metric in (("mean", "mean"), ("spread", "standardDeviation")):
        rule = ours(names.new(f"{column}.{word}.magnitude"), metric=metric)
        yield Open(f"{word} magnitude", column, rule, Unit.MAGNITUDE, 6)
    for at in (0.5, 0.05, 0.95, 0.25, 0.75):
        name = names.new(f"{column}.median" if at == 0.5 else f"{column}.quantile_{round(100 * at):02}")
        yield Open(f"quantile {at}", column, ours(name, metric="quantile", at=at), unit, 6)


def _shares(column: str, seen: Sequence[Seen], names: Names) -> Iterator[Open]:
    """Of the most frequent categories, and of the rarest, which grows first where something goes wrong."""
    values = list(seen[-1].categories or {})
    if len(values) <= 1 or len(values) > CODES:
        return
    family = "share of codes" if seen[-1].shape.reads is Reads.NUMBER else "share"
    for value in dict.fromkeys((*values[:_SHARES], values[-1])):
        held = int(value) if isinstance(value, float) and value.is_integer() else value
        rule = ours(names.new(f"{column}.share.{held}"), metric="share", values=[held], unit="percent")
        yield Open(family, column, rule, Unit.PERCENT, 5)


def segments(evidence: Evidence, column: str, names: Names) -> Iterator[Open]:
    """The correlation ratio of a column of numbers and the categories of another: high where a segment goes its own way."""
    if evidence.reads(column) is not Reads.NUMBER:
        return
    for other, seen in evidence.columns.items():
        if other == column or seen[-1].shape.reads is not Reads.CATEGORY or len(seen[-1].categories or ()) < 2:
            continue
        rule = _sql(names.new(f"{column}.by.{other}"), _RATIO % _named(other))
        yield Open("segment", column, rule, Unit.ROOT, 8)


def _named(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def relations(evidence: Evidence, column: str, names: Names) -> Iterator[Open]:
    """Columns that are never above another of their kind: opened before updated, a tip below the fare. Of numbers, where they go together:
    that a balance in dollars is above a share in percent is chance, until one day it is not."""
    kinds = {Reads.DATE: Reads.TIME, Reads.TIME: Reads.TIME, Reads.NUMBER: Reads.NUMBER}
    wanted = kinds.get(evidence.reads(column))
    for other in evidence.columns:
        if wanted is None or other == column or kinds.get(evidence.reads(other)) is not wanted:
            continue
        for operator in ("<=", ">="):
            if wanted is Reads.NUMBER and not _go_together(evidence.batches[-1].frame, column, operator, other):
                continue
            rule = ours(
                names.new(f"{column}.{'until' if operator == '<=' else 'from'}.{other}"), metric="compare", operator=operator, other=other
            )
            yield Open("relation", column, {**rule, "severity": "error"}, Unit.ZERO, 7)


def _go_together(frame: pl.DataFrame, column: str, operator: str, other: str) -> bool:
    """Whether a relation would be broken, and not by a few rows, if the one column were those of other rows."""
    left, right = (frame[name].cast(pl.Float64, strict=False) for name in (column, other))
    elsewhere = pl.concat([right.tail(-(len(right) // 2)), right.head(len(right) // 2)])
    broken = (left > elsewhere) if operator == "<=" else (left < elsewhere)
    return (broken.sum() or 0) > _BY_CHANCE * len(frame)


def of_rows(evidence: Evidence, names: Names) -> Iterator[Open]:
    """Of the batch as a whole."""
    yield Open("rows", None, {"name": names.new("row_count"), "type": "library", "metric": "rowCount"}, Unit.COUNT, 4)
    whole = [name for name, seen in evidence.columns.items() if not any(each.shape.nulls for each in seen) and _comparable(seen)]
    if whole:
        entry = {"name": names.new("no_row_twice"), "type": "library", "metric": "duplicateValues", "arguments": {"properties": whole}}
        yield Open("duplicates", None, entry, Unit.ZERO, 2)


def _comparable(seen: Sequence[Seen]) -> bool:
    return seen[-1].shape.reads not in (Reads.NESTED, Reads.OTHER, Reads.NOTHING)
