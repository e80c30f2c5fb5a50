"""Runs of several partitions: each is judged by itself, and all are published or none, for an IO manager takes all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from dagster_contracts import stored
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.ledger import Batch, Partition, Route, Status
from dagster_contracts.core.verdict import ACCEPTED, Outcome
from dagster_contracts.core.wording import counted
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.plugin import metadata
from dagster_contracts.plugin.outputs import Outputs, in_memory
from dagster_contracts.plugin.private import io_managers


def judged(outputs: Outputs, terms: Terms, places: Sequence[Partition], event: dg.Output[Any], routes: Sequence[Route]) -> Iterator[Any]:
    """An output of several partitions, as `Outputs.judged` is for one. Its value is a dict by partition, or the same for all."""
    seen = io_managers.version_in_place(
        outputs.running.step, event.output_name
    )  # before the verdict, so that what others write later stays
    held = in_memory(event)
    values = held.value if isinstance(held.value, dict) else {place.key: held.value for place in places}
    before = _published(outputs.running.gate, terms.asset, places)

    def judge(place: Partition) -> Judgement:
        return outputs.judge(terms, place, values.get(place.key), held, routes, divisible=False)

    judgements = [judge(place) for place in places]
    if _closed_since(judgements):
        judgements = [judgement if judgement.publish else judge(judgement.batch.partition) for judgement in judgements]
    for place, judgement in zip(places, judgements, strict=True):
        outputs.remember(terms, judgement, values.get(place.key))
    refused = [judgement for judgement in judgements if not judgement.publish]
    if refused:
        outputs.within.refused(refused)
        for judgement in judgements:
            if judgement.publish:
                stored.unwritten(outputs.running.gate, judgement.batch, before)
        yield from _refuse(outputs, terms, event.output_name, refused, len(places))
        return
    kept = held if held is event else metadata.with_value(held, held.value.to_reader())
    yield outputs.published(terms, kept, judgements, seen)
    yield from outputs.evaluations(terms, judgements)


def _closed_since(judgements: Sequence[Judgement]) -> bool:
    """Whether all that were kept back passed, under breakers that a later one of the range has closed: the last one was let in."""
    last = {judgement.batch.breaker_key: judgement for judgement in judgements}
    kept_back = [judgement for judgement in judgements if not judgement.publish]
    return all(judgement.verdict.outcome in ACCEPTED and last[judgement.batch.breaker_key].publish for judgement in kept_back)


def _refuse(outputs: Outputs, terms: Terms, output_name: str, refused: Sequence[Judgement], made: int) -> Iterator[Any]:
    unknown = all(judgement.batch.outcome is Outcome.INCONCLUSIVE for judgement in refused)  # reading it again may help
    if not unknown:
        outputs.running.no_run_retries()
    failure = dg.Failure(
        f"of {counted(made, 'partition')} of {terms.asset}, {metadata.kept_back(refused)}; nothing of this range run was published. "
        "Run the partitions one by one.",
        allow_retries=unknown,
    )
    alone = unknown or len(outputs.running.consumers) == 1
    yield from outputs.evaluations(terms, refused, close=not alone)
    if alone:
        raise failure
    outputs.refusal = outputs.refusal or failure  # raised once the others of this step have been judged
    outputs.kept_back.add(output_name)


def _published(gate: Gate, asset: str, places: Sequence[Partition]) -> list[Batch]:
    """What stands in the live place of these partitions, as far as the ledger can be asked."""
    try:
        return [
            batch
            for place in places
            for batch in gate.store.batches(asset=asset, partition=place.key, statuses=(Status.PUBLISHED,), limit=1)
        ]
    except StoreUnavailable:  # then nothing is recorded of these batches either
        return []
