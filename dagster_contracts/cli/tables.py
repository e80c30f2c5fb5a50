"""Files as tables, one after the other; and those of other objects of a contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath

import polars as pl

from dagster_contracts.cli.printing import say
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import MeasurementError, UsageError
from dagster_contracts.engines.files.places import File, files_of
from dagster_contracts.engines.files.tables import is_parquet, is_tabular, require_tabular, table
from dagster_contracts.validating import object_of

_TOLD = 5  # files that are left out


def tables(places: Sequence[str], beside: Collection[Path] = ()) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each file of the places as a table of its own with its name, in the order of their names. Raises MeasurementError, also for CSV
    whose fields are not parted by commas.

    YAML files that lie in a folder, and what is known to be no data (`beside`), are passed over; so are files of other kinds, which are
    told, unless nothing else is there.
    """
    named, other = set(places), {file.resolve() for file in beside}
    found: list[File] = []
    left: list[File] = []
    for file in files_of(_placed(places)):
        is_other = file.name.endswith((".yaml", ".yml")) or (file.local is not None and file.local.resolve() in other)
        if (is_tabular(file.name) and not is_other) or file.address in named or str(file.local) in named:
            found.append(file)
        elif not is_other:
            left.append(file)
    if found and left:
        more = f" and {len(left) - _TOLD:,} more" if len(left) > _TOLD else ""
        say(f"left out, as no table: {', '.join(file.name for file in left[:_TOLD])}{more}")
    for file in found or left:
        require_tabular(file.name, file.address)
        with ExitStack() as stack:
            frame = table([file], stack).collect()
        if (hint := _parted_otherwise(frame.columns)) is not None:
            raise MeasurementError(f"{file.address}: {hint}")
        yield file.name, frame


def hint(places: Sequence[str]) -> str | None:
    """What is likely not meant where these places are judged as one batch: files that are no table together, CSV without commas."""
    try:
        files = [file for file in files_of(_placed(places)) if file.problem is None]
        if len(files) > 1 and not all(is_parquet(file.name) for file in files) and all(is_tabular(file.name) for file in files):
            return (
                f"{len(files):,} files were judged as files, a row for each, and not what stands in them: only Parquet files are one table "
                f"together. To judge a batch, name one: --data {files[0].address}. Where the contract is about files, it says "
                "`physicalType: files`"
            )
        with ExitStack() as stack:
            single = len(files) == 1 and is_tabular(files[0].name)
            return _parted_otherwise(table(files, stack).collect_schema().names()) if single else None
    except MeasurementError:  # the verdict says so
        return None


def _parted_otherwise(columns: Sequence[str]) -> str | None:
    signs = [(sign, word) for sign, word in ((";", '";"'), ("\t", "tabs"), ("|", '"|"')) if sign in columns[0]] if len(columns) == 1 else []
    if not signs:
        return None
    return (
        f'its one column is called "{columns[0][:80]}": are its fields parted by {signs[0][1]}? '
        "CSV is read with commas; write it so, or as Parquet"
    )


def _placed(places: Sequence[str]) -> list[PurePath | str]:
    return [place if place.startswith("s3://") else Path(place) for place in places]


def related_of(contract: Contract, given: Sequence[str]) -> dict[str, Callable[[], pl.DataFrame]]:
    """The other objects of a contract, each of NAME=PLACE. All files of a place are one table.

    Raises UsageError where one is no NAME=PLACE, or names no object of the contract, and MeasurementError where it cannot be read.
    """
    places: dict[str, list[str]] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise UsageError(f"--related {text}: expected NAME=PLACE, such as customers=data/customers.csv")
        places.setdefault(object_of(contract, name).name, []).append(place)
    return {name: _given(_together(name, several)) for name, several in places.items()}


def _given(frame: pl.DataFrame) -> Callable[[], pl.DataFrame]:
    return lambda: frame


def _together(name: str, places: Sequence[str]) -> pl.DataFrame:
    found = [frame for _, frame in tables(places)]
    if not found:
        raise MeasurementError(f"--related {name}={', '.join(places)}: no data file there; expected Parquet, CSV or JSON lines")
    return found[0] if len(found) == 1 else pl.concat(found, how="diagonal_relaxed")
