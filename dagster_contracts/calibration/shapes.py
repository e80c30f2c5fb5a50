"""What a chart is made of, and charts as SVG. `name` of a shape says what it means; chart.css and `png` know how that looks. Pure.

Places are those of the picture, from its upper left corner; of words it is the foot of their start, middle or end (`anchor`).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from dagster_contracts.core.inert import cut, plain


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    x: float
    y: float
    width: float
    height: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """From left to right."""

    name: str
    x1: float
    x2: float
    y: float


@dataclass(frozen=True, slots=True)
class Track:
    """A line from point to point."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Dot:
    name: str
    x: float
    y: float
    radius: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A triangle that points down, 8 wide and 7 high, from its upper left corner."""

    name: str
    x: float
    y: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    name: str
    x: float
    y: float
    text: str
    anchor: str = "start"


Shape = Box | Line | Track | Dot | Flag | Words


@dataclass(frozen=True, slots=True)
class Picture:
    """`told` says in words what is seen."""

    width: int
    height: int
    shapes: Sequence[Shape]
    told: str


def svg(picture: Picture, style: str = "") -> str:
    """An <svg>; with `style` one that needs no page around it, twice as large."""
    times = 2 if style else 1
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
        f'width="{times * picture.width}" height="{times * picture.height}" role="img" aria-label="{_words(picture.told)}">'
        f"{f'<style>{style}</style>' if style else ''}{''.join(map(_svg, picture.shapes))}</svg>"
    )


def _svg(shape: Shape) -> str:
    match shape:
        case Box(name, x, y, width, height, title):
            return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">{_title(title)}</rect>'
        case Line(name, x1, x2, y):
            return f'<line class="{name}" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>'
        case Track(name, points):
            return f'<polyline class="{name}" points="{_points(points)}"/>'
        case Dot(name, x, y, radius, title):
            return f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{_title(title)}</circle>'
        case Flag(name, x, y, title):
            return f'<path class="{name}" d="M{x:.1f},{y:.1f} h8 l-4,7 z">{_title(title)}</path>'
        case Words(name, x, y, text, anchor):
            return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_words(text)}</text>'
        case _:
            assert_never(shape)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _title(words: str) -> str:
    return f"<title>{_words(words)}</title>" if words else ""


def _words(text: str) -> str:
    return html.escape(plain(cut(text, 300)))
