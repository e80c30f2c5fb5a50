"""`backtest`: what would a contract have done with what was delivered? Nothing is recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.calibrate import case_of, incidents_of
from dagster_contracts.cli.printing import print_json, print_table, print_text
from dagster_contracts.cli.wording import clock
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.durations import format_duration
from dagster_contracts.core.wording import duration, rfc3339

if TYPE_CHECKING:
    from dagster_contracts.calibration.incidents import Incident
    from dagster_contracts.calibration.replay import Replay, Trip
    from dagster_contracts.chaos.remedy import Case


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"


def backtest(
    contract: Annotated[Path, typer.Argument(metavar="CONTRACT", help="The contract file.", show_default=False)],
    newer: Annotated[
        Path | None, typer.Argument(metavar="[NEWER]", help="Another version of it, to be compared.", show_default=False)
    ] = None,
    history: Annotated[
        list[str],
        typer.Option(
            "--history",
            metavar="PLACE",
            help="Stored batches, a file each, in the order of their names: a file, a folder, a glob or an s3:// address; may be given "
            "several times.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer wants a list; it is never changed
    incidents: Annotated[
        Path | None,
        typer.Option(
            "--incidents",
            metavar="FILE",
            help="The bad ones among them, YAML or JSON: a list of {partition, what, rule}; A..B is all from A to B.",
            show_default=False,
        ),
    ] = None,
    object_name: Annotated[
        str | None,
        typer.Option("--object", metavar="NAME", help="The schema object, where the contract has several.", show_default=False),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text for people; json has a version.")] = Form.TEXT,
) -> None:
    """Replay stored batches under a contract: when its breaker would have tripped, for how long, and what consumers would have read.

    Exit code 0: done. 2: bad usage, or the data cannot be read.
    """
    if not history:
        raise typer.BadParameter("name the stored batches: --history FOLDER", param_hint="--history")
    first = case_of(contract, object_name, history)
    cases = [first] if newer is None else [first, case_of(newer, object_name or first.object_name, history)]
    labelled = incidents_of(incidents, first)
    bad = frozenset(name for each in labelled for name in each.partitions)
    replays = [_replayed(case) for case in cases]
    if form is Form.JSON:
        print_json({"labelled": sorted(bad), "replays": [_json(each, bad, labelled) for each in replays]})
        return
    for each in replays:
        _print(each, bad, labelled)
    if len(replays) > 1:
        _print_differences(*replays)


def _replayed(case: Case) -> Replay:
    from dagster_contracts.calibration.replay import replay
    from dagster_contracts.judgement import Terms
    from dagster_contracts.ports import FixedClock
    from dagster_contracts.store.memory import MemoryStore

    contract, obj = case.contract(case.text)
    clock = FixedClock(case.batches[0].arrived_at)
    terms = Terms.of(Attached(obj.name, contract, obj))
    return replay(MemoryStore(clock=clock), clock, case.engine, terms, case.batches)


# --- as text -------------------------------------------------------------------------------------------------------


def _print(found: Replay, bad: Collection[str], labelled: Sequence[Incident]) -> None:
    refused = found.refused()
    open_for = sum((trip.length(found.end) for trip in found.trips), timedelta())
    print_text(
        f"{found.contract} {found.version}: {len(found.batches)} batches, {len(refused)} refused; "
        f"tripped {_times(len(found.trips))}, open for {duration(open_for)}"
    )
    if labelled:
        caught = [each for each in labelled if any(row.partition in each.partitions for row in refused)]
        rate = found.false_trip_rate(bad)
        print_text(
            f"  labelled incidents caught: {len(caught)} of {len(labelled)}; "
            f"false trips: {len(found.false_trips(bad))}" + ("" if rate is None else f", {rate:.1f} in 100 clean batches")
        )
        for each in labelled:
            if each not in caught:
                print_text(f"  not caught: {each}")
    if found.trips:
        print_table(
            ("opened", "by", "open for", "failed probes", "what", "rules"), [_row(trip, found, bad, labelled) for trip in found.trips]
        )
    print_table(("consumer", *_KINDS.values()), [(name, *counts) for name, counts in _counted(found).items()])
    print_text("")


def _row(trip: Trip, found: Replay, bad: Collection[str], labelled: Sequence[Incident]) -> tuple[str, ...]:
    length = duration(trip.length(found.end)) + ("" if trip.closed_at else ", still open")
    what = "an incident" if trip.partition in bad else "a false trip" if labelled else "to look at"
    return str(clock(trip.opened_at)), trip.partition or trip.cause, length, str(trip.probes), what, ", ".join(trip.rules)


_KINDS = {"fresh": "fresh", "last_good": "last good", "low_confidence": "low", "halted": "halted", "unjudged": "unjudged"}


def _counted(found: Replay) -> Mapping[str, list[str]]:
    """What each consumer would have read at the deliveries, counted by kind."""
    reads = [read for each in found.batches for read in each.reads]
    names = dict.fromkeys(read.consumer for read in reads)
    return {name: [str(sum(read.consumer == name and read.kind == kind for read in reads)) for kind in _KINDS] for name in names}


def _print_differences(one: Replay, other: Replay) -> None:
    rows = [
        (was.partition, _told(was.outcome, was.rules), _told(now.outcome, now.rules))
        for was, now in zip(one.batches, other.batches, strict=True)
        if (was.outcome, was.rules) != (now.outcome, now.rules)
    ]
    told = "1 batch is judged otherwise:" if len(rows) == 1 else f"{len(rows)} batches are judged otherwise:"
    print_text(told if rows else "Every batch is judged alike.")
    if rows:
        print_table(("batch", f"by {one.version}", f"by {other.version}"), rows)


def _told(outcome: object, rules: Sequence[str]) -> str:
    return f"{outcome}: {', '.join(rules)}" if rules else str(outcome)


def _times(number: int) -> str:
    return "never" if number == 0 else "once" if number == 1 else f"{number} times"


# --- as JSON -------------------------------------------------------------------------------------------------------


def _json(found: Replay, bad: Collection[str], labelled: Sequence[Incident]) -> dict[str, object]:
    refused = {each.partition for each in found.refused()}
    return {
        "contract": found.contract,
        "contract_version": found.version,
        "caught": [each.label for each in labelled if refused & set(each.partitions)],
        "missed": [each.label for each in labelled if not refused & set(each.partitions)],
        "false_trips_in_100": found.false_trip_rate(bad) if labelled else None,
        "trips": [
            {
                "breaker": trip.breaker,
                "partition": trip.partition,
                "opened_at": rfc3339(trip.opened_at),
                "closed_at": rfc3339(trip.closed_at) if trip.closed_at else None,
                "open_for": format_duration(trip.length(found.end)),
                "failed_probes": trip.probes,
                "labelled": trip.partition in bad,
                "rules": list(trip.rules),
            }
            for trip in found.trips
        ],
        "batches": [
            {
                "partition": each.partition,
                "arrived_at": rfc3339(each.arrived_at),
                "outcome": str(each.outcome),
                "status": str(each.status),
                "state": str(each.state),
                "rules": list(each.rules),
                "reads": [{"consumer": read.consumer, "kind": str(read.kind), "served": read.served} for read in each.reads],
            }
            for each in found.batches
        ],
    }
