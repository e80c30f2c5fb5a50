"""Replays as one HTML page: no script, nothing loaded, readable on a phone, in print, and in the dark. Words of strangers stay words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.resources import files

from dagster_contracts.calibration.charts import caption, chart, style
from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import Replay
from dagster_contracts.calibration.scoring import scored
from dagster_contracts.calibration.series import Bounds
from dagster_contracts.calibration.shapes import svg
from dagster_contracts.calibration.telling import KINDS, TRIPS, arrivals, differ, differences, headline, read_by, told_of, trip_row, unknown
from dagster_contracts.chaos.bounds import written
from dagster_contracts.chaos.page import document, table, text

_LEGEND = (
    '<p class="legend"><span>— the figure</span><span><i class="bound"></i>its bounds</span>'
    '<span><i class="dot"></i>refused by this rule</span>'
    '<span><b>▼</b> opens the breaker</span><span><b class="other">▽</b> opened by another rule</span>'
    '<span><i class="open"></i>open</span><span><i class="incident"></i>a labelled incident</span></p>\n'
)


def page(replays: Sequence[Replay], incidents: Sequence[Incident]) -> str:
    """The whole document, of one replay or of two of the same batches."""
    title = f"Backtest: {replays[0].contract} {' and '.join(each.version for each in replays)}"
    body = "".join(part for each in replays for part in _replay(each, incidents))
    if len(replays) > 1:
        body = _differences(*replays) + body
    more = (files("dagster_contracts.calibration") / "page.css").read_text(encoding="utf-8")
    return document(title, body, more + style())


def drawn(found: Replay) -> list[Bounds]:
    """The rules that have a figure in some batch; those that refuse something first."""
    broken = {rule for each in found.batches for rule in each.rules}
    seen = {rule for each in found.batches for rule in each.values}
    return sorted((each for each in found.bounds if each.rule in seen), key=lambda each: each.rule not in broken)


def _differences(one: Replay, other: Replay) -> str:
    rows = differences(one, other)
    listed = table(("batch", f"by {one.version}", f"by {other.version}"), rows) if rows else ""
    return f"<p>{text(differ(len(rows)))}</p>\n{listed}"


def _replay(found: Replay, incidents: Sequence[Incident]) -> Iterator[str]:
    score = scored(found, incidents)
    bad = frozenset(key for incident in incidents for key in incident.partitions)
    assumed = arrivals(found.batches)
    yield f"<h2>{text(headline(found))}</h2>\n"
    yield _list(line for line in (assumed, *told_of(score), *unknown(found)) if line is not None)
    if found.trips:
        yield "<h3>When the breaker tripped</h3>\n" + table(TRIPS, [trip_row(trip, found, score) for trip in found.trips], "trips")
    yield "<h3>What consumers would have read</h3>\n"
    yield table(("consumer", *KINDS.values()), [(name, *counts) for name, counts in read_by(found).items()])
    yield from _figures(found, bad)


def _figures(found: Replay, bad: Collection[str]) -> Iterator[str]:
    broken = Counter(rule for each in found.batches for rule in each.rules)
    shown = drawn(found)
    still = [each for each in shown if each.rule not in broken and len(_seen(each, found)) == 1]
    moved = [each for each in shown if each not in still]
    if moved:
        yield f"<h3>Figures</h3>\n{_LEGEND}"
        yield f'<div class="charts">{"".join(_figure(each, found, bad) for each in moved)}</div>\n'
    if still:
        yield "<h3>Figures that never moved</h3>\n"
        yield table(("rule", "always", "expected"), [(each.rule, _always(each, found), each.expected) for each in still])
    if others := [(rule, f"{number:,}") for rule, number in broken.items() if rule not in {each.rule for each in shown}]:
        yield "<h3>Rules without a figure that refused batches</h3>\n" + table(("rule", "batches"), others)


def _figure(bounds: Bounds, found: Replay, bad: Collection[str]) -> str:
    told = f'<b>{text(bounds.rule, 120)}</b><br><span class="faint">{text(caption(bounds), 160)}</span>'
    return f"<figure><figcaption>{told}</figcaption>{svg(chart(bounds, found, bad))}</figure>\n"


def _seen(bounds: Bounds, found: Replay) -> set[float]:
    return {each.values[bounds.rule] for each in found.batches if bounds.rule in each.values}


def _always(bounds: Bounds, found: Replay) -> str:
    return f"{written(min(_seen(bounds, found)))} {bounds.unit}".strip()


def _list(lines: Iterable[str]) -> str:
    """Indented lines belong to the one before them."""
    items = "".join(f"<li{' class=sub' if line.startswith(' ') else ''}>{text(line.strip())}</li>" for line in lines)
    return f'<ul class="told">{items}</ul>\n'
