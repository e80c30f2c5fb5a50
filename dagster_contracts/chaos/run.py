"""The campaign: clean batches first, then every fault in every column that it fits, at each of its doses; then how small a dose may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.campaign import Alarm, Campaign, Cell, Skipped, Trial
from dagster_contracts.chaos.fault import Fault, Group
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.faults.nulls import OF_ROWS
from dagster_contracts.chaos.history import Known, judged
from dagster_contracts.chaos.shape import Reads
from dagster_contracts.chaos.trials import Bench, tried
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.ports import NO_OTHERS, MetricEngine, Related

Progress = Callable[[str, int, int], None]  # phase, done, total
FAULTS_TRIED, THRESHOLDS_FOUND = "faults", "thresholds"

_CLOSE_ENOUGH = 1.1  # a threshold is known to within a tenth
_SMALLEST = 0.001  # of the first dose, where no share of the rows says how small is nothing


def silent(phase: str, done: int, total: int) -> None:
    """No progress is shown."""


def run(
    plan: Plan,
    policy: BreakerPolicy,
    engine: MetricEngine,
    batches: Sequence[Batch],
    *,
    faults: Sequence[Fault] = FAULTS,
    seed: int = 0,
    asset: str | None = None,
    related: Related = NO_OTHERS,
    progress: Progress = silent,
    thresholds: bool = False,
) -> Campaign:
    """Try `faults` on the last of `batches`, all of which are known to be good, in the order in which they arrived.

    Where the contract refuses any of them, no fault is tried: `Campaign.refusals` says why. `thresholds` also looks for the smallest dose
    that is noticed. `asset` is whose breaker it is (the object's name by default). Raises UsageError for no batch, two faults of one
    name, and no fault.
    """
    campaign, bench = prepare(plan, policy, engine, batches, faults=faults, seed=seed, asset=asset, related=related)
    if campaign.refusals:
        return campaign
    campaign = try_all(campaign, bench, faults, progress)
    return find_thresholds(campaign, bench, faults, progress) if thresholds else campaign


def prepare(
    plan: Plan,
    policy: BreakerPolicy,
    engine: MetricEngine,
    batches: Sequence[Batch],
    *,
    faults: Sequence[Fault] = FAULTS,
    seed: int = 0,
    asset: str | None = None,
    related: Related = NO_OTHERS,
) -> tuple[Campaign, Bench]:
    """The clean batches judged: a campaign without cells, and what its trials share."""
    if not batches:
        raise UsageError("no batch to inject faults into; give at least one that is known to be good")
    if not faults:
        raise UsageError("no fault to inject; name a group or kind that there is")
    if twice := [fault.name for number, fault in enumerate(faults) if fault.name in {other.name for other in faults[:number]}]:
        raise UsageError(f"several faults are called {', '.join(sorted(set(twice)))}; give each a name of its own")
    history = judged(plan, engine, batches, related)
    victim = history[-1]
    bench = Bench(asset or plan.object_name, plan, policy, engine, victim, history[:-1], seed, related)
    campaign = Campaign(
        contract_id=plan.contract_id,
        contract_version=plan.contract_version,
        object_name=plan.object_name,
        seed=seed,
        clean=len(history),
        batch=victim.batch.name,
        rows=victim.batch.rows,
        columns=victim.batch.columns,
        alarms=tuple(_alarms(history)),
    )
    return campaign, bench


def _alarms(history: Iterable[Known]) -> Iterable[Alarm]:
    for known in history:
        broken = tuple(finding for finding in known.verdict.findings if finding.outcome is not Outcome.PASS)
        if broken:
            yield Alarm(known.batch.name, known.verdict.outcome, broken)


# --- faults --------------------------------------------------------------------------------------------------------


def try_all(campaign: Campaign, bench: Bench, faults: Sequence[Fault], progress: Progress = silent) -> Campaign:
    """Every fault in every column that it fits, at each of its doses."""
    targets: list[tuple[Fault, str | None]] = []
    skipped: list[Skipped] = []
    for fault in faults:
        found = _targets(bench, fault)
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            targets += [(fault, column) for column in found]
    cells: list[Cell] = []
    for number, (fault, column) in enumerate(targets):
        progress(FAULTS_TRIED, number, len(targets))
        trials = [(dose, tried(bench, fault, column, dose)) for dose in fault.doses]
        skipped += _skipped(fault, column, trials)
        if done := tuple(trial for _, trial in trials if isinstance(trial, Trial)):
            cells.append(Cell(fault.name, fault.group, fault.clause, column, done, fault.unit))
    progress(FAULTS_TRIED, len(targets), len(targets))
    return replace(campaign, cells=tuple(cells), skipped=(*skipped, *_untouched(bench, targets)))


def _targets(bench: Bench, fault: Fault) -> Sequence[str | None] | Skipped:
    try:
        found = list(fault.fits(bench.victim.batch.shape))
    except Exception as error:  # noqa: BLE001  # a fault may be anybody's code, and what it raises is told
        return Skipped(fault.name, None, f"asked where it fits, the fault raised {type(error).__name__}: {error}"[:200])
    unknown = [column for column in found if column is not None and column not in bench.victim.batch.shape]
    if unknown:
        return Skipped(fault.name, None, f"the fault says that it fits column {unknown[0]}, which is not there")
    return found or Skipped(fault.name, None, "no column that it fits")


def _skipped(fault: Fault, column: str | None, trials: Sequence[tuple[float, Trial | str]]) -> list[Skipped]:
    """Doses that were not tried for one and the same reason are told once."""
    by_reason: dict[str, list[str]] = {}
    for dose, trial in trials:
        if isinstance(trial, str):
            by_reason.setdefault(trial, []).append(f"{dose:g}")
    every = len(trials)
    return [
        Skipped(fault.name, column, reason if len(doses) == every else f"{reason} (dose {', '.join(doses)})")
        for reason, doses in by_reason.items()
    ]


def _untouched(bench: Bench, targets: Sequence[tuple[Fault, str | None]]) -> list[Skipped]:
    """Columns that no fault fits."""
    touched = {column for _, column in targets}
    left = [column for column in bench.victim.batch.shape.values() if column.name not in touched]
    reasons = {Reads.NOTHING: "no fault fits it: it holds no value", Reads.OTHER: "no fault fits values of its type"}
    return [Skipped(None, column.name, reasons.get(column.reads, "no fault fits it")) for column in left]


def chosen(faults: Sequence[Fault], only: Sequence[str]) -> list[Fault]:
    """Those of the named groups or kinds; all where nothing is named. Raises UsageError for a name that there is not."""
    known = {*(fault.name for fault in faults), *Group}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f'no fault or group is called "{unknown[0]}"; there are the groups {", ".join(Group)}, and each fault by name')
    return [fault for fault in faults if not only or fault.name in only or fault.group.value in only]


def without(plan: Plan, rules: Sequence[str]) -> Plan:
    """The plan without some rules, so that the others can be scored though these refuse clean data. Raises UsageError for one that it
    does not have."""
    known = [rule.id for rule in plan.rules]
    for name in rules:
        if name not in known:
            raise UsageError(
                f'the contract executes no rule "{name}"{did_you_mean(name, known) or ";"} `lint` counts them, `test` lists them'
            )
    return replace(plan, rules=tuple(rule for rule in plan.rules if rule.id not in rules))


# --- thresholds ----------------------------------------------------------------------------------------------------


def find_thresholds(campaign: Campaign, bench: Bench, faults: Sequence[Fault], progress: Progress = silent) -> Campaign:
    """The smallest dose that is noticed, of every cell that has doses and one that is noticed: by bisection, to within a tenth."""
    by_name = {fault.name: fault for fault in faults}
    cells: list[Cell] = []
    for number, cell in enumerate(campaign.cells):
        progress(THRESHOLDS_FOUND, number, len(campaign.cells))
        cells.append(replace(cell, threshold=_threshold(bench, by_name[cell.fault], cell)))
    progress(THRESHOLDS_FOUND, len(cells), len(cells))
    return replace(campaign, cells=tuple(cells))


def _threshold(bench: Bench, fault: Fault, cell: Cell) -> float | None:
    caught = [trial.dose for trial in cell.trials if trial.caught]
    if not fault.graded or not caught:
        return None
    high = caught[0]
    below = [trial.dose for trial in cell.trials if trial.dose < high]
    low = below[-1] if below else _floor(bench, fault)
    if not below and (low >= high or _caught(bench, fault, cell.column, low)):
        return min(low, high)
    while high / low > _CLOSE_ENOUGH:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _caught(bench, fault, cell.column, middle) else (middle, high)
    return high


def _floor(bench: Bench, fault: Fault) -> float:
    """A dose that is next to nothing: one row, or a thousandth of the first one."""
    return 1 / max(bench.victim.batch.rows, 1) if fault.unit == OF_ROWS else fault.doses[0] * _SMALLEST


def _caught(bench: Bench, fault: Fault, column: str | None, dose: float) -> bool:
    trial = tried(bench, fault, column, dose)
    return isinstance(trial, Trial) and trial.caught
