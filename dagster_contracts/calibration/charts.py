"""The figure of a rule over the batches, drawn: bounds, what broke, when the breaker was open, labelled incidents. Pure.

Batches stand equally far apart, in the order of their arrival. A bound that is so far from the figures that they would be a flat line is
told at the edge and not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import groupby

from dagster_contracts.calibration.replay import Replay, Trip
from dagster_contracts.calibration.series import Bounds
from dagster_contracts.calibration.shapes import Box, Dot, Flag, Line, Picture, Shape, Track, Words
from dagster_contracts.chaos.bounds import written
from dagster_contracts.core.inert import cut

WIDTH, HEIGHT = 360, 176
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 352, 18, 146
_HEAD = 30  # above a chart that is a file of its own
_HUGE = 1e300
_NEAR = 1.5  # spans of the figures within which a bound is drawn
_DOTTED = 60  # batches of which each has a dot
_LONG = 14  # characters of a batch's name below the axis
_TICKS = 4
_TIMES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where figures stand: from `low` at the bottom to `high` at the top. `size` and `word` are the unit that they are told in."""

    low: float
    high: float
    size: float
    word: str

    def y(self, value: float) -> float:
        return _BOTTOM - (value - self.low) / (self.high - self.low) * (_BOTTOM - _TOP)

    def told(self, value: float) -> str:
        return f"{written(value / self.size)}{self.word}"

    def has(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        span = (self.high - self.low) / self.size
        power = 10.0 ** math.floor(math.log10(span / _TICKS))
        step = next(part * power for part in (1, 2, 5, 10, 20) if span / (part * power) <= _TICKS) * self.size
        first = math.ceil(self.low / step)
        return [at * step for at in range(first, math.floor(self.high / step) + 1)]


def chart(bounds: Bounds, found: Replay, bad: Collection[str]) -> Picture:
    """`bad` are the partitions with a label."""
    values = [_drawable(each.values.get(bounds.rule)) for each in found.batches]
    scale = _scale([value for value in values if value is not None] or [0.0], bounds)
    drawn = (*_axes(found, scale), *_bounds(bounds, scale), *_line(bounds, found, values, scale), *_trips(bounds, found))
    shapes = (Box("paper", 0, 0, WIDTH, HEIGHT), *_behind(found, bad), *drawn)
    return Picture(WIDTH, HEIGHT, shapes, _summary(bounds, found, scale))


def _drawable(value: float | None) -> float | None:
    """Figures that no picture can hold beside others are left out of it."""
    return value if value is not None and abs(value) < _HUGE else None


def titled(bounds: Bounds, found: Replay, bad: Collection[str]) -> Picture:
    """A chart for a file of its own, with what it is of."""
    drawn = chart(bounds, found, bad)
    title = Words("title", 8, 17, cut(f"{found.contract} {found.version}: {bounds.rule}", 56))
    told = Words("faint", 8, 30, cut(caption(bounds), 76))
    shapes = (Box("paper", 0, 0, WIDTH, HEIGHT + _HEAD), title, told, *(_lower(shape, _HEAD) for shape in drawn.shapes))
    return Picture(WIDTH, HEIGHT + _HEAD, shapes, drawn.told)


def _lower(shape: Shape, by: float) -> Shape:
    if isinstance(shape, Track):
        return replace(shape, points=tuple((x, y + by) for x, y in shape.points))
    return replace(shape, y=shape.y + by)


def caption(bounds: Bounds) -> str:
    """What the rule asks for, and what is drawn."""
    return f"{bounds.expected}; drawn: {bounds.figure}" if bounds.figure else bounds.expected


def style() -> str:
    return (files("dagster_contracts.calibration") / "chart.css").read_text(encoding="utf-8")


def _summary(bounds: Bounds, found: Replay, scale: _Scale) -> str:
    seen = [each.values[bounds.rule] for each in found.batches if bounds.rule in each.values]
    broken = sum(bounds.rule in each.rules for each in found.batches)
    return f"{bounds.rule}: {scale.told(min(seen))} to {scale.told(max(seen))}; expected {bounds.expected}; refuses {broken} of {len(seen)}"


# --- where things stand --------------------------------------------------------------------------------------------


def _scale(values: Sequence[float], bounds: Bounds) -> _Scale:
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0
    limits = [limit for limit in (bounds.low, bounds.high) if limit is not None and low - _NEAR * span <= limit <= high + _NEAR * span]
    low, high = min([low, *limits]), max([high, *limits])
    room = 0.08 * (high - low) or 0.1 * abs(high)
    room = room if low - room < high + room else 1.0
    least = low - room if low < 0 or low > room else 0.0  # what is never negative is not drawn as if it could be
    size, word = _unit(max(abs(low), abs(high)), bounds.unit)
    return _Scale(least, high + room, size, word)


def _unit(most: float, unit: str) -> tuple[float, str]:
    if unit == "seconds":
        return next(((size, f" {word}") for size, word in _TIMES if most >= 2 * size), (1, " s"))
    return 1, "%" if unit == "percent" else ""


def _x(at: int, of: int) -> float:
    inner = 5
    return (_LEFT + _RIGHT) / 2 if of == 1 else _LEFT + inner + at * (_RIGHT - _LEFT - 2 * inner) / (of - 1)


# --- what is drawn -------------------------------------------------------------------------------------------------


def _behind(found: Replay, bad: Collection[str]) -> Iterator[Shape]:
    of = len(found.batches)
    half = max(1.5, (_RIGHT - _LEFT - 10) / max(1, of - 1) / 2)
    for at, each in enumerate(found.batches):
        if each.partition in bad:
            left, right = max(_LEFT, _x(at, of) - half), min(_RIGHT, _x(at, of) + half)
            yield Box("incident", left, _TOP, right - left, _BOTTOM - _TOP, f"{each.partition}: a labelled incident")
    for trip in found.trips:
        left, right = _x(_opened(trip, found), of), _closed(trip, found)
        yield Box("open", left, _TOP, max(1.0, right - left), _BOTTOM - _TOP)


def _opened(trip: Trip, found: Replay) -> int:
    """The place of the batch that opened; where none did, of the last one that had come."""
    came = [at for at, each in enumerate(found.batches) if each.arrived_at <= trip.opened_at]
    return max((at for at in came if found.batches[at].partition == trip.partition), default=came[-1] if came else 0)


def _closed(trip: Trip, found: Replay) -> float:
    after = (at for at, each in enumerate(found.batches) if trip.closed_at is not None and each.arrived_at >= trip.closed_at)
    at = next(after, None)
    return _RIGHT if at is None else _x(at, len(found.batches))


def _axes(found: Replay, scale: _Scale) -> Iterator[Shape]:
    for tick in scale.ticks():
        y = scale.y(tick)
        yield Line("axis", _LEFT, _RIGHT, y)
        yield Words("faint", _LEFT - 4, y + 3, scale.told(tick), "end")
    of = len(found.batches)
    ends = {0: "start", of // 2: "middle", of - 1: "end"} if of > 2 else {0: "start", of - 1: "end"}
    for at, anchor in ends.items():
        name = found.batches[at].partition
        x = {"start": _LEFT, "middle": _x(at, of), "end": _RIGHT}[anchor]
        yield Words("faint", x, _BOTTOM + 14, name if len(name) <= _LONG else f"{name[: _LONG - 2]}..", anchor)


def _bounds(bounds: Bounds, scale: _Scale) -> Iterator[Shape]:
    for limit, upper in ((bounds.low, False), (bounds.high, True)):
        if limit is None or (upper and bounds.high == bounds.low):
            continue
        told = scale.told(limit)
        if scale.has(limit):
            y = scale.y(limit)
            below = y < _TOP + 10 or (not upper and y < _BOTTOM - 10)
            yield Line("bound", _LEFT, _RIGHT, y)
            yield Words("limit", _RIGHT - 3, y + 9 if below else y - 3, told, "end")
        elif limit > scale.high:
            yield Words("limit", _RIGHT, _TOP - 10, f"bound above: {told}", "end")
        else:
            yield Words("limit", _RIGHT, _BOTTOM + 26, f"bound below: {told}", "end")


def _line(bounds: Bounds, found: Replay, values: Sequence[float | None], scale: _Scale) -> Iterator[Shape]:
    of = len(values)
    for known, part in groupby(enumerate(values), key=lambda each: each[1] is not None):
        if known:
            yield Track("value", tuple((_x(at, of), scale.y(value)) for at, value in part if value is not None))
    for at, value in enumerate(values):
        broken = bounds.rule in found.batches[at].rules
        if value is not None and (broken or of <= _DOTTED):
            title = f"{found.batches[at].partition}: {scale.told(value)}{' (refused)' if broken else ''}"
            name, size = ("bad", 3.2) if broken else ("dot", 1.9)
            yield Dot(name, _x(at, of), scale.y(value), size, title)


def _trips(bounds: Bounds, found: Replay) -> Iterator[Shape]:
    for trip in found.trips:
        name = "trip" if bounds.rule in trip.rules else "trip other"
        title = f"the breaker opens: {trip.partition or trip.cause}, {', '.join(trip.rules)}"
        yield Flag(name, _x(_opened(trip, found), len(found.batches)) - 4, _TOP - 9, title)
