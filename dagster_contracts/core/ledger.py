"""What is remembered: batches and their fate, what each consumer was served, outputs and their confidence, reviews."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a batch stands. `key` is None for unpartitioned assets.

    `start` and `end` (aware UTC, end exclusive) are the time window where the partitions are over time; `dimensions` are the
    other dimensions of a multi-dimensional key, as sorted (name, value) pairs.
    """

    key: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    dimensions: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.key if self.key is not None else "(unpartitioned)"


UNPARTITIONED = Partition()


class Status(StrEnum):
    """Of a batch.

    quarantined: FAIL, set aside. held: PASS or WARN that arrived while the breaker was open, or INCONCLUSIVE. publishing: allowed
    into the live place, not yet confirmed there. published: in the live place. discarded: replaced by a later batch of its
    partition, or dismissed by a person.
    """

    QUARANTINED = "quarantined"
    HELD = "held"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    DISCARDED = "discarded"


IN_PLACE = "in place"  # for a fingerprint: what was refused stands in the live place, where no gated consumer reads it
OBSERVED = ""  # for a root run: nobody here has delivered it, it was found where it stands


@dataclass(frozen=True, slots=True)
class Release:
    """A named person lets a refused batch through."""

    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery of one partition, and what became of it.

    `id` names it: asset, partition (root run where unpartitioned), data version. The same delivery judged again is the same batch, and
    so is what is found unchanged where it stands. `staged` is the fingerprint under which a refused batch lies beside the live data,
    IN_PLACE where it stands in the live place itself, None where nothing is stored of it.
    """

    id: str
    asset: str
    breaker_key: str
    partition: Partition
    data_version: str
    run_id: str
    contract_id: str
    contract_version: str
    outcome: Outcome
    status: Status
    arrived_at: datetime
    updated_at: datetime
    confidence: Confidence = Confidence.FULL  # of what it was made from
    head: bool = True  # not older than the newest published partition when it arrived
    counted: bool = False  # entered the window or served as a probe
    staged: str | None = None
    storage_version: str | None = None
    released: Release | None = None
    note: str = ""
    verdict: Verdict | None = None
    sequence: int = 0  # order of arrival, given by the store

    @property
    def last_good(self) -> bool:
        """Whether it may be served as last good: published on its own merit, at full confidence."""
        return (
            self.status is Status.PUBLISHED
            and self.outcome in (Outcome.PASS, Outcome.WARN)
            and self.confidence is Confidence.FULL
            and self.released is None
        )


def batch_id(asset: str, partition: Partition, root_run_id: str, data_version: str) -> str:
    """The name of a delivery. `data_version` is the user's, else the digest of the measurement."""
    unpartitioned = f"run:{root_run_id}" if root_run_id != OBSERVED else "as observed"
    place = partition.key if partition.key is not None else unpartitioned
    return f"{asset}|{place}|{data_version}"


def place_of(name: str) -> str:
    """A batch id in words for people: "vendor/feed [2026-01-06]"."""
    asset, _, rest = name.partition("|")
    return f"{asset} [{rest.rpartition('|')[0]}]"


class RouteKind(StrEnum):
    """What a consumer was given for one partition of one upstream."""

    FRESH = "fresh"
    LAST_GOOD = "last_good"
    LOW_CONFIDENCE = "low_confidence"
    HALTED = "halted"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Route:
    """One decision for one partition of one upstream.

    `served` is the partition to read (None where halted, or unpartitioned); `staged` the fingerprint to read instead of the
    live place, and `outcome` the verdict on what lies there; `reason` a sentence for people.
    """

    upstream: str
    requested: Partition
    kind: RouteKind
    confidence: Confidence | None  # None where halted
    served: Partition | None = None
    batch_id: str | None = None
    staged: str | None = None
    breaker_key: str | None = None
    contract_version: str | None = None
    reason: str = ""
    since: datetime | None = None  # when the breaker opened
    retry_at: datetime | None = None
    findings: tuple[str, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class StepKey:
    """One attempt of one step of one run: the scope in which a route decision holds."""

    run_id: str
    step: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What one step attempt of `consumer` was given for one partition of one upstream, and when."""

    step: StepKey
    consumer: str
    route: Route
    decided_at: datetime


class OutputStatus(StrEnum):
    """Of a consumer's output. ok, degraded, halted and withdrawn are current; the others are history."""

    OK = "ok"
    DEGRADED = "degraded"
    HALTED = "halted"
    WITHDRAWN = "withdrawn"  # was made at low confidence, and a person rejected it: nobody reads it
    HEALED = "healed"  # was degraded, halted or withdrawn, computed again at full confidence
    SUPERSEDED = "superseded"
    DISMISSED = "dismissed"


FALLEN = (OutputStatus.DEGRADED, OutputStatus.HALTED, OutputStatus.WITHDRAWN)  # listed until they are made of fresh data


@dataclass(frozen=True, slots=True)
class Output:
    """What a consumer made of its inputs, for one partition. `confidence` is None where it was halted."""

    id: str
    asset: str
    partition: Partition
    run_id: str
    status: OutputStatus
    confidence: Confidence | None
    inputs: tuple[Route, ...]
    at: datetime
    ended_at: datetime | None = None  # when it was healed, superseded or dismissed


class ReviewStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"  # the output was computed again before anybody looked


@dataclass(frozen=True, slots=True)
class Review:
    """A low-confidence output that a person should look at. `id` is the output's.

    `reason` is why it is of low confidence; once a person has decided, why so.
    """

    id: str
    asset: str
    partition: Partition
    status: ReviewStatus
    opened_at: datetime
    reason: str = ""
    actor: str | None = None
    decided_at: datetime | None = None
