"""`calibrate`: the diff, the evidence, what is written, and what it exits with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_contracts.core.odcs import parse
from tests.calibration.test_calibrate import CONTRACT, case
from tests.cli.conftest import Ran
from tests.schemas import assert_described


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
