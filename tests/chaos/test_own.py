"""Faults that installed packages offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_contracts.chaos.own import installed
from dagster_contracts.core.errors import UsageError

MODULE = '''
from dagster_contracts.chaos.fault import fault

@fault("of_a_package", "quality", clause="validity")
def one(batch, column, dose, rng):
    """What a package offers."""
    return batch

def several():
    return [one]

broken = 7
'''


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    """A distribution with one entry point, on the path."""
    (tmp_path / "offered_faults.py").write_text(MODULE)
    info = tmp_path / "offered_faults-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered-faults\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dagster_contracts.faults]\nown = {entry}\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("entry", ["offered_faults:one", "offered_faults:several"])
def test_a_package_offers_a_fault_or_a_function_that_gives_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    package(tmp_path, monkeypatch, entry)
    assert [fault.name for fault in installed()] == ["of_a_package"]


@pytest.mark.parametrize(("entry", "told"), [("offered_faults:broken", "gives int; expected Fault"), ("nowhere:x", "ModuleNotFoundError")])
def test_what_is_no_fault_is_told_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, told: str) -> None:
    package(tmp_path, monkeypatch, entry)
    with pytest.raises(UsageError, match=f"entry point own .*{told}"):
        installed()
