"""What OpenTelemetry costs the gate: CPU of a judged batch with a route, over a store in memory and an engine that measures nothing.

    python benchmarks/telemetry.py [--rounds 400] [--json]

Each case runs in a process of its own, three times, interleaved; the median of the three is compared with the gate without any of it.
Real stores and real data take hundreds of times as long, so that the shares shown here are upper bounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BODY = """
import sys, time
{before}
from dagster_contracts.core.contract import Confidence
from dagster_contracts.gate import Gate
from tests.gate_world import GOOD, World, day
{after}
world = World()
def once(number):
    world.deliver(number % 25 + 1, GOOD, day(1))
    world.route("revenue", number % 25 + 1, Confidence.FULL)
for number in range(30):
    once(number)
begun = time.process_time()
for number in range({rounds}):
    once(number)
print((time.process_time() - begun) / {rounds})
"""
SDK = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
trace.set_tracer_provider(TracerProvider())
"""
BARE = """
for name in ("judge", "measured", "route", "claim", "settle", "transact"):
    setattr(Gate, name, getattr(Gate, name).__wrapped__)
"""
CASES = {
    "without telemetry": ("", BARE),
    "package absent": ("sys.modules['opentelemetry'] = None", ""),
    "not imported": ("", ""),
    "imported, no provider": ("import opentelemetry.trace, opentelemetry.metrics", ""),
    "recording (SDK, metrics and spans)": (SDK, ""),
}


def seconds(before: str, after: str, rounds: int) -> float:
    script = BODY.format(before=before, after=after, rounds=rounds)
    return float(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {case: [] for case in CASES}
    for _ in range(3):
        for case, (before, after) in CASES.items():
            taken[case].append(seconds(before, after, options.rounds))
    medians = {case: statistics.median(each) for case, each in taken.items()}
    bare = medians["without telemetry"]
    results = [{"case": case, "microseconds": round(each * 1e6, 1), "ratio": round(each / bare, 3)} for case, each in medians.items()]
    if options.json:
        print(json.dumps({"name": "telemetry", "results": results}, indent=2))
        return
    for result in results:
        print(f"{result['case']:36} {result['microseconds']:8.1f} µs  x{result['ratio']}")


if __name__ == "__main__":
    main()
