"""A contract, data for it, and a store in which its feed has been bad once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dagster_contracts import routing
from dagster_contracts.cli.app import app
from dagster_contracts.core.contract import Confidence, attach
from dagster_contracts.core.ledger import Partition, Route, StepKey
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store.files import load_contracts
from dagster_contracts.store.sql import SqlStore

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: vendor-feed
version: 1.2.0
status: active
schema:
  - name: feed
    customProperties:
      - property: dagsterAsset
        value: vendor/feed
    properties:
      - name: customer_id
        logicalType: integer
        required: true
        unique: true
      - name: risk_indicator
        logicalType: string
        quality:
          - type: library
            metric: invalidValues
            mustBe: 0
            arguments: {validValues: [HIGH_RISK, LOW_RISK]}
          - type: text
            description: indicators follow the vendor's handbook
customProperties:
  - property: circuitBreaker
    value:
      cooldown: PT6H
"""
GOOD = "customer_id,risk_indicator\n1,HIGH_RISK\n2,LOW_RISK\n"
BAD = "customer_id,risk_indicator\n1,17\n2,LOW_RISK\n"
FIRST = datetime(2026, 1, 1, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No database but the one a test names, a user with a name, and a folder of its own."""
    for name in ("CONTRACTS_DATABASE_URL", "DAGSTER_HOME", "LOGNAME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ana")
    monkeypatch.setenv("LOGNAME", "ana")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Callable[..., Ran]:
    """Run a command in this process. What it should have caught is raised here."""

    def run(*arguments: object) -> Ran:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="dagster-contracts")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def run_process() -> Callable[..., Ran]:
    """Run a command as a process of its own, through the installed entry point's function."""

    def run(*arguments: object, **environment: str) -> Ran:
        program = "import sys; sys.argv[0] = 'dagster-contracts'; from dagster_contracts.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(CONTRACT)
    return file


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.csv"
    file.write_text(GOOD)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.csv"
    file.write_text(BAD)
    return file


# --- a store with a past -------------------------------------------------------------------------------------------


def day(number: int) -> Partition:
    start = datetime(2026, 1, number, tzinfo=UTC)
    return Partition(f"2026-01-{number:02}", start, start + timedelta(days=1))


@pytest.fixture(scope="session")
def _past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Day 1 is published. Day 2 is bad: quarantined, the breaker opens. Day 3 is good again: held. Two consumers fell back."""
    import polars as pl

    folder = tmp_path_factory.mktemp("past")
    (folder / "feed.odcs.yaml").write_text(CONTRACT)
    clock = FixedClock(FIRST)
    store: Store = SqlStore(f"sqlite:///{folder}/contracts.db", clock=clock)
    gate = Gate(store, LocalEngine())
    terms = Terms.of(attach(load_contracts(folder / "feed.odcs.yaml"), ["vendor/feed"])["vendor/feed"])

    def deliver(number: int, at: datetime, indicator: str) -> None:
        clock.at = at
        data = pl.DataFrame({"customer_id": [1, 2], "risk_indicator": [indicator, "LOW_RISK"]})
        judgement = gate.judge(terms, Delivery(day(number), f"run-{number}", f"run-{number}"), data)
        if judgement.publish:
            gate.published(judgement.batch, "etag-1")
        else:
            gate.staged(judgement.batch, f"fingerprint-{number}")

    def consume(asset: str, number: int, accepts: Confidence) -> None:
        clock.at = FIRST + timedelta(days=number - 1, hours=1)
        route: Route = routing.route(gate, StepKey(f"run-{asset}", asset), routing.Input(asset, "vendor/feed", accepts, terms), day(number))
        gate.record_output(asset, day(number), f"run-{asset}", [route])

    deliver(1, FIRST, "HIGH_RISK")
    deliver(2, FIRST + timedelta(days=1), "17")
    consume("underwriting", 2, Confidence.LOW)
    consume("fraud", 2, Confidence.FULL)
    deliver(3, FIRST + timedelta(days=1, hours=2), "HIGH_RISK")
    return folder


@pytest.fixture
def past(_past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The url of a copy of that store, which is also the one that commands use by default."""
    for file in _past.glob("contracts.db*"):
        shutil.copy(file, tmp_path)
    url = f"sqlite:///{tmp_path}/contracts.db"
    monkeypatch.setenv("CONTRACTS_DATABASE_URL", url)
    return url
