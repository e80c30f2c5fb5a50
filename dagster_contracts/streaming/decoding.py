"""Values of messages -> one frame. What cannot be decoded is told apart, message by message; nothing is dropped.

Each value is parsed by itself, so that none can reach into another, and the types of a frame follow from its values alone: a micro-batch
that is delivered again is the same frame.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, object]
DecodeOne = Callable[[bytes], Row]  # raises ValueError for what is no row
_LONG = 2**63  # orjson reads integers of more than 64 bits as floats
_TEXT = frozenset({str, datetime, date, time, UUID})  # a decoder may give instants and ids within objects: JSON writes them as text


@dataclass(frozen=True, slots=True)
class Decoded:
    """`rows` are the places (in what was given) of the rows of `frame`, in its order; `broken` the others, each with why."""

    frame: pl.DataFrame
    rows: Sequence[int]
    broken: Mapping[int, str]


def decoded(values: Sequence[bytes], columns: Collection[str], decode: DecodeOne | None = None) -> Decoded:
    """A row of each value. Without `decode`: JSON objects in UTF-8. A column that no value has, though it is one of `columns`, is null."""
    places, rows, broken = _parsed(values, decode)
    frame = _framed(rows)
    if decode is None and _may_be_rounded(frame):
        frame = _framed([_in_full(values[place], row) for place, row in zip(places, rows, strict=True)])
    return Decoded(_completed(frame, columns), places, broken)


def json_object(value: bytes) -> Row:
    """Raises ValueError for what is no JSON object in UTF-8, and for numbers that no float can hold."""
    import orjson

    found = orjson.loads(value)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {type(found).__name__}")
    return found


def _parsed(values: Sequence[bytes], decode: DecodeOne | None) -> tuple[Sequence[int], list[Row], dict[int, str]]:
    """Rows with the places of their values, and why there is none, by the place."""
    if decode is None and (whole := _objects(values)) is not None:
        return range(len(whole)), whole, {}
    rows: dict[int, Row] = {}
    broken: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            rows[place] = (decode or json_object)(value)
        except (ValueError, RecursionError) as error:  # deeper than the parser goes: no row that anybody could judge
            broken[place] = f"{type(error).__name__}: {error}"
    return list(rows), list(rows.values()), broken


def _objects(values: Sequence[bytes]) -> list[Row] | None:
    """All of them, where each is one: what is done for nearly every micro-batch, without a step of Python for each value."""
    import orjson

    try:
        rows: list[Any] = list(map(orjson.loads, values))
    except ValueError:
        return None
    return rows if set(map(type, rows)) <= {dict} else None


# --- columns -------------------------------------------------------------------------------------------------------


def _framed(rows: Sequence[Row]) -> pl.DataFrame:
    import polars as pl

    columns = _columns(rows) or {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(rows))}
    if not columns:
        return pl.DataFrame(list(rows))  # without columns, it still has its rows
    return pl.DataFrame([_series(name, values) for name, values in columns.items()])


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]] | None:
    """Where every row has the same names, as nearly all have."""
    names = tuple(rows[0]) if rows else ()
    with suppress(KeyError):
        if sum(map(len, rows)) == len(names) * len(rows):
            return {name: [row[name] for row in rows] for name in names}
    return None


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of one kind, numbers being one. Else they are Python objects, each judged by itself."""
    import polars as pl

    if type(values[0]) is str:  # most columns are: Polars itself says where something else is among them
        with suppress(pl.exceptions.PolarsError, TypeError, OverflowError, UnicodeEncodeError):
            return pl.Series(name, values, dtype=pl.String)
    kinds = frozenset(map(type, values)) - {type(None)}
    plain = {int: (pl.Int64, pl.Int128), float: (pl.Float64,), str: (pl.String,), bool: (pl.Boolean,)}
    if kinds in (frozenset({dict}), frozenset({list})):
        with suppress(pl.exceptions.PolarsError, TypeError, RecursionError):
            return _nested(name, values)
    elif len(kinds) < 2 or kinds == {int, float}:
        (kind,) = kinds if len(kinds) == 1 else (float,)
        for dtype in plain.get(kind, (None,)) if kinds else (pl.Null,):
            with suppress(pl.exceptions.PolarsError, TypeError, OverflowError, UnicodeEncodeError):
                return pl.Series(name, values, dtype=dtype)
    plain_text = [_text(value) if isinstance(value, str) else value for value in values]
    return pl.Series(name, plain_text, dtype=pl.String if kinds == {str} else pl.Object)


def _nested(name: str, values: Sequence[Any]) -> pl.Series:
    """Raises where what is nested has no one type."""
    import orjson
    import polars as pl

    texts = [None if value is None else orjson.dumps(value).decode() for value in values]
    return pl.Series(name, texts, dtype=pl.String).str.json_decode(dtype=_type(values))


def _type(values: Sequence[Any]) -> pl.DataType:
    """Of all that is not null. Raises TypeError where it has no one type: Polars would make text, numbers or arrays of some of it."""
    import polars as pl

    kinds = set(map(type, values))
    present = [value for value in values if value is not None] if type(None) in kinds else values
    kinds.discard(type(None))
    if not kinds:
        return pl.Null()
    if kinds <= _TEXT:
        return pl.String()
    if kinds == {bool}:
        return pl.Boolean()
    if float in kinds and kinds <= {int, float}:
        return pl.Float64()
    if kinds == {int}:
        return pl.Int64() if min(present) >= -_LONG and max(present) < _LONG else pl.Int128()
    if kinds == {list}:
        return pl.List(_type(list(chain.from_iterable(present))))
    if kinds == {dict}:
        return pl.Struct({name: _type(inner) for name, inner in (_columns(present) or _cells(present)).items()})
    raise TypeError("values of several types")


def _cells(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What stands under each name, without the rows where nothing does: names may be as many as there are rows."""
    cells: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            cells[name].append(value)
    return cells


def _in_full(value: bytes, row: Row) -> Row:
    with suppress(RecursionError):  # orjson reads what is deeper than json does
        row = json.loads(value)
    return row


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _may_be_rounded(frame: pl.DataFrame) -> bool:
    import polars as pl

    bounds: list[Any] = [bound for each in frame.get_columns() if each.dtype == pl.Float64 for bound in (each.max(), each.min())]
    return any(bound is not None and abs(bound) >= _LONG for bound in bounds)


def _completed(frame: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """JSON leaves out what is null; a frame does not."""
    import polars as pl

    absent = [name for name in columns if name not in frame.columns]
    return frame.with_columns(pl.lit(None).alias(name) for name in absent) if absent else frame
