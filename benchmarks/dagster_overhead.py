"""What contracts cost Dagster: CPU of a step, of loading definitions, and of sensor ticks.

    python benchmarks/dagster_overhead.py [--assets 1000] [--steps 40] [--json | --markdown]

step      One trivial asset that reads a trivial feed is materialized `--steps` times by `execute_in_process` on an instance and a breaker
          store in SQLite: without contracts, and with a contract on the feed, whose breaker is closed. CPU time of the process around
          each run, median; both kinds in turn in one process. In runs of their own, calls of the store are timed: what is left of a
          governed run without them is what gate and routing cost beyond the store.
loading   `--assets` assets, each with a contract of two columns: what a code server does at start (make the assets, the repository,
          and its snapshot for the webserver): without contracts, with the same checks written by hand and no contracts, and with
          `with_contracts`. CPU time, each in a process of its own.
ticks     Each sensor with `--assets` contracts: nothing is open, then every breaker is open and due. Wall time beside the limit of 60 s
          that Dagster gives a tick.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402

LIMIT = 60.0  # seconds that Dagster gives a tick
SENSORS = ("contracts_probe", "contracts_heal", "contracts_relay")

WORLD = """
import json, logging, os, statistics, sys, time, warnings
from pathlib import Path
folder = Path(sys.argv[1])
number = int(sys.argv[2])
import dagster as dg
warnings.simplefilter("ignore")
from tests.plugin.lab import QUIET, contract_text, dagster_home
"""

STEP = (
    WORLD
    + """
import pandas as pd
from dagster_contracts import BreakerResource, with_contracts
def definitions():
    @dg.asset
    def feed() -> pd.DataFrame:
        return pd.DataFrame({"customer_id": [1, 2], "risk": ["HIGH", "LOW"]})
    @dg.asset
    def scores(feed: pd.DataFrame) -> int:
        return len(feed)
    return dg.Definitions(assets=[feed, scores])
(folder / "c").mkdir()
(folder / "c" / "feed.odcs.yaml").write_text(contract_text())
kinds = {
    "bare": definitions(),
    "governed": with_contracts(definitions(), folder / "c", breakers=BreakerResource(url=f"sqlite:///{folder}/contracts.db")),
}
taken = {}
with dagster_home(folder / "home") as instance:
    jobs = {}
    for kind, defs in kinds.items():
        whole = defs.resolve_implicit_global_asset_job_def()
        assert whole.execute_in_process(instance=instance, run_config=QUIET).success
        jobs[kind] = whole.get_subset(asset_selection={dg.AssetKey("scores")})
        taken[kind] = []
    for turn in range(number + 3):
        for kind, job in jobs.items():
            begun = time.process_time()
            assert job.execute_in_process(instance=instance, run_config=QUIET).success
            if turn >= 3:
                taken[kind].append(time.process_time() - begun)
    from dagster_contracts.store.sql import SqlStore
    calls, counted, inside = [], {}, []
    for name in [name for name in vars(SqlStore) if not name.startswith("_")]:
        if not callable(getattr(SqlStore, name)):
            continue
        def timed(own, *given, _method=getattr(SqlStore, name), _name=name, **named):
            if inside:  # a call within a call
                return _method(own, *given, **named)
            begun = time.process_time()
            inside.append(_name)
            try:
                return _method(own, *given, **named)
            finally:
                calls.append((inside.pop(), time.process_time() - begun))
        setattr(SqlStore, name, timed)
    stores = []
    for turn in range(max(5, number // 2)):
        calls.clear()
        assert jobs["governed"].execute_in_process(instance=instance, run_config=QUIET).success
        stores.append(sum(each for _, each in calls))
        counted = {name: sum(1 for other, _ in calls if other == name) for name, _ in calls}
print(json.dumps({"bare": statistics.median(taken["bare"]), "governed": statistics.median(taken["governed"]),
                  "store": statistics.median(stores), "calls": counted}))
"""
)

LOAD = (
    WORLD
    + """
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value
def made(index):
    @dg.asset(name=f"asset_{index}")
    def body() -> int:
        return index
    return body
contracts = folder / "c"
contracts.mkdir()
for index in range(number):
    (contracts / f"{index}.odcs.yaml").write_text(contract_text(f"asset_{index}"))
if sys.argv[3] == "governed":
    from dagster_contracts import with_contracts
    import dagster_contracts.plugin.definitions, dagster_contracts.store.files, dagster_contracts.core.odcs
def checked(index):
    name = f"asset_{index}"
    specs = [dg.AssetCheckSpec(each, asset=name, description=f"{each} of {name}") for each in CHECKS]
    @dg.asset(name=name, check_specs=specs)
    def body():  # Dagster takes no annotation here
        return index
    return body
CHECKS = [f"contract_{each}" for each in ("schema", "semantics", "completeness", "uniqueness", "volume", "breaker")]
begun = time.process_time()
defs = dg.Definitions(assets=[(checked if sys.argv[3] == "checked" else made)(index) for index in range(number)])
if sys.argv[3] == "governed":
    defs = with_contracts(defs, contracts)
repository = defs.get_repository_def()
repository.load_all_definitions()
serialize_value(RepositorySnap.from_def(repository))
whole = time.process_time() - begun
if sys.argv[3] != "bare":
    found = {each.name for each in defs.resolve_asset_graph().asset_check_keys}
    assert found == set(CHECKS), f"other checks are compared: {found}"
print(json.dumps({"whole": whole}))
"""
)

TICKS = (
    WORLD
    + """
from datetime import timedelta
from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.ports import FixedClock
from dagster_contracts.plugin.site import site_of
from dagster_contracts.core.ledger import UNPARTITIONED
from dagster_contracts.judgement import Delivery
from tests.plugin.lab import FIRST
import pandas as pd
def made(index):
    @dg.asset(name=f"asset_{index}")
    def body() -> int:
        return index
    return body
contracts = folder / "c"
contracts.mkdir()
for index in range(number):
    (contracts / f"{index}.odcs.yaml").write_text(contract_text(f"asset_{index}"))
clock = FixedClock(FIRST)
url = f"sqlite:///{folder}/contracts.db"
assets = [made(index) for index in range(number)]
defs = with_contracts(dg.Definitions(assets=assets), contracts, breakers=BreakerResource(url=url), clock=clock)
site = site_of(defs)
taken = {}
with dagster_home(folder / "home") as instance:
    gate = site.gate(instance)
    def round(state):
        for name in sys.argv[3].split(","):
            sensor = defs.resolve_sensor_def(name)
            context = dg.build_sensor_context(instance=instance, definitions=defs, sensor_name=name)
            begun, cpu = time.perf_counter(), time.process_time()
            asked = sensor.evaluate_tick(context).run_requests or []
            taken[f"{name}, {state}"] = [time.perf_counter() - begun, time.process_time() - cpu, len(asked)]
    logging.disable(logging.CRITICAL)
    def deliver(risks):
        for index, terms in enumerate(site.terms.values()):
            run = f"{risks}{index}"
            judged = gate.judge(terms, Delivery(UNPARTITIONED, run, run), pd.DataFrame({"customer_id": [1, 2], "risk": risks}))
            if not judged.publish:
                gate.staged(judged.batch, "abc")
            else:
                gate.published(judged.batch, None)
    deliver(["HIGH", "LOW"])
    round("all closed")
    deliver(["7", "8"])
    clock.at = FIRST + timedelta(days=1)
    round("all open and due")
print(json.dumps(taken))
"""
)


def ran(script: str, *arguments: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-c", script, folder, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(assets: int, steps: int) -> list[dict[str, Any]]:
    step = ran(STEP, str(steps))
    bare, checked, governed = (ran(LOAD, str(assets), kind)["whole"] for kind in ("bare", "checked", "governed"))
    ticks = ran(TICKS, str(assets), ",".join(SENSORS))
    beyond = step["governed"] - step["store"]
    results = [
        _result("CPU of a trivial step, without the store", "the same without contracts", beyond, step["bare"], "s"),
        _result(
            f"CPU of a trivial step, with {sum(step['calls'].values())} calls of the store",
            "the same without contracts",
            step["governed"],
            step["bare"],
            "s",
        ),
        _result(f"CPU that contracts add to loading {assets:,} assets", "Dagster's own, with the checks", governed - checked, checked, "s"),
        _result("the same, with what their checks cost Dagster to load", "Dagster's own, bare", governed - bare, bare, "s"),
    ]
    for name, (wall, _, asked) in ticks.items():
        results.append(_result(f"tick of {name}, {assets:,} contracts ({asked} runs asked for)", "Dagster's limit", wall, LIMIT, "s"))
    return results


def _result(case: str, peer: str, ours: float, theirs: float, unit: str) -> dict[str, Any]:
    return {"case": case, "peer": peer, "ours": ours, "theirs": theirs, "ratio": theirs / ours if ours > 0 else None, "unit": unit}


def as_markdown(results: list[dict[str, Any]], ran_on: dict[str, Any]) -> str:
    rows = [
        f"| {each['case']} | {_shown(each['ours'])} | {each['peer']}: {_shown(each['theirs'])} | {each['ours'] / each['theirs']:.1%} |"
        for each in results
    ]
    told = f"{ran_on['processor']}, {ran_on['cores']} cores, {ran_on['system']}, Python {ran_on['python']}."
    head = ["# What contracts cost Dagster", "Written by `python benchmarks/dagster_overhead.py --markdown`; measured, not edited.", told]
    what = "\n".join(line.rstrip() for line in (__doc__ or "").split("\n\n", 2)[2].strip().splitlines())
    table = "\n".join(["| what | ours | beside | share |", "|---|---|---|---|", *rows])
    return "\n\n".join([*head, f"```\n{what}\n```", table]) + "\n"


def _shown(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=40)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    results, ran_on = measured(options.assets, options.steps), machine()
    if options.json:
        print(json.dumps({"name": "dagster_overhead", "machine": ran_on, "results": results}, indent=2))
    elif options.markdown:
        print(as_markdown(results, ran_on), end="")
    else:
        for each in results:
            print(f"{each['case']:80} {_shown(each['ours']):>10}  {each['peer']} {_shown(each['theirs'])}")


if __name__ == "__main__":
    main()
