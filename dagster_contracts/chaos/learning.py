"""Evidence -> clauses that clean data keeps to, and would have kept to, batch for batch (see `bounds.steady`): sets, patterns, ranges,
no nulls, times of arrival. What has to be measured first is in `figures`.

Of classified columns nothing is proposed that would write their values, or figures of them, into the contract.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from dagster_contracts.chaos.bounds import LEAST, Range, outward, steady, usual, written
from dagster_contracts.chaos.clauses import Candidate, Closed, Key, Level, Listed, Quality, column_of, properties_of
from dagster_contracts.chaos.evidence import Evidence, Seen, fits, joined, numbers_or, pattern_of, veiled
from dagster_contracts.chaos.faults.schema import instants
from dagster_contracts.chaos.figures import CODES, Names, Open, Unit, ours
from dagster_contracts.chaos.shape import Reads

_BEYOND = 1e6  # times the highest of clean batches
_TYPES = {
    Reads.FLAG: "boolean",
    Reads.DATE: "date",
    Reads.TIME: "timestamp",
    Reads.CATEGORY: "string",
    Reads.TEXT: "string",
}


# --- read off the values -------------------------------------------------------------------------------------------


def listed(evidence: Evidence, found: Mapping[str, Any], *, typed: bool = False, times: bool = True) -> Iterator[Candidate]:
    """A property for each column that the contract does not have, in the order of the data; and that there are no others.

    `typed`: the contract's version of the standard asks for the type of each; a column that shows none (nulls alone) is left out.
    `times`: it knows timestamps.
    """
    known = {column_of(prop) for prop in properties_of(found)}
    missing = [name for name, seen in evidence.columns.items() if name not in known and not (typed and _type(seen, times) is None)]
    for name in missing:
        kind = _type(evidence.columns[name], times)
        entry = {"name": name, **({"logicalType": kind} if kind else {})}
        rules = (f"{name}.present", *((f"{name}.type",) if kind else ()))
        yield Candidate("listed", name, Listed(entry), rules, 0, f"in each of {len(evidence.batches)} clean batches")
    columns = {name for batch in evidence.batches for name in batch.columns}
    closed = any(given.get("property") == "closedSchema" and given.get("value") is True for given in found.get("customProperties") or ())
    if not closed and not evidence.loose and columns <= known | set(missing):
        yield Candidate("closed", None, Closed(), ("closedSchema",), 0, "no other column in any clean batch")


def _type(seen: Sequence[Seen], times: bool) -> str | None:
    shape = seen[-1].shape
    if shape.reads is Reads.TIME and not times:
        return None
    if shape.reads is Reads.NUMBER:
        return "integer" if all(each.shape.integral for each in seen) else "number"
    return _TYPES.get(shape.reads)


def promises(
    evidence: Evidence, column: str, prop: Mapping[str, Any], names: Names, *, hidden: bool = False, times: bool = True
) -> Iterator[Candidate]:
    """Of the values of one column; `prop` is its property in the contract, `hidden` that it is classified, `times` as in `listed`."""
    seen = evidence.columns[column]
    kind = _type(seen, times)
    if not prop.get("logicalType") and kind:
        yield Candidate("type", column, Key("logicalType", kind), (f"{column}.type",), 1, f"every value reads as {kind}")
    yield from _completeness(column, seen, prop, names)
    seen = tuple(each for each in seen if each.shape.values)
    if not seen:
        return
    if all(each.unique for each in seen) and not prop.get("unique") and (seen[-1].letters is not None or kind == "integer"):
        yield Candidate("unique", column, Key("unique", value=True), (f"{column}.unique",), 2, "no value stands twice in a clean batch")
    yield from _set(column, seen, kind, names, hidden=hidden)
    yield from _pattern(column, seen, names, hidden=hidden)
    if hidden:
        return
    if seen[-1].shape.reads is Reads.NUMBER:
        yield from _range(column, seen, prop, kind, names)
    if all(each.earliest for each in seen) and "minimum" not in (prop.get("logicalTypeOptions") or {}):
        year = max(1971, min(int(str(each.earliest)[:4]) for each in seen) - 10)
        if all(str(each.earliest) >= str(year) for each in seen) and (prop.get("logicalType") or kind) in ("date", "timestamp"):
            told = f"the earliest is {min(str(each.earliest) for each in seen)}"
            yield Candidate("earliest", column, Key("minimum", f"{year}-01-01", option=True), (f"{column}.minimum",), 3, told)


def _completeness(column: str, seen: Sequence[Seen], prop: Mapping[str, Any], names: Names) -> Iterator[Candidate]:
    rows = sum(each.rows for each in seen)
    if (
        prop.get("required") or prop.get("primaryKey") or not any(each.shape.values for each in seen)
    ):  # one that is filled some day is no worse
        return
    if steady(seen, lambda some: True if not any(each.shape.nulls for each in some) else None, lambda _, each: not each.shape.nulls):
        yield Candidate("required", column, Key("required", value=True), (f"{column}.required",), 1, f"none of {rows:,} values is null")
        return
    entry = {"name": names.new(f"{column}.nulls"), "type": "library", "metric": "nullValues", "unit": "percent"}
    figure = Open("nulls", column, entry, Unit.PERCENT, 4)
    found = figure.closed([100 * each.shape.nulls / (each.rows or 1) for each in seen], [each.rows for each in seen])
    if found is not None:
        yield found


def _set(column: str, seen: Sequence[Seen], kind: str | None, names: Names, *, hidden: bool) -> Iterator[Candidate]:
    few = [each.categories for each in seen]
    if any(values is None for values in few) or kind not in ("string", "integer"):
        return
    if kind == "integer" and max(len(values or ()) for values in few) > CODES:
        return
    known = [frozenset(values or ()) for values in few]
    found = steady(known, lambda some: frozenset[object]().union(*some), lambda values, each: each <= values)
    often = found is not None and all(sum(value in each for each in known) > len(known) / 2 for value in found)
    if not found or not often:  # a value that is seen now and then has others beside it that were not yet
        return
    told = "the only value of clean batches" if len(found) == 1 else f"{len(found)} values, all of them in most clean batches"
    if hidden:  # the ledger keeps digests
        known_before = ours(names.new(f"{column}.known"), metric="newValues", mustBe=0, reference={"lastGood": 7})
        yield Candidate("allowed", column, Quality(known_before), (str(known_before["name"]),), 3, told)
        return
    values: list[Any] = sorted(found, key=lambda value: (str(type(value)), value))
    entry: dict[str, Any] = {
        "name": names.new(f"{column}.allowed"),
        "type": "library",
        "metric": "invalidValues",
        "mustBe": 0,
        "arguments": {"validValues": [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]},
    }
    yield Candidate("allowed", column, Quality(entry), (entry["name"],), 2, told)


def _pattern(column: str, seen: Sequence[Seen], names: Names, *, hidden: bool) -> Iterator[Candidate]:
    pattern: str | None = None
    told = "all values of clean batches are written so"
    if all(each.marks is not None for each in seen):
        marks = frozenset[str]().union(*(each.marks or () for each in seen))
        pattern, words = numbers_or(marks), ", ".join(sorted(marks))
        told = f"all values of clean batches are numbers or {words}; where the asset is read with {words} as null, this is a number"
    elif all(each.letters is not None for each in seen):
        letters = [veiled(each.letters) if hidden else each.letters for each in seen if each.letters]
        found = steady(letters, joined, fits)
        pattern = None if found is None else pattern_of(found)
    if pattern is None:
        return
    entry: dict[str, Any] = {
        "name": names.new(f"{column}.written"),
        "type": "library",
        "metric": "invalidValues",
        "mustBe": 0,
        "arguments": {"pattern": pattern},
    }
    yield Candidate("written", column, Quality(entry), (entry["name"],), 3, told)


def _range(column: str, seen: Sequence[Seen], prop: Mapping[str, Any], kind: str | None, names: Names) -> Iterator[Candidate]:
    options = prop.get("logicalTypeOptions") or {}
    typed = (prop.get("logicalType") or kind) in ("integer", "number")
    whole = kind == "integer"

    def clause(word: str, value: float, operator: str, told: str) -> Candidate:
        if typed and not any(key.lower().endswith(word) for key in options):
            return Candidate(word, column, Key(word, value, option=True), (f"{column}.{word}",), 3, told)
        name = names.new(f"{column}.{word}")
        return Candidate(word, column, Quality({**ours(name, metric=word, **{operator: value}), "severity": "error"}), (name,), 3, told)

    lows, highs = [each.low or 0.0 for each in seen], [each.high or 0.0 for each in seen]
    low = steady(lows, _lowest, lambda bound, value: value >= bound)
    if low is not None:
        bound = outward(Range(low, low + max(abs(low), 1)), whole=whole)[0] if low else 0
        yield clause("minimum", bound, "mustBeGreaterOrEqualTo", f"the lowest of clean batches is {written(min(lows))}")
    high = steady(highs, _highest, lambda bound, value: value <= bound)
    if high is not None:
        bound = outward(Range(high - max(abs(high), 1), high), whole=whole)[1]
        yield clause("maximum", bound, "mustBeLessOrEqualTo", f"the highest of clean batches is {written(max(highs))}")


def _lowest(lows: Sequence[float]) -> float | None:
    """What is never negative has that for its bound; of what is negative always, the lowest varies as the highest of others does."""
    if len(lows) >= LEAST and min(lows) >= 0:
        return 0.0
    if max(lows) < 0:
        found = _highest([-low for low in lows])
        return None if found is None else -found
    usually = usual(lows)
    return None if usually is None else usually.low


def _highest(highs: Sequence[float], spread: float = 0.0) -> float | None:
    """None, too, where so little is known that the bound would be beyond all that could be wrong."""
    positive = min(highs) > 0
    found = usual(highs, spread=spread, positive=positive)
    return None if found is None or (positive and found.high > _BEYOND * max(highs)) else found.high


# --- from batch to batch -------------------------------------------------------------------------------------------


def unlike_the_last(evidence: Evidence, names: Names) -> Iterator[Candidate]:
    """A copy of the last delivery is no distance from it: told by the column of numbers that has the most different ones."""
    varied = [name for name, seen in evidence.columns.items() if seen[-1].shape.reads is Reads.NUMBER and _varied(seen)]
    never = [
        name
        for name in sorted(varied, key=lambda name: -evidence.columns[name][-1].shape.distinct)
        if not any(one.frame[name].equals(two.frame[name]) for one, two in pairwise(evidence.batches))
    ]
    for column in never[:1]:
        rule = ours(names.new(f"{column}.changes"), metric="kolmogorovSmirnov", mustBeGreaterThan=0, reference={"lastGood": 1})
        yield Candidate("changes", column, Quality(rule), (str(rule["name"]),), 3, "no clean batch repeats the one before")


def _varied(seen: Sequence[Seen]) -> bool:
    return min(each.shape.distinct for each in seen) > 2 * CODES


def cadence(
    evidence: Evidence, object_name: str, levels: Sequence[Mapping[str, Any]], *, known: bool, alone: bool = True
) -> Iterator[Candidate]:
    """When batches come, and how old their newest time is then. Where it is not `known` when they came, how often they do is all.

    `alone`: the contract has no other object, of which an entry without `element` would speak, too.
    """
    gaps = [(later.arrived_at - earlier.arrived_at).total_seconds() for earlier, later in pairwise(evidence.batches)]
    told = [str(level.get("property", "")).lower() for level in levels if _is_of(object_name, level.get("element"))]
    if len(gaps) >= LEAST and "frequency" not in told and (interval := _interval(gaps)):
        value, unit, tolerance = interval
        entry: dict[str, Any] = {"property": "frequency", "value": value, "unit": unit, **({} if alone else {"element": object_name})}
        if known:
            entry["customProperties"] = [{"property": "tolerance", "value": tolerance}]
        yield Candidate("frequency", None, Level(entry), ("sla.frequency",), 4, f"one in every {value} {unit}, {len(gaps)} times")
    if not known:
        return
    elements = " ".join(str(level.get("element", "")) for level in levels)
    for column in evidence.columns:
        if evidence.reads(column) is Reads.TIME and f"{object_name}.{column}" not in elements:
            yield from _age(evidence, column, object_name)


def _is_of(object_name: str, elements: object) -> bool:
    """Whether an entry of service levels speaks of the object; without elements it does of each."""
    return not elements or any(f"{each.strip()}.".startswith(f"{object_name}.") for each in str(elements).split(","))


def _interval(gaps: Sequence[float]) -> tuple[float, str, str] | None:
    middle = sorted(gaps)[len(gaps) // 2]
    for unit, seconds in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        value = round(middle / seconds)
        if value and abs(middle - value * seconds) < 0.02 * middle:
            off = max(abs(gap - value * seconds) for gap in gaps)
            tolerance = max(0.1 * middle, 2 * off)
            return (value, unit, f"PT{math.ceil(tolerance / 60)}M") if tolerance < middle / 2 else None
    return None


def _age(evidence: Evidence, column: str, object_name: str) -> Iterator[Candidate]:
    ages: list[float] = []
    for batch in evidence.batches:
        newest = instants(batch, column).max()
        if not isinstance(newest, datetime):
            return
        ages.append((batch.arrived_at.replace(tzinfo=None) - newest).total_seconds() / 3600)
    bound = steady(ages, lambda some: _highest(some, spread=0.05), lambda high, age: age <= high)
    if bound is not None and bound > 0:
        value = max(1, math.ceil(bound))
        entry = {"property": "latency", "value": value, "unit": "h", "element": f"{object_name}.{column}"}
        yield Candidate(
            "latency", None, Level(entry), (f"{column}.latency",), 4, f"at most {written(max(ages))} hours old in clean batches"
        )
