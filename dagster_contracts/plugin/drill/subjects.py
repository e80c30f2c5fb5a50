"""What is drilled: copies of the latest good batches of an asset, and who reads it. Production is read here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Batch, Partition
from dagster_contracts.core.metrics import reads_object
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.frames import as_polars, joined, kind_of
from dagster_contracts.plugin.reading import good_batches
from dagster_contracts.plugin.resolving import silent_readers
from dagster_contracts.plugin.site import Site, site_of

if TYPE_CHECKING:
    from dagster_contracts.chaos import batch as chaos

ANYBODY = "contracts_drill_reader"  # stands for consumers, where none is known


@dataclass(frozen=True, eq=False)
class Copy:
    """What a good batch holds: a frame of pandas, Polars or Arrow, as the project's own IO manager gave it."""

    batch: Batch
    value: Any

    @property
    def partition(self) -> Partition:
        return self.batch.partition


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer, and what it accepts."""

    asset: str
    accepts: Confidence


@dataclass(frozen=True, eq=False)
class Feed:
    """An asset with copies of its latest good batches, oldest first."""

    terms: Terms
    partitions: dg.PartitionsDefinition | None
    copies: Sequence[Copy]


@dataclass(frozen=True, eq=False)
class Subject:
    """A feed to be drilled, the other objects of its contract that its rules read, and its readers. `environment` as in with_contracts."""

    feed: Feed
    others: Sequence[Feed]
    readers: Sequence[Reader]
    environment: str | None

    @property
    def asset(self) -> str:
        return self.feed.terms.asset

    @cached_property
    def batches(self) -> list[chaos.Batch]:
        """As campaigns take them. Raises UsageError where what is stored is no table."""
        from dagster_contracts.chaos.batch import Batch as Clean
        from dagster_contracts.chaos.deliveries import arrival
        from dagster_contracts.engines.local import default_engine

        found: list[chaos.Batch] = []
        for copy in self.feed.copies:
            frame, before = as_polars(copy.value), found[-1] if found else None
            arrived = (
                copy.batch.arrived_at if copy.batch.head else arrival(self.feed.terms.plan, default_engine(), frame, copy.partition, before)
            )
            found.append(Clean(frame, arrived, copy.partition, str(copy.partition), before))
        return found

    def related(self) -> dict[str, Any]:
        """What rules read beside a batch: all that was copied of the other objects."""
        return {other.terms.attached.object.name: _whole(other) for other in self.others if other.copies}


def _whole(feed: Feed) -> Any:
    values = [copy.value for copy in feed.copies]
    return lambda: values[0] if len(values) == 1 else joined(values)


def subject_of(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int) -> Subject:
    """Copies of the newest `last` good batches of an asset. Raises UsageError where there is none that can be read, and says why."""
    site = site_of(defs)
    feed = _feed(defs, instance, asset, last)
    if not feed.copies:
        raise UsageError(f"no partition of {asset} has been judged good; run `dagster-contracts baseline {asset}`, or materialize it")
    contract = feed.terms.attached.contract.id
    family = [key for key, each in site.terms.items() if each.attached.contract.id == contract and key != asset]
    copied = [
        _feed(defs, instance, key, last) if _reads(feed.terms, site.terms[key]) else _bare(defs, site, instance, key) for key in family
    ]
    return Subject(feed, copied, list(_readers(site, asset)), site.environment)


def _reads(terms: Terms, other: Terms) -> bool:
    return any(reads_object(metric, other.attached.object.name) for metric in terms.plan.metrics)


def _feed(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int) -> Feed:
    bare = _bare(defs, site_of(defs), instance, asset)
    return Feed(bare.terms, bare.partitions, [Copy(batch, value) for batch, value in good_batches(defs, instance, asset, last)])


def _bare(defs: dg.Definitions, site: Site, instance: dg.DagsterInstance, asset: str) -> Feed:
    key = dg.AssetKey.from_user_string(asset)
    made = next(item for item in iterate_assets(defs.assets) if key in item.keys)
    return Feed(site.in_force(instance, [asset])[asset], made.specs_by_key[key].partitions_def, [])


def _readers(site: Site, asset: str) -> Iterator[Reader]:
    """Of those that are defined here, and those that the contract names, one of each confidence: they are gated alike. One that reads by
    itself is gated as one that accepts only fresh data."""
    policy = site.terms[asset].policy
    silent = {consumer for consumer, upstream in silent_readers(site, iterate_assets(site.given.assets)) if upstream == asset}
    here = {name for name, parents in site.parents.items() if asset in parents and name not in site.terms}
    names = sorted(here) + [name for name in policy.consumers if name not in site.parents]
    found = [Reader(name, Confidence.FULL if name in silent else _accepts(site, name, asset)) for name in names]
    for accepts in Confidence:
        yield from [reader for reader in found if reader.accepts is accepts][:1]
    if not found:
        yield Reader(ANYBODY, policy.fallback.accepts)


def _accepts(site: Site, name: str, asset: str) -> Confidence:
    return site.accepts([name], asset) or site.terms[asset].policy.accepts(name)


def like(value: Any, frame: Any) -> Any:
    """A damaged Polars frame as the project would have delivered it: in pandas where `value` is of pandas."""
    from dagster_contracts.chaos.elsewhere import as_pandas

    return as_pandas(frame, value) if kind_of(type(value)) == "pandas" else frame


def governed(site: Site, wanted: Iterable[str]) -> list[str]:
    """The assets to be drilled: those that are `wanted`, or all. Raises UsageError for one that no contract governs."""
    named = list(wanted)
    if unknown := next((name for name in named if name not in site.terms), None):
        raise UsageError(f'no contract governs "{unknown}"; governed assets: {", ".join(sorted(site.terms))}')
    return named or sorted(site.terms)
