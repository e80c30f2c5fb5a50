"""Names of physical types that mean the same, another, or nothing that can be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.physical import same

SAME = [
    ("VARCHAR(10)", "character varying(10)"),
    ("varchar", "text"),
    ("string", "VARCHAR(16777216)"),
    ("VARCHAR2(10 CHAR)", "varchar(10)"),
    ("varchar(max)", "varchar(10)"),
    ("integer", "int4"),
    ("INT", "NUMBER(38,0)"),
    ("number", "integer"),
    ("INT64", "BIGINT"),
    ("integer", "INT64"),
    ("int unsigned", "uint32"),
    ("NUMBER(10,2)", "DECIMAL(10, 2)"),
    ("decimal(10)", "numeric(10,0)"),
    ("decimal", "numeric(10,2)"),
    ("double precision", "float8"),
    ("float", "double"),
    ("float", "real"),
    ("timestamp", "timestamp without time zone"),
    ("timestamp", "timestamp_ltz"),
    ("TIMESTAMP(6) WITH TIME ZONE", "timestamptz"),
    ("timestamp('UTC', 6)", "TIMESTAMP_TZ(9)"),
    ("INTERVAL DAY(2) TO SECOND(6)", "interval"),
    ("ARRAY<STRING>", "VARCHAR[]"),
    ("array", "INTEGER[]"),
    ("VECTOR(FLOAT, 3)", "vector(float,3)"),
    ("STRUCT<a:int,b:string>", "STRUCT(a INTEGER, b VARCHAR)"),
    ("ROW(a integer, b array(varchar))", "struct<a: int32, b: array<string>>"),
    ("map<string,int>", "MAP(VARCHAR, INTEGER)"),
    ("jsonb", "json"),
    ("!string", "text"),
    ("mood", "MOOD"),
]
OTHERS = [
    ("VARCHAR(10)", "varchar(20)"),
    ("int", "bigint"),
    ("int", "varchar"),
    ("char(3)", "varchar(3)"),
    ("decimal(10,2)", "decimal(12,2)"),
    ("decimal(10,2)", "integer"),
    ("numeric", "int"),
    ("number(19,0)", "bigint"),
    ("double", "decimal"),
    ("date", "timestamp"),
    ("timestamp_ntz", "TIMESTAMP_TZ(9)"),
    ("time", "timestamp"),
    ("array<int>", "array<string>"),
    ("STRUCT<a:int>", "STRUCT<b:int>"),
    ("STRUCT<a:int>", "STRUCT<a:int,b:int>"),
    ("map<string,int>", "map<string,bigint>"),
]
UNKNOWN = [("mood", "varchar"), ("NameStyle", "bool"), ("varchar", "mood"), ("array<mood>", "array<int>"), ("(", ")"), ("", "int")]


@pytest.mark.parametrize(
    ("one", "other", "answer"), [*((*p, True) for p in SAME), *((*p, False) for p in OTHERS), *((*p, None) for p in UNKNOWN)]
)
def test_same(one: str, other: str, answer: bool | None) -> None:
    assert same(one, other) is answer
    assert same(other, one) is answer
    assert same(one.upper(), other.lower()) is answer


@given(st.text(max_size=30) | st.text(alphabet='intvarchosumplye<>()[], :0123"', max_size=30), st.text(max_size=30))
def test_any_name_is_itself(one: str, other: str) -> None:
    assert same(one, one) is True
    assert same(one, other) in (True, False, None)
