"""How deep JSON is nested. Polars reads nested JSON by recursion, and a line of a thousand brackets ends the process."""

from __future__ import annotations

import numpy as np

DEEPEST = 100  # levels that are read
_BLOCK = 1 << 20
_QUOTE = ord('"')


def depth(text: bytes) -> int:
    """The deepest nesting of objects and arrays; text in quotes does not count."""
    level, deepest, quoted = 0, 0, 0
    plain = text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ") if b"\\" in text else text
    for start in range(0, len(plain), _BLOCK):
        block = np.frombuffer(plain[start : start + _BLOCK], np.uint8)
        parity = (np.cumsum(block == _QUOTE) + quoted) % 2
        steps = ((block == ord("{")) | (block == ord("["))).astype(np.int64) - ((block == ord("}")) | (block == ord("]")))
        levels = level + np.cumsum(np.where(parity == 0, steps, 0))
        deepest = max(deepest, int(levels.max()))
        level, quoted = int(levels[-1]), int(parity[-1])
    return deepest
