"""An external asset that went bad is probed by the daemon, and what it halted is made anew."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dagster_contracts.core.state import State
from dagster_contracts.plugin import operations
from dagster_contracts.store.sql import SqlStore
from tests.coverage import watched
from tests.coverage.launches import INSTANCE, Ground, job, served
from tests.plugin.lab import contract_files


@pytest.mark.soak
def test_a_daemon_finds_that_a_source_is_good_again(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    contract_files(tmp_path / watched.CONTRACTS, watched.contracts())
    url = f"sqlite:///{tmp_path}/contracts.db"
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        at = Ground(tmp_path, url, watched.definitions(tmp_path, url), instance, SqlStore(url))
        (tmp_path / watched.RATES).write_text("customer_id,risk\n1,7\n")
        operations.observe(at.defs, instance, "rates", None)
        job(at, "none", ["prices"], None)
        output = at.store.output("prices", None)
        assert output is not None
        assert output.status == "halted"
        (tmp_path / watched.RATES).write_text("customer_id,risk\n1,LOW\n2,HIGH\n")

        def is_healed() -> bool:
            made = at.store.output("prices", None)
            return made is not None and made.status == "ok"

        with served(at, watched.__file__, webserver=False, COVERAGE_FOLDER="", COVERAGE_OF_SOURCES=str(tmp_path)) as made:
            made.until(is_healed)
        (breaker,) = at.store.breakers()
        assert breaker.state is State.CLOSED
        probes = instance.get_runs(dg.RunsFilter(tags={"dagster/sensor_name": "contracts_probe"}))
        assert [run.tags["contracts/probe"] for run in probes] == ["rates"] * len(probes)
        assert len(probes) == 1, "the pass closed it"
