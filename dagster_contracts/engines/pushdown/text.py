"""Numbers, instants and times out of text, as expressions that no value of the text can make fail.

Databases read different texts as numbers ("1_000", "0x10", "inf") and as timestamps, and many raise where they cannot. So the same
regular expressions decide on every engine, and only text that they let through is cast.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.engines.pushdown.patterns import translated
from dagster_contracts.engines.pushdown.values import literal, matching
from dagster_contracts.engines.text_forms import TIME, TIMESTAMP

_DIGITS = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = rf"{_DIGITS}(?:[eE][+-]?[0-9]+)?"
# PostgreSQL raises for what is too large or too small for a float: this is certainly neither ...
_MODEST = r"[+-]?(?:[0-9]{1,200}(?:\.[0-9]{0,99})?|\.[0-9]{1,99})(?:[eE][+-]?[0-9]{1,2})?"
_NUMERIC = rf"{_DIGITS}(?:[eE][+-]?[0-9]{{1,3}})?"  # ... and this can be told by its exact numeric
_LARGEST = "1.7976931348623157e308"
_SMALLEST = "1e-307"


def trimmed(text: ir.StringValue, dialect: str) -> Any:
    """Without outer whitespace."""
    return text.re_replace(translated(r"^\s+|\s+$", dialect), "")


def number(text: ir.StringValue, dialect: str) -> Any:
    """Text as float64; null where it is not a finite number. Outer whitespace is allowed."""
    read = _postgres_float if dialect == "postgres" else _float
    return ibis.cases(
        (matching(text, f"^(?:{_NUMBER})$", dialect), read(text)),
        (matching(text, rf"^\s*(?:{_NUMBER})\s*$", dialect), read(trimmed(text, dialect))),
        else_=ibis.null("float64"),
    )


def spelled_alike(text: ir.StringValue, dialect: str) -> Any:
    """Text in which equal numbers are equal text, up to 15 characters, which floats hold exactly; longer text stays as it is."""
    read = number(text, dialect)
    return ibis.ifelse(read.notnull() & (text.length() <= 15), (read + literal(0.0)).cast("string"), text)


def whole_number(text: ir.StringValue, dialect: str) -> Any:
    """Text of up to 38 digits as an exact decimal, null where it is something else."""
    bare = trimmed(text, dialect)
    digits = matching(bare, "^[+-]?[0-9]{1,38}$", dialect)
    return ibis.ifelse(digits, bare, ibis.null("string")).cast("decimal(38, 0)")


def _float(text: ir.StringValue) -> Any:
    found: Any = text.cast("float64")
    return ibis.ifelse(found.abs() <= literal(float(_LARGEST)), found, ibis.null("float64"))


def _postgres_float(text: ir.StringValue) -> Any:
    exact: Any = text.cast("decimal")
    return ibis.cases(
        (text.re_search(f"^(?:{_MODEST})$"), text.cast("float64")),
        (~text.re_search(f"^(?:{_NUMERIC})$"), ibis.null("float64")),
        (exact.abs() > ibis.literal(_LARGEST).cast("decimal"), ibis.null("float64")),
        (exact.abs() < ibis.literal(_SMALLEST).cast("decimal"), ibis.literal(0.0)),
        else_=text.cast("float64"),
    )


def whole(found: Any) -> ir.BooleanValue:
    """Whether a float or decimal is integral. From 2**53 on every float is, and its floor may be beyond a 64-bit integer."""
    small = found.abs() < literal(2.0**53)
    return ibis.ifelse(small, found.floor() == found, found.abs() <= literal(float(_LARGEST)))


def instant(text: ir.StringValue, dialect: str) -> Any:
    """ISO 8601 text as a naive UTC timestamp, to the microsecond; null where it is none. Year 0 is none: Python has no such date."""
    clock = text.substr(10)
    seconds = ibis.ifelse(clock.substr(6, 1) == ":", clock.substr(7, 2), "00")
    full = ibis.cases(
        (text.length() == 10, text + " 00:00:00.0"),
        else_=text.substr(0, 10) + " " + clock.substr(1, 5) + ":" + seconds + "." + _fraction(clock, 9),
    )
    timed = matching(text, TIMESTAMP, dialect) & (text.substr(0, 4) != "0000")
    there: Any = full.cast("timestamp") if dialect == "postgres" else full.try_cast("timestamp")
    return ibis.ifelse(timed, there - _offset_minutes(text.substr(16)).as_interval("m"), ibis.null("timestamp"))


def clock(text: ir.StringValue, dialect: str) -> Any:
    """ISO 8601 text as a time of day, as the clock shows it: an offset is left aside. Null where it is none."""
    seconds = ibis.ifelse(text.substr(5, 1) == ":", text.substr(6, 2), "00")
    full = text.substr(0, 5) + ":" + seconds + "." + _fraction(text, 8)
    return ibis.ifelse(matching(text, TIME, dialect), full.cast("time"), ibis.null("time"))


def _fraction(text: ir.StringValue, at: int) -> Any:
    return ibis.ifelse(text.substr(at, 1).isin([".", ","]), text.re_extract("[.,]([0-9]{1,6})", 1), "0")


def _offset_minutes(tail: ir.StringValue) -> Any:
    """Of what stands after hours and minutes: ":30.5+02:00"."""
    minutes = ibis.ifelse(tail.re_search("[+-][0-9]{2}:?[0-9]{2}"), tail.re_extract("[+-][0-9]{2}:?([0-9]{2})", 1), "0")
    size: Any = tail.re_extract("[+-]([0-9]{2})", 1).cast("int32") * 60 + minutes.cast("int32")
    return ibis.cases((~tail.re_search("[+-]"), 0), (tail.contains("-"), -size), else_=size)
