"""Data contracts for Dagster that act on what they find.

    with_contracts    govern the assets of a Definitions by contracts
    BreakerResource   where breakers are kept
    resolve           what a body that reads by itself is to read
    Registry          registered contracts, from Python
    RegistryResource  the same for Dagster: contracts in force are asked of it
    S3ParquetIOManager   frames on S3, written conditionally
    make_slack_on_breaker_sensor   alerts in Slack, a thread per incident

Everything else is reached through its room: `dagster_contracts.core`, `.gate`, `.ports` and the adapters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster_contracts.plugin.definitions import with_contracts
    from dagster_contracts.plugin.registry import RegistryResource
    from dagster_contracts.plugin.resolving import resolve
    from dagster_contracts.plugin.resource import BreakerResource
    from dagster_contracts.plugin.s3 import S3ParquetIOManager
    from dagster_contracts.plugin.slack import make_slack_on_breaker_sensor
    from dagster_contracts.registry import Registry

__version__ = "0.1.0"
__all__ = [
    "BreakerResource",
    "Registry",
    "RegistryResource",
    "S3ParquetIOManager",
    "__version__",
    "make_slack_on_breaker_sensor",
    "resolve",
    "with_contracts",
]


def __getattr__(name: str) -> Any:
    """Dagster is imported on first use: the command line, and services without Dagster, do not need it."""
    if name == "with_contracts":
        from dagster_contracts.plugin.definitions import with_contracts

        return with_contracts
    if name == "BreakerResource":
        from dagster_contracts.plugin.resource import BreakerResource

        return BreakerResource
    if name == "Registry":
        from dagster_contracts.registry import Registry

        return Registry
    if name == "RegistryResource":
        from dagster_contracts.plugin.registry import RegistryResource

        return RegistryResource
    if name == "S3ParquetIOManager":
        from dagster_contracts.plugin.s3 import S3ParquetIOManager

        return S3ParquetIOManager
    if name == "make_slack_on_breaker_sensor":
        from dagster_contracts.plugin.slack import make_slack_on_breaker_sensor

        return make_slack_on_breaker_sensor
    if name == "resolve":
        from dagster_contracts.plugin.resolving import resolve

        return resolve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
