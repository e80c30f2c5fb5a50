"""Plan -> what is asked of the values of each place: a column, or a path within one. Pure.

Rules that count faults and accept none of them say what a value may be; the others say how many rows may, or must, be what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dagster_contracts.core import physical
from dagster_contracts.core.contract import Property, Scalar
from dagster_contracts.core.metrics import (
    Absent,
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    OutOfRange,
    Repeating,
    SizeOutside,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.plan import Fresh, Retained, Rule, Threshold, Within
from dagster_contracts.core.rules import meets

Judged = TypeBreaches | NotIn | NotMatching | OutOfRange | LengthOutside | NotMultiple | SizeOutside | Repeating
Place = tuple[str, ...]  # a column, and the path within it


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the values of one place have to be. `rules` are the ids of the rules that say so."""

    place: Place
    kind: str | None = None  # logical type; of a place without one what its physical type stands for
    physical: frozenset[str] = frozenset()
    text: TimeText | None = None
    zoned: bool | None = None
    metrics: tuple[Judged, ...] = ()  # each value has to meet all of them
    refused: tuple[Scalar, ...] = ()
    counted: tuple[tuple[Metric, Threshold], ...] = ()  # rows that are null, or one of some values
    fresh: tuple[Fresh | Retained, ...] = ()
    unique: bool = False
    fields: tuple[str, ...] = ()  # that objects here must have
    rules: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return ".".join(self.place)

    def of(self, kind: type) -> list[Judged]:
        return [metric for metric in self.metrics if isinstance(metric, kind)]

    def beside(self, other: Wanted) -> Wanted:
        """What both ask of a value; how many rows are what stays its own."""
        metrics = tuple(dict.fromkeys((*self.metrics, *other.metrics)))
        refused = tuple(dict.fromkeys((*self.refused, *other.refused)))
        return replace(self, kind=self.kind or other.kind, metrics=metrics, refused=refused, rules=(*self.rules, *other.rules))


@dataclass(slots=True)
class _Draft:
    rules: list[str] = field(default_factory=list)
    metrics: list[Judged] = field(default_factory=list)
    refused: list[Scalar] = field(default_factory=list)
    counted: list[tuple[Metric, Threshold]] = field(default_factory=list)
    fresh: list[Fresh | Retained] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    unique: bool = False


def wanted(rules: Iterable[Rule], prop: Property, place: Place) -> Wanted:
    """What `rules` ask of the values of `prop`, which stand at `place`."""
    draft = _Draft()
    for rule in rules:
        _add(draft, rule, place)
    types = [metric for metric in draft.metrics if isinstance(metric, TypeBreaches)]
    return Wanted(
        place,
        prop.logical_type or _kind_of(prop.physical_type),
        physical.meanings(prop.physical_type or ""),
        next((metric.text for metric in types if metric.text), None),
        next((metric.zoned for metric in types if metric.zoned is not None), None),
        tuple(dict.fromkeys(draft.metrics)),
        tuple(dict.fromkeys(draft.refused)),
        tuple(dict.fromkeys(draft.counted)),
        tuple(draft.fresh),
        draft.unique,
        tuple(draft.fields),
        tuple(dict.fromkeys(draft.rules)),
    )


def _add(draft: _Draft, rule: Rule, place: Place) -> None:
    check = rule.check
    if isinstance(check, Fresh | Retained):
        if (check.metric.column,) == place:
            draft.fresh.append(check)
            draft.rules.append(rule.id)
        return
    metric = _at(check, place)
    if metric is None or not isinstance(check, Within):
        return
    draft.rules.append(rule.id)
    none = meets(check.threshold, 0)
    match metric:
        case Absent(field=name):
            draft.fields += [name] if none else []
        case Duplicates():
            draft.unique = draft.unique or none
        case Nulls() | Missing():
            draft.counted.append((metric, check.threshold))
            if none and isinstance(metric, Missing):
                draft.refused += [value for value in metric.values if value is not None]
        case _ if none and isinstance(metric, Judged):
            draft.metrics.append(metric)


def _at(check: object, place: Place) -> Metric | None:
    """The metric of a check that speaks of the values at `place` alone."""
    if not isinstance(check, Within):
        return None
    metric = check.metric
    if isinstance(metric, Nested):
        return metric.metric if (metric.column, *metric.path) == place else None
    one = len(place) == 1 and metric.columns == place
    return metric if one and isinstance(metric, Judged | Nulls | Missing | Absent | Duplicates) else None


_KINDS = {
    "text": "string", "char": "string", "uuid": "string", "bool": "boolean", "date": "date", "time": "time", "timetz": "time",
    "timestamp": "timestamp", "timestamptz": "timestamp", "float16": "number", "float32": "number", "float64": "number",
    "decimal": "number", "array": "array", "struct": "object", "map": "map", "vector": "array",
    **{f"{sign}int{bits}": "integer" for sign in ("", "u") for bits in (8, 16, 24, 32, 64, 128)},
}  # fmt: skip


def _kind_of(physical_type: str | None) -> str | None:
    found = {_KINDS[meaning] for meaning in physical.meanings(physical_type or "") if meaning in _KINDS}
    return found.pop() if len(found) == 1 else None
