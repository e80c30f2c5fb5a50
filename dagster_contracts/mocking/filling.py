"""One schema object -> its columns, filled: pools of values, then rows that keep keys, comparisons and relationships."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Any

import polars as pl

from dagster_contracts.core.contract import Property, SchemaObject
from dagster_contracts.core.metrics import Compared, Duplicates, Metric, Missing, Orphans
from dagster_contracts.core.plan import Rule, Threshold, Within
from dagster_contracts.mocking import comparing, counts, distributions, numerals
from dagster_contracts.mocking.contradictions import pair
from dagster_contracts.mocking.nested import CONTAINERS, Lacking, Make, Nesting
from dagster_contracts.mocking.pools import Pool, pool
from dagster_contracts.mocking.units import Group, metrics
from dagster_contracts.mocking.wanted import Wanted

_ENOUGH = 10_000  # different values of a column that may repeat them
_VARIED = 1000
_ROOM = 1 << 62
_TRIES = 100


@dataclass(slots=True)
class Filling:
    """The columns of one object while they are made."""

    obj: SchemaObject
    rules: tuple[Rule, ...]
    wants: dict[str, Wanted]
    properties: dict[str, Property]
    rows: int
    now: datetime
    seed: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    dtypes: dict[str, pl.DataType] = field(default_factory=dict)

    def random(self, name: str) -> Random:
        return Random(f"{self.seed}:{self.obj.name}:{name}")  # noqa: S311 - mock data is no secret

    def frame(self) -> pl.DataFrame:
        """An object without properties has rows too, and a column of no meaning for them to stand in."""
        if not self.properties:
            return pl.DataFrame({"value": ["any"] * self.rows})
        return pl.DataFrame([pl.Series(name, self.values[name], dtype=self.dtypes[name]) for name in self.properties])

    # --- one group of columns

    def fill(self, group: Group, others: Mapping[str, Filling]) -> None:
        """Raises Lacking."""
        if group.columns[0] in self.containers:
            self._nest(group.columns[0])
            return
        random = self.random("/".join(group.columns))
        free = {column: self._nulls(column) for column in group.columns}
        pools = [self._rows_of(random, unit, group, free, others) for unit in group.units]
        picked = self._picked(random, group, pools, free)
        for column in group.columns:
            self._finish(random, column, picked[column], free[column], alone=len(group.columns) == 1)

    @property
    def containers(self) -> frozenset[str]:
        """Columns that hold more than one value a row."""
        return frozenset(
            name
            for name, prop in self.properties.items()
            if self.wants[name].kind in CONTAINERS or (prop.within and not self.wants[name].kind)
        )

    def _nest(self, column: str) -> None:
        random = self.random(column)
        make, dtype = Nesting(self.rules, random, self.now, self.rows).column(self.properties[column])
        nulls = set(random.sample(range(self.rows), self._nulls(column)))
        seen: set[str] = set()
        self.values[column] = [None if number in nulls else self._unseen(column, make, seen) for number in range(self.rows)]
        self.dtypes[column] = dtype

    def _unseen(self, column: str, make: Make, seen: set[str]) -> Any:
        """Once each, where the column is unique."""
        value = make()
        for _ in range(_TRIES):
            if not self.wants[column].unique or repr(value) not in seen:
                break
            value = make()
        seen.add(repr(value))
        return value

    def _nulls(self, column: str) -> int:
        found = counts.nulls(self.wants[column], self.rows)
        if found is None:
            raise Lacking(self.wants[column], "no number of nulls keeps")
        return found

    # --- pools of units

    def _rows_of(
        self, random: Random, unit: tuple[str, ...], group: Group, free: dict[str, int], others: Mapping[str, Filling]
    ) -> list[dict[str, Any]]:
        """Different values of the unit. Raises Lacking where there are none, and some are needed."""
        links = [link for link in self._links(unit) if link.object in others]
        composite = next((link for link in links if len(link.columns) > 1), None)
        need = self.rows if group.keys or any(self.wants[column].unique for column in unit) else min(self.rows, _ENOUGH)
        pools = {
            column: self._pool(random, column, need, links, others) for column in unit if not composite or column not in composite.columns
        }
        if composite is not None:
            return self._keyed(random, composite, pools, others, need)
        for column, found in pools.items():
            self.dtypes[column] = found.dtype
            if not found.values and free[column] < self.rows:
                free[column] = self._all_null(column)
        if len(unit) == 1:
            return [{unit[0]: value} for value in pools[unit[0]].values]
        return self._compared(random, unit, pools, need)

    def _links(self, unit: Sequence[str]) -> list[Orphans]:
        found = [metric for metric in metrics(self.rules, Orphans) if isinstance(metric, Orphans)]
        return [metric for metric in found if set(metric.columns) <= set(unit)]

    def _pool(self, random: Random, column: str, need: int, links: Sequence[Orphans], others: Mapping[str, Filling]) -> Pool:
        mine = [link for link in links if link.columns == (column,)]
        if not mine:
            return self._alike(random, column, need)
        found: Pool | None = None
        for link in mine:
            target = others[link.object]
            if link.targets[0] not in target.values:
                continue
            present = dict.fromkeys(value for value in target.values[link.targets[0]] if value is not None)
            if found is None:
                found = Pool(tuple(present), target.dtypes[link.targets[0]]).fitting(self.wants[column])
            else:
                found = replace(found, values=tuple(value for value in found.values if value in present))
        return found if found is not None else self._alike(random, column, need)

    def _alike(self, random: Random, column: str, need: int) -> Pool:
        """Of columns that have to be equal, one pool that all of them like."""
        asked = self.wants[column]
        for metric in metrics(self.rules, Compared):
            if isinstance(metric, Compared) and metric.operator == "==" and column in metric.columns:
                asked = asked.beside(self.wants[metric.left if metric.right == column else metric.right])
        return pool(asked, random, need, self.now)

    def _all_null(self, column: str) -> int:
        """For want of a value, where the rules allow it and do not contradict each other. Raises Lacking."""
        allowed = [threshold for metric, threshold in self.wants[column].counted if None in getattr(metric, "values", (None,))]
        if counts.nearest(allowed, self.rows, self.rows) != self.rows or pair(self.rules, self.wants[column], self.now):
            raise Lacking(self.wants[column])
        return self.rows

    def _keyed(
        self, random: Random, link: Orphans, pools: dict[str, Pool], others: Mapping[str, Filling], need: int
    ) -> list[dict[str, Any]]:
        """Keys of several columns as they stand in the target; what else is in the unit beside them."""
        target = others[link.object]
        if not all(name in target.values for name in link.targets):
            raise Lacking(self.wants[link.columns[0]], f"{link.object} is not made before, which")
        columns = [target.values[name] for name in link.targets]
        kept = [set(Pool(tuple(dict.fromkeys(v for v in each if v is not None)), target.dtypes[name]).fitting(self.wants[mine]).values)
                for each, name, mine in zip(columns, link.targets, link.columns, strict=True)]  # fmt: skip
        tuples = [row for row in dict.fromkeys(zip(*columns, strict=True)) if all(v in k for v, k in zip(row, kept, strict=True))]
        if not tuples:
            raise Lacking(self.wants[link.columns[0]], f"no key of {link.object} keeps")
        for name, mine in zip(link.targets, link.columns, strict=True):
            self.dtypes[mine] = target.dtypes[name]
        for column, found in pools.items():
            self.dtypes[column] = found.dtype
        random.shuffle(tuples)
        size = max(len(tuples), need if pools else 0)
        extra = {column: found.values for column, found in pools.items()}
        return [
            {**dict(zip(link.columns, tuples[number % len(tuples)], strict=True)), **{c: random.choice(v) for c, v in extra.items() if v}}
            for number in range(size)
        ]

    def _compared(self, random: Random, unit: tuple[str, ...], pools: dict[str, Pool], need: int) -> list[dict[str, Any]]:
        wanted = [metric for metric in metrics(self.rules, Compared) if isinstance(metric, Compared) and set(metric.columns) <= set(unit)]
        same = {m.right: m.left for m in wanted if m.operator == "=="}
        leaders = {column: _leader(column, same) for column in unit}
        edges = [each for m in wanted if (each := comparing.edge(leaders[m.left], m.operator, leaders[m.right])) is not None]
        unlike = [(leaders[m.left], leaders[m.right]) for m in wanted if m.operator == "!="]
        distinct = {leaders[column] for column in unit if self.wants[column].unique}
        first = {column: found for column, found in pools.items() if leaders[column] == column}
        found = comparing.picked(random, need, first, self.wants, edges, unlike, distinct)
        if not found:
            raise Lacking(self.wants[unit[0]].beside(self.wants[unit[-1]]), f"no row with {', '.join(unit)} keeps")
        return [{column: row[leaders[column]] for column in unit} for row in found]

    # --- rows

    def _picked(self, random: Random, group: Group, pools: list[list[dict[str, Any]]], free: dict[str, int]) -> dict[str, list[Any]]:
        """A value of each row, for each column of the group: as many as there are rows that may need one."""
        found: dict[str, list[Any]] = {}
        for unit, rows in zip(group.units, pools, strict=True):
            if any(self.wants[column].unique for column in unit):
                self._place(found, unit, self._once(unit, rows, free))
        for key in sorted(group.keys, key=len):
            units = [(unit, rows) for unit, rows in zip(group.units, pools, strict=True) if set(unit) & set(key) and unit[0] not in found]
            if units:
                self._combined(random, key, units, found)
        for unit, rows in zip(group.units, pools, strict=True):
            if unit[0] not in found:
                self._place(found, unit, random.choices(rows or [dict.fromkeys(unit)], k=self.rows))
        return found

    def _place(self, found: dict[str, list[Any]], unit: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        for column in unit:
            found[column] = [row[column] for row in rows]

    def _once(self, unit: Sequence[str], rows: list[dict[str, Any]], free: dict[str, int]) -> list[dict[str, Any]]:
        """Each value once; where they are too few, more nulls if the rules allow them. Raises Lacking."""
        column = next(each for each in unit if self.wants[each].unique)
        once = list({row[column]: row for row in rows}.values())
        short = self.rows - len(once)
        if short > free[column]:
            allowed = [threshold for metric, threshold in self.wants[column].counted if None in getattr(metric, "values", (None,))]
            more = counts.nearest(allowed, short, self.rows)
            if more is None or more < short:
                raise Lacking(
                    self.wants[column], f"only {len(once):,} different values, of {self.rows - (more or 0):,} that are needed, keep"
                )
            free[column] = more
        return [*once[: self.rows], *([dict.fromkeys(unit)] * max(0, short))]

    def _combined(
        self, random: Random, key: tuple[str, ...], units: list[tuple[tuple[str, ...], list[dict[str, Any]]]], found: dict[str, list[Any]]
    ) -> None:
        """Different combinations for all rows that are equal in what of the key is filled already. Raises Lacking."""
        projected = [list({tuple(row[c] for c in unit if c in key): row for row in rows}.values()) for unit, rows in units]
        room = min(math.prod(map(len, projected)), _ROOM)
        given = [column for column in key if column in found]
        alike: dict[tuple[Any, ...], list[int]] = {}
        for number in range(self.rows):
            alike.setdefault(tuple(found[column][number] for column in given), []).append(number)
        most = max(map(len, alike.values()), default=0)
        if most > room:
            both = self.wants[key[0]]
            for column in key[1:]:
                both = both.beside(self.wants[column])
            ids = [rule.id for rule in self.rules if isinstance(rule.check, Within) and set(key) <= set(rule.check.metric.columns)]
            both = replace(both, place=(", ".join(key),), rules=(*both.rules, *ids))
            raise Lacking(both, f"only {room:,} different combinations, of {most:,} that are needed, keep")
        rows: list[dict[str, Any]] = [{} for _ in range(self.rows)]
        for numbers in alike.values():
            for number, code in zip(numbers, random.sample(range(room), len(numbers)), strict=True):
                rest = code
                for choices in projected:
                    rest, index = divmod(rest, len(choices))
                    rows[number].update(choices[index])
        for unit, _ in units:
            self._place(found, unit, rows)

    # --- one column

    def _finish(self, random: Random, column: str, picked: list[Any], free: int, *, alone: bool) -> None:
        """With its nulls, and where the rules ask for it, as a whole of some shape."""
        short = {number for number, value in enumerate(picked) if value is None}
        nulls = short | set(random.sample(sorted(set(range(self.rows)) - short), max(0, free - len(short))))
        present = [value for number, value in enumerate(picked) if number not in nulls]
        if alone and present and not self.wants[column].unique:
            present = self._shaped(random, column, present)
        values = iter(present)
        self.values[column] = [None if number in nulls else next(values) for number in range(self.rows)]

    def _shaped(self, random: Random, column: str, present: list[Any]) -> list[Any]:
        asked, dtype = self.wants[column], self.dtypes[column]
        stored = distributions.profile(self.rules, column)
        targets = distributions.statistics(self.rules, column)
        numeric = {key: value for key, value in targets.items() if not key[0].startswith("distinct")}
        if stored is not None:
            present = _fitting(_typed(distributions.like(random, stored, len(present)), dtype), asked, dtype, present)
        elif numeric and all(isinstance(value, int | float) for value in present):
            present = _fitting(self._measured(random, asked, numeric, present), asked, dtype, present)
        unlike = dict.fromkeys(present)
        size = distributions.different(targets, len(present), max(len(unlike), len(pool_of := list(unlike))))
        if size is not None:
            chosen = pool_of[:size]
            present = [chosen[number % len(chosen)] for number in range(len(present))] if chosen else present
            random.shuffle(present)
        shares = self._counted(column)
        if not shares:
            return present
        free = replace(asked, refused=())
        listed = _typed([value for metric, _ in shares for value in metric.values if value is not None], dtype)
        more = (*Pool(tuple(dict.fromkeys(listed)), dtype).fitting(free).values, *pool(free, random, _VARIED, self.now).values)
        return distributions.with_shares(random, present, self.rows, shares, more)

    def _measured(self, random: Random, asked: Wanted, targets: distributions.Targets, present: list[Any]) -> list[Any]:
        low, high = numerals.bounds(asked)
        width = max(abs(float(value)) for value in (*present, *_ends(targets)))
        step = float(numerals.step(asked) or 10.0 ** (math.floor(math.log10(max(width, 1e-6))) - 4))
        bounds = [None if bound is None else float(bound) for bound in (low, high)]
        found = distributions.shaped(random, targets, [float(value) for value in present], bounds[0], bounds[1], step)
        digits = max(0, 2 - math.floor(math.log10(step)))
        return [int(value) if asked.kind == "integer" else round(value, digits) for value in found]

    def _counted(self, column: str) -> list[tuple[Missing, Threshold]]:
        """Rules of values that have to be there in some rows."""
        checks = [rule.check for rule in self.rules if isinstance(rule.check, Within)]
        found = [(check.metric, check.threshold) for check in checks if isinstance(check.metric, Missing) and check.metric.column == column]
        return [each for each in found if any(value is not None for value in each[0].values)]

    # --- faults that the rules ask for

    def repeat(self) -> None:
        """Copies keys where a rule wants duplicates, or allows no fewer."""
        for rule in self.rules:
            metric: Metric | None = rule.check.metric if isinstance(rule.check, Within) else None
            if isinstance(metric, Duplicates) and isinstance(rule.check, Within) and set(metric.columns) <= self.values.keys():
                wished = counts.nearest([rule.check.threshold], 0, self.rows) or 0
                first = next((n for n in range(self.rows) if all(self.values[c][n] is not None for c in metric.columns)), 0)
                for number in [n for n in range(self.rows) if n != first][:wished]:
                    for column in metric.columns:
                        self.values[column][number] = self.values[column][first]


def _leader(column: str, same: Mapping[str, str]) -> str:
    seen = {column}
    while column in same and same[column] not in seen:
        column = same[column]
        seen.add(column)
    return column


def _ends(targets: distributions.Targets) -> list[float]:
    found: list[float] = []
    for (kind, _), threshold in targets.items():
        if kind != "sum":
            found += threshold.value if isinstance(threshold.value, tuple) else [threshold.value]
    return found


def _typed(values: list[Any], dtype: pl.DataType) -> list[Any]:
    """Categories are text; what is not of the type of the column is left out."""
    if dtype.is_integer():
        return [int(value) for value in numerals.read([str(value) for value in values], "integer") if isinstance(value, int)]
    if dtype.is_float():
        return [float(value) for value in numerals.read([str(value) for value in values], "number")]
    if dtype == pl.Boolean:
        return [str(value).lower() == "true" for value in values]
    return [str(value) for value in values] if dtype == pl.String else []


def _fitting(values: list[Any], asked: Wanted, dtype: pl.DataType, instead: list[Any]) -> list[Any]:
    """The values; one that breaks a rule gives way to one that does not."""
    kept = set(Pool(tuple(dict.fromkeys(values)), dtype).fitting(asked).values)
    return [value if value in kept else other for value, other in zip([*values, *instead][: len(instead)], instead, strict=True)]
