"""The example code location: a lending platform, governed by the contracts beside this file.

`dagster-contracts demo` tells its story and prints the command that opens it in Dagster's UI. Without CONTRACTS_DATABASE_URL the
breakers are kept in SQLite beside the Dagster instance.
"""

import os
from pathlib import Path

import dagster as dg

from dagster_contracts import BreakerResource, Drill, with_contracts
from dagster_contracts.plugin.demo.platform import platform

URL = "CONTRACTS_DATABASE_URL"

defs = with_contracts(
    platform(),
    contracts=Path(__file__).parent / "contracts",
    breakers=BreakerResource(url=dg.EnvVar(URL)) if URL in os.environ else BreakerResource(),
    drill=Drill(),
)
