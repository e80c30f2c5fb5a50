"""What a cell of the matrix says: one kind of asset, run in one way, with a good batch and with a bad one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        place = 2 * self.number + bad
        day = DAY_KEYS[place]
        return {"daily": day, "static": f"s{place}", "dynamic": f"d{place}", "multi": f"{day}|acme", "none": None, "sources": day}[family]


DAY_KEYS = location.DAYS.get_partition_keys()
Launch = Callable[[Ground, str, Sequence[str], str | None], None]  # (ground, family, assets, partition)


@dataclass(frozen=True)
class Readers:
    """What a refused batch leaves the consumers of a contracted asset, by the first part of their names, where it is not what a run of all
    leaves them; `forms`: those of `feed` in every form are looked at too."""

    left: Mapping[str, str]
    forms: bool = True


ALL_IN_ONE = Readers({"stale": "stale", "full": "halted"})


def play(
    ground: Ground,
    launch: Launch,
    turn: Turn,
    families: Iterable[str] = PARTITIONS,
    wanted: Callable[[str], bool] = lambda asset: True,
    readers: Readers = ALL_IN_ONE,
) -> dict[str, str]:
    """Good batches, then bad ones, of every row in these families. Row -> "" where all was as it must be, else what was not.

    `wanted` says which assets are launched and looked at; feeds always are.
    """
    wrong: dict[str, list[str]] = {}
    chosen = list(families)
    ground.forgive()
    ground.instance.add_dynamic_partitions("files", [f"d{2 * turn.number + bad}" for bad in (0, 1)])
    for bad in (False, True):
        ground.deliver(*((turn.key(family, True) or "f_none") for family in chosen) if bad else ())
        for family in chosen:
            if family == "sources":
                ground.look(str(turn.key(family, bad)))
            if assets := list(filter(wanted, of_family(family))):
                launch(ground, family, assets, turn.key(family, bad))
        for row, flaws in judged(ground, turn, chosen, wanted, readers, bad=bad).items():
            wrong.setdefault(row, []).extend(flaws)
    ground.deliver()
    return {row: "; ".join(flaws) for row, flaws in wrong.items()}


def judged(
    ground: Ground, turn: Turn, families: Sequence[str], wanted: Callable[[str], bool], readers: Readers, *, bad: bool
) -> dict[str, list[str]]:
    """By row, everything that is not as it must be after good batches, or after bad ones."""
    found: dict[str, list[str]] = {}
    for row, (feeds, forms) in ROWS.items():
        family = FEEDS[feeds[0]]
        if family not in families or not all(map(wanted, feeds)):
            continue
        key = turn.key(family, bad)
        flaws = [flaw for feed in feeds for flaw in _of_feed(ground, feed, family, key, bad=bad)]
        if bad and (good := turn.key(family, False)) is not None:
            flaws += [flaw for feed in feeds for flaw in _of_feed(ground, feed, family, good, bad=False)]
        outputs = {name: after for feed in feeds for name, after in _consumers(feed, family, readers.left).items()}
        outputs |= {name: ROWS_OF_READERS[name] for name in forms if readers.forms}
        for name, after in outputs.items():
            flaws += _of_output(ground, name, key, after if bad else "ok") if wanted(name) else ()
        found[row] = flaws
    return found


def _of_feed(ground: Ground, feed: str, family: str, key: str | None, *, bad: bool) -> Iterator[str]:
    batches = ground.store.batches(asset=feed, partition=key) if key is not None else ground.store.batches(asset=feed)
    wanted = Status.QUARANTINED if bad else Status.PUBLISHED
    if not batches or batches[0].status is not wanted:
        yield f"{feed} [{key}] is {batches[0].status if batches else 'not judged'}, expected {wanted}"
    if key is not None and feed not in SOURCES and (key in ground.instance.get_materialized_partitions(dg.AssetKey(feed))) is bad:
        yield f"{feed} [{key}] counts as {'materialized' if bad else 'missing'}"


def _consumers(feed: str, family: str, left: Mapping[str, str]) -> dict[str, str]:
    """What a refused batch leaves them. A static or dynamic key has no earlier batch of its own to fall back to."""
    none = family in ("static", "dynamic")
    return {f"{first}_{feed}": "halted" if none and word == "stale" else word for first, word in left.items()}


def _of_output(ground: Ground, asset: str, key: str | None, wanted: str) -> Iterator[str]:
    output = ground.store.output(asset, key)
    found = "not run" if output is None else _word(output)
    if found != wanted:
        yield f"{asset} [{key}] is {found}, expected {wanted}"


def _word(output: Output) -> str:
    return str(output.confidence) if output.status is OutputStatus.DEGRADED else str(output.status)
