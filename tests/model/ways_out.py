"""Invariant 13: from everything that was reached, a good delivery can be read fresh again, without SQL.

What is stored (whoever was at work there is taken to have died) is the start of a second graph, whose edges are the ways out: time passes
to the next deadline, a good delivery arrives, the probe that is due is run, what is due is published; and a person resets, only where a
person has forced the breaker without an end. The goals are nodes where the newest good delivery is read fresh. Walking back from the goals
must reach every start: what it does not reach is wedged, however long one waits.

Moments are kept as distances from now, and numbers that only grow are left out, so that the graph is finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Partition, RouteKind
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.judgement import Terms
from dagster_contracts.measuring import Taken
from tests.model import operations
from tests.model.durable import Durable, frozen
from tests.model.invariants import routed
from tests.model.operations import run_alone
from tests.model.replay import Bench, Operation


@dataclass
class Node:
    """`delivered`: how many good deliveries have come on the way."""

    store: Durable
    now: datetime
    delivered: int
    before: list[int] = field(default_factory=list)


@dataclass
class WaysOut:
    """The graph of one scenario. Deliveries come to new places that are `like` one of the scenario's, under contract `version`."""

    terms_of: Callable[[int], Terms]
    version: int
    like: Partition
    measured: dict[tuple[object, ...], Taken]
    rows: dict[int, tuple[object, Batch]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    numbers: dict[object, int] = field(default_factory=dict)
    goals: list[int] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)

    @property
    def terms(self) -> Terms:
        return self.terms_of(self.version)

    @property
    def vendor(self) -> str | None:
        return next((value for _, value in self.like.dimensions), None)

    def wedged(self, starts: Iterable[tuple[datetime, Durable]]) -> int | None:
        """The index of the first start from which no goal can be reached; None where every one has a way out."""
        begun = self.begun = [self.number(Node(store, now, 0)) for now, store in starts]
        done = 0
        while done < len(self.nodes):
            if self.is_goal(self.nodes[done]):
                self.goals.append(done)
            else:
                for following in self.following(self.nodes[done]):
                    self.nodes[self.number(following)].before.append(done)
            done += 1
        saved, waiting = set(self.goals), list(self.goals)
        while waiting:
            fresh = [number for number in self.nodes[waiting.pop()].before if number not in saved]
            saved.update(fresh)
            waiting += fresh
        return next((index for index, number in enumerate(begun) if number not in saved), None)

    def shown(self, number: int) -> str:
        """A start, for people."""
        node = self.nodes[self.begun[number]]
        told = [(str(b.state), b.retry_at and str(b.retry_at), b.lease, b.override, b.overdue) for b in node.store._breakers.values()]
        return f"{told} at {node.now}"

    def number(self, node: Node) -> int:
        key = self.key(node)
        number = self.numbers.setdefault(key, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return number

    def key(self, node: Node) -> object:
        breakers = tuple(relative(breaker, node.now) for _, breaker in sorted(node.store._breakers.items()))
        rows = sorted(node.store._batches.values(), key=lambda batch: batch.sequence)
        batches = tuple(self.row(batch) for batch in rows)
        return breakers, batches, tuple(sorted(node.store.live.items(), key=str)), node.delivered

    def row(self, batch: Batch) -> object:
        """In the order of arrival, but without its number there, and without the run that brought it."""
        if (known := self.rows.get(id(batch))) is None:
            whole = frozen(batch)
            assert isinstance(whole, tuple)
            known = self.rows[id(batch)] = (whole[:-2], batch)
        return known[0]

    # --- edges ---

    def following(self, node: Node) -> Iterator[Node]:
        later = [moment for breaker in node.store._breakers.values() for moment in deadlines(breaker) if moment > node.now]
        if later:
            yield Node(node.store, min(later), node.delivered)
        if node.delivered <= self.terms.policy.probes:
            yield self.after(node, self.delivery(node.delivered), node.delivered + 1)
        if any(b.state is not State.CLOSED or b.contract_version != self.terms.version for b in node.store._breakers.values()):
            yield self.after(node, operations.probe(version=self.version, vendor=self.vendor), node.delivered)
        if any(batch.staged for batch in node.store._batches.values()):
            yield self.after(node, operations.publish_due(version=self.version), node.delivered)
        if any(breaker.override is not None and breaker.override.expires_at is None for breaker in node.store._breakers.values()):
            yield self.after(node, operations.reset(), node.delivered)

    def after(self, node: Node, operation: Operation, delivered: int) -> Node:
        store = node.store.copied(outbox=False).at(node.now)
        bench = Bench("way out", [], self.terms_of, self.measured)
        run_alone(operation, store, bench)
        return Node(store, node.now, delivered)

    def delivery(self, delivered: int) -> Operation:
        kind = f"good again {delivered}"
        return operations.deliver(20 + delivered if self.like.key else None, kind, version=self.version, vendor=self.vendor)

    def place(self, delivered: int) -> Partition:
        return operations.place(20 + delivered if self.like.key else None, self.vendor)

    def is_goal(self, node: Node) -> bool:
        if not node.delivered:
            return False
        route = routed(node.store, node.now, self.terms, self.place(node.delivered - 1), Confidence.FULL)
        return route.kind is RouteKind.FRESH and route.confidence is Confidence.FULL and "good again" in (route.batch_id or "")


def deadlines(breaker: Breaker) -> list[datetime]:
    moments = [breaker.retry_at, breaker.lease and breaker.lease.expires_at, breaker.override and breaker.override.expires_at]
    return [moment for moment in moments if moment is not None]


def relative(breaker: Breaker, now: datetime) -> object:
    """What decides of a breaker from here on."""

    def ahead(moment: datetime | None) -> object:
        return None if moment is None else max((moment - now).total_seconds(), 0)

    lease = breaker.lease and (breaker.lease.batch_id, breaker.lease.generation == breaker.generation, ahead(breaker.lease.expires_at))
    word = breaker.override and (breaker.override.kind, ahead(breaker.override.expires_at))
    window = tuple((each.batch_id, each.failed, now - each.at if breaker.policy.window.duration else None) for each in breaker.window)
    known = (breaker.key, breaker.contract_version, breaker.state, window, breaker.reopened, ahead(breaker.retry_at), lease, breaker.probed)
    return (*known, breaker.passed, breaker.failed_rules, word, frozen(breaker.overdue))
