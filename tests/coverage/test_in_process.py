"""Every kind of asset, run in this process: good batches are published, bad ones refused.

What consumers in every form are given: tests/plugin/test_gate_forms.py. Both, run in every other way: tools/coverage.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.coverage import launches
from tests.coverage.location import FEEDS
from tests.coverage.matrix import ROWS, Ground, Turn, one_by_one, play


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with launches.ground(tmp_path_factory.mktemp("coverage")) as made:
        yield made


@pytest.fixture(scope="module")
def seen(ground: Ground) -> dict[str, str]:
    return play(ground, one_by_one(launches.job), Turn(0), wanted=FEEDS.__contains__)


@pytest.mark.parametrize("row", ROWS)
def test_a_job(seen: dict[str, str], row: str) -> None:
    assert seen[row] == ""


def test_materialize(ground: Ground) -> None:
    """`dg.materialize` of what `with_contracts` gave."""
    assert play(ground, one_by_one(launches.materialize), Turn(1), ["none"]) == {"unpartitioned": ""}


def test_what_is_wrong_is_told(ground: Ground) -> None:
    """The matrix itself: where the vendor delivers well, nothing was refused."""

    def well(at: Ground, *given: object) -> None:
        at.deliver()
        launches.job(at, *given)  # type: ignore[arg-type]

    told = play(ground, one_by_one(well), Turn(2), ["none"])["unpartitioned"]
    assert "f_none [None] is published, expected quarantined" in told
    assert "stale_f_none [None] is ok, expected stale" in told


def test_the_location_loads_whole(ground: Ground) -> None:
    """With all its jobs and sensors, as a code server loads it: assets of several partitions definitions stand in it."""
    ground.defs.get_repository_def().load_all_definitions()


def test_the_page_says_what_was_found() -> None:
    from tools.coverage import FOUND, PAGE, page

    assert page(json.loads(FOUND.read_text())) == PAGE.read_text()
