"""What a cell of the matrix says: one kind of asset, run in one way, with a good batch and with a bad one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from dagster_contracts import recovery
from dagster_contracts.core.ledger import Output, OutputStatus, Status
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operations
from dagster_contracts.ports import Store
from tests.coverage import location
from tests.coverage.location import BAD, FEEDS, OBSERVED, PARTITIONS, ROWS_OF_READERS, SOURCES, of_family

# row of the table -> the contracted assets of that kind, and the consumers of that kind
ROWS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "plain": (["feed"], ["plain"]),
    "`deps=` only": (["f_deps"], ["deps_only", "deps_result", "deps_graph"]),
    "`MaterializeResult` with a value": (["f_result"], ["result_with_value"]),
    "writes itself": (["f_written"], ["writes_itself", "makes_nothing"]),
    "config and resources": (["f_configured"], ["configured"]),
    "`multi_asset`, all of it": (["f_left", "f_right"], ["multi_a", "multi_b"]),
    "`multi_asset`, a subset": (["f_part"], ["part_a"]),
    "`graph_asset`, nested": (["f_graph"], ["graph_made"]),
    "`graph_multi_asset`": (["f_pair"], ["graph_left", "graph_right"]),
    "async": (["f_async"], ["asynchronous", "async_generator"]),
    "generator": (["f_generated"], ["generated"]),
    "factory": (["f_made"], ["made_0"]),
    "with checks of its own": (["f_checked"], ["checked", "inline_checked"]),
    "beside an observable source": (["f_of_observed"], []),
    "static partitions": (["f_static"], []),
    "dynamic partitions": (["f_dynamic"], []),
    "multi-dimensional partitions": (["f_multi"], []),
    "unpartitioned": (["f_none"], []),
    "external asset, its consumers": (["f_external"], []),
    "observable source, its consumers": (["f_observable"], []),
}


SOURCE_ROWS = ("external asset, its consumers", "observable source, its consumers")
KEYED = ("static partitions", "dynamic partitions")  # whose keys have no earlier batch of their own to fall back to


@dataclass(frozen=True)
class Ground:
    """Where it is played: the definitions, an instance, the store of the breakers, and a folder that other processes see."""

    folder: Path
    url: str
    defs: dg.Definitions
    instance: dg.DagsterInstance
    store: Store

    def deliver(self, *bad: str) -> None:
        """What the vendor delivers badly from now on: partition keys, and names of unpartitioned assets."""
        (self.folder / BAD).write_text("\n".join(bad))

    def look(self, partition: str) -> None:
        """Judge what stands in the sources, as the job contracts_observe does."""
        (self.folder / OBSERVED).write_text(partition)
        for asset, named in zip(SOURCES, (partition, None), strict=True):
            operations.observe(self.defs, self.instance, asset, named)

    def forgive(self) -> None:
        """Close every breaker, as a person would."""
        for breaker in self.store.breakers():
            recovery.reset(Gate(self.store, default_engine()), breaker.key, actor="coverage", reason="the next launch")


@dataclass(frozen=True)
class Turn:
    """A launch: the partitions that it makes of each family, the good ones first. The numbers of turns ascend, as days do."""

    number: int

    def key(self, family: str, bad: bool) -> str | None:
        return self.at(family, 2 * self.number + bad)

    @staticmethod
    def before(family: str, key: str) -> str:
        """The partition before one of a partitioned family."""
        place = next(place for place in range(len(DAY_KEYS)) if Turn.at(family, place) == key)
        return str(Turn.at(family, place - 1))

    @staticmethod
    def at(family: str, place: int) -> str | None:
        day = DAY_KEYS[place]
        return {"daily": day, "static": f"s{place}", "dynamic": f"d{place}", "multi": f"{day}|acme", "none": None, "sources": day}[family]


DAY_KEYS = location.DAYS.get_partition_keys()


class Asked(NamedTuple):
    """What is launched of a family: one partition (None: unpartitioned)."""

    family: str
    assets: Sequence[str]
    partition: str | None


Launch = Callable[[Ground, str, Sequence[str], str | None], None]  # (ground, *asked)
LaunchAll = Callable[[Ground, Sequence[Asked]], None]


def one_by_one(launch: Launch) -> LaunchAll:
    """A family after the other, sources looked at before."""

    def each(ground: Ground, asked: Sequence[Asked]) -> None:
        for one in asked:
            if one.family == "sources":
                ground.look(str(one.partition))
            if one.assets:
                launch(ground, *one)

    return each


@dataclass(frozen=True)
class Way:
    """What a refused batch leaves the consumers of a contracted asset, by the first part of their names, where it is not what a run of all
    leaves them."""

    left: Mapping[str, str]
    of_row: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # the same of the rows where it is something else
    forms: Mapping[str, str] = field(default_factory=lambda: ROWS_OF_READERS)  # the consumers of `feed` in every form
    absent: Mapping[str, str] = field(default_factory=dict)  # rows that Dagster does not run in this way, and why

    def outputs(self, row: str, *, bad: bool) -> dict[str, str]:
        """The consumers of a row, and what becomes of them."""
        feeds, forms = ROWS[row]
        left = self.of_row.get(row, self.left)
        found = {f"{first}_{feed}": after for feed in feeds for first, after in left.items()}
        found |= {name: self.forms[name] for name in forms if name in self.forms}
        return found if bad else dict.fromkeys(found, "ok")


HALTED = {"stale": "halted", "full": "halted"}
ALL_IN_ONE = Way({"stale": "stale", "full": "halted"}, of_row=dict.fromkeys(KEYED, HALTED))


def play(
    ground: Ground,
    launch: LaunchAll,
    turn: Turn,
    families: Iterable[str] = PARTITIONS,
    wanted: Callable[[str], bool] = lambda asset: True,
    way: Way = ALL_IN_ONE,
) -> dict[str, str]:
    """Good batches, then bad ones, of every row in these families. Row -> "" where all was as it must be, else what was not.

    `wanted` says which assets are launched and looked at; feeds always are.
    """
    wrong: dict[str, list[str]] = {}
    rows = {row: of for row, of in ROWS.items() if FEEDS[of[0][0]] in [*families] and row not in way.absent and all(map(wanted, of[0]))}
    chosen = [family for family in PARTITIONS if any(FEEDS[feeds[0]] == family for feeds, _ in rows.values())]
    ground.forgive()
    ground.instance.add_dynamic_partitions("files", [f"d{2 * turn.number + place}" for place in (-1, 0, 1)])
    for bad in (False, True):
        ground.deliver(*((turn.key(family, True) or "f_none") for family in chosen) if bad else ())
        began = ground.store.now()
        asked = [Asked(family, list(filter(wanted, of_family(family))), turn.key(family, bad)) for family in chosen]
        launch(ground, asked)
        for row in rows:
            wrong.setdefault(row, []).extend(_flaws(ground, turn, row, wanted, way, began, bad=bad))
    ground.deliver()
    return {row: "; ".join(flaws) for row, flaws in wrong.items()}


def _flaws(ground: Ground, turn: Turn, row: str, wanted: Callable[[str], bool], way: Way, began: datetime, *, bad: bool) -> Iterator[str]:
    """Everything of a row that is not as it must be after good batches, or after bad ones."""
    feeds, _ = ROWS[row]
    family = FEEDS[feeds[0]]
    key, good = turn.key(family, bad), turn.key(family, False)
    for feed in feeds:
        yield from _of_feed(ground, feed, key, bad=bad)
        if bad and good is not None:
            yield from _of_feed(ground, feed, good, bad=False)
    for name, after in way.outputs(row, bad=bad).items():
        if wanted(name):
            yield from _of_output(ground, name, key, after, began)


def _of_feed(ground: Ground, feed: str, key: str | None, *, bad: bool) -> Iterator[str]:
    known = ground.store.batches(asset=feed, partition=key) if key is not None else ground.store.batches(asset=feed)
    batches = [batch for batch in known if batch.status is not Status.DISCARDED]  # which changed nothing
    wanted = Status.QUARANTINED if bad else Status.PUBLISHED
    if not batches or batches[0].status is not wanted:
        yield f"{feed} [{key}] is {batches[0].status if batches else 'not judged'}, expected {wanted}"
    if key is not None and feed not in SOURCES and (key in ground.instance.get_materialized_partitions(dg.AssetKey(feed))) is bad:
        yield f"{feed} [{key}] counts as {'materialized' if bad else 'missing'}"


def _of_output(ground: Ground, asset: str, key: str | None, wanted: str, began: datetime) -> Iterator[str]:
    output = ground.store.output(asset, key)
    found = "not run" if output is None or output.at < began else _word(output)
    if found != wanted:
        yield f"{asset} [{key}] is {found}, expected {wanted}"


def _word(output: Output) -> str:
    return str(output.confidence) if output.status is OutputStatus.DEGRADED else str(output.status)
