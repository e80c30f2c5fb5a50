"""How deep JSON is nested. Polars reads nested JSON by recursion, and a line of a thousand brackets ends the process."""

from __future__ import annotations

import numpy as np

DEEPEST = 100  # levels that are read
_BLOCK = 1 << 20
_QUOTE = ord('"')
_STEPS = np.zeros(256, np.int8)
_STEPS[[ord("{"), ord("[")]] = 1
_STEPS[[ord("}"), ord("]")]] = -1
_MATTERS = _STEPS != 0
_MATTERS[_QUOTE] = True


def depth(text: bytes) -> int:
    """The deepest nesting of objects and arrays; text in quotes does not count."""
    level, deepest, quoted = 0, 0, 0
    plain = text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ") if b"\\" in text else text
    for start in range(0, len(plain), _BLOCK):
        block = np.frombuffer(plain[start : start + _BLOCK], np.uint8)
        signs = block[_MATTERS[block]]
        if not signs.size:
            continue
        quotes = np.cumsum(signs == _QUOTE, dtype=np.int32) + quoted
        levels = level + np.cumsum(np.where(quotes & 1, 0, _STEPS[signs]), dtype=np.int32)
        deepest = max(deepest, int(levels.max()))
        level, quoted = int(levels[-1]), int(quotes[-1]) & 1
    return deepest
