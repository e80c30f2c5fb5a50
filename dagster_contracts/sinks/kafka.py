"""Events to a Kafka topic as CloudEvents 1.0, in the binary mode of its Kafka protocol binding: attributes are headers, the payload is the
value. The key is the breaker, so that a breaker's events stand in one partition, in order."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.errors import DeliveryFailed, UsageError
from dagster_contracts.core.events import Event, rfc3339, schema_of, type_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

logger = logging.getLogger("dagster_contracts.kafka")
# Of every producer the client says that a setting of ours is experimental; of a broker that is down it says so with every attempt to
# connect, many times a second, and what it says is in the DeliveryFailed.
_UNSAID = ("CONFWARN ", "FAIL ")
logger.addFilter(lambda record: not record.getMessage().startswith(_UNSAID))

# Messages are never dropped one by one, which would leave a gap: what is not told when deliver() gives up is purged as a whole.
_LONGER_THAN_ANY_DELIVERY = 10 * 60 * 1000
_DEFAULTS: Mapping[str, object] = {"linger.ms": 5, "client.id": "dagster-contracts"}
_OURS: Mapping[str, object] = {
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "acks": "all",
    "message.timeout.ms": _LONGER_THAN_ANY_DELIVERY,
}


@dataclass
class KafkaEvents:
    """An EventSink. Connects at the first delivery, and anew after a failed one.

    `bootstrap_servers`, and the values of `options` (librdkafka's names, such as "sasl.password"), may be `dagster.EnvVar`s: they are
    looked up when it connects, and are never shown. `source` is the CloudEvents source: an id is unique within it, so that two databases
    that tell the same topic need two. Of `options`, idempotence and acks are ours: the producer is idempotent, and waits for all replicas.

    Raises UsageError where the extra `kafka` is not installed.
    """

    bootstrap_servers: str = field(repr=False)
    topic: str
    source: str = "/dagster-contracts"
    name: str = "kafka"
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: timedelta = timedelta(seconds=10)
    _heard: str = field(default="", init=False, repr=False, compare=False)
    _producer: Producer | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("confluent_kafka") is None:
            raise UsageError("KafkaEvents needs confluent-kafka; install it with `pip install 'dagster-contracts[kafka]'`")

    def deliver(self, events: Sequence[Event]) -> None:
        """Returns once the brokers have acknowledged every event. Raises DeliveryFailed after `timeout`, or where one is refused."""
        from confluent_kafka import KafkaException

        reports = _Reports()
        try:
            producer = self._connected()
            self._produce(producer, events, reports)
            left = producer.flush(self.timeout.total_seconds())
        except KafkaException as error:
            self._give_up()
            raise DeliveryFailed(self._told(error.args[0].str()), delivered=reports.delivered) from None
        late = f"no acknowledgement within {self.timeout.total_seconds():g} s" + (f" ({self._heard})" if self._heard else "")
        if why := reports.refused or (late if left else ""):
            self._give_up()
            raise DeliveryFailed(self._told(why), delivered=reports.delivered)

    def _produce(self, producer: Producer, events: Sequence[Event], reports: _Reports) -> None:
        """What the client itself refuses (too large) holds back the rest of its breaker, and nothing else."""
        from confluent_kafka import KafkaException

        stopped: set[str] = set()
        for event in events:
            if event.key in stopped:
                continue
            try:
                value, headers = json.dumps(event.payload, ensure_ascii=True).encode(), self._headers(event)
                producer.produce(self.topic, key=_bytes(event.key), value=value, headers=headers, on_delivery=reports.of(event))
            except (KafkaException, BufferError) as error:
                stopped.add(event.key)
                reports.refuse(event, str(error))

    def _connected(self) -> Producer:
        if self._producer is None:
            from confluent_kafka import Producer

            self._producer = Producer(self._configuration())
        return self._producer

    def _configuration(self) -> dict[str, Any]:
        given = {name: _looked_up(value) for name, value in self.options.items()}
        servers = {"bootstrap.servers": _looked_up(self.bootstrap_servers)}
        return {**_DEFAULTS, **given, **servers, **_OURS, "logger": logger, "error_cb": self._hear}

    def _hear(self, error: KafkaError) -> None:
        self._heard = error.str()

    def _give_up(self) -> None:
        """What is under way is dropped all at once: of a partition, a beginning may have arrived, and never a later part alone."""
        from confluent_kafka import KafkaException

        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # it says once more that what is dropped was not delivered
                producer.purge(in_flight=False)
                producer.flush(0)

    def _headers(self, event: Event) -> list[tuple[str, str | bytes | None]]:
        attributes = {
            "ce_specversion": "1.0",
            "ce_id": event.id,
            "ce_source": self.source,
            "ce_type": type_of(event.type),
            "ce_time": rfc3339(event.at),
            "ce_subject": str(event.payload.get("asset", event.key)),
            "ce_dataschema": schema_of(event.type),
            "content-type": "application/json",
        }
        return [(name, _bytes(value)) for name, value in attributes.items()]

    def _told(self, why: str) -> str:
        return f"topic {self.topic}: {why}"


class _Reports:
    """What the brokers say of each message."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.refused = ""

    def of(self, event: Event) -> Any:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.delivered.append(event.id)
            else:
                self.refuse(event, error.str())

        return report

    def refuse(self, event: Event, why: str) -> None:
        self.refused = self.refused or f"{event.id}: {why}"


def _looked_up(value: str) -> str:
    """The value of an environment variable where it is one of Dagster's, which this room does not know."""
    get = getattr(value, "get_value", None)
    if get is None:
        return value
    found = get()
    if not found:
        raise DeliveryFailed(f"the environment variable {getattr(value, 'env_var_name', '')} is not set")
    return str(found)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
