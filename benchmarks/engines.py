"""How fast a batch is judged, beside other engines on the same data in the same run.

    python benchmarks/engines.py                everything, about 10 minutes after the peers are installed
    python benchmarks/engines.py --quick        under a minute, with the peers that are installed
    python benchmarks/engines.py --json         {name, machine, results: [{case, peer, ours, theirs, ratio, unit}]} on standard output
    python benchmarks/engines.py --markdown     writes docs/benchmarks.md

Each comparison alternates one run of ours with one of theirs; ratios are those of the medians, and above 1 we are ahead.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import report
from machine import machine
from peers.rules import BROKEN
from report import Report, Result
from workers import Absent, Engine, Worker
from workload import CONTRACT, parquet

FORMS = ("pandas", "arrow", "parquet")
OURS = Engine("dagster-contracts", "ours", None, FORMS, large=FORMS)
DECODING = Engine("Polars, only decoding the file", "polars_decode", "hand_written.txt", ("parquet",), large=("parquet",))
PEERS = (
    Engine(
        "Great Expectations",
        "gx",
        "great_expectations.txt",
        ("pandas", "parquet"),
        ({"way": "definition"}, {"way": "batch"}),
        large=("pandas",),
    ),
    Engine("pandera, pandas", "pandera_pandas", "pandera.txt", ("pandas", "parquet")),
    Engine("pandera, Polars", "pandera_polars", "pandera.txt", FORMS),
    Engine("pointblank, Polars", "pointblank_polars", "pointblank.txt", FORMS),
    Engine("Soda Core, DuckDB", "soda", "soda.txt", FORMS),
    Engine("datacontract-cli", "datacontract_cli", "datacontract_cli.txt", ("parquet",)),
    Engine("plain pandas", "plain_pandas", "hand_written.txt", ("pandas", "parquet")),
    Engine("numpy and pyarrow, by hand", "numpy_pyarrow", "hand_written.txt", FORMS),
    Engine("DuckDB, one query by hand", "duckdb_sql", "hand_written.txt", FORMS, large=FORMS),
    Engine("Ibis on DuckDB, by hand", "ibis_duckdb", "hand_written.txt", FORMS),
    Engine("Polars, by hand", "straight_polars", "hand_written.txt", FORMS, large=FORMS),
    DECODING,
)
CONTRACTS = 1_000
_SMALL = Path(__file__).parents[1] / "contracts" / "credit_bureau.odcs.yaml"
_LARGE = 1_000_000  # rows beyond which nothing is run only to warm up


@dataclass(frozen=True)
class Size:
    """How much of what is measured at a number of rows. `budget`: seconds of alternating runs for each comparison."""

    rows: int
    budget: float
    forms: tuple[str, ...] = FORMS
    kinds: tuple[str, ...] = ("clean", "failing")


FULL = (Size(10, 0.3), Size(10_000, 0.3), Size(1_000_000, 2.5), Size(10_000_000, 6.0, kinds=("clean",)))
QUICK = (Size(10, 0.2, ("pandas",), ("clean",)), Size(100_000, 0.5, ("pandas", "parquet"), ("clean",)))


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _asked(arguments)
    sizes = tuple(Size(rows, 0.1, kinds=("clean", "failing")) for rows in asked.rows) if asked.rows else QUICK if asked.quick else FULL
    peers = tuple(peer for peer in PEERS if asked.peers is None or peer.module in asked.peers)
    with ExitStack() as stack:
        bench = Bench(stack, install=not asked.quick)
        for size in sizes:
            bench.compare(size, peers)
        bench.contracts(CONTRACTS if not asked.rows else 10)
        if not (asked.quick or asked.rows):
            bench.evidence(1_000_000, 6.0)
            bench.growth(1_000_000, 10_000_000)
            bench.memory(10_000_000)
    found = bench.report
    tell(report.differences(found))
    if asked.json:
        print(json.dumps(report.as_json(found), indent=1))
    if asked.markdown:
        page = Path(__file__).parents[1] / "docs" / "benchmarks.md"
        page.write_text(report.as_markdown(found))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute: two sizes, and the peers that are installed")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--markdown", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--rows", type=int, nargs="+", help="these numbers of rows instead")
    parser.add_argument("--peers", nargs="*", help=f"these instead of all of {', '.join(peer.module for peer in PEERS)}")
    return parser.parse_args(arguments)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Bench:
    stack: ExitStack
    install: bool
    report: Report = field(default_factory=lambda: Report("engines", machine()))
    workers: dict[str, Worker] = field(default_factory=dict)
    ways: dict[str, dict[str, object]] = field(default_factory=dict)

    # --- against peers ---------------------------------------------------------------------------------------------

    def compare(self, size: Size, peers: Sequence[Engine]) -> None:
        """Ours and each peer in turn, over every form and kind of the table."""
        for kind, form in product(size.kinds, size.forms):
            if size.rows > _LARGE:
                self._close()
            ours = self._loaded(OURS, size.rows, form, kind)
            able = [peer for peer in peers if form in peer.forms_of(size.rows)]
            for peer in able:
                try:
                    theirs = self._loaded(peer, size.rows, form, kind)
                    runs = [(ours.run(), theirs.run()) for _ in self._rounds(size.budget)]
                except Absent as reason:
                    self._miss(peer, reason)
                    continue
                for engine, answer in zip((OURS, peer), runs[0], strict=True):
                    self._check(engine, kind, answer["broken"])
                self._add(report.case(size.rows, form, kind), peer.name, *zip(*runs, strict=True))
                if size.rows > _LARGE:
                    self.workers.pop(peer.module).close()
            if not able:
                alone = [ours.run() for _ in range(3)]
                self._check(OURS, kind, alone[0]["broken"])
                self._add(report.case(size.rows, form, kind), "", alone)

    @staticmethod
    def _rounds(budget: float) -> Iterator[int]:
        """As many as fit, at least 3; only one where that alone takes twice the budget."""
        began = time.monotonic()
        for number in count():
            yield number
            spent = time.monotonic() - began
            if spent > 2 * budget or (spent > budget and number >= 2):
                return

    def _worker(self, engine: Engine) -> Worker:
        found = self.workers.get(engine.module)
        if found is None:
            tell(f"starting {engine.name}")
            found = self.workers[engine.module] = Worker(engine, install=self.install)
            self.stack.callback(found.close)
        return found

    def _close(self) -> None:
        """Give back what all engines hold: several copies of a large table would not leave room for the runs."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def _loaded(self, engine: Engine, rows: int, form: str, kind: str, **options: object) -> Worker:
        """The engine with the table loaded and run once, in the fastest of its ways; of a large table, in the way that was fastest last."""
        worker, path = self._worker(engine), parquet(rows, failing=kind == "failing")
        if len(engine.ways) > 1 and form in engine.forms_of(rows) and rows <= _LARGE:
            self.ways[engine.module] = min(engine.ways, key=lambda way: self._tried(worker, form, path, way))
        worker.load(form, path, {**self.ways.get(engine.module, engine.ways[0]), **options})
        if rows <= _LARGE:
            worker.run()
        self.report.versions[engine.name] = worker.versions
        self.report.unequal[engine.name] = worker.unequal
        return worker

    @staticmethod
    def _tried(worker: Worker, form: str, path: Path, way: dict[str, object]) -> float:
        worker.load(form, path, way)
        worker.run()
        return float(worker.run()["wall"])

    def _check(self, engine: Engine, kind: str, broken: Sequence[str]) -> None:
        """What an engine answers is compared with what is known of the table."""
        wanted = BROKEN if kind == "failing" and engine is not DECODING else frozenset()
        if wrong := wanted.symmetric_difference(broken):
            self.report.wrong.setdefault(engine.name, set()).update(wrong)

    def _miss(self, engine: Engine, reason: Absent) -> None:
        tell(f"{engine.name}: {reason}")
        self.report.absent.setdefault(engine.name, str(reason))

    def _add(self, case: str, peer: str, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]] = ()) -> None:
        for key, unit in (("wall", "s"), ("cpu", "s of CPU")):
            self._told(Result(case, peer, _median(ours, key), _median(theirs, key) if theirs else None, unit))

    def _told(self, result: Result) -> None:
        self.report.results.append(result)
        tell(report.line(result))

    # --- against ourselves -----------------------------------------------------------------------------------------

    def evidence(self, rows: int, budget: float) -> None:
        """What 20 failing rows of each failing rule cost, against one more pass."""
        for form in FORMS:
            without, with_rows = [], []
            worker, path = self._worker(OURS), parquet(rows, failing=True)
            for _ in range(3):
                for found, samples in ((without, False), (with_rows, True)):
                    worker.load(form, path, {"samples": samples})
                    worker.run()
                    found += [worker.run() for _ in self._rounds(budget / 6)]
            for key, unit in (("wall", "s"), ("cpu", "s of CPU")):
                one = _median(without, key)
                case = f"{report.case(rows, form, 'failing')}: 20 rows of each failing rule"
                self._told(Result(case, report.ONE_MORE_PASS, _median(with_rows, key) - one, one, unit))

    def growth(self, rows: int, more: int) -> None:
        """From one size to another, against growth in proportion."""
        self._close()
        for form in FORMS:
            spent = []
            for size in (rows, more):
                worker = self._loaded(OURS, size, form, "clean")
                spent.append(_median([worker.run() for _ in range(5 if size == rows else 3)], "wall"))
            case = f"growth from {rows:,} to {more:,} rows, {form}"
            self._told(Result(case, report.IN_PROPORTION, spent[1], spent[0] * more / rows, "s"))

    def memory(self, rows: int) -> None:
        """Peak memory of a process that judges one large Parquet file, and its whole life."""
        path = parquet(rows)
        for unique, bound in ((False, 1.0), (True, 3.0)):
            worker = Worker(OURS)
            try:
                worker.load("parquet", path, {"unique": unique})
                peak = worker.run()["peak"] / 1e9
            finally:
                worker.close()
            case = f"{rows:,} rows, parquet: peak memory {'with' if unique else 'without'} uniqueness rules"
            self._told(Result(case, f"{bound:g} GB", peak, bound, "GB"))

    def contracts(self, number: int) -> None:
        """Loading contracts as a project does: reading, validating, compiling."""
        bound = 3.0 * number / 1_000
        for columns, contract in ((7, _SMALL), (19, CONTRACT)):
            text = contract.read_text()
            with TemporaryDirectory() as folder:
                for index in range(number):
                    Path(folder, f"c{index}.odcs.yaml").write_text(re.sub("^id: .*", f"id: c{index}", text, count=1, flags=re.MULTILINE))
                worker = Worker(Engine("dagster-contracts", "contracts", None, ()))
                try:
                    worker.load("contracts", Path(folder), {})
                    spent = worker.run()
                finally:
                    worker.close()
            self._told(Result(f"loading {number:,} contracts of {columns} columns", f"{bound:g} s", spent["wall"], bound, "s"))


def _median(runs: Sequence[dict[str, Any]], key: str) -> float:
    return median(run[key] for run in runs)


if __name__ == "__main__":
    main()
