"""Dates, timestamps and times of day: of typed columns, of ISO 8601 text, and of text in another format."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dagster_contracts.core.metrics import TimeText
from dagster_contracts.engines.polars.values import Fits, NotComparable, Values, is_text
from dagster_contracts.engines.text_forms import DATE_ONLY, TIME, TIMES, TIMESTAMP, TIMESTAMPS

_HAS_OFFSET = "(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_OFFSET_DIRECTIVES = ("%z", "%:z", "%#z")


# --- logical types -------------------------------------------------------------------------------------------------


def of_date(values: Values, text: TimeText | None) -> Fits:
    if is_text(values.dtype):
        return values.plain.str.contains(DATE_ONLY) if _iso_text(text) else _written(values.plain, text, _as_datetime)
    if isinstance(values.dtype, pl.Datetime):  # pandas has no date type: midnight, in the column's own time zone, is a date
        local = values.found.dt.replace_time_zone(None)
        return local.dt.truncate("1d") == local
    return values.dtype == pl.Date


def of_timestamp(values: Values, text: TimeText | None, zoned: bool | None) -> Fits:
    if is_text(values.dtype):
        spelled = values.plain.str.contains(TIMESTAMPS[zoned]) if _iso_text(text) else _written(values.plain, text, _as_datetime, zoned)
        return spelled if text is None or text.zone == "UTC" else _shown(spelled, values, text)
    if isinstance(values.dtype, pl.Datetime):
        return zoned is None or zoned == (values.dtype.time_zone is not None)
    return values.dtype == pl.Date and not zoned


def _shown(spelled: Fits, values: Values, text: TimeText) -> Fits:
    """Without the times that the clocks of the zone leap over."""
    if isinstance(spelled, bool) or (text.format is not None and text.directives is None):
        return spelled
    point = instant(values, text)
    assert point is not None
    return spelled & point.is_not_null()


def of_time(values: Values, text: TimeText | None, zoned: bool | None) -> Fits:
    if is_text(values.dtype):
        return values.plain.str.contains(TIMES[zoned]) if _iso_text(text) else _written(values.plain, text, _as_time, zoned)
    return values.dtype == pl.Time and not zoned


def _iso_text(text: TimeText | None) -> bool:
    return text is None or text.format is None


def _written(found: pl.Expr, text: TimeText | None, parse: Callable[[pl.Expr, str], pl.Expr], zoned: bool | None = None) -> Fits:
    """Which text is written in a format of the contract's own. Directives alone are too lenient, a pattern alone knows no calendar."""
    assert text is not None
    if zoned is not None and text.directives is not None and zoned != _has_offset(text.directives):
        return False  # the format itself says whether its texts carry a time zone
    parts = []
    if text.pattern is not None:
        parts.append(found.str.contains(_whole(text.pattern)))
    if text.directives is not None:
        parts.append(parse(found, text.directives).is_not_null())
    return pl.all_horizontal(parts) if parts else True


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


# --- instants ------------------------------------------------------------------------------------------------------


def instant(values: Values, text: TimeText | None = None) -> pl.Expr | None:
    """The values as naive UTC, null where text is no date or timestamp. None: the type holds no instants."""
    zone = "UTC" if text is None else text.zone
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime):
        return _in_utc(values.found, zone) if dtype.time_zone is None else _without_zone(values.found)
    if dtype == pl.Date:
        return _in_utc(values.found.cast(pl.Datetime("us")), zone)
    if not is_text(dtype):
        return None
    if text is None or text.format is None:
        return _iso(values.plain, zone)
    directives = _directives(text)
    parsed = _as_datetime(_matching(values.plain, text), directives)
    return _without_zone(parsed) if _has_offset(directives) else _in_utc(parsed, zone)


def _directives(text: TimeText) -> str:
    if text.directives is None:
        raise NotComparable(f'dates and times written as "{text.format}" are not read')
    return text.directives


def _matching(found: pl.Expr, text: TimeText) -> pl.Expr:
    return found if text.pattern is None else pl.when(found.str.contains(_whole(text.pattern))).then(found)


def _without_zone(found: pl.Expr) -> pl.Expr:
    return found.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _in_utc(naive: pl.Expr, zone: str) -> pl.Expr:
    """Local times as UTC: of an hour that clocks show twice the first one; null in an hour that they leap over."""
    if zone == "UTC":
        return naive
    return _without_zone(naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null"))


def _iso(text: pl.Expr, zone: str) -> pl.Expr:
    # A zone is given to every text, so that two formats are enough: with and without seconds.
    shaped = pl.when(text.str.contains(TIMESTAMP)).then(text)
    zoned = has_offset(shaped)
    spelled = shaped.str.replace(" ", "T", literal=True).str.replace(",", ".", literal=True)
    full = (
        pl.when(shaped.str.len_chars() == 10)
        .then(shaped + pl.lit("T00:00Z"))
        .when(zoned)
        .then(spelled.str.replace(r"z$", "Z"))
        .otherwise(spelled + pl.lit("Z"))
    )
    parsed = [full.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ("%FT%T%.f%#z", "%FT%R%#z")]
    found = pl.coalesce(parsed).dt.replace_time_zone(None)
    return found if zone == "UTC" else pl.when(zoned).then(found).otherwise(_in_utc(found, zone))


def has_offset(text: pl.Expr) -> pl.Expr:
    """Whether text that is a date or timestamp of ISO 8601 carries a time zone."""
    return (text.str.len_chars() > 10) & text.str.contains(_HAS_OFFSET)


def _as_datetime(text: pl.Expr, directives: str) -> pl.Expr:
    zone = "UTC" if _has_offset(directives) else None
    return text.str.to_datetime(directives, time_unit="us", time_zone=zone, strict=False)


def _has_offset(directives: str) -> bool:
    return any(directive in directives for directive in _OFFSET_DIRECTIVES)


# --- times of day --------------------------------------------------------------------------------------------------


def clock(values: Values, text: TimeText | None = None) -> pl.Expr | None:
    """The values as times of day, as the clock shows them: an offset is left aside. None: the type holds none."""
    if values.dtype == pl.Time:
        return values.found
    if not is_text(values.dtype):
        return None
    if text is not None and text.format is not None:
        return _as_time(_matching(values.plain, text), _directives(text))
    shaped = pl.when(values.plain.str.contains(TIME)).then(values.plain)
    shown = shaped.str.extract(r"^([0-9:.,]+)").str.replace(",", ".", literal=True)
    return pl.coalesce(shown.str.to_time(form, strict=False) for form in ("%T%.f", "%R"))


def _as_time(text: pl.Expr, directives: str) -> pl.Expr:
    return text.str.to_time(directives, strict=False)
