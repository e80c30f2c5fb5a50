"""What failing values look like, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.metrics import Metric, Nested, Newest, NotIn, Nulls, OutOfRange, TimeText, TypeBreaches
from dagster_contracts.core.readings import age_reading, reading
from dagster_contracts.core.time_text import read_format

DAY, MOMENT = TypeBreaches("d", "date"), TypeBreaches("d", "timestamp")
LATE = OutOfRange("d", "2024-01-01", "2024-12-31")


def read(metric: Metric, values: Sequence[object]) -> str:
    return reading(metric, [(value, 1) for value in values])


def in_format(form: str, kind: str = "date") -> TypeBreaches:
    return TypeBreaches("d", kind, TimeText(form, read_format(form).pattern))


MAY = datetime(2024, 5, 17, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(("unit", "factor"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)])
@pytest.mark.parametrize("metric", [DAY, MOMENT, LATE, Newest("d"), Nested("d", ("x",), MOMENT)])
@given(moment=st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)), as_text=st.booleans())  # noqa: DTZ001
def test_epochs(metric: Metric, unit: str, factor: int, moment: datetime, as_text: bool) -> None:
    value = int(moment.timestamp()) * factor
    assert read(metric, [str(value) if as_text else value]) == f"epoch {unit}"


@pytest.mark.parametrize(
    ("metric", "values", "told"),
    [
        (MOMENT, [MAY.timestamp(), 1e9 + 0.5], "epoch seconds"),
        (DAY, [Decimal("1715949000000")], "epoch milliseconds"),
        (DAY, [45_429, "45430", 45_431.75], "Excel serial dates"),
        (DAY, ["\t45430 ", "45431\n"], "Excel serial dates"),
        (DAY, ["45430\x1f", "45431\u3000"], ""),  # blanks to str, and not to float()
        (DAY, [12, 37], ""),
        (DAY, [True], ""),
        (DAY, ["17/05/2024", "01.02.2024"], "dates that are not in ISO 8601"),
        (DAY, ["17/05/2024", "31/01/2024"], "dates written day, month, year"),
        (DAY, ["5/17/2024", "1/31/24"], "dates written month, day, year"),
        (MOMENT, ["17.05.2024 12:30"], "dates written day, month, year"),
        (DAY, ["2024-17-05", "2024-31-01"], "dates with day and month swapped"),
        (DAY, ["2024-31-31"], ""),
        (in_format("dd/MM/yyyy"), ["05/17/2024", "01/31/2024"], "dates with day and month swapped"),
        (in_format("dd/MM/yyyy"), ["2024-05-17"], "ISO 8601 dates"),
        (in_format("dd/MM/yyyy HH:mm", "timestamp"), ["2024-05-17T12:30:00Z", "2024-05-18"], "ISO 8601 dates"),
        (in_format("dd/MM/yyyy"), ["2024-17-05"], ""),
        (in_format("dd/MM/yyyy"), ["17.05.2024", "1/2/2024"], "dates that are not written as dd/MM/yyyy"),
        (in_format("MM/dd/yyyy"), ["17.05.2024", "31.1.2024"], "dates written day, month, year"),
        (in_format("dd/MM/yyyy"), ["20261111", 20240517], "basic ISO dates, without hyphens"),
        (DAY, ["20261111"], "basic ISO dates, without hyphens"),
        (DAY, ["20261311"], ""),
        (Newest("d", in_format("dd/MM/yyyy").text), ["2024-05-17"], "ISO 8601 dates"),
        (OutOfRange("d", "2024-01-01", text=in_format("dd/MM/yyyy").text), ["17/05/1999", "01/02/1999"], ""),
        (OutOfRange("d", "2024-01-01", text=in_format("dd/MM/yyyy").text), ["1999-05-17"], "ISO 8601 dates"),
        (TypeBreaches("d", "timestamp", zoned=False), ["2024-05-17T12:30Z", "2024-05-17T12:30:00+02:00"], "times with a time zone"),
        (TypeBreaches("d", "timestamp", zoned=False), [MAY], "times with a time zone"),
        (TypeBreaches("d", "timestamp", zoned=True), ["2024-05-17T12:30", MAY.replace(tzinfo=None)], "times without a time zone"),
        (TypeBreaches("d", "timestamp", zoned=True), ["nonsense", date(2024, 5, 17)], ""),
        (in_format("yyyy-MM-dd HH:mm", "timestamp"), ["2024-05-17 12:30+02:00"], "times with another time zone"),
        (in_format("yyyy-MM-dd'T'HH:mm'Z'", "timestamp"), ["2024-05-17T12:30+02:00"], "times with another time zone"),
        (LATE, ["2025-06-01"], ""),
        (
            OutOfRange("d", "2024-05-01", "2024-06-30"),
            [date(2024, 7, 5), "2024-08-06T10:00", MAY.replace(month=1, day=5)],
            "dates with day and month swapped",
        ),
        (OutOfRange("d", "2024-05-01", "2024-06-30"), [date(2024, 7, 17)], ""),
        (LATE, ["17/05/2024"], "dates written day, month, year"),
        (OutOfRange("n", 0, 1), ["0,5", "1.234,50", "-3,25"], "numbers with a decimal comma"),
        (TypeBreaches("n", "number"), ["0,5", "12"], ""),
        (TypeBreaches("n", "integer"), [1.5], ""),
        (NotIn("c", ("US", "de")), [" US", "de "], "allowed values with spaces around them"),
        (NotIn("c", ("US", "de")), ["us", "DE"], "allowed values in another letter case"),
        (NotIn("c", ("US", "de")), ["us ", "DE"], "allowed values in another letter case, with spaces around them"),
        (NotIn("c", ("US", 1)), [2, "FR"], ""),
        (Nulls("c"), [None], ""),
    ],
)
def test_what_values_look_like(metric: Metric, values: list[object], told: str) -> None:
    assert read(metric, values) == told


def test_nine_of_ten_values_are_enough() -> None:
    assert reading(DAY, [(1_715_949_000, 9), ("?", 1)]) == "epoch seconds"
    assert reading(DAY, [(1_715_949_000, 8), ("?", 2)]) == ""
    assert reading(DAY, []) == ""


texts = st.text(max_size=8) | st.sampled_from(["17/05/2024", "9999-99-99", "inf", "1e400", "٣", "0,0", "+.", "1.1.1"])


@pytest.mark.parametrize(
    "metric", [DAY, MOMENT, LATE, NotIn("d", ("A",)), OutOfRange("d", 0), TypeBreaches("d", "time", zoned=True), in_format("yyyyMMdd")]
)
@given(values=st.lists(st.one_of(texts, st.floats(), st.integers(), st.none(), st.dates(), st.binary(max_size=3)), max_size=3))
def test_any_value_may_be_looked_at(metric: Metric, values: list[object]) -> None:
    told = read(metric, values)
    assert all(str(value) not in told for value in values if isinstance(value, str) and len(value) > 3)


# --- the newest instant ----------------------------------------------------------------------------------------------

AS_OF = datetime(2024, 5, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("newest", "told"),
    [
        (AS_OF - timedelta(hours=1), ""),
        (datetime(2024, 8, 5, 9, tzinfo=UTC), "day and month look swapped"),
        (datetime(2024, 7, 5, 13, tzinfo=UTC), "day and month look swapped"),
        (datetime(2024, 4, 5, tzinfo=UTC), ""),
        (AS_OF + timedelta(hours=2), "times look shifted by 2 h or more"),
        (AS_OF + timedelta(hours=1, minutes=10), "times look shifted by 2 h or more"),
        (AS_OF + timedelta(days=3), ""),
        (datetime(2024, 5, 1, tzinfo=UTC), ""),
    ],
)
def test_what_a_newest_instant_looks_like(newest: datetime, told: str) -> None:
    assert age_reading(newest, AS_OF, timedelta(days=1)) == told


def test_a_newest_instant_in_another_zone() -> None:
    swapped = datetime(2024, 8, 5, 11, tzinfo=timezone(timedelta(hours=2)))
    assert age_reading(swapped, AS_OF, timedelta(days=1)) == "day and month look swapped"
