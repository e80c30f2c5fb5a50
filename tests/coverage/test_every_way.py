"""Every kind of asset in every way of running it, with real daemons: an hour on 2 cores for all. What was found last is on the page
docs/reference/coverage.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.coverage import ALL, run


@pytest.mark.soak
@pytest.mark.parametrize("name", [each.__name__ for each in ALL])
def test_every_kind_is_gated(tmp_path: Path, name: str) -> None:
    run([name], tmp_path / "found.json", three=False, again=False)
    found = json.loads((tmp_path / "found.json").read_text())[name]
    assert {row: flaw for row, flaw in found.items() if flaw} == {}
