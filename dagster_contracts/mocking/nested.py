"""Objects, arrays and maps: built of what stands within them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import polars as pl

from dagster_contracts.core.contract import Property
from dagster_contracts.core.metrics import EACH, KEYS, VALUES, Repeating, SizeOutside
from dagster_contracts.core.options import vector_items
from dagster_contracts.core.plan import Rule
from dagster_contracts.mocking.counts import nearest
from dagster_contracts.mocking.pools import Pool, pool
from dagster_contracts.mocking.wanted import Place, Wanted, wanted

CONTAINERS = ("object", "array", "map", "vector")
_MOST = 3  # elements beyond the fewest, where no rule says how many
_VARIED = 200  # values of one place that are made in advance
_NULL_ONE_IN = 20

NO_VALUE = "no value keeps"

Make = Callable[[], Any]


class Lacking(Exception):
    """A place for whose values there are none, or too few."""

    def __init__(self, wanted: Wanted, reason: str = NO_VALUE):
        super().__init__(reason)
        self.wanted, self.reason = wanted, reason


@dataclass(slots=True)
class Nesting:
    """Makes the values of one column that holds more than one value."""

    rules: tuple[Rule, ...]
    random: Random
    now: datetime
    rows: int
    makers: dict[Place, Make] = field(default_factory=dict)
    used: dict[Place, Iterator[Any]] = field(default_factory=dict)

    def column(self, prop: Property) -> tuple[Make, pl.DataType]:
        """What makes a value that is not null, and its type. Raises Lacking."""
        return self._of(prop, (prop.name,))

    def _of(self, prop: Property, place: Place) -> tuple[Make, pl.DataType]:
        asked = wanted(self.rules, prop, place)
        kind = asked.kind
        if kind == "object" or (prop.properties and kind is None):
            return self._object(prop, asked)
        if kind in ("array", "vector"):
            return self._array(prop, asked)
        if kind == "map":
            return self._map(prop, asked)
        found = self._pool(asked)
        return (self._once(found, asked) if asked.unique else lambda: self.random.choice(found.values)), found.dtype

    def _pool(self, asked: Wanted) -> Pool:
        rows = max(1, self.rows)  # of no row too it is told what a value would be
        need = rows * 8 if asked.unique else min(_VARIED, rows * 4)
        found = pool(asked, self.random, need, self.now)
        if not found.values:
            raise Lacking(asked)
        return found

    def _once(self, found: Pool, asked: Wanted) -> Make:
        """Each value once; null, or Lacking, where there are no more."""
        values = iter(found.values)
        optional = not asked.counted

        def make() -> Any:
            value = next(values, None)
            if value is None and not optional:
                raise Lacking(asked, f"only {len(found.values):,} different values keep")
            return value

        return make

    def _maybe(self, prop: Property, place: Place) -> tuple[Make, pl.DataType]:
        """Null now and then, where no rule counts nulls; often, where rules want some."""
        make, dtype = self._of(prop, place)
        counted = [threshold for _, threshold in wanted(self.rules, prop, place).counted]
        one_in = _NULL_ONE_IN if not counted else 2 if nearest(counted, 0) else 0
        return (lambda: None if one_in and self.random.randrange(one_in) == 0 else make()), dtype

    def _object(self, prop: Property, asked: Wanted) -> tuple[Make, pl.DataType]:
        low, _ = _sizes(asked)
        enough = self._of if low else self._maybe
        parts = {inner.name: enough(inner, (*asked.place, inner.name)) for inner in prop.properties if not inner.deprecated}
        extra = [name for name in asked.fields if name not in parts] + [f"field_{n}" for n in range(len(parts) + 1, low + 1)]
        for name in extra if parts else (extra or ["value"]):
            parts[name] = self._of(Property(name, "string"), (*asked.place, name))
        fields = [pl.Field(name, dtype) for name, (_, dtype) in parts.items()]
        return (lambda: {name: make() for name, (make, _) in parts.items()}), pl.Struct(fields)

    def _array(self, prop: Property, asked: Wanted) -> tuple[Make, pl.DataType]:
        items = prop.items or vector_items(prop) or Property("", "integer" if prop.logical_type == "vector" else "string")
        low, high = _sizes(asked)
        place = (*asked.place, EACH)
        make, dtype = (self._maybe if wanted(self.rules, items, place).counted else self._of)(items, place)
        if any(isinstance(metric, Repeating) for metric in asked.metrics):
            return (lambda: self._different(make, low, high, asked)), pl.List(dtype)
        return (lambda: [make() for _ in range(self.random.randint(low, high))] if low else self._some(make, high)), pl.List(dtype)

    def _some(self, make: Make, high: int) -> list[Any]:
        """As many as there are."""
        found: list[Any] = []
        for _ in range(self.random.randint(min(1, high), high)):
            try:
                found.append(make())
            except Lacking:
                break
        return found

    def _different(self, make: Make, low: int, high: int, asked: Wanted) -> list[Any]:
        size, found = self.random.randint(low, high), []
        for _ in range(size * 20):
            value = make()
            if value not in found:
                found.append(value)
            if len(found) == size:
                break
        if len(found) < low:
            raise Lacking(asked, "too few different elements keep")
        return found

    def _map(self, prop: Property, asked: Wanted) -> tuple[Make, pl.DataType]:
        low, high = _sizes(asked)
        key, key_type = self._of(prop.keys or Property("", "string"), (*asked.place, KEYS))
        value, value_type = self._of(prop.values or Property("", "string"), (*asked.place, VALUES))

        def make() -> list[dict[str, Any]]:
            keys = list(dict.fromkeys((*asked.fields, *self._different(key, low, high, asked))))
            return [{"key": each, "value": value()} for each in keys[: max(high, len(asked.fields))]]

        return make, pl.List(pl.Struct([pl.Field("key", key_type), pl.Field("value", value_type)]))


def _sizes(asked: Wanted) -> tuple[int, int]:
    sizes = [metric for metric in asked.metrics if isinstance(metric, SizeOutside)]
    low = max((each.minimum for each in sizes if each.minimum is not None), default=0)
    high = min((each.maximum for each in sizes if each.maximum is not None), default=None)
    if high is not None and high < low:
        raise Lacking(asked)
    return low, min(low + _MOST, high) if high is not None else low + _MOST
