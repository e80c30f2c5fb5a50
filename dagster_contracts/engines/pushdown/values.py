"""A column of an ibis Table as it is judged: NaN is null, and what a database writes as text (UUIDs, addresses) is text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from dagster_contracts.engines.pushdown.patterns import Inexpressible, translated

Fits = ir.BooleanValue | bool  # True or False where the type alone decides; else null or false for what does not fit

NAMES = {
    "bigquery": "BigQuery",
    "databricks": "Databricks",
    "duckdb": "DuckDB",
    "postgres": "PostgreSQL",
    "pyspark": "Spark",
    "snowflake": "Snowflake",
    "trino": "Trino",
}


@dataclass(frozen=True, slots=True)
class Values:
    """A column, or what stands at a path within one. `dialect` is the name of the ibis backend: "duckdb", "postgres", "pyspark"."""

    found: Any  # ibis has a class of expressions for each type, and finds out which at run time
    dialect: str

    @property
    def dtype(self) -> dt.DataType:
        found: dt.DataType = self.found.type()
        return found

    @property
    def plain(self) -> Any:
        """As they are judged: NaN is null."""
        if self.dtype.is_floating():
            return ibis.ifelse(self.found.isnan(), ibis.null(self.dtype), self.found)
        if self.dtype.is_decimal() and self.dialect == "postgres":  # whose numeric has a NaN
            return ibis.ifelse(self.found.cast("float64").isnan(), ibis.null(self.dtype), self.found)
        if self.dtype.is_uuid() or self.dtype.is_inet() or self.dtype.is_macaddr():
            return self.found.cast("string")
        return self.found

    @property
    def present(self) -> ir.BooleanValue:
        """Which are no nulls."""
        return self.plain.notnull()

    @property
    def is_text(self) -> bool:
        found: bool = self.dtype.is_string() or self.dtype.is_uuid() or self.dtype.is_inet() or self.dtype.is_macaddr()
        return found

    @property
    def is_number(self) -> bool:
        found: bool = self.dtype.is_integer() or self.dtype.is_floating() or self.dtype.is_decimal()
        return found

    @property
    def is_instant(self) -> bool:
        found: bool = self.dtype.is_timestamp() or self.dtype.is_date()
        return found

    def known(self) -> Values:
        """Itself. Raises Inexpressible for a type that ibis does not know, and for JSON, whose values each have a type of their own."""
        if self.dtype.is_unknown() or self.dtype.is_json():
            raise Inexpressible(f"a {self.dtype} column is not looked into")
        return self


def text_of(values: Values) -> ir.StringValue | None:
    """The text form of the values. None: the type has none, and no pattern or length fits it.

    Raises Inexpressible for floats and times, which every database writes in its own way.
    """
    if values.is_text:
        return values.plain
    if values.dtype.is_floating() or values.dtype.is_timestamp() or values.dtype.is_time():
        raise Inexpressible(f"a {values.dtype} column has no text form that is the same in every database")
    plain = values.is_number or values.dtype.is_boolean() or values.dtype.is_date()
    return values.plain.cast("string") if plain else None


def matching(text: ir.StringValue, pattern: str, dialect: str) -> ir.BooleanValue:
    """Whether a contract's pattern finds a match. Raises Inexpressible."""
    if dialect == "snowflake":  # ibis puts ".*" around the pattern, which holds neither for "a|b" nor over a line feed
        return _regexp_instr(text, translated(pattern, dialect)) > 0
    return text.re_search(translated(pattern, dialect))


@ibis.udf.scalar.builtin(name="regexp_instr")  # type: ignore[untyped-decorator]
def _regexp_instr(text: str, pattern: str) -> int:  # type: ignore[empty-body]
    """Snowflake's."""


def literal(value: float) -> ir.FloatingValue:
    """A float that every database reads alike: 0.1 is a decimal to some."""
    return ibis.literal(repr(value)).cast("float64")


def between(found: Any, low: int | None, high: int | None) -> ir.BooleanValue:
    """Whether an integer is within inclusive bounds, either of which may be beyond what its type holds."""
    least, greatest = limits(found.type())
    if (low is not None and low > greatest) or (high is not None and high < least):
        return ibis.literal(False)
    parts = []
    if low is not None and low > least:
        parts.append(found >= low)
    if high is not None and high < greatest:
        parts.append(found <= high)
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else found.notnull()


def limits(dtype: dt.DataType) -> tuple[int, int]:
    assert isinstance(dtype, dt.Integer)
    return dtype.bounds.lower, dtype.bounds.upper
