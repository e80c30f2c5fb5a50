"""What came of a drill, as metadata of the asset that stands for it. Numbers are plotted by Dagster from one drill to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_contracts.core.wording import counted
from dagster_contracts.plugin import metadata
from dagster_contracts.plugin.drill.course import Drilled
from dagster_contracts.plugin.drill.exercise import Exercise

SCORE = "contracts/score"
GROUP = "contracts_drill"


def drill_asset(asset: str) -> dg.AssetKey:
    """The asset on whose page the drills of `asset` stand."""
    return dg.AssetKey([GROUP, *dg.AssetKey.from_user_string(asset).path])


def last_score(instance: dg.DagsterInstance, asset: str) -> float | None:
    """Of the last drill that scored it; None where there was none."""
    for record in instance.fetch_materializations(drill_asset(asset), limit=10).records:
        found = record.asset_materialization
        value = found.metadata.get(SCORE) if found is not None else None
        if value is not None and isinstance(value.value, int | float):
            return float(value.value)
    return None


def materialization(found: Drilled, before: float | None) -> dg.AssetMaterialization:
    """One point of the trend."""
    assert found.score is not None
    told: dict[str, Any] = {
        SCORE: round(found.score.total.percent, 2),
        **{f"contracts/score/{clause}": round(share.percent, 2) for clause, share in found.score.by_clause.items()},
        "contracts/recovered_percent": round(_percent(found.exercises), 2),
        "contracts/faults": found.score.total.tried,
        "contracts/missed": found.score.total.tried - found.score.total.caught,
        "contracts/contract": f"{found.terms.attached.contract.id} {found.terms.version}",
        "contracts/drilled": f"{found.asset} [{found.partition}], {counted(found.rows, 'row')}, seed {found.seed}",
        "contracts/exercises": _exercises(found),
        "contracts/missing_clauses": _missing(found),
    }
    if before is not None:
        told["contracts/score_before"] = before
    if found.score.missing:
        told["contracts/next"] = next_step(found)
    return dg.AssetMaterialization(drill_asset(found.asset), description=sentence(found, before), metadata=metadata.inert(told))


def sentence(found: Drilled, before: float | None) -> str:
    """One line for people."""
    if found.score is None:
        alarm = found.campaign.refusals[0]
        broken = "; ".join(f"{finding.rule}: {finding.observed}" for finding in alarm.findings[:3])
        return f"{found.asset}: not scored, for the contract refuses the good batch {alarm.batch or '(unpartitioned)'}: {broken}"
    total = found.score.total
    change = "" if before is None else f", {before:.1f}% before"
    ended = f"{len(found.exercises) - len(found.went_wrong)} of {len(found.exercises)} exercises ended as the policy says"
    return f"{found.asset}: score {total.percent:.1f}%{change} ({total.caught} of {total.tried} faults noticed); {ended}"


def next_step(found: Drilled) -> str:
    """What to type to get the clauses that are missing, with their YAML."""
    source = found.terms.attached.contract.source or f"the contract {found.terms.attached.contract.id}"
    return f"dagster-contracts chaos {source} --data FILES prints the YAML of these clauses, --fix writes them"


def missing_clauses(found: Drilled) -> Iterator[Mapping[str, Any]]:
    for each in found.score.missing if found.score is not None else ():
        missed = sum(len(cell.missed) for cell in each.cells)
        yield {"clause": str(each.clause), "column": each.column or "(the batch)", "missed": missed, "faults": ", ".join(each.faults)}


def _missing(found: Drilled) -> dg.TableMetadataValue:
    columns = {"clause": "string", "column": "string", "missed": "int", "faults": "string"}
    return metadata.table(missing_clauses(found), columns)


def _exercises(found: Drilled) -> dg.TableMetadataValue:
    texts = ("fault", "column", "clause", "caught", "rules", "tripped", "read", "recovered")
    return metadata.table((_row(each) for each in found.exercises), dict.fromkeys(texts, "string"))


def _row(each: Exercise) -> dict[str, Any]:
    read = "; ".join(f"{r.reader}: {r.kind}, {r.found}" + ("" if r.as_promised else " (unlike its policy)") for r in each.readings)
    way = "by a probe" if each.probed else "by the next delivery"
    return {
        "fault": f"{each.fault} ({each.dose:g})",
        "column": each.column or "(the batch)",
        "clause": str(each.clause),
        "caught": str(each.result),
        "rules": ", ".join(each.rules[:5]),
        "tripped": f"with batch {each.batches}" if each.tripped else "no",
        "read": read,
        "recovered": way if each.recovered else f"no: {each.problem}",
    }


def _percent(exercises: tuple[Exercise, ...]) -> float:
    return 100 * sum(each.recovered for each in exercises) / len(exercises) if exercises else 100.0
