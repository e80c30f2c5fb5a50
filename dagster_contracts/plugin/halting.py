"""A step that may not read what it asks for: the ledger is told that it is halted, Dagster that it failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import dagster as dg

from dagster_contracts.core.errors import Halted, StoreUnavailable
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import OutputStatus, Partition, Route, RouteKind
from dagster_contracts.core.route import strictest
from dagster_contracts.plugin import metadata
from dagster_contracts.plugin.running_step import RunningStep


def halt(running: RunningStep, routes: Sequence[Route]) -> NoReturn:
    """Record that a step is halted, and end it: raises dg.Failure."""
    recorded = _record(running, routes)
    worst = strictest(routes)
    assert worst is not None
    error = Halted(
        shown(worst.reason),
        key=worst.breaker_key or worst.upstream,
        since=worst.since,
        retry_after=worst.retry_at,
        findings=map(shown, worst.findings),
    )
    raise dg.Failure(
        description=shown(metadata.halt(running.consumers, worst)),
        metadata=metadata.of_halt(routes),
        allow_retries=not recorded,
    ) from error


def _record(running: RunningStep, routes: Sequence[Route]) -> bool:
    """Put the halt into the ledger, and keep Dagster from retrying. False where no store can be reached: then trying again helps."""
    try:
        for key in running.consumers:
            places = running.partitions(dg.AssetKey.from_user_string(key))
            for place in places if len(places) == 1 else (each for each in places if not _stands(running, key, each, routes)):
                running.gate.record_output(key, place, running.context.run_id, routes)
    except StoreUnavailable as error:
        running.context.log.warning(f"the halt of {', '.join(running.consumers)} could not be recorded: {error}")
        return False
    running.no_run_retries()
    return True


def _stands(running: RunningStep, asset: str, place: Partition, routes: Sequence[Route]) -> bool:
    """Whether a partition was made already of the very batches that it would be given now: it is halted for others of its range, and
    stays as it is."""
    made = running.gate.store.output(asset, place.key)
    given = {(route.upstream, route.requested, route.batch_id) for route in routes if route.kind is RouteKind.FRESH}
    inputs = () if made is None or made.status is not OutputStatus.OK else made.inputs
    return bool(inputs) and given.issuperset((each.upstream, each.requested, each.batch_id) for each in inputs)
