"""Rules of behaviour that a contract lacks: each opened so wide that it always holds, until history has told its bounds. Pure.

    of the batch     how many rows; no column beyond those that there are
    of each column   nulls; numbers: the mean and the shape beside the last 7 good batches; categories: shares and new values beside them

Those that look at the last good batches move along with what grows, and a week stands behind them. Of classified columns there are none.
A rule whose figure the contract has a rule on already is not proposed: its author chose one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.clauses import Candidate, Closed, Listed, Quality, column_of, properties_of
from dagster_contracts.chaos.evidence import CATEGORIES
from dagster_contracts.chaos.figures import CODES, Names
from dagster_contracts.chaos.shape import ColumnShape, Reads
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import Nulls, RowCount
from dagster_contracts.core.odcs_quality import OURS
from dagster_contracts.core.plan import Drifted, DriftKind, Plan, Within

WEEK = 7
_WIDE = 1e300


@dataclass(frozen=True, slots=True)
class Opened:
    """A rule without bounds yet: `entry` holds no operator. `nested`: its implementation is to hold one, not the entry itself."""

    family: str
    column: str | None
    entry: Mapping[str, Any]
    operator: Operator
    nested: bool

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    def with_(self, operator: Operator, value: object, told: str = "") -> Candidate:
        inner = {operator.value: value}
        entry = {**self.entry, "implementation": {**self.entry["implementation"], **inner}} if self.nested else {**self.entry, **inner}
        return Candidate(self.family, self.column, Quality(entry), (self.name,), 5, told)

    def open(self) -> Candidate:
        return self.with_(self.operator, [-_WIDE, _WIDE] if self.operator is Operator.BETWEEN else _WIDE)


def as_warning(candidate: Candidate) -> Candidate:
    assert isinstance(candidate.addition, Quality)
    return replace(candidate, addition=Quality({**candidate.addition.entry, "severity": "warning"}))


def lacking(found: Mapping[str, Any], plan: Plan, batches: Sequence[Batch]) -> list[Opened]:
    """`found` is the schema object in the document; columns that the contract does not list, or that some batch lacks, are left out."""
    names = Names({rule.id for rule in plan.rules})
    columns = [column_of(prop) for prop in properties_of(found)]
    shared = [name for name in columns if name not in plan.masked and all(name in batch.shape for batch in batches)]
    opened = list(_rows(plan, names))
    for name in shared:
        opened += _of_column(name, [batch.shape[name] for batch in batches], plan, names)
    return opened


def no_others(found: Mapping[str, Any], batches: Sequence[Batch], least: int, *, typed: bool) -> list[Candidate]:
    """No column beyond those that there are, with those that the contract does not list yet.

    Only the batches since the columns last changed are looked at, of which there must be `least`. `typed`: the contract's version of the
    standard asks for the type of each property; then there is nothing where a column shows none, or several.
    """
    columns = set(batches[-1].columns)
    alike = next((at for at, batch in enumerate(reversed(batches)) if set(batch.columns) != columns), len(batches))
    given = {each.get("property"): each.get("value") for each in found.get("customProperties") or () if isinstance(each, dict)}
    if alike < least or given.get("closedSchema") is True:
        return []
    known = {column_of(prop) for prop in properties_of(found)}
    told = f"in each of {alike} clean batches"
    missing = [name for name in batches[-1].columns if name not in known]
    entries = [{"name": name, "logicalType": _type(name, batches[-alike:])} if typed else {"name": name} for name in missing]
    if any(entry.get("logicalType", "") is None for entry in entries):
        return []
    new = [Candidate("listed", str(entry["name"]), Listed(entry), (f"{entry['name']}.present",), 0, told) for entry in entries]
    return [*new, Candidate("closed", None, Closed(), ("closedSchema",), 0, f"no other column {told}")]


_TYPES = {
    Reads.NUMBER: "number",
    Reads.FLAG: "boolean",
    Reads.DATE: "date",
    Reads.TIME: "timestamp",
    Reads.CATEGORY: "string",
    Reads.TEXT: "string",
}


def _type(column: str, batches: Sequence[Batch]) -> str | None:
    """What its values read as; of a column without any, what it is stored as where that is text."""
    found = {_TYPES.get(batch.shape[column].reads) for batch in batches if batch.shape[column].reads is not Reads.NOTHING}
    if not found and batches[-1].shape[column].is_text:
        return "string"
    return found.pop() if len(found) == 1 else None


def _rows(plan: Plan, names: Names) -> Iterator[Opened]:
    own = [rule for rule in plan.rules if isinstance(rule.check, Within) and isinstance(rule.check.metric, RowCount)]
    if all(rule.description is not None and rule.id == "rowCount" for rule in own):  # the one that every contract has unsaid
        entry = {"name": names.new("row_count"), "type": "library", "metric": "rowCount"}
        yield Opened("rows", None, entry, Operator.BETWEEN, nested=False)


def _of_column(column: str, shapes: Sequence[ColumnShape], plan: Plan, names: Names) -> Iterator[Opened]:
    checks = [rule.check for rule in plan.rules if rule.column == column]
    if not any(isinstance(check, Within) and isinstance(check.metric, Nulls) for check in checks):
        entry = {"name": names.new(f"{column}.nulls"), "type": "library", "metric": "nullValues", "unit": "percent"}
        yield Opened("nulls", column, entry, Operator.BETWEEN, nested=False)
    kinds = {shape.reads for shape in shapes if shape.reads is not Reads.NOTHING}
    known = {check.kind for check in checks if isinstance(check, Drifted)}
    numeric, distinct = kinds == {Reads.NUMBER}, max(shape.distinct for shape in shapes)
    few = distinct <= (CODES if numeric else CATEGORIES)
    coded = all(shape.integral for shape in shapes) if numeric else kinds <= {Reads.CATEGORY, Reads.TEXT, Reads.FLAG}
    if few and coded and kinds:
        more = {"categorical": True} if numeric else {}
        if DriftKind.JENSEN_SHANNON not in known:
            yield _ours("shares", column, names.new(f"{column}.shares"), metric=DriftKind.JENSEN_SHANNON.value, **more)
        if DriftKind.NEW_VALUES not in known:
            yield _ours("new", column, names.new(f"{column}.new"), metric=DriftKind.NEW_VALUES.value, unit="percent")
    elif numeric:
        if DriftKind.KOLMOGOROV_SMIRNOV not in known:
            yield _ours("shape", column, names.new(f"{column}.shape"), metric=DriftKind.KOLMOGOROV_SMIRNOV.value)
        if DriftKind.MEAN_CHANGE not in known:
            yield _ours("mean", column, names.new(f"{column}.mean_change"), metric=DriftKind.MEAN_CHANGE.value, unit="percent")


def _ours(family: str, column: str, name: str, **implementation: object) -> Opened:
    entry = {"name": name, "type": "custom", "engine": OURS, "implementation": {**implementation, "reference": {"lastGood": WEEK}}}
    return Opened(family, column, entry, Operator.BETWEEN if family == "mean" else Operator.LESS_OR_EQUAL, nested=True)
