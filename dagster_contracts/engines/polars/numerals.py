"""Text of numbers in one spelling for each number: "1", "1.0", "01", " 1" and "1e0" are "1". Exact, whatever the number of digits."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

_SPELLED = r"^(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])$"
_DECIMAL = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)$"
_SCIENTIFIC = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}$"


def spelled_alike(text: pl.Expr) -> pl.Expr:
    """Text in which equal numbers are equal text; what is no number stays as it is."""
    return text.map_batches(_alike, return_dtype=pl.String, is_elementwise=True)


def _alike(found: pl.Series) -> pl.Series:
    """Most text is spelled so already, and looked at once."""
    usual = found.str.contains(_SPELLED).fill_null(value=True)
    if usual.all():
        return found
    frame = pl.DataFrame([found.alias("found"), usual.alias("usual")])
    text = pl.col("found")
    bare = pl.when(pl.col("usual").not_()).then(text.str.strip_chars())
    written = pl.when(bare.str.contains(_SCIENTIFIC)).then(bare).map_batches(_written_out, return_dtype=pl.String)
    number = _shortest(pl.coalesce(written, pl.when(bare.str.contains(_DECIMAL)).then(bare)))
    return frame.select(pl.coalesce(number, text).alias(found.name)).to_series()


def _shortest(decimal: pl.Expr) -> pl.Expr:
    """Without a plus, zeros in front and at the end, a bare point, and the sign of zero."""
    signed = decimal.str.strip_prefix("+").str.replace(r"^(-?)0*([0-9])", "${1}${2}").str.replace(r"^(-?)\.", "${1}0.")
    ended = signed.str.strip_chars_end("0").str.strip_chars_end(".")
    shortened = pl.when(signed.str.contains(".", literal=True)).then(ended).otherwise(signed)
    return pl.when(shortened == "-0").then(pl.lit("0")).otherwise(shortened)


def _written_out(found: pl.Series) -> pl.Series:
    """Without an exponent, which has three digits at most."""
    if found.null_count() == len(found):
        return found
    return pl.Series(found.name, [None if each is None else f"{Decimal(each):f}" for each in found], dtype=pl.String)
