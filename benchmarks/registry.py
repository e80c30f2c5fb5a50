"""What the registry takes: publishing 1,000 files, publishing them again, publishing a next version of each; looking a version up among
10,000, and what is in force, with and without the cache.

    python benchmarks/registry.py [--files 1000] [--versions 10000] [--url postgresql://...] [--json]

Without `--url`: SQLite in a folder of its own. The database at `--url` must be migrated, and its registry empty.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from machine import machine

from dagster_contracts import Registry
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.registry import Submission
from dagster_contracts.store.in_force import InForce

COLUMNS = 20
HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: {version}
status: active
team: {{name: shop}}
schema:
  - name: {name}
    properties:
"""
COLUMN = """\
      - name: column_{number}
        logicalType: integer
        required: true
        logicalTypeOptions: {{minimum: 0, maximum: {maximum}}}
"""


def document(name: str, version: str, maximum: int = 100) -> str:
    """A contract of 20 columns, 81 rules."""
    columns = (COLUMN.format(number=number, maximum=maximum) for number in range(COLUMNS))
    return HEAD.format(name=name, version=version) + "".join(columns)


def written(folder: Path, files: int, version: str, maximum: int) -> Path:
    for number in range(files):
        (folder / f"c{number}.odcs.yaml").write_text(document(f"c{number}", version, maximum))
    return folder


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    run()
    return clock() - begun


def both(run: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds, and those of the processor."""
    processor: list[float] = []
    wall = seconds(lambda: processor.append(seconds(run, time.process_time)))
    return wall, processor[0]


def publishing(registry: Registry, folder: Path, files: int) -> Iterator[tuple[str, float, float]]:
    written(folder, files, "1.0.0", 100)
    yield f"publish {files:,} files", *both(lambda: registry.publish(folder, author="benchmark"))
    yield f"publish {files:,} files again", *both(lambda: registry.publish(folder, author="benchmark"))
    written(folder, files, "2.0.0", 101)
    yield f"publish a next version of {files:,}", *both(lambda: registry.publish(folder, author="benchmark"))


def looking_up(registry: Registry, versions: int) -> Iterator[tuple[str, float, float]]:
    """Medians of 200."""
    there = len(registry.contracts.entries(limit=versions))
    texts = (document(f"v{number % 100}", f"{number // 100}.0.0") for number in range(versions - there))
    given = [Submission(parse(text), text) for text in texts]
    registry.contracts.publish(given, author="benchmark")
    known = InForce(registry.contracts)
    for case, ask in (
        ("by id and version", lambda number: registry.contracts.get(f"v{number % 100}", "3.0.0")),
        ("what is in force", lambda number: registry.contracts.in_force(f"v{number % 100}")),
        ("what is in force, cached", lambda number: known.contract(f"v{number % 100}")),
    ):
        for number in range(100):
            ask(number)
        walls, processor = zip(*(both(partial(ask, number)) for number in range(200)), strict=True)
        yield f"look up {case}, of {versions:,} versions", statistics.median(walls), statistics.median(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--url")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "contracts"
        folder.mkdir()
        registry = Registry(given.url or f"sqlite:///{place}/contracts.db")
        found = []
        for each in chain(publishing(registry, folder, given.files), looking_up(registry, given.versions)):
            found.append(each)
            if not given.json:
                show(*each)
    if given.json:
        results = [{"case": case, "peer": None, "ours": took, "theirs": None, "ratio": None, "unit": "s"} for case, took, _ in found]
        print(json.dumps({"name": "registry", "machine": machine(), "results": results}, indent=2))


def show(case: str, took: float, processor: float) -> None:
    told = (took, processor, "s") if took > 0.1 else (1000 * took, 1000 * processor, "ms")
    print(f"{case:55} {told[0]:9.3f} {told[2]}  (processor {told[1]:.3f})", flush=True)


if __name__ == "__main__":
    main()
