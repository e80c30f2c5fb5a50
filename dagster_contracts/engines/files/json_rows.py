"""JSON lines, or one array of objects -> a DataFrame.

Polars reads them. It makes text of numbers, booleans, objects and arrays that stand among text, and takes the first of several fields of
one name; Arrow, which does neither, is asked whether the rows are what Polars made of them. Where they are not, fields whose values are of
several types are held as Python objects, each judged by itself, and a field that is named twice is told.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from dagster_contracts.engines.files.json_depth import DEEPEST, depth
from dagster_contracts.engines.files.places import Unreadable
from dagster_contracts.engines.polars.containers import instance

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 24  # bytes of JSON lines that Arrow takes at a time; a longer line is read by Python
_LARGEST = (1 << 31) - 1

Record = dict[str, object]


def read(place: str, path: Path) -> pl.DataFrame:
    """The rows of one file. Raises Unreadable, and whatever Polars and json raise for what is no JSON."""
    content = path.read_bytes().removeprefix(_BYTE_ORDER_MARK)
    if (levels := depth(content)) > DEEPEST:
        raise Unreadable(f"{place}: is nested {levels:,} levels deep, more than {DEEPEST} are not read; is a bracket left open?")
    text = content.decode("utf-8")
    try:
        frame = (pl.read_json if _is_array(text) else pl.read_ndjson)(io.StringIO(text), infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        records = _records(place, text)
        return pl.DataFrame([_field(name, records) for name in dict.fromkeys(name for record in records for name in record)])
    if _is_as_written(content, frame, array=_is_array(text)):
        return frame
    records = _records(place, text)
    held = (name for name, dtype in frame.schema.items() if not all(_is(record.get(name), dtype) for record in records))
    return frame.with_columns(_field(name, records) for name in held)


def _is_array(text: str) -> bool:
    return text.lstrip().startswith("[")


# --- is it what Polars made of it? ---------------------------------------------------------------------------------


def _is_as_written(content: bytes, frame: pl.DataFrame, *, array: bool) -> bool:
    """Whether every value is of the type of its column, and no field is named twice. False also where Arrow cannot tell."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    schema = pa.schema([(name, _arrow(dtype)) for name, dtype in frame.schema.items()])
    if array:  # Arrow reads objects, not arrays
        schema = pa.schema([("rows", pa.list_(pa.struct(list(schema))))])
        content = b'{"rows":' + content + b"}"
    block = len(content) + 1 if array else _BLOCK
    if block > _LARGEST:
        return False
    try:
        arrow_json.read_json(
            io.BytesIO(content),
            arrow_json.ReadOptions(use_threads=False, block_size=block),
            arrow_json.ParseOptions(explicit_schema=schema, newlines_in_values=array, unexpected_field_behavior="error"),
        )
    except pa.ArrowException:
        return False
    return True


def _arrow(dtype: pl.DataType) -> Any:
    """Numbers are numbers: Arrow would refuse fractions where it expects integers, but Polars has looked at all of them."""
    import pyarrow as pa

    if isinstance(dtype, pl.Struct):
        return pa.struct([(field.name, _arrow(instance(field.dtype))) for field in dtype.fields])
    if isinstance(dtype, pl.List):
        return pa.list_(_arrow(instance(dtype.inner)))
    if dtype.is_numeric():
        return pa.float64()
    return pa.string() if dtype == pl.String else pa.bool_() if dtype == pl.Boolean else pa.null()


def _is(value: object, dtype: pl.DataType) -> bool:
    """Whether a value, as Python reads it, is null or of a type."""
    if value is None:
        return True
    if isinstance(dtype, pl.Struct):
        kinds = {field.name: instance(field.dtype) for field in dtype.fields}
        return isinstance(value, dict) and all(name in kinds and _is(each, kinds[name]) for name, each in value.items())
    if isinstance(dtype, pl.List):
        inner = instance(dtype.inner)
        return isinstance(value, list) and all(_is(each, inner) for each in value)
    if dtype.is_numeric():
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) if dtype == pl.String else dtype == pl.Boolean and isinstance(value, bool)


# --- read by Python ------------------------------------------------------------------------------------------------


class _Repeated(ValueError):
    """A field that one object names more than once."""


def _object(pairs: list[tuple[str, object]]) -> Record:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Repeated(", ".join(f'"{name}" ({times} times)' for name, times in Counter(name for name, _ in pairs).items() if times > 1))
    return found


def _records(place: str, text: str) -> list[Record]:
    records: list[Record] = []
    if _is_array(text):
        records = _loaded(place, text)
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                records += [_loaded(f"{place}:{number}", line)] if line.strip() else []
            except json.JSONDecodeError as error:
                raise Unreadable(f"{place}:{number}: is not JSON; expected one JSON object on each line", str(error)) from error
    if not all(isinstance(record, dict) for record in records):
        raise Unreadable(f"{place}: expected JSON objects, one for each row; found other values among them")
    return records


def _loaded(place: str, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _Repeated as error:
        raise Unreadable(f"{place}: an object names a field more than once: {error}; give each field one name") from error


def _field(name: str, records: list[Record]) -> pl.Series:
    values = [record.get(name) for record in records]
    kinds = {type(value) for value in values if value is not None}
    if kinds & {dict, list} or (len(kinds) > 1 and kinds != {int, float}):
        return pl.Series(name, values, dtype=pl.Object)
    return pl.Series(name, values, strict=False)
