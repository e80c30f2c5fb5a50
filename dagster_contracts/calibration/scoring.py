"""What a replay is worth beside what people say was bad: incidents caught, false trips, clean batches refused. Pure.

An incident is caught where one of its batches is refused; where its label names a rule, by that rule: what refuses the batch for another
reason may do so by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import Replay, Replayed, Trip


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an incident: the rules that count and refused a batch of it (none: not caught), those that refused one too, and
    those that are broken and only warn."""

    incident: Incident
    by: tuple[str, ...]
    others: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    @property
    def caught(self) -> bool:
        return bool(self.by)


@dataclass(frozen=True, slots=True)
class Score:
    """`clean` counts the deliveries of partitions without a label, `refused` lists those of them that were refused, `false_trips` the
    openings by one of them."""

    incidents: tuple[Told, ...]
    clean: int
    refused: tuple[Replayed, ...]
    false_trips: tuple[Trip, ...]

    @property
    def caught(self) -> tuple[Told, ...]:
        return tuple(told for told in self.incidents if told.caught)

    @property
    def missed(self) -> tuple[Told, ...]:
        return tuple(told for told in self.incidents if not told.caught)

    @property
    def false_trip_rate(self) -> float | None:
        """False trips in 100 clean batches; None where every batch was bad."""
        return 100 * len(self.false_trips) / self.clean if self.clean else None


def told_of(incident: Incident, refused: Mapping[str, Sequence[str]], warned: Mapping[str, Sequence[str]]) -> Told:
    """`refused` has the rules that refuse a partition, of those that are refused; `warned` those that are broken and only warn."""
    rules, warnings = (tuple(dict.fromkeys(rule for key in incident.partitions for rule in of.get(key, ()))) for of in (refused, warned))
    if incident.rule is None:
        return Told(incident, rules, warned=warnings)
    return Told(incident, tuple(r for r in rules if r == incident.rule), tuple(r for r in rules if r != incident.rule), warnings)


def scored(found: Replay, incidents: Sequence[Incident] = ()) -> Score:
    bad = frozenset(key for incident in incidents for key in incident.partitions)
    refused: dict[str, tuple[str, ...]] = {}
    warned: dict[str, tuple[str, ...]] = {}
    for each in found.refused():
        refused[each.partition] = (*refused.get(each.partition, ()), *each.rules)
    for each in found.batches:
        warned[each.partition] = (*warned.get(each.partition, ()), *each.warned)
    return Score(
        tuple(told_of(incident, refused, warned) for incident in incidents),
        sum(each.partition not in bad for each in found.batches),
        tuple(each for each in found.refused() if each.partition not in bad),
        tuple(trip for trip in found.trips if trip.partition not in bad),
    )
