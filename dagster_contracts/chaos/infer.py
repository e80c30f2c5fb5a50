"""Data that is believed good -> a first contract: what it keeps to, as rules to be read and edited.

The clauses are those that `propose` would learn (see `learning`, `bounds`), all of them instead of what was missed. Of fewer than LEAST
batches nothing can be said of what varies from batch to batch: then rows are taken in parts, and only what holds of values is learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import polars as pl

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.bounds import LEAST
from dagster_contracts.chaos.clauses import Candidate, described
from dagster_contracts.chaos.deliveries import deliveries
from dagster_contracts.chaos.evidence import evidence_of, kind_of
from dagster_contracts.chaos.propose import learned, verified
from dagster_contracts.chaos.remedy import Case
from dagster_contracts.chaos.shape import Reads
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted
from dagster_contracts.core.yaml_text import Layout, entry
from dagster_contracts.ports import MetricEngine

_PARTS = 8
_LOOSE = {"mean magnitude": "mean", "spread magnitude": "spread"}  # said of a column where nothing closer is
_OF_VALUES = frozenset(
    {"listed", "closed", "type", "required", "unique", "allowed", "written", "minimum", "maximum", "earliest", *_LOOSE},
)
# No age: nobody knows when stored data came.
_OF_BATCHES = _OF_VALUES | {"nulls", "duplicates", "rows", "changes", "frequency", "mean", "spread"}
_SURE = frozenset({"listed", "type", "required", "unique"})  # what is worth saying of few rows, too
_FEW = 100

_HEAD = """\
# Learned from {of}.
# Each line is a proposal: delete what is chance, widen what is narrow, and say what the data means.
"""
_TIMES = """
# No rule here says when {columns} may lie: data of another time passes, dates to come too.{told}
# To bound it, add to slaProperties how old the newest value may be when a batch arrives (asked of the newest partition alone):
# - {{property: latency, value: {hours}, unit: h, element: {element}}}
# and to the quality of {name} that no value lies in the future (needs the extra sql):
# - {{type: sql, query: 'SELECT count(*) FROM {{object}} WHERE "{quoted}" > now()', mustBe: 0}}
"""
_LEFT_OUT = """
# Left out, so that nothing of {them} is checked; write a property for what is to be:
{listed}
"""
_ZEROS = """
# Digits with leading zeros in {columns}: a reader that takes them for numbers loses the zeros, and the rules here refuse what it reads.
# Where your asset reads a CSV, have it read them as text; in pandas: read_csv(..., dtype={{{dtypes}}})
"""
_TAIL = """
# What happens while this data is refused. Every key has a default; see the reference of contracts.
# customProperties:
# - property: circuitBreaker
#   value:
#     fallback: last_good        # last_good | low_confidence | halt: for consumers that say nothing themselves
#     tripOn: [critical]         # a broken rule of this severity opens at once
#     cooldown: PT30M            # before the first probe
#     consumers: []              # - {asset: fraud_scores, fallback: halt}
"""


def infer(
    name: str,
    frames: Iterable[tuple[str, pl.DataFrame]],
    engine: MetricEngine,
    *,
    asset: str | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> str:
    """The text of an ODCS contract with one schema object, `name`, that every batch keeps to: (name, rows), in their order.

    Version 0.1.0, status draft. `asset` is written where its last part is not `name`. Names with a date in them ("2026-01-31.csv") are
    taken as partitions of that day. Raises UsageError where there is no row to learn from.
    """
    document: dict[str, object] = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": name, "version": "0.1.0", "status": "draft"}
    obj: dict[str, object] = {"name": name}
    if asset is not None and asset.rpartition("/")[2] != name:
        obj["customProperties"] = [{"property": "dagsterAsset", "value": asset}]
    document["schema"] = [obj]
    text = "\n".join(entry(key, value, 0, Layout()) for key, value in document.items()) + "\n"
    case = Case(text, name, (), engine)
    found = list(deliveries(case.plan([]), engine, frames))
    batches = [batch for batch in found if batch.rows]
    if not batches:
        empty = [batch.name for batch in found if batch.name]
        told_of = f": {', '.join(empty[:10])} {'has' if len(empty) == 1 else 'have'} no row" if empty else ""
        raise UsageError(f"{name}: no row to learn a contract from{told_of}")
    told(f"{name}: {counted(sum(batch.rows for batch in batches), 'row')} in {counted(len(batches), 'batch', 'es')}")
    clauses = _clauses(replace(case, batches=batches))
    written = replace(case, batches=batches).with_([described(clause, f"Learned: {clause.told}.") for clause in clauses])
    left_out = _left_out(batches, {clause.column for clause in clauses if clause.family == "listed"})
    if left_out:
        told(f"{name}: {counted(len(left_out), 'column')} left out, of which a comment in the contract says why: {', '.join(left_out)}")
    columns = [set(batch.columns) for batch in batches]
    anywhere = set[str]().union(*columns)
    if 2 * (parted := len(anywhere - anywhere.intersection(*columns))) > len(anywhere):
        told(
            f"{name}: warning: {parted} of {len(anywhere)} columns stand in some batches only: are these files of several feeds? "
            "Learn a contract from the files of one"
        )
    return _HEAD.format(of=_of(batches)) + written + _of_left_out(left_out) + _of_zeros(batches) + _of_times(name, batches) + _TAIL


def _left_out(batches: Sequence[Batch], listed: Container[str | None]) -> dict[str, str]:
    """By column that has no property, why."""
    columns = dict.fromkeys(column for batch in batches for column in batch.columns)
    return {_in_a_line(column): _why_left_out(column, batches) for column in columns if column not in listed}


def _why_left_out(column: str, batches: Sequence[Batch]) -> str:
    with_it = [batch for batch in batches if column in batch.columns]
    if len(with_it) < len(batches):
        return f"it stands in {len(with_it)} of {len(batches)} batches"
    reads = sorted({str(kind_of(batch.shape[column].reads)) for batch in with_it if batch.shape[column].values})
    if not reads:
        return "it has no value"
    if len(reads) > 1:
        return f"its values read as {' in some batches, as '.join(reads)} in others"
    held = [batch.frame[column] for batch in with_it]
    types = sorted({type(value).__name__ for each in held if each.dtype == pl.Object for value in each.drop_nulls()})
    if len(types) > 1:
        return f"its values are of several types ({', '.join(types)})"
    return f"no logicalType says what its values are ({', '.join(types) or held[-1].dtype})"


def _of_left_out(columns: Mapping[str, str]) -> str:
    if not columns:
        return ""
    them = "it" if len(columns) == 1 else "them"
    return _LEFT_OUT.format(them=them, listed="\n".join(f"# - {column}: {why}" for column, why in columns.items()))


def _in_a_line(column: str) -> str:
    """As a comment can have it."""
    return column if column.isprintable() else repr(column)


def _of_zeros(batches: Sequence[Batch]) -> str:
    """Columns that a reader may take for numbers. Where some column has another type than text, the data says itself what is text."""
    if any(dtype != pl.String for batch in batches for dtype in batch.frame.dtypes):
        return ""
    columns = [column for column in batches[-1].columns if column.isprintable() and _has_zeros(column, batches)]
    dtypes = ", ".join(f"{json.dumps(column, ensure_ascii=False)}: str" for column in columns)
    return _ZEROS.format(columns=", ".join(columns), dtypes=dtypes) if columns else ""


def _has_zeros(column: str, batches: Sequence[Batch]) -> bool:
    texts = pl.concat([batch.frame[column].drop_nulls() for batch in batches if column in batch.columns])
    return bool(texts.str.contains(r"^0[0-9]").any() and texts.str.contains(r"^[0-9]+$").all())


def _of_times(name: str, batches: Sequence[Batch]) -> str:
    """What is not bounded, and how to bound it. No rule is proposed: nobody knows when stored data came, and how late it may."""
    shapes = batches[-1].shape
    times = [column for column in batches[-1].columns if shapes[column].reads in (Reads.DATE, Reads.TIME)]
    columns = [column for column in times if column.isprintable()]  # a comment is one line
    if not columns:
        return ""
    inside = [column for column in columns if all(_is_inside(batch, column) for batch in batches)]
    where = f"\n# In all {len(batches)} batches the values of {', '.join(inside)} lie within the partition that they are of."
    told = where if inside else ""
    column = (inside or columns)[0]
    windows = [batch.partition.end - batch.partition.start for batch in batches if batch.partition.start and batch.partition.end]
    hours = 2 * max(windows, default=timedelta(days=1)) // timedelta(hours=1)  # as old as its partition is long, and as long to come
    element = "'" + f"{name}.{column}".replace("'", "''") + "'"
    quoted = column.replace("'", "''").replace('"', '""')  # within a text of YAML, a name of SQL
    return _TIMES.format(columns=", ".join(columns), told=told, name=name, element=element, hours=max(hours, 1), quoted=quoted)


def _is_inside(batch: Batch, column: str) -> bool:
    start, end = batch.partition.start, batch.partition.end
    if start is None or end is None or column not in batch.columns:
        return False
    values = batch.frame[column].drop_nulls()
    if values.dtype == pl.Date:
        values = values.cast(pl.Datetime("us"))
    if not isinstance(values.dtype, pl.Datetime) or values.is_empty():
        return False
    utc = values.dt.convert_time_zone("UTC") if values.dtype.time_zone else values.dt.replace_time_zone("UTC")
    return bool((utc >= start).all() and (utc < end).all())


def _clauses(case: Case) -> list[Candidate]:
    if len(case.batches) >= LEAST:
        of, families = case, _OF_BATCHES
    else:
        of = replace(case, batches=_parts(case.batches))
        families = _OF_VALUES if sum(batch.rows for batch in case.batches) >= _FEW else _SURE
    found = [clause for clause in learned(of, evidence_of(of.batches), families) if clause.family in families]
    said = {(clause.family, clause.column) for clause in found}
    closer = {"written": "allowed", **_LOOSE}
    return verified(case, [clause for clause in found if (closer.get(clause.family), clause.column) not in said])


def _parts(batches: Sequence[Batch]) -> list[Batch]:
    """At least LEAST of them, of rows in their order, where there are that many rows."""
    found = []
    for batch in batches:
        size = max(1, -(-batch.rows // _PARTS))
        found += [batch.holding(batch.frame[start : start + size]) for start in range(0, batch.rows, size)]
    return found


def _of(batches: Sequence[Batch]) -> str:
    rows = counted(sum(batch.rows for batch in batches), "row")
    names = [batch.name for batch in batches if batch.name]
    if len(batches) == 1:
        return f"{rows} of {names[0]}" if names else rows
    return f"{rows} in {len(batches):,} batches" + (f", {names[0]} to {names[-1]}" if names else "")
