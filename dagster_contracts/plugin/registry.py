"""Contracts from a registry in Dagster: definitions are loaded with files, runs and sensors ask for what is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict

from dagster_contracts.core.contract import Attached
from dagster_contracts.judgement import Terms
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


class TermsInForce:
    """What governs each asset at the time of asking. `loaded` is what the definitions were loaded with."""

    def __init__(self, known: InForce, loaded: Mapping[str, Terms], environment: str | None):
        self._known = known
        self._loaded = loaded
        self._environment = environment
        self._made: dict[tuple[str, str], Terms] = {}  # (asset, content of its contract)
        self._last: dict[str, Terms] = {}

    def of(self, assets: Iterable[str], tell: Callable[[str], None]) -> dict[str, Terms]:
        """The terms of those of `assets` that are governed; `tell` is told where they may not be what is in force."""
        return {asset: self._of(asset, self._loaded[asset], tell) for asset in assets if asset in self._loaded}

    def _of(self, asset: str, loaded: Terms, tell: Callable[[str], None]) -> Terms:
        contract = loaded.attached.contract
        last = self._last.get(asset, loaded)
        found = self._known.contract(contract.id)
        if found.unreachable:
            tell(f"{found.unreachable}; {asset} is judged by {contract.id} {last.version}, the last known")
        if found.registered is None:
            if not found.unreachable:
                tell(f"no version of contract {contract.id} is in force in the registry; {asset} is judged by {loaded.version}, as loaded")
            return last if found.unreachable else loaded
        present = found.registered.contract
        obj = next((each for each in present.objects if asset in (each.asset, each.name) or each.name == loaded.attached.object.name), None)
        if obj is None:
            tell(f"{present.id} {present.version}, in force, says nothing of {asset}; it is judged by {last.version}")
            return last
        key = (asset, present.content_hash)
        if key not in self._made:
            self._made[key] = Terms.of(Attached(asset, present, obj), self._environment)
        self._last[asset] = self._made[key]
        return self._made[key]
