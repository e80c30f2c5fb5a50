"""Charts as PNG, by Pillow: what renders no SVG (chats, mails, documents) shows them."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, assert_never

from dagster_contracts.calibration.shapes import Box, Dot, Flag, Line, Picture, Shape, Track, Words
from dagster_contracts.core.inert import plain

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

TIMES = 2  # pixels for each unit of the picture
_FINER = 2  # times as fine it is drawn, to be smooth
_SCALE = TIMES * _FINER
_DASH = (4, 3)
_SIZES = {"title": 12}
_SIZE = 9
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_COLOURS = {  # those of chart.css by day; the last number is opacity
    "paper": (255, 255, 255, 255),
    "axis": (217, 222, 230, 255),
    "value": (28, 36, 48, 255),
    "dot": (28, 36, 48, 255),
    "title": (28, 36, 48, 255),
    "bad": (200, 69, 59, 255),
    "trip": (200, 69, 59, 255),
    "other": (93, 104, 120, 255),
    "faint": (93, 104, 120, 255),
    "bound": (63, 127, 191, 255),
    "limit": (63, 127, 191, 255),
    "open": (200, 69, 59, 36),
    "incident": (217, 154, 28, 97),
}


def png(picture: Picture) -> bytes:
    """Raises ImportError where Pillow is not installed."""
    from PIL import Image, ImageDraw

    size = (picture.width * _SCALE, picture.height * _SCALE)
    canvas = Image.new("RGBA", size, _COLOURS["paper"])
    for shape in picture.shapes:
        if isinstance(shape, Box):  # what lies behind it shines through
            layer = Image.new("RGBA", size, (0, 0, 0, 0))
            _draw(shape, ImageDraw.Draw(layer))
            canvas = Image.alpha_composite(canvas, layer)
        else:
            _draw(shape, ImageDraw.Draw(canvas))
    out = BytesIO()
    smooth = canvas.convert("RGB").resize((picture.width * TIMES, picture.height * TIMES), Image.Resampling.LANCZOS)
    smooth.save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw(shape: Shape, on: ImageDraw) -> None:
    colour = _COLOURS[shape.name.split()[-1]]
    match shape:
        case Box(_, x, y, width, height):
            on.rectangle(_at(x, y, x + width, y + height), fill=colour)
        case Line("bound", x1, x2, y):
            for start in range(round(x1), round(x2), sum(_DASH)):
                on.line(_at(start, y, min(x2, start + _DASH[0]), y), fill=colour, width=round(1.2 * _SCALE))
        case Line(_, x1, x2, y):
            on.line(_at(x1, y, x2, y), fill=colour, width=_SCALE // 2)
        case Track(_, points):
            on.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=round(1.4 * _SCALE), joint="curve")
        case Dot(_, x, y, radius):
            on.ellipse(_at(x - radius, y - radius, x + radius, y + radius), fill=colour)
        case Flag(name, x, y):
            corners = _at(x, y, x + 8, y, x + 4, y + 7)
            on.polygon(corners, fill=colour) if name == "trip" else on.polygon(corners, outline=colour, width=_SCALE)
        case Words(name, x, y, text, anchor):
            font = _font(_SIZES.get(name, _SIZE) * _SCALE)
            on.text((x * _SCALE, y * _SCALE), plain(text), fill=colour, font=font, anchor=_ANCHORS[anchor])
        case _:
            assert_never(shape)


def _at(*places: float) -> list[float]:
    return [place * _SCALE for place in places]


@cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
