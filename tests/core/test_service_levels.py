"""Every service level of the standard becomes a rule, or is listed with the reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.contract import Clause, Contract, Property, SchemaObject, ServiceLevel, Severity
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.metrics import Newest, Oldest, TimeText
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Cadence, Check, Due, Fresh, InForce, NotExecuted, Retained, Rule
from dagster_contracts.core.service_levels import promises

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEED = SchemaObject("feed", properties=(Property("at", "timestamp"), Property("day", "date")))
OTHER = SchemaObject("other", properties=(Property("then", "timestamp"),))


def promised(level: ServiceLevel, obj: SchemaObject = FEED) -> list[Rule | NotExecuted]:
    return promises(level, Contract("c", "1.0.0", "v3.2.0", "active", (FEED, OTHER), service_levels=(level,)), obj)


def rule(level: ServiceLevel, obj: SchemaObject = FEED) -> Rule:
    (found,) = promised(level, obj)
    assert isinstance(found, Rule), found
    return found


def missed(level: ServiceLevel) -> NotExecuted:
    (found,) = promised(level)
    assert isinstance(found, NotExecuted), found
    return found


@pytest.mark.parametrize(
    ("names", "value", "unit", "check", "severity"),
    [
        (("latency", "ly", "LY", "freshness", "Freshness"), 4, "d", Fresh(Newest("at"), 4 * DAY), Severity.ERROR),
        (("retention", "re", "Re"), 3, "y", Retained(Oldest("at"), 3 * 365 * DAY), Severity.WARNING),
        (("frequency", "fy", "FREQUENCY"), 1, "d", Cadence(DAY, 6 * HOUR), Severity.WARNING),
        (("timeOfAvailability", "ta", "time_of_availability", "Time of availability"), "09:00", None, Due(time(9)), Severity.WARNING),
        (("generalAvailability", "ga"), "2022-05-12", None, InForce(start=datetime(2022, 5, 12, tzinfo=UTC)), Severity.WARNING),
        (("endOfSupport", "es"), "2032-05-12", None, InForce(end=datetime(2032, 5, 13, tzinfo=UTC)), Severity.WARNING),
        (
            ("endOfLife", "el", "end-of-life"),
            "2042-05-12T09:30:10-08:00",
            None,
            InForce(end=datetime(2042, 5, 12, 17, 30, 10, tzinfo=UTC)),
            Severity.WARNING,
        ),
    ],
)
def test_what_batches_can_show_is_a_rule(names: tuple[str, ...], value: object, unit: str | None, check: Check, severity: Severity) -> None:
    for name in names:
        found = rule(ServiceLevel(name, value, unit=unit, element="feed.at"))
        assert (found.check, found.severity, found.clause) == (check, severity, Clause.FRESHNESS)
        assert found.id == (f"at.{name}" if isinstance(check, Fresh | Retained) else f"sla.{name}")


@pytest.mark.parametrize("name", ["availability", "av", "throughput", "th", "errorRate", "ER", "timeToDetect", "td", "timeToNotify", "tn"])
def test_what_speaks_of_the_service_is_listed(name: str) -> None:
    found = missed(ServiceLevel(name, "99.9%"))
    assert (found.rule, found.severity) == (f"sla.{name}", Severity.INFO)
    assert found.reason == "speaks of the service, not of a batch of data"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (ServiceLevel("timeToRestore", 1), "speaks of the service"),
        (ServiceLevel("carbonFootprint", 1), "speaks of the service"),
        (ServiceLevel("frequncy", 1), 'did you mean "frequency"?'),
        (ServiceLevel("latncy", 1), 'did you mean "latency"?'),
        (ServiceLevel("retention", 3, unit="y"), "names no element"),
        (ServiceLevel("generalAvailability", "Available 24/7"), "is no date or timestamp"),
        (ServiceLevel("endOfLife", "9999-12-31T23:00:00-08:00"), "is no date or timestamp"),
    ],
)
def test_of_the_rest_the_reason_says_what_it_is(level: ServiceLevel, said: str) -> None:
    found = missed(level)
    assert said in found.reason
    assert found.severity is Severity.INFO


def test_an_end_that_never_comes() -> None:
    assert rule(ServiceLevel("endOfLife", "9999-12-31")).check == InForce(end=datetime(9999, 12, 31, tzinfo=UTC))


# --- frequency -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "interval"),
    [
        (1, "d", DAY),
        (15, "minutes", HOUR / 4),
        (1, "mo", 30 * DAY),
        (1, "months", 30 * DAY),
        (1, "y", 365 * DAY),
        ("daily", None, DAY),
        ("Hourly", None, HOUR),
        ("weekly", None, 7 * DAY),
        ("monthly", None, 30 * DAY),
        ("P1M", None, 30 * DAY),
        ("P1Y2M3DT4H", None, 365 * DAY + 63 * DAY + 4 * HOUR),
        ("PT5M", None, HOUR / 12),
        ("2h", None, 2 * HOUR),
    ],
)
def test_frequencies(value: object, unit: str | None, interval: timedelta) -> None:
    assert rule(ServiceLevel("frequency", value, unit=unit)).check == Cadence(interval, interval / 4)


def test_a_tolerance_of_its_own() -> None:
    assert rule(ServiceLevel("frequency", 1, unit="d", tolerance="PT30M")).check == Cadence(DAY, HOUR / 2)


@pytest.mark.parametrize(
    "level",
    [
        ServiceLevel("frequency", "0 6 * * 1-5"),
        ServiceLevel("frequency", "cron", schedule="0 6 * * 1-5"),
        ServiceLevel("frequency", None, schedule="0 6 * * 1-5"),
    ],
)
def test_a_cron_schedule_is_a_frequency(level: ServiceLevel) -> None:
    assert rule(level).check == Cadence(DAY, 6 * HOUR, "0 6 * * 1-5")


def test_the_schedule_of_the_check_is_not_that_of_the_batches() -> None:
    assert rule(ServiceLevel("frequency", 1, unit="h", schedule="0 20 * * *")).check == Cadence(HOUR, HOUR / 4)


def test_an_extended_value_of_a_frequency_is_listed() -> None:
    found = promised(ServiceLevel("frequency", 1, value_ext=1, unit="d"))
    assert [entry.id if isinstance(entry, Rule) else (entry.rule, entry.severity) for entry in found] == [
        "sla.frequency",
        ("sla.frequency.valueExt", Severity.INFO),
    ]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (ServiceLevel("frequency", 1), "no duration"),
        (ServiceLevel("frequency", "often"), "no duration"),
        (ServiceLevel("frequency", 0, unit="d"), "a frequency of 0"),
        (ServiceLevel("frequency", 10**9, unit="y"), "too long"),
        (ServiceLevel("frequency", 200, unit="y"), "too long"),
        (ServiceLevel("frequency", 1, unit="d", tolerance="PT1X"), "tolerance"),
        (ServiceLevel("frequency", 1, unit="d", tolerance="P90000D"), "too long"),
        (ServiceLevel("frequency", "0 30 * * *"), "hour"),
        (ServiceLevel("timeOfAvailability", "soon"), "no time of day"),
        (ServiceLevel("timeOfAvailability", 9, unit="h"), "no time of day"),
        (ServiceLevel("timeOfAvailability", "25:00"), "hour must be in 0..23"),
        (ServiceLevel("timeOfAvailability", "09:00 Mars"), "no time zone"),
        (ServiceLevel("timeOfAvailability", True), "no time of day"),
    ],
)
def test_what_cannot_be_judged_warns_and_says_why(level: ServiceLevel, said: str) -> None:
    found = missed(level)
    assert said in found.reason
    assert (found.severity, found.clause) == (Severity.WARNING, Clause.FRESHNESS)


# --- time of availability ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "check"),
    [
        ("09:00-08:00", None, Due(time(9), "-08:00")),
        ("9:00", None, Due(time(9))),
        ("09:00:30Z", None, Due(time(9, 0, 30), "Z")),
        ("09:00 Europe/Rome", None, Due(time(9), "Europe/Rome")),
        ("09:00", "Europe/Rome", Due(time(9), "Europe/Rome")),
    ],
)
def test_times_of_availability(value: str, unit: str | None, check: Due) -> None:
    assert rule(ServiceLevel("timeOfAvailability", value, unit=unit)).check == check


# --- ages ----------------------------------------------------------------------------------------------------------


def test_ages_are_read_in_the_format_and_zone_of_the_column() -> None:
    column = Property("at", "timestamp", options={"defaultTimezone": "Europe/Rome"})
    level = ServiceLevel("retention", "P1Y", element="at")
    found = rule(level, replace(FEED, properties=(column,)))
    assert found.check == Retained(Oldest("at", TimeText(zone="Europe/Rome")), 365 * DAY)


def test_each_element_is_a_rule() -> None:
    found = promised(ServiceLevel("latency", 1, unit="d", element="feed.at, other.then, feed.day"))
    assert [entry.id for entry in found if isinstance(entry, Rule)] == ["at.latency", "day.latency"]


# --- whose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "feed", "other"),
    [(None, True, True), ("feed.at", True, False), ("feed", True, False), ("other.then", False, True), ("other, feed", True, True)],
)
def test_a_service_level_is_of_the_objects_it_names(element: str | None, feed: bool, other: bool) -> None:
    level = ServiceLevel("frequency", 1, unit="d", element=element)
    assert (bool(promised(level, FEED)), bool(promised(level, OTHER))) == (feed, other)


# --- severity ------------------------------------------------------------------------------------------------------

DOCUMENT = """
apiVersion: {version}
kind: DataContract
id: c
version: 1.0.0
status: active
schema: [{{name: feed, properties: [{{name: at, logicalType: timestamp}}]}}]
slaProperties:
- property: frequency
  value: 1
  unit: d
  driver: regulatory
  customProperties: [{properties}]
"""


def read(properties: str, version: str = "v3.2.0") -> Rule:
    contract = parse(DOCUMENT.format(properties=properties, version=version))
    (found,) = promises(contract.service_levels[0], contract, contract.objects[0])
    assert isinstance(found, Rule)
    return found


@pytest.mark.parametrize("version", ["v3.2.0", "v3.0.2", "v3.1.0"])
def test_the_severity_and_tolerance_of_an_entry_are_honoured(version: str) -> None:
    found = read("{property: severity, value: critical}, {property: tolerance, value: PT2H}", version)
    assert (found.severity, found.check, found.description) == (Severity.CRITICAL, Cadence(DAY, 2 * HOUR), "driver regulatory")


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ("{property: severity, value: criticl}", 'did you mean "critical"?'),
        ("{property: severity, value: 1}", "expected one of critical, error, warning, info, found 1"),
        ("{property: serverity, value: critical}", 'did you mean "severity"?'),
        ("{property: tolerence, value: PT1H}", 'did you mean "tolerance"?'),
        ("{property: tolerance, value: 1 h}", "expected an ISO 8601 duration"),
        ("{property: tolerance, value: 5}", "expected an ISO 8601 duration"),
        ("{property: severity, value: info}, {property: severity, value: error}", "stands twice"),
        ("{property: circuitBreaker, value: {}}", "is read from the contract only"),
    ],
)
def test_lint_tells_what_is_wrong_with_them(properties: str, said: str) -> None:
    with pytest.raises(ContractInvalid) as error:
        read(properties)
    assert said in str(error.value)


def test_what_others_keep_there_is_theirs() -> None:
    assert read("{property: ticket, value: OPS-1}").severity is Severity.WARNING


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.just(date(2026, 1, 1))
words = st.sampled_from(
    ["latency", "retention", "frequency", "timeOfAvailability", "generalAvailability", "endOfSupport", "endOfLife", "availability", "x"]
)
texts = (
    st.none() | st.text(max_size=12) | st.sampled_from(["d", "h", "mo", "0 0 1 * *", "feed.at", "other", "Europe/Rome", "P1Y", "critical"])
)


@given(st.builds(ServiceLevel, property=words, value=scalars | texts, value_ext=scalars, unit=texts, element=texts, schedule=texts))
def test_no_entry_is_dropped_or_breaks_the_plan(level: ServiceLevel) -> None:
    assert promised(level, FEED) or promised(level, OTHER)


@given(words, scalars | texts, texts, texts)
def test_whatever_the_severity_is_it_is_never_weaker_than_error_where_unknown(
    name: str, value: object, unit: str | None, word: str
) -> None:
    for entry in promised(ServiceLevel(name, value, unit=unit, severity=word or "?")):
        if isinstance(entry, Rule) and (word or "?").strip().lower() not in tuple(Severity) and (word or "?").strip():
            assert entry.severity is Severity.ERROR
