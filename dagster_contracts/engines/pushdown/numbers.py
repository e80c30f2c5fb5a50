"""Numbers about a column: statistics, histograms, profiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, assert_never

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.metrics import Histogram, Kind, ProfileOf, Statistic
from dagster_contracts.core.profile import CATEGORIES, EXACT, GROUPS, NumericProfile, ranked
from dagster_contracts.core.verdict import Bins, Figure, Measured
from dagster_contracts.engines.polars.profiles import category_texts
from dagster_contracts.engines.pushdown import text as reading
from dagster_contracts.engines.pushdown.asking import ROWS, Alone, Answers, Asked, Source
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.spellings import spelled
from dagster_contracts.engines.pushdown.values import Values, between, literal

_WHOLE = "decimal(38, 0)"


def numbers(values: Values) -> Any:
    """The values as float64, without text that is none. Raises Inexpressible where the type holds none."""
    if values.known().is_text:
        return reading.number(values.plain, values.dialect)
    if not values.is_number:
        raise Inexpressible(f"a {values.dtype} column holds no numbers")
    return values.plain if values.dtype.is_float64() else values.plain.cast("float64")


# --- statistics ----------------------------------------------------------------------------------------------------


def statistic(metric: Statistic, values: Values) -> Asked | Figure:
    if values.dtype.is_null():
        return Figure(0 if metric.kind is Kind.DISTINCT_COUNT else None)
    name = f"{metric} as {metric.logical}"
    return Asked({name: _statistic(metric, values)}, lambda answers: Figure.of(answers[name]))


def _statistic(metric: Statistic, values: Values) -> Any:
    match metric.kind:
        case Kind.DISTINCT_COUNT:
            return spelled(values, metric.logical).nunique()
        case Kind.DISTINCT_SHARE:
            present = values.plain.count()
            return ibis.ifelse(
                present > 0, spelled(values, metric.logical).nunique().cast("float64") / present.cast("float64"), ibis.null("float64")
            )
        case Kind.MEAN:
            return numbers(values).mean()
        case Kind.STANDARD_DEVIATION:
            return numbers(values).std(how="sample")
        case Kind.MINIMUM:
            return _exact(values.found.min()) if values.dtype.is_integer() else numbers(values).min()
        case Kind.MAXIMUM:
            return _exact(values.found.max()) if values.dtype.is_integer() else numbers(values).max()
        case Kind.SUM:
            return _exact(_wide(values).sum()) if values.dtype.is_integer() else numbers(values).sum()
        case Kind.QUANTILE:
            return numbers(values).quantile(0.5 if metric.at is None else metric.at)
        case _:
            assert_never(metric.kind)


def _exact(whole: Any) -> Any:
    """An integer as Decimal: those of 64 bits without a sign, and sums, are beyond the integers of Arrow."""
    return whole.cast(_WHOLE)


def _wide(values: Values) -> Any:
    """Integers of a type whose sums do not overflow: some databases add 64-bit integers in 64 bits."""
    return values.found.cast(_WHOLE) if values.dialect in ("databricks", "pyspark", "trino") else values.found


def histogram(metric: Histogram, values: Values) -> Asked:
    """Cumulative counts from each edge on, whose differences are the bins."""
    if values.dtype.is_null():
        return Asked({}, lambda answers: Bins((0,) * (len(metric.edges) + 1), answers[ROWS]))
    found = numbers(values)
    names = [f"{metric.column} from {edge!r} on" for edge in metric.edges]
    present, number_of = f"{metric.column} present", f"{metric.column} numbers"
    select = {present: values.plain.count(), number_of: found.count()}
    select |= {name: _from(values, found, edge).sum() for name, edge in zip(names, metric.edges, strict=True)}

    def read(answers: Answers) -> Measured:
        above = [answers[number_of], *(answers[name] or 0 for name in names), 0]
        return Bins(tuple(int(left - right) for left, right in pairwise(above)), int(answers[ROWS] - answers[present]))

    return Asked(select, read)


def _from(values: Values, found: Any, edge: float) -> Any:
    if values.dtype.is_integer() and math.isfinite(edge):
        return between(values.found, math.ceil(edge), None)
    return found >= literal(edge)


# --- profiles ------------------------------------------------------------------------------------------------------


def profile_of(metric: ProfileOf, source: Source) -> Alone:
    """Values with their counts, shortened by the database as engines/profiles.py shortens them."""
    values = source.values(metric.column).known()
    return _categorical(metric, values, source) if metric.categorical else _numeric(metric, values, source)


def _numeric(metric: ProfileOf, values: Values, source: Source) -> Alone:
    found = ibis.null("float64") if values.dtype.is_null() else numbers(values)
    present = f"{metric.column} numbers"
    query = _joined(_counted(source.table, found + literal(0.0))).order_by("value")  # which makes 0.0 of -0.0

    def read(rows: Sequence[Answers], answers: Answers) -> Measured:
        error = 1 / GROUPS if any(row["kinds"] > EXACT for row in rows[:1]) else 0.0
        points = [(float(row["value"]), int(row["number"])) for row in rows]
        nulls = int(answers[ROWS]) - int(answers[present])
        return NumericProfile(tuple(value for value, _ in points), tuple(number for _, number in points), nulls, error)

    return Alone(query, read, {present: found.count()})


def _counted(table: ir.Table, value: Any) -> ir.Table:
    return table.select(value=value).filter(ibis._.value.notnull()).group_by("value").aggregate(number=ibis._.count())


def _joined(counted: ir.Table) -> ir.Table:
    """Beyond EXACT values, those whose ranks begin within the same half of a group, at their mean.

    The first and the last value, and those that are more frequent than half a group, stay alone.
    """
    whole = ibis.window()
    ranked = counted.mutate(
        kinds=counted.number.count().over(whole),
        half=counted.number.sum().over(whole).cast("float64") / (2 * GROUPS),
        before=counted.number.sum().over(ibis.cumulative_window(order_by=counted.value)) - counted.number,
        least=counted.value.min().over(whole),
        greatest=counted.value.max().over(whole),
    )
    alone = (ranked.kinds <= EXACT) | ranked.value.isin([ranked.least, ranked.greatest]) | (ranked.number > ranked.half)
    parted = ranked.mutate(
        part=(ranked.before.cast("float64") / ranked.half).floor(), single=ibis.ifelse(alone, ranked.value, ibis.null("float64"))
    )
    return parted.group_by("part", "single").aggregate(
        value=ibis.coalesce(ibis._.single.max(), (ibis._.value * ibis._.number).sum() / ibis._.number.sum()),
        number=ibis._.number.sum(),
        kinds=ibis._.kinds.max(),
    )


def _categorical(metric: ProfileOf, values: Values, source: Source) -> Alone:
    if values.dtype.is_nested() or values.dtype.is_binary() or values.dtype.is_interval():
        raise Inexpressible(f"a {values.dtype} column holds no categories")
    present = f"{metric.column} present"
    query = _counted(source.table, values.plain).order_by(ibis.desc("number"), "value").limit(CATEGORIES)

    def read(rows: Sequence[Answers], answers: Answers) -> Measured:
        total = int(answers[present])
        frequent: Counter[str] = Counter()
        for text, row in zip(category_texts([row["value"] for row in rows], metric.logical), rows, strict=True):
            frequent[text] += int(row["number"])
        return ranked(frequent, int(answers[ROWS]) - total, total - frequent.total())

    return Alone(query, read, {present: values.plain.count()})
