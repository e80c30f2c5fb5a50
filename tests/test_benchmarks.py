"""The benchmarks run and say what they promise to say. How fast anything is, is no matter of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shared_cases import needs_cases

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FORMS = ("pandas", "arrow", "parquet")


def test_the_benchmark_of_the_registry_says_what_everything_took() -> None:
    command = [sys.executable, str(BENCHMARKS / "registry.py"), "--files", "3", "--versions", "110", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)["results"]
    assert [result["case"].split(",")[0] for result in results] == [
        "publish 3 files",
        "publish 3 files again",
        "publish a next version of 3",
        "look up by id and version",
        "look up what is in force",
        "look up what is in force",
    ]
    assert all(result["ours"] > 0 for result in results)


def _chaos_fix(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / "chaos_fix.py"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.soak
def test_what_proposed_clauses_are_worth_is_measured_on_what_had_no_part_in_them() -> None:
    found = _chaos_fix("demo", "--splits", "1", "--victims", "1", "--clean", "10", "--learned", "8", "--kinds", "8")
    assert (found["name"], found["machine"]["cores"] > 0) == ("chaos_fix", True)
    [split] = found["results"]
    assert split["unseen_before"]["tried"] == split["unseen_after"]["tried"] > 0
    assert split["unseen_before"]["caught"] < split["unseen_after"]["caught"]
    assert split["clean"] == 10
    assert len(split["false_alarms"]) <= 10


def test_a_feed_is_learned_from_its_earlier_and_tried_on_its_later_batches(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    place = tmp_path / "data" / "scores"
    place.mkdir(parents=True)
    contract = (
        "apiVersion: v3.1.0\nkind: DataContract\nid: scores\nversion: 1.0.0\nstatus: active\nschema:\n- name: scores\n  properties:\n"
    )
    (tmp_path / "contracts" / "scores.odcs.yaml").write_text(f"{contract}  - {{name: kind, logicalType: string, required: true}}\n")
    (tmp_path / "contracts" / "without_data.odcs.yaml").write_text(contract)
    for number in range(1, 13):
        kinds = ["a", "b", "c" if number < 11 else "new"] * 20  # the last two are not as those before
        (place / f"2026-01-{number:02}.csv").write_text("\n".join(["kind", *kinds, ""]))
    (place / "2026-01-13.csv").write_text("other\nx\n")
    found = _chaos_fix("feeds", str(tmp_path))
    [feed] = found["results"]
    assert (feed["feed"], feed["batches"], feed["left_out"], feed["held_back"]) == ("scores", 12, 1, 4)
    assert feed["before"]["percent"] < feed["after"]["percent"]
    assert [alarm["batch"] for alarm in feed["false_alarms"]] == ["2026-01-11.csv", "2026-01-12.csv"]
    assert feed["false_alarms"][0]["rules"]["kind.allowed"].startswith("20 of 60 rows")
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    results.write_text(json.dumps(found))
    subprocess.run([sys.executable, str(BENCHMARKS / "chaos_fix.py"), "page", str(results), "--write", str(page)], check=True, timeout=300)
    row = f"| scores | 12 | 1 | 0 | {feed['before']['percent']}% | {feed['after']['percent']}% | {feed['rules']} | 2 of 4 |\n"
    assert row in page.read_text()
    assert "**2 of 4 held-back batches are complained of, 2 of them not looked at.**" in page.read_text()
    assert "| scores | `kind.allowed` | 2 | 2026-01-11.csv | 20 of 60 rows" in page.read_text()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / "engines.py"), "--quick", "--json", "--rows", "10", "--peers"]
    cache = tmp_path_factory.mktemp("cache")
    run = subprocess.run(
        command, env={**os.environ, "XDG_CACHE_HOME": str(cache)}, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_json_has_the_shape_that_every_benchmark_shares(printed: dict[str, Any]) -> None:
    assert printed["name"] == "engines"
    assert {"processor", "cores", "memory_gb", "polars", "pandas", "pyarrow"} <= set(printed["machine"])
    for result in printed["results"]:
        assert set(result) == {"case", "peer", "ours", "theirs", "ratio", "unit"}
        assert result["ours"] > 0
        assert result["ratio"] == (None if result["theirs"] is None else pytest.approx(result["theirs"] / result["ours"]))


def test_every_form_of_the_table_is_measured_clean_and_failing(printed: dict[str, Any]) -> None:
    cases = {result["case"] for result in printed["results"] if result["unit"] == "s"}
    assert {f"10 rows, {form}, {kind}" for form in FORMS for kind in ("clean", "failing")} <= cases


def test_all_rules_are_executed_and_answered_rightly(printed: dict[str, Any]) -> None:
    assert printed["absent"] == {}
    assert printed["differs"] == {}


@needs_cases
def test_the_benchmark_of_calibration_judges_the_half_of_a_feed_that_it_has_not_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, str(BENCHMARKS / "calibration.py"), "lendingclub", "--markdown", str(page)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "lendingclub (given): 15 learned from, 16 judged" in run.stdout
    assert "| lendingclub | given | 15 | 16 |" in page.read_text(encoding="utf-8")
