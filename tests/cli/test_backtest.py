"""`backtest`: what is printed of one version and of two, and what it exits with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calibration.test_calibrate import case
from tests.calibration.test_replay import GOVERNED
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
    printed = run(*asked, "--format", "json").json
    assert_described("backtest", printed)
    assert [each["partition"] for each in printed["replays"][0]["trips"]] == ["2026-01-07"]


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
    ],
)
def test_what_is_wrong_is_said(run: Callable[..., Ran], feed: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], said: str):
    monkeypatch.chdir(feed)
    (feed / "bad.yaml").write_text("- {partition: 2031-01-01}\n")
    done = run("backtest", *given)
    assert (done.code, said in done.err) == (2, True), done.err
