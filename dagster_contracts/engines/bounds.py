"""The values that a contract lists and the bounds it sets, as the values that an engine compares with. No frames, no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from zoneinfo import ZoneInfo

from dagster_contracts.core.metrics import OutOfRange


def as_instant(text: str, zone: str = "UTC") -> datetime | None:
    """An ISO 8601 bound as naive UTC, in `zone` where it says no other; None where it is not one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return found.astimezone(UTC).replace(tzinfo=None)


def as_time(text: str) -> time | None:
    """An ISO 8601 time of day without its offset; None where it is not one."""
    try:
        return time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def spelled_numbers(texts: Iterable[str]) -> list[int | float]:
    """Numbers whose own text form is one of `texts`: "1" is the text of 1, "01" is not."""
    found: list[int | float] = []
    for text in texts:
        for kind in (int, float):
            try:
                spelled = kind(text)
            except ValueError:
                continue
            if str(spelled) == text and math.isfinite(spelled):
                found.append(spelled)
    return found


_ALL_DIGITS = Context(prec=200)


def at_scale(number: int | float, scale: int, precision: int) -> Decimal | None:
    """The number as a decimal of `precision` digits, `scale` of them fractional; None where it has more."""
    exact = Decimal(str(number))
    try:
        fitted = exact.quantize(Decimal(1).scaleb(-scale), context=_ALL_DIGITS)
    except InvalidOperation:
        return None
    return fitted if fitted == exact and fitted.copy_abs() < 10 ** (precision - scale) else None


def whole_bounds(metric: OutOfRange, scale: int = 0) -> tuple[int | None, int | None]:
    """The numeric bounds of values times 10**scale as inclusive integers. A float is the number it is written as."""
    low = high = None
    if isinstance(metric.minimum, int | float):
        least = Fraction(str(metric.minimum)) * 10**scale
        low = math.floor(least) + 1 if metric.exclusive_minimum else math.ceil(least)
    if isinstance(metric.maximum, int | float):
        most = Fraction(str(metric.maximum)) * 10**scale
        high = math.ceil(most) - 1 if metric.exclusive_maximum else math.floor(most)
    return low, high
