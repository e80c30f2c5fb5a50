"""A bad day when every step runs in a process of its own, on both stores; and the sensors under the real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.plugin import location
from tests.plugin.lab import QUIET, contract_files, contract_text, dagster_home, day

ROOT = Path(__file__).parents[2]
FORKSERVER = {"multiprocess": {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": ["tests.plugin.location"]}}}}


@dataclass
class Played:
    instance: dg.DagsterInstance
    url: str
    good: dg.ExecuteJobResult
    bad: dg.ExecuteJobResult
    read: dict[str, Any]

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                return [dict(row) for row in connection.execute(text(statement), values).mappings()]
        finally:
            engine.dispose()


@pytest.fixture(scope="module", params=[pytest.param("sqlite", marks=pytest.mark.soak), "postgres"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A good day and a bad one."""
    place = tmp_path_factory.mktemp(request.param)
    contract_files(place / location.CONTRACTS, contract_text())
    url = f"sqlite:///{place}/contracts.db"
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        server.psql("CREATE DATABASE processes;")
        url = server.get_uri(database="processes", driver="psycopg")
        upgrade(url)
    job = dg.build_reconstructable_job("tests.plugin.location", "daily", (str(place), url), reconstructor_working_directory=str(ROOT))
    config = {**QUIET, "execution": {"config": FORKSERVER}}
    with dagster_home(place) as instance:

        def run(number: int) -> dg.ExecuteJobResult:
            return dg.execute_job(job, instance, run_config=config, tags={"dagster/partition": day(number)}, raise_on_error=False)

        good = run(1)
        (place / location.BAD).write_text(day(2))
        bad = run(2)
        live = location.definitions(place, url)
        read = {name: live.load_asset_value(name, instance=instance, partition_key=day(2)) for name in ("flaky", "tolerant")}
        yield Played(instance, url, good, bad, read)


def _materialized(result: dg.ExecuteJobResult) -> dict[str, Any]:
    found = [event.step_materialization_data.materialization for event in result.all_events if event.is_step_materialization]
    return {item.asset_key.to_user_string(): item for item in found}


def _failures(result: dg.ExecuteJobResult) -> dict[str, str]:
    return {str(event.step_key): str(event.event_specific_data) for event in result.all_events if event.is_failure}


def test_every_step_has_its_own_process(played: Played) -> None:
    assert played.good.success, _failures(played.good)
    pids = [item.metadata["pid"].value for name, item in _materialized(played.good).items() if name != "strict"]
    assert len(set(pids)) == len(pids) == 3
    assert os.getpid() not in pids


def test_consumers_in_other_processes_are_routed(played: Played) -> None:
    made = _materialized(played.bad)
    assert set(made) == {"flaky", "tolerant"}, _failures(played.bad)
    assert made["flaky"].tags["contracts/confidence"] == "stale"
    assert made["flaky"].metadata["contracts/served_partition"].value == f"feed [{day(1)}]"
    assert made["tolerant"].tags["contracts/confidence"] == "low"
    assert {name: played.read[name] for name in ("flaky", "tolerant")} == {"flaky": day(1), "tolerant": "7"}


def test_a_step_decides_once_and_a_retry_anew(played: Played) -> None:
    rows = played.rows("SELECT step, attempt FROM contracts_decisions WHERE run_id = :run", run=played.bad.run_id)
    assert Counter((row["step"], row["attempt"]) for row in rows) == {
        ("flaky", 0): 1,
        ("flaky", 1): 1,
        ("strict", 0): 1,
        ("tolerant", 0): 1,
    }


def test_users_errors_are_retried_and_a_halt_is_not(played: Played) -> None:
    retried = [event.step_key for event in played.bad.all_events if event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY]
    failed = [event.step_key for event in played.bad.all_events if event.is_step_failure]
    assert retried == ["flaky"]
    assert failed == ["strict"]


def test_the_run_is_not_retried(played: Played) -> None:
    good, bad = (played.instance.get_run_by_id(result.run_id) for result in (played.good, played.bad))
    assert good is not None
    assert bad is not None
    assert "dagster/max_retries" not in good.tags
    assert bad.tags["dagster/max_retries"] == "0"


def test_one_batch_one_trip(played: Played) -> None:
    assert played.rows("SELECT outcome, status FROM contracts_batches WHERE run_id = :run", run=played.bad.run_id) == [
        {"outcome": "fail", "status": "quarantined"}
    ]
    assert [row["to_state"] for row in played.rows("SELECT to_state FROM contracts_transitions")] == ["open"]


# --- the daemon ------------------------------------------------------------------------------------------------------


def test_the_daemon_starts_a_probe(tmp_path: Path) -> None:
    """Sensors are on by themselves, and the probe run that they ask for finds its batch and its lease."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "CONTRACTS_TEST_FOLDER": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    contract_files(tmp_path / location.CONTRACTS, contract_text(cooldown="PT0.01S"))
    with dagster_home(tmp_path) as instance:
        url = f"sqlite:///{tmp_path}/contracts.db"
        job = location.definitions(tmp_path, url).resolve_job_def("daily")
        for number, bad in ((1, ""), (2, day(2))):
            (tmp_path / location.BAD).write_text(bad)
            feed = [dg.AssetKey("feed")]
            job.execute_in_process(
                instance=instance, partition_key=day(number), asset_selection=feed, raise_on_error=False, run_config=QUIET
            )
        assert [str(item.to_state) for item in SqlStore(url).transitions("feed")] == ["open"]

        command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(Path(location.__file__)), "-d", str(ROOT)]
        with open(tmp_path / "daemon.log", "w") as log:
            daemon = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        try:
            run = _finished_probe(instance, daemon, seconds=240)
        finally:
            daemon.terminate()
            daemon.wait(30)
        assert run is not None, (tmp_path / "daemon.log").read_text()[-3000:]
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert run.tags["dagster/sensor_name"] == "contracts_probe"
        assert [str(item.to_state) for item in SqlStore(url).transitions("feed")][:2] == ["open", "half_open"]


def _finished_probe(instance: dg.DagsterInstance, daemon: subprocess.Popen[bytes], seconds: int) -> dg.DagsterRun | None:
    for _ in range(seconds * 2):
        found = instance.get_runs(
            dg.RunsFilter(tags={"contracts/probe": "feed"}, statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
        )
        if found or daemon.poll() is not None:
            return found[-1] if found else None
        threading.Event().wait(0.5)
    return None
