"""Where messages go: on, or aside with what was found. What a broker does not take is an error, and nothing of it is committed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.errors import DagsterContractsError
from dagster_contracts.core.wording import counted
from dagster_contracts.streaming import letters
from dagster_contracts.streaming.answers import Action, StreamVerdict

if TYPE_CHECKING:
    from confluent_kafka import Message, Producer

logger = logging.getLogger("dagster_contracts.streaming")
UNDECODABLE = "decodable"  # the rule that a message which is no row breaks
_CONSUMERS_OWN = ("group.", "auto.offset", "partition.assignment", "session.", "heartbeat.", "max.poll", "fetch.", "queued.")


class NotDelivered(DagsterContractsError):
    """The broker did not take what a stream sent. Nothing of it is committed: it is delivered again."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Where messages come from and go to. `parked` is for what is diverted; without it, that goes to the dead letters too."""

    source: str
    target: str
    dead_letters: str
    parked: str = ""


@dataclass(slots=True)
class Sent:
    """What one stream has sent so far, in messages, and how many micro-batches it has judged."""

    judged: int = 0
    forwarded: int = 0
    dead_letters: int = 0
    diverted: int = 0


class Sender:
    """Keeps the order of each partition: its messages go to one partition of a target, the same one (modulo its number of partitions)."""

    def __init__(self, topics: Topics, config: Mapping[str, object], producer_config: Mapping[str, object]):
        self.topics, self.sent = topics, Sent()
        self._failed: list[str] = []
        self._targets: dict[str, int] = {}
        self.producer = _producer(config, producer_config, self._not_taken)

    def forward(self, messages: Sequence[Any]) -> None:
        """Messages of one partition."""
        topic, produce = self.topics.target, self.producer.produce
        partition = messages[0].partition() % self._partitions(topic) if messages else 0
        for message in messages:
            if headers := message.headers():
                self._produce(topic, message, letters.others(headers))
                continue
            at = message.timestamp()[1]
            try:  # what is done for each message of a stream: nothing is looked up that need not be, and names cost a third of the call
                produce(topic, message.value(), message.key(), partition, None, None, at if at > 0 else 0)
            except BufferError:
                self._produce(topic, message, None)
        self.sent.forwarded += len(messages)

    def forward_but(self, verdict: StreamVerdict, messages: Sequence[Message], aside: Mapping[int, tuple[str, str]]) -> None:
        """All of them, but those at the places `aside`, which become dead letters for their (reason, rules)."""
        if not aside:
            self.forward(messages)
            return
        self.forward([message for place, message in enumerate(messages) if place not in aside])
        for place, (why, broken) in sorted(aside.items()):
            self._letter(self.topics.dead_letters, messages[place], letters.headers(verdict), why, broken)
        self.sent.dead_letters += len(aside)

    def set_aside(self, verdict: StreamVerdict, messages: Sequence[Message], undecodable: Collection[int]) -> None:
        """A whole micro-batch: to the dead letters, or where what is diverted goes. `undecodable`: the places of those that are no row."""
        bad = verdict.action is Action.DEAD_LETTER
        topic = self.topics.dead_letters if bad else self.topics.parked or self.topics.dead_letters
        logger.warning("%d messages go to %s: %s", len(messages), topic, verdict.reason)
        common, broken = letters.headers(verdict), letters.rules(verdict.judgement.verdict)
        for place, message in enumerate(messages):
            self._letter(topic, message, common, "undecodable" if place in undecodable else "quarantined" if bad else "held", broken)
        self.sent.dead_letters += len(messages) if bad else 0
        self.sent.diverted += 0 if bad else len(messages)

    def flush(self) -> None:
        """Until the broker has taken everything. Raises NotDelivered."""
        left = self.producer.flush(60)
        if left or self._failed:
            told = "; ".join(dict.fromkeys(self._failed)) or f"{counted(left, 'message')} not taken in a minute"
            raise NotDelivered(f"{told}; nothing of these micro-batches is committed, they are delivered again")

    def _letter(self, topic: str, message: Message, common: letters.Headers, why: str, broken: str) -> None:
        source = f"{message.topic()}/{message.partition()}/{message.offset()}"
        self._produce(topic, message, [*letters.others(message.headers()), *letters.reason(why, broken, source), *common])

    def _produce(self, topic: str, message: Message, headers: Any) -> None:
        partition = int(message.partition() or 0) % self._partitions(topic)
        arguments: dict[str, Any] = {"headers": headers} if headers else {}
        while True:
            try:
                self.producer.produce(
                    topic, message.value(), message.key(), partition, timestamp=max(0, message.timestamp()[1]), **arguments
                )
            except BufferError:
                self.producer.poll(0.1)
                continue
            return

    def _not_taken(self, error: object, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()} [{message.partition()}] was not written to: {error}")

    def _partitions(self, topic: str) -> int:
        if topic not in self._targets:
            known = self.producer.list_topics(topic, timeout=30).topics[topic]
            if known.error is not None:
                raise NotDelivered(f"the topic {topic} cannot be written to: {known.error.str()}; create it first")
            self._targets[topic] = len(known.partitions)
        return self._targets[topic]


def _producer(config: Mapping[str, object], own: Mapping[str, object], failed: Any) -> Producer:
    from confluent_kafka import Producer

    shared = {name: value for name, value in config.items() if not name.startswith(_CONSUMERS_OWN)}
    reports = {"on_delivery": failed, "delivery.report.only.error": True}
    return Producer({**shared, "enable.idempotence": True, **own, **reports})
