"""`profile`: write the distributions of a data file, for contracts to compare with."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated

import typer

from dagster_contracts.cli.options import ObjectOption
from dagster_contracts.cli.printing import say
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.cli.writing import write_file
from dagster_contracts.core import profile_files
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.core.extension import profiled
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, veiled
from dagster_contracts.core.verdict import Measurement, Unmeasured
from dagster_contracts.ports import FileSet
from dagster_contracts.validating import object_of


def profile(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file, a folder, a glob or an s3:// address.", show_default=False)],
    contract: Annotated[
        str, typer.Option("--contract", "-c", metavar="CONTRACT", help="The contract file, or ID@VERSION.", show_default=False)
    ],
    object_name: ObjectOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it. [default: print it]", show_default=False)
    ] = None,
) -> None:
    """Write the profile of a data file, for rules with `reference: {file: ...}`.

    It holds the columns that rules of the contract compare with a reference; where no rule does, all columns. Of classified columns,
    categories are written as digests.
    """
    found = contract_at(contract)
    text = _profiled(found, object_of(found, object_name), data)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text)
    say(f"wrote {output}")


def _profiled(contract: Contract, obj: SchemaObject, data: str) -> str:
    metrics = tuple(profiled(obj))
    plan = compile_plan(contract, obj)
    measured = _measured(data, metrics, of_files=plan.files)
    profiles: dict[profile_files.Which, NumericProfile | CategoryProfile] = {}
    missed: list[str] = []
    for metric in metrics:
        value = measured.values.get(metric, Unmeasured("the column is missing"))
        if isinstance(value, CategoryProfile):
            profiles[metric.column, True] = veiled(value) if metric.column in plan.masked else value
        elif isinstance(value, NumericProfile):
            profiles[metric.column, False] = value
        else:
            missed.append(f"{metric.column}: {value.reason if isinstance(value, Unmeasured) else 'no profile'}")
    if missed:
        raise MeasurementError(f"{data}: no profile could be made of {'; '.join(missed)}; nothing was written")
    return profile_files.to_text(obj.name, measured.rows, profiles)


def _measured(data: str, metrics: tuple[ProfileOf, ...], *, of_files: bool) -> Measurement:
    from dagster_contracts.engines.files.engine import opened
    from dagster_contracts.engines.local import default_engine

    place: PurePath | str = data if data.startswith("s3://") else Path(data)
    with opened(FileSet(place) if of_files else place, {metric.column for metric in metrics}) as source:
        measured = default_engine().measure(source, metrics)
    if isinstance(measured, Unmeasured):
        raise MeasurementError(f"{data}: {measured.reason}{f': {measured.detail}' if measured.detail else ''}")
    return measured
