"""What clean batches show of a column, batch by batch: the ground on which clauses are proposed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.shape import NUMBER, ColumnShape, Reads

CATEGORIES = 50  # different values that are still a set
_TEXTS = 5_000  # different texts of a batch that are looked at
_MARKS = frozenset({"NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "Null", "null", "None", "none", "\\N", "-", "--", "?", "."})
_LONG = 64  # characters of which each place is looked at


@dataclass(frozen=True, slots=True)
class Letters:
    """How text is written: lengths, and the kinds of characters at its first, its last and any place; `places` where all are equally long.

    A kind is one of upper, lower, digit, accented, space, or the character itself.
    """

    shortest: int
    longest: int
    first: frozenset[str]
    last: frozenset[str]
    any: frozenset[str]
    places: tuple[frozenset[str], ...] | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One column in one clean batch. `categories`: its values with their rows, where they are few. `low`, `high`: of numbers.

    `marks`: how text that is numbers otherwise says that there is none ("NA"); None of other columns.
    """

    shape: ColumnShape
    categories: dict[str | float | bool, int] | None = None
    low: float | None = None
    high: float | None = None
    earliest: str | None = None  # of dates and times, ISO 8601
    letters: Letters | None = None
    marks: frozenset[str] | None = None

    @property
    def rows(self) -> int:
        return self.shape.rows

    @property
    def unique(self) -> bool:
        return self.shape.values > 1 and self.shape.distinct == self.shape.values


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of all clean batches, in their order. `columns` holds those that stand in every batch and read alike in all that have values of them.

    What is written as text reads as text in all batches where it does in one: numbers that are NA now and then.
    """

    batches: tuple[Batch, ...]
    columns: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()  # columns that stand in some batches only

    def reads(self, column: str) -> Reads:
        return self.columns[column][-1].shape.reads


def evidence_of(batches: Sequence[Batch]) -> Evidence:
    everywhere = [name for name in batches[-1].columns if all(name in batch.shape for batch in batches)]
    anywhere = {name for batch in batches for name in batch.columns}
    columns = {}
    for name in everywhere:
        shapes = [batch.shape[name] for batch in batches]
        kinds = {kind_of(shape.reads) for shape in shapes if shape.values}
        if len(kinds) > 1 and not all(shape.is_text for shape in shapes):
            continue
        reads = kinds.pop() if len(kinds) == 1 else Reads.TEXT if kinds else Reads.NOTHING
        columns[name] = tuple(_seen(_as(shape, reads), batch.frame[name]) for batch, shape in zip(batches, shapes, strict=True))
    return Evidence(tuple(batches), columns, frozenset(anywhere - set(everywhere)))


def kind_of(reads: Reads) -> Reads:
    """In which batches must agree: how many different texts there are may vary."""
    return Reads.TEXT if reads is Reads.CATEGORY else reads


def _as(shape: ColumnShape, reads: Reads) -> ColumnShape:
    return shape if kind_of(shape.reads) is reads else replace(shape, reads=reads, integral=reads is Reads.NUMBER)


def _seen(shape: ColumnShape, held: pl.Series) -> Seen:
    if not shape.values:
        return Seen(shape)
    few = held.dtype != pl.Object and not held.dtype.is_nested() and 0 < shape.distinct <= CATEGORIES
    categories = _counts(held, shape) if few and shape.reads in (Reads.CATEGORY, Reads.TEXT, Reads.FLAG, Reads.NUMBER) else None
    if shape.reads is Reads.NUMBER:
        numbers = held.cast(pl.Float64, strict=False).drop_nulls().drop_nans()
        low, high = numbers.min(), numbers.max()
        assert isinstance(low, float)
        assert isinstance(high, float)
        return Seen(shape, categories, low, high)
    if shape.reads in (Reads.DATE, Reads.TIME):
        return Seen(shape, earliest=str(held.drop_nulls().min())[:10])
    if shape.reads in (Reads.CATEGORY, Reads.TEXT):
        texts = held.cast(pl.String).drop_nulls().unique()
        return Seen(shape, categories, letters=letters_of(texts.head(_TEXTS).to_list()), marks=_marks(texts))
    return Seen(shape, categories)


def _marks(texts: pl.Series) -> frozenset[str] | None:
    words = texts.filter(~texts.str.contains(NUMBER))
    return frozenset(words.to_list()) if len(words) < len(texts) and words.is_in(sorted(_MARKS)).all() else None


def _counts(held: pl.Series, shape: ColumnShape) -> dict[str | float | bool, int]:
    values = held.cast(pl.String) if isinstance(held.dtype, pl.Categorical | pl.Enum) else held
    if shape.reads is Reads.NUMBER:
        values = values.cast(pl.Float64, strict=False).drop_nans()
    counted = values.drop_nulls().alias("value").value_counts(name="rows").sort("rows", "value", descending=[True, False])
    return dict(zip(counted["value"].to_list(), counted["rows"].to_list(), strict=True))


# --- how text is written -------------------------------------------------------------------------------------------


def letters_of(texts: Sequence[str]) -> Letters | None:
    """Of no text, and of text that is empty, nothing can be said."""
    if not texts or not all(texts):
        return None
    lengths = {len(text) for text in texts}
    kinds = frozenset(_letter(char) for char in frozenset("".join(texts)))
    places = None
    if len(lengths) == 1 and max(lengths) <= _LONG:
        places = tuple(frozenset(map(_letter, set(chars))) | _constant(chars) for chars in zip(*texts, strict=True))
    first, last = (frozenset(_letter(char) for char in {text[end] for text in texts}) for end in (0, -1))
    return Letters(min(lengths), max(lengths), first, last, kinds, places)


def _letter(char: str) -> str:
    if char.isascii():
        if char.isalnum():
            return "digit" if char.isdigit() else "upper" if char.isupper() else "lower"
        return "space" if char == " " else char
    return "accented" if char.isalpha() and char not in "ÃÂ" else char


def _constant(chars: Sequence[str]) -> frozenset[str]:
    """A letter that stands there always is told as itself, too; a digit may count up some day."""
    alone = set(chars)
    return frozenset(f"={char}" for char in alone if char.isalpha()) if len(alone) == 1 else frozenset()


def veiled(found: Letters) -> Letters:
    """Without the letters that stand at one place always: kinds alone tell no value."""
    if found.places is None:
        return found
    return replace(found, places=tuple(frozenset(kind for kind in kinds if not _is_constant(kind)) for kinds in found.places))


def joined(found: Sequence[Letters]) -> Letters:
    """How all of several are written."""
    places = None
    if all(each.places for each in found) and len({(each.shortest, each.longest) for each in found}) == 1:
        places = tuple(_at_one_place(kinds) for kinds in zip(*(each.places or () for each in found), strict=True))
    first, last, kinds = (frozenset().union(*(getattr(each, part) for each in found)) for part in ("first", "last", "any"))
    return Letters(min(each.shortest for each in found), max(each.longest for each in found), first, last, kinds, places)


def _at_one_place(kinds: Sequence[frozenset[str]]) -> frozenset[str]:
    constants = frozenset[str].intersection(*(frozenset(kind for kind in each if _is_constant(kind)) for each in kinds))
    return frozenset(kind for each in kinds for kind in each if not _is_constant(kind)) | constants


def _is_constant(kind: str) -> bool:
    return len(kind) == 2 and kind.startswith("=")


def fits(all_of: Letters, one: Letters) -> bool:
    """Whether text written like `one` is allowed by the pattern of `all_of`."""
    if all_of.places is not None:
        return one.places is not None and len(one.places) == len(all_of.places) and joined([all_of, one]) == all_of
    within = one.first <= all_of.first and one.last <= all_of.last and one.any <= all_of.any
    return within and all_of.shortest <= one.shortest and one.longest <= all_of.longest


_CLASSES = {"upper": "A-Z", "lower": "a-z", "digit": "0-9", "accented": r"\p{L}", "space": " "}


def pattern_of(found: Letters) -> str:
    """The regular expression of text that is written so: `^C[0-9]{6}$`, or `^[A-Z](?:[A-Za-z ]*[a-z])?$` where lengths differ."""
    if found.places is not None:
        return f"^{_runs([_one_place(kinds) for kinds in found.places])}$"
    first, last, every = (_class(kinds) for kinds in (found.first, found.last, found.any))
    return f"^{first}(?:{every}*{last})?$"


def _one_place(kinds: frozenset[str]) -> str:
    constant = next((kind[1] for kind in kinds if _is_constant(kind)), None)
    return re.escape(constant) if constant is not None else _class(kinds)


def _class(kinds: frozenset[str]) -> str:
    order = [*_CLASSES, *sorted(kinds - _CLASSES.keys())]
    return "[" + "".join(_CLASSES.get(kind) or _literal(kind) for kind in order if kind in kinds) + "]"


def _literal(char: str) -> str:
    return f"\\{char}" if char in r"\]^-[&~" else char


def numbers_or(marks: Iterable[str]) -> str:
    """The regular expression of numbers, and of what stands there where there is none."""
    return f"^(?:{'|'.join(map(re.escape, sorted(marks)))}|-?[0-9]+(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?)$"


def _runs(parts: Sequence[str]) -> str:
    written, at = "", 0
    while at < len(parts):
        times = next((n for n in range(len(parts) - at) if parts[at + n] != parts[at]), len(parts) - at)
        written += parts[at] if times == 1 else f"{parts[at]}{{{times}}}"
        at += times
    return written
