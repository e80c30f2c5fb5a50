"""`backtest`: what is printed of one version and of two, and what it exits with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_contracts.ports import FixedClock
from dagster_contracts.store.sql import SqlStore
from tests.calibration.test_calibrate import case
from tests.calibration.test_replay import GOVERNED, played
from tests.cli.conftest import Ran
from tests.schemas import assert_described


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for batch in case([100, 100, 9, 100, 100]).batches:
        batch.frame.write_csv(tmp_path / "data" / batch.name)
    (tmp_path / "feed.odcs.yaml").write_text(GOVERNED)
    (tmp_path / "wide.odcs.yaml").write_text(GOVERNED.replace("[50,", "[5,").replace("1.0.0", "1.1.0"))
    return tmp_path


def test_trips_and_reads_are_told(run: Callable[..., Ran], feed: Path):
    (feed / "labels.yaml").write_text("- {partition: 2026-01-08, what: late}\n")
    asked = ("backtest", feed / "feed.odcs.yaml", "--history", feed / "data")
    told = " ".join(run(*asked).out.split())
    assert "feed 1.0.0: 5 batches, 1 refused; tripped once, open for 1 d" in told
    assert "2026-01-08 00:00Z 2026-01-07 1 d 1 to look at rows" in told
    assert "billing 4 0 0 1 0 all others 4 1 0 0 0" in told
    labelled = run(*asked, "--incidents", feed / "labels.yaml").out
    assert "labelled incidents caught: 0 of 1; false trips: 1, 25.0 in 100 clean batches" in labelled
    assert "not caught: 2026-01-08 (late)" in labelled
    assert "clean batches refused: 1 of 4\n    2026-01-07: rows" in labelled
    printed = run(*asked, "--format", "json").json
    assert_described("backtest", printed)
    assert [each["partition"] for each in printed["replays"][0]["trips"]] == ["2026-01-07"]
    assert printed["replays"][0]["clean_refused"] == [{"partition": "2026-01-07", "rules": ["rows"]}]


def test_json_without_a_row_lacks_no_column(run: Callable[..., Ran], tmp_path: Path):
    for day, rows in enumerate(["", '{"n": 1}\n', ""], start=1):
        (tmp_path / f"2026-01-0{day}.jsonl").write_text(rows)
    (tmp_path / "feed.odcs.yaml").write_text(
        "{apiVersion: v3.1.0, kind: DataContract, id: feed, version: 1.0.0, status: active, schema: [{name: feed, "
        "quality: [{metric: rowCount, mustBeGreaterOrEqualTo: 0}], properties: [{name: n, logicalType: integer, required: true}]}]}"
    )
    ran = run("backtest", tmp_path / "feed.odcs.yaml", "--history", tmp_path)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "feed 1.0.0: 3 batches, 0 refused; tripped never, open for 0 s")


def test_an_incident_that_names_a_rule_is_caught_by_that_rule_alone(run: Callable[..., Ran], feed: Path):
    asked = ("backtest", feed / "feed.odcs.yaml", "--history", feed / "data", "--incidents", feed / "labels.yaml")
    (feed / "labels.yaml").write_text("- {partition: 2026-01-07, rule: rows}\n- {partition: 2026-01-07, rule: amount.nullValues}\n")
    told = run(*asked).out
    assert "labelled incidents caught: 1 of 2" in told
    assert "caught: 2026-01-07, by rows" in told
    assert "not caught: 2026-01-07, for which its rule amount.nullValues is to refuse it; refused, by rows" in told
    assert "clean batches refused: 0 of 4" in told
    incidents = run(*asked, "--format", "json").json["replays"][0]["incidents"]
    assert [(each["caught"], each["caught_by"], each["refused_by_others"]) for each in incidents] == [
        (True, ["rows"], []),
        (False, [], ["rows"]),
    ]


def test_what_the_times_of_arrival_were_taken_from_is_said(run: Callable[..., Ran], feed: Path):
    asked = ("backtest", feed / "feed.odcs.yaml", "--history", feed / "data")
    assert "when batches came is assumed: 5 at the end of the day or month in its name" in run(*asked).out
    (feed / "data" / "2026-01-09.csv").rename(feed / "data" / "last.csv")
    assert "assumed: 4 at the end of the day or month in its name; 1 a day after the one before it" in run(*asked).out
    batches = run(*asked, "--format", "json").json["replays"][0]["batches"]
    assert [each["arrival"] for each in batches] == ["name"] * 4 + ["order"]


@pytest.mark.parametrize("command", ["backtest", "calibrate"])
def test_the_contract_and_the_labels_may_lie_beside_the_batches(run: Callable[..., Ran], feed: Path, command: str):
    (feed / "data" / "feed.odcs.yaml").write_text(GOVERNED)
    (feed / "data" / "labels.json").write_text('[{"partition": "2026-01-07", "what": "short"}]')
    (feed / "data" / "other.yml").write_text("{}")
    asked = (command, feed / "data" / "feed.odcs.yaml", "--history", feed / "data", "--incidents", feed / "data" / "labels.json")
    ran = run(*asked)
    assert ran.err.startswith("error: 5 ") if command == "calibrate" else (ran.code, ran.err) == (0, "")  # five are too few for it


def test_other_kinds_of_files_in_a_folder_are_left_out_and_told(run: Callable[..., Ran], feed: Path):
    (feed / "data" / "contracts.db").write_bytes(b"SQLite")
    (feed / "data" / "notes.txt").write_text("x")
    asked = ("backtest", feed / "feed.odcs.yaml", "--history")
    ran = run(*asked, feed / "data")
    assert (ran.code, ran.err) == (0, "left out, as no table: contracts.db, notes.txt\n")
    assert (run(*asked, feed / "data" / "notes.txt").code, run(*asked, feed / "data", "--history", feed / "data" / "notes.txt").code) == (
        2,
        2,
    )
    for file in (feed / "data").glob("*.csv"):
        file.unlink()
    ran = run(*asked, feed / "data")
    assert (ran.code, 'contracts.db: a file named "*.db" is not read' in ran.err) == (2, True)


CUSTOMERS = """  - name: customers
    properties: [{name: id, logicalType: string}, {name: country, logicalType: string}]
"""


def test_what_is_no_batch_of_the_contract_is_an_error(run: Callable[..., Ran], feed: Path):
    file, strange = feed / "feed.odcs.yaml", feed / "data" / "2026-01-10.csv"
    asked = ("backtest", file, "--history", feed / "data", "--object", "feed")
    file.write_text(GOVERNED.replace("customProperties:", f"{CUSTOMERS}customProperties:"))
    strange.write_text("id,country\n1,de\n")
    done = run(*asked)
    assert done.code == 2
    assert "2026-01-10.csv is no batch of feed: it has none of the 1 column of feed (amount), but id, country" in done.err
    assert "and looks like customers" in done.err
    (feed / "labels.yaml").write_text("- {partition: 2026-01-10, what: another file}\n")
    assert "1 of 1" in run(*asked, "--incidents", feed / "labels.yaml").out
    wider = "".join(f"      - {{name: c{number}, logicalType: string}}\n" for number in range(3))
    file.write_text(GOVERNED.replace("      - name: amount", f"{wider}      - name: amount"))
    strange.unlink()
    done = run(*asked)
    assert (done.code, "5 of 5 batches lack most columns of feed (c0, c1, c2, amount)" in done.err) == (2, True), done.err


def test_two_versions_are_compared(run: Callable[..., Ran], feed: Path):
    asked = ("backtest", feed / "feed.odcs.yaml", feed / "wide.odcs.yaml", "--history", feed / "data")
    done = run(*asked)
    told = " ".join(done.out.split())
    assert done.code == 0
    assert "feed 1.1.0: 5 batches, 0 refused; tripped never" in told
    assert "1 batch is judged otherwise" in told
    assert "2026-01-07 fail: rows pass" in told
    assert "Every batch is judged alike." in run(*asked[:1], asked[1], asked[1], *asked[3:]).out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["feed.odcs.yaml"], "--history"),
        (["no.odcs.yaml", "--history", "data"], "no.odcs.yaml is no file"),
        (["feed.odcs.yaml", "--history", "data", "--incidents", "bad.yaml"], 'the history has no partition "2031-01-01"'),
        (["feed.odcs.yaml", "--history", "nowhere"], "nowhere"),
        (["feed.odcs.yaml", "--history", "data", "--ledger"], "either --history PLACE, where they are stored, or --ledger"),
        (["feed.odcs.yaml", "--ledger", "--related", "a=b"], "--related is for --history"),
        (["feed.odcs.yaml", "--ledger", "--database-url", "sqlite:///empty.db"], "the ledger has no asset feed; it has none at all"),
    ],
)
def test_what_is_wrong_is_said(run: Callable[..., Ran], feed: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], said: str):
    monkeypatch.chdir(feed)
    (feed / "bad.yaml").write_text("- {partition: 2031-01-01}\n")
    done = run("backtest", *given)
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_page_and_pictures_are_written(run: Callable[..., Ran], feed: Path, monkeypatch: pytest.MonkeyPatch):
    asked = ("backtest", feed / "feed.odcs.yaml", feed / "wide.odcs.yaml", "--history", feed / "data")
    done = run(*asked, "--format", "html", "--output", feed / "out" / "page.html", "--plots", feed / "plots")
    assert (done.code, done.out) == (0, ""), done.err
    assert (feed / "out" / "page.html").read_text().startswith("<!doctype html>")
    assert sorted(path.parent.name for path in (feed / "plots").rglob("*-rows.svg")) == ["1.0.0", "1.1.0"]
    assert {path.read_bytes()[:4] for path in (feed / "plots").rglob("*.png")} == {b"\x89PNG"}
    monkeypatch.setitem(sys.modules, "PIL", None)
    bare = run(*asked, "--plots", feed / "bare")
    assert "as SVG alone: PNG needs Pillow, pip install 'dagster-contracts[plots]'" in bare.err
    assert {path.suffix for path in (feed / "bare").rglob("*.*g")} == {".svg"}
    refused = run(*asked, "--output", feed / "page.html")
    assert (refused.code, "--output is for --format html" in refused.err) == (2, True)


@pytest.fixture
def recorded(feed: Path) -> str:
    """The url of a store in which the batches of `feed` are recorded."""
    url = f"sqlite:///{feed}/store.db"
    history = case([100, 100, 9, 100, 100]).batches
    clock = FixedClock(history[0].arrived_at)
    played(history, store=SqlStore(url, clock=clock), clock=clock)
    return url


def test_recorded_batches_are_judged_anew(run: Callable[..., Ran], feed: Path, recorded: str):
    asked = ("backtest", feed / "feed.odcs.yaml", feed / "wide.odcs.yaml", "--ledger", "--database-url", recorded)
    told = run(*asked)
    assert told.code == 0, told.err
    assert "feed 1.0.0: 5 batches, 1 refused; tripped once, open for 1 d" in told.out
    assert "feed 1.1.0: 5 batches, 0 refused; tripped never" in told.out
    assert "assumed" not in told.out
    printed = run(*asked, "--format", "json").json
    assert_described("backtest", printed)
    assert [each["arrival"] for each in printed["replays"][0]["batches"]] == ["known"] * 5
    assert printed["replays"][1]["batches"][2]["values"]["rows"] == 9
    (feed / "labels.yaml").write_text("- {partition: 2026-01-07, rule: rows}\n")
    assert "caught: 2026-01-07, by rows" in run(*asked, "--incidents", feed / "labels.yaml").out


def test_rules_that_the_ledger_knows_nothing_of_are_told(run: Callable[..., Ran], feed: Path, recorded: str):
    file = feed / "feed.odcs.yaml"
    file.write_text(GOVERNED.replace("name: rows,", "name: size,"))
    done = run("backtest", file, "--ledger", "--database-url", recorded)
    assert "not judged anew: size, in 5 batches: it was not judged then" in done.out
    assert "5 batches, 0 refused" in done.out


def test_the_versions_that_judged_are_found_in_the_registry(run: Callable[..., Ran], feed: Path, recorded: str):
    file, url = feed / "feed.odcs.yaml", ("--database-url", recorded)
    odd, rule = feed / "odd.odcs.yaml", "metric: duplicateValues, mustBe: 0, arguments: {properties: [amount]}"
    odd.write_text(GOVERNED.replace("metric: rowCount, mustBeBetween: [50, 1000000]", rule).replace("1.0.0", "2.0.0"))
    assert "not judged anew: rows, in 5 batches: the version that judged it is not known" in run("backtest", odd, "--ledger", *url).out
    assert run("registry", "add-consumer", "billing", *url).code == 0
    assert run("publish", file, *url).code == 0
    assert "not judged anew: rows, in 5 batches: it measures something else" in run("backtest", odd, "--ledger", *url).out
    assert run("publish", feed / "wide.odcs.yaml", "--accept-incompatible", "agreed", *url).code == 0
    both = run("backtest", "feed@1.0.0", "feed@1.1.0", "--history", feed / "data", *url)
    assert (both.code, "1 batch is judged otherwise" in both.out) == (0, True), both.err
