"""One suite for every engine and every kind of data: what each measures is what plain Python counts (oracle.py).

It compares values, not verdicts. Where a kind of data does not hold what it is given (a CSV has only text), the oracle is asked about what
it does hold: see inputs.py. A database may answer Unmeasured where it cannot express a metric; what it may leave out is listed here.
"""

# ruff: noqa: DTZ001 - naive times are among what is measured
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Oldest,
    OutOfRange,
    ProfileOf,
    Query,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Within
from dagster_contracts.core.profile import CategoryProfile, NumericProfile
from dagster_contracts.core.verdict import Bins, Count, Figure, Instant, Measured, Measurement, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.ports import MetricEngine
from tests.engines.inputs import DATABASES, KINDS, Places
from tests.engines.oracle import (
    BOOL,
    DATE,
    DECIMAL,
    FLOAT,
    INSTANT,
    INT,
    NUMBERS,
    SINGLE,
    TEXT,
    TIMES,
    ZONED,
    Table,
    expected,
    null,
    number_of,
    too_long,
)
from tests.shared_cases import needs_cases

EXAMPLES = {"polars": 20, "duckdb": 3, "postgres": 3, "spark": 1}  # of the default run; 6 for the others
SOAK = 40  # times as many
LISTED = (1, 0.1, 2.5, -0.0, "A", "1", "01", "true", 7, "1.0", "é", 100_000, "2024-02-29", 2**53 + 1, True)
TYPES = ("string", "date", "timestamp", "time", "number", "integer", "boolean")
SPELLED = ("number", "boolean", "timestamp", "time", "date")
PATTERNS = (r"^[0-9A]", r"\d", r"(?i)^(?:true|false)$", r"^\S+\s*$", r"é|^.{3}$", r"^[^0-9]*\z")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Places:
    def postgres() -> Any:
        import ibis

        server = request.getfixturevalue("postgres_server")
        return ibis.postgres.connect(host=str(server.pgdata), user="postgres", database="postgres")

    def duckdb() -> Any:
        return pytest.importorskip("ibis").duckdb.connect()

    def spark() -> Any:
        pytest.importorskip("pyspark", reason="needs pyspark below 4.1, and Java 17")
        import ibis

        return ibis.pyspark.connect()

    return Places(tmp_path_factory.mktemp("inputs"), {"duckdb": duckdb, "postgres": postgres, "spark": spark})


def engine_of(kind: str) -> MetricEngine:
    if kind not in DATABASES:
        return PolarsEngine()
    from dagster_contracts.engines.pushdown.engine import IbisEngine

    return IbisEngine()


def plain(value: Measured | None) -> object:
    match value:
        case Count(number) | Figure(number) | Instant(number):
            return number
        case Bins(counts, nulls):
            return (*counts, nulls)
        case NumericProfile(values, counts, nulls):
            return (values, counts, nulls)
        case CategoryProfile(categories, nulls):
            return (categories, nulls)
    return value


# --- tables --------------------------------------------------------------------------------------------------------

WORDS = (
    *("", "A", "a", "true", "FALSE", "é", "Ａ", "\n", "ẞ", "e\u0301", "👩\u200d👧", "a\nb", "'; drop", "\\", "%", '"', "null"),
    *(" 12 ", "nan", "inf", "1e5", "1e999", "-1e-5", "-0.0", "0.3", "1_000", "0x1", "٣", "\u20031\u00a0", "9007199254740993", "9" * 30),
    *("10:20", "10:20:30.123Z", "25:00"),
)
_words = st.sampled_from(WORDS)
_iso = st.builds(
    "{:04d}-{:02d}-{:02d}{}".format,
    st.integers(1970, 2030),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["", "T00:00", " 00:00:00", "T00:00:00.000Z", "T10:20:30", " 10:20:30.5+02:00", "T24:00:00", "T1:00", "T10:20:30,25z"])
    | st.sampled_from(["T10:20-0330", "T10:20:30.123456789+05", " ", "T00:00+25:00"]),
)
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
_whole = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 7, 100_000, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(-5, 15)
_floats = st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 0.1, 0.3, 2.5, float("nan"), 1e100, 5e-324, 0.1 + 0.2])
_singles = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, -0.0, 2.5, float("nan")])
_instants = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)) | st.sampled_from(
    [datetime(2024, 2, 29), datetime(2024, 2, 29, 23, 59)]
)
STRATEGIES: dict[str, st.SearchStrategy[object]] = {
    TEXT: _words | _iso | st.text("0123456789.+-eE _", max_size=8) | st.text(_characters, max_size=5),
    INT: _whole,
    FLOAT: _floats,
    SINGLE: _singles,
    BOOL: st.booleans(),
    DATE: st.dates(date(1971, 1, 1), date(2100, 1, 1)) | st.just(date(2024, 2, 29)),
    INSTANT: _instants,
    ZONED: _instants.map(lambda point: point.replace(tzinfo=timezone(timedelta(hours=-7))).astimezone(UTC)),
    DECIMAL: st.decimals(-10_000, 10_000, places=2) | st.sampled_from([Decimal("1.00"), Decimal("2.50"), Decimal("0.30")]),
}
COLUMNS = {"a": TEXT, "b": TEXT, "i": INT, "j": INT, "f": FLOAT, "s": SINGLE, "o": BOOL, "d": DATE, "t": INSTANT, "z": ZONED, "n": DECIMAL}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(0, 12))
    table: Table = {}
    for name, kind in COLUMNS.items():
        values = draw(st.sampled_from([STRATEGIES[kind], STRATEGIES[kind] | st.none(), st.none()]))
        table[name] = (kind, draw(st.lists(values, min_size=rows, max_size=rows)))
    return table


# What is easily got wrong, all of it in one table: text beside what it may be taken for, offsets, ends of types, zeros of both signs.
_TIMES_AS_TEXT = (
    *("2024-02-29T23:30:00-05:30", "2024-03-01", "2024-02-29T23:30:00+05:30", "2024-02-29T18:00Z", "2024-02-29 23:30:00,5-0030"),
    *("2023-02-29", "2024-02-29T00:00+00", "2024-02-29T00:00:00.000000001", "2030-01-01T00:00:00+02", "2029-12-31T22:00:00z"),
)
_TEXTS = (*WORDS, *_TIMES_AS_TEXT, *("9", "10", "1e1", "100", "B", "b"))
_POINTS = (datetime(2024, 2, 29), datetime(2024, 2, 29, 0, 0, 0, 1), datetime(2029, 12, 31, 22), datetime(1969, 12, 31, 23), None)


def _rows(*values: object) -> list[object]:
    return [values[n % len(values)] for n in range(len(_TEXTS))]


AWKWARD: Table = {
    "a": (TEXT, _rows(*_TEXTS)),
    "b": (TEXT, _rows(*_TEXTS[1:], None)),
    "i": (INT, _rows(0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 2**53, 7, 5, None)),
    "j": (INT, _rows(0, 2**53, 2**53 + 1, 100_000, -(2**63), 7, 12)),
    "f": (FLOAT, _rows(0.0, -0.0, 0.1, 0.3, 0.1 + 0.2, 2.5, float("nan"), None, -1.5, 12.0, 1e6, 5e-324, 1e9, 1e-7)),
    "s": (SINGLE, _rows(0.0, -0.0, 0.10000000149011612, 0.30000001192092896, 2.5, float("nan"), 1e6, 16777216.0)),
    "o": (BOOL, _rows(True, False, None)),
    "d": (DATE, _rows(*(point.date() if point else None for point in _POINTS))),
    "t": (INSTANT, _rows(*_POINTS)),
    "z": (ZONED, _rows(*(point.replace(tzinfo=UTC) if point else None for point in _POINTS[1:]))),
    "n": (DECIMAL, _rows(Decimal("1.00"), Decimal("2.50"), Decimal("0.30"), Decimal("-1.50"), Decimal("0.00"), None, Decimal("12.01"))),
}


def metrics_for(table: Table) -> list[Metric]:
    found: list[Metric] = [RowCount(), Duplicates(("a", "i")), Duplicates(("f", "t", "o"))]
    found += [Compared("a", operator, "b") for operator in ("==", "<")]
    found += [Compared("a", operator, "b", logical=logical) for operator in ("==", "!=", "<") for logical in SPELLED[:-1]]
    found += [
        Compared("i", "==", "n", logical="number"),
        Compared("i", "!=", "f", logical="number"),
        Compared("o", "==", "o", logical="boolean"),
    ]
    found += [Compared("d", "==", "t", logical="timestamp"), Compared("t", "!=", "z", logical="timestamp")]
    found += [Compared("i", "<=", "j"), Compared("i", "!=", "j"), Compared("d", ">=", "t"), Compared("t", "<", "z")]
    for name, (kind, _) in table.items():
        found += [TypeBreaches(name, logical) for logical in TYPES]
        found += [Nulls(name), NotIn(name, LISTED), NotIn(name, ("A", "2024-02-29")), Missing(name, (None, *LISTED)), Missing(name, ("",))]
        found += [Duplicates((name,)), Statistic(name, Kind.DISTINCT_COUNT), Statistic(name, Kind.DISTINCT_SHARE)]
        if kind in (*NUMBERS, TEXT):
            found += _of_numbers(name)
        if kind == TEXT:
            found += [ProfileOf(name, categorical=True, logical=logical) for logical in SPELLED]
            found += [Statistic(name, what, logical=logical) for what in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE) for logical in SPELLED]
            found += [NotMatching(name, pattern) for pattern in PATTERNS]
            found += [LengthOutside(name, 1, 3), LengthOutside(name, None, 4), ProfileOf(name, categorical=True)]
        if kind in (*TIMES, TEXT):
            found += [OutOfRange(name, "2024-02-29", "2030-01-01T00:00:00+02:00"), OutOfRange(name, "2024-02-29", exclusive_minimum=True)]
            found += [Newest(name), Oldest(name)]
    return found


def _of_numbers(name: str) -> list[Metric]:
    found: list[Metric] = [OutOfRange(name, -1.5, 12), OutOfRange(name, 0, None, exclusive_minimum=True), OutOfRange(name, None, 1e6)]
    found += [NotMultiple(name, 5), NotMultiple(name, 0.1), NotMultiple(name, 0.25)]
    found += [OutOfRange(name, 0.1, 0.3, exclusive_maximum=True), Histogram(name, (-1.0, 0.0, 2.5, 1e4)), ProfileOf(name)]
    found += [Statistic(name, kind) for kind in (Kind.MEAN, Kind.STANDARD_DEVIATION, Kind.MINIMUM, Kind.MAXIMUM, Kind.SUM)]
    return [*found, *(Statistic(name, Kind.QUANTILE, at) for at in (0.0, 0.3, 0.5, 1.0))]


# --- the suite -----------------------------------------------------------------------------------------------------


def kinds() -> list[Any]:
    return [pytest.param(kind, marks=[pytest.mark.spark] if kind == "spark" else []) for kind in KINDS]


def check(kind: str, places: Places, table: Table) -> None:
    held = KINDS[kind](table, places)
    metrics = metrics_for(held.seen)
    found = engine_of(kind).measure(held.data(), metrics)
    assert isinstance(found, Measurement), found
    assert [column.name for column in found.columns] == list(table)
    told = {_told(metric): plain(found.values[metric]) for metric in metrics}
    wanted = {_told(metric): expected(held.seen, metric) for metric in metrics}
    beyond = {_told(metric) for metric in metrics if kind in DATABASES and isinstance(metric, NotMultiple) and _beyond(held.seen, metric)}
    assert [name for name in beyond if not isinstance(told[name], Unmeasured)] == []
    differing = {name: (wanted[name], told[name]) for name in wanted if name not in beyond and wanted[name] != told[name]}
    if differing:
        pytest.fail("\n".join(f"{name}: expected {wanted!r}, measured {found!r}" for name, (wanted, found) in differing.items()))


def _told(metric: Metric) -> str:
    return f"{metric!r} as {getattr(metric, 'logical', None)}"


def _beyond(table: Table, metric: NotMultiple) -> bool:
    """Databases say so where floats have too many digits to tell whether they are multiples."""
    kind, values = table[metric.column]
    numbers = [number_of(value) for value in values if not null(value)] if kind in (TEXT, FLOAT, SINGLE) else []
    return any(number is not None and too_long(float(number), metric.of) for number in numbers)


_settings = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("kind", kinds())
def test_measures_what_plain_python_counts(kind: str, places: Places) -> None:
    _checked(kind, places, EXAMPLES.get(kind, 6))


@pytest.mark.soak
@pytest.mark.parametrize("kind", kinds())
def test_measures_what_plain_python_counts_of_many_tables(kind: str, places: Places) -> None:
    _checked(kind, places, EXAMPLES.get(kind, 6) * SOAK)


def _checked(kind: str, places: Places, examples: int) -> None:
    @settings(_settings, max_examples=examples)
    @given(table=tables())
    @example(table=AWKWARD)
    def measured(table: Table) -> None:
        check(kind, places, table)

    measured()


@needs_cases
def test_cases_of_great_expectations_count_the_same_in_a_database(places: Places) -> None:
    """What test_gx_cases.py measures on pandas frames, in DuckDB; but columns of mixed types, which no database has."""
    from tests.engines.test_gx_cases import MAPPED, counterpart, frame_of

    asked: dict[str, list[Metric]] = {}
    for case in MAPPED.values():
        metrics = [check.metric for check in counterpart(case) or () if isinstance(check, Within) and not isinstance(check.metric, Query)]
        asked.setdefault(case["dataset"], []).extend(metrics)
    backend = places.connection("duckdb")
    compared = 0
    for dataset, metrics in asked.items():
        frame = frame_of(dataset)
        if any(len(set(map(type, frame[name].dropna()))) > 1 for name in frame):
            continue
        backend.con.register("given", pl.from_pandas(frame).to_arrow())
        backend.con.execute(f'CREATE TABLE "{dataset}" AS SELECT * FROM given')
        wanted = PolarsEngine().measure(frame, metrics)
        found = engine_of("duckdb").measure(backend.table(dataset), metrics)
        assert isinstance(wanted, Measurement)
        assert isinstance(found, Measurement)
        measurable = {metric: plain(value) for metric, value in wanted.values.items() if not isinstance(value, Unmeasured)}
        assert {metric: plain(found.values[metric]) for metric in measurable} == measurable
        compared += len(measurable)
    assert compared > 50
