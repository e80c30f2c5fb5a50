#!/usr/bin/env python
"""Run assets of every kind in every way that Dagster has, with good batches and bad ones; and write what came of it to a page.

What was found stands in docs/reference/coverage.json (or where `--out` says), the page beside it.

tools/coverage.py                            everything that the file does not hold yet: an hour on 2 cores for all
tools/coverage.py --launches job by_sensor   some ways; what the file says of others is kept
tools/coverage.py --again                    what the file holds, too
tools/coverage.py --three                    three kinds only
tools/coverage.py --page                     run nothing, write docs/reference/coverage.md from it
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.coverage import launches  # noqa: E402
from tests.coverage.location import FEEDS, PARTITIONS  # noqa: E402
from tests.coverage.matrix import ROWS, Ground, Turn, one_by_one, play  # noqa: E402

PAGE = ROOT / "docs/reference/coverage.md"
FOUND = PAGE.with_suffix(".json")
THREE = ("plain", "`multi_asset`, all of it", "`graph_asset`, nested")
ALL = (*launches.IN_PROCESS, *launches.SERVED, *launches.TOGETHER)
TOGETHER = {each.__name__ for each in launches.TOGETHER}
Found = dict[str, dict[str, str]]  # launch -> row -> "" or what was wrong


def ways(ground: Ground, names: list[str]) -> Iterator[tuple[str, Any]]:
    """Name and launch; one daemon at a time."""
    yield from ((each.__name__, one_by_one(each)) for each in launches.IN_PROCESS if each.__name__ in names)
    if asked := [each for each in launches.SERVED if each.__name__ in names]:
        with launches.served(ground) as made:
            yield from ((each.__name__, one_by_one(each(made))) for each in asked)
    yield from ((each.__name__, each) for each in launches.TOGETHER if each.__name__ in names)


def of_three(asset: str) -> bool:
    wanted = {name for row in THREE for names in ROWS[row] for name in names}
    return asset in wanted or asset.partition("_")[2] in wanted


def missing(name: str, found: dict[str, str], *, three: bool) -> list[list[str]]:
    """The families of partitions of which a row was never run in a way, or was wrong; those together that it runs together."""
    absent = launches.way_of(name).absent
    rows = {row: FEEDS[feeds[0]] for row, (feeds, _) in ROWS.items() if row not in absent and (not three or row in THREE)}
    families = [family for family in PARTITIONS if any(found.get(row, "not run") for row, of in rows.items() if of == family)]
    return [list(PARTITIONS)] if families and name in TOGETHER else [[family] for family in families]


def run(names: list[str], file: Path, *, three: bool, again: bool) -> None:
    """Each family of each way is written down when it is done: what is stopped goes on there."""
    found: Found = json.loads(file.read_text()) if file.exists() else {}
    todo = {name: missing(name, {} if again else found.get(name, {}), three=three) for name in names}
    wanted: Callable[[str], bool] = of_three if three else lambda asset: True
    with tempfile.TemporaryDirectory(prefix="coverage-", ignore_cleanup_errors=True) as folder, launches.ground(Path(folder)) as ground:
        for number, (name, launch) in enumerate(ways(ground, [name for name in names if todo[name]]), 1):
            for families in todo[name]:
                seen = play(ground, launch, Turn(number), families, wanted, launches.way_of(name))
                print(name, *families, {row: flaw for row, flaw in seen.items() if flaw} or f"{len(seen)} kinds as expected", flush=True)
                found.setdefault(name, {}).update(seen)
                file.write_text(json.dumps(found, indent=1) + "\n")


def page(found: Found) -> str:
    known = {each.__name__: " ".join(str(each.__doc__).split()) for each in ALL}
    ran = [name for name in known if name in found]
    head = [f"| kind of asset | {' | '.join(str(number) for number in range(1, len(ran) + 1))} |", f"|---|{'---|' * len(ran)}"]
    rows = [f"| {row} | {' | '.join(_cell(name, row, found) for name in ran)} |" for row in ROWS]
    count = sum(len(found[name]) for name in ran)
    wrong = sum(bool(flaw) for name in ran for flaw in found[name].values())
    listed = [f"{number}. {known[name]}{_absent(name)}" for number, name in enumerate(ran, 1)]
    return "\n".join(
        [INTRODUCTION, "", *listed, "", *head, *rows, "", f"{count} cells were run, {count - wrong} were as they must be.", REST, ""]
    )


def _cell(name: str, row: str, found: Found) -> str:
    if row in launches.way_of(name).absent:
        return "-"
    flaw = found[name].get(row)
    return "" if flaw is None else "wrong" if flaw else "yes"


def _absent(name: str) -> str:
    """Why there is no such thing in Dagster."""
    reasons = dict.fromkeys(launches.way_of(name).absent.values())
    return "".join(f" (`-`: {reason})" for reason in reasons)


INTRODUCTION = """\
# What is gated, however it is run

Written by `tools/coverage.py` from `coverage.json` beside it; `tools/coverage.py --again` finds it anew. It runs assets of every kind in
every way below: first with a good batch, then with a bad one. `yes`: the good batch was published, the bad one was not and does not count
as materialized, consumers that accept stale data were given the last good (or were halted, where a static or dynamic key has none), and
those that accept only fresh data were halted, where the list of ways says nothing else. `-`: there is no such thing. An empty cell was not
run."""

REST = """
Beside these, in the tests: consumers in every form and through every form of IO manager (`tests/plugin/test_gate_forms.py`); partition
mappings (`tests/plugin/test_partitions.py`, `tests/test_windowed.py`); range runs (`tests/plugin/test_feed_forms.py`); conditions after a
redelivery, a release and a rejected review (`tests/plugin/test_automation.py`); another code location; [dbt](../guides/dbt.md).

What cannot be gated is refused when definitions are loaded: an asset that writes itself and that nobody says how to read, a job that was
resolved before `with_contracts`, a contract on an external asset or observable source that nobody says how to read.
"""


def main() -> None:
    names = [each.__name__ for each in ALL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOUND, help="what was found, as JSON")
    parser.add_argument("--launches", nargs="*", choices=names, default=names)
    parser.add_argument("--three", action="store_true", help="three kinds of assets instead of all")
    parser.add_argument("--again", action="store_true", help="also what the file holds already")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    if not given.page:
        run(given.launches, given.out, three=given.three, again=given.again)
    given.out.with_suffix(".md").write_text(page(json.loads(given.out.read_text())))


if __name__ == "__main__":
    main()
