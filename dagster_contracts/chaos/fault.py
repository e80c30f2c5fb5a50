"""A fault: what it is called, which columns it fits, how hard it can hit, and what it does. See `fault` for one of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.shape import ColumnShape, Reads, Shape
from dagster_contracts.core.contract import Clause

Inject = Callable[[Batch, str | None, float, np.random.Generator], Injected]
Fits = Callable[[Shape], Sequence[str | None]]


class DoesNotFit(Exception):
    """Raised by a fault that has nothing to do on a batch after all, with the reason: it is reported, and not counted."""


class Group(StrEnum):
    """What a fault does harm to."""

    SCHEMA = "schema"
    NULLS = "nulls"
    SEMANTICS = "semantics"
    QUALITY = "quality"
    DISTRIBUTION = "distribution"
    CADENCE = "cadence"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    `doses` are the steps of severity, ascending, in `unit`; a fault that is either there or not has the one dose 1. `clause` is the group
    of clauses that a contract would notice it by. `fits` answers the columns that it can be injected into; None among them stands for
    the batch as a whole. `monotone`: a higher dose touches the same rows, and more.

    `inject(batch, column, dose, rng)` never changes the batch, and does the same for the same state of `rng`.
    """

    name: str
    group: Group
    clause: Clause
    doses: tuple[float, ...]
    fits: Fits
    inject: Inject
    unit: str = ""
    description: str = ""
    monotone: bool = False

    def __post_init__(self) -> None:
        if not self.doses or list(self.doses) != sorted(set(self.doses)) or self.doses[0] <= 0:
            raise ValueError(f"fault {self.name}: doses are {self.doses}; expected one or more numbers above 0, ascending")

    @property
    def graded(self) -> bool:
        """Whether it can hit harder or softer, so that there is a smallest dose that is noticed."""
        return len(self.doses) > 1


ONCE = (1.0,)
SHARES = (0.01, 0.1, 0.5)  # of the rows


def whole(shape: Shape) -> Sequence[str | None]:
    """Fits the batch as a whole."""
    return (None,)


def reading(*kinds: Reads, also: Callable[[ColumnShape], bool] = lambda column: True) -> Fits:
    """Fits columns whose values stand for one of `kinds`; without any, all columns that hold values."""

    def fits(shape: Shape) -> Sequence[str | None]:
        found = (column for column in shape.values() if column.reads is not Reads.NOTHING)
        return [column.name for column in found if (not kinds or column.reads in kinds) and also(column)]

    return fits


def fault(
    name: str,
    group: Group | str,
    *,
    clause: Clause | str,
    fits: Fits = whole,
    doses: Sequence[float] = ONCE,
    unit: str = "",
    monotone: bool = False,
) -> Callable[[Inject], Fault]:
    """Make a Fault of a function; its docstring becomes the description.

        @fault("shouting", "semantics", clause="validity", fits=reading(Reads.CATEGORY), doses=SHARES, unit="of the rows")
        def shouting(batch, column, dose, rng):
            '''Text in capitals.'''
            return edited(batch, column, pl.col(column).str.to_uppercase(), picked(batch, column, dose, rng), "in capitals")

    Raises ValueError for doses that are not ascending, or an unknown group or clause.
    """

    def made(inject: Inject) -> Fault:
        told = (inject.__doc__ or "").strip()
        return Fault(name, Group(group), Clause(clause), tuple(doses), fits, inject, unit, told, monotone)

    return made


def generator(seed: int, fault_name: str, column: str | None) -> np.random.Generator:
    """Random numbers of one fault in one column. The dose has no say, so that a higher dose hits the rows of a lower one again."""
    told = f"{fault_name}\x00{column or ''}".encode()
    return np.random.default_rng([seed, *told])
