"""Campaigns on real feeds under contracts of others: a score for each, nothing raised, nothing read that its policy does not say.

Skipped where ../shared is absent. All feeds but one take long: `-m soak`.
"""

from __future__ import annotations

import pytest

from dagster_contracts.chaos.deliveries import deliveries
from dagster_contracts.chaos.history import judged
from dagster_contracts.chaos.run import run, without
from dagster_contracts.chaos.score import score
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.verdict import ACCEPTED, Outcome
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.local import default_engine
from dagster_contracts.store.files import load_contracts
from tests.shared_cases import CASES

FEEDS = ("bike_sharing", "italy_regioni", "jhu_us_daily", "lendingclub", "nyc_taxi", "uci_credit_default")
NEWEST = 6


@pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there: no real feeds")
@pytest.mark.parametrize("feed", ["jhu_daily", *(pytest.param(feed, marks=pytest.mark.soak) for feed in FEEDS)])
def test_a_real_feed_has_a_score(feed: str) -> None:
    engine = default_engine()
    (contract,) = load_contracts(CASES / "contracts" / f"{feed}.odcs.yaml")
    plan = compile_plan(contract, contract.objects[0])
    files = sorted((CASES / "data" / feed).iterdir(), key=lambda file: file.name)[-NEWEST:]
    batches = deliveries(plan, engine, [(file.name, scan(file).collect()) for file in files])
    refused = [known.verdict for known in judged(plan, engine, batches) if known.verdict.outcome not in ACCEPTED]
    broken = {finding.rule for verdict in refused for finding in verdict.findings if finding.outcome is Outcome.FAIL}
    if broken:
        assert run(plan, contract.policy, engine, batches).refusals
    found = run(without(plan, sorted(broken)), contract.policy, engine, batches)
    result = score(found)
    assert 0 < result.total.percent < 100
    assert len(found.cells) > 100
    assert [each for each in found.skipped if "raised" in each.reason] == []
    assert [read for cell in found.cells for trial in cell.trials for read in trial.reads if not read.as_promised] == []
    print(f"{feed}: {result.total.percent:.1f}% of {result.total.tried}, without {sorted(broken)}")
