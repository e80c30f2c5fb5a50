"""The demo's contract against its own vendor: its score, and that no clean day is complained of."""

from __future__ import annotations

from pathlib import Path

from dagster_contracts.chaos.deliveries import deliveries
from dagster_contracts.chaos.run import run
from dagster_contracts.chaos.score import score
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Clause
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.local import default_engine
from dagster_contracts.plugin.demo import vendor
from dagster_contracts.store.files import load_contracts

CONTRACT = Path(vendor.__file__).parent / "contracts" / "credit_bureau.odcs.yaml"


def test_the_demos_contract_notices_about_three_of_four_faults(tmp_path: Path) -> None:
    (contract,) = load_contracts(CONTRACT)
    plan, engine = compile_plan(contract, contract.objects[0]), default_engine()
    files = [vendor.drop(tmp_path, f"2026-01-0{day}") for day in range(1, 6)]
    campaign = run(plan, contract.policy, engine, deliveries(plan, engine, [(file.name, scan(file).collect()) for file in files]))
    found = score(campaign)
    assert campaign.alarms == ()
    assert 70 < found.total.percent < 76
    assert found.by_clause[Clause.UNIQUENESS].percent == found.by_clause[Clause.VALIDITY].percent == 100
    assert (found.missing[0].clause, found.missing[0].column) == (Clause.DISTRIBUTION, "balance")
    # The risk classes that the demo's vendor renumbers: what the demo is about is caught at once.
    (renumbered,) = (cell for cell in campaign.cells if (cell.fault, cell.column) == ("categories_to_numbers", "risk_indicator"))
    assert renumbered.trials[0].tripped
