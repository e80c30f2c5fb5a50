"""What the assets of a project have stored, read outside of runs as the project reads it: by its own IO managers and readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Partition, Status
from dagster_contracts.gate import Gate
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.frames import as_polars
from dagster_contracts.plugin.metadata import CONFIDENCE
from dagster_contracts.plugin.partitions import alone, partition_of
from dagster_contracts.plugin.private import io_managers
from dagster_contracts.plugin.routing import RoutingIOManager
from dagster_contracts.plugin.site import RESOURCE, Site, site_of
from dagster_contracts.plugin.storage import VersionAt

_FALLBACK = (Confidence.STALE, Confidence.LOW)


@dataclass(frozen=True, slots=True)
class Read:
    """Where it lies (the asset's key, or a place beside) and which partition -> the value. `version_at`: of the IO manager that reads it,
    where that tells versions."""

    load: Callable[[dg.AssetKey, str | None], Any]
    version_at: VersionAt | None = None

    def __call__(self, place: dg.AssetKey, partition: str | None) -> Any:
        return self.load(place, partition)


@contextmanager
def storage_of(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str) -> Iterator[Read]:
    """A reader of an asset's storage: (key, partition) -> value, through the user's own IO manager."""
    key = dg.AssetKey.from_user_string(asset)
    site = (defs.resources or {}).get(RESOURCE)
    if isinstance(site, Site) and (asset in site.live_readers or asset in site.sources):
        yield Read(lambda place, partition: site.standing(key, instance, partition))
        return
    assets = _assets_def(defs, asset)
    name = assets.get_io_manager_key_for_asset_key(key)
    resources = {"io_manager": io_managers.DEFAULT_IO_MANAGER, **(defs.resources or {}), **assets.resource_defs}
    needed = {each: value for each, value in resources.items() if not isinstance(value, Site)}
    with dg.build_resources(needed, instance=instance) as built:
        manager = getattr(built, name)
        config = io_managers.config_of(name, needed[name])
        wrapped = manager.wrapped if isinstance(manager, RoutingIOManager) else manager

        def load(place: dg.AssetKey, partition: str | None) -> Any:
            return alone(wrapped.load_input(io_managers.storage_context(assets, key, place, partition, instance, config)), partition)

        yield Read(load, getattr(wrapped, "version_at", None))


def stored_frames(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int, told: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, Any]]:
    """The newest `last` stored partitions as polars frames, the oldest first: (partition key or "", frame).

    What was made from fallback data is left out, and `told` how many are. Raises UsageError where nothing else is stored, or what is
    stored is no table or cannot be read.
    """
    key = dg.AssetKey.from_user_string(asset)
    if instance.get_latest_materialization_event(key) is None:
        raise UsageError("it was never materialized on this instance")
    places, left_out = _made_from_fresh(instance, key, stored_partitions(defs, instance, asset, None), last)
    if left_out:
        told(f"{asset}: {left_out} stored {'partition is' if left_out == 1 else 'partitions are'} left out: made from fallback data")
    if left_out and not places:
        raise UsageError("all that is stored of it was made from fallback data: materialize it again once its inputs are fresh")
    with storage_of(defs, instance, asset) as read:
        for place in places:
            try:
                value = read(key, place.key)
            except Exception as error:  # whatever a user's IO manager raises
                raise UsageError(f"[{place}] could not be read: {type(error).__name__}: {error}") from error
            yield place.key or "", as_polars(value)


def _made_from_fresh(instance: dg.DagsterInstance, key: dg.AssetKey, stored: list[Partition], last: int) -> tuple[list[Partition], int]:
    """The newest `last` that were last made from no fallback, oldest first; and how many were passed over. Each costs a question."""
    chosen: list[Partition] = []
    left_out = 0
    for place in reversed(stored):
        if len(chosen) == last:
            break
        wanted = key if place.key is None else dg.AssetRecordsFilter(key, asset_partitions=[place.key])
        made = [record.asset_materialization for record in instance.fetch_materializations(wanted, limit=1).records]
        if any(each is not None and (each.tags or {}).get(CONFIDENCE) in _FALLBACK for each in made):
            left_out += 1
        else:
            chosen.append(place)
    return chosen[::-1], left_out


def good_batches(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int) -> list[tuple[Batch, Any]]:
    """The newest `last` batches that may be served as last good, of the scope of the newest, and what they hold; oldest first.

    Those that do not stand any more as they were written are left out. Raises UsageError where one cannot be read.
    """
    found: list[tuple[Batch, Any]] = []
    with storage_of(defs, instance, asset) as read:
        for batch in _newest_good(site_of(defs).gate(instance, read.version_at), asset, last):
            try:
                found.append((batch, read(dg.AssetKey.from_user_string(asset), batch.partition.key)))
            except Exception as error:  # whatever a user's IO manager raises
                raise UsageError(f"{asset} [{batch.partition}] could not be read: {type(error).__name__}: {error}") from error
    return found


def _newest_good(gate: Gate, asset: str, last: int) -> list[Batch]:
    """Oldest first. Whether a batch is intact is asked of the storage, so no more are asked about than are needed."""
    known = [batch for batch in gate.store.batches(asset=asset, statuses=(Status.PUBLISHED,)) if batch.last_good]
    known.sort(key=lambda batch: (batch.partition.end or batch.arrived_at, batch.sequence), reverse=True)
    chosen: list[Batch] = []
    for batch in known:
        if len(chosen) == last:
            break
        if all(batch.breaker_key == other.breaker_key for other in chosen[:1]) and gate.is_intact(batch):
            chosen.append(batch)
    return chosen[::-1]


def stored_partitions(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, wanted: str | None) -> list[Partition]:
    key = dg.AssetKey.from_user_string(asset)
    assets = _assets_def(defs, asset)
    definition = assets.specs_by_key[key].partitions_def
    if definition is None:
        if wanted is not None:
            raise UsageError(f"--partitions {wanted}: {asset} is not partitioned")
        return [UNPARTITIONED]
    known = definition.get_partition_keys(dynamic_partitions_store=instance)
    stored = instance.get_materialized_partitions(key) if assets.is_materializable else set(known)  # of what others make all may be there
    ordered = [each for each in known if each in stored]
    return [partition_of(each, definition) for each in _within(ordered, wanted, asset)]


def _within(ordered: list[str], wanted: str | None, asset: str) -> list[str]:
    if wanted is None:
        return ordered
    first, _, last = wanted.partition("..")
    last = last or first
    unknown = [each for each in (first, last) if each not in ordered]
    if unknown:
        known = f"stored are {ordered[0]}..{ordered[-1]} ({len(ordered)})" if ordered else "nothing is stored"
        raise UsageError(f"--partitions {wanted}: {', '.join(unknown)} is not a stored partition of {asset}; {known}")
    chosen = ordered[ordered.index(first) : ordered.index(last) + 1]
    if not chosen:
        raise UsageError(f"--partitions {wanted}: {first} comes after {last}")
    return chosen


def _assets_def(defs: dg.Definitions, asset: str) -> dg.AssetsDefinition:
    key = dg.AssetKey.from_user_string(asset)
    return next(item for item in iterate_assets(defs.assets) if key in item.keys)
