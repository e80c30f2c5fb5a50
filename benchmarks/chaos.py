"""How long a campaign takes: faults injected into one batch and judged, beside peers that judge such a batch once.

    python benchmarks/chaos.py [--rows 100000] [--cells 600]     a few minutes, after the peers are installed
    python benchmarks/chaos.py --quick                           with the peers that are installed
    python benchmarks/chaos.py --json                            {name, machine, results: [{case, peer, ours, theirs, ratio, unit}]}

The table and the 30 rules are those of benchmarks/engines.py. A cell is one fault in one column at one dose: injected, measured, judged,
with what the breaker and the consumers make of it. A peer's time is that of judging the batch once by the same rules, in memory where it
can; it injects nothing, so that the comparison is in its favour. Finding thresholds is timed apart, and so is the drill (chaos_drill.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from itertools import islice
from statistics import median

import polars as pl
import report
from engines import OURS, PEERS
from machine import machine
from peers.rules import REFERENCE_TIME
from report import Report, Result
from workers import Absent, Engine, Worker
from workload import CONTRACT, parquet

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.fault import Fault
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.run import find_thresholds, prepare, try_all
from dagster_contracts.chaos.trials import Bench, tried
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.engines.local import default_engine
from dagster_contracts.store.files import load_contracts

BOUND = 60.0  # seconds, for 600 cells on 100,000 rows with 2 cores
BESIDE = {"gx": "pandas", "datacontract_cli": "parquet"}  # peer -> the fastest form that it reads
_RUNS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _asked(arguments)
    found = Report("chaos", machine())
    bench, faults = _bench(asked.rows)
    cells = list(islice(_in_turn(bench, faults), asked.cells))
    began, cpu = time.monotonic(), time.process_time()
    done = sum(not isinstance(tried(bench, *cell), str) for cell in cells)
    spent, cpu = time.monotonic() - began, time.process_time() - cpu
    case = f"{done:,} cells on {asked.rows:,} rows, {bench.victim.batch.frame.width} columns"
    _tell(found, Result(case, f"{BOUND:g} s", spent, BOUND, "s"))
    _tell(found, Result(case, "", cpu, None, "s of CPU"))
    for peer in (OURS, *PEERS):
        if peer.module in ("ours", *BESIDE) and (asked.peers is None or peer.module in asked.peers or peer is OURS):
            _beside(found, peer, asked.rows, spent / max(done, 1), install=not asked.quick)
    _thresholds(found, bench, faults, asked.rows)
    if asked.json:
        print(json.dumps(report.as_json(found), indent=1))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=600)
    parser.add_argument("--quick", action="store_true", help="with the peers that are installed")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--peers", nargs="*", help=f"these instead of all of {', '.join(BESIDE)}")
    return parser.parse_args(arguments)


def _bench(rows: int) -> tuple[Bench, Sequence[Fault]]:
    frame = pl.read_parquet(parquet(rows))
    now = REFERENCE_TIME.replace(tzinfo=UTC)
    before = Batch(frame, now - timedelta(hours=3), name="before")
    (contract,) = load_contracts(CONTRACT)
    plan = compile_plan(contract, contract.objects[0])
    campaign, bench = prepare(plan, BreakerPolicy(), default_engine(), [before, Batch(frame, now, name="last", previous=before)])
    if campaign.refusals:
        raise RuntimeError(f"the clean table is refused: {campaign.refusals}")
    return bench, FAULTS


def _in_turn(bench: Bench, faults: Sequence[Fault]) -> Iterator[tuple[Fault, str | None, float]]:
    """Every fault, column and dose; one column of each fault after the other, so that the first cells are of all kinds."""
    waiting = deque([(fault, column, dose) for dose in fault.doses[::-1] for column in _fitting(bench, fault)] for fault in faults)
    while waiting:
        of_one = waiting.popleft()
        if of_one:
            yield of_one.pop(0)
            waiting.append(of_one)


def _fitting(bench: Bench, fault: Fault) -> Sequence[str | None]:
    return fault.fits(bench.victim.batch.shape)


def _beside(found: Report, peer: Engine, rows: int, ours: float, *, install: bool) -> None:
    form = BESIDE.get(peer.module, "arrow")
    try:
        worker = Worker(peer, install=install)
        try:
            worker.load(form, parquet(rows), peer.ways[-1])
            worker.run()
            theirs = median(worker.run()["wall"] for _ in range(_RUNS))
        finally:
            worker.close()
    except Absent as reason:
        found.absent[peer.name] = str(reason)
        print(f"{peer.name}: {reason}", file=sys.stderr, flush=True)
        return
    told = "dagster-contracts, all anew" if peer is OURS else peer.name
    _tell(found, Result(f"one judged batch of {rows:,} rows ({form})", told, ours, theirs, "s"))


def _thresholds(found: Report, bench: Bench, faults: Sequence[Fault], rows: int) -> None:
    """The bisection of five columns of each fault, timed apart."""
    few = [replace(fault, fits=lambda shape, fault=fault: list(fault.fits(shape))[:5]) for fault in faults if fault.graded]
    campaign, _ = prepare(bench.plan, bench.policy, bench.engine, [bench.victim.batch], faults=few)
    campaign = try_all(campaign, bench, few)
    began = time.monotonic()
    done = find_thresholds(campaign, bench, few)
    number = sum(cell.threshold is not None for cell in done.cells)
    _tell(found, Result(f"thresholds of {number:,} faults on {rows:,} rows", "", time.monotonic() - began, None, "s"))


def _tell(found: Report, result: Result) -> None:
    found.results.append(result)
    print(report.line(result), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
