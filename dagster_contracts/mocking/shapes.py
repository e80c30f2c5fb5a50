"""Regular expressions as shapes: what a text that matches is put together from, and one of a length that is asked for.

Anchors and boundaries are no characters and stand for nothing here: whoever uses a text looks whether it matches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

ENDLESS = 1 << 30
_MORE = 8  # repetitions beyond the fewest, where a pattern sets no limit
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_WIDE = 70  # of a class with more characters, letters and digits are taken


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character of several."""

    characters: tuple[str, ...]

    @property
    def shortest(self) -> int:
        return 1

    @property
    def longest(self) -> int:
        return 1

    def text(self, random: Random, low: int, high: int) -> str:
        return random.choice(self.characters)


def one_of(characters: set[str]) -> OneOf:
    """Of a wide class (a dot, what is not among a few) letters and digits, where it has any."""
    plain = characters & _PLAIN
    return OneOf(tuple(sorted(plain if plain and len(characters) > _WIDE else characters)))


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: tuple[Shape, ...]
    shortest: int = field(init=False)
    longest: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shortest", min(ENDLESS, sum(part.shortest for part in self.parts)))
        object.__setattr__(self, "longest", min(ENDLESS, sum(part.longest for part in self.parts)))

    def text(self, random: Random, low: int, high: int) -> str:
        found = ""
        least, most = sum(part.shortest for part in self.parts), sum(part.longest for part in self.parts)
        for part in self.parts:
            least, most = least - part.shortest, most - part.longest
            found += part.text(random, low - len(found) - most, high - len(found) - least)
        return found


@dataclass(frozen=True, slots=True)
class Either:
    """One of several."""

    options: tuple[Shape, ...]

    @property
    def shortest(self) -> int:
        return min(option.shortest for option in self.options)

    @property
    def longest(self) -> int:
        return max(option.longest for option in self.options)

    def text(self, random: Random, low: int, high: int) -> str:
        fitting = [option for option in self.options if option.shortest <= high and option.longest >= low]
        return random.choice(fitting or self.options).text(random, low, high)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same shape several times."""

    shape: Shape
    least: int
    most: int

    @property
    def shortest(self) -> int:
        return min(ENDLESS, self.shape.shortest * self.least)

    @property
    def longest(self) -> int:
        return min(ENDLESS, self.shape.longest * self.most)

    def text(self, random: Random, low: int, high: int) -> str:
        longest, shortest = self.shape.longest, self.shape.shortest
        fewest = max(self.least, -(-low // longest) if longest else 0)
        most = min(self.most, high // shortest if shortest else self.most, max(fewest, self.least) + _MORE)
        times = random.randint(min(fewest, self.most), max(most, min(fewest, self.most)))
        return Row((self.shape,) * times).text(random, low, high) if times else ""


Shape = OneOf | Row | Either | Repeated
EMPTY = Row(())
