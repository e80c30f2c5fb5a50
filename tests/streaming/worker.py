"""What the processes of test_kafka_crashes.py run: a consumer loop, which ends by SIGKILL where it is told to."""

from __future__ import annotations

import os
import signal
from typing import Any

from dagster_contracts.store.sql import SqlStore
from dagster_contracts.streaming import StreamGate, Topics
from tests.streaming.lab import contract, stream

POINTS = ("before the verdict", "after the verdict", "half produced", "before the commit", "after the commit", "after the confirmation")


class Fate:
    """Dies the `nth` time that it comes to `point`."""

    def __init__(self, point: str | None, nth: int):
        self.point, self.nth, self.met = point, nth, 0

    def meets(self, point: str) -> None:
        if point == self.point:
            self.met += 1
            if self.met == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)


def consume(
    url: str, servers: str, topics: Topics, size: int, point: str | None, nth: int, partitions: Any = (0, 1), flag: Any = None
) -> None:
    """Until nothing comes any more, or until it dies. Without `partitions` it joins the group."""
    fate = Fate(point, nth)
    gate = StreamGate(contract(), SqlStore(url), when_open="divert", window="PT1H")
    found = stream(gate, servers, topics, size=size, wait=0.3, partitions=partitions)
    judge, commit, confirm, produce = found.gate.judge_new, found.consumer.commit, found.gate.confirm_names, found.sender.producer.produce

    def mortal_judge(*given: Any, **named: Any) -> Any:
        fate.meets("before the verdict")
        verdict = judge(*given, **named)
        fate.meets("after the verdict")
        return verdict

    def mortal_commit(**named: Any) -> Any:
        fate.meets("before the commit")
        done = commit(**named)
        fate.meets("after the commit")
        return done

    def mortal_confirm(asset: str, names: Any) -> Any:
        left = confirm(asset, names)
        if names:
            fate.meets("after the confirmation")
        return left

    class Produces:
        def __init__(self, producer: Any):
            self.producer, self.count = producer, 0

        def produce(self, *given: Any, **named: Any) -> None:
            self.count += 1
            if self.count % 7 == 0:
                self.producer.flush(10)
                fate.meets("half produced")
            produce(*given, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.producer, name)

    found.gate.judge_new, found.gate.confirm_names = mortal_judge, mortal_confirm  # type: ignore[method-assign]
    found.sender.producer = Produces(found.sender.producer)  # type: ignore[assignment]

    class Commits:
        def __init__(self, consumer: Any):
            self.consumer = consumer

        def commit(self, **named: Any) -> Any:
            return mortal_commit(**named)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.consumer, name)

    found.consumer = Commits(found.consumer)  # type: ignore[assignment]
    idle = 0
    while idle < (5 if found.sender.sent.judged else 100):
        before = found.sender.sent.judged
        found.step()
        idle = idle + 1 if found.sender.sent.judged == before else 0
        if flag is not None and found.sender.sent.judged:
            flag.set()
    found.close()
