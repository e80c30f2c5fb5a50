"""Where the case files of other projects stand: a folder `shared/cases` beside the repository. Absent on most machines."""

from __future__ import annotations

from pathlib import Path

import pytest

_PLACE = Path(__file__).resolve().parents[2] / "shared" / "cases"

CASES: Path = _PLACE
needs_cases = pytest.mark.skipif(not _PLACE.is_dir(), reason="the folder shared/cases is not beside the repository")
