"""The dose curve of a fault as SVG: for each dose the share of columns in which it is noticed, and in which it is kept from consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dagster_contracts.chaos.campaign import Cell, Trial

_WIDTH, _HEIGHT = 160, 92
_LEFT, _RIGHT, _TOP, _BOTTOM = 32, 154, 8, 72


def curve(fault: str, cells: Sequence[Cell], later: Sequence[Cell] = ()) -> str:
    """`cells` are those of one fault; `later` the same with other clauses. Doses stand equally far apart."""
    doses = sorted({trial.dose for cell in cells for trial in cell.trials})
    noticed, kept = _shares(cells, doses, lambda trial: trial.caught), _shares(cells, doses, lambda trial: trial.result.stopped)
    floor = f"{_x(len(doses) - 1, len(doses)):.1f},{_BOTTOM} {_x(0, len(doses)):.1f},{_BOTTOM}"
    told = ", ".join(f"{100 * share:.0f}% at dose {dose:g}" for dose, share in zip(doses, noticed, strict=True))
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="noticed in columns: {told}">',
        *(_level(share) for share in (0, 0.5, 1)),
        f'<polygon class="kept" points="{_points(kept)} {floor}"/>',
        f'<polyline class="seen" points="{_points(noticed)}"/>',
        *(f'<circle class="dot" cx="{_x(n, len(doses)):.1f}" cy="{_y(share):.1f}" r="2.4"/>' for n, share in enumerate(noticed)),
    ]
    if later:
        parts.append(f'<polyline class="later" points="{_points(_shares(later, doses, lambda trial: trial.caught))}"/>')
    parts += [f'<text x="{_x(n, len(doses)):.1f}" y="{_BOTTOM + 13}" text-anchor="middle">{dose:g}</text>' for n, dose in enumerate(doses)]
    return "".join([*parts, "</svg>"])


def _shares(cells: Sequence[Cell], doses: Sequence[float], holds: Callable[[Trial], bool]) -> list[float]:
    found = []
    for dose in doses:
        trials = [trial for cell in cells for trial in cell.trials if trial.dose == dose]
        found.append(sum(map(holds, trials)) / len(trials) if trials else 0.0)
    return found


def _level(share: float) -> str:
    y = _y(share)
    label = f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{100 * share:.0f}%</text>'
    return f'<line class="axis" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>{label}'


def _points(shares: Sequence[float]) -> str:
    return " ".join(f"{_x(number, len(shares)):.1f},{_y(share):.1f}" for number, share in enumerate(shares))


def _x(number: int, of: int) -> float:
    inner = 10
    return (_LEFT + _RIGHT) / 2 if of == 1 else _LEFT + inner + number * (_RIGHT - _LEFT - 2 * inner) / (of - 1)


def _y(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)
