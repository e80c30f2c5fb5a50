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

    def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            level = logging.WARNING if event.type in ALARMS else logging.INFO
            document = json.dumps({"id": event.id, "at": event.at.isoformat(), **event.payload}, ensure_ascii=True, sort_keys=True)
            logger.log(level, "%s %s %s", event.type, event.message.encode("unicode_escape").decode("ascii"), document)
