"""A place of its own for one exercise, with nothing of production in it: stand-ins for the feed and its readers under the same contract,
a Dagster instance in memory, breakers in a SQLite file, values in a folder, and a clock that stands where it is set.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from dagster_contracts import recovery, telemetry
from dagster_contracts.core.breaker import next_probe_at
from dagster_contracts.core.ledger import Batch, Output, Partition
from dagster_contracts.core.state import Breaker
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operations
from dagster_contracts.plugin.drill.subjects import Feed, Subject
from dagster_contracts.plugin.private import rebuilding
from dagster_contracts.plugin.resource import BreakerResource
from dagster_contracts.plugin.site import site_of
from dagster_contracts.ports import FixedClock

_QUIET = {"python_logs": {"python_log_level": "CRITICAL"}}
_MOMENT = timedelta(seconds=1)


@dataclass
class Sandbox:
    """What happens in it happens in real runs of real jobs. `delivered` is what each feed delivers next, with its version; `read` what each
    reader was given last."""

    subject: Subject
    defs: dg.Definitions
    instance: dg.DagsterInstance
    clock: FixedClock
    delivered: dict[str, tuple[Any, str]]
    read: dict[str, Any]
    deliveries: int = field(default=0)

    @property
    def gate(self) -> Gate:
        return site_of(self.defs).gate(self.instance)

    def deliver(self, asset: str, place: Partition, value: Any, at: datetime | None = None) -> Batch:
        """One delivery of a feed: what became of it. `at` None, or before what happened already: a moment later."""
        self.clock.at = at if at is not None and at > self.clock.at else self.clock.at + _MOMENT
        self.deliveries += 1
        self.delivered[asset] = (value, f"drill-{self.deliveries}")
        self._run([asset], place)
        return self.gate.store.batches(asset=asset, partition=place.key, limit=1)[0]

    def consume(self, place: Partition) -> None:
        """All readers, for one partition of the feed, in a run of their own."""
        self.read.clear()
        self._run([reader.asset for reader in self.subject.readers], place)

    def output(self, reader: str, place: Partition) -> Output | None:
        return self.gate.store.output(reader, place.key)

    def breaker(self, key: str) -> Breaker | None:
        return next(iter(self.gate.store.breakers([key])), None)

    def probe(self, breaker: Breaker) -> None:
        """Once its cooldown is over."""
        self.clock.at = max(next_probe_at(breaker, self.clock.at) or self.clock.at, self.clock.at)
        operations.probe(self.defs, self.instance, breaker.key, holder="drill")

    def settle(self) -> None:
        """What waits and may go on is published; what was made from fallback data is made anew."""
        for due in recovery.due_releases(self.gate, [self.subject.asset]):
            operations.run_release(self.defs, self.instance, due.batch)
        operations.heal(self.defs, self.instance, None, lambda _: None)

    def _run(self, assets: list[str], place: Partition) -> None:
        job = rebuilding.job_of(self.defs, {dg.AssetKey.from_user_string(name) for name in assets})
        job.execute_in_process(instance=self.instance, partition_key=place.key, raise_on_error=False)


@contextmanager
def sandbox(subject: Subject, directory: str | None, now: datetime) -> Iterator[Sandbox]:
    """`directory` is where its folder is made (None: where the system keeps temporary files), which is deleted afterwards."""
    with (
        TemporaryDirectory(prefix="contracts-drill-", dir=directory) as folder,
        telemetry.muted(),
        dg.DagsterInstance.ephemeral(tempdir=folder, settings=_QUIET) as instance,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", category=dg.BetaWarning)  # data versions are a beta: each delivery has one here
        clock = FixedClock(now)  # waivers are read as of today
        delivered: dict[str, tuple[Any, str]] = {}
        read: dict[str, Any] = {}
        made = _definitions(subject, Path(folder), clock, delivered, read)
        for feed in (subject.feed, *subject.others):
            _add_dynamic(instance, feed)
        clock.at = datetime.fromtimestamp(0, UTC)
        yield Sandbox(subject, made, instance, clock, delivered, read)


def _definitions(
    subject: Subject, folder: Path, clock: FixedClock, delivered: Mapping[str, tuple[Any, str]], read: dict[str, Any]
) -> dg.Definitions:
    from dagster_contracts.plugin.definitions import with_contracts

    feeds = [_feed(each, delivered) for each in (subject.feed, *subject.others)]
    readers = [_reader(reader.asset, str(reader.accepts), subject.feed, read) for reader in subject.readers]
    return with_contracts(
        dg.Definitions(assets=[*feeds, *readers], resources={"io_manager": dg.FilesystemIOManager(base_dir=str(folder / "data"))}),
        contracts=[subject.feed.terms.attached.contract],
        breakers=BreakerResource(url=f"sqlite:///{folder / 'contracts.db'}"),
        clock=clock,
        environment=subject.environment,
    )


def _feed(feed: Feed, delivered: Mapping[str, tuple[Any, str]]) -> dg.AssetsDefinition:
    name = feed.terms.asset

    @dg.asset(key=dg.AssetKey.from_user_string(name), partitions_def=feed.partitions)
    def stand_in() -> Any:
        value, version = delivered[name]
        return dg.Output(value, data_version=dg.DataVersion(version))

    return stand_in


def _reader(name: str, accepts: str, feed: Feed, read: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey.from_user_string(name),
        partitions_def=feed.partitions,
        ins={"given": dg.AssetIn(dg.AssetKey.from_user_string(feed.terms.asset))},
        metadata={"contracts/accepts": accepts},
    )
    def stand_in(given: Any) -> str:
        read[name] = given
        return name

    return stand_in


def _add_dynamic(instance: dg.DagsterInstance, feed: Feed) -> None:
    """Partitions that exist only because an instance knows them."""
    for copy in feed.copies:
        for definition, key in _parts(feed.partitions, copy.partition.key):
            if isinstance(definition, dg.DynamicPartitionsDefinition) and definition.name is not None:
                instance.add_dynamic_partitions(definition.name, [key])


def _parts(definition: dg.PartitionsDefinition | None, key: str | None) -> list[tuple[dg.PartitionsDefinition, str]]:
    if definition is None or key is None:
        return []
    if isinstance(definition, dg.MultiPartitionsDefinition):
        values = definition.get_partition_key_from_str(key).keys_by_dimension
        return [(each.partitions_def, values[each.name]) for each in definition.partitions_defs]
    return [(definition, key)]
