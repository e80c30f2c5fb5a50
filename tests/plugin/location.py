"""A code location that other processes load: what the vendor delivers, the contracts and the breakers lie in a folder.

`python -m` or `-f` this file with CONTRACTS_TEST_FOLDER set, or rebuild its job from its arguments.
"""

import os
from pathlib import Path

import dagster as dg
import pandas as pd

from dagster_contracts import BreakerResource, with_contracts
from tests.plugin.lab import DAYS

CONTRACTS = "contracts"
BAD = "bad"  # file of this folder: the days on which the vendor delivers badly


def definitions(folder: Path, url: str) -> dg.Definitions:
    bad = folder / BAD

    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> dg.Output[pd.DataFrame]:
        is_bad = bad.exists() and context.partition_key in bad.read_text().split()
        risks = ["7", "8"] if is_bad else ["HIGH", "LOW"]
        frame = pd.DataFrame({"customer_id": [1, 2], "risk": risks, "read": context.partition_key})
        return dg.Output(frame, metadata={"pid": os.getpid()})

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "stale"}, retry_policy=dg.RetryPolicy(max_retries=2))
    def flaky(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> dg.Output[str]:
        if context.retry_number == 0:
            raise ValueError("the first attempt fails")
        return dg.Output(str(feed["read"].iloc[0]), metadata={"pid": os.getpid()})

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "full"}, retry_policy=dg.RetryPolicy(max_retries=2))
    def strict(feed: pd.DataFrame) -> int:
        return len(feed)

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "low"})
    def tolerant(feed: pd.DataFrame) -> dg.Output[str]:
        return dg.Output(str(feed["risk"].iloc[0]), metadata={"pid": os.getpid()})

    @dg.asset_check(asset=feed, blocking=True, partitions_def=DAYS)
    def has_rows(feed: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=len(feed) == 2)

    defs = dg.Definitions(
        assets=[feed, flaky, strict, tolerant], asset_checks=[has_rows], jobs=[dg.define_asset_job("daily", selection="*")]
    )
    return with_contracts(defs, contracts=folder / CONTRACTS, breakers=BreakerResource(url=url))


def daily(folder: str, url: str) -> dg.JobDefinition:
    return definitions(Path(folder), url).resolve_job_def("daily")


if "CONTRACTS_TEST_FOLDER" in os.environ:
    _folder = Path(os.environ["CONTRACTS_TEST_FOLDER"])
    defs = definitions(_folder, f"sqlite:///{_folder}/contracts.db")
