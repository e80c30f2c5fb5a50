"""What the relay processes of sinks/test_kafka.py run. Importable and small, so that they start quickly."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import confluent_kafka  # noqa: F401  # so that forked processes have it

from dagster_contracts.core.events import Event
from dagster_contracts.ports import FixedClock
from dagster_contracts.relay import LEASE, Relay
from dagster_contracts.sinks.kafka import KafkaEvents
from dagster_contracts.store.sql import SqlStore
from tests.store.values import T0


class Dies(KafkaEvents):
    """The process is killed between delivery and cursor."""

    def deliver(self, events: Sequence[Event]) -> None:
        super().deliver(events)
        os.kill(os.getpid(), signal.SIGKILL)


def relay_until_nothing_waits(url: str, servers: str, topic: str, dies: bool) -> None:
    kind = Dies if dies else KafkaEvents
    relay = Relay(SqlStore(url, clock=FixedClock(T0 if dies else T0 + LEASE)), [kind(servers, topic)], limit=25)
    while any(told.events or told.failure is not None for told in relay.tick()):
        pass
