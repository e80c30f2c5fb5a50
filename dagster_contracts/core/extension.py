"""The custom rules of ours -> checks: statistics, shares, rows compared, and distances from a reference. Pure.

In ODCS they are quality rules with `type: custom` and `engine: dagster-contracts`; all else stands in `implementation`, whose JSON schema
is docs/schemas/custom-rule.schema.json:

    mean standardDeviation minimum maximum sum quantile(at) distinctCount distinctShare share(values)
    psi jensenShannon chiSquare chiSquarePValue totalVariation (bins, categorical, reference)
    kolmogorovSmirnov kolmogorovSmirnovPValue wasserstein newValues belowReference(factor) meanChange(minimumSamples) (reference)
    compare(operator, other)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from dagster_contracts.core import profile_files
from dagster_contracts.core.contract import Clause, Contract, Operator, Property, QualityRule, SchemaObject
from dagster_contracts.core.distances import below_limit
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.metrics import Among, Compared, Histogram, Kind, ProfileOf, Statistic, TimeText
from dagster_contracts.core.odcs_custom import custom_flaws
from dagster_contracts.core.odcs_quality import OURS
from dagster_contracts.core.options import CLOCKED, NotMeasurable, foreign_text, instant_text, shown
from dagster_contracts.core.plan import (
    BINS,
    Check,
    Drifted,
    DriftKind,
    GoodPartition,
    LastGood,
    Reference,
    StoredProfile,
    Threshold,
    Within,
)
from dagster_contracts.core.profile import NotAProfile, NumericProfile, Profile, equal_edges, profile_to_json

_STATISTICS = frozenset(Kind)
_DISTINCT = (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)
_BINNED = (DriftKind.PSI, DriftKind.JENSEN_SHANNON, DriftKind.CHI_SQUARE, DriftKind.CHI_SQUARE_P, DriftKind.TOTAL_VARIATION)
_NUMBERS = ("number", "integer")
_SAMPLES = 50  # that a locked baseline holds at least
_WITHIN_FIVE_PERCENT: Mapping[str, Any] = {Operator.BETWEEN: [-5, 5], "unit": "percent"}


def is_ours(quality: QualityRule) -> bool:
    return quality.type == "custom" and quality.engine == OURS


def name_of(quality: QualityRule) -> str:
    """What a rule is called that has no name: by what it measures ("psi") if it is ours, else by its type."""
    given = quality.implementation if is_ours(quality) else None
    return str(given.get("metric", quality.type)) if isinstance(given, Mapping) else quality.type


def clause_of(quality: QualityRule) -> Clause:
    """Of a rule that is none of the library."""
    if not is_ours(quality):
        return Clause.CUSTOM
    return Clause.VALIDITY if name_of(quality) == "compare" else Clause.DISTRIBUTION


def checks_of(quality: QualityRule, obj: SchemaObject, column: str | None) -> Iterator[Check | NotMeasurable]:
    """One check for each operator, or why there is none. `column` is the property that the rule belongs to."""
    try:
        given = _implementation(quality)
        about = _column(given, column)
        if given["metric"] == DriftKind.MEAN_CHANGE and not any(operator in given for operator in Operator):
            given = {**given, **_WITHIN_FIVE_PERCENT}
        for operator in Operator:
            if operator in given:
                yield _check(given, obj, about, operator)
    except NotMeasurable as why:
        yield why


def _implementation(quality: QualityRule) -> Mapping[str, Any]:
    given = quality.implementation
    if not isinstance(given, Mapping):
        raise NotMeasurable(f"the implementation is {shown(given)}; expected a mapping with metric and an operator")
    for flaw in custom_flaws(given):
        raise NotMeasurable(f"the implementation is wrong: {'.'.join(map(str, flaw.path))}{': ' if flaw.path else ''}{flaw.message}")
    return given


def _column(given: Mapping[str, Any], column: str | None) -> str:
    about = given.get("column", column)
    if about is None:
        raise NotMeasurable(f"{given['metric']} is of a column, and this rule is of the whole object; name it with the key column")
    if column is not None and about != column:
        raise NotMeasurable(f"the rule is of the property {column}, and names the column {about}; move it to the object")
    return str(about)


def _check(given: Mapping[str, Any], obj: SchemaObject, column: str, operator: Operator) -> Check:
    metric = given["metric"]
    percent = given.get("unit") in ("percent", "%")
    value = given[operator]
    threshold = Threshold(operator, (value[0], value[1]) if isinstance(value, list | tuple) else value, percent)
    if metric in _STATISTICS:
        kind = Kind(metric)
        return Within(Statistic(column, kind, given.get("at"), _stands_for(obj, column) if kind in _DISTINCT else None), threshold)
    if metric == "compare":
        other = given["other"]
        texts = _text(obj, column), _text(obj, other)
        return Within(Compared(column, given["operator"], other, *texts, _both(obj, column, other)), threshold)
    if metric == "share":
        return Within(Among(column, tuple(given["values"])), threshold if percent else threshold.as_percent())
    return _drifted(given, obj, column, threshold)


def _text(obj: SchemaObject, column: str) -> TimeText | None:
    """How the dates and times of a column are written. Raises NotMeasurable where they are not read."""
    prop = next((prop for prop in obj.properties if prop.name == column), None)
    return None if prop is None or prop.logical_type not in CLOCKED else instant_text(prop)


def _stands_for(obj: SchemaObject, column: str) -> str | None:
    """What the text of a column is: a number, boolean, date, timestamp or time. None: text, or a time in a format of its own."""
    prop = next((prop for prop in obj.properties if prop.name == column), None)
    if prop is None or (prop.logical_type in CLOCKED and foreign_text(prop) is not None):
        return None
    return "number" if prop.numeric else prop.logical_type if prop.logical_type in (*CLOCKED, "boolean") else None


def _both(obj: SchemaObject, column: str, other: str) -> str | None:
    """What the text of both columns stands for; dates are instants beside timestamps, and beside dates."""
    kinds = {"timestamp" if kind == "date" else kind for kind in (_stands_for(obj, column), _stands_for(obj, other))}
    return kinds.pop() if len(kinds) == 1 else None


# --- distances from a reference ------------------------------------------------------------------------------------


def _drifted(given: Mapping[str, Any], obj: SchemaObject, column: str, threshold: Threshold) -> Drifted:
    kind = DriftKind(given["metric"])
    metric = _profile(obj, column, categorical=_categorical(kind, given, obj, column))
    reference = _reference(given["reference"], obj, metric)
    samples = given.get("minimumSamples", _SAMPLES) if kind is DriftKind.MEAN_CHANGE else 1
    check = Drifted(metric, kind, reference, threshold, given.get("bins", BINS), given.get("factor"), samples)
    return replace(check, metric=_histogram(check, obj) or metric) if isinstance(reference, StoredProfile) else check


def _profile(obj: SchemaObject, column: str, *, categorical: bool) -> ProfileOf:
    return ProfileOf(column, categorical, _stands_for(obj, column) if categorical else None)


def _categorical(kind: DriftKind, given: Mapping[str, Any], obj: SchemaObject, column: str) -> bool:
    if kind not in _BINNED:
        return kind is DriftKind.NEW_VALUES
    logical_type = next((prop.logical_type for prop in obj.properties if prop.name == column), None)
    if "categorical" not in given and logical_type is None:
        raise NotMeasurable(f"{column} has no logicalType here; say whether its values are categories with the key categorical")
    return bool(given.get("categorical", logical_type not in _NUMBERS))


def _reference(given: Mapping[str, Any], obj: SchemaObject, metric: ProfileOf) -> Reference:
    if "lastGood" in given:
        return LastGood(given["lastGood"])
    if "partition" in given:
        return GoodPartition(given["partition"])
    return StoredProfile(given["file"], json.dumps(profile_to_json(_stored(given["file"], obj, metric)), separators=(",", ":")))


def _stored(file: str, obj: SchemaObject, metric: ProfileOf) -> Profile:
    """The profile of a column from a file that was read with the contract."""
    text = obj.profiles.get(file)
    if text is None:
        raise NotMeasurable(f"the profile {file} was not read with the contract")
    try:
        profiles = _profiles(text)
    except NotAProfile as problem:
        raise NotMeasurable(f"the profile {file} {problem}") from problem
    found = profiles.get((metric.column, metric.categorical))
    if found is None:
        kind = "categories" if metric.categorical else "numbers"
        listed = sorted({column for column, categorical in profiles if categorical == metric.categorical})
        near = did_you_mean(metric.column, listed) or (f"; it has {', '.join(listed[:10])}" if listed else "")
        raise NotMeasurable(f"the profile {file} has no {kind} of the column {metric.column}{near}")
    return found


@lru_cache(maxsize=64)
def _profiles(text: str) -> Mapping[tuple[str, bool], Profile]:
    return profile_files.from_text(text)


def _histogram(check: Drifted, obj: SchemaObject) -> Histogram | None:
    """Where the bins are known beforehand, counting them is all there is to measure."""
    assert isinstance(check.reference, StoredProfile)
    assert isinstance(check.metric, ProfileOf)
    reference = _stored(check.reference.file, obj, check.metric)
    if not isinstance(reference, NumericProfile):
        return None
    if check.kind in _BINNED:
        return Histogram(check.metric.column, equal_edges(reference, check.bins))
    limit = below_limit(reference, check.factor or 0) if check.kind is DriftKind.BELOW_REFERENCE else None
    return Histogram(check.metric.column, (limit,)) if limit is not None else None


# --- the files of a contract ---------------------------------------------------------------------------------------


def profile_rules(contract: Contract) -> Iterator[tuple[SchemaObject, QualityRule, str | None, str]]:
    """Every rule of ours that names a profile file: its object, the rule, the column it belongs to, the file."""
    for obj in contract.objects:
        for quality, column in _ours(obj):
            if (file := _file(quality)) is not None:
                yield obj, quality, column, file


def _ours(obj: SchemaObject) -> Iterator[tuple[QualityRule, str | None]]:
    """The rules of ours, with the column that each belongs to."""
    yield from ((quality, None) for quality in obj.quality if is_ours(quality))
    yield from ((quality, prop.name) for prop in obj.properties for quality in prop.quality if is_ours(quality))


def _file(quality: QualityRule) -> str | None:
    reference = quality.implementation.get("reference") if isinstance(quality.implementation, Mapping) else None
    file = reference.get("file") if isinstance(reference, Mapping) else None
    return file if isinstance(file, str) else None


def profiled(obj: SchemaObject) -> dict[ProfileOf, None]:
    """What a reference file for the object holds: a profile for every rule that compares with one; without any, for every column."""
    wanted: dict[ProfileOf, None] = {}
    for quality, column in _ours(obj):
        wanted.update(_wanted(quality, obj, column))
    every = (_profile(obj, prop.name, categorical=prop.logical_type not in _NUMBERS) for prop in obj.properties if _plain(prop))
    return wanted or dict.fromkeys(every)


def _wanted(quality: QualityRule, obj: SchemaObject, column: str | None) -> dict[ProfileOf, None]:
    try:
        given = _implementation(quality)
        if "reference" not in given:
            return {}
        about = _column(given, column)
        return {_profile(obj, about, categorical=_categorical(DriftKind(given["metric"]), given, obj, about)): None}
    except NotMeasurable:
        return {}  # lint and the verdict say why


def _plain(prop: Property) -> bool:
    return not prop.computed and prop.logical_type not in ("object", "array", "map", "vector")
