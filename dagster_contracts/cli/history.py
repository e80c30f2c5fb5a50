"""Stored batches and the contract that they are judged by; which of them are known to be bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_contracts.cli.chaos_fix import text_of, with_profiles_of
from dagster_contracts.core.errors import UsageError
from dagster_contracts.validating import object_of

if TYPE_CHECKING:
    from dagster_contracts.calibration.incidents import Incident
    from dagster_contracts.chaos.remedy import Case


def case_of(contract: Path, object_name: str | None, history: list[str]) -> Case:
    """Raises UsageError where the contract is about files as such, or there is no data; MeasurementError where that cannot be read."""
    from dagster_contracts.chaos.deliveries import deliveries
    from dagster_contracts.chaos.remedy import Case
    from dagster_contracts.cli.tables import tables
    from dagster_contracts.engines.local import default_engine

    if not contract.is_file():
        raise UsageError(f"{contract} is no file; name the file of the contract, whose text is to be changed")
    text, engine = text_of(contract), default_engine()
    found = with_profiles_of(text, contract)
    case = Case(
        text, object_of(found, object_name).name, (), engine, reading=lambda new: with_profiles_of(new, contract), arrivals_known=False
    )
    plan = case.plan([])
    if plan.files:
        raise UsageError(f"{contract}: the contract is about files as such (`physicalType: files`), and thresholds are learned from tables")
    batches = deliveries(plan, engine, tables(history))
    if not batches:
        raise UsageError(f"{', '.join(history)}: no data file there; expected Parquet, CSV or JSON lines")
    return replace(case, batches=batches)


def incidents_of(file: Path | None, cases: Sequence[Case]) -> tuple[Incident, ...]:
    """What the file says was bad; then what is left is of the object that the contract is about, or a UsageError says which file is not.

    An incident may name a rule that any of the cases has.
    """
    from dagster_contracts.calibration.belonging import require_own
    from dagster_contracts.calibration.incidents import incidents_in
    from dagster_contracts.calibration.observed import key_of

    found: tuple[Incident, ...] = ()
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
        keys = list(dict.fromkeys(key_of(batch) for batch in cases[0].batches))
        rules = dict.fromkeys(rule.id for case in cases for rule in case.plan([]).rules)
        found = incidents_in(text, keys, source=str(file), rules=rules)
    labelled = {key for incident in found for key in incident.partitions}
    for case in cases:
        require_own(*case.contract(case.text), case.batches, labelled)
    return found
