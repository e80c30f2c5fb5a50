"""Size and soundness of an image, by Pillow (extra `files`). Only formats that are decoded within the process: nothing is executed."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "TIFF", "BMP", "ICO", "AVIF", "JPEG2000", "PPM")
FRAMES = 100  # of an animation or of several pages; further ones are not decoded

_LARGE = 16_000_000  # pixels; of larger images only one at a time is decoded, so that memory stays bounded
_one_large = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """`decodable`: every pixel of the first FRAMES frames could be decoded. None where that was not found out."""

    decodable: bool | None
    format: str | None = None
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    mode: str | None = None  # RGB, RGBA, L, P, CMYK ...
    channels: int | None = None
    error: str | None = None


def readable() -> tuple[str, ...]:
    """Those of FORMATS that Pillow was built with. Called once before threads read pictures: they would race for Pillow's set-up."""
    import PIL.Image as pillow

    pillow.init()
    return tuple(name for name in FORMATS if name in pillow.OPEN)


def read_picture(file: IO[bytes], *, decode: bool) -> Picture:
    """The header of an image; with `decode` also whether its pixels can be decoded.

    An image of more pixels than Pillow's MAX_IMAGE_PIXELS (89 million) is not decoded, and counts as one that cannot be.
    """
    import PIL.Image as pillow
    from PIL import UnidentifiedImageError

    seen = Picture(None)
    try:
        with pillow.open(file, formats=readable()) as image:
            seen = Picture(None, image.format, image.width, image.height, image.mode, len(image.getbands()))
            return _decoded(image, seen, pillow.MAX_IMAGE_PIXELS) if decode else seen
    except UnidentifiedImageError:
        return Picture(False, error="is no image of a known format")
    except pillow.DecompressionBombError:
        return replace(seen, decodable=False, error="is far larger than the images that are decoded")
    except MemoryError:
        return replace(seen, decodable=None, error="the image needs more memory than there is")
    except Exception as error:  # noqa: BLE001  # what a decoder raises for damaged bytes is no closed set
        return replace(seen, decodable=False, error=f"cannot be decoded as an image ({type(error).__name__})")


def _decoded(image: Image, seen: Picture, most: int | None) -> Picture:
    pixels = image.width * image.height
    if most is not None and pixels > most:
        return replace(seen, decodable=False, error=f"has {pixels:,} pixels; images of more than {most:,} are not decoded")
    with _one_large if pixels > _LARGE else nullcontext():
        for number in range(FRAMES):
            try:
                image.seek(number)
            except EOFError:
                break
            image.load()
    return replace(seen, decodable=True)
