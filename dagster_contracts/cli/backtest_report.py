"""Replays for people: what tripped, what was caught, what was refused without a label, and what consumers would have read."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import Replay
from dagster_contracts.calibration.scoring import Score, scored
from dagster_contracts.calibration.telling import KINDS, TRIPS, arrivals, differ, differences, headline, read_by, told_of, trip_row, unknown
from dagster_contracts.cli.printing import print_table, print_text


def print_replays(replays: Sequence[Replay], incidents: Sequence[Incident]) -> None:
    for each in replays:
        _print(each, scored(each, incidents))
    if len(replays) > 1:
        one, other = replays
        rows = differences(one, other)
        print_text(differ(len(rows)))
        if rows:
            print_table(("batch", f"by {one.version}", f"by {other.version}"), rows)


def _print(found: Replay, score: Score) -> None:
    print_text(headline(found))
    if (assumed := arrivals(found.batches)) is not None:
        print_text(f"  {assumed}")
    for line in (*told_of(score), *unknown(found)):
        print_text(f"  {line}")
    if found.trips:
        print_table(TRIPS, [trip_row(trip, found, score) for trip in found.trips])
    print_table(("consumer", *KINDS.values()), [(name, *counts) for name, counts in read_by(found).items()])
    print_text("")
