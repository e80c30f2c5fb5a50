"""Whatever polls bring and wherever a consumer dies, no offset is in two micro-batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.streaming.cutting import Cutter, Source, span

SOURCE = Source("orders", 3)


@dataclass(frozen=True)
class Message:
    at: int

    def offset(self) -> int:
        return self.at


@given(st.sets(st.integers(0, 60), min_size=1), st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9), st.booleans()), max_size=30))
def test_judged_offsets_are_cut_where_they_were_cut_before(offsets: set[int], polls: list[tuple[int, int, bool]]):
    """Each poll: how many messages it brings, the size then, and whether the consumer dies before its commit."""
    log, committed, ledger = sorted(offsets), 0, set[str]()
    cutter, read = Cutter(SOURCE, 5), 0
    for brings, size, dies in [*polls, (100, 7, False)]:
        cutter.size = size
        new = [Message(at) for at in log if at >= read][:brings]
        cutter.waiting += new
        read = new[-1].at + 1 if new else read
        position = cutter.waiting[-1].at + 1 if cutter.waiting else 0
        while (batch := cutter.cut(position)) is not None:
            ledger.add(batch.name)
            if not dies:
                committed = batch.next_offset
        if dies:
            cutter, read = Cutter(SOURCE, size), committed
            cutter.learn([name for name in sorted(ledger) if SOURCE.start(committed) <= name < SOURCE.end])
    spans = sorted(map(span, ledger))
    assert all(first[1] < second[0] for first, second in pairwise(spans))
    assert [at for at in log if any(first <= at <= last for first, last in spans)] == log


def test_names_sort_as_offsets_do_and_end_with_their_partition():
    names = [SOURCE.name(first, first + 5) for first in (0, 9, 10, 99, 100, 10**12)]
    assert names == sorted(names)
    assert all(SOURCE.start(0) <= name < SOURCE.end for name in names)
    assert not SOURCE.start(0) <= Source("orders", 31).name(0, 1) < SOURCE.end
