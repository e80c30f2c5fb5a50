"""One rule, and what history says of it -> the threshold that it should have, or why it keeps the one that it has. Pure.

loosened    clean batches break it, and no labelled incident needs it
tightened   history would allow a clearly nearer bound, which the later half kept to when it was learned from the earlier one
kept        everything else; and always where a labelled incident breaks it and a looser bound would be needed
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from dagster_contracts.calibration.dials import LOWER, UPPER, Dial
from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.spread import TRIED, Point, Usual, holds_later, since_shift, usual_of
from dagster_contracts.chaos.bounds import LEAST, Range, outward
from dagster_contracts.chaos.figures import Unit
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import RowCount
from dagster_contracts.core.plan import Within

_CLEARLY = 0.8  # a bound that is nearer than this part of the old one's distance is worth a change


class Step(StrEnum):
    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    PROPOSED = "proposed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of one rule. `value` is what stands behind `operator` afterwards; `trips` are the keys of clean batches that the old
    threshold refuses, `after` those that the new one does; `needed` the incidents that break the rule or name it. `warns`: it is proposed
    as a warning, since as an error it would refuse these clean batches."""

    rule: str
    column: str | None
    step: Step
    why: str
    old: str
    operator: Operator
    value: float | tuple[float, float]
    seen: Usual | None = None
    trips: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    since: str | None = None  # the first batch after a lasting shift: those before it were left out


@dataclass(frozen=True, slots=True)
class Labels:
    """Which batches are bad: by place, with the incidents that they are of. `suspects` look as if they were, and nobody said so."""

    incidents: Mapping[int, tuple[Incident, ...]]
    suspects: frozenset[int] = frozenset()

    @property
    def bad(self) -> frozenset[int]:
        return frozenset(self.incidents) | self.suspects


def clean_of(points: Sequence[Point], bad: Set[int]) -> Sequence[Point]:
    """What bounds are learned from: clean batches, from the last lasting shift on."""
    return since_shift([point for point in points if point.batch not in bad])


def since_of(clean: Sequence[Point], points: Sequence[Point], labels: Labels, keys: Sequence[str]) -> str | None:
    """The batch that `clean` begins with, where clean batches before it were left out."""
    left_out = clean and any(point.batch < clean[0].batch and point.batch not in labels.bad for point in points)
    return keys[clean[0].batch] if left_out else None


def chosen(dial: Dial, points: Sequence[Point], labels: Labels, keys: Sequence[str]) -> Choice:
    """What becomes of a rule that the contract has."""
    clean = clean_of(points, labels.bad)
    dial = floored(dial, clean)
    seen = usual_of(clean, dial.unit, dial.most)
    broken = [point for point in points if not dial.allows(point.value)]
    needed = _needed(dial, [point.batch for point in broken], labels)
    trips = tuple(keys[point.batch] for point in broken if point.batch not in labels.incidents)
    kept = Choice(
        dial.rule.id, dial.rule.column, Step.KEPT, "", written(dial), dial.operator, dial.value, seen, trips, trips, needed,
        since=since_of(clean, points, labels, keys),
    )  # fmt: skip
    if seen is None:
        return replace(kept, why=f"only {len(clean)} batches have this figure; at least {LEAST} are needed")
    if any(not dial.allows(point.value) for point in clean):
        if needed:
            return replace(kept, why=f"breaks on clean batches, but incident {', '.join(needed)} needs it; it is never widened")
        return _moved(kept, dial, Step.LOOSENED, _wide(dial, seen), points, labels, keys, "breaks on clean batches")
    return _tightened(kept, dial, seen, clean, points, labels, keys)


def floored(dial: Dial, clean: Sequence[Point]) -> Dial:
    """No batch may be empty where none ever was: bounds learned from small ones would reach down to 0."""
    never_empty = isinstance(dial.rule.check, Within) and isinstance(dial.rule.check.metric, RowCount) and all(p.value > 0 for p in clean)
    return replace(dial, least=1) if never_empty else dial


def _needed(dial: Dial, broken: Sequence[int], labels: Labels) -> tuple[str, ...]:
    """The incidents that the rule notices, and those that name it."""
    found = [str(incident.label) for at in broken for incident in labels.incidents.get(at, ())]
    named = [incident.label for incidents in labels.incidents.values() for incident in incidents if incident.rule == dial.rule.id]
    return tuple(dict.fromkeys((*found, *named)))


def _wide(dial: Dial, seen: Usual) -> Range:
    """The bounds where clean batches break the old ones; a side that they keep to stays."""
    old, new = dial.range, seen.bounds
    if dial.operator is Operator.MUST_BE:
        return Range(old.low if seen.low == old.low else new.low, old.high if seen.high == old.high else new.high)
    low = old.low if seen.low >= old.low else new.low
    high = old.high if seen.high <= old.high else new.high
    return Range(low, high)


def _tightened(
    kept: Choice, dial: Dial, seen: Usual, clean: Sequence[Point], points: Sequence[Point], labels: Labels, keys: Sequence[str]
) -> Choice:
    if dial.operator is Operator.MUST_BE:
        return replace(kept, why="exact, and every clean batch is so")
    if seen.spread == 0:
        return replace(kept, why="it never moved, which is no measure of how far it may")
    if seen.grows:
        return replace(kept, why="the figure grows or falls over time: no nearer bound would hold for long")
    if not holds_later(clean, dial.unit, dial.most, low=dial.low, high=dial.high):
        few = len(clean) < TRIED
        return replace(
            kept, why=f"{len(clean)} batches are too few to tighten it; {TRIED} are needed" if few else "nearer bounds did not last"
        )
    low, high = _near(dial, seen)
    if (low, high) == (dial.range.low, dial.range.high):
        return replace(kept, why="as near as history allows")
    return _moved(kept, dial, Step.TIGHTENED, Range(low, high), points, labels, keys, "history allows a nearer bound")


def _near(dial: Dial, seen: Usual) -> tuple[float, float]:
    """Each side where the usual bound is clearly nearer to the centre than the old one, and not beyond it."""
    old, new = dial.range, seen.bounds
    low = new.low if math.isfinite(old.low) and seen.centre - new.low < _CLEARLY * (seen.centre - old.low) else old.low
    high = new.high if math.isfinite(old.high) and new.high - seen.centre < _CLEARLY * (old.high - seen.centre) else old.high
    return low, high


def _moved(
    kept: Choice, dial: Dial, step: Step, wanted: Range, points: Sequence[Point], labels: Labels, keys: Sequence[str], why: str
) -> Choice:
    operator, value = threshold(dial, wanted)
    if (operator, value) == (dial.operator, dial.value):
        return replace(kept, why="as near as history allows")
    new = replace(dial, operator=operator, value=value)
    if step is Step.TIGHTENED and any(dial.allows(p.value) < new.allows(p.value) for p in points):
        return replace(kept, why="as near as history allows")
    after = tuple(keys[p.batch] for p in points if p.batch not in labels.incidents and not new.allows(p.value))
    needed = _needed(dial, [p.batch for p in points if not new.allows(p.value)], labels)
    needed = tuple(dict.fromkeys((*kept.needed, *needed)))
    if new.range.low <= max(0.0, dial.least) and new.range.high >= _most(dial, kept.seen) and dial.unit not in (Unit.ANY, Unit.WHOLE):
        left = "that a batch is not empty, which needs no rule" if dial.least > 0 else "nothing"
        why = f"{why}; what is left of the rule says {left}, so delete it or give it another meaning"
    return replace(kept, step=step, why=why, operator=operator, value=value, after=after, needed=needed)


def _most(dial: Dial, seen: Usual | None) -> float:
    """The most that the figure can be, as far as it is known."""
    return seen.high if dial.unit is Unit.ROWS and seen is not None and seen.bounds.high == seen.high else dial.most


def threshold(dial: Dial, wanted: Range) -> tuple[Operator, float | tuple[float, float]]:
    """The bounds in few digits, never inside `wanted`, as an operator says them: the dial's own where it can."""
    low, high = _side(dial, wanted, upper=False), _side(dial, wanted, upper=True)
    if dial.operator in UPPER:
        return (dial.operator if high == dial.range.high else Operator.LESS_OR_EQUAL), high
    if dial.operator in LOWER:
        return (dial.operator if low == dial.range.low else Operator.GREATER_OR_EQUAL), low
    if low == high:
        return Operator.MUST_BE, low
    if low <= 0 and dial.unit not in (Unit.ANY, Unit.WHOLE) and (dial.operator is Operator.MUST_BE or dial.range.low < 0):
        return Operator.LESS_OR_EQUAL, high
    if high >= dial.most and dial.range.high > dial.most:
        return Operator.GREATER_OR_EQUAL, low
    return Operator.BETWEEN, (low, high)


def _side(dial: Dial, wanted: Range, *, upper: bool) -> float:
    """One bound; the dial's own stays as it is written."""
    value, own = (wanted.high, dial.range.high) if upper else (wanted.low, dial.range.low)
    if value == own or not math.isfinite(value):
        return value
    width = wanted.high - wanted.low
    width = width if math.isfinite(width) and width > 0 else abs(value) or 1.0
    around = Range(value - width, value) if upper else Range(value, value + width)
    found = outward(around, whole=dial.unit in (Unit.COUNT, Unit.ROWS, Unit.WHOLE))[upper]
    return min(found, dial.most) if upper else max(found, dial.least)


def written(dial: Dial) -> str:
    return f"{dial.option or dial.operator.value} {operand(dial.value)}"


def operand(value: float | tuple[float, float]) -> str:
    return f"[{value[0]:g}, {value[1]:g}]" if isinstance(value, tuple) else f"{value:g}"
