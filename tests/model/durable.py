"""What outlives a worker: the store, the live place, and what the sink was told. `MemoryStore` itself, not a copy of its rules.

Values are interned: equal ones (but for words that nothing decides by) become one small number, so that a state is a tuple of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch
from dagster_contracts.core.state import Breaker, Transition
from dagster_contracts.judgement import Probe
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore

WRITES = frozenset({"save", "transact", "decide", "register", "claim", "advance", "write", "tell"})


class Durable(MemoryStore):
    """A MemoryStore with the storage beside it. `live`: partition -> the kind of data that was written there last."""

    def __init__(self, now: datetime) -> None:
        super().__init__(clock=FixedClock(now))
        self.live: dict[str | None, str] = {}
        self.heard: list[Event] = []

    def at(self, now: datetime) -> Durable:
        self._clock = FixedClock(now)
        return self

    def standing(self, partition: str | None) -> str | None:
        return self.live.get(partition)

    def write(self, partition: str | None, kind: str) -> None:
        self.live[partition] = kind

    def tell(self, events: tuple[Event, ...]) -> None:
        self.heard += events

    def copied(self, *, outbox: bool = True) -> Durable:
        other = Durable(self.now())
        for name, value in vars(self).items():
            if isinstance(value, dict | list | set):
                setattr(other, name, value.copy())
        if not outbox:
            other.forget_history()
        return other

    def forget_history(self) -> None:
        """History that nothing decides by: it is checked as it is written (invariants.py), and would tell every path from every other."""
        self._events.clear()
        self._transitions.clear()


class Interned:
    """Equal values by one number. The first of them stands for all."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[object, int] = {}
        self._seen: dict[int, tuple[object, int]] = {}  # by identity; the value is kept alive with it

    def number(self, value: Any) -> int:
        if (seen := self._seen.get(id(value))) is not None:
            return seen[1]
        number = self.numbered(frozen(value), value)
        self._seen[id(value)] = (value, number)
        return number

    def numbered(self, key: object, value: Any) -> int:
        number = self._numbers.setdefault(key, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number

    def store(self, store: Durable) -> int:
        """Containers one by one: most of what they hold has been seen before."""
        parts: list[object] = []
        for _, value in sorted(vars(store).items()):
            if isinstance(value, dict):
                parts.append(frozenset((self.number(key), self.number(each)) for key, each in value.items()))
            elif isinstance(value, list):
                parts.append(tuple(map(self.number, value)))
            elif isinstance(value, set):
                parts.append(frozenset(value))
        return self.numbered(tuple(parts), store)


def frozen(value: Any) -> object:
    """A hashable stand-in of all that something may be decided by: no words for people, no verdict beside its outcome, no policy (the
    contract version names it), no moment that is only told."""
    match value:
        case Batch():
            return (value.id, value.status, value.outcome, value.contract_version, value.confidence, value.head, value.counted,
                    value.staged, value.storage_version, value.released is not None, value.sequence, value.run_id)  # fmt: skip
        case Breaker():
            window = tuple((each.batch_id, each.failed, each.at if value.policy.window.duration else None) for each in value.window)
            word = value.override and (value.override.kind, value.override.expires_at)
            return (value.key, value.contract_version, value.state, value.generation, window, value.reopened, value.retry_at,
                    value.lease, value.probed, value.passed, value.failed_rules, word, value.overdue, value.event_sequence,
                    value.version, value.incident)  # fmt: skip
        case Event():
            return value.key, value.sequence, value.type, value.incident
        case Transition():
            return value.key, value.from_state, value.to_state, value.generation, value.batch_id, value.shadow
        case Probe():
            return value.lease_id, frozen(value.batch)
        case Mapping():
            return tuple((frozen(key), frozen(each)) for key, each in value.items())
        case list() | tuple():
            return tuple(frozen(each) for each in value)
        case BaseException():
            return type(value), str(value)
    if is_dataclass(value):
        told = ("policy", "reason", "findings")
        return type(value), *(frozen(getattr(value, each.name)) for each in fields(value) if each.name not in told)
    return value
