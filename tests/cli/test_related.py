"""`--related`, and what commands say of data that is likely not what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

SHOP = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
- name: customers
  properties: [{name: id, logicalType: string, required: true, unique: true}]
- name: orders
  properties:
  - {name: number, logicalType: integer, required: true, unique: true}
  - {name: amount, logicalType: integer}
  - {name: customer, logicalType: string, required: true, relationships: [{to: customers.id}]}
"""
DAYS = range(1, 6)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.odcs.yaml").write_text(SHOP)
    (tmp_path / "orders").mkdir()
    (tmp_path / "customers").mkdir()
    for day in DAYS:
        rows = [f"{row},C{row},{row % 7}" for row in range(40)]
        (tmp_path / "orders" / f"2026-01-0{day}.csv").write_text("\n".join(["number,customer,amount", *rows, ""]))
    for half in (0, 1):  # in two files
        (tmp_path / "customers" / f"{half}.csv").write_text("\n".join(["id", *(f"C{row}" for row in range(half * 20, half * 20 + 20)), ""]))
    return tmp_path


def chaos(run: Callable[..., Ran], shop: Path, *arguments: object) -> Ran:
    asked = ("chaos", shop / "shop.odcs.yaml", "--object", "orders", "--data", shop / "orders", "--no-thresholds", "--format", "json")
    return run(*asked, *arguments)


def test_a_relationship_catches_what_it_caught_not_without_the_other_object(run: Callable[..., Ran], shop: Path) -> None:
    only = ("--only", "changed_case", "--no-propose")
    without, done = chaos(run, shop, *only), chaos(run, shop, *only, "--related", f"customers={shop / 'customers'}")
    assert (without.code, done.code) == (0, 0)
    assert without.json["score"]["total"]["percent"] == 0
    assert done.json["score"]["total"]["percent"] == 100
    assert {rule for cell in done.json["cells"] for trial in cell["trials"] for rule in trial["rules"]} == {"customer.relationship"}


def test_proposed_clauses_are_tried_beside_the_other_object(run: Callable[..., Ran], shop: Path) -> None:
    done = chaos(run, shop, "--only", "changed_case", "--only", "unit_change", "--related", f"customers={shop / 'customers'}")
    assert done.code == 0, done.err
    assert done.json["clean"]["alarms"] == []
    before, after = (score["by_group"]["semantics"] for score in (done.json["score"], done.json["fix"]["score"]))
    assert before["caught"] == 3  # by the relationship, then as now
    assert after["caught"] > before["caught"]


def test_test_judges_the_relationship_too(run: Callable[..., Ran], shop: Path) -> None:
    asked = ("test", shop / "shop.odcs.yaml", "--object", "orders", "--data", shop / "orders" / "2026-01-01.csv")
    assert "customers is not at hand" in run(*asked).out
    assert run(*asked, "--related", f"customers={shop / 'customers'}").out.startswith("pass")
    half = run(*asked, "--related", f"customers={shop / 'customers' / '0.csv'}")
    assert half.code == 1
    assert "20 of 40 rows (50%) not among customers (id)" in half.out
    assert 'customer="C20"' in half.out
    both = ("--related", f"customers={shop / 'customers' / '0.csv'}", "--related", f"customers={shop / 'customers' / '1.csv'}")
    assert run(*asked, *both).code == 0


def test_history_is_judged_beside_the_other_object(run: Callable[..., Ran], shop: Path) -> None:
    half = ("--related", f"customers={shop / 'customers' / '0.csv'}")
    asked = (shop / "shop.odcs.yaml", "--object", "orders", "--history", shop / "orders", "--format", "json")
    for related, rules in (((), []), (half, ["customer.relationship"]), (("--related", f"customers={shop / 'customers'}"), [])):
        done = run("backtest", *asked, *related)
        assert [each["rules"] for each in done.json["replays"][0]["batches"]] == [rules] * len(DAYS), done.err
    (shop / "shop.odcs.yaml").write_text(f"{SHOP}  quality: [{{name: size, type: library, metric: rowCount, mustBeGreaterThan: 1}}]\n")
    calibrated = run("calibrate", *asked, "--no-propose", *half)
    assert set(map(tuple, calibrated.json["before"].values())) == {("customer.relationship",)}, calibrated.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("customers", "--related customers: expected NAME=PLACE, such as customers=data/customers.csv"),
        ("=x.csv", "--related =x.csv: expected NAME=PLACE"),
        ("customer=x.csv", 'has no schema object "customer", did you mean "customers"?'),
        ("customers=nowhere.csv", "nowhere.csv: no such file"),
    ],
)
def test_a_wrong_related_is_bad_usage(run: Callable[..., Ran], shop: Path, given: str, told: str) -> None:
    for command in ("test", "chaos"):
        done = run(command, shop / "shop.odcs.yaml", "--object", "orders", "--data", shop / "orders" / "2026-01-01.csv", "--related", given)
        assert (done.code, done.out) == (2, "")
        assert told in done.err


def test_a_folder_of_csv_is_said_to_be_judged_as_files(run: Callable[..., Ran], shop: Path) -> None:
    done = run("test", shop / "shop.odcs.yaml", "--object", "orders", "--data", shop / "orders")
    assert done.code == 1
    assert "5 files were judged as files, a row for each, and not what stands in them" in done.err
    assert f"--data {shop / 'orders' / '2026-01-01.csv'}" in done.err
    text = SHOP.replace("- name: orders\n", "- name: orders\n  physicalType: files\n")
    (shop / "shop.odcs.yaml").write_text(text)
    assert "were judged as files" not in run("test", shop / "shop.odcs.yaml", "--object", "orders", "--data", shop / "orders").err


@pytest.mark.parametrize(("sign", "word"), [(";", '";"'), ("\t", "tabs"), ("|", '"|"')])
def test_csv_without_commas_is_told(run: Callable[..., Ran], shop: Path, sign: str, word: str) -> None:
    place = shop / "orders" / "2026-01-01.csv"
    place.write_text(place.read_text().replace(",", sign))
    asked = ("--object", "orders", "--data", place)
    done = run("test", shop / "shop.odcs.yaml", *asked)
    assert done.code == 1
    assert f"are its fields parted by {word}? CSV is read with commas" in done.err
    for refused in (run("chaos", shop / "shop.odcs.yaml", *asked), run("infer", place, "--name", "orders")):
        assert (refused.code, refused.out) == (2, "")
        assert f"are its fields parted by {word}? CSV is read with commas" in refused.err
