"""What one `with_contracts` call knows: which assets are governed, who reads what on which terms, and where breakers are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Attached, Confidence
from dagster_contracts.core.downstream import Reader
from dagster_contracts.core.errors import ContractError, MeasurementError, UsageError, did_you_mean
from dagster_contracts.core.ledger import IN_PLACE, Batch, Partition, Status
from dagster_contracts.core.metrics import reads_object
from dagster_contracts.gate import Gate
from dagster_contracts.governing import TermsInForce
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.registry import RegistryResource
from dagster_contracts.plugin.resource import BreakerResource
from dagster_contracts.plugin.storage import VersionAt, is_intact
from dagster_contracts.ports import Clock, Store

logger = logging.getLogger("dagster_contracts.plugin")
LiveReader = Callable[[str | None], object]  # partition key (None: unpartitioned) -> what stands there: a frame, a path, an ibis Table

ACCEPTS = "contracts/accepts"
RESOLVES = "contracts/resolves"  # asset metadata, true: its body asks `resolve` for what it reads by itself
RESOURCE = "contracts"  # the resource key under which a Definitions carries its site


@dataclass(frozen=True)
class Site:
    """Immutable, but for the connection to the store, which is made in each process on first use."""

    terms: Mapping[str, Terms]
    parents: Mapping[str, frozenset[str]]
    stated: Mapping[str, Confidence]  # what consumers say in their metadata
    breakers: BreakerResource
    clock: Clock
    live_readers: Mapping[str, LiveReader]  # of assets that write themselves, or that nobody here makes
    sources: Mapping[str, dg.PartitionsDefinition | None]  # the governed assets that nobody here makes
    resolves: frozenset[str]  # the consumers that ask in their body for what they read by themselves
    registry: RegistryResource | None  # where contracts in force are asked for; None: those that were loaded count
    environment: str | None
    given: dg.Definitions  # what is governed, as it was: reads the live place of an asset with the user's own IO manager
    _stores: dict[str, Store] = field(default_factory=dict, compare=False, repr=False)
    _in_force: dict[str, TermsInForce | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        given: dg.Definitions,
        assets: Sequence[dg.AssetSpec],
        attached: Mapping[str, Attached],
        breakers: BreakerResource,
        clock: Clock,
        live_readers: Mapping[str, LiveReader],
        environment: str | None = None,
        registry: RegistryResource | None = None,
        sources: Mapping[str, dg.PartitionsDefinition | None] = MappingProxyType({}),
    ) -> Site:
        stated = {spec.key.to_user_string(): _stated(spec) for spec in assets if ACCEPTS in spec.metadata}
        return cls(
            terms={key: Terms.of(item, environment) for key, item in attached.items()},
            parents={spec.key.to_user_string(): frozenset(dep.asset_key.to_user_string() for dep in spec.deps) for spec in assets},
            stated=stated,
            breakers=breakers,
            clock=clock,
            live_readers=live_readers,
            sources=sources,
            resolves=frozenset(spec.key.to_user_string() for spec in assets if _resolves(spec)),
            registry=registry,
            environment=environment,
            given=given,
        )

    def in_force(
        self, instance: dg.DagsterInstance, assets: Iterable[str] | None = None, tell: Callable[[str], None] = logger.warning
    ) -> Mapping[str, Terms]:
        """What governs assets (None: all that are governed here) now. `tell` is told where that may not be what is in force.

        Reads the registry, where there is one, at most once per contract and time to live.
        """
        wanted = self.terms.keys() if assets is None else self.terms.keys() & set(assets)
        if self.registry is None:
            return {asset: self.terms[asset] for asset in wanted}
        key = _named(instance)
        if key not in self._in_force:
            known = self.registry.in_force(instance, self.breakers)
            self._in_force[key] = TermsInForce(known, self.terms, self.environment) if known is not None else None
        terms = self._in_force[key]
        return {asset: self.terms[asset] for asset in wanted} if terms is None else terms.of(sorted(wanted), tell)

    def gate(self, instance: dg.DagsterInstance, version_at: VersionAt | None = None) -> Gate:
        """`version_at` tells what stands at an address of the storage that is about to be read."""
        from dagster_contracts.engines.local import default_engine
        from dagster_contracts.engines.sampling import sampled

        key = _named(instance)
        if key not in self._stores:
            self._stores[key] = self.breakers.store(instance, self.clock)
        intact = partial(is_intact, version_at=version_at)

        def related(terms: Terms, place: Partition) -> dict[str, Callable[[], object]]:
            return self._related(key, instance, terms, place)

        sources = self.sources.keys()
        return Gate(self._stores[key], default_engine(), intact, related, sources, sampled, self.is_ungoverned, self.is_unconcerned)

    def _related(self, store: str, instance: dg.DagsterInstance, terms: Terms, place: Partition) -> dict[str, Callable[[], object]]:
        """The objects of the contract that its rules read: what is published of them; of the same partition, where they have any. What was
        delivered and is not published raises MeasurementError where it is read: such a rule is not known to hold."""
        found: dict[str, Callable[[], object]] = {}
        for asset in self.compared_with(terms):
            name = self.terms[asset].attached.object.name
            if (batch := self._beside(store, asset, place)) is None:
                continue
            live = partial(self.standing, dg.AssetKey.from_user_string(asset), instance, batch.partition.key)
            found[name] = live if batch.status is Status.PUBLISHED else partial(_withheld, batch)
        return found

    def compared_with(self, terms: Terms) -> list[str]:
        """The other assets of the same contract that the rules of one read."""
        others = [asset for asset, each in self.terms.items() if each.attached.contract.id == terms.attached.contract.id]
        names = {asset: self.terms[asset].attached.object.name for asset in others if asset != terms.asset}
        return [asset for asset, name in names.items() if any(reads_object(metric, name) for metric in terms.plan.metrics)]

    def _beside(self, store: str, asset: str, place: Partition) -> Batch | None:
        """The batch of an asset that stands beside a place: of the same partition, where the asset has any. One that is not published
        where none is, or where it stands in the live place itself."""
        batches = partial(self._stores[store].batches, asset=asset, limit=1)
        newest = next(iter(batches()), None)
        if newest is not None and newest.partition.key is not None:
            newest = next(iter(batches(partition=place.key)), None) if place.key is not None else None
        if newest is None or newest.status is Status.PUBLISHED or newest.staged == IN_PLACE:
            return newest
        return next(iter(batches(partition=newest.partition.key, statuses=(Status.PUBLISHED,))), newest)

    def standing(self, key: dg.AssetKey, instance: dg.DagsterInstance, partition: str | None) -> object:
        """What stands in the live place of an asset, read by the project's own reader, else by its IO manager."""
        if (reader := self.live_readers.get(key.to_user_string())) is not None:
            return reader(partition)
        return self.given.load_asset_value(key, instance=instance, partition_key=partition)

    def concerns(self, key: str) -> bool:
        """Whether an asset is governed, or reads (at any distance) from one that is, or from one that is not defined here."""
        return key in self.terms or bool(self.governed_ancestors(key)) or any(parent not in self.parents for parent in self.ancestors(key))

    def knows_breakers_of(self, key: str) -> bool:
        """Whether a breaker may stand before an asset's data: its own, one further up, or one of another code location."""
        return not self.is_unconcerned(key)

    def is_ungoverned(self, key: str) -> bool:
        """Whether an asset is made here without a contract."""
        return key in self.parents and key not in self.terms

    def is_unconcerned(self, key: str) -> bool:
        """Whether an asset is made here, and neither it nor anything that it is made of has a contract."""
        return key in self.parents and not self.concerns(key)

    def governed_ancestors(self, key: str) -> frozenset[str]:
        return frozenset(parent for parent in self.ancestors(key) if parent in self.terms)

    def admits_without_store(self, assets: Iterable[str]) -> bool:
        """Whether every contract that bears on these assets lets data through while no store can record it."""
        concerned = {source for asset in assets for source in (self.governed_ancestors(asset) | ({asset} & self.terms.keys()))}
        return bool(concerned) and all(self.terms[source].policy.admit_when_unavailable for source in concerned)

    def accepts(self, consumers: Iterable[str], upstream: str, *, substitutes: bool = True) -> Confidence | None:
        """The strictest of what the consumers of one step accept of `upstream`; None where only the store can tell. `substitutes` False:
        they read by themselves, only the live place."""
        if not substitutes and (upstream in self.terms or upstream not in self.parents):
            return Confidence.FULL
        words = [self._accepts(consumer, upstream) for consumer in consumers]
        known = [word for word in words if word is not None]
        return None if len(known) < len(words) or not known else max(known, key=lambda word: word.rank)

    def readers(self) -> tuple[Reader, ...]:
        """The assets here that read others, with the least confidence that they accept of what a contract has a say in."""
        words = {name: [self._accepts(name, parent) for parent in parents] for name, parents in self.parents.items() if parents}
        return tuple(
            Reader(name, self.parents[name], max((word for word in known if word is not None), key=lambda word: word.rank))
            for name, known in words.items()
            if any(word is not None for word in known)
        )

    def _accepts(self, consumer: str, upstream: str) -> Confidence | None:
        if consumer in self.stated:
            return self.stated[consumer]
        sources = {upstream} if upstream in self.terms else self.governed_ancestors(upstream)
        words = [self.terms[source].policy.accepts(consumer) for source in sources]
        return max(words, key=lambda word: word.rank, default=None)

    def ancestors(self, key: str) -> frozenset[str]:
        """Everything that an asset is made of, at any distance, as far as it is defined here."""
        found: set[str] = set()
        todo = list(self.parents.get(key, ()))
        while todo:
            parent = todo.pop()
            if parent not in found:
                found.add(parent)
                todo.extend(self.parents.get(parent, ()))
        return frozenset(found)


def site_of(defs: dg.Definitions) -> Site:
    """What `with_contracts` knows of these definitions. Raises UsageError where they are not under it."""
    site = (defs.resources or {}).get(RESOURCE)
    if not isinstance(site, Site):
        raise UsageError("these definitions are not governed: wrap them in dagster_contracts.with_contracts(...)")
    return site


def _named(instance: dg.DagsterInstance) -> str:
    return f"ephemeral:{id(instance)}" if instance.is_ephemeral else instance.root_directory


def _withheld(batch: Batch) -> object:
    raise MeasurementError(f"{batch.asset} [{batch.partition}] is {batch.status}, and not published")


def _resolves(spec: dg.AssetSpec) -> bool:
    value: Any = spec.metadata.get(RESOLVES, False)
    told = getattr(value, "value", value)
    if not isinstance(told, bool):
        raise ContractError(f'asset "{spec.key.to_user_string()}": metadata {RESOLVES} is {told!r}, expected true or false')
    return told


def _stated(spec: dg.AssetSpec) -> Confidence:
    value: Any = spec.metadata[ACCEPTS]
    word = str(getattr(value, "value", value))
    if word not in set(Confidence):
        raise ContractError(
            f'asset "{spec.key.to_user_string()}": metadata {ACCEPTS} is "{word}", expected full, stale or low'
            f"{did_you_mean(word, list(Confidence))}".rstrip(",")
        )
    return Confidence(word)
