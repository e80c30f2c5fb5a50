"""Dates and times as text: the formats of JDK's DateTimeFormatter, which ODCS asks for, as a pattern and as strptime directives. Pure.

Decisions: names of months and days are English; a `T` need not be quoted (it means nothing else); two-digit years are those of
strptime, 1969 to 2068; `yyyy` and `uuuu` are four digits; `Z` reads +0100, and Z itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from dagster_contracts.core.errors import did_you_mean

_MONTHS = (
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
)
_DAYS = (["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
ISO_FORMATS = ("date", "date-time", "time", "iso8601", "iso-8601", "rfc3339", "rfc-3339")  # words for ISO 8601, in lower case
_HOUR = "(?:[01][0-9]|2[0-3])"

# A run of one letter -> the field it fills, its regular expression, its directive (chrono's, as Polars reads them).
_LETTERS: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("yyyy", "uuuu"), ("year", "[0-9]{4}", "%Y")),
    **dict.fromkeys(("yy", "uu"), ("short_year", "[0-9]{2}", "%y")),
    **dict.fromkeys(("MM", "LL"), ("month", "(?:0[1-9]|1[0-2])", "%m")),
    **dict.fromkeys(("M", "L"), ("month", "(?:0?[1-9]|1[0-2])", "%m")),
    **dict.fromkeys(("MMM", "LLL"), ("short_month", f"(?:{'|'.join(_MONTHS[1])})", "%b")),
    **dict.fromkeys(("MMMM", "LLLL"), ("long_month", f"(?:{'|'.join(_MONTHS[0])})", "%B")),
    "dd": ("day", "(?:0[1-9]|[12][0-9]|3[01])", "%d"),
    "d": ("day", "(?:0?[1-9]|[12][0-9]|3[01])", "%d"),
    "DDD": ("day_of_year", "(?:[0-2][0-9]{2}|3[0-5][0-9]|36[0-6])", "%j"),
    **dict.fromkeys(("E", "EE", "EEE"), ("weekday", f"(?:{'|'.join(_DAYS[1])})", "%a")),
    "EEEE": ("weekday", f"(?:{'|'.join(_DAYS[0])})", "%A"),
    "a": ("half", "[AaPp][Mm]", "%p"),
    "HH": ("hour", _HOUR, "%H"),
    "H": ("hour", "(?:[01]?[0-9]|2[0-3])", "%H"),
    "hh": ("half_hour", "(?:0[1-9]|1[0-2])", "%I"),
    "h": ("half_hour", "(?:0?[1-9]|1[0-2])", "%I"),
    "mm": ("minute", "[0-5][0-9]", "%M"),
    "m": ("minute", "[0-5]?[0-9]", "%M"),
    "ss": ("second", "[0-5][0-9]", "%S"),
    "s": ("second", "[0-5]?[0-9]", "%S"),
    "X": ("offset", f"(?:Z|[+-]{_HOUR}(?:[0-5][0-9])?)", "%#z"),
    "XX": ("offset", f"(?:Z|[+-]{_HOUR}[0-5][0-9])", "%#z"),
    "XXX": ("offset", f"(?:Z|[+-]{_HOUR}:[0-5][0-9])", "%#z"),
    "x": ("offset", f"[+-]{_HOUR}(?:[0-5][0-9])?", "%#z"),
    "xx": ("offset", f"[+-]{_HOUR}[0-5][0-9]", "%#z"),
    **dict.fromkeys(("Z", "ZZ", "ZZZ"), ("offset", f"(?:Z|[+-]{_HOUR}[0-5][0-9])", "%#z")),
    "xxx": ("offset", f"[+-]{_HOUR}:[0-5][0-9]", "%#z"),
}
_RUN = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)
_REASONS = {
    "Y": "is the year of a week, which is not read; a year is yyyy",
    "D": "is a day of the year, which is read as DDD; a day of the month is dd",
    "[": "begins an optional part, which is not read",
    "]": "ends an optional part, which is not read",
    "%": "is no letter of DateTimeFormatter, which ODCS asks for; a date is yyyy-MM-dd",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A format. `dated` and `clocked` say whether its texts name a whole date, and a whole time of day."""

    format: str
    pattern: str
    all_directives: str
    dated: bool
    clocked: bool
    fields: re.Pattern[str]

    def directives(self, logical_type: str) -> str | None:
        """For a strptime parser; None where the texts do not make a whole value of the type: their shape alone can be looked at."""
        whole = self.clocked and not self.dated if logical_type == "time" else self.dated
        return self.all_directives if whole else None

    def iso(self, text: str, logical_type: str) -> str:
        """A date, timestamp or time of this format as ISO 8601. Raises ValueError."""
        found = self.fields.fullmatch(text)
        if found is None or self.directives(logical_type) is None:
            raise ValueError(f'"{text}" is not written as {self.format}')
        given = found.groupdict()
        clock = _time(given)
        if logical_type == "time":
            return clock.isoformat()
        day = _date(given)
        return day.isoformat() if logical_type == "date" else datetime.combine(day, clock).isoformat()


@lru_cache(maxsize=512)
def read_format(form: str) -> Written:
    """What a DateTimeFormatter pattern says. Raises ValueError where it cannot be judged, with the reason."""
    shape, groups, directives = "", "", ""
    fields: set[str] = set()
    for field, expression, directive in _parts(form):
        if field and field in fields:
            raise ValueError(f'format "{form}" gives the {field.replace("_", " ")} twice')
        if field == "fraction" and directive == "%.f" and directives.endswith("."):
            directives = directives[:-1]
        elif field == "fraction" and directive == "%.f":
            raise ValueError(f'format "{form}": {expression} is read after a point only, or with 3, 6 or 9 digits')
        shape += expression
        groups += f"(?P<{field}>{expression})" if field else expression
        directives += directive
        fields.add(field)
    if not fields - {""}:
        raise ValueError(f'format "{form}" names no part of a date or time')
    dated, clocked = _whole(fields)
    return Written(form, f"^{shape}$", directives, dated, clocked, re.compile(groups))


def _parts(form: str) -> Iterator[tuple[str, str, str]]:
    """Field (empty for literals), regular expression and directive of each run of letters."""
    for found in _RUN.finditer(form):
        run, letter = found[0], found[1]
        if run == "'":
            raise ValueError(f'format "{form}" has a quote that is not closed')
        if run in _LETTERS:
            yield _LETTERS[run]
        elif letter == "S" and len(run) <= 9:
            yield "fraction", f"[0-9]{{{len(run)}}}", "%.f" if len(run) not in (3, 6, 9) else f"%{len(run)}f"
        elif (letter and run != "T") or run in "[]%{}#":
            raise ValueError(f'format "{form}": {run} {_REASONS.get(run[0], "is not read")}')
        else:
            text = run[1:-1].replace("''", "'") or "'" if run[0] == "'" else run
            yield "", re.escape(text).replace(r"\ ", " "), text.replace("%", "%%")


def _whole(fields: set[str]) -> tuple[bool, bool]:
    """Whether a date and a time of day follow. What is begun must be whole: hours need minutes, and halves of the day each other."""
    month = fields & {"month", "short_month", "long_month"}
    year = fields & {"year", "short_year"}
    dated = bool(year and ((month and "day" in fields) or "day_of_year" in fields))
    hour = {"hour"} if "hour" in fields else {"half_hour", "half"}
    clock = fields & {"hour", "half_hour", "half", "minute", "second", "fraction"}
    needed = hour | {"minute"} | ({"second"} if "fraction" in fields else set())
    clocked = needed <= clock and clock <= needed | {"second", "fraction"}
    begun = bool(month or year or fields & {"day", "day_of_year", "weekday"})
    return dated and (clocked or not clock), clocked and (dated or not begun)


def _date(given: dict[str, str | None]) -> date:
    short = given.get("short_year")
    year = int(given.get("year") or (f"20{short}" if int(short or 0) < 69 else f"19{short}"))
    if day_of_year := given.get("day_of_year"):
        found = date(year, 1, 1) + timedelta(days=int(day_of_year) - 1)
        if found.year != year:
            raise ValueError(f"{year} has no day {day_of_year}")
        return found
    names: tuple[tuple[str, list[str]], ...] = (("long_month", _MONTHS[0]), ("short_month", _MONTHS[1]))
    named = next((months.index(name) + 1 for field, months in names if (name := given.get(field))), None)
    return date(year, named or int(given.get("month") or 0), int(given.get("day") or 0))


def _time(given: dict[str, str | None]) -> time:
    hour = int(given.get("hour") or 0)
    if half_hour := given.get("half_hour"):
        hour = int(half_hour) % 12 + (12 if (given.get("half") or "").lower() == "pm" else 0)
    micros = int(f"{given.get('fraction') or '0':0<6}"[:6])
    return time(hour, int(given.get("minute") or 0), int(given.get("second") or 0), micros, _offset(given.get("offset")))


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return timezone.utc  # noqa: UP017  (its siblings are timezones too)
    digits = f"{text[1:].replace(':', '')}00"
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]))
    return timezone(-span if text[0] == "-" else span)


# --- ISO 8601 and time zones ---------------------------------------------------------------------------------------

_ISO: dict[str, Callable[[str], date | time]] = {
    "date": datetime.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "time": time.fromisoformat,
}


def iso_bound(text: str, logical_type: str | None, written: Written | None, zone: str) -> str:
    """A bound of dates or times as ISO 8601: as the format says, or ISO 8601 already. In a zone other than UTC it gets its offset.

    Raises ValueError.
    """
    try:
        if written is not None and written.fields.fullmatch(text):
            iso = written.iso(text, logical_type or "timestamp")
        else:
            _ISO.get(logical_type or "", datetime.fromisoformat)(text)
            iso = text
    except ValueError:
        what = logical_type or "date or timestamp"
        form = f" or {written.format}" if written else ""
        raise ValueError(f'"{text}" is no {what} in ISO 8601{form}') from None
    if zone == "UTC" or logical_type != "timestamp":
        return iso
    moment = datetime.fromisoformat(iso)
    return iso if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)).isoformat()


@lru_cache(maxsize=512)
def zone_problem(name: str) -> str | None:
    """Why `name` is no IANA time zone, or None."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a directory of the database, a path outside of it, an unknown name
        near = did_you_mean(name[:80], available_timezones())
        return f'"{name[:80]}" is no time zone of the IANA database{near or ", such as Europe/Rome or UTC"}'
    return None
