"""What came of a campaign: alarms on clean data, and for each fault and column what each dose led to. Values, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dagster_contracts.chaos.fault import Group
from dagster_contracts.core.contract import Clause, Confidence
from dagster_contracts.core.ledger import RouteKind
from dagster_contracts.core.verdict import Finding, Outcome


class Result(StrEnum):
    """What the contract made of a fault.

    refused: the batch failed, or the breaker opened for one that never came. held: it could not be measured. set_aside: the rows that
    fail were set aside, and the rest is published. warned: a rule says so, and the batch is published all the same. missed: nothing
    noticed.
    """

    REFUSED = "refused"
    HELD = "held"
    SET_ASIDE = "set_aside"
    WARNED = "warned"
    MISSED = "missed"

    @property
    def caught(self) -> bool:
        return self is not Result.MISSED

    @property
    def stopped(self) -> bool:
        """Whether no consumer gets it as fresh data."""
        return self in (Result.REFUSED, Result.HELD, Result.SET_ASIDE)


@dataclass(frozen=True, slots=True)
class Read:
    """What a consumer would have read, by its name in the contract's policy; the last one stands for all others.

    `faulty`: it is the batch with the fault in it or, where none came, an old one that is taken for new. `as_promised`: it is what the
    policy says of a batch of that result.
    """

    consumer: str
    accepts: Confidence
    kind: RouteKind
    faulty: bool
    as_promised: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault in one column at one dose.

    `description` says what was done; `rows` how many were touched. `findings` are those of rules that notice it: broken or not
    measurable now, and not on the clean batch; `unexecuted` rules that could not be applied any more. `batches_to_trip`: with how
    many batches of this kind, one after the other, the breaker opens (1: with the first); None where it never does.
    """

    dose: float
    result: Result
    description: str
    rows: int
    columns: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unexecuted: tuple[str, ...] = ()
    batches_to_trip: int | None = None
    reads: tuple[Read, ...] = ()

    @property
    def caught(self) -> bool:
        return self.result.caught

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules that notice it: those that break, or else those that could not be applied any more."""
        return tuple(dict.fromkeys(finding.rule for finding in self.findings)) or self.unexecuted

    @property
    def tripped(self) -> bool:
        """Whether the breaker opens with this very batch."""
        return self.batches_to_trip == 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault in one column (None: in the batch as a whole), at each of its doses, ascending.

    `threshold` is the smallest dose that is caught, found by bisection between doses: None where it was not looked for, where the
    fault has no doses, and where no dose is caught.
    """

    fault: str
    group: Group
    clause: Clause
    column: str | None
    trials: tuple[Trial, ...]
    unit: str = ""
    threshold: float | None = None

    @property
    def caught(self) -> bool:
        """Whether every dose is."""
        return all(trial.caught for trial in self.trials)

    @property
    def missed(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if not trial.caught)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A clean batch that a rule complains of."""

    batch: str
    outcome: Outcome
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was not tried and does not count, and why: a fault in a column, a fault anywhere (column None), a column (fault None)."""

    fault: str | None
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """All that a campaign found out. `batch` is the clean batch that faults were injected into, of `rows` rows.

    Faults are tried only where no clean batch is refused: else `cells` is empty, and `refusals` says why.
    """

    contract_id: str
    contract_version: str
    object_name: str
    seed: int
    clean: int  # clean batches judged
    batch: str
    rows: int
    columns: tuple[str, ...]
    alarms: tuple[Alarm, ...] = ()
    cells: tuple[Cell, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def refusals(self) -> tuple[Alarm, ...]:
        """Clean batches that the contract refuses, or cannot measure: with such a contract nothing is worth scoring."""
        return tuple(alarm for alarm in self.alarms if alarm.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE))

    @property
    def trials(self) -> int:
        return sum(len(cell.trials) for cell in self.cells)


# --- JSON ----------------------------------------------------------------------------------------------------------


def campaign_to_json(campaign: Campaign) -> Mapping[str, object]:
    """JSON values; docs/schemas/chaos.schema.json describes them."""
    return {
        "contract": {"id": campaign.contract_id, "version": campaign.contract_version, "object": campaign.object_name},
        "seed": campaign.seed,
        "clean": {"batches": campaign.clean, "alarms": [_alarm(alarm) for alarm in campaign.alarms]},
        "batch": {"name": campaign.batch, "rows": campaign.rows, "columns": list(campaign.columns)},
        "cells": [_cell(cell) for cell in campaign.cells],
        "skipped": [{"fault": each.fault, "column": each.column, "reason": each.reason} for each in campaign.skipped],
    }


def _alarm(alarm: Alarm) -> Mapping[str, object]:
    return {"batch": alarm.batch, "outcome": alarm.outcome.value, "findings": [_finding(finding) for finding in alarm.findings]}


def _cell(cell: Cell) -> Mapping[str, object]:
    return {
        "fault": cell.fault,
        "group": cell.group.value,
        "dimension": cell.clause.value,
        "column": cell.column,
        "unit": cell.unit,
        "threshold": cell.threshold,
        "trials": [_trial(trial) for trial in cell.trials],
    }


def _trial(trial: Trial) -> Mapping[str, object]:
    return {
        "dose": trial.dose,
        "result": trial.result.value,
        "description": trial.description,
        "rows": trial.rows,
        "columns": list(trial.columns),
        "rules": list(trial.rules),
        "findings": [_finding(finding) for finding in trial.findings],
        "batches_to_trip": trial.batches_to_trip,
        "reads": [
            {
                "consumer": read.consumer,
                "accepts": read.accepts.value,
                "kind": read.kind.value,
                "faulty": read.faulty,
                "as_promised": read.as_promised,
            }
            for read in trial.reads
        ],
    }


def _finding(finding: Finding) -> Mapping[str, object]:
    return {
        "rule": finding.rule,
        "dimension": finding.clause.value,
        "column": finding.column,
        "severity": finding.severity.value,
        "outcome": finding.outcome.value,
        "observed": finding.observed,
        "expected": finding.expected,
    }
