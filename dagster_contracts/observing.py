"""Data that nobody here makes: judged where it stands, each time that somebody looks at it.

observe    what stands in a place now; found unchanged, it is the same batch and counts once
settle     a probe: some rows first, which can only show that the data is bad still; then all of it, before anybody reads it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dagster_contracts import telemetry
from dagster_contracts.core.ledger import OBSERVED, Batch, Partition, Status, batch_id
from dagster_contracts.core.sampling import OfSample
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Probe, Terms
from dagster_contracts.measuring import Taken, take


def observe(gate: Gate, terms: Terms, place: Partition, *, run_id: str, version: str | None, read: Callable[[], object]) -> Judgement:
    """Judge what stands in a place. `version` is what the observer calls it; None: it is told by what is measured.

    A version that has its verdict is not read again, and what a person has dismissed stays so while it stands there. Raises what `read`
    raises: nothing is recorded then.
    """
    delivery = Delivery(place, run_id, OBSERVED, data_version=version, in_place=True)
    newest = _newest(gate, terms, place)
    if (known := _judged_already(gate, terms, delivery, newest)) is not None:
        return known
    taken = gate.measured(terms, place, read())
    delivery = _named(terms, delivery, taken, newest)
    if newest is not None and newest.status is Status.DISCARDED and (known := _judged_already(gate, terms, delivery, newest)) is not None:
        return known
    return _judged(gate, terms, delivery, taken)


@telemetry.observed("judge", lambda gate, terms, *_: terms.asset, lambda done: telemetry.of_verdict(done.batch))
def _judged(gate: Gate, terms: Terms, delivery: Delivery, taken: Taken) -> Judgement:
    return _written(gate, gate.recorded(terms, delivery, taken))


@telemetry.observed("probe", lambda gate, terms, *_: terms.asset, lambda done: telemetry.of_probe(done.batch, str(done.probe)))
def settle(gate: Gate, terms: Terms, probe: Probe, data: object) -> Judgement:
    """Settle a probe with what stands in the place of its batch now.

    A sample of `halfOpen.sample` rows is judged first. Where it breaks a rule the breaker opens again; else all of the data is judged, and
    only that closes the breaker.
    """
    place = probe.batch.partition
    if (some := _sample(gate, terms, probe, data)) is not None:
        verdict = some.verdict(place, as_of=probe.batch.arrived_at, head=probe.batch.head)
        if verdict.outcome is Outcome.FAIL:
            return gate.settled(terms, probe, some)
    taken = gate.measured(terms, place, data)
    delivery = Delivery(place, probe.batch.run_id, OBSERVED, in_place=True)
    found = _named(terms, delivery, taken, _newest(gate, terms, place))
    return _written(gate, gate.recorded(terms, found, taken, under=probe))


def _sample(gate: Gate, terms: Terms, probe: Probe, data: object) -> Taken | None:
    """Some rows of the data, measured; other rows at each probe."""
    if terms.plan.files:
        return None
    found = gate.sampled(data, terms.policy.sample_rows, probe.breaker.generation)
    if found is None:
        return None
    of = OfSample(terms.plan, found.rows, found.total)
    return replace(take(gate.engine, of.refutable(), terms.policy, found.data), of=of)


def _newest(gate: Gate, terms: Terms, place: Partition) -> Batch | None:
    """What was found in the place last."""
    return next(iter(gate.store.batches(asset=terms.asset, partition=place.key, limit=1)), None)


def _judged_already(gate: Gate, terms: Terms, delivery: Delivery, newest: Batch | None) -> Judgement | None:
    """What was said of this version, where there is nothing to add: it stands there still, and has its verdict under the present contract.
    One that is held may be published by now."""
    if newest is None or newest.verdict is None or newest.contract_version != terms.version:
        return None
    ended = newest.status in (Status.PUBLISHED, Status.QUARANTINED, Status.DISCARDED)
    if delivery.data_version is None or newest.id != _id(terms, delivery, delivery.data_version) or not ended:
        return None
    breaker = next(iter(gate.store.breakers([newest.breaker_key])), None)
    return None if breaker is None else Judgement(newest.verdict, newest, breaker)


def _named(terms: Terms, delivery: Delivery, taken: Taken, newest: Batch | None) -> Delivery:
    """Without a version of its own, what measures as what was found there last is that again, whatever it was called then."""
    if delivery.data_version is not None or newest is None or newest.verdict is None or newest.contract_version != terms.version:
        return delivery
    is_it = newest.verdict.digest == taken.digest and newest.id == _id(terms, delivery, newest.data_version)
    return replace(delivery, data_version=newest.data_version) if is_it else delivery


def _id(terms: Terms, delivery: Delivery, version: str) -> str:
    return batch_id(terms.asset, delivery.partition, OBSERVED, version)


def _written(gate: Gate, judgement: Judgement) -> Judgement:
    """It stands in its place already."""
    if judgement.publish:
        gate.published(judgement.batch, None)
    return judgement
