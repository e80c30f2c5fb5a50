"""Data that comes as files: where it lies -> a frame, and the engine that measures it so.

    one CSV, Parquet or JSON file       the table in it (tables.py)
    several files, all of them Parquet  one table: a folder, a glob, a list, an s3:// prefix; names that begin with "." or "_" do not count
    every other set of files            a table of the files themselves, a row for each (documents.py)
    FileSet (`physicalType: files`)     the files themselves, always: also one CSV, or a folder of Parquet

A place is a pathlib.Path (of a file or a folder, or a glob), an s3:// address (of an object, a prefix or a glob), or a list of those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeGuard, cast

import polars as pl

from dagster_contracts.core.metrics import Metric, Nested, may_read
from dagster_contracts.core.verdict import Column, Count, Measured, Measurement, NotApplicable, Sample, Unmeasured
from dagster_contracts.engines.files import documents, tables
from dagster_contracts.engines.files.places import File, Place, Unreadable, changed, files_of, is_place, is_single, require_files, told
from dagster_contracts.ports import NO_OTHERS, Division, FileSet, MetricEngine, Related


@dataclass(frozen=True, slots=True)
class Opened:
    """Data that was found and can be read.

    `changed` says what changed since, None where nothing did. `lacking` are columns that cannot be computed here, and why; `shown`
    stand in every failing row. JSON without a row tells no columns.
    """

    frame: pl.LazyFrame
    changed: Callable[[], str | None]
    lacking: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    columns_told: bool = True


@contextmanager
def opened(data: Place | FileSet, wanted: Collection[str] = ()) -> Iterator[Opened]:
    """The data of a place, for as long as the context lasts; `wanted` are the columns that will be read. Raises Unreadable."""
    place = cast("Place", data.place) if isinstance(data, FileSet) else data
    found = files_of(place)
    unchanged = partial(changed, found, place)
    with ExitStack() as stack:
        if not isinstance(data, FileSet):
            require_files(place, found)
        if isinstance(data, FileSet) or (several := _tables(place, found)) is None:
            yield _of_files(found, wanted, unchanged)
        else:
            frame = tables.table(several, stack)
            yield Opened(frame, unchanged, columns_told=not (tables.is_json(several[0].name) and tables.is_void(frame)))


def _tables(place: Place, found: list[File]) -> Sequence[File] | None:
    """The files that are one table; None where each file is a row."""
    if is_single(place, found):
        tables.require_tabular(found[0].name, told(place))
        return found
    seen = [file for file in found if not any(part.startswith((".", "_")) for part in file.name.split("/"))]
    return seen if seen and all(tables.is_parquet(file.name) for file in seen) else None


def _of_files(found: list[File], wanted: Collection[str], unchanged: Callable[[], str | None]) -> Opened:
    lacking = documents.lacking()
    known = frozenset(wanted) & documents.COLUMNS.keys() - lacking.keys()
    return Opened(documents.FileTable(found, known).frame, unchanged, lacking, ("path", "size", *sorted(known - {"path", "size"})))


class FilesEngine:
    """Measures what lies at a place with another engine, which gets a frame; all other data is left to that engine."""

    def __init__(self, engine: MetricEngine):
        self.engine = engine

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """As the engine within. What changed while it was read, or cannot be read at all, is Unmeasured."""
        with ExitStack() as stack:
            try:
                source = _source(data, metrics, stack)
            except Unreadable as error:
                return Unmeasured(error.reason, error.detail)
            others = {name: partial(_loaded, load, stack) for name, load in related.items()}
            if not isinstance(source, Opened):
                return self.engine.measure(source, metrics, others)
            return self._measured(source, metrics, others)

    def _measured(self, source: Opened, metrics: Sequence[Metric], related: Related) -> Measurement | Unmeasured:
        if not source.columns_told:
            return self._of_no_row(source, metrics, related)
        missed = {metric: _missed(metric, source.lacking) for metric in metrics}
        found = self.engine.measure(source.frame, [metric for metric in metrics if missed[metric] is None], related)
        if (reason := source.changed()) is not None:
            return Unmeasured(reason)
        if isinstance(found, Unmeasured) or not source.lacking:
            return found
        values: dict[Metric, Measured] = {metric: value for metric in metrics if (value := missed[metric] or found.values.get(metric))}
        without = tuple(Column(name, str(documents.COLUMNS[name])) for name in source.lacking)
        return replace(found, columns=found.columns + without, values=values)

    def _of_no_row(self, source: Opened, metrics: Sequence[Metric], related: Related) -> Measurement | Unmeasured:
        """As of a CSV that is a header alone, of all columns that are asked for."""
        within = [metric for metric in metrics if isinstance(metric, Nested)]
        named = {column for metric in metrics for column in metric.columns}
        known = {column.lower() for column in named}
        words = {word.lower() for word in may_read(metrics)} - known  # in SQL names have no case
        frame = pl.LazyFrame(schema=dict.fromkeys(sorted(named | words), pl.String))
        found = self.engine.measure(frame, [metric for metric in metrics if metric not in within], related)
        if (reason := source.changed()) is not None:
            return Unmeasured(reason)
        if isinstance(found, Unmeasured):
            return found
        return replace(found, columns=(), columns_told=False, values={**found.values, **dict.fromkeys(within, Count(0))})

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        """As the engine within. Of files, failing rows show path, size and the columns concerned."""
        with ExitStack() as stack:
            try:
                source = _source(data, metrics, stack)
            except Unreadable:
                return {}  # measure() has said why
            if not isinstance(source, Opened):
                return self.engine.samples(source, metrics, limit, related)
            return self.engine.samples(source.frame.select(source.shown) if source.shown else source.frame, metrics, limit, related)

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        """Files are not divided: what the asset gave is where they lie, and that cannot hold some rows only."""
        return None if isinstance(data, Opened) or _is_readable(data) else self.engine.divide(_plain(data), rules, related)


def _source(data: object, metrics: Sequence[Metric], stack: ExitStack) -> object:
    """What a place leads to, until `stack` closes; other data as it is. Raises Unreadable."""
    if not _is_readable(data):
        return _plain(data)
    return stack.enter_context(opened(data, may_read(metrics)))


def _is_readable(data: object) -> TypeGuard[Place | FileSet]:
    place = data.place if isinstance(data, FileSet) else data
    return is_place(place) or (isinstance(data, FileSet) and isinstance(place, list | tuple) and not place)


def _plain(data: object) -> object:
    return data.place if isinstance(data, FileSet) else data


def _loaded(load: Callable[[], object], stack: ExitStack) -> object:
    """Another object of the contract, where it lies in files: it stays open as long as the batch itself."""
    source = _source(load(), (), stack)
    return source.frame if isinstance(source, Opened) else source


def _missed(metric: Metric, lacking: Mapping[str, str]) -> NotApplicable | None:
    return next((NotApplicable(lacking[column]) for column in metric.columns if column in lacking), None)
