"""Every interleaving of a scenario, breadth first: the first violation found is one with the fewest actions.

A state is the time, what is stored, what is remembered for the invariants, which operations are left, and how far the running ones are.
From it: a running operation makes its next store call; a new one starts (makes its first), while fewer than `workers` run; a running one
crashes; the clock moves to the next deadline (end of cooldown, lease or override). Running operations are a multiset: workers that do the
same are not told apart. An operation's calls are all that others can see of it, so nothing lies between two of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.errors import LostRace, UsageError
from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.snapshot import Snapshot
from dagster_contracts.judgement import Terms
from dagster_contracts.measuring import Taken
from tests.gate_world import day
from tests.invariant_model import terms as terms_of
from tests.model import invariants
from tests.model.durable import WRITES, Durable, Interned
from tests.model.invariants import Past, Violated
from tests.model.operations import place, run_alone
from tests.model.replay import Bench, Call, Operation, following
from tests.model.ways_out import WaysOut, deadlines

MINUTE = timedelta(minutes=1)
START = day(9)


@dataclass(frozen=True)
class Scenario:
    """`begun`: operations that have run, one after the other, before the search begins. `places`: what consumers ask for. `least`: the
    states that there are at least: with fewer, the search has lost something."""

    name: str
    operations: tuple[Operation, ...]
    policy: BreakerPolicy
    begun: tuple[Operation, ...] = ()
    workers: int = 2
    ticks: int = 2
    crashes: int = 1
    places: tuple[Partition, ...] = (place(1), place(2), place(3))
    newest: int = 0  # contract version of the ways out
    least: int = 500
    outbox: bool = False  # what waits in the outbox is part of the state

    def terms(self, version: int) -> Terms:
        if version not in self._terms:
            self._terms[version] = terms_of(self.policy, version)
        return self._terms[version]

    _terms: dict[int, Terms] = field(default_factory=dict, compare=False, repr=False)


class Running(NamedTuple):
    operation: int
    instance: int
    stage: int = 0
    carried: int = -1  # what the stage before returned; -1: nothing
    answers: tuple[int, ...] = ()


class State(NamedTuple):
    now: datetime
    store: int
    past: Past
    left: tuple[int, ...]
    running: tuple[Running, ...]
    ticks: int
    crashes: int


@dataclass
class Explored:
    states: int = 0
    transitions: int = 0
    stores: int = 0
    ways_out: int = 0
    violated: Violated | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.states:,} states, {self.transitions:,} transitions, {self.stores:,} stores, {self.ways_out:,} ways out"


class Search:
    def __init__(self, scenario: Scenario):
        self.scenario = scenario
        self.stores, self.answers = Interned(), Interned()
        self._next: dict[Running, tuple[Call, Running] | None] = {}
        self._lost: dict[Running, tuple[int, ...]] = {}  # stage -> the attempt that stands for all that lost a race
        self._measured: dict[tuple[object, ...], Taken] = {}
        self._called: dict[tuple[object, ...], tuple[int, Past, Running | None]] = {}
        self._standing: dict[tuple[object, ...], State] = {}  # in order of discovery
        self.parents: dict[State, tuple[State, str] | None] = {}
        self.transitions = 0
        self.ways_out = 0

    # --- exploring ---

    def run(self, *, limit: int | None = None) -> Explored:
        first = self.first()
        self.parents = {first: None}
        layer = [first]
        gc.disable()  # nothing here is a cycle, and everything is kept
        try:
            self.stand(first)
            while layer and (limit is None or len(self.parents) < limit):
                reached: list[State] = []
                for state in layer:
                    for label, following in self.following(state):
                        self.transitions += 1
                        if following not in self.parents:
                            self.parents[following] = (state, label)
                            reached.append(following)
                            self.stand(following)
                layer = reached
            self.find_ways_out()
        except _Found as found:
            return self.explored(found)
        finally:
            gc.enable()
        return self.explored()

    def find_ways_out(self) -> None:
        """13. Once all is explored; workers that were at work are taken to have died."""
        scenario, starts = self.scenario, list(self._standing.values())
        graph = WaysOut(scenario.terms, scenario.newest, scenario.places[0], self._measured)
        wedged = graph.wedged([(state.now, self.store(state)) for state in starts])
        self.ways_out = len(graph.nodes)
        if wedged is not None:
            raise _Found(Violated(13, f"no way out of {graph.shown(wedged)}"), starts[wedged])

    def explored(self, found: _Found | None = None) -> Explored:
        done = Explored(len(self.parents), self.transitions, len(self.stores.values), self.ways_out)
        if found is not None:
            done.violated, done.trace = found.violated, (*self.trace(found.state), *found.steps)
        return done

    def trace(self, state: State) -> tuple[str, ...]:
        labels: list[str] = []
        while (parent := self.parents[state]) is not None:
            state, label = parent
            labels.append(label)
        return tuple(reversed(labels))

    def first(self) -> State:
        store = Durable(START)
        for number, operation in enumerate(self.scenario.begun):
            run_alone(operation, store, Bench(f"begun {number}", [], self.scenario.terms, self._measured))
        if not self.scenario.outbox:
            store.forget_history()
        past = Past(counted=frozenset((entry.batch_id, b.contract_version) for b in store._breakers.values() for entry in b.window))
        left = tuple(operation.times for operation in self.scenario.operations)
        return State(START, self.stores.store(store), past, left, (), self.scenario.ticks, self.scenario.crashes)

    def store(self, state: State) -> Durable:
        found: Durable = self.stores.values[state.store]
        return found

    def stand(self, state: State) -> None:
        """Whether the state itself is as it must be."""
        key = (state.now, state.store, state.past)
        if key in self._standing:
            return
        self._standing[key] = state
        scenario = self.scenario
        terms = scenario.terms(0)
        try:
            invariants.standing(state.past, self.store(state), state.now, terms, scenario.places, terms.breaker_key)
        except Violated as violated:
            raise _Found(violated, state) from violated

    def following(self, state: State) -> Iterator[tuple[str, State]]:
        yield from self.ticks(state)
        for slot, running in enumerate(state.running):
            others = state.running[:slot] + state.running[slot + 1 :]
            if slot and running == state.running[slot - 1]:
                continue
            yield self.stepped(state, running, others, state.left)
            if state.crashes:
                yield f"{self.name(running)} crashes", state._replace(running=others, crashes=state.crashes - 1)
        if len(state.running) < self.scenario.workers:
            yield from self.starts(state)

    def starts(self, state: State) -> Iterator[tuple[str, State]]:
        for number, operation in enumerate(self.scenario.operations):
            if not state.left[number] or not self.may_start(operation, state):
                continue
            left = (*state.left[:number], state.left[number] - 1, *state.left[number + 1 :])
            running = Running(number, operation.times - left[number])
            if operation.alone:
                yield operation.label, self.at_once(state, running, left)
            else:
                yield self.stepped(state, running, state.running, left)

    def may_start(self, operation: Operation, state: State) -> bool:
        if operation.alone:
            return not state.running
        writing = [other for running in state.running if (other := self.scenario.operations[running.operation].writes) is not None]
        return operation.writes is None or all(not _collide(operation.writes, other) for other in writing)

    def at_once(self, state: State, running: Running, left: tuple[int, ...]) -> State:
        state, following = state._replace(left=left), self.settled(running)
        while following is not None:
            store, past, following = self.call(state, following)
            state = state._replace(store=store, past=past)
        return state

    def stepped(self, state: State, running: Running, others: tuple[Running, ...], left: tuple[int, ...]) -> tuple[str, State]:
        """`running` makes its next call, if it has one."""
        ready = self.settled(running)
        if ready is None:
            return f"{self.name(running)} finds nothing to do", state._replace(running=others, left=left)
        call = self.next(ready)
        label = f"{self.name(running)}: {call.doing.what}: {call.name}"
        store, past, following = self.call(state, ready, label)
        running_now = tuple(sorted((*others, following))) if following is not None else others
        return label, state._replace(store=store, past=past, running=running_now, left=left)

    def ticks(self, state: State) -> Iterator[tuple[str, State]]:
        if not state.ticks:
            return
        store = self.store(state)
        moments = [moment for breaker in store._breakers.values() for moment in deadlines(breaker)]
        moments += [cursor.free_from for cursor in store._cursors.values()]
        if moments := [moment for moment in moments if moment > state.now]:
            then = min(moments)
            yield f"the clock moves on by {then - state.now}", state._replace(now=then, ticks=state.ticks - 1)

    # --- one call ---

    def name(self, running: Running) -> str:
        operation = self.scenario.operations[running.operation]
        return operation.label if operation.times == 1 else f"{operation.label} #{running.instance}"

    def settled(self, running: Running) -> Running | None:
        """The running operation where its next call stands: perhaps some stages on. None where it has ended."""
        ready = self.ready(running)
        return ready[1] if ready is not None else None

    def next(self, running: Running) -> Call:
        ready = self.ready(running)
        assert ready is not None
        return ready[0]

    def ready(self, running: Running) -> tuple[Call, Running] | None:
        if running not in self._next:
            operation = self.scenario.operations[running.operation]
            answers = [self.answers.values[number] for number in running.answers]
            bench = Bench(self.name(running), answers, self.scenario.terms, self._measured)
            carried = self.answers.values[running.carried] if running.carried >= 0 else None
            came = following(operation.stages[running.stage], carried, bench)
            if isinstance(came, Call):
                self._next[running] = came, running
            elif came.value is None or running.stage + 1 == len(operation.stages):
                self._next[running] = None
            else:
                later = Running(running.operation, running.instance, running.stage + 1, self.answers.number(came.value))
                self._next[running] = self.ready(later)
        return self._next[running]

    def call(self, state: State, running: Running, label: str = "") -> tuple[int, Past, Running | None]:
        """The store and memory after the running operation's next call, and the operation after that."""
        key = (state.now, state.store, state.past, running)
        if key not in self._called:
            try:
                self._called[key] = self.made(state, running)
            except Violated as violated:
                raise _Found(violated, state, (label or self.name(running),)) from violated
        return self._called[key]

    def made(self, state: State, running: Running) -> tuple[int, Past, Running | None]:
        call = self.next(running)
        assert call is not None
        store, past = self.store(state).at(state.now), state.past
        after = store.copied() if call.name in WRITES else store
        try:
            answer = call.made_on(after)
        except (LostRace, UsageError) as refused:  # nothing was written
            after, answer = store, refused
        else:
            if call.name == "save":
                past = invariants.committed(past, store, call.given[0], call.doing, self.decided_at(state, running))
            elif call.name == "transact":  # looks, decides and writes at once; (the change, ...) comes back
                past = invariants.committed(past, store, answer[0], call.doing, state.now)
            if not self.scenario.outbox and after is not store:
                after.forget_history()
        stored = state.store if after is store else self.stores.store(after)
        answers = (*running.answers, self.answers.number(answer))
        if isinstance(answer, LostRace):
            answers = self._lost.setdefault(running._replace(answers=()), answers)
        return stored, past, self.settled(running._replace(answers=answers))

    def decided_at(self, state: State, running: Running) -> datetime:
        """A transaction's moment is that of the look it rests on: the compare-and-set lets nothing of the breaker change in between."""
        looks = (each for number in reversed(running.answers) if isinstance(each := self.answers.values[number], Snapshot))
        return next((look.now for look in looks), state.now)


class _Found(Exception):
    def __init__(self, violated: Violated, state: State, steps: Sequence[str] = ()):
        self.violated, self.state, self.steps = violated, state, tuple(steps)


def _collide(one: tuple[str | None, str], other: tuple[str | None, str]) -> bool:
    """Two writers of one place with different data at once is what a project must not have: the live place has one writer at a time."""
    anywhere = "release" in (one[1], other[1])
    return one != other and (anywhere or one[0] == other[0])
