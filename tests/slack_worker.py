"""What the processes of tests/sinks/test_slack_relays.py run: relays that tell Slack, one of which dies where it is told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dagster_contracts.ports import FixedClock
from dagster_contracts.relay import Relay
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.store.sql import SqlStore
from tests.slack_server import TOKEN


class Forgetful(SqlStore):
    """Dies instead of remembering for the nth time (from 0) what was said."""

    dies = -1

    def keep_thread(self, sink: str, incident: str, thread: Mapping[str, Any]) -> None:
        if self.dies == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.dies -= 1
        super().keep_thread(sink, incident, thread)


def relay_of(url: str, slack: str, at: str, dies: int = -1) -> Relay:
    store = Forgetful(url, clock=FixedClock(datetime.fromisoformat(at)))
    store.dies = dies
    return Relay(store, [SlackAlerts("C0000001", TOKEN, base_url=slack).beside(store)])


def main() -> None:
    match sys.argv[1:]:
        case ["die", url, slack, at, dies]:
            relay_of(url, slack, at, int(dies)).tick()
        case ["until", stop, url, slack, at]:
            relay = relay_of(url, slack, at)
            while not Path(stop).exists():
                relay.tick()


if __name__ == "__main__":
    main()
