"""The benchmarks run and say what they promise to say. How fast anything is, is no matter of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
