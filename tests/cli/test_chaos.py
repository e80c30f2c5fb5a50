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


def test_a_score_that_is_too_low_is_an_exit_code(run: Callable[..., Ran], data: Path) -> None:
    asked = ("chaos", CONTRACT, "--data", data, "--only", "null_rate", "--no-thresholds", "--format", "json")
    percent = run(*asked).json["score"]["total"]["percent"]
    assert 0 < percent < 100
    assert run(*asked, "--minimum-score", percent - 1).code == 0
    assert run(*asked, "--minimum-score", percent + 1).code == 1


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
