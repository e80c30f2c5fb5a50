"""A delivery as faults and campaigns see it, and a delivery with a fault in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from dagster_contracts.chaos.shape import Shape, shape_of
from dagster_contracts.core.ledger import UNPARTITIONED, Partition


class Arrival(StrEnum):
    """What says when a batch arrived. All but the first are assumptions."""

    KNOWN = "known"  # whoever gave the batch
    DATA = "data"  # its newest value of what is to be fresh
    NAME = "name"  # the end of the day or month in its name
    ORDER = "order"  # nothing: a day after the batch before it


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it came, byte by byte, for faults that lie in how it is written: `suffix` is that of its name (".parquet")."""

    suffix: str
    content: bytes


@dataclass(frozen=True, eq=False)
class Batch:
    """One delivery: the rows, when it arrived (aware UTC) and of which partition it is.

    `name` is for people (a file's name); `previous` the delivery before it. With `written`, those bytes are delivered, not `frame`.
    `arrival` is what `arrived_at` was taken from.
    """

    frame: pl.DataFrame
    arrived_at: datetime
    partition: Partition = UNPARTITIONED
    name: str = ""
    previous: Batch | None = field(default=None, repr=False)
    written: Written | None = field(default=None, repr=False)
    arrival: Arrival = Arrival.KNOWN

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    @property
    def rows(self) -> int:
        return self.frame.height

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.frame)

    def holding(self, frame: pl.DataFrame) -> Batch:
        """The same delivery with other rows."""
        return replace(self, frame=frame)

    def apart(self) -> Batch:
        """The same delivery in a frame of its own, which may be changed in place; its shape is looked at once for both."""
        own = replace(self, frame=self.frame.clone())
        vars(own)["shape"] = self.shape
        return own


@dataclass(frozen=True, eq=False, slots=True)
class Injected:
    """What is delivered in place of a clean batch.

    `batch` is None where nothing is; `also` are deliveries that follow it. `description` is for people: what was done, to how many rows
    of which columns. `rows` are the places (0-based) at which the frames differ, those that only one of them has included, in
    ascending order; `columns` the columns that differ, by the names that they have on either side.
    """

    batch: Batch | None
    description: str
    rows: pl.Series
    columns: tuple[str, ...]
    also: tuple[Batch, ...] = ()


def places(found: Iterable[int] | np.ndarray[Any, Any] = ()) -> pl.Series:
    """Places of rows as `Injected.rows` holds them."""
    return pl.Series("row", found, dtype=pl.UInt32)
