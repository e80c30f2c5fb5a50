"""An external asset and its consumer, governed: what a daemon loads.

`-f` this file with COVERAGE_OF_SOURCES set to a folder: the vendor's file `rates.csv` and the contracts stand there.
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pandas as pd

from dagster_contracts import BreakerResource, with_contracts
from tests.plugin.lab import contract_text

RATES, CONTRACTS = "rates.csv", "contracts"


def contracts() -> str:
    return contract_text("rates", cooldown="PT1S")


def definitions(folder: Path, url: str) -> dg.Definitions:
    def read(partition: str | None) -> pd.DataFrame:
        return pd.read_csv(folder / RATES)

    @dg.asset(deps=["rates"])
    def prices() -> int:
        return len(read(None))

    given = dg.Definitions(assets=[dg.AssetSpec("rates"), prices], executor=dg.in_process_executor)
    return with_contracts(given, contracts=folder / CONTRACTS, breakers=BreakerResource(url=url), readers={"rates": read})


if os.environ.get("COVERAGE_OF_SOURCES"):
    _folder = Path(os.environ["COVERAGE_OF_SOURCES"])
    defs = definitions(_folder, f"sqlite:///{_folder}/contracts.db")
