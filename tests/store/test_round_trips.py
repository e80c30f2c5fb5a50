"""What comes back is what was put in, whatever it holds."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.contract import BreakerPolicy, Clause, Confidence, Fallback, Severity, Window
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import (
    Batch,
    Output,
    OutputStatus,
    Partition,
    Release,
    Review,
    ReviewStatus,
    Route,
    RouteKind,
    Status,
    StepKey,
)
from dagster_contracts.core.plan import NotExecuted
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, Counted, Lease, Overdue, Override, OverrideKind, State, Transition
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.ports import Store
from dagster_contracts.store.rows import from_json, to_json
from tests.store.values import T0, batch, breaker, day, output

_numbers = itertools.count()

# Keys and ids: what PostgreSQL takes as text. Prose, which may quote data: anything.
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
prose = st.text(st.characters(exclude_categories=[]), max_size=8)
counts = st.integers(0, 2**53)
instants = st.datetimes(datetime(1950, 1, 1), datetime(2250, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
durations = st.timedeltas(timedelta(0), timedelta(days=10_000))
finite = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | prose,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(prose, inner, max_size=3),
)
objects = st.dictionaries(prose, documents, max_size=3)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


def perhaps(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | of


policies = st.builds(
    BreakerPolicy,
    max_staleness=perhaps(durations),
    trip_on=st.frozensets(st.sampled_from(Severity)),
    failures=counts,
    failure_rate_threshold=perhaps(finite),
    window=st.builds(Window, batches=perhaps(counts), duration=perhaps(durations)),
    cooldown=durations,
    backoff_multiplier=finite,
    backoff_maximum=durations,
    lease=durations,
    scope=keys,
    maximum_failing_share=st.none() | st.floats(0.001, 1),
    admit_inconclusive=st.booleans(),
    consumers=st.dictionaries(keys, st.sampled_from(Fallback), max_size=3),
)
breakers = st.builds(
    Breaker,
    key=keys.map(lambda key: f"{next(_numbers)}{key}"),
    policy=policies,
    contract_version=keys,
    state=st.sampled_from(State),
    generation=counts,
    since=perhaps(instants),
    opened_at=perhaps(instants),
    cause=prose,
    findings=tuples(prose),
    failed_rules=st.frozensets(prose, max_size=3),
    window=tuples(st.builds(Counted, prose, instants, st.booleans())),
    reopened=counts,
    retry_at=perhaps(instants),
    lease=perhaps(st.builds(Lease, prose, prose, prose, counts, instants)),
    probed=tuples(prose),
    passed=tuples(prose),
    override=perhaps(st.builds(Override, st.sampled_from(OverrideKind), prose, prose, instants, perhaps(instants))),
    overdue=tuples(st.builds(Overdue, prose, instants, instants, st.booleans())),
    event_sequence=counts,
    contents=tuples(keys),
)
transitions = st.builds(
    Transition,
    key=keys.map(lambda key: f"{next(_numbers)}{key}"),
    from_state=st.sampled_from(State),
    to_state=st.sampled_from(State),
    cause=prose,
    at=instants,
    generation=counts,
    batch_id=perhaps(keys),
    actor=perhaps(keys),
    shadow=st.booleans(),
)
partitions = st.builds(
    Partition, key=perhaps(keys), start=perhaps(instants), end=perhaps(instants), dimensions=tuples(st.tuples(prose, prose))
)
findings = st.builds(
    Finding,
    rule=prose,
    clause=st.sampled_from(Clause),
    column=perhaps(prose),
    severity=st.sampled_from(Severity),
    outcome=st.sampled_from(Outcome),
    observed=prose,
    expected=prose,
    failing_rows=perhaps(counts),
    sample=tuples(objects),
)
verdicts = st.builds(
    Verdict,
    outcome=st.sampled_from(Outcome),
    contract_id=prose,
    contract_version=prose,
    rows=perhaps(counts),
    findings=tuples(findings),
    not_executed=tuples(st.builds(NotExecuted, prose, prose)),
    digest=prose,
)
batches = st.builds(
    Batch,
    id=keys.map(lambda key: f"{next(_numbers)}{key}"),
    asset=keys,
    breaker_key=keys,
    partition=partitions,
    data_version=keys,
    run_id=keys,
    contract_id=keys,
    contract_version=keys,
    outcome=st.sampled_from(Outcome),
    status=st.sampled_from(Status),
    arrived_at=instants,
    updated_at=instants,
    confidence=st.sampled_from(Confidence),
    head=st.booleans(),
    counted=st.booleans(),
    staged=perhaps(keys),
    storage_version=perhaps(keys),
    released=perhaps(st.builds(Release, prose, prose, instants)),
    note=prose,
    verdict=perhaps(verdicts),
    sequence=st.integers(1, 2**53),
)
routes = st.builds(
    Route,
    upstream=keys,
    requested=partitions,
    kind=st.sampled_from(RouteKind),
    confidence=perhaps(st.sampled_from(Confidence)),
    served=perhaps(partitions),
    reason=prose,
    since=perhaps(instants),
    findings=tuples(prose),
)
outputs = st.builds(
    Output,
    id=keys.map(lambda key: f"{next(_numbers)}{key}"),
    asset=keys,
    partition=partitions,
    run_id=keys,
    status=st.sampled_from(OutputStatus),
    confidence=perhaps(st.sampled_from(Confidence)),
    inputs=tuples(routes),
    at=instants,
    ended_at=perhaps(instants),
)
reviews = st.builds(
    Review,
    id=keys.map(lambda key: f"{next(_numbers)}{key}"),
    asset=keys,
    partition=partitions,
    status=st.sampled_from(ReviewStatus),
    opened_at=instants,
    reason=prose,
    actor=perhaps(keys),
    decided_at=perhaps(instants),
)
events = st.builds(
    Event,
    key=keys.map(lambda key: f"{next(_numbers)}{key}"),
    sequence=counts,
    type=st.sampled_from(EventType),
    at=instants,
    message=prose,
    payload=objects,
)

many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@many
@given(breaker=breakers)
def test_breakers(store: Store, breaker: Breaker) -> None:
    store.save(Change(breaker=breaker))
    stored = replace(breaker, version=1)
    assert store.load(breaker.key, asset="feed", partition=day(1)).breaker == stored
    store.save(Change(breaker=stored))
    assert list(store.breakers([breaker.key])) == [replace(breaker, version=2)]


@many
@given(transition=transitions)
def test_transitions(store: Store, transition: Transition) -> None:
    store.save(Change(transitions=(transition,)))
    assert list(store.transitions(transition.key)) == [transition]


@many
@given(batch=batches)
def test_batches(store: Store, batch: Batch) -> None:
    store.save(Change(batches=(batch,)))
    assert store.batch(batch.id) == batch
    assert store.load("feed", asset="feed", partition=batch.partition, batch_id=batch.id).batch == batch


@many
@given(output=outputs, review=reviews)
def test_outputs_and_reviews(store: Store, output: Output, review: Review) -> None:
    store.save(Change(outputs=(output,), reviews=(review,)))
    assert store.outputs(limit=1)[0] == output
    assert store.reviews(limit=1)[0] == review


@many
@given(event=events)
def test_events(store: Store, event: Event) -> None:
    store.save(Change(events=(event,)))
    assert event in store.events(event.key, after=event.sequence - 1)


@many
@given(route=routes, step=st.builds(StepKey, keys, keys, counts), consumer=keys)
def test_routes(store: Store, route: Route, step: StepKey, consumer: str) -> None:
    step = replace(step, run_id=f"{next(_numbers)}{step.run_id}")
    assert store.decide(step, consumer, route) == route
    assert store.decided(step, route.upstream, route.requested.key) == route


def test_types_come_back_too(store: Store) -> None:
    """Equality would not tell a text from the enum of that value, nor one UTC from another."""
    store.save(Change(breaker=breaker(since=T0, lease=Lease("l", "h", "b", 1, T0)), batches=(batch("b", day(1)),), outputs=(output("o"),)))
    snapshot = store.load("feed", asset="feed", partition=day(1))
    assert snapshot.breaker is not None
    assert snapshot.published is not None
    assert type(snapshot.breaker.state) is State
    assert type(snapshot.breaker.policy.fallback) is Fallback
    assert {type(severity) for severity in snapshot.breaker.policy.trip_on} == {Severity}
    assert type(snapshot.breaker.policy.trip_on) is frozenset
    assert type(snapshot.published.outcome) is Outcome
    assert type(snapshot.published.head) is bool
    instants = [snapshot.breaker.since, snapshot.breaker.lease and snapshot.breaker.lease.expires_at, snapshot.published.arrived_at]
    assert [instant and instant.tzinfo for instant in instants] == [UTC] * 3


def test_a_time_of_another_zone_is_the_same_instant(store: Store) -> None:
    elsewhere = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))
    store.save(Change(batches=(batch("b", arrived_at=elsewhere),)))
    found = store.batch("b")
    assert found is not None
    assert found.arrived_at == T0


def test_documents_keep_what_json_has_no_form_for_as_text() -> None:
    assert to_json({"a": Decimal("1.50"), 2: date(2026, 1, 1), "c": (b"x", {1.5})}) == {
        "a": "1.50",
        "2": "2026-01-01",
        "c": ["b'x'", "{1.5}"],
    }
    assert to_json([math.nan, math.inf]) == ["nan", "inf"]
    assert from_json(float, to_json(-math.inf)) == -math.inf


def test_documents_of_a_newer_version_are_read_without_their_unknown_fields() -> None:
    document = to_json(Window(batches=3)) | {"invented": "later"}
    assert from_json(Window, document) == Window(batches=3)
    del document["duration"]  # and one of an older version, without a field that has a default
    assert from_json(Window, document) == Window(batches=3)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware times only"):
        to_json(datetime(2026, 1, 1))  # noqa: DTZ001
