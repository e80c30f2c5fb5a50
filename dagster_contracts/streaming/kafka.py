"""`KafkaStream`: reads a topic in micro-batches, judges each, sends it where the verdict says, and only then commits its offsets.

    consume -> cut -> decode -> judge (recorded) -> produce -> flush -> commit -> confirm

Where more than one micro-batch waits already, their verdicts are one transaction, and they are flushed and committed together: once the
next ones are judged, where still more waits, so that the broker is not waited for.

At least once: what is killed anywhere in between is delivered again, under the same name (see cutting.py), so that it counts once. The
order of a partition is kept: its messages go to one partition of the target, and none overtakes a micro-batch that is held.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.errors import StoreUnavailable, UsageError
from dagster_contracts.core.plan import Present
from dagster_contracts.streaming.answers import Action, StreamVerdict
from dagster_contracts.streaming.cutting import Cutter, MicroBatch, Source
from dagster_contracts.streaming.decoding import Decoded, DecodeOne, decoded
from dagster_contracts.streaming.gate import MicroFrame, StreamGate
from dagster_contracts.streaming.judged import Recut, Watch
from dagster_contracts.streaming.numbered import NumberedEngine
from dagster_contracts.streaming.rows import Rows, decodable
from dagster_contracts.streaming.sending import Sender, Sent, Topics

if TYPE_CHECKING:
    from confluent_kafka import Consumer

logger = logging.getLogger("dagster_contracts.streaming")
_CONFIRMED_TOGETHER = 50
_TOGETHER = 8  # most micro-batches whose verdicts are one transaction: where so much waits, one of each would be what it waits for
_COMMITTED_SECONDS = 5
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
        gate.terms(asset)  # it is governed
        self.gate, self.asset, self.topics, self.size, self.wait = gate.with_engine(NumberedEngine), asset, topics, size, wait
        self.consumer = _consumer(config)
        self.sender = Sender(topics, config, producer_config or {})
        self._decode = decode
        self._cutters: dict[int, Cutter] = {}  # by partition
        self._rest: list[Any] = []  # polled, and not with a cutter yet
        self._together = _TOGETHER
        self._waiting = False
        self._sent: list[_Sent] = []  # and not committed
        self._unconfirmed: list[str] = []  # names of micro-batches that went on
        self._ledger = Watch(self.gate, asset)
        self._silent: set[int] = set()  # partitions of which nothing has come, and the ledger knows what went on
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
        """One poll, and everything that it completes: judged and sent. Committed too, but where more waits already: then that is judged
        while the broker takes this, and the step that sends it commits this first."""
        held = self._waiting and not self._may_go_on()
        more, judged = self._poll(), False
        if held:
            return
        try:
            with _uncollected():
                while group := self._cut():
                    judged = True
                    self._handle(group)
            more = more and not self._waiting
        except BaseException:
            more = False
            raise
        finally:
            if not more:
                self.commit()
        self._confirm(everything=not judged)
        if not judged:
            self._confirm_silent()

    def commit(self) -> None:
        """Wait until the broker has taken everything that was sent, and commit it. Raises NotDelivered.

        A commit that fails is no loss: its messages are delivered again.
        """
        from confluent_kafka import KafkaException, TopicPartition

        if not self._sent:
            return
        self.sender.flush()
        sent, self._sent = self._sent, []
        ends = {each.source: each.next_offset for each in sent}
        try:
            offsets = [TopicPartition(source.topic, source.partition, offset) for source, offset in ends.items()]
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            logger.warning("offsets were not committed, their messages may come again: %s", error)
        self._unconfirmed += [each.name for each in sent if each.forwarded]

    def close(self) -> None:
        """Leaves the group. What is not committed is delivered again."""
        try:
            self.commit()
            self._confirm(everything=True)
        finally:
            self.consumer.close()
        self.sender.flush()

    # --- reading ---------------------------------------------------------------------------------------------------

    def _poll(self) -> bool:
        """One micro-batch of messages, or what has come of it in time; more where they are here already, in whole micro-batches.

        Returns whether still more wait.
        """
        came = self.consumer.consume(self.size - len(self._rest), timeout=self.wait)
        self._rest += came
        whole, more = len(self._rest), self.size * (_TOGETHER - 1)
        if whole == self.size:
            with _uncollected():
                came = self.consumer.consume(more, timeout=0)
            self._rest += came
            whole = len(self._rest) // self.size * self.size
        self._collect(self._rest[:whole])
        self._rest = self._rest[whole:]
        return len(came) == more

    def _collect(self, messages: Sequence[Any]) -> None:
        """To the cutters of their partitions."""
        from confluent_kafka import KafkaError, KafkaException, Message

        if errors := [error for error in map(Message.error, messages) if error is not None]:
            for error in errors:
                if error.fatal() or error.code() not in (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                    raise KafkaException(error)
            messages = [message for message in messages if message.error() is None]
        its_partition: Any = Message.partition
        for partition, found in groupby(messages, key=its_partition):
            if partition not in self._cutters:
                self._cutters[partition] = Cutter(Source(self.topics.source, partition), self.size)
            self._cutters[partition].waiting.extend(found)

    def _cut(self) -> list[Rows]:
        """The next micro-batches to be judged in one transaction; alone what may have been judged before, or has nothing to judge."""
        group: list[Rows] = []
        for cutter in list(self._cutters.values()):
            while len(group) < self._together and self._is_known(cutter) and (batch := cutter.cut(self._position(cutter))) is not None:
                rows = Rows.of(cutter, batch)
                if (batch.known or not rows.values) and group:
                    cutter.give_back(batch)
                    return group
                group.append(rows)
                if batch.known or not rows.values:
                    return group
        return group

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
        self.commit()
        gone = {each.partition for each in partitions}
        self._rest = [message for message in self._rest if message.partition() not in gone]
        self._silent -= gone
        for partition in gone:
            self._cutters.pop(partition, None)

    # --- micro-batches ---------------------------------------------------------------------------------------------

    def _handle(self, group: Sequence[Rows]) -> None:
        """Judge them, and send one after the other. Those that are not done with wait, as they were or to be cut again."""
        if not group[0].values:  # tombstones alone: nothing to judge
            self.commit()
            self.sender.forward(group[0].batch.messages)
            self._sent.append(_Sent.of(group[0].batch, forwarded=False))
            return
        try:
            terms = self.gate.terms(self.asset)
            columns = [rule.check.column for rule in terms.plan.rules if isinstance(rule.check, Present)]
            found = [decoded(rows.values, columns, self._decode) for rows in group]
            frames = [MicroFrame(rows.batch.name, each.frame, (decodable(each, terms),)) for rows, each in zip(group, found, strict=True)]
            unless = self._ledger.watch([(rows.cutter, rows.batch) for rows in group])
            verdicts = self.gate.judge_new(frames, asset=self.asset, unless=unless, terms=terms)
        except Recut:
            self.commit()  # what the ledger knows of it is looked at anew, and says that what lies before has gone on
            self._give_back(group)
            for rows in group:
                rows.cutter.known = False
            return
        except StoreUnavailable as error:
            self._keep(group)
            self._without_store(error)
            return
        except BaseException:  # whoever goes on after that has lost nothing
            self._keep(group)
            raise
        self._give_back(group[len(verdicts) :])
        self._ledger.saw(verdicts[-1])
        self._together = _TOGETHER if verdicts[-1].action is Action.FORWARD else 1  # else each of them may be answered otherwise
        self.sender.sent.judged += len(verdicts)
        self.commit()  # of what was sent before: the broker took it meanwhile
        for rows, verdict, each in zip(group, verdicts, found, strict=False):
            self._send(rows, verdict, each)

    def _keep(self, group: Sequence[Rows]) -> None:
        """They may have been judged: under the same names, they will be."""
        for rows in reversed(group):
            rows.cutter.hold(rows.batch)

    def _give_back(self, group: Sequence[Rows]) -> None:
        for rows in reversed(group):
            rows.cutter.give_back(rows.batch)

    def _send(self, rows: Rows, verdict: StreamVerdict, found: Decoded) -> None:
        batch = rows.batch
        if verdict.action is Action.HALT:
            rows.cutter.hold(batch)
            raise verdict.halted()
        if verdict.action is Action.HOLD:
            logger.warning("%s is held: %s", batch.name, verdict.reason)
            rows.cutter.hold(batch)
            self._hold()
            return
        if verdict.action is Action.FORWARD:
            self.sender.forward_but(verdict, batch.messages, rows.aside(found, verdict))
        else:
            self.sender.set_aside(verdict, batch.messages, rows.undecodable(found))
        self._sent.append(_Sent.of(batch, forwarded=verdict.action is Action.FORWARD))

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

    def _confirm(self, *, everything: bool) -> None:
        if len(self._unconfirmed) < (1 if everything else _CONFIRMED_TOGETHER):
            return
        try:
            self.gate.confirm_names(self.asset, self._unconfirmed)
        except StoreUnavailable as error:
            logger.warning("the ledger is told later of %d micro-batches that went on: %s", len(self._unconfirmed), error)
            return
        self._unconfirmed.clear()

    def _confirm_silent(self) -> None:
        """Of partitions from which nothing comes: what was committed of them had gone on, whoever judged it. Asked once for each."""
        from confluent_kafka import KafkaException

        known = self._silent | self._cutters.keys()
        if not (quiet := [each for each in self.consumer.assignment() if each.partition not in known]):
            return
        try:
            for each in self.consumer.committed(quiet, timeout=_COMMITTED_SECONDS):
                if each.offset > 0:
                    self._ledger.gone_on(Source(self.topics.source, each.partition), each.offset)
                self._silent.add(each.partition)
        except (KafkaException, StoreUnavailable) as error:
            logger.warning("what went on of partitions without news is told later: %s", error)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is remembered of a micro-batch until its offset is committed: not its messages."""

    source: Source
    name: str
    next_offset: int
    forwarded: bool

    @classmethod
    def of(cls, batch: MicroBatch, *, forwarded: bool) -> _Sent:
        return cls(batch.source, batch.name, batch.next_offset, forwarded)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Thousands of messages and rows live for a moment, and none is in a cycle. The collector would look through them over and over, take
    them for objects that stay, and then look through all that the process has: a fifth of the time of a stream. Never while it waits."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- clients -------------------------------------------------------------------------------------------------------


def _stored(topic: str, partitions: Sequence[int]) -> list[Any]:
    from confluent_kafka import OFFSET_STORED, TopicPartition

    return [TopicPartition(topic, partition, OFFSET_STORED) for partition in partitions]


def _consumer(config: Mapping[str, object]) -> Consumer:
    try:
        from confluent_kafka import Consumer
    except ImportError as missing:
        raise UsageError("confluent-kafka is not installed; install dagster-contracts[kafka]") from missing
    return Consumer({"auto.offset.reset": "earliest", **config, "enable.auto.commit": False})
