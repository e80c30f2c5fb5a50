"""`chaos`: what it prints, what it exits with, and that JSON is what its schema says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.chaos.feeds import as_csv, frame
from tests.cli.conftest import Ran
from tests.schemas import assert_described

CONTRACT = Path(__file__).parents[1] / "chaos" / "contract.odcs.yaml"
OWN = '''
import polars as pl
from dagster_contracts.chaos.edit import edited, picked
from dagster_contracts.chaos.fault import SHARES, fault, reading
from dagster_contracts.chaos.shape import Reads

@fault("shouting", "semantics", clause="validity", fits=reading(Reads.CATEGORY), doses=SHARES, unit="of the rows")
def shouting(batch, column, dose, rng):
    """Text in capitals."""
    return edited(batch, column, pl.col(column).str.to_uppercase(), picked(batch, column, dose, rng), "in capitals")
'''


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three daily files, each with the date in its name."""
    place = tmp_path / "feed"
    place.mkdir()
    for number in range(3):
        frame(number).write_parquet(place / f"2026-01-0{6 + number}.parquet")
    return place


def test_text_tells_the_score_what_was_missed_and_from_which_dose_on_it_is_noticed(run: Callable[..., Ran], data: Path) -> None:
    done = run("chaos", CONTRACT, "--data", data, "--only", "nulls", "--only", "null_rate")
    assert done.code == 0, done.err
    assert "No false alarm on clean data." in done.out
    assert "Mutation score" in done.out
    assert done.out.index("Missed, by the clause") < done.out.index("What consumers would have read") < done.out.index("The smallest dose")
    assert "null_rate" in done.out
    assert "faults tried in" in done.err


def test_json_is_what_its_schema_says(run: Callable[..., Ran], data: Path) -> None:
    some = [argument for name in ("cadence", "drop_column", "scale", "null_rate", "corrupt_file") for argument in ("--only", name)]
    done = run("chaos", CONTRACT, "--data", data / "*.parquet", "--format", "json", "--no-thresholds", *some)
    assert done.code == 0, done.err
    assert_described("chaos", done.json)
    assert done.json["clean"] == {"batches": 3, "alarms": []}
    assert done.json["score"]["total"]["tried"] == sum(len(cell["trials"]) for cell in done.json["cells"])
    assert done.json["cells"][0]["threshold"] is None


def test_a_contract_that_refuses_clean_data_is_not_scored(run: Callable[..., Ran], data: Path) -> None:
    frame(9).with_columns(pl.lit(2).alias("score")).write_parquet(data / "2026-01-09.parquet")
    told = run("chaos", CONTRACT, "--data", data)
    assert told.code == 1
    assert "Not scored: the contract refuses 1 of 4 clean batches" in told.out
    assert "score.minimum" in told.out
    printed = run("chaos", CONTRACT, "--data", data, "--format", "json")
    assert printed.code == 1
    assert_described("chaos", printed.json)
    assert printed.json["score"] is None
    assert printed.json["cells"] == []


def test_the_rules_that_refuse_clean_data_can_be_left_out(run: Callable[..., Ran], data: Path) -> None:
    frame(9).with_columns(pl.lit(2).alias("score")).write_parquet(data / "2026-01-09.parquet")
    asked = ("chaos", CONTRACT, "--data", data, "--only", "outliers_out_of_range", "--no-thresholds", "--format", "json")
    done = run(*asked, "--without", "score.minimum", "--without", "sla.frequency")
    assert done.code == 0
    assert done.json["clean"]["alarms"] == []
    unknown = run(*asked, "--without", "score.minimun")
    assert unknown.code == 2
    assert 'no rule "score.minimun", did you mean "score.minimum"?' in unknown.err
    assert 'no rule "nosuch"; `lint` counts them' in run(*asked, "--without", "nosuch").err


def test_a_score_that_is_too_low_is_an_exit_code(run: Callable[..., Ran], data: Path) -> None:
    asked = ("chaos", CONTRACT, "--data", data, "--only", "null_rate", "--no-thresholds", "--format", "json")
    percent = run(*asked).json["score"]["total"]["percent"]
    assert 0 < percent < 100
    assert run(*asked, "--minimum-score", percent - 1).code == 0
    assert run(*asked, "--minimum-score", percent + 1).code == 1


def test_where_no_fault_could_be_tried_there_is_no_score_and_no_success(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    own = tmp_path / "my_faults.py"
    own.write_text(OWN.replace("return edited", "raise KeyError('oh')\n    return edited"))
    asked = ("chaos", CONTRACT, "--data", data, "--faults", own, "--only", "shouting", "--minimum-score", 10)
    told = run(*asked)
    assert told.code == 1
    assert "Not scored: no fault could be tried." in told.out
    assert "the fault raised KeyError: 'oh'" in told.out
    assert "Mutation score" not in told.out
    printed = run(*asked, "--format", "json")
    assert printed.code == 1
    assert_described("chaos", printed.json)
    assert printed.json["score"] is None
    assert "No fault could be tried." in run(*asked, "--format", "html").out


def test_the_same_seed_says_the_same_and_another_seed_damages_other_rows(run: Callable[..., Ran], data: Path) -> None:
    asked = ("chaos", CONTRACT, "--data", data, "--only", "segment_poisoning", "--no-thresholds", "--format", "json", "--seed")
    assert run(*asked, 1).out == run(*asked, 1).out
    assert run(*asked, 1).json["cells"] != run(*asked, 2).json["cells"]


def test_faults_of_ones_own(run: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    own = tmp_path / "my_faults.py"
    own.write_text(OWN)
    done = run("chaos", CONTRACT, "--data", data, "--faults", own, "--only", "shouting", "--format", "json")
    assert {cell["fault"] for cell in done.json["cells"]} == {"shouting"}
    own.write_text("1 / 0")
    assert "ZeroDivisionError" in run("chaos", CONTRACT, "--data", data, "--faults", own).err
    own.write_text("")
    assert "defines no fault" in run("chaos", CONTRACT, "--data", data, "--faults", own).err
    assert run("chaos", CONTRACT, "--data", data, "--faults", own).code == 2


def test_every_format_of_file_is_read(run: Callable[..., Ran], tmp_path: Path) -> None:
    typed = frame(0).drop("empty")
    typed.write_ndjson(tmp_path / "2026-01-06.jsonl")
    as_csv(frame(0)).write_csv(tmp_path / "2026-01-06.csv")
    lines = run("chaos", CONTRACT, "--data", tmp_path / "2026-01-06.jsonl", "--only", "null_rate")
    assert lines.code == 1  # a column is missing in it: that is told, and no fault is tried
    assert "empty.present" in lines.out
    text = run("chaos", CONTRACT, "--data", tmp_path / "2026-01-06.csv", "--only", "null_rate", "--format", "json")
    assert {alarm["findings"][0]["rule"] for alarm in text.json["clean"]["alarms"]} == {"tags.present"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--data", "nowhere"), "nowhere"),
        (("--only", "null"), 'no fault or group is called "null"'),
        (("--faults", "absent.py"), "absent.py is no Python file"),
    ],
)
def test_bad_usage_is_told(run: Callable[..., Ran], data: Path, arguments: tuple[str, ...], told: str) -> None:
    done = run("chaos", CONTRACT, *(() if "--data" in arguments else ("--data", data)), *arguments)
    assert done.code == 2
    assert told in done.err


def test_a_batch_without_rows_is_none_to_damage(run: Callable[..., Ran], data: Path) -> None:
    frame(4).clear().write_parquet(data / "2026-01-10.parquet")
    done = run("chaos", CONTRACT, "--data", data)
    assert done.code == 2
    assert "has no row" in done.err


LEAN = """\
apiVersion: v3.1.0
kind: DataContract
id: feed
version: 1.0.0   # the first
status: active
schema:
- name: feed
  properties:
  - {name: id, logicalType: string}
  - name: amount
    logicalType: number
"""
FEW = ("--only", "key_collision", "--only", "null_as_sentinel", "--only", "reorder_columns", "--no-thresholds")


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven daily files: enough to learn clauses from."""
    place = tmp_path_factory.mktemp("week")
    for number in range(7):
        frame(number).select("id", "amount").write_parquet(place / f"2026-01-{6 + number:02}.parquet")
    (place / "feed.odcs.yaml").write_text(LEAN)
    return place


def test_the_clauses_that_are_missing_are_told_with_their_yaml(run: Callable[..., Ran], week: Path) -> None:
    done = run("chaos", week / "feed.odcs.yaml", "--data", week / "*.parquet", *FEW)
    assert done.code == 0, done.err
    assert "clauses more: 0.0% -> 60.0%" in done.out
    assert "schema:\n- name: feed\n  properties:\n  - name: id\n    unique: true\n" in done.out
    assert "No clause catches:" in done.out
    assert "read by name" in done.out
    assert (week / "feed.odcs.yaml").read_text() == LEAN
    assert "clauses more" not in run("chaos", week / "feed.odcs.yaml", "--data", week / "*.parquet", *FEW, "--no-propose").out


def test_fix_writes_a_new_version_and_leaves_the_old_one(
    run: Callable[..., Ran], week: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("chaos", week / "feed.odcs.yaml", "--data", week / "*.parquet", *FEW, "--format", "json", "--fix")
    done = run(*asked)
    assert done.code == 0, done.err
    assert_described("chaos", done.json)
    assert done.json["fix"]["path"] == "feed-1.1.0.odcs.yaml"
    assert done.json["fix"]["score"]["total"]["percent"] == 60
    assert "wrote version 1.1.0 to feed-1.1.0.odcs.yaml" in done.err
    new = (tmp_path / "feed-1.1.0.odcs.yaml").read_text()
    assert new.startswith(LEAN[: LEAN.index("version")] + "version: 1.1.0   # the first\n")
    assert (week / "feed.odcs.yaml").read_text() == LEAN
    assert run("lint", tmp_path / "feed-1.1.0.odcs.yaml", "--strict").code == 0
    again = run(*asked)
    assert again.code == 2
    assert "exists already" in again.err


def test_fix_in_place_where_that_is_asked_for(run: Callable[..., Ran], week: Path, tmp_path: Path) -> None:
    contract = tmp_path / "feed.odcs.yaml"
    contract.write_text(LEAN)
    asked = ("chaos", contract, "--data", week / "*.parquet", *FEW, "--fix-to", contract)
    assert run(*asked).code == 0
    fixed = contract.read_text()
    assert "version: 1.1.0   # the first" in fixed
    again = run(*asked)
    assert again.code == 0, again.err
    assert "nothing to add, and nothing is written" in again.err
    assert "Mutation score 60.0%" in again.out
    assert contract.read_text() == fixed


def test_a_contract_that_cannot_be_amended_is_scored(run: Callable[..., Ran], week: Path, tmp_path: Path) -> None:
    contract = tmp_path / "feed.odcs.yaml"
    contract.write_text(LEAN.replace("  properties:\n", "  properties: &columns\n") + "- name: other\n  properties: *columns\n")
    asked = ("chaos", contract, "--data", week / "*.parquet", "--object", "feed", *FEW)
    done = run(*asked)
    assert done.code == 0, done.err
    assert "Mutation score 0.0%" in done.out
    assert "no clauses are proposed: " in done.err
    assert "an anchor, an alias or a merge key" in done.err
    assert run(*asked, "--fix").code == 2


def test_the_report_is_a_page(run: Callable[..., Ran], week: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "report.html"
    done = run("chaos", week / "feed.odcs.yaml", "--data", week / "*.parquet", *FEW, "--format", "html", "--output", page)
    assert done.code == 0, done.err
    assert done.out == ""
    assert page.read_text().startswith("<!doctype html>")
    assert "Missing clauses" in page.read_text()


def test_of_few_batches_nothing_is_proposed_and_a_fix_is_refused(run: Callable[..., Ran], data: Path) -> None:
    told = run("chaos", CONTRACT, "--data", data, "--only", "null_rate", "--no-thresholds")
    assert "no clauses are proposed: 3 clean batches are too few to learn rules from; give at least 5" in told.err
    refused = run("chaos", CONTRACT, "--data", data, "--only", "null_rate", "--no-thresholds", "--fix")
    assert refused.code == 2
    assert "too few" in refused.err
    assert run("chaos", CONTRACT, "--data", data, "--only", "null_rate", "--output", "x.txt").code == 2
