"""Real code, one store call at a time, without threads.

An operation is a row of stages, each an ordinary function over a `Gate`, given what the stage before returned. The store it sees answers
from a list of recorded answers; at the first call that has none, the stage is left (`Paused`), and that call is what the worker does
next. The scheduler makes it against the store of some global state, adds the answer, and runs the stage again from its beginning: it is
deterministic, so it arrives at the call after. What a worker does next thus depends on its stage and answers alone, is remembered by them,
and a half-done operation is a tuple of numbers.

Of an attempt that lost a race, nothing may be left. So the first lost attempt of a stage stands for all of them: code that used anything of
a lost attempt would use that one's, and be seen to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dagster_contracts.gate
import dagster_contracts.relay
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Partition
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms
from dagster_contracts.measuring import Taken
from tests.gate_world import Counts


class Paused(BaseException):
    """No answer yet. A BaseException, so that no `except` of the product takes it for an error."""


@dataclass(frozen=True, slots=True)
class Doing:
    """What a call is for: judge, settle (under `lease`), finish, ...; `batch` and `kind` of the data where there is some."""

    what: str = ""
    kind: str = ""
    lease: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    given: tuple[Any, ...]
    named: dict[str, Any]
    bench: Bench
    doing: Doing

    def made_on(self, store: Any) -> Any:
        """The call, on the store of some state. What a decision asks inside a transaction of the store is answered there and then."""
        self.bench.inside = store
        try:
            return getattr(store, self.name)(*self.given, **self.named)
        finally:
            self.bench.inside = None


Stage = Callable[["Bench", Any], Any]


@dataclass(frozen=True)
class Operation:
    """One thing that may happen. A stage that returns None ends it. `writes`: (partition, kind) where it may write to the live place:
    another kind is not written there meanwhile. `alone`: runs in one piece, and only while nobody else is at work. `times`: how often at
    most."""

    label: str
    stages: tuple[Stage, ...] = field(compare=False)
    times: int = 1
    writes: tuple[str | None, str] | None = None
    alone: bool = False


class MeasuredOnce(Gate):
    """A gate that remembers measurements: they are pure, and an operation is run again at each of its calls."""

    def __init__(self, store: Any, known: dict[tuple[object, ...], Taken]):
        super().__init__(store, Counts())
        self._known = known

    def measured(self, terms: Terms, partition: Partition, data: Any, **named: Any) -> Taken:
        key = (terms.version, tuple(data.items()))
        if key not in self._known:
            self._known[key] = super().measured(terms, partition, data, **named)
        return self._known[key]


class Bench:
    """What a stage is given: a gate over recorded answers, the contract, its worker's name."""

    def __init__(self, name: str, answers: list[Any], terms: Callable[[int], Terms], measured: dict[tuple[object, ...], Taken]):
        self.name, self.terms = name, terms
        self.answers = answers
        self.asked = 0
        self.doing = Doing()
        self.call: Call | None = None
        self.inside: Any = None  # the store, while it lets a decision be made within a transaction
        self.store: Any = _Recorded(self)
        self.gate: Gate = MeasuredOnce(self.store, measured)


class _Recorded:
    """A store that answers what was recorded."""

    def __init__(self, bench: Bench):
        self._bench = bench

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            bench = self._bench
            if bench.inside is not None:
                return getattr(bench.inside, name)(*given, **named)
            if bench.asked == len(bench.answers):
                bench.call = Call(name, given, named, bench, bench.doing)
                raise Paused
            answer = bench.answers[bench.asked]
            bench.asked += 1
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@dataclass(frozen=True, slots=True)
class Ended:
    """A stage has returned."""

    value: object


def following(stage: Stage, carried: object, bench: Bench) -> Call | Ended:
    """What a stage does after the answers of the bench. Being refused what may not be done (UsageError) ends the operation."""
    with names_given(f"lease of {bench.name}"):
        try:
            return Ended(stage(bench, carried))
        except Paused:
            assert bench.call is not None
            return bench.call
        except UsageError:
            return Ended(None)


@contextmanager
def names_given(name: str) -> Iterator[None]:
    """Random names would differ each time a stage is run to where it was."""
    named = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=name))
    modules = (dagster_contracts.gate, dagster_contracts.relay)
    before = [module.uuid for module in modules]
    for module in modules:
        module.uuid = named  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            module.uuid = own
