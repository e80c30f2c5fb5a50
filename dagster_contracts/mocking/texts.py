"""Texts that keep patterns and lengths: candidates, of which whoever asks keeps what matches."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from dagster_contracts.core.metrics import LengthOutside, NotMatching, OutOfRange
from dagster_contracts.mocking.numerals import numbers
from dagster_contracts.mocking.patterns import read_pattern
from dagster_contracts.mocking.shapes import ENDLESS
from dagster_contracts.mocking.wanted import Wanted

_SYLLABLES = tuple(f"{first}{second}" for first in "bdfghklmnprstvwz" for second in "aeio")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIGNS = _LETTERS + _LETTERS.upper() + "0123456789"
_MORE = 24  # characters beyond the fewest, where nothing limits them


def candidates(wanted: Wanted, random: Random, count: int) -> list[str]:
    """`count` texts that may fit, some of them perhaps equal."""
    low, high = lengths(wanted)
    if low > high:
        return []
    if any(isinstance(metric, OutOfRange) for metric in wanted.metrics):
        return [_plain(number) for number in numbers(wanted, random, count)]
    asked = [metric for metric in wanted.metrics if isinstance(metric, NotMatching)]
    if not asked:
        return _words(random, low, high, count)
    makers = [_maker(metric, random, low, high) for metric in asked]
    if len(asked) > 1:
        makers.append(lambda: _together(asked, random, low, high))
    return [makers[number % len(makers)]() for number in range(count)]


def lengths(wanted: Wanted) -> tuple[int, int]:
    sizes = [metric for metric in wanted.metrics if isinstance(metric, LengthOutside)]
    low = max((metric.minimum for metric in sizes if metric.minimum is not None), default=0)
    return low, min((metric.maximum for metric in sizes if metric.maximum is not None), default=ENDLESS)


def _plain(number: int | float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _words(random: Random, low: int, high: int, count: int) -> list[str]:
    """Words that can be spoken; of a few characters, and where words would be too few, any letters and digits."""
    if high == 0:
        return [""] * count
    least, most = max(low, min(4, high)), min(high, max(low, 4) + 8)
    if most < 4:
        return ["".join(random.choices(_SIGNS, k=random.randint(max(1, low), most))) for _ in range(count)]
    parts = [random.choices(_SYLLABLES, k=count) for _ in range(most // 2 + 1)]
    sizes = random.choices(range(least, most + 1), k=count)
    return ["".join(syllables)[:size] for size, *syllables in zip(sizes, *parts, strict=True)]


def _word(random: Random, low: int, high: int) -> str:
    return _words(random, low, high, 1)[0]


def _maker(metric: NotMatching, random: Random, low: int, high: int) -> Callable[[], str]:
    plausible = _USUAL.get(metric.format or "")
    read = read_pattern(metric.pattern)

    def make() -> str:
        if plausible is not None and high >= _USUAL_LENGTH:
            return plausible(random)
        most = min(high, max(low, read.shape.shortest) + _MORE)
        text = read.shape.text(random, min(low, read.shape.longest), most)
        return text if len(text) >= low else _padded(text, random, low, read.starts, read.ends)

    return make


def _together(asked: list[NotMatching], random: Random, low: int, high: int) -> str:
    """A part for each pattern: what begins a text first, what ends it last, letters between."""
    reads = random.sample([read_pattern(metric.pattern) for metric in asked], len(asked))
    reads.sort(key=lambda read: read.ends - read.starts)
    parts = [
        read.shape.text(random, 0, max(read.shape.shortest, (high if high < ENDLESS else low + _MORE) // len(reads))) for read in reads
    ]
    missing = max(0, low - sum(map(len, parts)))
    return "".join((*parts[:-1], *random.choices(_LETTERS, k=missing), parts[-1]))


def _padded(text: str, random: Random, low: int, starts: bool, ends: bool) -> str:
    """A pattern may match a part of a longer text."""
    rest = "".join(random.choice(_LETTERS) for _ in range(low - len(text)))
    return text + rest if starts or not ends else rest + text


# --- formats, as people would write them -----------------------------------------------------------------------------

_USUAL_LENGTH = 48


def _host(random: Random) -> str:
    return f"{_word(random, 4, 10)}.example.{random.choice(('com', 'org', 'net'))}"


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"{'89ab'[int(digits[16], 16) % 4]}{digits[17:20]}", digits[20:]))


_USUAL: dict[str, Callable[[Random], str]] = {
    "email": lambda random: f"{_word(random, 3, 7)}.{_word(random, 4, 10)}@{_host(random)}",
    "uuid": _uuid,
    "uri": lambda random: f"https://{_host(random)}/{_word(random, 4, 10)}",
    "url": lambda random: f"https://{_host(random)}/{_word(random, 4, 10)}",
    "hostname": _host,
}
