"""IbisEngine beyond the counts that test_conformance.py compares: how many queries, what fails alone, what no database is asked to do."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

ibis = pytest.importorskip("ibis", reason="needs the extra [pushdown]")
sqlglot = pytest.importorskip("sqlglot")

from dagster_contracts.core.metrics import (  # noqa: E402
    EACH,
    KEYS,
    VALUES,
    Absent,
    Compared,
    Duplicates,
    Expectation,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Orphans,
    OutOfRange,
    ProfileOf,
    Query,
    Repeating,
    RowCount,
    SizeOutside,
    Statistic,
    TimeText,
    TypeBreaches,
    ValueMetric,
)
from dagster_contracts.core.profile import EXACT, GROUPS, NumericProfile  # noqa: E402
from dagster_contracts.core.verdict import Count, Figure, Measured, Measurement, NotApplicable, Unmeasured  # noqa: E402
from dagster_contracts.engines.local import LocalEngine  # noqa: E402
from dagster_contracts.engines.pushdown.asking import Alone, Asked, Source  # noqa: E402
from dagster_contracts.engines.pushdown.engine import IbisEngine, aggregate, ask  # noqa: E402
from dagster_contracts.engines.pushdown.patterns import Inexpressible  # noqa: E402
from dagster_contracts.engines.pushdown.values import matching  # noqa: E402
from dagster_contracts.ports import NO_OTHERS, REASONS, Related  # noqa: E402
from tests.engines.oracle import DATE, DECIMAL, FLOAT, INSTANT, INT, SINGLE, TEXT, ZONED  # noqa: E402
from tests.engines.test_conformance import COLUMNS, metrics_for  # noqa: E402

ENGINE = IbisEngine()


@pytest.fixture
def duckdb() -> Any:
    return ibis.duckdb.connect()


@pytest.fixture
def postgres(postgres_server: Any, postgres_url: str) -> Iterator[Any]:
    database = postgres_url.partition("?")[0].rpartition("/")[2]
    backend = ibis.postgres.connect(host=str(postgres_server.pgdata), user="postgres", database=database)
    yield backend
    backend.disconnect()


def run(backend: Any, *statements: str) -> Any:
    """Execute statements; the backend."""
    for statement in statements:
        backend.con.execute(statement)
    return backend


def measured(table: Any, *metrics: Metric, related: Related = NO_OTHERS) -> list[Measured]:
    found = ENGINE.measure(table, metrics, related)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


def reason(found: Measured) -> str:
    assert isinstance(found, Unmeasured | NotApplicable), found
    return found.reason


# --- queries -------------------------------------------------------------------------------------------------------


def test_a_table_is_measured_by_one_query(duckdb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run(duckdb, "CREATE TABLE feed AS SELECT range AS id, 'a' || range AS name, range % 7 AS kind FROM range(100)")
    asked: list[Any] = []
    answer = duckdb.to_pyarrow
    monkeypatch.setattr(duckdb, "to_pyarrow", lambda query: asked.append(query) or answer(query))
    metrics = [
        RowCount(),
        Nulls("id"),
        Duplicates(("id", "kind")),
        NotIn("kind", (1, 2)),
        Newest("name"),
        Statistic("id", Kind.QUANTILE, 0.3),
    ]
    assert measured(duckdb.table("feed"), *metrics)[:4] == [Count(100), Count(0), Count(0), Count(71)]
    assert len(asked) == 1
    measured(duckdb.table("feed"), *metrics, ProfileOf("id"), ProfileOf("kind", categorical=True))
    assert len(asked) == 4


def test_what_a_database_cannot_answer_takes_nothing_else_with_it(postgres: Any) -> None:
    run(postgres, "CREATE TABLE feed (id bigint, seen timestamp)", "INSERT INTO feed VALUES (1, 'infinity'), (2, '2024-01-01')")
    table = postgres.table("feed")
    too_long = NotMatching("id", "^[0-9]{1,300}$")  # PostgreSQL repeats up to 255 times
    metrics = [RowCount(), too_long, Newest("seen"), OutOfRange("seen", "2024-01-01"), Nulls("id")]
    rows, long, newest, late, nulls = measured(table, *metrics)
    assert (rows, late, nulls) == (Count(2), Count(0), Count(0))
    assert reason(long).startswith("PostgreSQL could not measure NotMatching")
    assert reason(newest) == "the instant is none of the years 1 to 9999"


def test_a_table_that_is_gone_is_unmeasured_as_a_whole(duckdb: Any, postgres: Any) -> None:
    for backend in (duckdb, postgres):
        table = run(backend, "CREATE TABLE feed (id bigint)").table("feed")
        run(backend, "DROP TABLE feed")
        found = ENGINE.measure(table, [RowCount(), Nulls("id")])
        assert isinstance(found, Unmeasured)
        assert found.reason.startswith("the table could not be read")


def test_what_is_no_table_is_unmeasured() -> None:
    found = ENGINE.measure(pl.DataFrame(), [RowCount()])
    assert isinstance(found, Unmeasured)
    assert ENGINE.samples(pl.DataFrame(), [Nulls("id")]) == {}
    assert ENGINE.divide(pl.DataFrame(), {"a": Nulls("id")}) is None


def test_the_default_engine_leaves_ibis_tables_to_their_database(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT 1 AS id").table("feed")
    found = LocalEngine().measure(table, [Nulls("id"), Query("SELECT max(id) FROM feed", "feed")])
    assert isinstance(found, Measurement)
    assert found.typed_source
    assert list(found.values.values()) == [Count(0), Figure(1.0)]
    assert LocalEngine().samples(table, [NotIn("id", (2,))])[NotIn("id", (2,))].values == ((1, 1),)
    division = LocalEngine().divide(table, {"id": NotIn("id", (2,))})
    assert division is not None
    assert division.rows == 1


def test_columns_that_are_not_there_have_no_entry(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT 1 AS id").table("feed")
    found = ENGINE.measure(table, [Nulls("id"), Nulls("ID"), Duplicates(("id", "nope"))])
    assert isinstance(found, Measurement)
    assert list(found.values) == [Nulls("id")]


def test_any_expression_is_measured(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT range AS id FROM range(10)").table("feed")
    recent = table.filter(table.id > 4).mutate(twice=table.id * 2)
    found = ENGINE.measure(recent, [Nulls("id"), OutOfRange("twice", 0, 11), Query("SELECT sum(twice) FROM feed", "feed")])
    assert isinstance(found, Measurement)
    assert found.rows == 5
    assert list(found.values.values()) == [Count(0), Count(4), Figure(70.0)]


# --- types ---------------------------------------------------------------------------------------------------------


def test_types_are_those_of_the_database(duckdb: Any, postgres: Any) -> None:
    run(duckdb, "CREATE TABLE feed (id integer, amount decimal(10, 2), tags varchar[])")
    run(postgres, "CREATE TABLE feed (id integer, code varchar(10), amount numeric(10, 2), seen timestamptz, extra jsonb)")
    told = {}
    for backend in (duckdb, postgres):
        found = ENGINE.measure(backend.table("feed"), [])
        assert isinstance(found, Measurement)
        assert found.typed_source
        told[backend.name] = [column.type for column in found.columns]
    assert told == {
        "duckdb": ["INTEGER", "DECIMAL(10,2)", "VARCHAR[]"],
        "postgres": ["int4", "varchar(10)", "numeric(10,2)", "timestamptz", "jsonb"],
    }


def test_types_that_only_databases_have(postgres: Any) -> None:
    run(postgres, "CREATE TABLE feed (u uuid, j jsonb, n numeric, a inet)")
    run(postgres, "INSERT INTO feed VALUES (gen_random_uuid(), '{}', 'NaN', '10.0.0.1'), (NULL, NULL, 1.5, NULL)")
    table = postgres.table("feed")
    u, n, j, nulls, address = measured(
        table, TypeBreaches("u", "string"), Nulls("n"), TypeBreaches("j", "object"), Nulls("j"), NotMatching("a", "^10")
    )
    assert (u, n, nulls, address) == (Count(0), Count(1), Count(1), Count(0))
    assert reason(j) == "PostgreSQL cannot measure TypeBreaches: a jsonb column is not looked into"


def test_floats_have_no_text_that_is_the_same_everywhere(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT 1.5::double AS f, true AS o, 12 AS i, 1.50::decimal(4, 2) AS n").table("feed")
    f, o, i, n = measured(table, *(NotMatching(column, r"^(?:true|12|1\.50)$") for column in "foin"))
    assert reason(f) == "DuckDB cannot measure NotMatching: a float64 column has no text form that is the same in every database"
    assert (o, i, n) == (Count(0), Count(0), Count(0))


def test_text_in_other_formats_is_not_read(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT '31.12.2024' AS d").table("feed")
    german = TimeText("dd.MM.yyyy", "^[0-9.]+$", "%d.%m.%Y")
    breaches, newest = measured(table, TypeBreaches("d", "date", german), Newest("d", TimeText(zone="Europe/Berlin")))
    assert reason(breaches) == 'DuckDB cannot measure TypeBreaches: text written as "dd.MM.yyyy" is not read'
    assert reason(newest) == "DuckDB cannot measure Newest: local times of Europe/Berlin are not read"


def test_great_expectations_run_on_frames_only(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT 1 AS id").table("feed")
    assert "not on a table of a database" in reason(measured(table, Expectation("expect_column_to_exist"))[0])


# --- arrays, maps and objects --------------------------------------------------------------------------------------

CONTAINERS = """
CREATE TABLE feed AS SELECT * FROM (VALUES
  ([{'sku': 'x', 'n': 1}, {'sku': NULL, 'n': -1}], MAP {'k': 1, '': 2}, {'city': 'Rome', 'zip': NULL}, [1, 2, 2]),
  ([],                                             MAP {},              {'city': NULL, 'zip': '1'},    [NULL, NULL]),
  (NULL,                                           NULL,                NULL,                          []),
  ([{'sku': 'x', 'n': 5}],                         MAP {'k': 3},        {'city': 'Rome', 'zip': '2'},  [1, NULL])
) AS v (items, m, addr, arr)"""


def within(column: str, path: tuple[str, ...], metric: type[Any], *arguments: Any) -> Nested:
    inner: ValueMetric = metric(("value",)) if metric is Duplicates else metric("value", *arguments)
    return Nested(column, path, inner)


@pytest.mark.parametrize(
    ("metric", "count"),
    [
        (SizeOutside("arr", 1, 2), 2),
        (SizeOutside("m", 1), 1),
        (SizeOutside("addr", 2), 2),
        (Repeating("arr"), 2),
        (Absent("m", "k"), 1),
        (Absent("addr", "city"), 0),
        (Absent("addr", "country"), 3),
        (TypeBreaches("arr", "vector"), 2),
        (TypeBreaches("m", "map"), 0),
        (TypeBreaches("addr", "array"), 3),
        (within("arr", (EACH,), Nulls), 3),
        (within("arr", (EACH,), OutOfRange, 2), 2),
        (within("arr", (EACH,), Duplicates), 2),
        (within("addr", ("city",), Nulls), 1),
        (within("addr", (KEYS,), NotIn, ("city",)), 2),
        (within("items", (EACH, "sku"), Nulls), 1),
        (within("items", (EACH, "n"), OutOfRange, 0), 1),
        (within("m", (KEYS,), LengthOutside, 1), 1),
        (within("m", (VALUES,), OutOfRange, 2), 1),
    ],
    ids=str,
)
def test_containers(duckdb: Any, metric: Metric, count: int) -> None:
    assert measured(run(duckdb, CONTAINERS).table("feed"), metric) == [Count(count)]


def test_a_path_that_no_value_has_is_told(duckdb: Any) -> None:
    table = run(duckdb, CONTAINERS).table("feed")
    field, elements = measured(table, within("addr", ("street",), Nulls), within("addr", (EACH,), Nulls))
    assert reason(field) == 'no object has a field "street"'
    assert "holds no arrays" in reason(elements)


# --- relationships -------------------------------------------------------------------------------------------------


def test_relationships_within_one_database(duckdb: Any) -> None:
    run(duckdb, "CREATE TABLE feed AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'c')) AS v (id, name)")
    run(duckdb, "CREATE TABLE kinds AS SELECT * FROM (VALUES ('a', 1.0), ('z', 2.0), (NULL, 3.0)) AS v (name, id)")
    related = {"kinds": lambda: duckdb.table("kinds"), "elsewhere": lambda: pl.DataFrame({"name": ["a"]})}
    names, pairs, numbers, column, unknown, elsewhere = measured(
        duckdb.table("feed"),
        Orphans(("name",), "kinds", ("name",)),
        Orphans(("name", "id"), "kinds", ("name", "id")),
        Orphans(("id",), "kinds", ("id",)),
        Orphans(("name",), "kinds", ("nope",)),
        Orphans(("name",), "nope", ("name",)),
        Orphans(("name",), "elsewhere", ("name",)),
        related=related,
    )
    assert (names, pairs, numbers) == (Count(2), Count(1), Count(0))
    assert reason(column) == "kinds has no column nope"
    assert reason(unknown) == "nope is not at hand"
    assert reason(elsewhere) == "elsewhere is no table of the same DuckDB connection"


# --- sql rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT count(*) FROM feed WHERE name IS NULL", 1.0),
        ("SELECT 100.0 * sum(CASE WHEN x.id > 1 THEN 1 ELSE 0 END) / count(*) FROM Feed x LEFT JOIN kinds ON kinds.name = x.name", 50.0),
        ("WITH names AS (SELECT DISTINCT name FROM feed) SELECT count(name) > 1 FROM names", 1.0),
        ("SELECT max(id) FROM feed WHERE id > 100", None),
        ("SELECT count(*) FROM feed UNION ALL SELECT 0 WHERE 1 = 0", 4.0),
    ],
)
@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_sql_rules_run_in_the_database(database: str, sql: str, number: float | None, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue(database)
    run(backend, "CREATE TABLE orders AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'c')) AS v (id, name)")
    run(backend, "CREATE TABLE kinds AS SELECT 'a' AS name")
    found = measured(backend.table("orders"), Query(sql, "feed"), related={"kinds": lambda: backend.table("kinds")})
    assert found == [Figure(number)]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DROP TABLE feed", "it is not one SELECT"),
        ("SELECT 1; SELECT 2", "it is not one SELECT"),
        ("INSERT INTO feed VALUES (1)", "it is not one SELECT"),
        ("WITH gone AS (DELETE FROM feed RETURNING 1) SELECT count(*) FROM gone", "it has DELETE"),
        ("SELECT 1 INTO other FROM feed", "it has INTO"),
        ("SELECT count(*) FROM feed FOR UPDATE", "it has LOCK"),
        ("SELECT count(*) FROM secrets", "there is no table secrets"),
        ("SELECT count(*) FROM information_schema.tables", "there is no table information_schema.tables"),
        ("SELECT count(*) FROM feeds", "did you mean"),
        ("SELECT count(*) FROM read_csv('/etc/passwd')", "it reads from a function"),
        ("SELECT pg_sleep(100)", "it calls pg_sleep()"),
        ("SELECT count( FROM feed", "it is not SQL of"),
    ],
)
@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_a_sql_rule_only_reads_what_its_contract_has(database: str, sql: str, why: str, request: pytest.FixtureRequest) -> None:
    backend = run(request.getfixturevalue(database), "CREATE TABLE feed AS SELECT 1 AS id", "CREATE TABLE secrets AS SELECT 1 AS id")
    (found,) = measured(backend.table("feed"), Query(sql, "feed"))
    assert reason(found).startswith("the query is not run: ")
    assert why in reason(found)


def test_postgres_itself_refuses_a_query_that_writes(postgres: Any) -> None:
    """The parser's is the first lock of two: a function may write, whatever the query looks like."""
    run(
        postgres,
        "CREATE TABLE feed AS SELECT 1 AS id",
        "CREATE FUNCTION innocent() RETURNS int LANGUAGE sql AS 'DELETE FROM feed RETURNING 1'",
    )
    (found,) = measured(postgres.table("feed"), Query("SELECT innocent()", "feed"))
    assert reason(found) == "PostgreSQL could not measure Query (ReadOnlySqlTransaction)"
    assert measured(postgres.table("feed"), RowCount()) == [Count(1)]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT id FROM feed", "several rows"),
        ("SELECT id FROM feed WHERE false", "no row"),
        ("SELECT 'a'", "a str"),
        ("SELECT 1, 2", "2 columns"),
    ],
)
def test_a_sql_rule_answers_one_number(duckdb: Any, sql: str, why: str) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT range AS id FROM range(3)").table("feed")
    assert reason(measured(table, Query(sql, "feed"))[0]).startswith(f"the query gave {why}; a sql rule answers one number")


# --- profiles ------------------------------------------------------------------------------------------------------


def test_profiles_of_many_values_are_shortened_by_the_database(duckdb: Any) -> None:
    rows = EXACT * 2
    run(duckdb, f"CREATE TABLE feed AS SELECT (range * 7919 % {rows})::double AS x FROM range({rows})")
    run(duckdb, f"INSERT INTO feed SELECT {rows // 2} FROM range({rows})", "INSERT INTO feed VALUES (NULL), ('nan')")
    (profile,) = measured(duckdb.table("feed"), ProfileOf("x"))
    assert isinstance(profile, NumericProfile)
    assert (profile.total, profile.nulls, profile.rank_error) == (2 * rows, 2, 1 / GROUPS)
    assert (profile.values[0], profile.values[-1], profile.counts[0], profile.counts[-1]) == (0.0, rows - 1.0, 1, 1)
    assert dict(zip(profile.values, profile.counts, strict=True))[rows // 2] == rows + 1
    assert len(profile.values) < 4 * GROUPS
    assert list(profile.values) == sorted(set(profile.values))
    alone = (0, len(profile.counts) - 1)
    sizes = [count for n, count in enumerate(profile.counts) if n not in alone and count <= rows]
    assert max(sizes) < 2 * rows / GROUPS
    mean = sum(value * count for value, count in zip(profile.values, profile.counts, strict=True)) / profile.total
    assert mean == pytest.approx((rows * (rows - 1) / 2 + rows * (rows // 2)) / (2 * rows))


# --- evidence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_samples_show_rows_and_the_most_frequent_values(database: str, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue(database)
    run(backend, "CREATE TABLE feed (id bigint, kind varchar(5), amount numeric(6, 2))")
    run(backend, "INSERT INTO feed VALUES (1, 'a', 1.50), (2, 'b', NULL), (3, 'b', -1), (3, 'c', 2), (NULL, NULL, 2)")
    table = backend.table("feed")
    kinds, keys, amounts, nulls = NotIn("kind", ("a",)), Duplicates(("id",)), OutOfRange("amount", 0), Nulls("id")
    found = ENGINE.samples(table, [kinds, keys, amounts, nulls, RowCount(), Newest("kind"), NotIn("id", (1, 2, 3))], limit=2)
    assert set(found) == {kinds, keys, amounts, nulls}
    assert found[kinds].values == (("b", 2), ("c", 1))
    assert len(found[kinds].rows) == 2
    assert {row["kind"] for row in found[kinds].rows} <= {"b", "c"}
    assert found[keys].values == ((3, 1),)
    assert found[amounts].rows == ({"id": 3, "kind": "b", "amount": Decimal("-1.00")},)
    assert found[nulls].values == ((None, 1),)


def test_samples_of_types_that_do_not_travel(duckdb: Any, postgres: Any) -> None:
    run(duckdb, "CREATE TABLE feed AS SELECT 1 AS id, INTERVAL 1 DAY AS i, uuid() AS u, MAP {'k': 1} AS m")
    run(postgres, "CREATE TABLE feed AS SELECT 1 AS id, INTERVAL '1 day' AS i, gen_random_uuid() AS u, '{}'::jsonb AS m, 'a=>1'::text AS t")
    for backend in (duckdb, postgres):
        found = ENGINE.samples(backend.table("feed"), [NotIn("id", (2,)), NotMatching("u", "^$"), within("id", (), Nulls)])
        assert [len(sample.rows) for sample in found.values()] == [1, 1, 0][: len(found)]
        assert len(found) >= 2


@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_a_table_is_divided_where_it_lives(database: str, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue(database)
    run(backend, "CREATE TABLE feed AS SELECT * FROM (VALUES (1, 'a'), (2, 'x'), (NULL, 'x')) AS v (id, kind)")
    division = ENGINE.divide(backend.table("feed"), {"id.required": Nulls("id"), "kind.enum": NotIn("kind", ("a",))})
    assert division is not None
    kept: Any = division.kept
    refused: Any = division.refused
    assert division.rows == 2
    assert kept.to_pyarrow().to_pylist() == [{"id": 1, "kind": "a"}]
    assert refused.order_by("id").to_pyarrow().to_pylist() == [
        {"id": 2, "kind": "x", REASONS: "kind.enum"},
        {"id": None, "kind": "x", REASONS: "id.required; kind.enum"},
    ]
    assert ENGINE.divide(backend.table("feed"), {"keys": Duplicates(("id",))}) is None


# --- patterns ------------------------------------------------------------------------------------------------------

PATTERNS = (
    *(r"^a.c$", "a.c", "(?s)a.c", r"^\d{2,3}$", r"\D", r"[\d_-]+$", r"[^\d]", r"^\w+$", r"[\W]", r"^\s", r"\S{3}", r"[\S]", "", "^$"),
    *("(?i)STRASSE|É", "a|b$", "^(?:a|b)+?$", "^(?P<x>a)b?", r"\x41|\x{e9}|\u00e9", "[[:alpha:]]{2}", "^[]a]$", "[^]a]", r"^[a\-z]+$"),
    *("[a-c-]", r"\.", r"\\", r"\bfoo\b", r"o\B", r"\Aa\z", "(?m)^b$", r"\p{Lu}", r"\P{L}", r"\pN", r"[\p{Ll}0]", "a{2}", "a{2,}?b", r"\t"),
    *(r"[\n]", "(a)(b)", r"\+\*\?\(\)\[\]\{\}\^\$\|", "~&#-/", "'|\"", "%s", "[.]", "[$^]", "a$b", "x*", "[а-я]", "🙂+", r"\$\{", "a\nb"),
    *("^[^@ ]+@[^@ ]+\\.[a-z]{2,}$", r"\p{Greek}", "[a&&b]", "(?i-u:a)", "(?x)a b", "[[:^alpha:]]"),
)
TEXTS = (
    *("", "a", "b", "ab", "abc", "a\nc", "aXc", "12", "123", "٣٤", "é", "É", "straße", "STRASSE", "foo", "a foo b", "foobar", "éfoo", " x"),
    *("\u2003x", "x\u00a0", "]", "a-z", "-", ".", "\\", "a\n", "\nb", "b\n", "aa", "aab", "\t", "\n", "(a)", "+*?()[]{}^$|", "~&#-/", "'"),
    *(
        '"',
        "%s",
        "$",
        "^",
        "🙂🙂",
        "А я",
        "x@y.co",
        "${",
        "foo_1",
        "_",
        "²",
        "Ⓐ",
        "e\u0301",
        "\u200d",
        "a\r",
        "a\u2028",
        "a\x85c",
        "A",
        "ſ",
    ),
)
REFUSED = {r"\p{Greek}", "[a&&b]", "(?i-u:a)", "(?x)a b", "[[:^alpha:]]"}


@pytest.mark.parametrize(
    ("database", "refused"),
    [
        ("duckdb", REFUSED | {r"\bfoo\b", r"o\B"}),
        ("postgres", REFUSED),
        pytest.param("spark", REFUSED, marks=pytest.mark.spark),
    ],
)
def test_patterns_mean_the_same_in_every_dialect(database: str, refused: set[str], request: pytest.FixtureRequest) -> None:
    """As in Polars, whose regular expressions are those of the contract."""
    wanted = pl.DataFrame({"t": TEXTS}).select(pl.col("t").str.contains(p).alias(p) for p in PATTERNS).to_dict(as_series=False)
    table, dialect = _texts_in(database, request)
    expressions, impossible = {}, set()
    for number, pattern in enumerate(PATTERNS):
        try:
            expressions[f"p{number}"] = matching(table.t, pattern, dialect)
        except Inexpressible:
            impossible.add(pattern)
    assert impossible == refused
    found = table.select(n=table.n, **expressions).order_by("n").to_pyarrow().to_pydict()
    told = {PATTERNS[int(name[1:])]: values for name, values in found.items() if name != "n"}
    assert told == {pattern: wanted[pattern] for pattern in told}


def _texts_in(database: str, request: pytest.FixtureRequest) -> tuple[Any, str]:
    rows = list(enumerate(TEXTS))
    if database == "spark":
        pytest.importorskip("pyspark", reason="needs pyspark below 4.1, and Java 17")
        backend = ibis.pyspark.connect()
        backend._session.createDataFrame(rows, "n int, t string").createOrReplaceTempView("texts")
        return backend.table("texts"), "pyspark"
    backend = request.getfixturevalue(database)
    run(backend, "CREATE TABLE texts (n integer, t text)")
    mark = "?" if database == "duckdb" else "%s"
    backend.con.cursor().executemany(f"INSERT INTO texts VALUES ({mark}, {mark})", rows)
    return backend.table("texts"), database


# --- databases that are not at hand ----------------------------------------------------------------------------------

IBIS_TYPES = {
    TEXT: "string",
    INT: "int64",
    FLOAT: "float64",
    SINGLE: "float32",
    "bool": "boolean",
    DATE: "date",
    INSTANT: "timestamp",
    ZONED: "timestamp('UTC')",
    DECIMAL: "decimal(12, 2)",
}
CLOUD = {"snowflake": "(?i)", "bigquery": "quantile", "trino": "quantile", "databricks": ""}


@pytest.mark.parametrize("dialect", CLOUD)
def test_sql_for_databases_that_are_not_at_hand(dialect: str) -> None:
    """Everything that the conformance suite measures compiles to SQL that parses, but for what the dialect is known not to have."""
    table = ibis.table({name: IBIS_TYPES[kind] for name, kind in COLUMNS.items()}, name="feed")
    metrics = [*metrics_for({name: (kind, []) for name, kind in COLUMNS.items()}), NotMultiple("n", 0.5), Missing("a", (None,))]
    source = Source(table, dialect)
    expressible = [metric for metric in metrics if not (CLOUD[dialect] and CLOUD[dialect] in repr(metric))]
    found = {metric: ask(source, metric) for metric in expressible}
    assert [one for one in found.values() if isinstance(one, Unmeasured)] == []
    query = sqlglot.parse_one(str(ibis.to_sql(aggregate(source, expressible), dialect=dialect)), read=dialect)
    assert isinstance(query, sqlglot.exp.Select)
    assert len(query.selects) > 200
    for one in found.values():
        if isinstance(one, Alone):
            assert sqlglot.parse_one(str(ibis.to_sql(one.query, dialect=dialect)), read=dialect)


@pytest.mark.parametrize("dialect", ["bigquery", "trino"])
def test_a_quantile_is_never_an_approximate_one(dialect: str) -> None:
    source = Source(ibis.table({"x": "float64"}, name="feed"), dialect)
    one = ask(source, Statistic("x", Kind.QUANTILE, 0.5))
    assert isinstance(one, Asked)
    with pytest.raises(Exception, match="Quantile"):
        ibis.to_sql(source.table.aggregate(**dict(one.select)), dialect=dialect)


def test_integers_are_exact(duckdb: Any, postgres: Any) -> None:
    kinds = (Kind.MINIMUM, Kind.MAXIMUM, Kind.SUM)
    for backend in (duckdb, postgres):
        table = run(backend, "CREATE TABLE feed (n bigint)", f"INSERT INTO feed VALUES ({2**53 + 1}), ({2**63 - 1})").table("feed")
        found = measured(table, *(Statistic("n", kind) for kind in kinds), Query("SELECT sum(n) FROM feed", "feed"))
        assert [each.value for each in found] == [2**53 + 1, 2**63 - 1, 2**63 + 2**53, 2**63 + 2**53]
    table = run(duckdb, "CREATE TABLE large (n ubigint)", f"INSERT INTO large VALUES ({2**64 - 1}), ({2**64 - 1})").table("large")
    found = measured(table, *(Statistic("n", kind) for kind in kinds))
    assert [each.value for each in found] == [2**64 - 1, 2**64 - 1, 2 * (2**64 - 1)]


def test_text_in_a_format_of_the_contract_is_not_compared(duckdb: Any) -> None:
    table = run(duckdb, "CREATE TABLE feed AS SELECT '13/05/1999' AS a, DATE '2000-01-01' AS b").table("feed")
    days, rome = TimeText("dd/MM/yyyy", None, "%d/%m/%Y"), TimeText(zone="Europe/Rome")
    written, local = measured(table, Compared("a", "<", "b", days), Compared("b", "<=", "b", rome, rome))
    assert 'written as "dd/MM/yyyy" is not read' in reason(written)
    assert local == Count(0)
