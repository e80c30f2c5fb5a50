"""Values of messages -> one frame. What cannot be decoded is told apart, message by message; nothing is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

DecodeOne = Callable[[bytes], Mapping[str, object]]  # raises ValueError for what is no row


@dataclass(frozen=True, slots=True)
class Decoded:
    """`rows` are the places (in what was given) of the rows of `frame`, in its order; `broken` the others, each with why."""

    frame: pl.DataFrame
    rows: Sequence[int]
    broken: Mapping[int, str]


def decoded(values: Sequence[bytes], columns: Collection[str], decode: DecodeOne | None = None) -> Decoded:
    """A row of each value. Without `decode`: JSON objects in UTF-8. A column that no value has, though it is one of `columns`, is null."""

    fast = _lines(values) if decode is None else None
    if fast is not None:
        return Decoded(_completed(fast, columns), range(len(values)), {})
    rows: dict[int, Mapping[str, object]] = {}
    broken: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            rows[place] = (decode or json_object)(value)
        except (ValueError, RecursionError) as error:  # deeper than the parser goes: no row that anybody could judge
            broken[place] = f"{type(error).__name__}: {error}"
    return Decoded(_completed(_framed(list(rows.values())), columns), list(rows), broken)


def _framed(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """A column that is nested in one row and not, or otherwise, in another is text: rules on its type fail then, and say so."""
    import polars as pl

    if not rows:
        return pl.DataFrame()
    try:
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except (pl.exceptions.PolarsError, TypeError, OverflowError):
        text = [{name: None if value is None else _text(value) for name, value in row.items()} for row in rows]
        return pl.DataFrame(text, infer_schema_length=None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def json_object(value: bytes) -> Mapping[str, object]:
    """Raises ValueError for what is no JSON object in UTF-8, and for NaN and infinities, which JSON does not have."""
    found = json.loads(value.decode("utf-8"), parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {type(found).__name__}")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _lines(values: Sequence[bytes]) -> pl.DataFrame | None:
    """All of them in one pass, where each is one line with one object; None where one is not."""
    import polars as pl

    joined = b"\n".join(values)
    if joined.count(b"\n") != len(values) - 1 or not all(value[:1] == b"{" for value in values):
        return None
    try:
        frame = pl.read_ndjson(joined, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        return None  # one by one, they say which of them is wrong
    return frame if frame.height == len(values) else None


def _completed(frame: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """JSON leaves out what is null; a frame does not."""
    import polars as pl

    absent = [name for name in columns if name not in frame.columns]
    return frame.with_columns(pl.lit(None).alias(name) for name in absent) if absent else frame
