"""`export gx` and `docs`: what is written, what is listed as left out, and that classified values are on no page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dagster_contracts.cli.app import app

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - name: amount
        logicalType: number
        quality:
          - type: custom
            engine: greatExpectations
            implementation: {type: expect_column_mean_to_be_between, kwargs: {max_value: 5}}
      - {name: card, logicalType: string, required: true, logicalTypeOptions: {maxLength: 4}}
    quality:
      - {type: sql, name: refunds, query: "SELECT count(*) FROM {object} WHERE amount < 0", mustBe: 0}
  - name: others
    properties: [{name: id}]
"""
SECRET = "4111-SECRET"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "orders.csv").write_text(f"id,amount,card\n1,5.5,{SECRET}\n2,7,1234\n")
    return tmp_path


def test_a_contract_is_exported_as_a_suite(folder: Path):
    done = CliRunner().invoke(app, ["export", "gx", "orders.odcs.yaml", "--object", "orders"])
    assert done.exit_code == 0
    suite = json.loads(done.stdout)
    assert suite["name"] == "orders 1.0.0 orders"
    by_rule = {entry["meta"]["rule"]: entry for entry in suite["expectations"]}
    assert by_rule["amount.custom"]["kwargs"] == {"column": "amount", "max_value": 5}
    assert by_rule["id.primaryKey"]["type"] == "expect_column_values_to_be_unique"
    assert [entry["rule"] for entry in suite["meta"]["left_out"]] == ["id.type", "amount.type", "card.type", "refunds"]
    assert "4 rules are left out:" in done.stderr
    assert "refunds: Great Expectations runs SQL in databases" in done.stderr


def test_a_suite_is_written_to_a_file(folder: Path):
    done = CliRunner().invoke(app, ["export", "gx", "orders.odcs.yaml", "--object", "orders", "-o", "suites/orders.json"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert len(json.loads((folder / "suites/orders.json").read_text())["expectations"]) > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "gx", "orders.odcs.yaml"], "choose one with --object: orders, others"),
        (["export", "gx", "gone.yaml"], "gone.yaml"),
        (["export", "gx", "orders.odcs.yaml", "--object", "orders", "-o", "orders.csv/x.json"], "cannot be written"),
        (["docs", "orders.odcs.yaml", "--object", "orders", "--data", "gone.csv"], "gone.csv"),
        (["docs", "orders.odcs.yaml", "--object", "orders", "--data", "orders.csv", "-o", "orders.csv/x"], "could not make the pages"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: list[str], words: str):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.stdout
    assert words in done.stderr


def test_docs_are_pages_of_the_contract_and_the_data(folder: Path):
    done = CliRunner().invoke(app, ["docs", "orders.odcs.yaml", "--object", "orders", "--data", "orders.csv", "-o", "pages"])
    assert done.exit_code == 0, done.stderr
    first, second = done.stdout.splitlines()
    told, page = first.split(": ")
    assert told == "7 of 9 expectations met"
    assert second == "all pages: pages/index.html"
    assert (folder / "pages/index.html").exists()
    shown = text_of(folder / page)
    assert "mean must be less than or equal to 5.0" in shown
    assert "6.25" in shown
    assert SECRET in shown
    assert "4 rules are left out:" in done.stderr


def test_classified_values_are_on_no_page(folder: Path):
    (folder / "orders.odcs.yaml").write_text(CONTRACT.replace("{name: card,", "{name: card, classification: restricted,"))
    done = CliRunner().invoke(app, ["docs", "orders.odcs.yaml", "--object", "orders", "--data", "orders.csv", "-o", "pages"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("7 of 9 expectations met")
    pages = list((folder / "pages").rglob("*.html"))
    assert len(pages) == 3
    assert all(SECRET not in page.read_text() and "6.25" not in page.read_text() for page in pages)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def text_of(page: Path) -> str:
    parser = _Text()
    parser.feed(page.read_text())
    return " ".join(" ".join(parser.parts).split())
