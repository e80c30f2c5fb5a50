"""What the gate needs of the outside world. Adapters implement these; nothing here does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, runtime_checkable

from dagster_contracts.core.deliveries import Quiet
from dagster_contracts.core.downstream import Reader
from dagster_contracts.core.errors import Problem
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, Partition, Review, Route, StepKey
from dagster_contracts.core.metrics import Metric, ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.registry import Entry, Published, Registered, Submission, Use
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.snapshot import Change, Grounds, Incident, Pile, Snapshot, Standing
from dagster_contracts.core.state import Breaker, Transition
from dagster_contracts.core.verdict import Arrival, Measurement, Sample, Unmeasured
from dagster_contracts.core.windows import Part

T = TypeVar("T")


class Clock(Protocol):
    """`now`, aware UTC. The store asks once per transaction; `None` means: use the database's own clock."""

    def now(self) -> datetime | None:
        """The time; None: the database's."""
        ...


@dataclass(frozen=True, slots=True)
class StoreClock:
    """The database's clock decides: workers' clocks may be wrong."""

    def now(self) -> None:
        return None


@dataclass(slots=True)
class FixedClock:
    """Time stands where it is set: for demonstrations and tests."""

    at: datetime

    def now(self) -> datetime:
        """`at`, until somebody sets it."""
        return self.at


Related = Mapping[str, Callable[[], object]]  # other objects of the contract, by name, loaded when a relationship asks for them
NO_OTHERS: Related = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FileSet:
    """Data of which each file is a row, as the contract says (`physicalType: files`): the files are measured, not what stands in them.

    `place` is what the asset gave: the path of a folder or file, a list of paths, an s3:// address. Anything else (a table of files
    that somebody measured already) is taken as it is.
    """

    place: object


@dataclass(frozen=True, slots=True)
class Division:
    """A batch in two: `kept`, and the `rows` rows of `refused`, which has one column more, REASONS: the ids of the rules each row breaks.

    Both are frames of the kind that was divided.
    """

    kept: object
    refused: object
    rows: int


REASONS = "contract_rules_broken"


@dataclass(frozen=True, slots=True)
class Sampled:
    """Some rows of data, chosen at random: `rows` of `total`. `draws`: they lie in so many stretches, each drawn as a whole; None: each
    row was drawn by itself."""

    data: object
    rows: int
    total: int
    draws: int | None = None


Sampler = Callable[[object, int, int], Sampled | None]  # data, rows at most, seed; None where it has no more rows, or cannot be sampled


def not_sampled(data: object, rows: int, seed: int) -> None:
    """The sampler that takes none: data is judged as a whole."""


class MetricEngine(Protocol):
    """Measures; never compares with a threshold, never changes the caller's data, never raises for data it cannot measure."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """Rows, columns and every metric. What cannot be measured is Unmeasured: a metric alone, or data that cannot be read as a whole."""
        ...

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        """Up to `limit` failing rows and most frequent failing values of each metric. A metric that yields none has no entry."""
        ...

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        """Part the rows that break a rule (id -> metric) from those that break none; None where rows cannot be told apart."""
        ...


NO_CHANGE = Change()


@dataclass(frozen=True, slots=True)
class Tripped:
    """Of a breaker that is not closed, what says whether it may be due for a probe."""

    key: str
    contract_version: str
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One partition of an asset, and the key of the breaker that counts for it."""

    key: str
    asset: str
    partition: Partition


@dataclass(frozen=True, slots=True)
class Watched:
    """An asset whose deliveries are promised: its breakers are of this `scope` ("asset", or a dimension)."""

    asset: str
    scope: str
    quiet: Quiet


class BreakerStore(Protocol):
    """Breakers with their history, ledger and outbox. Raises StoreUnavailable, LostRace or SchemaOutOfDate; reading never writes."""

    def load(self, key: str, *, asset: str, partition: Partition, batch_id: str | None = None) -> Snapshot:
        """One consistent view of a breaker and what bears on one partition of its asset."""
        ...

    def save(self, change: Change) -> None:
        """Write a change in one transaction; compare-and-set where it has a breaker."""
        ...

    def transact(
        self, key: str, decide: Callable[[Snapshot], tuple[Change, T]], *, asset: str, partition: Partition, batch_id: str | None = None
    ) -> T:
        """Load, decide and save while nobody else changes the breaker `key` or the partition. For breakers that are fought over.

        `decide` computes, and asks this store at most: others wait for it. Nothing is written where its change is empty, or it raises.
        """
        ...

    def grounds(self, key: str, *, asset: str, partition: Partition, step: StepKey | None = None) -> Grounds:
        """All that a route to one partition of an upstream is decided by, in one view. Without a `step`, no decision is looked up."""
        ...

    def grounds_of(self, asked: Sequence[Asked]) -> Sequence[Grounds]:
        """The grounds for each, by a constant number of questions: they are not of one moment, and without last good data and verdicts."""
        ...

    def now(self) -> datetime: ...

    def breakers(self, keys: Sequence[str] | None = None, *, asset: str | None = None) -> Sequence[Breaker]:
        """All breakers (or those named, or those of an asset in any scope), by key."""
        ...

    def tripped(self) -> Sequence[Tripped]:
        """All breakers that are not closed, in short."""
        ...

    def transitions(self, key: str, limit: int = 100) -> Sequence[Transition]:
        """Newest first."""
        ...


class Ledger(Protocol):
    """What is remembered beside the breakers."""

    def batch(self, batch_id: str) -> Batch | None: ...

    def batches(
        self, *, asset: str | None = None, partition: str | None = None, statuses: Sequence[str] = (), limit: int = 1000
    ) -> Sequence[Batch]:
        """Newest arrival first. `partition` is a key."""
        ...

    def piles(self, asset: str | None = None, limit: int = 1000) -> Sequence[Pile]:
        """All batches (of an asset) that are held, quarantined or publishing: counted, and at most `limit` of them listed.

        One of each pile is listed whatever the limit, then the second of each, and so on: none hides another. Newest arrival first.
        """
        ...

    def good_before(self, asset: str, partition: Partition, limit: int) -> Sequence[Batch]:
        """What may be last good for `partition`: of earlier time windows with the same other dimensions, newest window first, without
        verdicts. None for a partition without time."""
        ...

    def candidates(self, versions: Mapping[str, str], probed: Sequence[str]) -> Sequence[Batch]:
        """For each of these breakers the stored batch that its next probe would judge, if any, without its verdict: the newest data that
        was head when it arrived, is of full confidence, and is none of `probed` (ids). What was last judged before the breaker opened says
        nothing of what came since, unless the contract is another now: `versions` is the one to judge by, by breaker key."""
        ...

    def releasable(self, limit: int = 1000) -> Sequence[Batch]:
        """Stored batches that a person has released, and held ones that passed and whose breaker is closed, or overridden (which may
        be over). Oldest arrival first; without their verdicts."""
        ...

    def places(self, asset: str, start: str, end: str, *, statuses: Sequence[str] = (), limit: int = 1000) -> Sequence[str]:
        """Partition keys of an asset's recorded batches from `start` up to, and without, `end`, in byte order; each once."""
        ...

    def confirm(self, batch_ids: Sequence[str]) -> Sequence[str]:
        """Batches, each the only one of its partition, have gone on: those that are `publishing` still are published from here on.

        Returns the ids of those that are published now.
        """
        ...

    def parts(self, key: str, until: datetime | None = None) -> Sequence[Part]:
        """What is kept of the micro-batches of a breaker whose windows are over at `until` (None: now, by the store's clock), by window
        and then by batch id."""
        ...

    def drop_parts(self, key: str, ends_at: datetime) -> None:
        """The window that ends there has its verdict."""
        ...

    def arrivals(
        self, key: str, partition: Partition | None, *, before: int | None = None, accepted: bool = False, limit: int = 10
    ) -> Sequence[Arrival]:
        """When head batches of a breaker arrived, newest first; those of a sequence below `before`, if given, and with `accepted`
        of those alone that were judged PASS or WARN.

        With a `partition`, of its kind: the same other dimensions where it has a time window, else the same key.
        """
        ...

    def silent(self, watched: Sequence[Watched]) -> Sequence[tuple[str, Arrival]]:
        """Keys of breakers after whose latest delivery (of the newest 10 arrivals) something may be missing, with that delivery, by key.

        Breakers of another scope, and those of which no head batch has ever come, are none of them.
        """
        ...

    def profiles(
        self,
        reference: LastGood | GoodPartition,
        metric: ProfileOf,
        *,
        key: str,
        asset: str,
        partition: Partition,
        batch_id: str | None = None,
    ) -> Sequence[GoodProfile]:
        """The kept profiles that a batch of `partition` is compared with, newest first; its own (`batch_id`) is none of them.

        LastGood: of batches published on their own merit: those of earlier time windows in the scope of the breaker `key`; without a
        time window, those that arrived earlier in the same place, replaced since or not. GoodPartition: of what is published there.
        """
        ...

    def decide(self, step: StepKey, consumer: str, route: Route, change: Change = NO_CHANGE) -> Route:
        """Keep `route` as the decision for (step, upstream, requested partition), or return the one that is already kept.

        `change` is saved in the same transaction, where `route` is kept now. Raises LostRace as `save` does, and keeps nothing then.
        """
        ...

    def decided(self, step: StepKey, upstream: str, requested: str | None) -> Route | None: ...

    def decisions(self, step: StepKey) -> Sequence[Route]:
        """Everything this step attempt was given, in order of decision."""
        ...

    def output(self, asset: str, partition: str | None) -> Output | None:
        """The current output (ok, degraded, halted or withdrawn) of an asset's partition."""
        ...

    def outputs(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Output]:
        """Newest first."""
        ...

    def healable(self, assets: Sequence[str] | None = None, limit: int = 1000) -> Sequence[Output]:
        """Degraded, halted and withdrawn outputs (of these assets), newest first, but for those with an input that cannot be fresh: an
        upstream output that is one of them, a partition that is refused or has never come, live data under a breaker that is not closed."""
        ...

    def reviews(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Review]:
        """Newest first."""
        ...

    def standing(self, asset: str, partition: str | None = None) -> Standing:
        """How things stand with an asset, or one partition of it: at most 1,000 rows of a kind."""
        ...

    def given(self, consumer: str, at: datetime, requested: str | None = None) -> Sequence[Decision]:
        """What `consumer` had been given at a time by the latest step attempt of it that had decided anything (about a partition
        `requested` of an upstream), in order of decision."""
        ...

    def incident(self, key: str, number: int, limit: int = 1000) -> Incident:
        """What happened in an incident of a breaker, in order: of more than `limit` events the first half and the last, and how it
        closed."""
        ...

    def prune(self, kept: Retention, *, dry_run: bool = False) -> Pruned:
        """Delete what is over and older than `kept` says, in many short transactions; count it only with `dry_run`.

        Whatever its age stays: every batch that is not discarded, but for micro-batches and refused windows; of the discarded ones the
        newest of each partition; of both those that a breaker names in its window or among its probes, those that arrived before one
        that still waits, the newest 20 arrivals of each kind, and without a time window the newest 100 good ones that have profiles;
        present outputs; pending reviews; events that a sink was not told; what belongs to the present or latest incident of a breaker;
        the last transition of each breaker and the last decision of each consumer about an upstream. Verdicts of batches that wait stay
        with them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """How far a sink is behind: so many events, the oldest of them recorded at `oldest` (None where nothing waits)."""

    sink: str
    events: int
    oldest: datetime | None = None


class Outbox(Protocol):
    """Recorded events, and for each sink and breaker a cursor: the number of the last event that the sink has been told.

    A relay claims cursors under a lease, tells the sink, and moves them. Two relays never hold the same cursor; a lease that is not
    given back (its relay died) ends by itself, by the database's clock.
    """

    def events(self, key: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        """Recorded events of all breakers, or of the breaker `key` those numbered above `after`; oldest first."""
        ...

    def register(self, sinks: Sequence[str]) -> None:
        """Make the sinks known, in one transaction; nothing happens where no breaker exists yet.

        Where no sink was known before they begin at the first event; a sink that comes later begins, for each breaker, where the least
        advanced of the known ones stands.
        """
        ...

    def claim(self, sink: str, *, holder: str, lease: timedelta, keys: int = 100, limit: int = 500) -> Sequence[Event]:
        """Take the cursors of up to `keys` breakers that have events beyond them, and return those events: oldest first, of each
        breaker without gap from its cursor on, about `limit` in all. Those told longest ago come first.
        """
        ...

    def advance(self, sink: str, holder: str, cursors: Mapping[str, int]) -> None:
        """Move the claimed cursors (breaker key -> number of the last event told) and give them back. Those that are held by somebody
        else by now stay as they are.
        """
        ...

    def waiting(self) -> Sequence[Waiting]:
        """Every known sink by name, and how far it is behind."""
        ...

    def forget(self, sink: str) -> bool:
        """Drop a sink's cursors: nothing waits for it any more. Whether it was known."""
        ...


class Threads(Protocol):
    """What sinks remember of what they have said."""

    def thread(self, sink: str, incident: str) -> Mapping[str, Any] | None:
        """The JSON values that were kept last; None where nothing was."""
        ...

    def keep_thread(self, sink: str, incident: str, thread: Mapping[str, Any]) -> None: ...


class Store(BreakerStore, Ledger, Outbox, Threads, Protocol):
    """One database holds all three, so that one transaction can."""


class ContractRegistry(Protocol):
    """Registered versions of contracts. Raises StoreUnavailable or SchemaOutOfDate; reading never writes."""

    def get(self, contract_id: str, version: str) -> Registered | None: ...

    def in_force(self, contract_id: str, at: datetime | None = None) -> Registered | None:
        """The version that was registered last among those that bind (`status` is neither draft nor proposed) and are valid at a time;
        without one, now."""
        ...

    def entries(self, contract_id: str | None = None, *, limit: int = 1000) -> Sequence[Entry]:
        """Registered versions, newest first."""
        ...

    def latest(self, *, limit: int = 1000) -> Sequence[Entry]:
        """Of each contract the version that was registered last, by id."""
        ...

    def uses(self, contract_id: str | None = None, *, consumer: str | None = None, limit: int = 1000) -> Sequence[Use]:
        """Who consumes what, as the latest version of each contract says."""
        ...

    def edited(self, submissions: Sequence[Submission]) -> Sequence[Problem]:
        """Those among them whose version is registered with another content, which `publish` would refuse."""
        ...

    def publish(
        self, submissions: Sequence[Submission], *, author: str, consumers: Iterable[str] = (), accepted: str | None = None
    ) -> Published:
        """Register versions, all of them in one transaction or none; what is registered already with the same content stays as it is.

        `consumers` are further names that consumers may have; `accepted` is why versions that say too little are let in. Raises
        ContractInvalid with everything that is wrong (see core.registry.admit).
        """
        ...

    def add_consumers(self, names: Iterable[str], *, author: str) -> None:
        """Make names of consumers known; those that are known already stay as they are."""
        ...

    def consumers(self) -> Sequence[str]:
        """Every name that a consumer may have: registered ones, and assets that have a registered contract."""
        ...


class EventSink(Protocol):
    """One outside system that is told.

    `name` is how its cursors are kept: the same in every process, no other sink's. Making a sink connects to nothing.
    """

    @property
    def name(self) -> str:
        """How its cursors are kept."""
        ...

    def deliver(self, events: Sequence[Event]) -> None:
        """Tell the events of several breakers, those of one in the order given, within about half a minute. An event may come twice.

        Raises DeliveryFailed where not all could be told.
        """
        ...


@runtime_checkable
class StoreSink(Protocol):
    """A sink that looks into the store, to say more than events tell and to remember what it has said: made into one with `beside`."""

    @property
    def name(self) -> str: ...

    def beside(self, store: Store, readers: Sequence[Reader] = ()) -> EventSink:
        """The sink of one store. `readers` are the assets that are known to read others. Connects to nothing."""
        ...
