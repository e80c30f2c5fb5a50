"""What the invariants are checked against: a storage that remembers what was really written, a store that fails at a chosen call, and a
sink that remembers what it was told. They know the product's words, and nothing of its reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster_contracts.core.contract import Attached, BreakerPolicy, Contract, Operator, Property, QualityRule, SchemaObject
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Route, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.judgement import Terms
from dagster_contracts.ports import Store
from dagster_contracts.store.memory import MemoryStore

Data = Mapping[str, int]

# What a delivery may hold, under each kind of contract: FAIL of a critical rule unless lax; FAIL of an error rule only if strict, else
# WARN; PASS everywhere; not to be read. `size` makes contents, and so batches, different.
KINDS = ("good", "good", "good", "bad", "bad", "few", "unreadable")
CONTRACTS = ("normal", "strict", "lax")


def content(kind: str, size: int) -> Data:
    """100 rows or more, 200 where they are bad; 1 to 9 where they are `few`.

    No two have equal counts under any contract: deliveries that do are one batch, as the guides say.
    """
    if kind == "unreadable":
        return {}
    if kind == "few":
        return {"rows": 1 + size}
    return {"rows": 200 + size, "outside": 50} if kind == "bad" else {"rows": 100 + size}


def terms(policy: BreakerPolicy, version: int) -> Terms:
    """Version 0 is normal, 1 strict, 2 lax, 3 normal again. Their metrics differ too, so a measurement under one names no other's."""
    kind = CONTRACTS[version % 3]
    rows = QualityRule(
        "library", "rowCount", ((Operator.GREATER_OR_EQUAL, 10),), severity="error" if kind == "strict" else "warning", name="enough"
    )
    enum = () if kind == "lax" else ("HIGH", "LOW", *(f"v{version}" for _ in range(version)))
    feed = SchemaObject("feed", properties=(Property("risk", enum=enum),), quality=(rows,))
    contract = Contract("feed", f"{version + 1}.0.0", "v3.1.0", "active", (feed,), policy=policy)
    return Terms.of(Attached("feed", contract, feed))


@dataclass
class Storage:
    """Live places and staging. `versions`: whether it can tell what was overwritten (as files can)."""

    versions: bool
    live: dict[str | None, Data] = field(default_factory=dict)
    beside: dict[str, Data] = field(default_factory=dict)
    stamps: dict[str | None, int] = field(default_factory=dict)
    foreign: set[str | None] = field(default_factory=set)  # places written last by what no ledger knows

    def write(self, key: str | None, data: Data, *, foreign: bool = False) -> None:
        self.live[key] = data
        self.stamps[key] = self.stamps.get(key, 0) + 1
        (self.foreign.add if foreign else self.foreign.discard)(key)

    def version(self, key: str | None) -> str | None:
        return str(self.stamps[key]) if self.versions else None

    def is_intact(self, batch: Batch) -> bool:
        key = batch.partition.key
        return batch.storage_version is None or batch.storage_version == str(self.stamps.get(key))


class Unsteady:
    """A store that is out of reach at the call that `fail` names, counted from now; `after`: the work is done, and the answer is lost."""

    def __init__(self, store: Store):
        self.steady = store
        self.calls: int | None = None
        self.after = False
        self.failed = False
        self.last = ""  # the call that failed
        self.watch: Callable[[Change], None] = lambda change: None  # is told of every change that was committed

    def fail(self, trouble: tuple[int, bool] | None) -> None:
        self.failed = False
        self.calls, self.after = trouble or (None, False)

    def __getattr__(self, name: str) -> Any:
        own = {"save": self._save, "decide": self._decide}
        work = own.get(name) or getattr(self.steady, name)

        def call(*given: Any, **named: Any) -> Any:
            if self.calls is None:
                return work(*given, **named)
            self.calls -= 1
            if self.calls >= 0:
                return work(*given, **named)
            self.failed, self.last = True, name
            if self.after:
                work(*given, **named)
            raise StoreUnavailable("the database does not answer")

        return call

    def _save(self, change: Change) -> None:
        self.steady.save(change)
        self.watch(change)

    def _decide(self, step: StepKey, consumer: str, route: Route, change: Change) -> Route:
        before = len(self.steady.decisions(step))
        kept = self.steady.decide(step, consumer, route, change)
        if len(self.steady.decisions(step)) > before and change != Change():
            self.watch(change)
        return kept


class Listener:
    """An EventSink that remembers."""

    name = "listener"

    def __init__(self) -> None:
        self.received: list[Event] = []

    def deliver(self, events: Sequence[Event]) -> None:
        self.received += events


def copied(store: MemoryStore, clock: Any) -> MemoryStore:
    """The same state in another store, to try something on."""
    other = MemoryStore(clock=clock)
    for name, value in vars(store).items():
        if isinstance(value, dict | list | set):
            setattr(other, name, value.copy())
    return other
