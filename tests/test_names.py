"""The public names: what `from dagster_contracts import ...` promises."""

from __future__ import annotations

import subprocess
import sys

import dagster_contracts


def test_the_public_names() -> None:
    assert sorted(dagster_contracts.__all__) == [
        *("BreakerResource", "ContractsComponent", "Drill", "Registry", "RegistryResource", "S3ParquetIOManager", "__version__"),
        *("make_slack_on_breaker_sensor", "mock", "resolve", "with_contracts"),
    ]
    assert set(dagster_contracts.__all__) <= set(dir(dagster_contracts)), "where `dg` looks for components"
    assert all(getattr(dagster_contracts, name) is not None for name in dagster_contracts.__all__)


def test_importing_the_package_or_its_slack_sink_loads_neither_dagster_nor_slack() -> None:
    code = (
        "import sys, dagster_contracts, dagster_contracts.sinks.slack; print(sorted({'dagster', 'polars', 'slack_sdk'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
