"""Micro-batches of a stream and the time window they make up. Pure.

A micro-batch is judged as it arrives by the rules that speak of single rows or of its schema; the rules that speak of many rows (row
counts, shares in percent, statistics, distances, cadence) are judged of all micro-batches of a window together, once the window is over.
`split` says which rule is judged where: each is judged in one of the two places, and listed in the other.

Windows tumble: they begin at whole multiples of their length since 1970-01-01T00:00Z, and a micro-batch belongs to the one in which it
first arrived. Arrival and not event time: nothing can come late, so that a window has one end and one verdict.

What is kept of a micro-batch until then is a Part: what was measured of it, in the form of core/merge.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster_contracts.core.contract import Operator, Severity
from dagster_contracts.core.durations import format_duration
from dagster_contracts.core.ledger import Batch, Partition
from dagster_contracts.core.merge import parts_of
from dagster_contracts.core.metrics import Duplicates, Expectation, Metric, Nested, Query, RowCount, Statistic
from dagster_contracts.core.plan import Cadence, Drifted, Due, NotExecuted, Plan, Rule, Within
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, profile_from_json, profile_to_json
from dagster_contracts.core.verdict import Bins, Column, Count, Figure, Instant, Measured, Measurement, NotApplicable, Unmeasured

_EPOCH = datetime.fromtimestamp(0, UTC)
_NONE_OF_THEM = (Operator.MUST_BE, Operator.LESS_OR_EQUAL)


# --- windows -------------------------------------------------------------------------------------------------------


def window_of(moment: datetime, length: timedelta, dimensions: tuple[tuple[str, str], ...] = ()) -> Partition:
    """The window that holds `moment` (aware), as the partition under which its verdict is recorded."""
    return window_ending(moment - (moment - _EPOCH) % length + length, length, dimensions)


def window_ending(end: datetime, length: timedelta, dimensions: tuple[tuple[str, str], ...] = ()) -> Partition:
    start = end - length
    text = start.astimezone(UTC).isoformat().replace("+00:00", "Z")
    place = "".join(f"|{name}={value}" for name, value in dimensions)
    return Partition(f"{text}/{format_duration(length)}{place}", start, end, dimensions)


# --- in the ledger -------------------------------------------------------------------------------------------------

STREAM = "stream"  # the data version of what a stream delivers: its name alone says which one it is
WINDOW = "window"  # the run of a window's verdict; that of a micro-batch is its name


def is_micro_batch(batch: Batch) -> bool:
    return batch.data_version == STREAM and batch.run_id == batch.partition.key


def is_window(batch: Batch) -> bool:
    """Whether it is the verdict of a time window: its rows have gone on, or not, one micro-batch at a time."""
    return batch.data_version == STREAM and batch.run_id == WINDOW


def is_streamed(batch: Batch) -> bool:
    return is_micro_batch(batch) or is_window(batch)


# --- which rule is judged where ------------------------------------------------------------------------------------


def split(plan: Plan, length: timedelta) -> tuple[Plan, Plan]:
    """What is judged of each micro-batch, and what of a window of `length`."""
    late = {rule.id for rule in plan.rules if of_window(rule)}
    early = {rule.id for rule in plan.rules} - late
    window = replace(
        plan,
        rules=tuple(rule for rule in plan.rules if rule.id in late),
        not_executed=(*plan.not_executed, *_listed(plan.rules, early, "judged of each micro-batch as it arrives")),
        elsewhere=frozenset(early),
    )
    told = f"judged of the time window of {format_duration(length)} that the micro-batch is part of"
    arrival = replace(
        plan,
        rules=tuple(rule for rule in plan.rules if rule.id in early),
        not_executed=_listed(plan.rules, late, told),
        elsewhere=frozenset(late),
        beside=parts_of(window.metrics),
    )
    return arrival, window


def of_window(rule: Rule) -> bool:
    """Whether a rule speaks of more rows than stand in one micro-batch, and can be told from measurements of parts."""
    check = rule.check
    if isinstance(check, Drifted | Cadence | Due):
        return True
    if not isinstance(check, Within):
        return False
    metric = check.metric.metric if isinstance(check.metric, Nested) else check.metric
    if isinstance(metric, Duplicates | Query | Expectation):
        return False  # not known from parts
    if isinstance(metric, RowCount | Statistic):
        return True
    return not (check.threshold.operator in _NONE_OF_THEM and check.threshold.value == 0)


def _listed(rules: Iterable[Rule], those: set[str], reason: str) -> tuple[NotExecuted, ...]:
    """Of no severity that lowers a verdict: they are judged, elsewhere."""
    return tuple(NotExecuted(rule.id, reason, Severity.INFO, rule.clause) for rule in rules if rule.id in those)


# --- parts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured of a micro-batch of the breaker `key`, for the verdict of the window that ends at `ends_at`.

    `document` holds JSON values only: see `to_document`.
    """

    batch_id: str
    key: str
    ends_at: datetime
    contract_version: str
    document: Mapping[str, Any]


def incomplete(key: str, ends_at: datetime, contract_version: str) -> Part:
    """Stands for micro-batches of the breaker `key` that were let in without a record, in a window that may be this one: with it, the
    window cannot be measured. There is one of a window, whoever says it."""
    reason = "micro-batches were let in unrecorded while the store was out of reach (onStoreUnavailable: admit): they may be missing here"
    return Part(f"{key}|{ends_at.astimezone(UTC).isoformat()}|incomplete", key, ends_at, contract_version, {"unmeasured": reason})


def to_document(measurement: Measurement | Unmeasured, metrics: Sequence[Metric]) -> dict[str, Any]:
    """`metrics` of a measurement as JSON values; a metric goes by a digest of what it is."""
    if isinstance(measurement, Unmeasured):
        return {"unmeasured": measurement.reason}
    kept = {_name(metric): _coded(measurement.values[metric]) for metric in metrics if metric in measurement.values}
    used = {name for metric in metrics for name in metric.columns}  # others may come and go from one micro-batch to the next
    columns = [[column.name, column.type] for column in measurement.columns if column.name in used]
    told = {} if measurement.columns_told else {"columns_told": False}
    return {"rows": measurement.rows, "columns": columns, "typed_source": measurement.typed_source, "values": kept, **told}


def from_document(document: Mapping[str, Any], metrics: Sequence[Metric]) -> Measurement | Unmeasured:
    """What `to_document` wrote, of those `metrics` that it holds."""
    if "unmeasured" in document:
        return Unmeasured(document["unmeasured"])
    found: Mapping[str, Any] = document["values"]
    values = {metric: _decoded(found[name]) for metric in metrics if (name := _name(metric)) in found}
    columns = tuple(Column(name, kind) for name, kind in document["columns"])
    return Measurement(document["rows"], columns, values, document["typed_source"], document.get("columns_told", True))


def _name(metric: Metric) -> str:
    return hashlib.sha256(repr(metric).encode("utf-8", "backslashreplace")).hexdigest()[:24]


_PLAIN = {kind.__name__: kind for kind in (Count, Figure, Bins, Unmeasured, NotApplicable)}


def _coded(value: Measured) -> list[Any]:
    if isinstance(value, NumericProfile | CategoryProfile):
        return ["Profile", profile_to_json(value)]
    if isinstance(value, Instant):
        return ["Instant", value.value.isoformat() if value.value is not None else None]
    assert type(value).__name__ in _PLAIN, value  # answers of expectations are not known from parts
    return [type(value).__name__, {name: _figure(held) for name, held in asdict(value).items()}]


def _decoded(coded: Sequence[Any]) -> Measured:
    kind, held = coded
    if kind == "Profile":
        return profile_from_json(held)
    if kind == "Instant":
        return Instant(datetime.fromisoformat(held) if held is not None else None)
    if kind == "Bins":
        return Bins(tuple(held["counts"]), held["nulls"])
    if kind == "Figure":
        return Figure(float(held["value"]) if isinstance(held["value"], str) else held["value"])
    decoded: Measured = _PLAIN[kind](**held)
    return decoded


def _figure(held: Any) -> Any:
    """JSON has no infinities and no NaN."""
    return repr(held) if isinstance(held, float) and held - held != 0 else held
