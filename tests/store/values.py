"""Small values for the store's tests: everything has a default, tests name what they are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.events import Draft, Event, EventType, number
from dagster_contracts.core.ledger import (
    UNPARTITIONED,
    Batch,
    Output,
    OutputStatus,
    Partition,
    Review,
    ReviewStatus,
    Route,
    RouteKind,
    Status,
)
from dagster_contracts.core.state import Breaker, State, Transition
from dagster_contracts.core.verdict import Outcome

T0 = datetime(2026, 11, 1, 6, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)


def day(number: int, **dimensions: str) -> Partition:
    """The `number`th day of November 2026, with other dimensions if any."""
    start = datetime(2026, 11, number, tzinfo=UTC)
    key = "|".join([start.date().isoformat(), *dimensions.values()])
    return Partition(key, start, start + DAY, tuple(sorted(dimensions.items())))


def breaker(key: str = "feed", **fields: object) -> Breaker:
    return replace(Breaker(key, BreakerPolicy(), "1.0.0"), **fields)  # type: ignore[arg-type]


def batch(id: str, partition: Partition = UNPARTITIONED, status: Status = Status.PUBLISHED, **fields: object) -> Batch:
    made = Batch(
        id=id,
        asset="feed",
        breaker_key="feed",
        partition=partition,
        data_version="v1",
        run_id="run",
        contract_id="contract",
        contract_version="1.0.0",
        outcome=Outcome.FAIL if status is Status.QUARANTINED else Outcome.PASS,
        status=status,
        arrived_at=T0,
        updated_at=T0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def output(id: str, status: OutputStatus = OutputStatus.OK, partition: Partition = UNPARTITIONED, **fields: object) -> Output:
    made = Output(id=id, asset="scores", partition=partition, run_id="run", status=status, confidence=Confidence.FULL, inputs=(), at=T0)
    return replace(made, **fields)  # type: ignore[arg-type]


def review(id: str, status: ReviewStatus = ReviewStatus.PENDING) -> Review:
    return Review(id, "scores", UNPARTITIONED, status, T0)


def route(upstream: str = "feed", requested: Partition = UNPARTITIONED, kind: RouteKind = RouteKind.FRESH, **fields: object) -> Route:
    return replace(Route(upstream, requested, kind, Confidence.FULL), **fields)  # type: ignore[arg-type]


def transition(key: str = "feed", generation: int = 1, **fields: object) -> Transition:
    made = Transition(key, State.CLOSED, State.OPEN, "a batch failed", T0, generation)
    return replace(made, **fields)  # type: ignore[arg-type]


def numbered(of: Breaker, *messages: str) -> tuple[Breaker, tuple[Event, ...]]:
    """The breaker with one event per message."""
    return number(of, [Draft(EventType.BATCH_PUBLISHED, message, {"message": message}) for message in messages], T0)
