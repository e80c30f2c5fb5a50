"""`relay`: events leave the outbox, once or for as long as the process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import Ran

PROGRAM = "import sys; sys.argv[0] = 'dagster-contracts'; from dagster_contracts.cli import main; main()"


@pytest.mark.usefixtures("past")
def test_once_delivers_what_waits_and_ends(run: Callable[..., Ran]):
    first = run("relay", "--once")
    assert first.code == 0
    types = [line.split()[0] for line in first.out.splitlines()]
    assert types[:2] == ["breaker.opened", "contract.violated"]
    assert first.err == f"log: delivered {len(types)} events\n"
    again = run("relay", "--once")
    assert (again.code, again.out, again.err) == (0, "", "")


@pytest.mark.usefixtures("past")
def test_status_tells_how_far_a_sink_is_behind(run: Callable[..., Ran], past: str):
    assert run("status", "--format", "json").json["sinks"] == []
    SqlStore(past).register(["log"])
    (sink,) = run("status", "--format", "json").json["sinks"]
    assert (sink["sink"], sink["undelivered"] > 2, sink["oldest"]) == ("log", True, "2026-01-02T06:00:00Z")
    assert any(line.startswith("sink") and "log" in line and "behind" in line for line in run("status").out.splitlines())
    run("relay", "--once")
    assert run("status", "--format", "json").json["sinks"] == [{"sink": "log", "undelivered": 0, "oldest": None}]
    assert not any(line.startswith("sink") for line in run("status").out.splitlines())


def test_a_sink_is_not_behind_before_the_relay_would_have_told_it(run: Callable[..., Ran], past: str):
    store = SqlStore(past)
    store.register(["log"])
    run("relay", "--once")
    run("breaker", "reset", "vendor/feed", "--reason", "mended")
    (sink,) = run("status", "--format", "json").json["sinks"]
    assert sink["undelivered"] > 0
    assert not any(line.startswith("sink") for line in run("status").out.splitlines())


@pytest.mark.usefixtures("past")
def test_a_sink_may_be_forgotten(run: Callable[..., Ran]):
    run("relay", "--once")
    refused = run("relay", "--forget", "kafka")
    assert (refused.code, refused.err) == (2, 'error: no sink "kafka" is known; known sinks: log\n')
    assert run("relay", "--forget", "log").out == "nothing waits for log any more\n"
    assert run("status", "--format", "json").json["sinks"] == []


@pytest.mark.parametrize("interval", ["soon", "PT0S", "P2D"])
def test_an_interval_is_a_duration(run: Callable[..., Ran], past: str, interval: str):
    ran = run("relay", "--interval", interval)
    assert ran.code == 2
    assert ran.err.startswith("error: --interval: ")


def test_sigterm_ends_it_with_every_cursor_given_back(past: str):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CONTRACTS_DATABASE_URL": past}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "relay"], env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "relaying; SIGTERM ends it\n"
        assert process.stderr.readline().startswith("log: delivered")
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == "ended\n"
    assert process.returncode == 0
    store = SqlStore(past)
    assert [waiting.events for waiting in store.waiting()] == [0]


MEASURED = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter(), export_interval_millis=100)]))
"""


def test_the_state_of_breakers_is_metered_while_it_runs(past: str):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CONTRACTS_DATABASE_URL": past}
    command = [sys.executable, "-c", MEASURED + PROGRAM, "relay"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = any("dagster_contracts.breaker.state" in line for line in islice(process.stdout, 5_000))
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert (told, process.returncode) == (True, 0)
