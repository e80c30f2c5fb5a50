"""Batches that were: stored, or recorded in the ledger; the contract that they are judged by, and which of them are known to be bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_contracts.cli.options import LISTED, registry_at, store_at, tell_of_limit
from dagster_contracts.cli.printing import say
from dagster_contracts.cli.revisions import Source
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.state import asset_of
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import counted
from dagster_contracts.validating import object_of

if TYPE_CHECKING:
    import polars as pl

    from dagster_contracts.calibration.incidents import Incident
    from dagster_contracts.chaos.remedy import Case
    from dagster_contracts.core.ledger import Batch as Row
    from dagster_contracts.core.plan import Plan
    from dagster_contracts.ports import Store

Frames = Sequence[tuple[str, "pl.DataFrame"]]


# --- stored --------------------------------------------------------------------------------------------------------


def frames_in(history: Sequence[str], beside: Sequence[str | Path | None] = ()) -> Frames:
    """`beside` are files that may lie in the same folder and are no data: contracts, incidents. JSON without a row has the columns of
    the first batch that tells some.

    Raises UsageError where there is no data, MeasurementError where it cannot be read.
    """
    from dagster_contracts.cli.tables import tables
    from dagster_contracts.engines.files.tables import is_json

    found = list(tables(history, [Path(each) for each in beside if each is not None]))
    if not found:
        raise UsageError(f"{', '.join(history)}: no data file there; expected Parquet, CSV or JSON lines")
    shape = next((frame for _, frame in found if frame.width), found[0][1]).clear()
    return [(name, frame if frame.width or frame.height or not is_json(name) else shape) for name, frame in found]


def case_of(source: Source, object_name: str | None, frames: Frames, related: Sequence[str]) -> Case:
    """Raises UsageError where the contract is about files as such."""
    from dagster_contracts.chaos.deliveries import deliveries
    from dagster_contracts.chaos.remedy import Case
    from dagster_contracts.cli.tables import related_of
    from dagster_contracts.engines.local import default_engine

    contract, engine = source.reading(source.text), default_engine()
    others = related_of(contract, related)
    name = object_of(contract, object_name).name
    case = Case(source.text, name, (), engine, reading=source.reading, related=others, arrivals_known=False)
    plan = case.plan([])
    if plan.files:
        raise UsageError(f"{source.name}: the contract is about files as such (`physicalType: files`), and what is judged here are tables")
    return replace(case, batches=deliveries(plan, engine, frames))


def incidents_of(file: Path | None, cases: Sequence[Case]) -> tuple[Incident, ...]:
    """What the file says was bad; then what is left is of the object that the contract is about, or a UsageError says which file is not.

    An incident may name a rule that any of the cases has.
    """
    from dagster_contracts.calibration.belonging import require_own
    from dagster_contracts.calibration.observed import key_of

    found = incidents_among(file, [key_of(batch) for batch in cases[0].batches], [case.plan([]) for case in cases])
    labelled = {key for incident in found for key in incident.partitions}
    for case in cases:
        require_own(*case.contract(case.text), case.batches, labelled)
    return found


def incidents_among(file: Path | None, keys: Sequence[str], plans: Sequence[Plan]) -> tuple[Incident, ...]:
    """The incidents of a file among these partitions; none without a file."""
    from dagster_contracts.calibration.incidents import incidents_in

    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    rules = dict.fromkeys(rule.id for plan in plans for rule in plan.rules)
    return incidents_in(text, list(dict.fromkeys(keys)), source=str(file), rules=rules)


# --- recorded ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """Batches of an asset in the order of their arrival, and the plans of the versions that they were judged by, where those are
    registered."""

    asset: str
    rows: Sequence[Row]
    former: Mapping[str, Plan]


def recorded_of(contract: Contract, obj: SchemaObject, database_url: str | None) -> Recorded:
    """What the ledger has of the asset that an object is about. Raises UsageError where that is nothing."""
    store = store_at(database_url)
    asset = _asset(store, obj)
    found = store.batches(asset=asset, limit=LISTED)
    tell_of_limit(len(found), "batches")
    rows = [row for row in reversed(found) if not is_streamed(row)]
    if left := len(found) - len(rows):
        say(f"left out: {counted(left, 'batch', 'es')} of a stream, of which many are confirmed together")
    if not rows:
        raise UsageError(f"the ledger has no batch of {asset} that could be replayed")
    return Recorded(asset, rows, dict(_former(rows, obj.name, database_url)))


def _asset(store: Store, obj: SchemaObject) -> str:
    known = sorted({asset_of(breaker.key) for breaker in store.breakers()})
    found = [each for each in known if obj.may_be_about(each)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{obj.name} may be any of {', '.join(found)}; say which in the contract, by the customProperty dagsterAsset")
    name = obj.asset or obj.name
    near = did_you_mean(name, known) or ";"
    raise UsageError(f"the ledger has no asset {name}{near} it has {', '.join(known[:10]) or 'none at all: name another --database-url'}")


def _former(rows: Sequence[Row], object_name: str, database_url: str | None) -> list[tuple[str, Plan]]:
    registry = registry_at(database_url).contracts
    versions = dict.fromkeys((row.contract_id, row.contract_version) for row in rows)
    found = [(version, registry.get(contract_id, version)) for contract_id, version in versions]
    return [
        (version, compile_plan(each.contract, obj))
        for version, each in found
        if each is not None
        for obj in each.contract.objects
        if obj.name == object_name
    ]
