"""Figures over the batches, drawn: what is marked and where it stands, and that strangers' words do nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dagster_contracts.calibration.charts import chart, style, titled
from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.page import page
from dagster_contracts.calibration.png import TIMES, png
from dagster_contracts.calibration.replay import Replay
from dagster_contracts.calibration.series import Bounds
from dagster_contracts.calibration.shapes import Box, Dot, Flag, Picture, Words, svg
from tests.calibration.test_replay import GOVERNED, days, played

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found() -> Replay:
    return played(days(100, 100, 9, 100, 60, 100))[0]


def bounds(found: Replay, rule: str) -> Bounds:
    return next(each for each in found.bounds if each.rule == rule)


def marks(drawn: str, name: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(drawn).iter() if each.get("class") == name]


def test_the_figures_that_rules_compare_are_kept_with_their_bounds(found: Replay) -> None:
    assert [each.values["rows"] for each in found.batches] == [100, 100, 9, 100, 60, 100]
    rows, top = bounds(found, "rows"), bounds(found, "amount.maximum")
    assert (rows.low, rows.high, rows.inside, rows.unit) == (50, 1_000_000, True, "rows")
    assert (top.low, top.high, top.figure) == (0, 0, "rows that break it")
    assert bounds(found, "amount.nullValues").unit == "percent"


def test_what_broke_what_opened_and_what_was_labelled_is_marked(found: Replay) -> None:
    drawn = svg(chart(bounds(found, "rows"), found, {"2026-01-09"}))
    (broken,) = marks(drawn, "bad")
    assert broken.findtext(f"{SVG}title") == "2026-01-07: 9 (refused)"
    assert len(marks(drawn, "dot")) == 5
    (trip,) = marks(drawn, "trip")
    assert "2026-01-07" in str(trip.findtext(f"{SVG}title"))
    (opened,) = marks(drawn, "open")
    (labelled,) = marks(drawn, "incident")
    assert float(opened.attrib["x"]) == float(broken.attrib["cx"]) < float(labelled.attrib["x"])
    other = svg(chart(bounds(found, "amount.nullValues"), found, ()))
    assert (len(marks(other, "trip")), len(marks(other, "trip other")), marks(other, "incident")) == (0, 1, [])


def test_a_near_bound_is_drawn_where_it_stands_and_a_far_one_is_told(found: Replay) -> None:
    drawn = svg(chart(bounds(found, "rows"), found, ()))
    (line,) = marks(drawn, "bound")
    dots = {str(dot.findtext(f"{SVG}title")): float(dot.attrib["cy"]) for dot in marks(drawn, "dot")}
    assert dots["2026-01-09: 60"] < float(line.attrib["y1"]) < float(marks(drawn, "bad")[0].attrib["cy"])
    assert [each.text for each in marks(drawn, "limit")] == ["50", "bound above: 1e+06"]


FIGURES = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e3, 1e3)


@given(st.lists(st.none() | FIGURES, min_size=1, max_size=6), st.none() | FIGURES)
def test_every_figure_stands_within_the_picture(found: Replay, values: Sequence[float | None], limit: float | None) -> None:
    if all(value is None for value in values):
        return
    told = [{} if value is None else {"rows": value} for value in values]
    batches = [replace(each, values=each_told) for each, each_told in zip(found.batches, told, strict=False)]
    replay = Replay("feed", "1.0.0", tuple(batches), (), found.end)
    drawn = svg(chart(Bounds("rows", None, "rows", limit, None, True, "x"), replay, ()))
    root = ElementTree.fromstring(drawn)
    places = [float(part) for each in root.iter(f"{SVG}polyline") for part in re.split("[ ,]", each.attrib["points"])]
    places += [float(each.attrib[name]) for each in root.iter(f"{SVG}line") for name in ("x1", "x2", "y1", "y2")]
    assert all(math.isfinite(place) and 0 <= place <= 360 for place in places)
    assert len(list(root.iter(f"{SVG}circle"))) == sum(value is not None and abs(value) < 1e300 for value in values)


def test_a_page_loads_nothing_and_strangers_words_stay_words() -> None:
    hostile = GOVERNED.replace("{name: rows,", "{name: '<script>alert(1)</script>', description: x,")
    found, _ = played(days(100, 9, 100), hostile)
    incident = Incident("2026-01-06", ("2026-01-06",), "<img src=x onerror=y>")
    told = page([found, found], [incident])
    assert "<script" not in told
    assert "<img" not in told
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in told
    assert set(re.findall(r"https?://[^\"' ]+", told)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in told
    assert "Every batch is judged alike." in told
    cells = re.findall(r"<td[^>]*>", told)  # on a phone each says of which column it is
    assert cells
    assert all('data-of="' in cell for cell in cells)
    for bounds in found.bounds:
        ElementTree.fromstring(svg(titled(bounds, found, {"2026-01-06"}), style()))


def test_a_png_shows_what_the_svg_does(found: Replay) -> None:
    picture = titled(bounds(found, "rows"), found, {"2026-01-09"})
    image = Image.open(BytesIO(png(picture)))
    assert (image.format, image.size) == ("PNG", (TIMES * picture.width, TIMES * picture.height))
    near = {"bad": (200, 69, 59), "dot": (28, 36, 48)}
    for dot in (shape for shape in picture.shapes if isinstance(shape, Dot)):
        shown = image.getpixel((round(TIMES * dot.x), round(TIMES * dot.y)))
        assert all(abs(a - b) < 40 for a, b in zip(shown, near[dot.name], strict=True)), (dot, shown)
    (opened,) = (shape for shape in picture.shapes if isinstance(shape, Box) and shape.name == "open")
    red, green, _ = image.getpixel((round(TIMES * (opened.x + opened.width / 2)), round(TIMES * (opened.y + opened.height - 4))))
    assert red > green + 10


def test_strangers_words_do_no_harm_to_a_png() -> None:
    picture = Picture(
        100, 40, (Box("paper", 0, 0, 100, 40), Words("title", 5, 20, "\x1b[31m\u202e\ud800 \U0001f980"), Flag("trip", 1, 1)), "x"
    )
    assert Image.open(BytesIO(png(picture))).size == (200, 80)


def test_what_never_moved_is_told_in_a_table_and_not_drawn(found: Replay) -> None:
    told = page([found], [])
    assert re.findall("<figcaption><b>(.*?)</b>", told) == ["rows"]
    assert '<td data-of="rule">amount.maximum</td><td data-of="always">0 rows</td>' in told
