"""ISO 8601 durations (PT30M, P3D, P1DT2H) of weeks, days, hours, minutes and seconds."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"P(?=[0-9T])(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?", re.ASCII)
_CALENDAR = re.compile(r"P[^T]*\d[YM]")


def parse_duration(text: str, *, any_case: bool = False) -> timedelta:
    """`text` as a timedelta; with `any_case` also of small letters, as people type them. Raises ValueError that says what is wrong and what
    is right."""
    form = text.upper() if any_case else text
    if not (found := _FORM.fullmatch(form)):
        if _CALENDAR.match(form):
            raise ValueError(f'"{text[:40]}" counts in years or months, which have no fixed length; use weeks or days, such as P30D')
        raise ValueError(f'"{text[:40]}" is not an ISO 8601 duration such as PT30M, P3D or P1DT2H')
    weeks, days, hours, minutes, seconds = (part or "0" for part in found.groups())
    try:
        whole, _, fraction = seconds.partition(".")
        return timedelta(
            weeks=int(weeks),
            days=int(days),
            hours=int(hours),
            minutes=int(minutes),
            seconds=int(whole),
            microseconds=int(fraction.ljust(6, "0")) if fraction else 0,
        )
    except (OverflowError, ValueError):
        raise ValueError(f'"{text[:40]}" is too long a duration') from None


def format_duration(duration: timedelta) -> str:
    """The shortest form that `parse_duration` reads back to the same value; negative durations raise ValueError."""
    if duration < timedelta(0):
        raise ValueError(f"{duration} is negative")
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{duration.microseconds:06d}".rstrip("0") if duration.microseconds else ""
    date = f"{duration.days}D" if duration.days else ""
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{seconds}{fraction}S" if seconds or fraction else ""]
    time = "".join(parts)
    return f"P{date}T{time}" if time else f"P{date or 'T0S'}"
