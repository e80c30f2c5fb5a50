"""Files to make sets of: images, texts in several encodings and languages, and what is broken about either."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund, während die Sonne schön scheint. "
ENGLISH = "It is a truth universally acknowledged, that a single man in possession of a good fortune must be in want of a wife. "
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. "
POLISH = "Zażółć gęślą jaźń, to jest bardzo dobre ciasto i miła obsługa. "
JAPANESE = "これは日本語の文です。とても良い天気ですね。"


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", *, frames: int = 1) -> bytes:
    """Noise, so that it does not shrink to nothing."""
    images = [Image.effect_noise(size, 60 + number).convert(mode) for number in range(frames)]
    content = io.BytesIO()
    if frames > 1:
        images[0].save(content, form, save_all=True, append_images=images[1:])
    else:
        images[0].save(content, form)
    return content.getvalue()


def write(folder: Path, **contents: bytes) -> Path:
    """Files named by keyword, "__" standing for the dot and "___" for a folder: sub___a__png."""
    for name, content in contents.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
