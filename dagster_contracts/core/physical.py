"""Physical types: whether the type of a column is the one the contract names, in the words of its database. Pure.

Names of PostgreSQL, DuckDB, Snowflake, BigQuery, Spark and Databricks, Trino, SQL Server, Oracle, MySQL and Ibis. Many mean several
things (TIMESTAMP has a time zone in Spark, and none in PostgreSQL): two names are the same type where one meaning of each is. Lengths and
precisions are compared where both give them; names that none of these have cannot be compared, unless they are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What names may mean. One that stands in several lines means several things: every whole number of BigQuery is an INT64.
_MEANINGS = {
    "text": "text varchar character-varying string nvarchar varchar2 nvarchar2 char-varying national-character-varying longtext mediumtext "
    "tinytext clob nclob ntext citext long sysname name",
    "char": "char character bpchar nchar national-character fixed-string",
    "bool": "boolean bool bit logical",
    "int8": "tinyint int8 int1 byte int64",
    "uint8": "utinyint uint8 tinyint tinyint-unsigned",
    "int16": "smallint int16 int64 int2 short smallserial serial2",
    "uint16": "usmallint uint16 smallint-unsigned",
    "int24": "mediumint",
    "int32": "int integer int32 int64 int4 signed serial serial4",
    "uint32": "uinteger uint32 int-unsigned integer-unsigned",
    "int64": "bigint int64 int8 long bigserial serial8 byteint",
    "uint64": "ubigint uint64 bigint-unsigned",
    "int128": "hugeint int128",
    "uint128": "uhugeint uint128",
    "float16": "float16 half",
    "float32": "real float4 float32 float binary-float",
    "float64": "double double-precision float8 float64 float binary-double number",
    "decimal": "decimal numeric number dec fixed bignumeric bigdecimal money smallmoney",
    "date": "date",
    "time": "time time-without-time-zone timetz-ntz",
    "timetz": "timetz time-with-time-zone",
    "timestamp": "timestamp timestamp-without-time-zone timestamp-ntz timestampntz datetime datetime2 smalldatetime timestamp-s "
    "timestamp-ms timestamp-ns timestamp-us",
    "timestamptz": "timestamptz timestamp-with-time-zone timestamp timestamp-tz timestamp-ltz timestampltz timestamptz-ltz datetimeoffset "
    "timestamp-with-local-time-zone",
    "interval": "interval",
    "binary": "binary varbinary bytea blob bytes raw image longblob mediumblob tinyblob binary-varying bit-varying bitstring "
    "long-raw varbyte",
    "uuid": "uuid uniqueidentifier guid",
    "json": "json jsonb variant super",
    "xml": "xml xmltype",
    "geometry": "geometry geography geospatial",
    "array": "array list",
    "struct": "struct row record object",
    "map": "map",
    "vector": "vector",
    "inet": "inet",
    "cidr": "cidr",
    "macaddr": "macaddr",
    "year": "year",
    "rowversion": "rowversion",
    "point": "point",
    "void": "void null unknown",
}
_KINDS: dict[str, frozenset[str]] = {}
for _kind, _names in _MEANINGS.items():
    for _name in _names.split():
        _KINDS[_name] = _KINDS.get(_name, frozenset()) | {_kind}
_WHOLE = frozenset(("int8", "int16", "int24", "int32", "int64"))
_SIZED = frozenset(("text", "char", "binary", "vector"))
_WITHIN = re.compile(r"(?P<name>[^(<\[]*)(?:\((?P<round>.*)\)|<(?P<angle>.*)>)?(?P<after>[^()<>]*)", re.DOTALL)
_WORDS = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class _Type:
    kinds: frozenset[str]
    numbers: tuple[int, ...] = ()
    parts: tuple[_Type, ...] = ()
    fields: tuple[str, ...] = ()  # of a struct


def same(promised: str, found: str) -> bool | None:
    """Whether two names mean one type ("VARCHAR(10)" and "character varying(10)"); None where they cannot be compared."""
    if _plain(promised) == _plain(found):
        return True
    return _same(_read(promised), _read(found))


def _plain(name: str) -> str:
    return "".join(name.lower().replace('"', "").replace("`", "").split())


def _same(one: _Type | None, other: _Type | None) -> bool | None:
    if one is None or other is None:
        return None
    if _whole_decimal(one, other) or _whole_decimal(other, one):
        return True
    kinds = one.kinds & other.kinds
    if not kinds:
        return False
    if one.numbers and other.numbers and kinds & (_SIZED | {"decimal"}) and _padded(one, kinds) != _padded(other, kinds):
        return False
    if not one.parts or not other.parts:
        return True
    if len(one.parts) != len(other.parts) or (one.fields and other.fields and one.fields != other.fields):
        return False
    answers = [_same(*pair) for pair in zip(one.parts, other.parts, strict=True)]
    return False if False in answers else None if None in answers else True


def _whole_decimal(one: _Type, other: _Type) -> bool:
    """Snowflake and Oracle keep whole numbers as NUMBER, or NUMBER(38, 0), whatever they are called."""
    plain_number = not other.numbers and {"decimal", "float64"} <= other.kinds
    return bool(one.kinds & _WHOLE) and "decimal" in other.kinds and (plain_number or other.numbers in ((38,), (38, 0)))


def _padded(one: _Type, kinds: frozenset[str]) -> tuple[int, ...]:
    """DECIMAL(10) is DECIMAL(10, 0)."""
    return (*one.numbers, 0)[:2] if "decimal" in kinds else one.numbers[:1]


# --- reading names -------------------------------------------------------------------------------------------------


def _read(name: str) -> _Type | None:
    text = " ".join(name.lower().replace('"', "").replace("`", "").split()).removesuffix(" not null").removeprefix("!")
    if text.endswith("[]"):
        inner = _read(text[:-2])
        return _Type(frozenset({"array"}), (), (inner,)) if inner else None
    if sized := re.fullmatch(r"(.+)\[(\d+)\]", text):
        inner = _read(sized[1])
        return _Type(frozenset({"array"}), (), (inner,)) if inner else None
    found = _WITHIN.fullmatch(text)
    if found is None:
        return None
    words = "-".join(_WORDS.findall(f"{found['name']} {found['after']}"))
    kinds = _KINDS.get(words) or (frozenset({"interval"}) if words.startswith("interval-") else None)
    if kinds is None:
        return None
    inside = found["round"] if found["round"] is not None else found["angle"]
    return _Type(kinds) if inside is None else _inside(kinds, inside)


def _inside(kinds: frozenset[str], text: str) -> _Type | None:
    """What stands in parentheses: numbers, the types of elements, or the fields of a struct."""
    arguments = list(_split(text))
    if kinds & {"array", "map"}:
        read = [_read(argument) for argument in arguments]
        return _Type(kinds, (), tuple(part for part in read if part)) if all(read) else None
    if kinds & {"struct"}:
        pairs = [re.fullmatch(r"([^\s:]+)[\s:]+(.+)", argument) for argument in arguments]
        read = [_read(pair[2]) if pair else None for pair in pairs]
        if not all(read):
            return None
        return _Type(kinds, (), tuple(part for part in read if part), tuple(pair[1] for pair in pairs if pair))
    # VARCHAR(MAX), VARCHAR2(10 CHAR), TIMESTAMP('UTC', 6): words say nothing that is compared
    return _Type(kinds, tuple(int(argument.split()[0]) for argument in arguments if argument.split()[0].isdigit()))


def _split(text: str) -> Iterator[str]:
    """At commas that stand in no parentheses."""
    depth, start = 0, 0
    for index, character in enumerate(text):
        depth += (character in "(<[") - (character in ")>]")
        if character == "," and not depth:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()


def meanings(name: str) -> frozenset[str]:
    """What a type may mean, in the words of this module ("int64", "timestamptz"); none where it is not known."""
    found = _read(name)
    return found.kinds if found else frozenset()
