"""`calibrate`: the diff, the evidence, what is written, and what it exits with."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_contracts.core.odcs import parse
from tests.calibration.test_calibrate import CONTRACT, case
from tests.cli.conftest import Ran
from tests.schemas import assert_described
from tests.shared_cases import CASES, needs_cases


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for batch in case([100 + day % 7 for day in range(21)]).batches:
        batch.frame.write_csv(tmp_path / "data" / batch.name)
    (tmp_path / "feed.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def test_the_diff_and_the_evidence_are_printed_and_nothing_is_written(run: Callable[..., Ran], feed: Path):
    asked = ("calibrate", feed / "feed.odcs.yaml", "--history", feed / "data", "--no-propose")
    done = run(*asked)
    assert done.code == 0
    assert "+++ b/feed.odcs.yaml" in done.out
    assert "21 batches, 100 to 106, centre 103" in " ".join(done.out.split())
    assert (feed / "feed.odcs.yaml").read_text() == CONTRACT
    printed = run(*asked, "--format", "json")
    assert_described("calibrate", printed.json)
    assert printed.json["diff"] in run(*asked, "--format", "markdown").out


def test_what_is_written_is_a_new_version_of_which_nothing_is_left_to_change(run: Callable[..., Ran], feed: Path):
    file = feed / "feed.odcs.yaml"
    assert run("calibrate", file, "--history", feed / "data", "--fix-to", file).code == 0
    assert parse(file.read_text()).version != "1.0.0"
    assert run("lint", file).code == 0
    again = run("calibrate", file, "--history", feed / "data", "--fix-to", file)
    assert (again.code, "nothing to write" in again.err) == (2, True)


def test_labels_are_read_from_a_file(run: Callable[..., Ran], feed: Path):
    (feed / "labels.yaml").write_text("- {partition: 2026-01-07, what: half of it, rule: rows}\n")
    asked = ("calibrate", feed / "feed.odcs.yaml", "--history", feed / "data", "--incidents", feed / "labels.yaml")
    found = run(*asked, "--format", "json").json
    assert next(rule for rule in found["rules"] if rule["rule"] == "rows")["needed_by"] == ["2026-01-07"]
    (feed / "labels.yaml").write_text("- {partition: 2027-01-07}\n")
    unknown = run(*asked)
    assert (unknown.code, 'no partition "2027-01-07"' in unknown.err) == (2, True)


def test_what_cannot_be_calibrated_is_said(run: Callable[..., Ran], feed: Path):
    few = run("calibrate", feed / "feed.odcs.yaml", "--history", feed / "data" / "2026-01-05.csv")
    assert (few.code, "too few to learn thresholds from" in few.err) == (2, True)
    absent = run("calibrate", feed / "no.odcs.yaml", "--history", feed / "data")
    assert (absent.code, "is no file" in absent.err) == (2, True)


def test_a_registered_version_is_calibrated_and_its_next_one_written(run: Callable[..., Ran], feed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(feed)
    monkeypatch.setenv("CONTRACTS_DATABASE_URL", f"sqlite:///{feed}/registry.db")
    file = feed / "feed.odcs.yaml"
    file.write_text(CONTRACT.replace("id: feed", "id: urn:shop/feed"))
    assert run("publish", file).code == 0
    asked = ("--history", feed / "data", "--no-propose")
    done = run("calibrate", "urn:shop/feed@1.0.0", *asked, "--fix")
    assert done.code == 0, done.err
    written = parse((feed / "urn_shop_feed-1.1.0.odcs.yaml").read_text())
    assert (written.id, written.version) == ("urn:shop/feed", "1.1.0")
    assert (
        run("calibrate", file, *asked, "--format", "json").json["diff"].splitlines()[2:]
        == run("calibrate", "urn:shop/feed@1.0.0", *asked, "--format", "json").json["diff"].splitlines()[2:]
    )


def test_a_file_that_is_no_batch_of_the_contract_is_an_error(run: Callable[..., Ran], feed: Path):
    (feed / "data" / "labels.csv").write_text("day,what\n2026-01-05,late\n")
    done = run("calibrate", feed / "feed.odcs.yaml", "--history", feed / "data")
    assert (done.code, "labels.csv is no batch of feed" in done.err) == (2, True), done.err


# --- what is told is what happens ----------------------------------------------------------------------------------


def agreed(run: Callable[..., Ran], contract: Path, history: Path, place: Path) -> dict[str, Any]:
    """What `calibrate` says, having asked `backtest` of the contract that it wrote: both tell of the same refusals, and what was proposed
    refuses no clean batch but those that look like incidents."""
    found = run("calibrate", contract, "--history", history, "--fix-to", place, "--format", "json").json
    (replay,) = run("backtest", place, "--history", history, "--format", "json").json["replays"]
    assert {each["partition"]: sorted(each["rules"]) for each in replay["clean_refused"]} == found["after"]
    new = {rule["rule"] for rule in found["rules"] if rule["step"] == "proposed"} | set(found["columns"])
    assert not [(key, new & set(rules)) for key, rules in found["after"].items() if key not in found["suspects"] and new & set(rules)]
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_feed_that_drifts_is_refused_as_calibrate_says(run: Callable[..., Ran], feed: Path, seed: int):
    chance = random.Random(seed)
    history = feed / "drifting"
    history.mkdir()
    for month in range(24):  # it begins with a handful of rows, and grows away from what it was
        rows = 4 + 20 * month
        grades = [chr(65 + min(int(chance.expovariate(0.8)), 1 + month // 2)) for _ in range(rows)]
        values = [chance.gauss(100 + 8 * month, 10) for _ in range(rows)]
        pl.DataFrame({"amount": values, "grade": grades}).write_csv(history / f"{2024 + month // 12}-{month % 12 + 1:02}.csv")
    (feed / "feed.odcs.yaml").write_text(CONTRACT.replace("    properties:\n", "    properties:\n      - name: grade\n"))
    found = agreed(run, feed / "feed.odcs.yaml", history, feed / "written.odcs.yaml")
    assert not found["after"]
    proposed = {rule["rule"]: rule["warns_on"] for rule in found["rules"] if rule["step"] == "proposed"}
    quality = {rule.name: rule for prop in parse((feed / "written.odcs.yaml").read_text()).objects[0].properties for rule in prop.quality}
    assert proposed["grade.new"]
    told = run("calibrate", feed / "feed.odcs.yaml", "--history", history).out
    assert "proposed as a warning, since as an error it would refuse clean batches: grade." in told
    assert {name for name, warned in proposed.items() if warned} == {name for name in proposed if quality[name].severity == "warning"}


SLOW = ("jhu_daily", "jhu_us_daily", "bike_sharing", "italy_regioni")


@needs_cases
@pytest.mark.parametrize("name", ["lendingclub", *(pytest.param(feed, marks=pytest.mark.soak) for feed in SLOW)])
def test_a_real_feed_is_refused_as_calibrate_says(run: Callable[..., Ran], tmp_path: Path, name: str):
    agreed(run, CASES / "contracts" / f"{name}.odcs.yaml", CASES / "data" / name, tmp_path / "written.odcs.yaml")
