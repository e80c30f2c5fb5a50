"""What `why` advises: commands, and what to deliver again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dagster_contracts.cli.wording import may_be_published, was_only_observed
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Output, OutputStatus, Partition, Route, RouteKind, Status
from dagster_contracts.core.snapshot import Grounds, Pile, Standing, fallen, in_order
from dagster_contracts.core.state import Breaker, OverrideKind, State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import quoted

SHOWN = 5  # findings of one batch, and entries of one kind


def commands(found: Standing, piles: Sequence[Pile], partition: str | None, now: Mapping[Route, Grounds]) -> list[str]:
    """Each once. `now` has the present grounds of what its output, and those affected by it, have read."""
    return list(dict.fromkeys(_commands(found, piles, partition, now)))


def _commands(found: Standing, piles: Sequence[Pile], partition: str | None, now: Mapping[Route, Grounds]) -> Iterator[str]:
    for batch in listed(piles)[:SHOWN]:
        yield from _of_batch(found, batch)
    for pile in piles:
        if is_streamed(pile.first) and pile.first.status is not Status.PUBLISHING:  # which is nothing to look at
            yield from _of_stream(pile)
    yield from _of_missing(found, partition, now)
    yield from _of_let_through(found)
    for breaker in found.breakers:
        key = quoted(breaker.key)
        if machine.current(breaker, found.now).override is not None:
            yield f"dagster-contracts breaker reset {key} --reason ..."
        elif machine.enforced_open(breaker, found.now):
            yield from _closing(found, breaker)
        if machine.current(breaker, found.now).state is not State.CLOSED and breaker.incident:
            yield f"dagster-contracts why {key} --incident {breaker.incident}"
    if found.output is not None and found.output.status is not OutputStatus.OK:
        yield from _of_inputs(found.output, now)


def _of_batch(found: Standing, batch: Batch) -> Iterator[str]:
    of = argument(batch.asset, batch.partition)
    if batch.status is Status.PUBLISHING:
        yield "dagster-contracts reconcile"
    elif may_be_published(batch, breaker_of(found, batch), found.now):
        yield "see that the sensor contracts_heal is on, or"
        yield "dagster-contracts heal"
    elif batch.staged is None or batch.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        yield f"deliver {place(batch)} again, or"
        yield f"dagster-contracts batch show {of}"
        if batch.staged is not None:
            yield f"dagster-contracts batch rejudge {of} --reason ..."
            yield f"dagster-contracts batch release {of} --reason ..."


def _of_stream(pile: Pile) -> Iterator[str]:
    of = argument(pile.first.asset, pile.first.partition)
    yield f"dagster-contracts batch show {of}"
    if pile.first.outcome not in (Outcome.PASS, Outcome.WARN):  # else its consumer may still hold it
        many = f"{quoted(pile.first.asset)} --all --status {pile.first.status}"
        yield f"dagster-contracts batch discard {of if pile.count == 1 else many} --reason ..."


def _of_missing(found: Standing, partition: str | None, now: Mapping[Route, Grounds]) -> Iterator[str]:
    """Partitions of the asset itself that wait for a delivery and for nothing else."""
    if partition is not None and not found.waiting and found.published is None:
        newest = found.newest
        if newest is None and found.affected:
            yield f"deliver {found.asset} [{partition}]"
        elif newest is not None and newest.status is Status.DISCARDED and not is_streamed(newest):
            kept = newest.staged is not None
            yield f"deliver {place(newest)} again{', or' if kept else ''}"
            if kept:
                yield f"dagster-contracts batch release {argument(newest.asset, newest.partition)} --reason ..."
        return
    asked = dict.fromkeys(route.requested for route in now if route.upstream == found.asset and now[route].is_missing)
    for requested in list(asked)[:SHOWN]:
        yield f"deliver {found.asset} [{requested}] again, or"
        yield f"dagster-contracts why {argument(found.asset, requested)}"


def _of_let_through(found: Standing) -> Iterator[str]:
    """As long as a contract is only tried out, nobody is asked to deliver anew what it refuses."""
    batch = found.published
    if batch is None or found.waiting or not was_only_observed(batch) or is_streamed(batch):
        return
    breaker = breaker_of(found, batch)
    override = machine.current(breaker, found.now).override if breaker is not None else None
    if override is None or override.kind is not OverrideKind.OBSERVE_ONLY:
        yield f"deliver {place(batch)} again"


def _closing(found: Standing, breaker: Breaker) -> Iterator[str]:
    """Whether a person's word on the breaker helps: it publishes what passed, and frees nothing that was refused."""
    key, waiting = quoted(breaker.key), [batch for batch in found.waiting if batch.breaker_key == breaker.key]
    if streams(found) or not waiting:
        yield f"dagster-contracts breaker force-closed {key} --until PT2H --reason ..."
    elif any(batch.status is Status.HELD and batch.outcome in (Outcome.PASS, Outcome.WARN) for batch in waiting):
        yield f"dagster-contracts breaker reset {key} --reason ..."


def _of_inputs(output: Output, now: Mapping[Route, Grounds]) -> Iterator[str]:
    """Where to read on: of a partition that was never delivered there is only its asset to tell of, of many the same."""
    read = [route for route in fallen(output) if route.kind not in (RouteKind.FRESH, RouteKind.UNJUDGED)]
    for upstream, routes in by_upstream(read).items():
        known = [route for route in routes if route not in now or not now[route].is_never_delivered]
        for route in [route for route in known if route in now and now[route].is_missing][:SHOWN]:
            yield f"deliver {upstream} [{route.requested}] again, or"
        if len(known) <= SHOWN:
            yield from (f"dagster-contracts why {argument(upstream, route.requested)}" for route in known)
        if len(known) > SHOWN or len(known) < len(routes):
            yield f"dagster-contracts why {quoted(upstream)}"


def argument(asset: str, partition: Partition = UNPARTITIONED) -> str:
    return quoted(asset) + (f" --partition {quoted(partition.key)}" if partition.key is not None else "")


# --- of what is found ------------------------------------------------------------------------------------------------


def by_upstream(routes: Sequence[Route]) -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for route in routes:
        found.setdefault(route.upstream, []).append(route)
    return found


def breaker_of(found: Standing, batch: Batch) -> Breaker | None:
    return next((breaker for breaker in found.breakers if breaker.key == batch.breaker_key), None)


def listed(piles: Sequence[Pile]) -> list[Batch]:
    """Batches that wait and are listed one by one, newest first: what a stream has delivered is summed up."""
    return in_order(pile for pile in piles if not is_streamed(pile.first))


def streams(found: Standing) -> bool:
    """Whether a stream feeds it."""
    return any(is_streamed(batch) for batch in (found.newest, found.published, *found.waiting) if batch is not None)


def place(entry: Batch | Output) -> str:
    return f"{entry.asset} [{entry.partition}]"
