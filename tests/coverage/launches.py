"""The ways in which Dagster runs assets: in this process, through its command lines, and through its webserver and daemon."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_contracts.plugin.private import rebuilding
from dagster_contracts.store.sql import SqlStore
from tests.coverage import location
from tests.coverage.location import (
    ASKED,
    BAD,
    CONTRACTS,
    CRON,
    DAYS,
    FEEDS,
    PARTITIONS,
    ROWS_OF_READERS,
    UNREACHABLE,
    contracts,
    definitions,
)  # fmt: skip
from tests.coverage.matrix import ALL_IN_ONE, HALTED, KEYED, ROWS, SOURCE_ROWS, Asked, Ground, Turn, Way
from tests.plugin.lab import QUIET, contract_files

ROOT = Path(__file__).parents[2]
FILE = str(Path(location.__file__))
BIN = Path(sys.executable).parent
DONE = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
INSTANCE = """\
telemetry: {enabled: false}
run_retries: {enabled: true, max_retries: 2}
run_monitoring: {enabled: false}
"""


def keys_of(assets: Sequence[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey.from_user_string(name) for name in assets]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(INSTANCE)
    contract_files(folder / CONTRACTS, *contracts())
    url = f"sqlite:///{folder}/contracts.db"
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield Ground(folder, url, definitions(folder, url), instance, SqlStore(url))


# --- in this process -------------------------------------------------------------------------------------------------


def materialize(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
    """`dg.materialize`"""
    wanted = {*keys_of(assets)}
    needed = [item for item in at.defs.assets or [] if not isinstance(item, dg.AssetsDefinition) or item.keys]
    dg.materialize(
        needed,  # type: ignore[arg-type]
        instance=at.instance,
        resources=dict(at.defs.resources or {}),
        partition_key=partition,
        selection=list(wanted),
        raise_on_error=False,
        run_config=QUIET,
    )


def job(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
    """a job, in process"""
    made = rebuilding.job_of(at.defs, {*keys_of(assets)})
    made.execute_in_process(instance=at.instance, partition_key=partition, raise_on_error=False, run_config=QUIET)


def processes(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
    """the multiprocess executor"""
    rebuilt = dg.build_reconstructable_job(
        "tests.coverage.location", "job_of", (str(at.folder), at.url, f"steps_{family}"), reconstructor_working_directory=str(ROOT)
    )
    chosen = rebuilt.get_subset(asset_selection=frozenset(keys_of(assets)))
    started = {"start_method": {"forkserver": {"preload_modules": ["tests.coverage.location"]}}, "max_concurrent": 2}
    tags = {"dagster/partition": partition} if partition else {}
    dg.execute_job(chosen, at.instance, run_config={**QUIET, "execution": {"config": started}}, tags=tags, raise_on_error=False)


# --- command lines ---------------------------------------------------------------------------------------------------


def environment(at: Ground) -> dict[str, str]:
    return {
        **os.environ,
        "DAGSTER_HOME": str(at.folder),
        "COVERAGE_FOLDER": str(at.folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def _command(at: Ground, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment(at), capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    at.folder.joinpath("command.log").write_text(done.stdout + done.stderr)


def asset_materialize(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
    """`dagster asset materialize`"""
    chosen = ["--partition", partition] if partition else []
    _command(at, "dagster", "asset", "materialize", "--select", ",".join(assets), *chosen, "-f", FILE, "-d", str(ROOT))


def dg_launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
    """`dg launch`"""
    chosen = ["--partition", partition] if partition else []
    _command(at, "dagster_dg_cli.cli", "launch", "--assets", ",".join(assets), *chosen, "-f", FILE, "-d", str(ROOT))


# --- webserver and daemon --------------------------------------------------------------------------------------------


class Served:
    """A webserver and a daemon over one code location."""

    def __init__(self, at: Ground, port: int, processes: dict[str, subprocess.Popen[bytes]]):
        self.at, self.port, self.processes = at, port, processes

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error}: {error.read()[-2000:].decode()}") from None
        assert not told.get("errors"), told
        return told["data"]

    def until(self, is_so: Callable[[], bool], seconds: int = 900) -> None:
        for _ in range(seconds * 2):
            dead = [name for name, each in self.processes.items() if each.poll() is not None]
            assert not dead, f"{dead}: {(self.at.folder / f'{dead[0]}.log').read_text()[-2000:]}"
            if is_so():
                return
            threading.Event().wait(0.5)
        logs = {name: (self.at.folder / f"{name}.log").read_text()[-1500:] for name in self.processes}
        raise AssertionError(f"it did not happen within {seconds} s: {logs}")

    def ended(self, **tags: str) -> None:
        """Wait for the runs of these tags: at least one, all of them over, and none of them to be retried."""

        def over() -> bool:
            runs = self.at.instance.get_runs(dg.RunsFilter(tags=tags))
            return bool(runs) and all(run.status in DONE and not _awaits_retry(run) for run in runs)

        self.until(over)


def _awaits_retry(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in run.tags


REPOSITORY = {"repositoryLocationName": "location.py", "repositoryName": "__repository__"}


@contextmanager
def served(at: Ground, file: str = FILE, *, webserver: bool = True, **variables: str) -> Iterator[Served]:
    """Start both over the location of a file, wait until they answer, and stop them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = {"daemon": [sys.executable, "-m", "dagster._daemon", "run", "-f", file, "-d", str(ROOT)]}
    if webserver:
        commands["webserver"] = [
            sys.executable, "-m", "dagster_webserver", "-f", file, "-d", str(ROOT), "-p", str(port), "-h", "127.0.0.1"
        ]  # fmt: skip
    with ExitStack() as stack:
        started: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in commands.items():
            log = stack.enter_context(open(at.folder / f"{name}.log", "w"))
            started[name] = subprocess.Popen(command, env={**environment(at), **variables}, cwd=ROOT, stdout=log, stderr=log)
            stack.callback(_stop, started[name])
        made = Served(at, port, started)
        if webserver:
            made.until(lambda: _answers(made), 120)
        yield made


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(made: Served) -> bool:
    try:
        told = made.ask(LOCATIONS)
    except OSError:
        return False
    entries = told["workspaceOrError"]["locationEntries"]
    failed = [each["locationOrLoadError"] for each in entries if (each["locationOrLoadError"] or {}).get("message")]
    assert not failed, failed
    return all(entry["loadStatus"] == "LOADED" for entry in entries)


LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries {
  loadStatus locationOrLoadError { __typename ... on PythonError { message } }
} } } }"""
LAUNCH = """
mutation($given: ExecutionParams!) { launchPipelineExecution(executionParams: $given) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on InvalidSubsetError { message }
  ... on RunConfigValidationInvalid
  { errors { message } }
} }"""
BACKFILL = """
mutation($given: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $given) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
} }"""
REEXECUTE = """
mutation($given: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $given) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }"""
START_SENSOR = """
mutation($given: SensorSelector!) { startSensor(sensorSelector: $given) { __typename ... on PythonError { message } } }"""
START_SCHEDULE = """
mutation($given: ScheduleSelector!) { startSchedule(scheduleSelector: $given) { __typename ... on PythonError { message } } }"""


def _paths(assets: Sequence[str]) -> list[dict[str, list[str]]]:
    return [{"path": key.path} for key in keys_of(assets)]  # type: ignore[misc]


def by_reexecution(made: Served) -> Any:
    """the mutation, then "Re-execute from failure" where the run has failed"""

    def launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
        by_mutation(made)(at, family, assets, partition)
        [first] = at.instance.get_runs(limit=1)
        if first.status is dg.DagsterRunStatus.SUCCESS:
            return
        told = made.ask(REEXECUTE, given={"parentRunId": first.run_id, "strategy": "FROM_FAILURE"})
        assert told["launchPipelineReexecution"]["__typename"] == "LaunchRunSuccess", told
        made.ended(**{"dagster/parent_run_id": first.run_id})

    return launch


def by_mutation(made: Served) -> Any:
    """the mutation behind the UI's "Materialize" (run retries are on)"""

    def launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
        made.ended(coverage=started(made, assets, partition))

    return launch


def started(made: Served, assets: Sequence[str], partition: str | None) -> str:
    """Start a run; its tag `coverage`."""
    name = uuid.uuid4().hex
    tags = [{"key": "coverage", "value": name}, *([{"key": "dagster/partition", "value": partition}] if partition else [])]
    selector = {**REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": _paths(assets), "assetCheckSelection": None}
    told = made.ask(LAUNCH, given={"selector": selector, "executionMetadata": {"tags": tags}, "runConfigData": {}})
    assert told["launchPipelineExecution"]["__typename"] == "LaunchRunSuccess", told
    return name


def by_run_retries(made: Served) -> Any:
    """the mutation, where the vendor does not answer the first run and the daemon retries it"""

    def launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
        at.folder.joinpath(UNREACHABLE).touch()
        tags = {"coverage": started(made, assets, partition)}
        made.until(lambda: any(run.status in DONE for run in at.instance.get_runs(dg.RunsFilter(tags=tags))))
        at.folder.joinpath(UNREACHABLE).unlink()
        made.until(lambda: len(at.instance.get_runs(dg.RunsFilter(tags=tags))) > 1)  # that it will be is tagged a while after it failed
        made.ended(**tags)

    return launch


def by_backfill(made: Served) -> Any:
    """a backfill"""

    def launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
        chosen = {"partitionNames": [partition]} if partition else {"allPartitions": True}
        told = made.ask(BACKFILL, given={"assetSelection": _paths(assets), **chosen})
        started = told["launchPartitionBackfill"]
        assert started["__typename"] == "LaunchBackfillSuccess", told
        made.until(lambda: _backfill_is_over(at, started["backfillId"]))

    return launch


def _backfill_is_over(at: Ground, name: str) -> bool:
    backfill = at.instance.get_backfill(name)
    return backfill is not None and str(backfill.status.value).startswith(("COMPLETED", "FAILED", "CANCELED"))


def by_sensor(made: Served) -> Any:
    """a sensor with `target=[assets]`"""
    for family in PARTITIONS:
        told = made.ask(START_SENSOR, given={**REPOSITORY, "sensorName": f"sensor_{family}"})
        assert told["startSensor"]["__typename"] == "Sensor", told
    return _asked(made, "sensor")


def by_schedule(made: Served) -> Any:
    """a schedule with `target=[assets]`"""
    for family in PARTITIONS:
        told = made.ask(START_SCHEDULE, given={**REPOSITORY, "scheduleName": f"schedule_{family}"})
        assert told["startSchedule"]["__typename"] == "ScheduleStateResult", told
    return _asked(made, "schedule")


def _asked(made: Served, by: str) -> Any:
    def launch(at: Ground, family: str, assets: Sequence[str], partition: str | None) -> None:
        name = uuid.uuid4().hex
        told = {"run_key": name, "by": by, "family": family, "assets": list(assets), "partition": partition}
        (at.folder / ASKED).write_text(json.dumps(told))
        made.ended(coverage=name)
        (at.folder / ASKED).unlink()

    return launch


# --- all families at once, with `BackfillPolicy.single_run()` and with consumers of every condition ----------------------


def by_range(at: Ground, asked: Sequence[Asked]) -> None:
    """a backfill of two partitions of assets with `BackfillPolicy.single_run()`, which is one run: where the second is bad nothing of it is
    published, what was published before stays, and its consumers are not run. Consumers of what is not handed on (it writes itself, is
    external or observed) are run, and halted: they read two partitions as one, and one is not fresh"""
    with served(at, COVERAGE_AT_ONCE="1") as made:
        for family, assets, partition in asked:
            keys = [Turn.before(family, str(partition)), str(partition)]
            for key in keys if family == "sources" else ():
                at.look(key)
            _range(made, family, _with_policy(assets), keys)


def _range(made: Served, family: str, assets: Sequence[str], keys: Sequence[str]) -> None:
    told = made.ask(BACKFILL, given={"assetSelection": _paths(assets), "partitionNames": keys})
    name = told["launchPartitionBackfill"].get("backfillId")
    assert name, told
    made.until(lambda: _backfill_is_over(made.at, name))
    made.ended(**{"dagster/backfill": name})
    runs = [run for run in made.at.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": name})) if run.root_run_id is None]
    assert len(runs) == 1, f"{len(runs)} runs instead of one of {family}"


def _with_policy(assets: Sequence[str]) -> list[str]:
    return [name for name in assets if name not in ROWS_OF_READERS]


def by_conditions(at: Ground, asked: Sequence[Asked]) -> None:
    """`eager()`, `on_cron()` and `eager() & all_deps_blocking_checks_passed()`, in the daemon, after a job of the feeds: a bad batch starts
    those that accept stale data, by `contracts_route`, and nobody else: not where there is no last good data, nor where they were made of
    it already (unpartitioned), nor where they would be halted. What is external or observed is reported whether it is good or bad, which
    starts all but those that wait for checks"""
    bad = (at.folder / BAD).read_text() != ""
    day = next(str(one.partition) for one in asked if one.family == "daily")
    end = DAYS.get_next_partition_key(day) or "2026-03-02"
    began, since = time.time(), at.store.now()

    def ticks() -> int:
        known = [each for each in at.instance.all_instigator_state() if each.name == location.SENSOR]
        return sum(len(at.instance.get_ticks(each.instigator_origin_id, each.selector_id, after=began)) for each in known)

    def more(number: int) -> None:
        seen = ticks()
        made.until(lambda: ticks() >= seen + number)

    def is_made(name: str, partition: str | None) -> bool:
        output = at.store.output(name, partition)
        return output is not None and output.at >= since

    with served(at, webserver=False, COVERAGE_END=end, COVERAGE_AT_ONCE="1", COVERAGE_AUTOMATED="1") as made:
        more(2)  # conditions begin with their first evaluation
        turn = time.time() // CRON
        made.until(lambda: time.time() // CRON > turn, CRON + 30)
        more(2)  # what was there when the time of the cron came is not new any more
        for one in asked:
            if one.family == "sources":
                at.instance.report_runless_asset_event(dg.AssetMaterialization("f_external", partition=one.partition))
                at.look(str(one.partition))  # after it: a check counts for what was reported before
            else:
                job(at, one.family, [name for name in one.assets if name in FEEDS], one.partition)
        assert time.time() // CRON == turn + 1, (
            f"the feeds took longer than the {CRON} s between two times of the cron: try it on a quieter machine"
        )
        rows = [(row, one) for one in asked for row, (feeds, _) in ROWS.items() if FEEDS[feeds[0]] == one.family]
        awaited = [
            (name, one.partition)
            for row, one in rows
            for name, after in WAYS["by_conditions"].outputs(row, bad=bad).items()
            if after != "not run"
        ]
        given_up = time.time() + 900
        made.until(lambda: all(is_made(*each) for each in awaited) or time.time() > given_up, 960)
        more(3)
        made.until(lambda: not at.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)), 960)


# --- all of them -----------------------------------------------------------------------------------------------------

IN_PROCESS = (materialize, job, processes, asset_materialize, dg_launch)
SERVED = (by_mutation, by_sensor, by_schedule, by_backfill, by_reexecution, by_run_retries)
TOGETHER = (by_range, by_conditions)  # of all families in one go
NOT_RUN = {"stale": "not run", "full": "not run"}
CONDITIONAL = {**NOT_RUN, "cron": "not run", "checked": "not run"}
BESIDE = {"stale": "stale", "cron": "stale", "full": "halted", "checked": "not run"}
WAYS = {
    "by_run_retries": replace(
        ALL_IN_ONE,
        absent=dict.fromkeys(
            SOURCE_ROWS, "their consumers run alone; who accepts only fresh data is halted, and a run with a halt is not retried"
        ),
    ),
    "by_range": Way(
        NOT_RUN,
        of_row=dict.fromkeys(("writes itself", *SOURCE_ROWS), HALTED),
        forms={},
        absent={"unpartitioned": "an unpartitioned asset has no range of partitions"},
    ),
    "by_conditions": Way(
        {**CONDITIONAL, "stale": "stale", "cron": "stale"},
        of_row={**dict.fromkeys((*KEYED, "unpartitioned"), CONDITIONAL), **dict.fromkeys(SOURCE_ROWS, BESIDE)},
        forms={name: after if after == "stale" else "not run" for name, after in ROWS_OF_READERS.items()},
    ),
}


def way_of(name: str) -> Way:
    return WAYS.get(name, ALL_IN_ONE)
