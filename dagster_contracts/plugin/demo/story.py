"""The story of day 6, told by real Dagster runs on a real instance. It differs from production in the clock and the feed only.

D1-D5  good days
D6     the vendor renumbers risk_indicator: refused, the breaker opens, every consumer gets what its fallback says
D7     bad again; a probe fails and waits longer
D8     repaired, but the breaker is open: held
D9     a probe passes, day 8 is released, days 6 and 7 are delivered again, and everything is made anew
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import FALLEN, Batch, Output, OutputStatus, ReviewStatus, Route, RouteKind, Status
from dagster_contracts.core.route import strictest
from dagster_contracts.core.state import failures
from dagster_contracts.gate import Gate
from dagster_contracts.plugin.definitions import with_contracts
from dagster_contracts.plugin.demo import vendor
from dagster_contracts.plugin.demo.platform import platform
from dagster_contracts.plugin.drill import Drill
from dagster_contracts.plugin.private import instances, rebuilding
from dagster_contracts.plugin.relaying import RELAY
from dagster_contracts.plugin.resource import BreakerResource
from dagster_contracts.plugin.routing import staging_key
from dagster_contracts.plugin.sensors import HEAL, PROBE
from dagster_contracts.ports import FixedClock

FEED = "credit_bureau"
FIRST = datetime(2026, 6, 1, tzinfo=UTC)
CONTRACTS = Path(__file__).parent / "contracts"
MARKER = ".dagster_contracts_demo"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timeline. `state` is the breaker's after it."""

    day: str
    at: str
    what: str
    asset: str
    partition: str | None
    state: str
    message: str


@dataclass
class Story:
    """The demonstration while it runs."""

    directory: Path
    defs: dg.Definitions
    instance: dg.DagsterInstance
    gate: Gate
    clock: FixedClock
    tell: Callable[[Mapping[str, object]], None]
    rows: list[Row] = field(default_factory=list)
    served: dict[str, dict[str, str]] = field(default_factory=dict)
    bad_rows: int = 0
    released: int = 0
    transitions_told: int = 0

    # --- the plot ----------------------------------------------------------------------------------------------------

    def play(self) -> None:
        for number in range(1, 6):
            self.deliver(number, self.at(number, 6))
        self.deliver(6, self.at(6, 6), renumbered=True)
        self.run("scores", 6, "the consumers alone, in another run")
        self.deliver(7, self.at(7, 6), renumbered=True)
        self.at(7, 12)
        self.tick(PROBE)
        self.deliver(8, self.at(8, 6))
        self.at(9, 0)
        self.tick(PROBE)
        self.heal()
        self.at(9, 1)
        for number in (6, 7):
            vendor.drop(self.directory, day(number))
            self.say("redelivered", FEED, day(number), "the vendor delivers the repaired file")
            self.run("daily", number, "the feed alone", only=FEED)
        self.heal()

    def deliver(self, number: int, _moment: datetime, *, renumbered: bool = False) -> None:
        vendor.drop(self.directory, day(number), renumbered=renumbered)
        self.say(
            "delivered", FEED, day(number), "the vendor's file arrives" + (", risk_indicator renumbered to 1..100" if renumbered else "")
        )
        self.run("daily", number, "the daily job")

    def heal(self) -> None:
        while self.tick(HEAL):
            continue

    # --- what Dagster does -------------------------------------------------------------------------------------------

    def at(self, number: int, hour: int) -> datetime:
        self.clock.at = FIRST + timedelta(days=number - 1, hours=hour)
        return self.clock.at

    def run(self, job: str, number: int, why: str, *, only: str | None = None) -> None:
        if job == "scores":
            self.say("launched", job, day(number), why)
        selection = [dg.AssetKey(only)] if only else None
        result = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=day(number), asset_selection=selection, raise_on_error=False, run_config=QUIET
        )
        self.after(result, why)

    def tick(self, name: str) -> int:
        """One evaluation of one of the sensors, and the runs it asks for. Returns how many."""
        sensor = self.defs.resolve_sensor_def(name)
        context = dg.build_sensor_context(instance=self.instance, definitions=self.defs, sensor_name=name)
        requests = sensor.evaluate_tick(context).run_requests or []
        for request in requests:
            checks = set(request.asset_check_keys) if request.asset_check_keys is not None else None
            job = rebuilding.job_of(self.defs, set(request.asset_selection or []), checks)
            result = job.execute_in_process(
                instance=self.instance, partition_key=request.partition_key, tags=request.tags, raise_on_error=False, run_config=QUIET
            )
            self.after(result, f"asked for by the sensor {name}", probed=request.tags.get(instances.PARTITION) if name == PROBE else None)
        return len(requests)

    # --- what is told ------------------------------------------------------------------------------------------------

    def after(self, result: dg.ExecuteInProcessResult, why: str, *, probed: str | None = None) -> None:
        """Tell what a run did, from the ledger. `probed` is the partition that a probe run has judged."""
        run = result.run_id
        if probed is not None:
            verdict = self.gate.store.batches(asset=FEED, partition=probed, limit=1)[0].outcome
            self.say("probed", FEED, probed, f"{verdict.upper()}: judged in full from where it lies ({why})")
        for batch in reversed(self.gate.store.batches(asset=FEED)):
            if batch.run_id == run:
                self.say_batch(batch, why)
        self.say_transitions()
        for output in self.outputs_of(run):
            self.say_output(output)
        self.tick_relay()
        self.bad_rows = max(self.bad_rows, bad_rows(self.directory))

    def say_batch(self, batch: Batch, why: str) -> None:
        broken = ". ".join(failures(batch.verdict)) if batch.verdict else ""
        self.say("judged", FEED, batch.partition.key, f"{batch.outcome.upper()} ({why})" + (f". {broken}" if broken else ""))
        if batch.status is Status.QUARANTINED:
            self.say(
                "quarantined", FEED, batch.partition.key, f"nothing of it was published; it lies in {address(batch)} (batch {batch.id})"
            )
        elif batch.status is Status.HELD:
            self.say("held", FEED, batch.partition.key, "passed while the breaker is open: held, not published")
        elif why.endswith(HEAL):
            self.released += 1
            self.say("released", FEED, batch.partition.key, "the held batch is published")

    def say_transitions(self) -> None:
        known = list(reversed(self.gate.store.transitions(FEED)))
        for item in known[self.transitions_told :]:
            retry = self.breaker_retry() if item.to_state == "open" else ""
            self.say(
                f"breaker {item.to_state}",
                FEED,
                None,
                f"{item.from_state} -> {item.to_state}: {item.cause}{retry}",
                state=str(item.to_state),
            )
        self.transitions_told = len(known)

    def say_output(self, output: Output) -> None:
        route = strictest(output.inputs)
        assert route is not None
        self.served.setdefault(output.asset, {}).setdefault(str(output.partition.key), str(route.kind))
        if output.status is OutputStatus.OK:
            if self.was_degraded(output):
                self.say("healed", output.asset, output.partition.key, "computed again on fresh data, at full confidence")
            return
        what = {RouteKind.HALTED: "halted", RouteKind.LAST_GOOD: "served last_good", RouteKind.LOW_CONFIDENCE: "served low_confidence"}[
            route.kind
        ]
        self.say(what, output.asset, output.partition.key, route.reason if route.served is None else reading(route))
        if any(review.id == output.id for review in self.gate.store.reviews(statuses=(ReviewStatus.PENDING,))):
            self.say("review opened", output.asset, output.partition.key, "a person should look at this output")

    def say(self, what: str, asset: str, partition: str | None, message: str, *, state: str | None = None) -> None:
        breaker = self.gate.store.breakers([FEED])
        now = self.clock.at
        shown = state or (str(breaker[0].state) if breaker else "closed")
        row = Row(f"D{(now - FIRST).days + 1}", now.isoformat().replace("+00:00", "Z"), what, asset, partition, shown, message)
        self.rows.append(row)
        self.tell(asdict(row))

    def breaker_retry(self) -> str:
        retry = self.gate.store.breakers([FEED])[0].retry_at
        return f"; next probe after {retry:%Y-%m-%d %H:%MZ}" if retry else ""

    def outputs_of(self, run_id: str) -> list[Output]:
        return [output for output in reversed(self.gate.store.outputs()) if output.run_id == run_id]

    def was_degraded(self, output: Output) -> bool:
        return any(
            earlier.partition.key == output.partition.key and earlier.status is OutputStatus.HEALED
            for earlier in self.gate.store.outputs(asset=output.asset)
        )

    def tick_relay(self) -> None:
        context = dg.build_sensor_context(instance=self.instance, definitions=self.defs, sensor_name=RELAY)
        self.defs.resolve_sensor_def(RELAY).evaluate_tick(context)

    # --- the sum -----------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        store = self.gate.store
        healed = store.outputs(statuses=(OutputStatus.HEALED,))
        return {
            "bad_rows_published": self.bad_rows,
            "transitions": [
                {"from": str(t.from_state), "to": str(t.to_state), "cause": t.cause, "at": t.at.isoformat().replace("+00:00", "Z")}
                for t in reversed(store.transitions(FEED))
            ],
            "served": self.served,
            "held_released": self.released,
            "degraded_left": len(store.outputs(statuses=FALLEN)),
            "reviews_pending": len(store.reviews(statuses=(ReviewStatus.PENDING,))),
            "degraded_hours": hours_degraded(healed),
        }


def address(batch: Batch) -> str:
    """Where a batch lies that was set aside, below the demonstration's data."""
    return "/".join(staging_key(batch.asset, batch.staged).path) if batch.staged else "no storage"


def reading(route: Route) -> str:
    """What a consumer was given instead of fresh data."""
    place = "set aside" if route.staged else "instead" if route.served != route.requested else "as it stands"
    return f"reads {route.upstream} [{route.served}] {place}; its output is marked {route.confidence}"


def hours_degraded(healed: Sequence[Output]) -> dict[str, dict[str, float]]:
    """By consumer and partition: hours from the first output that was not of full confidence to the one that was."""
    hours: dict[str, dict[str, float]] = {}
    for output in healed:
        if output.ended_at is not None:
            hours.setdefault(output.asset, {})[str(output.partition.key)] = (output.ended_at - output.at) / timedelta(hours=1)
    return hours


def day(number: int) -> str:
    return (FIRST + timedelta(days=number - 1)).date().isoformat()


def bad_rows(directory: Path) -> int:
    """Rows in the feed's live place whose risk_indicator is none of the four classes: read off the files, not off the ledger."""
    count = 0
    for path in sorted((directory / "data" / FEED).glob("*.parquet")):
        count += int((~pd.read_parquet(path, columns=["risk_indicator"])["risk_indicator"].astype(str).isin(vendor.RISKS)).sum())
    return count


def run_demo(directory: str | Path, database_url: str | None, on_event: Callable[[Mapping[str, object]], None]) -> dict[str, Any]:
    """Play the story in `directory` (made anew) and return {version, timeline, summary}.

    Raises UsageError where the directory holds something that is not an earlier demonstration.
    """
    place = Path(directory).absolute()
    _prepare(place)
    logging.getLogger("dagster_contracts.events").addHandler(logging.NullHandler())  # the timeline tells what the log would
    with _dagster_home(place), dg.DagsterInstance.get() as instance:
        clock = FixedClock(FIRST)
        breakers = BreakerResource(url=database_url or "")
        defs = with_contracts(platform(), contracts=CONTRACTS, breakers=breakers, clock=clock, drill=Drill())
        gate = _gate(breakers, instance, clock)
        if gate.store.breakers([FEED]):
            raise UsageError(f"the database holds a breaker {FEED} already, and the demonstration begins from nothing; name an empty one")
        story = Story(place, defs, instance, gate, clock, on_event)
        story.play()
        return {"version": 1, "timeline": [asdict(row) for row in story.rows], "summary": story.summary()}


def _gate(breakers: BreakerResource, instance: dg.DagsterInstance, clock: FixedClock) -> Gate:
    from dagster_contracts.engines.local import default_engine

    return Gate(breakers.store(instance, clock), default_engine())


def _prepare(place: Path) -> None:
    if place.exists() and any(place.iterdir()) and not (place / MARKER).exists():
        raise UsageError(f"{place} is not empty and not an earlier demonstration; give another --directory")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / MARKER).touch()
    (place / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")


@contextmanager
def _dagster_home(place: Path) -> Iterator[None]:
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(place)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before
