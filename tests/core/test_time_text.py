"""Formats of dates and times, judged by what Polars and the pattern make of them."""

from __future__ import annotations

from datetime import date, datetime, time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.time_text import iso_bound, read_format, zone_problem

TYPES = {"date": pl.Date(), "timestamp": pl.Datetime("us"), "time": pl.Time()}


@pytest.mark.parametrize(
    ("form", "kind", "text", "iso"),
    [
        ("dd/MM/yyyy", "date", "03/02/2020", "2020-02-03"),
        ("d-MMM-yy", "date", "2-Feb-85", "1985-02-02"),
        ("d-MMM-uu", "date", "2-Feb-68", "2068-02-02"),
        ("EEEE, d MMMM yyyy", "date", "Thursday, 2 January 2020", "2020-01-02"),
        ("E dd.MM.yyyy", "date", "Thu 02.01.2020", "2020-01-02"),
        ("yyyy-DDD", "date", "2020-366", "2020-12-31"),
        ("yyyy 'o''clock' MM dd", "date", "2020 o'clock 01 02", "2020-01-02"),
        ("yyyy-MM-dd HH:mm:ss", "timestamp", "2020-01-02 03:04:05", "2020-01-02T03:04:05"),
        ("yyyy-MM-ddTHH:mm:ss", "timestamp", "2020-01-02T03:04:05", "2020-01-02T03:04:05"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "timestamp", "2020-01-02T03:04:05.123+02:00", "2020-01-02T03:04:05.123000+02:00"),
        ("yyyyMMddHHmmssSSS", "timestamp", "20200102030405123", "2020-01-02T03:04:05.123000"),
        ("yyyy-MM-dd HH:mm:ss.SS", "timestamp", "2020-01-02 03:04:05.12", "2020-01-02T03:04:05.120000"),
        ("yyyy-MM-dd HH:mm:ss,SSSSSS", "timestamp", "2020-01-02 03:04:05,123456", "2020-01-02T03:04:05.123456"),
        ("yyyy-MM-dd HH:mmX", "timestamp", "2020-01-02 03:04Z", "2020-01-02T03:04:00+00:00"),
        ("yyyy-MM-dd HH:mmZ", "timestamp", "2020-01-02 03:04-0130", "2020-01-02T03:04:00-01:30"),
        ("M/d/yyyy h:mm a", "timestamp", "1/2/2020 12:04 PM", "2020-01-02T12:04:00"),
        ("M/d/yyyy h:mm a", "timestamp", "1/2/2020 12:04 AM", "2020-01-02T00:04:00"),
        ("yyyyMMdd", "timestamp", "20200102", "2020-01-02T00:00:00"),
        ("HH:mm", "time", "10:04", "10:04:00"),
        ("hh:mm a", "time", "03:04 PM", "15:04:00"),
    ],
)
def test_formats(form: str, kind: str, text: str, iso: str) -> None:
    written = read_format(form)
    assert written.iso(text, kind) == iso
    texts = pl.Series([text])
    assert texts.str.contains(written.pattern).all()
    directives = written.directives(kind)
    assert directives is not None
    parsed = texts.str.strptime(TYPES[kind], directives).item()
    assert parsed == {"date": date, "timestamp": datetime, "time": time}[kind].fromisoformat(iso)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("YYYY-MM-dd", "YYYY is the year of a week, which is not read; a year is yyyy"),
        ("yyyy-MM-DD", "a day of the month is dd"),
        ("%Y-%m-%d", "no letter of DateTimeFormatter"),
        ("yyyy-MM-dd[ HH:mm]", "begins an optional part"),
        ("yyyy-MM-dd'T", "a quote that is not closed"),
        ("yyyy-MM-dd VV", "VV is not read"),
        ("HHmmssSS", "after a point only"),
        ("HH:mm HH", "gives the hour twice"),
        ("---", "names no part of a date or time"),
        ("", "names no part"),
        ("n", "n is not read"),
    ],
)
def test_formats_that_cannot_be_judged_say_why(form: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        read_format(form)
    assert form in str(refused.value)


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *(
            ("MM/yyyy", "date"),
            ("dd/MM", "date"),
            ("EEE", "date"),
            ("HH:mm", "date"),
            ("HH:mm", "timestamp"),
            ("yyyy-MM-dd HH", "timestamp"),
        ),
        *(("yyyy-MM-dd HH:mm", "time"), ("HH:mm.SSS", "time"), ("hh:mm", "time"), ("HH:mm a", "time"), ("dd HH:mm", "time")),
    ],
)
def test_what_is_no_whole_value_is_judged_by_its_shape(form: str, kind: str) -> None:
    assert read_format(form).directives(kind) is None


@pytest.mark.parametrize(
    ("form", "kind", "text"),
    [
        ("dd/MM/yyyy", "date", "3/02/2020"),
        ("dd/MM/yyyy", "date", "13/13/2020"),
        ("dd/MM/yyyy", "date", "30/02/2020"),
        ("dd/MM/yyyy", "date", "03/02/2020 "),
        ("yyyy-DDD", "date", "2021-366"),
        ("HH:mm", "time", "24:00"),
        ("d MMM yyyy", "date", "2 feb 2020"),
    ],
)
def test_texts_of_another_form(form: str, kind: str, text: str) -> None:
    written = read_format(form)
    with pytest.raises(ValueError, match=r"."):
        written.iso(text, kind)
    texts = pl.Series([text])
    parsed = texts.str.strptime(TYPES[kind], written.directives(kind) or "", strict=False)
    assert not (texts.str.contains(written.pattern).item() and parsed.is_not_null().item())


moments = st.datetimes(datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("2068-12-31"))
PARTS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "EEE": "%a"}


@given(
    moments,
    st.permutations(["yyyy", "MM", "dd", "HH", "mm", "ss"]),
    st.sampled_from(["MM", "MMM", "MMMM"]),
    st.sampled_from(["-", "/", " ", ". "]),
)
def test_what_is_written_is_read_back(moment: datetime, order: list[str], month: str, between: str) -> None:
    order = [month if part == "MM" else part for part in order]
    written = read_format(between.join(order))
    text = moment.strftime(between.join(PARTS[part] for part in order))
    whole = moment.replace(microsecond=0)
    assert written.iso(text, "timestamp") == whole.isoformat()
    assert pl.Series([text]).str.contains(written.pattern).item()
    assert pl.Series([text]).str.strptime(pl.Datetime("us"), str(written.directives("timestamp"))).item() == whole


@given(st.text(alphabet="yMdHhmsSaEXxZTDLu'-/:. []%#Gn", max_size=12))
def test_any_format_is_read_or_refused(form: str) -> None:
    try:
        written = read_format(form)
    except ValueError:
        return
    pl.Series(["2020"]).str.contains(written.pattern)  # Rust's dialect
    for kind, dtype in TYPES.items():
        if directives := written.directives(kind):
            pl.Series(["2020"]).str.strptime(dtype, directives, strict=False)


def test_bounds() -> None:
    assert iso_bound("2020-07-01", "date", None, "UTC") == "2020-07-01"
    assert iso_bound("01.07.2020", "date", read_format("dd.MM.yyyy"), "UTC") == "2020-07-01"
    assert iso_bound("2020-07-01T00:00", "timestamp", None, "America/New_York") == "2020-07-01T00:00:00-04:00"
    assert iso_bound("2020-07-01T00:00+01:00", "timestamp", None, "America/New_York") == "2020-07-01T00:00+01:00"
    with pytest.raises(ValueError, match=r'"1.7.20" is no date in ISO 8601 or dd.MM.yyyy'):
        iso_bound("1.7.20", "date", read_format("dd.MM.yyyy"), "UTC")


def test_zones() -> None:
    assert zone_problem("Europe/Rome") is None
    assert zone_problem("UTC") is None
    for wrong in ("Europe", "../etc/passwd", "+01:00", "", "Europe/Rom"):
        assert "no time zone" in str(zone_problem(wrong))
