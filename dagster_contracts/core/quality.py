"""ODCS `quality` rules -> checks, or why a rule is not measured. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date

from dagster_contracts.core import extension
from dagster_contracts.core.contract import Clause, Operator, QualityRule, Scalar, SchemaObject
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.metrics import Duplicates, Metric, Missing, NotIn, NotMatching, Nulls, Query, RowCount
from dagster_contracts.core.odcs_quality import ARGUMENTS, is_great_expectations
from dagster_contracts.core.options import NotMeasurable, checked_pattern, is_number, shown
from dagster_contracts.core.plan import Check, Expected, Threshold, Within
from dagster_contracts.core.queries import expectation_of, query_of

LIBRARY = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")

CLAUSES = {
    "nullValues": Clause.COMPLETENESS,
    "missingValues": Clause.COMPLETENESS,
    "invalidValues": Clause.VALIDITY,
    "duplicateValues": Clause.UNIQUENESS,
    "rowCount": Clause.VOLUME,
}
_BETWEEN = (Operator.BETWEEN, Operator.NOT_BETWEEN)


def checks_of(
    quality: QualityRule, obj: SchemaObject, column: str | None, sql: str | None, *, numeric: bool = False
) -> Iterator[Check | NotMeasurable]:
    """What a quality rule asks for: one check for each metric and operator, or why there is none. At least one.

    `column` is the property that it belongs to, and `sql` what a query calls that; both None where it speaks of the whole object.
    `numeric`: the property holds numbers.
    """
    if extension.is_ours(quality):
        yield from extension.checks_of(quality, obj, column)
        return
    try:
        if quality.type == "custom" and is_great_expectations(quality.engine):
            yield Expected(expectation_of(quality, obj, column))
            return
        measured = _measured(quality, obj, column, sql, numeric)
    except NotMeasurable as why:
        yield why
        return
    for metric in measured:
        for operator, value in quality.operators:
            try:
                yield Within(metric, threshold_of(metric, operator, value, quality.unit))
            except NotMeasurable as why:
                yield why


def _measured(quality: QualityRule, obj: SchemaObject, column: str | None, sql: str | None, numeric: bool) -> list[Metric]:
    """What a rule with operators measures: at least one metric. Raises NotMeasurable."""
    if quality.type == "text":
        raise NotMeasurable("text rules are for people")
    if quality.type == "custom":
        raise NotMeasurable(f"engine {quality.engine or '(none named)'} is not available")
    if quality.type == "library" and quality.metric not in LIBRARY:
        near = did_you_mean(quality.metric or "", LIBRARY)
        raise NotMeasurable(f"metric {quality.metric} is not known{near}; known are {', '.join(LIBRARY)}")
    if not quality.operators:
        raise NotMeasurable(f"no operator says what the measured value must be; one of {', '.join(Operator)}")
    if quality.type == "sql":
        return [query_of(quality, obj, sql)]
    numbers = {prop.name for prop in obj.properties if prop.numeric} | ({column} if column and numeric else set())
    return _library(quality, column, numbers)


def _library(quality: QualityRule, column: str | None, numbers: Collection[str]) -> list[Metric]:
    metric = quality.metric or ""
    if unknown := [name for name in quality.arguments if name not in ARGUMENTS[metric]]:
        raise NotMeasurable(f"{metric} knows no argument {', '.join(unknown)}{did_you_mean(unknown[0], ARGUMENTS[metric])}")
    if metric == "rowCount":
        return [RowCount()]
    if metric == "duplicateValues":
        columns = _duplicate_columns(quality.arguments, column)
        return [Duplicates(columns, tuple(name for name in columns if name in numbers))]
    if column is None:
        raise NotMeasurable(f"{metric} belongs to a property, and this rule to the whole object")
    if metric == "nullValues":
        return [Nulls(column)]
    if metric == "missingValues":
        return [Missing(column, _values(quality.arguments, "missingValues"))]
    return _invalid(quality.arguments, column)


def _duplicate_columns(arguments: Mapping[str, object], column: str | None) -> tuple[str, ...]:
    given = arguments.get("properties")
    if given is None and column is not None:
        return (column,)
    if isinstance(given, list | tuple) and given and all(isinstance(name, str) for name in given):
        return tuple(dict.fromkeys(given))
    raise NotMeasurable(f"arguments.properties is {shown(given)}; expected the list of properties that are unique together")


def _invalid(arguments: Mapping[str, object], column: str) -> list[Metric]:
    """Valid values and a pattern are two promises: a value has to keep both."""
    found: list[Metric] = []
    if arguments.get("validValues") is not None:
        found.append(NotIn(column, tuple(v for v in _values(arguments, "validValues") if v is not None)))
    if arguments.get("pattern") is not None:
        found.append(NotMatching(column, checked_pattern(arguments["pattern"])))
    if not found:
        raise NotMeasurable("arguments give neither validValues nor a pattern")
    return found


def _values(arguments: Mapping[str, object], name: str) -> tuple[Scalar | None, ...]:
    given = arguments.get(name)
    if not isinstance(given, list | tuple) or not given:
        raise NotMeasurable(f"arguments.{name} is {shown(given)}; expected a list of values")
    return tuple(_scalar(name, value) for value in given)


def _scalar(name: str, value: object) -> Scalar | None:
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise NotMeasurable(f"arguments.{name} holds {shown(value)}; expected text, numbers, booleans or null")


def threshold_of(metric: Metric, operator: Operator, value: object, unit: str | None) -> Threshold:
    """Raises NotMeasurable. The unit of a query says what its number is, and changes nothing."""
    if isinstance(metric, Query):
        value, percent = (int(value) if isinstance(value, bool) else value), False
    else:
        percent = _percent(unit)
    if percent and isinstance(metric, RowCount):
        raise NotMeasurable("a row count in percent has no whole to be a part of; use unit rows")
    if operator not in _BETWEEN:
        if not is_number(value):
            raise NotMeasurable(f"{operator} is {shown(value)}, not a number")
        return Threshold(operator, value, percent)  # type: ignore[arg-type]
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))):
        raise NotMeasurable(f"{operator} is {shown(value)}; expected two numbers, the lower first")
    low, high = value
    if low > high:
        raise NotMeasurable(f"{operator} is {shown(value)}: the lower number comes first")
    return Threshold(operator, (low, high), percent)


def _percent(unit: str | None) -> bool:
    if unit is None or unit.strip().lower() in ("rows", "row"):
        return False
    if unit.strip().lower() in ("percent", "%"):
        return True
    raise NotMeasurable(f'unit "{unit}" is not known; use rows or percent')
