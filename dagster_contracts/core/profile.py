"""What is kept of the distribution of a column, small enough for the ledger, and how several of them make one. Pure.

A profile of numbers is exact up to EXACT different values. Beyond, neighbouring values are joined: each group holds less than 1 / GROUPS
of all values and stands at their mean, so that the share of values below any number is off by less than `rank_error` and the mean by
nothing; the smallest and the largest value, and every value that is more frequent than a group, stay themselves.

A profile of categories holds the CATEGORIES most frequent ones, and counts the values of all others.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any

EXACT = 20_000
GROUPS = 2_048
CATEGORIES = 10_000
VERSION = 1


class NotAProfile(ValueError):
    """A document is no profile, or one of another version. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class NumericProfile:
    """The values of a column as (value, count) pairs, ascending. `rank_error` 0: every distinct value is there.

    Nulls and NaN are counted apart, as is text that is no number; infinities are values.
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: int = 0
    rank_error: float = 0.0

    @property
    def exact(self) -> bool:
        return self.rank_error == 0

    @property
    def total(self) -> int:
        """Values, nulls left out."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """How often each category stands in a column, by its text, most frequent first. `others` counts those beyond the limit.

    `veiled`: the texts are digests of the categories, as they are kept of classified columns.
    """

    categories: tuple[tuple[str, int], ...]
    nulls: int = 0
    others: int = 0
    veiled: bool = False

    @property
    def total(self) -> int:
        """Values, nulls included."""
        return sum(count for _, count in self.categories) + self.others + self.nulls


Profile = NumericProfile | CategoryProfile


# --- several as one ------------------------------------------------------------------------------------------------


def pooled(profiles: Sequence[Profile]) -> Profile:
    """The profile of all values of several. Exact while all are and the limits hold. Raises ValueError for none, and for two kinds."""
    numeric = [profile for profile in profiles if isinstance(profile, NumericProfile)]
    categorical = [profile for profile in profiles if isinstance(profile, CategoryProfile)]
    if bool(numeric) == bool(categorical):
        raise ValueError("profiles of numbers and of categories are not one" if numeric else "no profile at all")
    return _pooled_numbers(numeric) if numeric else _pooled_categories(categorical)


def _pooled_numbers(profiles: Sequence[NumericProfile]) -> NumericProfile:
    counted: Counter[float] = Counter()
    for profile in profiles:
        for value, count in zip(profile.values, profile.counts, strict=True):
            counted[value] += count
    points = sorted(counted.items())
    error = max(profile.rank_error for profile in profiles)
    return joined(points, sum(profile.nulls for profile in profiles), error)


def joined(points: Sequence[tuple[float, int]], nulls: int = 0, rank_error: float = 0.0) -> NumericProfile:
    """A profile of ascending (value, count) pairs, neighbours joined where they are more than EXACT."""
    if len(points) > EXACT:
        points, rank_error = _joined_ends(points), rank_error + 1 / GROUPS
    return NumericProfile(tuple(value for value, _ in points), tuple(count for _, count in points), nulls, rank_error)


def _groups(points: Sequence[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    limit = sum(count for _, count in points) / GROUPS
    group: list[tuple[float, int]] = []
    size = 0
    for value, count in points[1:-1]:
        if group and size + count >= limit:
            yield _as_one(group, size)
            group, size = [], 0
        group.append((value, count))
        size += count
    yield _as_one(group, size)


def _joined_ends(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """The ends are the minimum and the maximum, which stay."""
    return [points[0], *_groups(points), points[-1]]


def _as_one(group: Sequence[tuple[float, int]], size: int) -> tuple[float, int]:
    mean = math.fsum(value * (count / size) for value, count in group)
    return min(max(mean, group[0][0]), group[-1][0]), size  # rounding leaves no group


def _pooled_categories(profiles: Sequence[CategoryProfile]) -> CategoryProfile:
    veil = any(profile.veiled for profile in profiles)
    counted: Counter[str] = Counter()
    for profile in map(veiled, profiles) if veil else profiles:
        counted.update(dict(profile.categories))
    nulls, others = sum(profile.nulls for profile in profiles), sum(profile.others for profile in profiles)
    return ranked(counted, nulls, others, veil)


def ranked(counted: Mapping[str, int], nulls: int = 0, others: int = 0, veil: bool = False) -> CategoryProfile:
    """A profile of categories, the most frequent ones by name; ties in the order of their text."""
    order = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    beyond = sum(count for _, count in order[CATEGORIES:])
    return CategoryProfile(tuple(order[:CATEGORIES]), nulls, others + beyond, veil)


def veiled(profile: CategoryProfile) -> CategoryProfile:
    """The same profile with digests for the texts: what differs still differs, and nothing can be read off it."""
    if profile.veiled:
        return profile
    return replace(profile, categories=tuple((digest(text), count) for text, count in profile.categories), veiled=True)


def spelled(profile: CategoryProfile, logical: str | None) -> CategoryProfile:
    """The same profile with one spelling for each number or boolean, as engines give it; digests stay as they are."""
    if profile.veiled or logical not in ("number", "boolean"):
        return profile
    spell = _number if logical == "number" else _boolean
    counted: Counter[str] = Counter()
    for text, count in profile.categories:
        counted[spell(text)] += count
    return ranked(counted, profile.nulls, profile.others)


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def _number(text: str) -> str:
    bare = text.strip()
    if _NUMBER.fullmatch(bare) is None:
        return text
    digits = f"{Decimal(bare):f}"
    shortest = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if shortest == "-0" else shortest


def _boolean(text: str) -> str:
    return word if (word := text.strip().lower()) in ("true", "false") else text


def digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# --- what a profile of numbers tells -------------------------------------------------------------------------------


def mean(profile: NumericProfile) -> float:
    """The mean of the values; nan of none. Exact to the last digits however many there are: profiles keep the mean of what they join."""
    whole = sum(profile.counts)
    return math.fsum(value * count for value, count in zip(profile.values, profile.counts, strict=True)) / whole if whole else math.nan


def quantile(profile: NumericProfile, at: float) -> float | None:
    """The value at rank `at` (0..1), interpolated between the two nearest ranks as numpy's method "linear"; None of no values.

    Nothing lies between a number and an infinity: the number is taken where one of the two ranks holds an infinity, and between the two
    infinities the nearer, the lower in the middle.
    """
    cumulated = list(accumulate(profile.counts))
    if not cumulated:
        return None
    position = at * (cumulated[-1] - 1)
    low = math.floor(position)
    first = profile.values[bisect_right(cumulated, low)]
    second = profile.values[bisect_right(cumulated, min(low + 1, cumulated[-1] - 1))]
    return _between(first, second, position - low)


def _between(first: float, second: float, part: float) -> float:
    if first == second or part == 0:
        return first
    if math.isinf(first) and math.isinf(second):
        return first if part <= 0.5 else second
    if math.isinf(first) or math.isinf(second):
        return second if math.isinf(first) else first
    gap = second - first
    if math.isinf(gap):  # of numbers so far apart that their difference is no float
        return first * (1 - part) + second * part
    return second - gap * (1 - part) if part >= 0.5 else first + gap * part  # the same rounding as numpy's


def equal_edges(profile: NumericProfile, bins: int) -> tuple[float, ...]:
    """The inner edges of `bins` bins of equal counts, each once: the deciles for 10. All finite: infinities are in the outer bins."""
    step = 1 / bins
    found = (quantile(profile, number * step) for number in range(1, bins))
    return tuple(sorted({edge for edge in found if edge is not None and math.isfinite(edge)}))


def binned(profile: NumericProfile, edges: Sequence[float]) -> tuple[int, ...]:
    """Values in each bin; a bin holds its left edge, the outer ones are open."""
    counts = [0] * (len(edges) + 1)
    for value, count in zip(profile.values, profile.counts, strict=True):
        counts[bisect_right(edges, value)] += count
    return tuple(counts)


# --- as JSON -------------------------------------------------------------------------------------------------------


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """The profile as JSON values, `version` 1. `profile_from_json` reads it back to an equal profile."""
    if isinstance(profile, CategoryProfile):
        head = {"version": VERSION, "kind": "categorical", "nulls": profile.nulls, "others": profile.others, "veiled": profile.veiled}
        return {**head, "categories": [[text, count] for text, count in profile.categories]}
    head = {"version": VERSION, "kind": "numeric", "nulls": profile.nulls, "rankError": profile.rank_error}
    values = [value if math.isfinite(value) else repr(value) for value in profile.values]
    return {**head, "values": values, "counts": list(profile.counts)}


def profile_from_json(document: object) -> Profile:
    """The profile that `profile_to_json` wrote. Raises NotAProfile."""
    if not isinstance(document, Mapping):
        raise NotAProfile("expected a profile (a mapping with version, kind and counts)")
    if document.get("version") != VERSION:
        raise NotAProfile(f"a profile of version {document.get('version')!r}; this release reads version {VERSION}")
    try:
        if document["kind"] == "categorical":
            return _categories_from(document)
        if document["kind"] == "numeric":
            return _numbers_from(document)
    except (KeyError, TypeError, ValueError, OverflowError) as broken:
        raise NotAProfile(f"a profile that is damaged: {type(broken).__name__} {broken}") from broken
    raise NotAProfile(f"a profile of kind {document['kind']!r}; expected numeric or categorical")


def _numbers_from(document: Mapping[str, Any]) -> NumericProfile:
    values = tuple(float(value) for value in document["values"])
    counts = tuple(map(_count, document["counts"]))
    if len(values) != len(counts) or any(not left < right for left, right in pairwise(values)) or any(map(math.isnan, values)):
        raise ValueError("values must ascend, with one count each")
    error = float(document["rankError"])
    if not 0 <= error <= 1:
        raise ValueError("rankError must be from 0 to 1")
    return NumericProfile(values, counts, _count(document["nulls"]), error)


def _categories_from(document: Mapping[str, Any]) -> CategoryProfile:
    counted = {str(text): _count(count) for text, count in document["categories"]}
    if len(counted) != len(document["categories"]):
        raise ValueError("a category stands twice")
    profile = CategoryProfile(tuple(counted.items()), _count(document["nulls"]), _count(document["others"]))
    return replace(profile, veiled=document["veiled"] is True)


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"a count is {value!r}")
