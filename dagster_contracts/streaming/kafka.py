"""`KafkaStream`: reads a topic in micro-batches, judges each, sends it where the verdict says, and only then commits its offsets.

    consume -> cut -> decode -> judge (recorded) -> produce -> flush -> commit -> confirm

At least once: what is killed anywhere in between is delivered again, under the same name (see cutting.py), so that it counts once. The
order of a partition is kept: its messages go to one partition of the target, and none overtakes a micro-batch that is held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.errors import StoreUnavailable, UsageError
from dagster_contracts.core.plan import Present
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.ports import REASONS
from dagster_contracts.streaming.answers import Action, StreamVerdict
from dagster_contracts.streaming.cutting import Cutter, MicroBatch, Source
from dagster_contracts.streaming.decoding import Decoded, DecodeOne, decoded
from dagster_contracts.streaming.gate import StreamGate
from dagster_contracts.streaming.judged import Recut, Watch
from dagster_contracts.streaming.numbered import NumberedEngine, places
from dagster_contracts.streaming.sending import UNDECODABLE, Sender, Sent, Topics

if TYPE_CHECKING:
    from confluent_kafka import Consumer

logger = logging.getLogger("dagster_contracts.streaming")
_CONFIRMED_TOGETHER = 50
_OURS = ("enable.auto.commit", "enable.auto.offset.store")


class KafkaStream:
    """A consumer of one topic whose events are rows of `asset`.

    `config` is for both clients of librdkafka (`bootstrap.servers`, `group.id`, security); `producer_config` for the producer alone.
    Offsets are committed here: `enable.auto.commit` may not be set. `size`: most messages of a micro-batch; `wait`: seconds that a poll
    waits for them, and between two looks at the breaker while the stream is held. `partitions`: read these, for whoever assigns them to
    processes himself; without it, the group does. `decode`: one value -> one row as a mapping, raising ValueError for what is none; without
    it, values are JSON objects.

    Raises UsageError for arguments that cannot be, StreamGate's errors where no contract governs `asset`.
    """

    def __init__(
        self,
        gate: StreamGate,
        *,
        asset: str,
        topics: Topics,
        config: Mapping[str, object],
        producer_config: Mapping[str, object] | None = None,
        size: int = 1000,
        partitions: Sequence[int] | None = None,
        wait: float = 1.0,
        decode: DecodeOne | None = None,
    ):
        if wrong := [name for name in _OURS if name in config]:
            raise UsageError(f"{', '.join(wrong)} may not be set: offsets are committed after the verdict")
        if size < 1:
            raise UsageError(f"size is {size}, expected at least 1 message")
        self.gate, self.asset, self.topics, self.size, self.wait = gate.with_engine(NumberedEngine), asset, topics, size, wait
        self.consumer = _consumer(config)
        self.sender = Sender(topics, config, producer_config or {})
        self._decode = decode
        checks = (rule.check for rule in gate.terms(asset).plan.rules)
        self._columns = tuple(check.column for check in checks if isinstance(check, Present))
        self._cutters: dict[int, Cutter] = {}  # by partition
        self._waiting = False
        self._unconfirmed: list[StreamVerdict] = []
        self._ledger = Watch(self.gate, asset)
        if partitions is None:
            self.consumer.subscribe([topics.source], on_revoke=self._lose, on_lost=self._lose)
        else:
            self.consumer.assign(_stored(topics.source, partitions))

    # --- running ---------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False) -> Sent:
        """Step after step until `until` says so, which is asked before each. Closes the clients.

        Raises Halted where the stream halts, NotDelivered, StoreError where a person must mend the store, KafkaException.
        """
        try:
            while not until():
                self.step()
        finally:
            self.close()
        return self.sender.sent

    def step(self) -> None:
        """One poll, and everything that it completes: judged, sent, committed."""
        if self._waiting and not self._may_go_on():
            self._collect(self.consumer.consume(self.size, timeout=self.wait))
            return
        self._collect(self.consumer.consume(self.size, timeout=self.wait))
        done: list[MicroBatch] = []
        try:
            for cutter in list(self._cutters.values()):
                while self._is_known(cutter) and (batch := cutter.cut(self._position(cutter))) is not None:
                    if self._handled(batch, cutter):
                        done.append(batch)
        finally:
            self._commit(done)
        self._confirm(everything=not done)

    def close(self) -> None:
        """Leaves the group. What is not committed is delivered again."""
        self._confirm(everything=True)
        self.consumer.close()
        self.sender.flush()

    # --- reading ---------------------------------------------------------------------------------------------------

    def _collect(self, messages: Sequence[Any]) -> None:
        from confluent_kafka import KafkaError, KafkaException

        for message in messages:
            if (error := message.error()) is not None:
                if error.fatal() or error.code() not in (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                    raise KafkaException(error)
                continue
            partition = message.partition()
            cutter = self._cutters.get(partition)
            if cutter is None:
                cutter = self._cutters[partition] = Cutter(Source(self.topics.source, partition), self.size)
            cutter.waiting.append(message)

    def _position(self, cutter: Cutter) -> int:
        """What the consumer reads next: after the last message that it gave us."""
        return int(cutter.waiting[-1].offset()) + 1 if cutter.waiting else 0

    def _is_known(self, cutter: Cutter) -> bool:
        """Whether it is known what was judged of a partition already, and the stream is not held."""
        if self._waiting or not cutter.waiting:
            return False
        if not cutter.known:
            try:
                self._ledger.begin(cutter)
            except StoreUnavailable as error:
                self._without_store(error)
        return cutter.known

    def _lose(self, consumer: Consumer, partitions: Sequence[Any]) -> None:
        """Partitions go to another consumer, which is given everything that is not committed."""
        for gone in partitions:
            self._cutters.pop(gone.partition, None)

    # --- one micro-batch -------------------------------------------------------------------------------------------

    def _handled(self, batch: MicroBatch, cutter: Cutter) -> bool:
        """Judged and sent. False where it is held, or has to be cut again."""
        values = [(place, value) for place, message in enumerate(batch.messages) if (value := message.value()) is not None]
        if not values:
            self.sender.forward(batch.messages)  # tombstones alone: nothing to judge
            return True
        found = decoded([value for _, value in values], self._columns, self._decode)
        told, unless = (self._decodable(found),), self._ledger.watch(cutter, batch)
        try:
            verdict = self.gate.judge(found.frame, asset=self.asset, batch=batch.name, findings=told, unless=unless)
        except Recut:
            cutter.give_back(batch)
            cutter.known = False
            return False
        except StoreUnavailable as error:
            cutter.hold(batch)
            self._without_store(error)
            return False
        self._ledger.saw(verdict)
        self.sender.sent.judged += 1
        return self._sent(batch, cutter, verdict, _Rows(batch.messages, [place for place, _ in values], found))

    def _decodable(self, found: Decoded) -> Finding:
        """A message that is no row is a critical breach of the schema; it is set aside alone where the contract lets failing rows be."""
        broken, total = len(found.broken), len(found.rows) + len(found.broken)
        share = self.gate.terms(self.asset).policy.maximum_failing_share
        alone = share is not None and broken <= share * total
        outcome = Outcome.PASS if not broken else Outcome.WARN if alone else Outcome.FAIL
        plan = self.gate.terms(self.asset).plan
        example = f": {next(iter(found.broken.values()))[:200]}" if broken and not plan.masked else ""  # an error may quote a value
        observed = f"{broken:,} of {total:,} messages cannot be decoded{example}"
        return Finding(UNDECODABLE, Clause.SCHEMA, None, Severity.CRITICAL, outcome, observed, "0 messages", broken)

    def _sent(self, batch: MicroBatch, cutter: Cutter, verdict: StreamVerdict, rows: _Rows) -> bool:
        if verdict.action is Action.HALT:
            cutter.give_back(batch)
            raise verdict.halted()
        if verdict.action is Action.HOLD:
            logger.warning("%s is held: %s", batch.name, verdict.reason)
            cutter.hold(batch)
            self._hold()
            return False
        if verdict.action is Action.FORWARD:
            self.sender.forward_but(verdict, batch.messages, rows.aside(verdict))
            self._unconfirmed.append(verdict)
            return True
        self.sender.set_aside(verdict, batch.messages, rows.undecodable())
        return True

    # --- holding ---------------------------------------------------------------------------------------------------

    def _without_store(self, error: StoreUnavailable) -> None:
        if self.gate.when_open(self.asset) is Action.HALT:
            raise error
        logger.warning("%s waits: %s", self.topics.source, error)
        self._hold()

    def _hold(self) -> None:
        self._waiting = True
        self._pause()

    def _pause(self) -> None:
        """Polling goes on, or the group takes the partitions away; it brings nothing."""
        if assigned := self.consumer.assignment():
            self.consumer.pause(assigned)

    def _may_go_on(self) -> bool:
        try:
            passes = self.gate.may_pass(self.asset)
        except StoreUnavailable as error:
            logger.warning("%s still waits: %s", self.topics.source, error)
            passes = False
        if not passes:
            self._pause()  # what was assigned meanwhile, too
            return False
        self._waiting = False
        if assigned := self.consumer.assignment():
            self.consumer.resume(assigned)
        return True

    def _commit(self, done: Sequence[MicroBatch]) -> None:
        """After everything was taken by the broker. A commit that fails is no loss: its messages are delivered again."""
        from confluent_kafka import KafkaException, TopicPartition

        if not done:
            return
        self.sender.flush()
        ends = {batch.source: batch.next_offset for batch in done}
        try:
            offsets = [TopicPartition(source.topic, source.partition, offset) for source, offset in ends.items()]
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            logger.warning("offsets were not committed, their messages may come again: %s", error)

    def _confirm(self, *, everything: bool) -> None:
        if len(self._unconfirmed) < (1 if everything else _CONFIRMED_TOGETHER):
            return
        try:
            self.gate.confirm(*self._unconfirmed)
        except StoreUnavailable as error:
            logger.warning("the ledger is told later of %d micro-batches that went on: %s", len(self._unconfirmed), error)
            return
        self._unconfirmed.clear()


# --- rows and messages ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which message is which row: `valued` are the places of messages with a value, in the order in which they were decoded."""

    messages: Sequence[Any]
    valued: Sequence[int]
    found: Decoded

    def undecodable(self) -> set[int]:
        return {self.valued[place] for place in self.found.broken}

    def aside(self, verdict: StreamVerdict) -> dict[int, tuple[str, str]]:
        """Place -> (reason, rules) of the messages that do not go on with the others."""
        aside = dict.fromkeys(self.undecodable(), ("undecodable", UNDECODABLE))
        for row, broken in places(verdict.set_aside, REASONS):
            aside[self.valued[self.found.rows[row]]] = ("row", broken)
        return aside


def _stored(topic: str, partitions: Sequence[int]) -> list[Any]:
    from confluent_kafka import OFFSET_STORED, TopicPartition

    return [TopicPartition(topic, partition, OFFSET_STORED) for partition in partitions]


def _consumer(config: Mapping[str, object]) -> Consumer:
    try:
        from confluent_kafka import Consumer
    except ImportError as missing:
        raise UsageError("confluent-kafka is not installed; install dagster-contracts[kafka]") from missing
    return Consumer({"auto.offset.reset": "earliest", **config, "enable.auto.commit": False})
