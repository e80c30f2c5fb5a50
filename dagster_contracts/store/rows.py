"""Values <-> rows. A dataclass becomes the columns that are named after its fields; JSON columns hold fields as documents.

In documents times are RFC 3339 UTC, durations whole microseconds, sets sorted lists, NaN and infinities their names as text.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar, Union, cast

from sqlalchemy import JSON, Table

from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.verdict import Verdict

T = TypeVar("T")
Row = dict[str, Any]
_MICROSECOND = timedelta(microseconds=1)


def place(key: str | None) -> str:
    """A partition key as columns compare it: NULL is equal to nothing, so unpartitioned is the empty text."""
    return key or ""


@lru_cache(maxsize=1024)
def dimensions(partition: Partition) -> str:
    return json.dumps(partition.dimensions)


@lru_cache(maxsize=1024)
def _of_partition(partition: Partition) -> str:
    return json.dumps(to_json(partition))


def to_row(table: Table, value: object, **extra: object) -> Row:
    """The columns of `table` that are fields of `value`, documents as text; and `extra` ones."""
    kind: Any = type(value)
    names, read, documents = _columns(table, kind)
    row: Row = dict(zip(names, read(value), strict=True))
    for name in documents:
        content = row[name]
        if content is not None:
            row[name] = document(content)
    row.update(extra)
    return row


@cache
def _columns(table: Table, kind: Any) -> tuple[list[str], Callable[[Any], tuple[Any, ...]], list[str]]:
    """The names of the fields of a type, what reads them all, and which of them are documents."""
    assert dataclasses.is_dataclass(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return names, attrgetter(*names), [name for name in names if isinstance(table.columns[name].type, JSON)]


def document(value: object) -> str:
    """As JSON text. That of policies is kept: they are long, change rarely, and are written with every batch; so is that of the latest
    verdict, which micro-batches that are judged together often share."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind in (tuple, frozenset) and not value:
        return "[]"
    if kind is Partition:
        return _of_partition(value)
    if isinstance(value, BreakerPolicy):
        return _kept(value, _policies, _POLICIES)
    if isinstance(value, Verdict):
        return _kept(value, _verdicts, 1)
    return json.dumps(to_json(value))


def _kept(value: T, among: dict[int, tuple[T, str]], most: int) -> str:
    kept = among.get(id(value))
    if kept is None or kept[0] is not value:
        if len(among) >= most:
            among.clear()
        kept = among[id(value)] = (value, json.dumps(to_json(value)))
    return kept[1]


_quoted: Callable[[Any], str] = json.encoder.encode_basestring_ascii
_POLICIES = 1024
_policies: dict[int, tuple[BreakerPolicy, str]] = {}
_verdicts: dict[int, tuple[Verdict, str]] = {}


def from_row(kind: type[T], row: Mapping[Any, Any], **known: object) -> T:
    """The value whose fields the columns of `row` hold, but for those `known` already."""
    return kind(**{name: known[name] if name in known else decode(row[name]) for name, decode in _fields(cast(Any, kind)).items()})


def to_json(value: object) -> Any:
    """Plain JSON. What has no JSON form (a Decimal in a sample row, say) is kept as its text: no verdict is lost over that."""
    kind: Any = type(value)
    return _encoder(kind)(value)


@cache
def _encoder(kind: Any) -> Callable[[Any], Any]:
    """Found once per type: whatever is written consists of a few dozen of them."""
    if issubclass(kind, Enum):
        return lambda value: value.value
    if kind is type(None) or issubclass(kind, bool | int | str):
        return _same
    if issubclass(kind, float):
        return lambda value: value if math.isfinite(value) else repr(value)
    if issubclass(kind, datetime):
        return _instant_text
    if issubclass(kind, timedelta):
        return lambda value: value // _MICROSECOND
    if issubclass(kind, Mapping):
        return lambda value: {str(key): to_json(entry) for key, entry in value.items()}
    if issubclass(kind, frozenset):
        return lambda value: sorted(to_json(entry) for entry in value)
    if issubclass(kind, tuple | list):
        return lambda value: [to_json(entry) for entry in value]
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return lambda value: {name: to_json(getattr(value, name)) for name in names}
    return str


def from_json(kind: Any, document: Any) -> Any:
    """The value of type `kind` that `to_json` made `document` of. Unknown fields of newer versions are left out."""
    return _decoder(kind)(document)


def _instant_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"the store takes aware times only, got {value.isoformat()} without a time zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _same(value: Any) -> Any:
    return value


@cache
def _fields(kind: Any) -> dict[str, Callable[[Any], Any]]:
    hints = typing.get_type_hints(kind)
    return {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return _optional(*(argument for argument in arguments if argument is not types.NoneType))
    if origin is tuple and arguments[-1] is Ellipsis:
        each = _decoder(arguments[0])
        return lambda document: tuple(each(entry) for entry in document)
    if origin is tuple:
        parts = [_decoder(argument) for argument in arguments]
        return lambda document: tuple(part(entry) for part, entry in zip(parts, document, strict=True))
    if origin is frozenset:
        each = _decoder(arguments[0])
        return lambda document: frozenset(each(entry) for entry in document)
    if origin is not None and issubclass(origin, Mapping):
        each = _decoder(arguments[1])
        return lambda document: {key: each(entry) for key, entry in document.items()}
    return _plain(kind)


def _optional(kind: Any) -> Callable[[Any], Any]:
    decode = _decoder(kind)
    return lambda document: None if document is None else decode(document)


def _plain(kind: Any) -> Callable[[Any], Any]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind)
    if kind is datetime:
        return _instant
    if kind is timedelta:
        return lambda document: document * _MICROSECOND
    if kind is float:
        return float
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    return _same


def _dataclass(kind: type[T]) -> Callable[[Any], T]:
    decoders = _fields(cast(Any, kind))
    return lambda document: kind(**{name: decoders[name](entry) for name, entry in document.items() if name in decoders})
