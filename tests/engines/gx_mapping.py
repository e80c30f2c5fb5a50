"""Expectations of Great Expectations as rules of ours: the same promise, measured by Polars or as a `type: sql` rule by DuckDB.

What has no counterpart is None: Great Expectations runs it. A `mostly` of 0.9 is a threshold of 10 percent of the rows; Great
Expectations takes its share of the values that are not null, so that a column with nulls is asked by SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster_contracts.core.contract import Operator, Scalar
from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    Query,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Check, Closed, Present, Threshold, Within

Kwargs = Mapping[str, Any]
Checks = tuple[Check, ...] | None
_FOREIGN = frozenset({"row_condition", "column_index", "allow_relative_error"})  # what they do has no counterpart
TABLE = "batch"


def native(expectation: str, kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    """The checks that all hold where the expectation is met. `nulls` are the columns that hold nulls."""
    mapped = _MAPPED.get(expectation)
    nameless = expectation.startswith("expect_column_v") and "column" not in kwargs
    share = kwargs.get("mostly", 1)
    if mapped is None or nameless or kwargs.keys() & _FOREIGN or not isinstance(share, int | float):
        return None
    return mapped(kwargs, nulls)


# --- thresholds ----------------------------------------------------------------------------------------------------


def _none_or_mostly(metric: Metric, breaks: str, kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    """No value breaks it, or few enough. `breaks` is SQL for a value that does."""
    mostly, column = kwargs.get("mostly"), kwargs["column"]
    if mostly is None:
        return (Within(metric),)
    if column in nulls:
        share = f"SELECT count(*) FILTER ({breaks}) / count({_q(column)}) FROM {TABLE} HAVING count({_q(column)}) > 0"
        return (Within(Query(share, TABLE), Threshold(Operator.LESS_OR_EQUAL, round(1 - mostly, 10))),)
    return (Within(metric, Threshold(Operator.LESS_OR_EQUAL, round(100 * (1 - mostly), 10), percent=True)),)


def _between(metric: Metric, kwargs: Kwargs) -> Checks:
    checks: list[Check] = []
    low = Operator.GREATER_THAN if kwargs.get("strict_min") else Operator.GREATER_OR_EQUAL
    high = Operator.LESS_THAN if kwargs.get("strict_max") else Operator.LESS_OR_EQUAL
    for key, operator in (("min_value", low), ("max_value", high)):
        bound = kwargs.get(key)
        if isinstance(bound, str):
            return None  # instants and text: no figure
        if bound is not None:
            checks.append(Within(metric, Threshold(operator, bound)))
    return tuple(checks) or None


def _sql(query: str, operator: Operator = Operator.MUST_BE, value: float = 0) -> Checks:
    return (Within(Query(query, TABLE), Threshold(operator, value)),)


def _q(name: str) -> str:
    return f'"{name}"'


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _literals(values: Sequence[object]) -> str:
    return ", ".join(map(_literal, values))


def _listed(values: Sequence[object]) -> tuple[Scalar, ...]:
    return tuple(value for value in values if isinstance(value, str | int | float))


# --- columns -------------------------------------------------------------------------------------------------------


def _statistic(kind: Kind, at: float | None = None) -> Callable[[Kwargs, frozenset[str]], Checks]:
    return lambda kwargs, nulls: _between(Statistic(kwargs["column"], kind, at), kwargs)


def _range(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    low, high, name = kwargs.get("min_value"), kwargs.get("max_value"), _q(kwargs["column"])
    if (low is None and high is None) or (None not in (low, high) and low > high):
        return None  # refused where contracts are read
    strict_low, strict_high = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    metric = OutOfRange(kwargs["column"], low, high, strict_low, strict_high)
    parts = [] if low is None else [f"{name} {'<=' if strict_low else '<'} {_literal(low)}"]
    parts += [] if high is None else [f"{name} {'>=' if strict_high else '>'} {_literal(high)}"]
    return _none_or_mostly(metric, " OR ".join(parts), kwargs, nulls)


def _lengths(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    low, high = kwargs.get("value", kwargs.get("min_value")), kwargs.get("value", kwargs.get("max_value"))
    whole = all(bound is None or isinstance(bound, int) for bound in (low, high))
    if (low is None and high is None) or not whole or kwargs.get("strict_min") or kwargs.get("strict_max"):
        return None
    length = f"length({_q(kwargs['column'])})"
    parts = ([] if low is None else [f"{length} < {low}"]) + ([] if high is None else [f"{length} > {high}"])
    return _none_or_mostly(LengthOutside(kwargs["column"], low, high), " OR ".join(parts), kwargs, nulls)


def _in_set(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    values = _listed(kwargs["value_set"] or ())
    if not values:
        return None
    return _none_or_mostly(NotIn(kwargs["column"], values), f"{_q(kwargs['column'])} NOT IN ({_literals(values)})", kwargs, nulls)


def _not_in_set(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    values = _listed(kwargs["value_set"] or ())
    if not values:
        return None
    return _none_or_mostly(Missing(kwargs["column"], values), f"{_q(kwargs['column'])} IN ({_literals(values)})", kwargs, nulls)


def _regex(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    breaks = f"NOT regexp_matches({_q(kwargs['column'])}, {_literal(kwargs['regex'])})"
    return _none_or_mostly(NotMatching(kwargs["column"], kwargs["regex"]), breaks, kwargs, nulls)


def _regexes(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    patterns = kwargs["regex_list"]
    if not patterns or "mostly" in kwargs:
        return None
    if kwargs.get("match_on") == "all":
        return tuple(Within(NotMatching(kwargs["column"], pattern)) for pattern in patterns)
    return (Within(NotMatching(kwargs["column"], "|".join(f"(?:{pattern})" for pattern in patterns))),)


def _no_regex(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    name = _q(kwargs["column"])
    patterns = kwargs.get("regex_list") or [kwargs["regex"]]
    found = " OR ".join(f"regexp_matches({name}, {_literal(pattern)})" for pattern in patterns)
    share = f"SELECT coalesce(count(*) FILTER ({found}) / nullif(count({name}), 0), 0) FROM {TABLE}"
    return _sql(share, Operator.LESS_OR_EQUAL, round(1 - kwargs.get("mostly", 1), 10))


def _not_null(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    share = round(100 * (1 - kwargs.get("mostly", 1)), 10)
    return (Within(Nulls(kwargs["column"]), Threshold(Operator.LESS_OR_EQUAL, share, percent=True)),)


def _all_null(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    share = round(100 * kwargs.get("mostly", 1), 10)
    return (Within(Nulls(kwargs["column"]), Threshold(Operator.GREATER_OR_EQUAL, share, percent=True)),)


def _unique(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    if kwargs.get("mostly") is None:
        return (Within(Duplicates((kwargs["column"],))),)
    name = _q(kwargs["column"])  # every row of a repeated value counts there, and only those after the first here
    counted = f"SELECT count(*) AS n FROM {TABLE} WHERE {name} IS NOT NULL GROUP BY {name}"
    repeated = f"SELECT coalesce(sum(n) FILTER (n > 1) / sum(n), 0) FROM ({counted})"
    return _sql(repeated, Operator.LESS_OR_EQUAL, round(1 - kwargs["mostly"], 10))


def _strftime(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    iso = kwargs["strftime_format"] == "%Y-%m-%d" and kwargs.get("mostly") is None
    return (Within(TypeBreaches(kwargs["column"], "date")),) if iso else None


def _quantiles(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    ranges = kwargs["quantile_ranges"]
    checks: list[Check] = []
    for at, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True):
        if None not in (low, high) and low > high:
            return None  # refused: the lower number comes first
        checks += _between(Statistic(kwargs["column"], Kind.QUANTILE, at), {"min_value": low, "max_value": high}) or ()
    return tuple(checks)


def _contains(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    values = [_literal(value) for value in kwargs["value_set"]]
    name = _q(kwargs["column"])
    found = " + ".join(f"(count(*) FILTER ({name} = {value}) = 0)::INT" for value in values)
    return _sql(f"SELECT {found} FROM {TABLE}")


def _equal_set(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    contained, within = _contains(kwargs, nulls), _in_set(kwargs, nulls)
    return None if contained is None or within is None else contained + within


def _mode(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    name = _q(kwargs["column"])
    counted = f"SELECT {name} AS v, count(*) AS n FROM {TABLE} WHERE {name} IS NOT NULL GROUP BY {name}"
    outside = f"count(*) FILTER (v NOT IN ({_literals(kwargs['value_set'])}))"
    wrong = f"{outside} = count(*)" if kwargs.get("ties_okay") else f"count(*) != 1 OR {outside} > 0"
    return _sql(f"WITH c AS ({counted}) SELECT {wrong} FROM c WHERE n = (SELECT max(n) FROM c)")


# --- several columns -----------------------------------------------------------------------------------------------


def _looked_at(kwargs: Kwargs) -> str:
    """Of two columns: which rows are not ignored."""
    word = {"either_value_is_missing": "OR", "both_values_are_missing": "AND"}.get(kwargs.get("ignore_row_if", "both_values_are_missing"))
    return f"NOT ({_q(kwargs['column_A'])} IS NULL {word} {_q(kwargs['column_B'])} IS NULL)" if word else "true"


def _pair(operator: str) -> Callable[[Kwargs, frozenset[str]], Checks]:
    def mapped(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
        left, right = kwargs["column_A"], kwargs["column_B"]
        mostly = kwargs.get("mostly", 1)
        if not nulls & {left, right} and mostly == 1:
            return (Within(Compared(left, f"{operator}=" if kwargs.get("or_equal") else operator, right)),)
        told = f"NOT ({_q(left)} {operator}{'=' if kwargs.get('or_equal') else ''} {_q(right)})"
        share = f"count(*) FILTER (coalesce({told}, true)) / nullif(count(*), 0)"
        return _sql(f"SELECT {share} FROM {TABLE} WHERE {_looked_at(kwargs)}", Operator.LESS_OR_EQUAL, round(1 - mostly, 10))

    return mapped


def _pairs(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    left, right = _q(kwargs["column_A"]), _q(kwargs["column_B"])
    allowed = " OR ".join(
        f"({left} IS NOT DISTINCT FROM {_literal(a)} AND {right} IS NOT DISTINCT FROM {_literal(b)})" for a, b in kwargs["value_pairs_set"]
    )
    return _sql(f"SELECT count(*) FROM {TABLE} WHERE {_looked_at(kwargs)} AND NOT ({allowed})")


def _compound(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    columns = kwargs["column_list"]
    if not nulls & set(columns) and kwargs.get("mostly") is None:
        return (Within(Duplicates(tuple(columns))),)
    names = ", ".join(map(_q, columns))  # nulls are equal to each other there
    word = {"any_value_is_missing": " AND ", "all_values_are_missing": " OR "}.get(kwargs.get("ignore_row_if", "all_values_are_missing"))
    kept = word.join(f"{_q(name)} IS NOT NULL" for name in columns) if word else "true"
    counted = f"SELECT count(*) AS n FROM {TABLE} WHERE {kept} GROUP BY {names}"
    share = f"SELECT coalesce(sum(n) FILTER (n > 1) / sum(n), 0) FROM ({counted})"
    return _sql(share, Operator.LESS_OR_EQUAL, round(1 - kwargs.get("mostly", 1), 10))


def _row_sum(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    columns = [_q(name) for name in kwargs["column_list"]]
    word = {"any_value_is_missing": " OR ", "all_values_are_missing": " AND "}.get(kwargs.get("ignore_row_if", "all_values_are_missing"))
    kept = f"NOT ({word.join(f'{name} IS NULL' for name in columns)})" if word else "true"
    wrong = f"coalesce({' + '.join(columns)} != {kwargs['sum_total']}, true)"  # with a null in it, the sum is none
    share = f"SELECT coalesce(count(*) FILTER ({wrong}) / nullif(count(*), 0), 0) FROM {TABLE} WHERE {kept}"
    return _sql(share, Operator.LESS_OR_EQUAL, round(1 - kwargs.get("mostly", 1), 10))


# --- tables --------------------------------------------------------------------------------------------------------


def _rows(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    if "value" in kwargs:
        return (Within(RowCount(), Threshold(Operator.MUST_BE, kwargs["value"])),) if isinstance(kwargs["value"], int) else None
    bounds = [bound for bound in (kwargs.get("min_value"), kwargs.get("max_value")) if bound is not None]
    usable = all(isinstance(bound, int) for bound in bounds) and bounds == sorted(bounds)
    return _between(RowCount(), kwargs) if usable else None


def _columns(kwargs: Kwargs, nulls: frozenset[str]) -> Checks:
    wanted = kwargs.get("column_set")
    if wanted is None:
        return None
    present: tuple[Check, ...] = tuple(Present(name) for name in wanted)
    return present if kwargs.get("exact_match") is False else (*present, Closed(tuple(wanted)))


_MAPPED: dict[str, Callable[[Kwargs, frozenset[str]], Checks]] = {
    "expect_column_distinct_values_to_be_in_set": _in_set,
    "expect_column_distinct_values_to_contain_set": _contains,
    "expect_column_distinct_values_to_equal_set": _equal_set,
    "expect_column_max_to_be_between": _statistic(Kind.MAXIMUM),
    "expect_column_mean_to_be_between": _statistic(Kind.MEAN),
    "expect_column_median_to_be_between": _statistic(Kind.QUANTILE, 0.5),
    "expect_column_min_to_be_between": _statistic(Kind.MINIMUM),
    "expect_column_most_common_value_to_be_in_set": _mode,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(">"),
    "expect_column_pair_values_to_be_equal": _pair("=="),
    "expect_column_pair_values_to_be_in_set": _pairs,
    "expect_column_proportion_of_unique_values_to_be_between": _statistic(Kind.DISTINCT_SHARE),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_stdev_to_be_between": _statistic(Kind.STANDARD_DEVIATION),
    "expect_column_sum_to_be_between": _statistic(Kind.SUM),
    "expect_column_to_exist": lambda kwargs, nulls: (Present(kwargs["column"]),),
    "expect_column_unique_value_count_to_be_between": _statistic(Kind.DISTINCT_COUNT),
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _lengths,
    "expect_column_values_to_be_between": _range,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_be_null": _all_null,
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_match_regex_list": _regexes,
    "expect_column_values_to_match_strftime_format": _strftime,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_not_match_regex": _no_regex,
    "expect_column_values_to_not_match_regex_list": _no_regex,
    "expect_compound_columns_to_be_unique": _compound,
    "expect_multicolumn_sum_to_equal": _row_sum,
    "expect_table_columns_to_match_set": _columns,
    "expect_table_row_count_to_be_between": _rows,
    "expect_table_row_count_to_equal": _rows,
}
