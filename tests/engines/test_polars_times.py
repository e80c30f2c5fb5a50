"""Dates and times in formats of the contract's own, in other time zones, and times of day."""

# ruff: noqa: DTZ001 - naive times are among what is measured
from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import Metric, Newest, NotIn, Oldest, OutOfRange, TimeText, TypeBreaches
from dagster_contracts.core.time_text import read_format
from dagster_contracts.core.verdict import Count, Instant, Measured, Measurement, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()
ROME = "Europe/Rome"
ISO_IN_ROME = TimeText(zone=ROME)


def measured(data: object, *metrics: Metric) -> list[Measured]:
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


def counts(values: object, *metrics: Metric) -> list[int]:
    found = measured(pl.DataFrame({"t": values}), *metrics)
    assert all(isinstance(each, Count) for each in found), found
    return [each.value for each in found if isinstance(each, Count)]


def written(form: str, logical_type: str = "date", zone: str = "UTC") -> TimeText:
    found = read_format(form)
    return TimeText(form, found.pattern, found.directives(logical_type), zone)


# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "kind", "good", "bad"),
    [
        (
            "dd/MM/yyyy",
            "date",
            ["29/02/2024", "01/12/1999"],
            ["29/02/2023", "2024-02-29", "1/2/2024", "02/29/2024", " 29/02/2024", "29/02/2024 "],
        ),
        ("d.M.yyyy", "date", ["1.2.2024", "31.12.2024"], ["32.1.2024", "1.13.2024"]),
        ("yyyyMMdd", "date", ["20240229"], ["20240230", "2024-02-29"]),
        ("yyyy-MM-dd HH:mm:ss", "timestamp", ["2024-02-29 23:59:59"], ["2024-02-29 24:00:00", "2024-02-29T23:59:59", "2024-02-29"]),
        (
            "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "timestamp",
            ["2024-02-29T10:00:00.123+02:00", "2024-02-29T10:00:00.000Z"],
            ["2024-02-29T10:00:00Z"],
        ),
        ("hh:mm a", "time", ["01:30 PM", "12:00 am"], ["13:30 PM", "1:30 PM", "01:30"]),
        ("HHmm", "time", ["0000", "2359"], ["2400", "12:30"]),
        ("MMM yyyy", "date", ["Jan 2024"], ["January 2024", "13 2024"]),
    ],
)
def test_text_is_judged_by_the_format_of_the_contract(form: str, kind: str, good: list[str], bad: list[str]) -> None:
    metric = TypeBreaches("t", kind, written(form, kind))
    assert counts([*good, None], metric) == [0]
    for text in bad:
        assert counts([text], metric) == [1], text


@settings(max_examples=100, deadline=None)
@given(
    days=st.lists(st.dates(date(1000, 1, 1), date(9999, 12, 31)), min_size=1),
    low=st.dates(date(1900, 1, 1)),
    high=st.dates(date(1900, 1, 1)),
)
def test_dates_in_another_format_compare_with_iso_bounds(days: list[date], low: date, high: date) -> None:
    text = written("dd/MM/yyyy")
    values = [f"{day:%d/%m/}{day.year:04d}" for day in days]
    metric = OutOfRange("t", low.isoformat(), high.isoformat(), exclusive_maximum=True, text=text)
    assert counts(values, metric) == [sum(not low <= day < high for day in days)]
    midnight = [datetime.combine(day, time(), UTC) for day in (min(days), max(days))]
    assert measured(pl.DataFrame({"t": values}), Oldest("t", text), Newest("t", text)) == [Instant(each) for each in midnight]


def test_text_that_does_not_read_is_outside() -> None:
    text = written("dd/MM/yyyy")
    assert counts(["31/02/2024", "x", None, "01/03/2024"], OutOfRange("t", "2024-01-01", None, text=text)) == [2]
    assert counts([5], OutOfRange("t", "2024-01-01", None, text=text)) == [1]
    assert measured(pl.DataFrame({"t": ["x", None]}), Newest("t", text)) == [Instant(None)]


def test_a_format_whose_texts_are_no_whole_dates_is_judged_by_shape_alone() -> None:
    shape = TimeText("MM-dd", read_format("MM-dd").pattern)
    assert counts(["02-29", "13-01"], TypeBreaches("t", "date", shape)) == [1]
    (found,) = measured(pl.DataFrame({"t": ["02-29"]}), OutOfRange("t", "2024-01-01", None, text=shape))
    assert isinstance(found, Unmeasured)
    assert "MM-dd" in found.reason


# --- time zones ------------------------------------------------------------------------------------------------------


def test_clocks_that_are_set_back_and_forth() -> None:
    twice, never = "2024-10-27T02:30", "2024-03-31T02:30"
    assert measured(pl.DataFrame({"t": [twice]}), Newest("t", ISO_IN_ROME)) == [Instant(datetime(2024, 10, 27, 0, 30, tzinfo=UTC))]
    assert measured(pl.DataFrame({"t": [never]}), Newest("t", ISO_IN_ROME)) == [Instant(None)]
    assert counts([twice, never], OutOfRange("t", "2000-01-01", text=ISO_IN_ROME)) == [1]


def test_times_without_a_zone_are_those_of_the_contract() -> None:
    text = ["2024-07-01T00:30", "2024-07-01T00:30Z", "2024-07-01"]
    typed = pl.DataFrame({"t": [datetime(2024, 7, 1, 0, 30)]})
    assert counts(text, OutOfRange("t", "2024-07-01T00:00Z", None, text=ISO_IN_ROME)) == [2]
    assert counts(text, OutOfRange("t", "2024-07-01T00:00", None, text=ISO_IN_ROME)) == [0]
    assert measured(typed, Newest("t", ISO_IN_ROME), Newest("t")) == [
        Instant(datetime(2024, 6, 30, 22, 30, tzinfo=UTC)),
        Instant(datetime(2024, 7, 1, 0, 30, tzinfo=UTC)),
    ]
    local = written("dd/MM/yyyy HH:mm", "timestamp", ROME)
    assert measured(pl.DataFrame({"t": ["01/01/2024 01:00"]}), Newest("t", local)) == [Instant(datetime(2024, 1, 1, tzinfo=UTC))]
    zoned = pl.DataFrame({"t": pl.Series([datetime(2024, 1, 1)]).dt.replace_time_zone("Asia/Tokyo")})
    assert measured(zoned, Newest("t", ISO_IN_ROME)) == [Instant(datetime(2023, 12, 31, 15, tzinfo=UTC))]


@settings(max_examples=100, deadline=None)
@given(moment=st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)))
def test_local_times_are_those_of_zoneinfo(moment: datetime) -> None:
    moment = moment.replace(fold=0)
    aware = moment.replace(tzinfo=ZoneInfo(ROME))
    back = aware.astimezone(UTC).astimezone(ZoneInfo(ROME)).replace(tzinfo=None)
    wanted = Instant(aware.astimezone(UTC) if back == moment else None)  # no clock shows an hour that is leapt over
    assert measured(pl.DataFrame({"t": [moment]}), Newest("t", ISO_IN_ROME)) == [wanted]
    assert measured(pl.DataFrame({"t": [moment.isoformat()]}), Newest("t", ISO_IN_ROME)) == [wanted]


@pytest.mark.parametrize(
    ("text", "zoned", "local"),
    [
        ("2024-01-01T10:00Z", True, False),
        ("2024-01-01T10:00:00+02:00", True, False),
        ("2024-01-01 10:00:00.5-0330", True, False),
        ("2024-01-01T10:00", False, True),
        ("2024-01-01", False, True),
        ("2024-01-01Z", False, False),
        ("nonsense", False, False),
    ],
)
def test_text_carries_a_time_zone_or_none(text: str, zoned: bool, local: bool) -> None:
    assert counts([text], TypeBreaches("t", "timestamp", zoned=True), TypeBreaches("t", "timestamp", zoned=False)) == [not zoned, not local]


def test_typed_timestamps_carry_a_time_zone_or_none() -> None:
    metrics = TypeBreaches("t", "timestamp", zoned=True), TypeBreaches("t", "timestamp", zoned=False), TypeBreaches("t", "timestamp")
    assert counts([datetime(2024, 1, 1), None], *metrics) == [1, 0, 0]
    assert counts([datetime(2024, 1, 1, tzinfo=UTC), None], *metrics) == [0, 1, 0]
    assert counts([date(2024, 1, 1)], *metrics) == [1, 0, 0]
    assert counts(["10:00Z", "10:00"], TypeBreaches("t", "time", zoned=True), TypeBreaches("t", "time", zoned=False)) == [1, 1]
    assert counts([time(10)], TypeBreaches("t", "time", zoned=True), TypeBreaches("t", "time", zoned=False)) == [1, 0]


# --- times of day ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [time(8, 59, 59), time(9), time(17), time(17, 0, 0, 1), None],
        ["08:59:59", "09:00", "17:00:00.000Z", "17:00:00,000001", None],
        ["2024-01-01", "09:00:00", "10:00", "x", None],
    ],
)
def test_times_of_day_compare_with_bounds(values: list[object]) -> None:
    assert counts(values, OutOfRange("t", "09:00", "17:00")) == [2]


def test_times_of_day_of_pandas_and_in_another_format() -> None:
    frame = pd.DataFrame({"t": [time(8), time(12), None]})
    assert measured(frame, OutOfRange("t", "09:00"), NotIn("t", ("08:00", "12:00")), TypeBreaches("t", "time")) == [
        Count(1),
        Count(0),
        Count(0),
    ]
    assert counts(["09:30 PM", "11:00 PM", "x"], OutOfRange("t", None, "22:00", text=written("hh:mm a", "time"))) == [2]
    assert counts([datetime(2024, 1, 1, 12)], OutOfRange("t", "09:00", "17:00")) == [1]


# --- the oldest and the newest ---------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    moments=st.lists(st.none() | st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone(timedelta(hours=-3)))))
)
def test_the_oldest_and_the_newest(moments: list[datetime | None]) -> None:
    present = [moment for moment in moments if moment is not None]
    wanted = [Instant(min(present, default=None)), Instant(max(present, default=None))]
    text = [None if moment is None else moment.isoformat() for moment in moments]
    for values in (pl.Series(moments, dtype=pl.Datetime("us", "UTC")), pl.Series(text, dtype=pl.String)):
        for data in (pl.DataFrame({"t": values}), pl.LazyFrame({"t": values})):
            assert measured(data, Oldest("t"), Newest("t")) == wanted


def test_what_holds_no_instants() -> None:
    for found in measured(pl.DataFrame({"t": [1.5]}), Oldest("t"), Newest("t")):
        assert isinstance(found, Unmeasured)
        assert "Float64" in found.reason
    assert measured(pl.DataFrame({"t": [None]}), Oldest("t")) == [Instant(None)]
