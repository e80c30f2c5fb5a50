"""The thresholds of a contract that can be moved: where each stands in the document, what it measures, and what it is now. Pure.

A dial is an operator of a `quality` rule (a count, a figure, a distance), or `minimum` and `maximum` of a column of numbers. Every other
rule is a promise without a threshold (required, unique, types, patterns), or of what history does not tell (ages, cadence): it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_contracts.chaos.bounds import Range
from dagster_contracts.chaos.clauses import column_of, object_at
from dagster_contracts.chaos.figures import Unit
from dagster_contracts.core.amend import Edit, Put, Remove
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.flaws import Path
from dagster_contracts.core.metrics import Among, Kind, Metric, Query, RowCount, Statistic
from dagster_contracts.core.odcs_quality import OURS
from dagster_contracts.core.plan import Drifted, DriftKind, Plan, Rule, Threshold, Within

UPPER = (Operator.LESS_OR_EQUAL, Operator.LESS_THAN)
LOWER = (Operator.GREATER_OR_EQUAL, Operator.GREATER_THAN)
_WITHIN_ONE = (DriftKind.KOLMOGOROV_SMIRNOV, DriftKind.TOTAL_VARIATION, DriftKind.JENSEN_SHANNON, DriftKind.BELOW_REFERENCE)
_P_VALUES = (DriftKind.KOLMOGOROV_SMIRNOV_P, DriftKind.CHI_SQUARE_P)

_STATISTICS = {
    Kind.STANDARD_DEVIATION: (Unit.POSITIVE, float("inf")),
    Kind.DISTINCT_COUNT: (Unit.COUNT, float("inf")),
    Kind.DISTINCT_SHARE: (Unit.POSITIVE, 1.0),
}


@dataclass(frozen=True, slots=True)
class Dial:
    """`path` leads to the entry that holds the operator; `value` is the operand as written. `scale` times it is what the rule compares.
    No bound is put above `most` or below `least`.

    `option` is minimum or maximum of logicalTypeOptions: then `path` leads to those, and `figure` is what is looked at instead.
    """

    rule: Rule
    path: Path
    operator: Operator
    value: float | tuple[float, float]
    unit: Unit
    most: float = float("inf")
    least: float = -float("inf")
    scale: float = 1.0
    option: str | None = None
    figure: Metric | None = None

    @property
    def low(self) -> bool:
        return self.operator in (*LOWER, Operator.BETWEEN, Operator.MUST_BE)

    @property
    def high(self) -> bool:
        return self.operator in (*UPPER, Operator.BETWEEN, Operator.MUST_BE)

    @property
    def range(self) -> Range:
        """What the rule allows, as written."""
        if isinstance(self.value, tuple):
            return Range(*self.value)
        return Range(self.value if self.low else -float("inf"), self.value if self.high else float("inf"))

    def allows(self, value: float) -> bool:
        if self.operator is Operator.LESS_THAN or self.operator is Operator.GREATER_THAN:
            return value in self.range and value != self.value
        return value in self.range

    def edits(self, operator: Operator, value: object) -> list[Edit]:
        """What puts another threshold in its place."""
        if self.option is not None:
            return [Put((*self.path, self.option), value)]
        if operator is self.operator:
            return [Put((*self.path, operator.value), value)]
        return [Put((*self.path, operator.value), value), Remove((*self.path, self.operator.value))]


def dials_of(document: object, object_name: str, plan: Plan) -> tuple[list[Dial], list[tuple[str, str]]]:
    """The dials of one object, and the id of every other rule with why it has none."""
    number, found = object_at(document, object_name)
    here: Path = ("schema", number)
    left = list(plan.rules)
    dials = list(_quality(here, found, None, left))
    for at, prop in enumerate(found.get("properties") or ()):
        if isinstance(prop, dict):
            there: Path = (*here, "properties", at)
            dials += [*_options(there, prop, left), *_quality(there, prop, column_of(prop), left)]
    order = {rule.id: at for at, rule in enumerate(plan.rules)}
    return sorted(dials, key=lambda dial: order[dial.rule.id]), [(rule.id, _why(rule)) for rule in left]


def _why(rule: Rule) -> str:
    if isinstance(rule.check, Within | Drifted):
        return "no threshold of a quality rule or an option: it holds or it does not"
    return f"{type(rule.check).__name__.lower()}: not told by the figures of stored batches"


def _quality(path: Path, owner: Mapping[str, Any], column: str | None, left: list[Rule]) -> Iterator[Dial]:
    for at, entry in enumerate(owner.get("quality") or ()):
        if not isinstance(entry, dict):
            continue
        there: Path = (*path, "quality", at)
        inner = entry.get("implementation")
        metric = entry.get("metric") or (inner.get("metric") if isinstance(inner, dict) else None) or entry.get("type")
        name = str(entry.get("name") or (f"{column}.{metric}" if column is not None else metric))
        if entry.get("type") == "custom" and entry.get("engine") == OURS and isinstance(inner, dict):
            yield from _operators((*there, "implementation"), inner, name, left)
        elif entry.get("type") != "custom":
            yield from _operators(there, entry, name, left)


def _operators(path: Path, entry: Mapping[str, Any], name: str, left: list[Rule]) -> Iterator[Dial]:
    for operator in Operator:
        if operator not in entry or operator in (Operator.MUST_NOT_BE, Operator.NOT_BETWEEN):
            continue
        given = entry[operator]
        value = (float(given[0]), float(given[1])) if isinstance(given, list) else given
        for rule in left:
            if _is_called(rule.id, name) and (found := _dial(rule, path, operator, value)) is not None:
                left.remove(rule)
                yield found
                break


def _is_called(rule: str, name: str) -> bool:
    """Whether a rule has that name, or the name with the number that makes it unique."""
    return rule == name or (rule.startswith(f"{name}-") and rule[len(name) + 1 :].isdigit())


def _dial(rule: Rule, path: Path, operator: Operator, value: float | tuple[float, float]) -> Dial | None:
    """The dial, where the rule is what became of that operator."""
    if not isinstance(rule.check, Within | Drifted) or rule.check.threshold.operator is not operator:
        return None
    unit, most = unit_of(rule.check)
    for scale in (1.0, 100.0) if isinstance(rule.check.metric, Among) else (1.0,):
        if _same(rule.check.threshold, value, scale):
            return Dial(rule, path, operator, value, unit, most / scale, scale=scale)
    return None


def _same(threshold: Threshold, value: float | tuple[float, float], scale: float) -> bool:
    ours = threshold.value if isinstance(threshold.value, tuple) else (threshold.value,)
    theirs = value if isinstance(value, tuple) else (value,)
    return len(ours) == len(theirs) and all(abs(a - b * scale) <= 1e-9 * max(1.0, abs(a)) for a, b in zip(ours, theirs, strict=True))


def unit_of(check: Within | Drifted) -> tuple[Unit, float]:
    """What kind of figure a rule compares, and the most that it can be."""
    if isinstance(check, Drifted):
        if check.kind is DriftKind.MEAN_CHANGE:
            return Unit.ANY, float("inf")
        if check.kind is DriftKind.NEW_VALUES and not check.threshold.percent:
            return Unit.COUNT, float("inf")
        bounded = check.kind in _WITHIN_ONE or check.kind in _P_VALUES
        return (Unit.PERCENT, 100.0) if check.threshold.percent else (Unit.POSITIVE, 1.0 if bounded else float("inf"))
    if check.threshold.percent:
        return Unit.PERCENT, 100.0
    if isinstance(check.metric, Statistic):
        return _STATISTICS.get(check.metric.kind, (Unit.ANY, float("inf")))
    if isinstance(check.metric, Query):
        return Unit.ANY, float("inf")
    return (Unit.COUNT if isinstance(check.metric, RowCount) else Unit.ROWS), float("inf")


def _options(path: Path, prop: Mapping[str, Any], left: list[Rule]) -> Iterator[Dial]:
    options = prop.get("logicalTypeOptions")
    if not isinstance(options, dict) or prop.get("logicalType") not in ("integer", "number"):
        return
    column = column_of(prop)
    words = (("minimum", Operator.GREATER_OR_EQUAL, Kind.MINIMUM), ("maximum", Operator.LESS_OR_EQUAL, Kind.MAXIMUM))
    for word, operator, kind in words:
        value = options.get(word)
        rule = next((rule for rule in left if rule.id == f"{column}.{word}"), None)
        if rule is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        left.remove(rule)
        unit = Unit.WHOLE if prop["logicalType"] == "integer" else Unit.ANY
        yield Dial(rule, (*path, "logicalTypeOptions"), operator, value, unit, option=word, figure=Statistic(column, kind))
