"""Which messages of one Kafka partition are one micro-batch, and what it is called: "orders/0/000000000001000-000000000001999".

What one poll brought is cut, at most `size` messages a piece. The verdict's transaction records the name, and with it where the cut is: a
consumer that starts again, or takes a partition over, cuts what was judged already exactly there. So no event is judged in two
micro-batches, whatever was committed. Offsets have fifteen digits, so that names sort as offsets do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """One partition of one topic."""

    topic: str
    partition: int

    def name(self, first: int, last: int) -> str:
        return f"{self.start(first)}-{last:015}"

    def start(self, offset: int) -> str:
        """Names of micro-batches that begin at `offset` or later are not less than this."""
        return f"{self.topic}/{self.partition}/{offset:015}"

    @property
    def end(self) -> str:
        """Greater than every name of this partition, and of no other."""
        return f"{self.topic}/{self.partition}/:"


def span(name: str) -> tuple[int, int]:
    """First and last offset of a micro-batch."""
    first, _, last = name.rpartition("/")[2].partition("-")
    return int(first), int(last)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Messages of one partition in their order, never none; tombstones (no value) among them. `known`: it may have been judged before."""

    source: Source
    name: str
    messages: tuple[Any, ...]
    known: bool = False

    @property
    def next_offset(self) -> int:
        """The one to commit, once it is done with."""
        return max(span(self.name)[1], int(self.messages[-1].offset())) + 1


@dataclass(slots=True)
class Cutter:
    """What has been read of one partition and not judged yet. `judged` are the names known from the ledger, in order."""

    source: Source
    size: int
    judged: list[str] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    known: bool = False  # `judged` has been read

    def cut(self, position: int) -> MicroBatch | None:
        """The next micro-batch. None where there is nothing, or a piece that was judged before is not complete yet.

        `position` is the offset that the consumer reads next: what lies before it and is not here does not exist any more.
        """
        if not self.waiting:
            return None
        first = self.waiting[0].offset()
        self.judged = [name for name in self.judged if span(name)[1] >= first]
        if not self.judged:
            return self._take(min(len(self.waiting), self.size), None)
        start, last = span(self.judged[0])
        if first < start:
            return self._take(min(self._before(start), self.size), None)
        return self._take(self._before(last + 1), self.judged[0]) if position > last else None

    def give_back(self, batch: MicroBatch) -> None:
        """It was not judged, or has to be judged again."""
        self.waiting = [*batch.messages, *self.waiting]

    def hold(self, batch: MicroBatch) -> None:
        """It has been judged, or may have been, and will be again: under the same name."""
        self.give_back(batch)
        self.learn([batch.name])

    def learn(self, names: Sequence[str]) -> None:
        self.judged = sorted({*self.judged, *names})

    def _before(self, offset: int) -> int:
        return sum(message.offset() < offset for message in self.waiting)

    def _take(self, count: int, name: str | None) -> MicroBatch:
        taken, self.waiting = tuple(self.waiting[:count]), self.waiting[count:]
        return MicroBatch(self.source, name or self.source.name(taken[0].offset(), taken[-1].offset()), taken, known=name is not None)
