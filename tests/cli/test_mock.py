"""`mock`: files that `test` passes, in three formats; what cannot be promised ends in exit code 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import CONTRACT, Ran

SHOP = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: note, logicalType: string, quality: [{type: library, metric: nullValues, mustBeGreaterThan: 2}]}
      - {name: at, logicalType: timestamp, required: true}
      - {name: text, logicalType: timestamp, logicalTypeOptions: {format: "yyyy-MM-dd HH:mm:ss"}}
      - {name: paid, logicalType: boolean}
      - {name: rate, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0, maximum: 0.0001}}
      - {name: clock, logicalType: time}
  - name: "lines/all"
    physicalName: lines
    properties:
      - {name: order, logicalType: integer, required: true, relationships: [{to: orders.id}]}
      - {name: word, logicalType: string, logicalTypeOptions: {maxLength: 0}}
    quality:
      - {type: library, metric: rowCount, mustBeBetween: [30, 40]}
slaProperties:
  - {property: freshness, value: 1, unit: h, element: orders.at}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.odcs.yaml"
    file.write_text(SHOP)
    return file


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_what_is_made_passes(run: Callable[..., Ran], shop: Path, tmp_path: Path, form: str) -> None:
    ran = run("mock", shop, "--rows", 12, "--format", form, "--output", tmp_path / "data", "--now", "2026-03-01T12:00:00Z")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == f"orders: 12 rows in {tmp_path}/data/orders.{form}"
    assert ran.out.splitlines()[1].endswith(f"lines_all.{form}, as its rowCount rules ask; 12 were asked for")
    for name, file in (("orders", "orders"), ("lines/all", "lines_all")):
        judged = run("test", shop, "--object", name, "--data", tmp_path / f"data/{file}.{form}", "--as-of", "2026-03-01T12:30:00Z")
        assert judged.code == 0, judged.out


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_no_rows_pass_where_a_rule_allows_them(run: Callable[..., Ran], tmp_path: Path, form: str) -> None:
    file = tmp_path / "feed.odcs.yaml"
    nested = "" if form == "csv" else ", {name: o, logicalType: object, properties: [{name: s, logicalType: string, unique: true}]}"
    file.write_text(
        "{apiVersion: v3.1.0, kind: DataContract, id: f, version: 1.0.0, status: active, schema: [{name: feed, "
        "quality: [{metric: rowCount, mustBeGreaterOrEqualTo: 0}], "
        f"properties: [{{name: n, logicalType: integer, required: true}}{nested}]}}]}}"
    )
    ran = run("mock", file, "--rows", 0, "--output", tmp_path / f"f.{form}")
    assert (ran.code, ran.err, ran.out) == (0, "", f"feed: 0 rows in {tmp_path}/f.{form}\n")
    assert run("test", file, "--data", tmp_path / f"f.{form}").code == 0


def test_the_name_of_the_file_says_the_format(run: Callable[..., Ran], contract: Path, tmp_path: Path) -> None:
    assert run("mock", contract, "--output", "a.csv", "--rows", 5).code == 0
    assert run("mock", contract, "--output", "b.csv", "--rows", 5).code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert run("mock", contract, "--output", "c.csv", "--rows", 5, "--seed", 1).code == 0
    assert Path("a.csv").read_bytes() != Path("c.csv").read_bytes()
    assert pl.read_csv("a.csv").height == 5
    assert run("mock", contract).out == "feed: 100 rows in feed.parquet\n"


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("gen.py", "--output gen.py is a file that is no .parquet"),
        ("gen.py/x.csv", "gen.py/x.csv cannot be written"),
        ("gen.py/x", "cannot be written"),
    ],
)
def test_where_nothing_can_be_written(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gen.py").write_text("mine")
    Path("feed.odcs.yaml").write_text(CONTRACT)
    ran = run("mock", "feed.odcs.yaml", "--rows", 5, "--output", out)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1
    assert Path("gen.py").read_text() == "mine"
    assert 'no schema object "nosuch"; it has: feed' in run("mock", "feed.odcs.yaml", "--object", "nosuch").err
    assert '"xls" is not written; expected parquet' in run("mock", "feed.odcs.yaml", "--format", "xls").err


def test_what_cannot_be_promised(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = tmp_path / "feed.odcs.yaml"
    rule = "    quality:\n      - {type: sql, query: 'SELECT COUNT(*) FROM feed WHERE customer_id = 7654321', mustBe: 1}\n"
    file.write_text(CONTRACT.replace("customProperties:\n  - property: circuit", f"{rule}customProperties:\n  - property: circuit"))
    ran = run("mock", file)
    assert ran.code == 1
    assert "feed: sql (error) cannot be promised: data is not made for SQL" in ran.err
    assert "nothing was written" in ran.err
    assert not Path("feed.parquet").exists()
    assert run("mock", file, "--keep-unmet").code == 1
    assert run("test", file, "--data", "feed.parquet").code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "parket"], 'did you mean "parquet"'),
        (["--output", "one.csv"], "is one file, and there are 2 objects: orders, lines/all"),
        (["--object", "order"], 'did you mean "orders"'),
        (["--rows", "-1"], "-1 rows"),
        (["--now", "2026-01-01"], "has no offset"),
    ],
)
def test_bad_usage(run: Callable[..., Ran], shop: Path, arguments: list[str], told: str) -> None:
    ran = run("mock", shop, *arguments)
    assert ran.code == 2
    assert told in ran.err
    assert list(Path().glob("*.parquet")) == []


def test_nested_values_in_csv_and_contradictions(run: Callable[..., Ran], contract: Path) -> None:
    text = contract.read_text()
    contract.write_text(text.replace("logicalType: string", "logicalType: array", 1).split("        quality")[0])
    ran = run("mock", contract, "--format", "csv")
    assert (ran.code, "feed: CSV holds no objects, arrays or maps, and risk_indicator has some" in ran.err) == (2, True)
    contract.write_text(text.replace("logicalType: string", "logicalType: string\n        logicalTypeOptions: {maxLength: 2}"))
    ran = run("mock", contract)
    assert ran.code == 2
    assert "feed.risk_indicator: no value keeps risk_indicator.maxLength" in ran.err
    assert "and risk_indicator.invalidValues" in ran.err
