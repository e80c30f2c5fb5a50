"""Which columns of an object are filled together: a unit is one column, or several whose values depend on each other in a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dagster_contracts.core.metrics import Compared, Duplicates, Metric, Orphans
from dagster_contracts.core.plan import Rule, Within
from dagster_contracts.core.rules import meets


@dataclass(frozen=True, slots=True)
class Group:
    """Units that are filled at once, as a key stretches over them. `keys` are columns that are unique together."""

    units: tuple[tuple[str, ...], ...]
    keys: tuple[tuple[str, ...], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for unit in self.units for column in unit)


def metrics(rules: Iterable[Rule], kind: type) -> list[Metric]:
    """What rules that accept no fault measure, of one kind."""
    checks = [rule.check for rule in rules if isinstance(rule.check, Within)]
    return [check.metric for check in checks if isinstance(check.metric, kind) and meets(check.threshold, 0)]


def groups(columns: Sequence[str], rules: Sequence[Rule], containers: Collection[str] = ()) -> list[Group]:
    """All columns, each in one group. Containers stand alone: a key that is unique without them is unique with them.

    A key that holds a smaller one is kept where that is, and joins no columns: figures are aimed at of columns that stand alone.
    """
    known = set(columns)
    compared = [{metric.left, metric.right} for metric in metrics(rules, Compared) if isinstance(metric, Compared)]
    foreign = [set(metric.columns) for metric in metrics(rules, Orphans) if isinstance(metric, Orphans) and len(metric.columns) > 1]
    unlike = [metric.columns for metric in metrics(rules, Duplicates) if isinstance(metric, Duplicates)]
    keys = [key for key in unlike if len(key) > 1 and set(key) <= known and not any(set(other) < set(key) for other in unlike)]
    keys = [tuple(column for column in key if column not in containers) for key in keys]
    keys = [key for key in dict.fromkeys(keys) if key]
    units = _joined(columns, [each for each in (*compared, *foreign) if each <= known and not each & set(containers)])
    found = []
    for members in _joined([unit[0] for unit in units], [{_unit(units, column)[0] for column in key} for key in keys]):
        mine = tuple(_unit(units, first) for first in members)
        inside = {column for unit in mine for column in unit}
        found.append(Group(mine, tuple(key for key in keys if set(key) <= inside)))
    return found


def _unit(units: Sequence[tuple[str, ...]], column: str) -> tuple[str, ...]:
    return next(unit for unit in units if column in unit)


def _joined(names: Sequence[str], sets: Sequence[set[str]]) -> list[tuple[str, ...]]:
    """The names, those that stand in one of `sets` together."""
    home = {name: name for name in names}

    def root(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    for each in sets:
        first, *others = sorted(each)
        for other in others:
            home[root(other)] = root(first)
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(root(name), []).append(name)
    return [tuple(each) for each in found.values()]
