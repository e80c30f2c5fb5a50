"""Campaign -> mutation score: of the faults that were tried, how many a contract notices, and by which clauses it would notice the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dagster_contracts.chaos.campaign import Campaign, Cell
from dagster_contracts.chaos.fault import Group
from dagster_contracts.core.contract import Clause
from dagster_contracts.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Share:
    """How many of `tried` trials were caught, and how many of those kept from consumers who want fresh data."""

    caught: int = 0
    stopped: int = 0
    tried: int = 0

    @property
    def percent(self) -> float:
        """Of none, none is missed: 100."""
        return 100 * self.caught / self.tried if self.tried else 100.0


@dataclass(frozen=True, slots=True)
class MissingClause:
    """A clause that a contract lacks, for one column (None: for the batch as a whole), and the cells that it would catch."""

    clause: Clause
    column: str | None
    cells: tuple[Cell, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.fault for cell in self.cells))


@dataclass(frozen=True, slots=True)
class Score:
    """The mutation score: of all trials, by the clause that is there to catch them, by group of faults. Clauses and groups without trials
    are left out. `missing` begins with the clause that would catch the most."""

    total: Share
    by_clause: Mapping[Clause, Share]
    by_group: Mapping[Group, Share]
    missing: tuple[MissingClause, ...]


def score(campaign: Campaign) -> Score:
    """The mutation score of a contract. Raises UsageError where clean data is refused: what cries wolf catches everything; and where no
    fault could be tried."""
    if campaign.refusals:
        rules = dict.fromkeys(finding.rule for alarm in campaign.refusals for finding in alarm.findings)
        raise UsageError(
            f"contract {campaign.contract_id} {campaign.contract_version} refuses {len(campaign.refusals)} of {campaign.clean} clean "
            f"batches ({', '.join(rules)}), so that there is nothing to score; give data that is known to be good, or correct these rules"
        )
    if not campaign.trials:
        why = "; ".join(dict.fromkeys(each.reason for each in campaign.skipped[:5])) or "no fault was given"
        told = f"contract {campaign.contract_id} {campaign.contract_version}"
        raise UsageError(f"{told}: no fault could be tried, so that nothing is scored ({why})")
    cells = campaign.cells
    by_clause = {clause: share_of(cell for cell in cells if cell.clause is clause) for clause in Clause}
    by_group = {group: share_of(cell for cell in cells if cell.group is group) for group in Group}
    return Score(
        share_of(cells),
        {clause: share for clause, share in by_clause.items() if share.tried},
        {group: share for group, share in by_group.items() if share.tried},
        missing_clauses(cells),
    )


def share_of(cells: Iterable[Cell]) -> Share:
    trials = [trial for cell in cells for trial in cell.trials]
    return Share(sum(trial.caught for trial in trials), sum(trial.result.stopped for trial in trials), len(trials))


def missing_clauses(cells: Iterable[Cell]) -> tuple[MissingClause, ...]:
    """What is missing, the most first."""
    found: dict[tuple[Clause, str | None], list[Cell]] = {}
    for cell in cells:
        if cell.missed:
            found.setdefault((cell.clause, cell.column), []).append(cell)
    missing = [MissingClause(clause, column, tuple(several)) for (clause, column), several in found.items()]
    return tuple(sorted(missing, key=lambda each: -sum(len(cell.missed) for cell in each.cells)))


def score_to_json(score: Score) -> Mapping[str, object]:
    """JSON values; docs/schemas/chaos.schema.json describes them."""
    return {
        "total": _share(score.total),
        "by_dimension": {clause.value: _share(share) for clause, share in score.by_clause.items()},
        "by_group": {group.value: _share(share) for group, share in score.by_group.items()},
        "missing": [{"dimension": each.clause.value, "column": each.column, "faults": list(each.faults)} for each in score.missing],
    }


def _share(share: Share) -> Mapping[str, object]:
    return {"tried": share.tried, "caught": share.caught, "stopped": share.stopped, "percent": round(share.percent, 2)}
