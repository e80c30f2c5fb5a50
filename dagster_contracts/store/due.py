"""What sensors ask at every tick: which breakers wait, which batches they could be probed with, which batches may be released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Dialect, Integer, Select, bindparam, func, literal_column, or_, select
from sqlalchemy.types import String

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Status
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import ACCEPTED
from dagster_contracts.store import tables
from dagster_contracts.store.rows import from_row
from dagster_contracts.store.statement import Statement, among, word
from dagster_contracts.store.succession import REFUSED

_batches, _breakers = tables.batches.columns, tables.breakers.columns
_UNTOLD = [each.name for each in fields(Batch) if each.name != "verdict"]


def batches(rows: Sequence[Sequence[Any]]) -> list[Batch]:
    """From the rows of `CANDIDATES` or `RELEASABLE`: without their verdicts."""
    return [from_row(Batch, dict(zip(_UNTOLD, row, strict=True)), verdict=None) for row in rows]


def _stored() -> Select[Any]:
    stored = select(*(_batches[name] for name in _UNTOLD))
    return stored.where(among(_batches.status, REFUSED), _batches.staged.is_not(None))


def _candidates(dialect: Dialect) -> Select[Any]:
    wanted = _mapped(dialect, "versions")
    opened_at = select(_breakers.opened_at).where(_breakers.key == _batches.breaker_key).scalar_subquery()
    fit = (
        _stored()
        .join(wanted, wanted.c.key == _batches.breaker_key)
        .where(or_(_batches.updated_at >= func.coalesce(opened_at, _batches.updated_at), _batches.contract_version != wanted.c.value))
    )
    fit = fit.where(
        _batches.id.not_in(_listed(dialect, "probed")),
        _batches.head,
        _batches.confidence == word(Confidence.FULL),
    )
    order = (func.coalesce(_batches.ends_at, _batches.arrived_at).desc(), _batches.sequence.desc())
    place = func.row_number().over(partition_by=_batches.breaker_key, order_by=order).label("place")
    found = fit.add_columns(place).subquery("found")
    return select(*(found.c[name] for name in _UNTOLD)).where(found.c.place == literal_column("1", Integer))


def _listed(dialect: Dialect, name: str) -> Select[Any]:
    """The texts of a parameter that is a list as JSON."""
    given = bindparam(name, type_=String(), required=True)
    if dialect.name == "sqlite":
        return select(func.json_each(given).table_valued("value", name=name).columns.value)
    return select(func.json_array_elements_text(func.cast(given, tables.Document)).column_valued(name))


def _mapped(dialect: Dialect, name: str) -> Any:
    """Keys and values of a parameter that maps texts to texts, as JSON."""
    given = bindparam(name, type_=String(), required=True)
    if dialect.name == "sqlite":
        return func.json_each(given).table_valued("key", "value", name=name)
    return func.json_each_text(func.cast(given, tables.Document)).table_valued("key", "value", name=name)


def _releasable(dialect: Dialect) -> Select[Any]:
    """A closed breaker lets go what passed; an overridden one may: whether its override still holds, is the machine's word."""
    passed = (_batches.status == word(Status.HELD)) & among(_batches.outcome, ACCEPTED)
    free = or_(_breakers.state == word(State.CLOSED), _breakers.override.is_not(None))
    found = _stored().join(tables.breakers, _breakers.key == _batches.breaker_key).where(or_(_batches.released.is_not(None), passed & free))
    return found.order_by(_batches.sequence).limit(bindparam("limit", type_=Integer(), required=True))


TRIPPED = Statement(
    lambda dialect: select(_breakers.key, _breakers.contract_version, _breakers.retry_at).where(
        among(_breakers.state, (State.OPEN, State.HALF_OPEN))
    )
)
CANDIDATES, RELEASABLE = Statement(_candidates), Statement(_releasable)
