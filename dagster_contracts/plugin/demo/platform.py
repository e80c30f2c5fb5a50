"""The lending platform: a feed, three scores that read it, and a report. Nothing in here knows of contracts."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from upath import UPath

from dagster_contracts.plugin.demo import vendor

DAYS = dg.DailyPartitionsDefinition(start_date="2026-06-01", end_date="2026-06-11")
POINTS = {"HIGH_RISK": 10, "MEDIUM_RISK": 40, "LOW_RISK": 70, "MINIMAL_RISK": 90}


def home() -> Path:
    """Where the demonstration keeps its instance and its data: DAGSTER_HOME."""
    return Path(os.environ.get("DAGSTER_HOME") or ".dagster_contracts_demo").absolute()


class ParquetFiles(dg.ConfigurableIOManagerFactory[Any]):
    """One Parquet file a partition."""

    directory: str

    def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:
        return _ParquetFiles(base_path=UPath(self.directory))


class _ParquetFiles(dg.UPathIOManager):
    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: pd.DataFrame, path: UPath) -> None:
        obj.to_parquet(path, index=False)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pd.DataFrame:
        return pd.read_parquet(path)


@dg.asset(partitions_def=DAYS, group_name="lending")
def credit_bureau(context: dg.AssetExecutionContext) -> pd.DataFrame:
    """What the credit bureau delivered for the day."""
    return pd.read_parquet(vendor.drop_path(home(), context.partition_key))


def _points(feed: pd.DataFrame) -> pd.Series:
    """Risk points; what the model has never seen becomes 50. It does not crash: it predicts worse."""
    return feed["risk_indicator"].map(POINTS).fillna(50)


@dg.asset(partitions_def=DAYS, group_name="lending", automation_condition=dg.AutomationCondition.eager())
def marketing_scores(credit_bureau: pd.DataFrame) -> pd.DataFrame:
    """Who gets an offer: yesterday's data will do."""
    return credit_bureau[["customer_id"]].assign(score=_points(credit_bureau) * 0.5 + credit_bureau["credit_score"] / 17)


@dg.asset(partitions_def=DAYS, group_name="lending")
def fraud_scores(credit_bureau: pd.DataFrame) -> pd.DataFrame:
    """Whose payment is stopped: right, or not at all."""
    return credit_bureau[["customer_id"]].assign(score=100 - _points(credit_bureau))


@dg.asset(partitions_def=DAYS, group_name="lending")
def underwriting_scores(credit_bureau: pd.DataFrame) -> pd.DataFrame:
    """Who gets a loan: a person looks at doubtful ones."""
    return credit_bureau[["customer_id"]].assign(score=_points(credit_bureau) * 0.4 + credit_bureau["credit_score"] / 14)


@dg.asset(partitions_def=DAYS, group_name="lending")
def portfolio_report(marketing_scores: pd.DataFrame, underwriting_scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the day."""
    return pd.DataFrame({"marketing": [marketing_scores["score"].mean()], "underwriting": [underwriting_scores["score"].mean()]})


ASSETS = [credit_bureau, marketing_scores, fraud_scores, underwriting_scores, portfolio_report]
DAILY = dg.define_asset_job("daily", selection=dg.AssetSelection.assets(*ASSETS), description="The feed and everything that reads it.")
SCORES = dg.define_asset_job("scores", selection=dg.AssetSelection.assets(*ASSETS[1:]), description="The consumers alone.")


def platform() -> dg.Definitions:
    """The code location, without contracts."""
    return dg.Definitions(assets=ASSETS, jobs=[DAILY, SCORES], resources={"io_manager": ParquetFiles(directory=str(home() / "data"))})
