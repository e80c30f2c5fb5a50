"""One of two daemons on one instance and one store: told a time and a round, it ticks every sensor and runs what they ask for.

python -m tests.plugin.two_daemons FOLDER URL
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg
import pandas as pd

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.core.events import Event
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.sql import SqlStore
from tests.plugin.lab import DAYS, FIRST, World, dagster_home

BAD = "bad"  # file of the folder: the days on which the vendor delivers badly
SENSORS = ("contracts_probe", "contracts_heal", "contracts_relay")


class Told:
    """An EventSink that both daemons write to."""

    name = "told"

    def __init__(self, folder: Path):
        self.path = folder / "told"

    def deliver(self, events: Sequence[Event]) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{event.key} {event.sequence} {event.type}\n" for event in events)


def definitions(folder: Path, url: str, clock: FixedClock) -> dg.Definitions:
    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> pd.DataFrame:
        is_bad = context.partition_key in (folder / BAD).read_text().split()
        return pd.DataFrame({"customer_id": [1, 2], "risk": ["7", "8"] if is_bad else ["HIGH", "LOW"], "read": context.partition_key})

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "stale"})
    def scores(feed: pd.DataFrame) -> str:
        return str(feed["read"].iloc[0])

    breakers = BreakerResource(url=url)
    return with_contracts(
        dg.Definitions(assets=[feed, scores]), contracts=folder / "contracts", breakers=breakers, clock=clock, sinks=[Told(folder)]
    )


def tick(world: World) -> list[str]:
    """Every sensor once, and its runs, but those that the instance has had: as the daemon asks it, by run key."""
    ran: list[str] = []
    for name in SENSORS:
        for request in world.tick(name):
            key = {"dagster/run_key": str(request.run_key), "dagster/sensor_name": name}
            if not world.instance.get_runs(dg.RunsFilter(tags=key)):
                world.launch(_tagged(request, key))
                ran.append(f"{name} {request.run_key}")
    return ran


def _tagged(request: dg.RunRequest, tags: dict[str, str]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=request.partition_key,
        tags={**request.tags, **tags},
        asset_selection=request.asset_selection,
        asset_check_keys=request.asset_check_keys,
    )


def main(folder: Path, url: str) -> None:
    clock = FixedClock(FIRST)
    with dagster_home(folder) as instance:
        world = World(definitions(folder, url, clock), instance, clock, SqlStore(url, clock=clock))
        print("ready", flush=True)
        for line in sys.stdin:
            clock.at = datetime.fromisoformat(line.strip())
            print("; ".join(tick(world)) or "nothing", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
