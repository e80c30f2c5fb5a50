"""Data that nobody here makes: judged where it stands, each time that somebody looks at it.

observe    what stands in a place now; found unchanged, it is the same batch and counts once
settle     a probe: some rows first, which can only show that the data is bad still; then all of it, before anybody reads it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from dagster_contracts import probing, telemetry
from dagster_contracts.core.ledger import OBSERVED, Batch, Partition, Status, batch_id
from dagster_contracts.core.plan import Fresh, Retained
from dagster_contracts.core.sampling import OfSample
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Probe, Terms
from dagster_contracts.measuring import Taken, take


def observe(gate: Gate, terms: Terms, place: Partition, *, run_id: str, version: str | None, read: Callable[[], object]) -> Judgement:
    """Judge what stands in a place. `version` is what the observer calls it; None: it is told by what is measured.

    A version that has its verdict is not read again, and what a person has dismissed stays so while it stands there. What was fresh when it
    was found, and is too old by now, is judged once more, as another batch. Raises what `read` raises: nothing is recorded then.
    """
    delivery = Delivery(place, run_id, OBSERVED, data_version=version, in_place=True)
    newest = _newest(gate, terms, place)
    known = _judged_already(gate, terms, delivery, newest)
    if known is not None and not _has_aged(gate, terms, known.batch):
        return known
    taken = gate.measured(terms, place, read())
    delivery = _named(gate, terms, delivery, taken, newest)
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
            return probing.settled(gate, terms, probe, some)
    taken = gate.measured(terms, place, data)
    delivery = Delivery(place, probe.batch.run_id, OBSERVED, in_place=True)
    found = _named(gate, terms, delivery, taken, _newest(gate, terms, place))
    return _written(gate, gate.recorded(terms, found, taken, under=probe))


def _sample(gate: Gate, terms: Terms, probe: Probe, data: object) -> Taken | None:
    """Some rows of the data, measured; other rows at each probe."""
    if terms.plan.files:
        return None
    found = gate.sampled(data, terms.policy.sample_rows, probe.breaker.generation)
    if found is None:
        return None
    of = OfSample(terms.plan, found.rows, found.total, found.draws or found.rows)
    return replace(take(gate.engine, of.refutable(), terms.policy, found.data), of=of)


def _newest(gate: Gate, terms: Terms, place: Partition) -> Batch | None:
    """What was found in the place last."""
    return next(iter(gate.store.batches(asset=terms.asset, partition=place.key, limit=1)), None)


def _judged_already(gate: Gate, terms: Terms, delivery: Delivery, newest: Batch | None) -> Judgement | None:
    """What was said of this version, where there is nothing to add: it stands there still, and has its verdict under the present contract.
    One that is held may be published by now."""
    if newest is None or newest.verdict is None or not _is_again(terms, delivery, newest):
        return None
    if newest.status not in (Status.PUBLISHED, Status.QUARANTINED, Status.DISCARDED):
        return None
    breaker = next(iter(gate.store.breakers([newest.breaker_key])), None)
    return None if breaker is None else Judgement(newest.verdict, newest, breaker)


AGED = " (too old)"  # after the name of a version


def _is_again(terms: Terms, delivery: Delivery, newest: Batch) -> bool:
    """Whether what was found last is of the version that the observer names."""
    version = delivery.data_version
    names = () if version is None else (_id(terms, delivery, version), _id(terms, delivery, version + AGED))
    return newest.id in names and newest.contract_version == terms.version


def _named(gate: Gate, terms: Terms, delivery: Delivery, taken: Taken, newest: Batch | None) -> Delivery:
    """Under the name of what was found there last, where it is that again: without a version, where it measures as that does, whatever it
    was called then. What has aged since has a name of its own."""
    if newest is None or newest.verdict is None or newest.contract_version != terms.version:
        return delivery
    found = newest.id == _id(terms, delivery, newest.data_version)
    again = newest.verdict.digest == taken.digest if delivery.data_version is None else _is_again(terms, delivery, newest)
    if not (found and again):
        return delivery
    return replace(delivery, data_version=newest.data_version + (AGED if _has_aged(gate, terms, newest) else ""))


def _has_aged(gate: Gate, terms: Terms, known: Batch) -> bool:
    """Whether it kept a limit on its age when it was found, and does not any more. Of partitions that is not asked: whether the next one
    comes is a matter of service levels."""
    limits = {rule.id: rule.check.maximum_age for rule in terms.plan.rules if isinstance(rule.check, Fresh | Retained)}
    if known.verdict is None or known.partition.key is not None or not limits:
        return False
    waited = gate.store.now() - known.arrived_at
    kept = (each for each in known.verdict.findings if each.rule in limits and each.outcome is Outcome.PASS)
    return any(timedelta(seconds=each.value or 0) + waited > limits[each.rule] for each in kept)


def _id(terms: Terms, delivery: Delivery, version: str) -> str:
    return batch_id(terms.asset, delivery.partition, OBSERVED, version)


def _written(gate: Gate, judgement: Judgement) -> Judgement:
    """It stands in its place already."""
    if judgement.publish:
        gate.published(judgement.batch, None)
    return judgement
