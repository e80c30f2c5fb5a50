"""What was judged of a topic already, by whomever: read from the ledger, and watched while others may judge there too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dagster_contracts.core.ledger import Status
from dagster_contracts.core.snapshot import Snapshot
from dagster_contracts.streaming.answers import StreamVerdict
from dagster_contracts.streaming.cutting import Cutter, MicroBatch, Source
from dagster_contracts.streaming.gate import StreamGate


class Recut(Exception):
    """Another consumer has judged a part of these messages under another name: they are cut again, where it did."""


@dataclass(slots=True)
class Watch:
    """Knows from the ledger what was judged of each partition, and notices where another consumer judges there too.

    As long as nobody but us changes the breaker, nobody has judged anything: then the ledger need not be asked.
    """

    gate: StreamGate
    asset: str
    version: int | None = None  # of the breaker after our latest verdict
    changes: int = 0  # made by others, as far as seen
    seen: dict[Source, int] = field(default_factory=dict)  # `changes` when a partition was last looked at

    def begin(self, cutter: Cutter) -> None:
        """Where the micro-batches end that were judged of what waits. What was judged before that had gone on, for it was committed."""
        source, store, offset = cutter.source, self.gate.store, cutter.waiting[0].offset()
        cutter.learn(store.places(self.asset, source.start(offset), source.end))
        self.gone_on(source, offset)
        self.seen.pop(source, None)
        cutter.known = True

    def gone_on(self, source: Source, offset: int) -> None:
        """What was judged of a partition up to an offset that was committed: its judge may have died before it could say so."""
        done = self.gate.store.places(self.asset, source.start(0), source.start(offset), statuses=(Status.PUBLISHING,))
        self.gate.confirm_names(self.asset, done)

    def watch(self, given: Sequence[tuple[Cutter, MicroBatch]]) -> Callable[[Snapshot], None]:
        """For micro-batches that are judged together, of each partition in order: raises Recut where another consumer has judged of it
        what we do not know of, from there on; later ones are not looked for again."""
        starts: dict[Source, tuple[str, Cutter]] = {}
        for cutter, batch in given:
            starts.setdefault(batch.source, (batch.source.start(batch.messages[0].offset()), cutter))

        def unless(snapshot: Snapshot) -> None:
            version = snapshot.breaker.version if snapshot.breaker is not None else 0
            if version != self.version:
                self.version, self.changes = version, self.changes + 1
            unseen = [source for source in starts if snapshot.batch is None and self.seen.get(source) != self.changes]
            for source in unseen:
                start, cutter = starts[source]
                if set(self.gate.store.places(self.asset, start, source.end)) - set(cutter.judged):
                    raise Recut
                self.seen[source] = self.changes

        return unless

    def saw(self, verdict: StreamVerdict) -> None:
        """The last of those that were recorded together."""
        self.version = verdict.judgement.breaker.version + 1
