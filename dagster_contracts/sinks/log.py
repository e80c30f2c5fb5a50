"""Events to the Python log, where the deployment's own log shipping picks them up."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from dagster_contracts.core.events import Event, EventType

ALARMS = frozenset({EventType.BREAKER_OPENED})
logger = logging.getLogger("dagster_contracts.events")


class LogSink:
    """One line an event: WARNING where a breaker opened, INFO otherwise. The line ends in the payload as JSON."""

    name = "log"

    def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            logger.log(logging.WARNING if event.type in ALARMS else logging.INFO, "%s", line_of(event))


def line_of(event: Event) -> str:
    """ASCII, without line breaks: type, message, payload as JSON."""
    document = json.dumps({"id": event.id, "at": event.at.isoformat(), **event.payload}, ensure_ascii=True, sort_keys=True)
    return f"{event.type} {event.message.encode('unicode_escape').decode('ascii')} {document}"
