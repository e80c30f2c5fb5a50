"""Runs that make nothing: a probe judges the newest stored batch under the one lease of its breaker, a release publishes a stored batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_contracts import stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import IN_PLACE, Batch, Status
from dagster_contracts.core.state import asset_of
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.plugin import checks
from dagster_contracts.plugin.in_place import standing
from dagster_contracts.plugin.partitions import alone
from dagster_contracts.plugin.private import io_managers
from dagster_contracts.plugin.routing import PROBED, RELEASE, staging_key
from dagster_contracts.plugin.running import is_under_way
from dagster_contracts.plugin.running_step import RunningStep

# --- probe ---------------------------------------------------------------------------------------------------------


def is_probe(running: RunningStep) -> bool:
    """Whether the run selects only checks of this step's assets."""
    return not running.consumers and any(key in running.site.terms for key in running.output_names)  # an inner op of a graph makes none


def probed(running: RunningStep) -> Iterator[Any]:
    """Judge the newest stored batch under the one lease; report its checks."""
    wanted = running.context.run.tags.get(PROBED)
    for asset in (key for key in running.output_names if key in running.site.terms):
        terms = running.terms[asset]
        own = [breaker.key for breaker in running.gate.store.breakers() if asset_of(breaker.key) == asset]
        judgements = [_probed(running, terms, key) for key in own if wanted in (None, key)]
        yield from checks.evaluations(
            running.context, running.gate.store, terms, [judgement for judgement in judgements if judgement is not None]
        )


def _probed(running: RunningStep, terms: Terms, key: str) -> Judgement | None:
    def read(batch: Batch) -> object:
        return alone(_set_aside(running, batch), batch.partition.key)

    judgement = stored.probe(running.gate, terms, key, holder=f"run {running.context.run_id}", read=read)
    if isinstance(judgement, Refused):
        running.context.log.warning(f"{key} was not probed: {shown(judgement.reason)}")
        return None
    running.tell_of_edit(terms, judgement)
    told = f"probe of {shown(judgement.batch.id)}: {judgement.verdict.outcome}; {key} is {judgement.breaker.state}"
    running.context.log.info(told)
    return judgement


# --- release -------------------------------------------------------------------------------------------------------


def batch_to_release(running: RunningStep) -> Batch | None:
    """The batch that this run is to release, if it is a release run."""
    name = running.context.run.tags.get(RELEASE)
    if name is None:
        return None
    batch = running.gate.store.batch(name)
    if batch is None or batch.asset not in running.consumers:
        return None
    if batch.asset not in running.output_names:
        return batch
    begun_here = batch.status is Status.PUBLISHING and batch.run_id == running.context.run_id  # by an attempt that could not write
    waits = batch.staged is not None and (begun_here or batch.status in (Status.HELD, Status.QUARANTINED))
    if not waits and not is_published_by_another(running, batch):
        running.no_run_retries()
        way = "run `dagster-contracts reconcile`" if batch.status is Status.PUBLISHING else "deliver it anew"
        raise dg.Failure(f"{name} is {batch.status} and cannot be released any more; {way}", allow_retries=False)
    return batch


def is_published_by_another(running: RunningStep, batch: Batch) -> bool:
    """A person's job and the sensor may both ask for a release: the run that comes second leaves it to the first, unless that died."""
    if batch.status is Status.PUBLISHED:
        return True
    another = batch.run_id != running.context.run_id
    return batch.status is Status.PUBLISHING and another and is_under_way(running.step.instance, batch.run_id)


def released(running: RunningStep, batch: Batch) -> Iterator[Any]:
    """What the body of the batch's asset would have yielded."""
    if batch.staged == IN_PLACE:
        yield dg.MaterializeResult(asset_key=dg.AssetKey.from_user_string(batch.asset))
    else:
        yield dg.Output(_set_aside(running, batch), output_name=running.output_names[batch.asset])


def publishing(running: RunningStep, terms: Terms, batch: Batch, value: object) -> Judgement:
    """The verdict that a batch is published on: the one that it was held on, or, under another contract by now, a new one."""
    if batch.contract_version != terms.version and batch.released is None:
        reason = f"contract {batch.contract_version} -> {terms.version} since it was held"
        batch = stored.rejudge(running.gate, terms, batch, value, actor="release run", reason=reason).batch
    return stored.publishing(running.gate, batch, running.context.run_id)  # by its own name: read back, it might measure as another batch


def _set_aside(running: RunningStep, batch: Batch) -> Any:
    """What was set aside of a refused batch."""
    assert batch.staged is not None
    name, place = running.output_names[batch.asset], batch.partition.key
    if batch.staged == IN_PLACE:
        return standing(running.site, running.step, name, dg.AssetKey.from_user_string(batch.asset), place)
    return io_managers.read_back(running.step, name, staging_key(batch.asset, batch.staged), place)
