"""Contracts from a registry in Dagster: definitions are loaded with files, runs and sensors ask for what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict

from dagster_contracts.plugin.resource import BreakerResource, resolved, shown_url, shows_a_password
from dagster_contracts.registry import Registry

if TYPE_CHECKING:
    from dagster_contracts.store.in_force import InForce


class RegistryResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Contracts that are registered, for `with_contracts(defs, RegistryResource(...))`, and as a resource of assets and jobs.

    `contracts` is the folder (or file) with which definitions are loaded: nothing else is read then. It says which asset has which
    contract, and is what counts while the registry was never reached or has none in force; `dagster-contracts registry pull` writes it.
    `url` is a SQLAlchemy url; empty: the database of the breakers. `ttl_seconds`: how old what a process knows of a contract in force may
    be; a new version is judged by up to that much later.
    """

    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")
    contracts: str
    url: str = ""
    ttl_seconds: float = 60.0

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "contracts", self.contracts
        yield "url", shown_url(self.url)

    def shows_a_password(self) -> bool:
        """Whether `url` holds one as it stands, for all to see who may see Dagster's pages; an EnvVar does not."""
        return shows_a_password(self.url)

    def registry(self) -> Registry:
        """The registry, for the body of an asset or a job. Raises as `Registry` does."""
        return Registry(resolved(self.url) or None)

    def in_force(self, instance: dg.DagsterInstance, breakers: BreakerResource) -> InForce | None:
        """What is in force in the database of `url`, else of `breakers`; None where that is in memory: no contract is registered there."""
        from dagster_contracts.store.in_force import InForce

        url = resolved(self.url) or breakers.url_for(instance)
        return None if url is None else InForce(Registry(url).contracts, self.ttl_seconds)
