"""Data contracts for Dagster that act on what they find.

    with_contracts    govern the assets of a Definitions by contracts
    ContractsComponent   the same in a project of `dg`, as YAML
    BreakerResource   where breakers are kept
    Drill             faults in copies of good data, monthly: the score of each contract, and the way back proven
    mock              valid data from a contract
    resolve           what a body that reads by itself is to read
    Registry          registered contracts, from Python
    RegistryResource  the same for Dagster: contracts in force are asked of it
    S3ParquetIOManager   frames on S3, written conditionally
    make_slack_on_breaker_sensor   alerts in Slack, a thread per incident

Everything else is reached through its room: `dagster_contracts.core`, `.gate`, `.ports` and the adapters.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_contracts.mocking import mock
    from dagster_contracts.plugin.component import ContractsComponent
    from dagster_contracts.plugin.definitions import with_contracts
    from dagster_contracts.plugin.drill import Drill
    from dagster_contracts.plugin.registry import RegistryResource
    from dagster_contracts.plugin.resolving import resolve
    from dagster_contracts.plugin.resource import BreakerResource
    from dagster_contracts.plugin.s3 import S3ParquetIOManager
    from dagster_contracts.plugin.slack import make_slack_on_breaker_sensor
    from dagster_contracts.registry import Registry

__version__ = "0.1.0"
__all__ = [
    "BreakerResource",
    "ContractsComponent",
    "Drill",
    "Registry",
    "RegistryResource",
    "S3ParquetIOManager",
    "__version__",
    "make_slack_on_breaker_sensor",
    "mock",
    "resolve",
    "with_contracts",
]
_ROOMS = {
    "BreakerResource": "plugin.resource",
    "ContractsComponent": "plugin.component",
    "Drill": "plugin.drill",
    "Registry": "registry",
    "RegistryResource": "plugin.registry",
    "S3ParquetIOManager": "plugin.s3",
    "make_slack_on_breaker_sensor": "plugin.slack",
    "mock": "mocking",
    "resolve": "plugin.resolving",
    "with_contracts": "plugin.definitions",
}


def __getattr__(name: str) -> Any:
    """Dagster is imported on first use: the command line, and services without Dagster, do not need it."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    """`dg` lists what it finds here."""
    return sorted({*globals(), *__all__})
