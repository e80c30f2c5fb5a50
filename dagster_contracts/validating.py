"""Data judged by a contract without a breaker: nothing is recorded, and nothing follows."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path, PurePath

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.judge import failing, judge
from dagster_contracts.core.metrics import may_read
from dagster_contracts.core.verdict import Unmeasured, Verdict
from dagster_contracts.ports import NO_OTHERS, FileSet, Related


def validate(
    contract: Contract,
    data: object,
    *,
    as_of: datetime,
    object_name: str | None = None,
    environment: str | None = None,
    related: Related = NO_OTHERS,
) -> Verdict:
    """What `data`, arrived at `as_of` (aware), is worth: a frame, an ibis Table, or the places of files (paths, s3:// addresses, one or a
    list).

    `object_name` chooses the schema object where the contract has several; `related` are others of them, for relationships. Raises
    UsageError where there is no such object.
    """
    from dagster_contracts.engines.files.engine import opened
    from dagster_contracts.engines.local import default_engine

    plan = compile_plan(contract, object_of(contract, object_name), environment)
    engine, place = default_engine(), _place(data)
    with nullcontext(data) if place is None else opened(FileSet(place) if plan.files else place, may_read(plan.metrics)) as source:
        measured = engine.measure(source, plan.metrics, related)
        broken = () if isinstance(measured, Unmeasured) else failing(plan, measured)
        samples = engine.samples(source, broken, related=related) if broken else {}
    return judge(plan, measured, samples, as_of=as_of, head=True)


def _place(data: object) -> Path | str | list[PurePath | str] | None:
    """Where files are; None for what is data itself."""
    if isinstance(data, str | PurePath):
        return str(data) if str(data).startswith("s3://") else Path(data)
    if isinstance(data, list | tuple) and data and all(isinstance(each, str | PurePath) for each in data):
        places: list[PurePath | str] = [str(each) if str(each).startswith("s3://") else Path(each) for each in data]
        return places if len(places) > 1 else _place(data[0])
    return None


def object_of(contract: Contract, name: str | None) -> SchemaObject:
    """The schema object of that name; without one, the only one. Raises UsageError where there is none, or several."""
    names = [found.name for found in contract.objects]
    place = f"{contract.source}: contract {contract.id} {contract.version}"
    if not names:
        raise UsageError(f"{place} has no schema object, so there is nothing to judge data by; add one under `schema`")
    if name is None:
        if len(names) == 1:
            return contract.objects[0]
        raise UsageError(f"{place} has {len(names)} schema objects; choose one with --object: {', '.join(names)}")
    if name not in names:
        raise UsageError(f'{place} has no schema object "{name}"{did_you_mean(name, names) or ";"} it has: {", ".join(names)}')
    return contract.objects[names.index(name)]
