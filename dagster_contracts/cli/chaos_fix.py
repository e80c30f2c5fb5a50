"""The clauses that a contract lacks, for people, and the new version of its file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_contracts.cli.printing import print_table, print_text, say, styled
from dagster_contracts.cli.revisions import text_of, with_profiles_of
from dagster_contracts.cli.writing import write_version
from dagster_contracts.core.wording import counted

if TYPE_CHECKING:
    from dagster_contracts.chaos.batch import Batch
    from dagster_contracts.chaos.campaign import Campaign
    from dagster_contracts.chaos.fault import Fault
    from dagster_contracts.chaos.remedy import Remedy, Uncaught
    from dagster_contracts.chaos.run import Progress
    from dagster_contracts.chaos.score import Score
    from dagster_contracts.ports import MetricEngine, Related

_LISTED = 25  # rows of one table; the other formats have all


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is proposed, the same campaign with it, and the file that it was written to (None: to none)."""

    remedy: Remedy
    after: Campaign
    path: Path | None = None


def fixed(
    file: Path,
    object_name: str,
    batches: Sequence[Batch],
    engine: MetricEngine,
    before: Campaign,
    faults: Sequence[Fault],
    environment: str | None,
    left_out: Sequence[str],
    related: Related,
    progress: Progress,
) -> Fixed:
    """Learn the missing clauses from the batches and try the campaign again with them; nothing is written."""
    from dagster_contracts.chaos.propose import propose
    from dagster_contracts.chaos.remedy import Case
    from dagster_contracts.chaos.run import run, without
    from dagster_contracts.core.compile import compile_plan

    began = time.monotonic()
    case = Case(
        text_of(file),
        object_name,
        batches,
        engine,
        reading=lambda text: with_profiles_of(text, file),
        related=related,
        arrivals_known=False,
        left_out=left_out,
    )
    remedy = propose(case, before, faults=faults, progress=progress)
    contract, obj = case.contract(remedy.text)
    plan = without(compile_plan(contract, obj, environment), left_out)
    if not remedy.proposals:
        return Fixed(remedy, before)
    after = run(plan, contract.policy, engine, batches, faults=faults, seed=before.seed, related=related, progress=progress)
    say(f"{counted(len(remedy.proposals), 'clause')} learned, and the faults tried again, in {time.monotonic() - began:.1f} s")
    return Fixed(remedy, after)


def written(found: Fixed, file: Path, to: Path | None) -> Fixed:
    """The new version in a file: `to`, which may be `file` itself; else NAME-VERSION in this folder. None where nothing is new.

    Raises UsageError where no file can be written; without `to` also for a file that stands there already.
    """
    if not found.remedy.proposals:
        say(f"{file}: nothing to add, and nothing is written")
        return found
    place = write_version(found.remedy.text, file.name, found.remedy.version, to)
    return replace(found, path=place)


# --- for people ----------------------------------------------------------------------------------------------------


def print_fixed(found: Fixed, before: Score, after: Score | None, *, yaml: bool) -> None:
    """The clauses with what they catch, those that catch most first; with `yaml` as they stand in a contract."""
    remedy = found.remedy
    if not remedy.proposals:
        print_text("No clause is proposed: clean batches keep to nothing more that would catch what was missed.")
        return
    then = f"{after.total.percent:.1f}%" if after is not None else "no score"
    print_text(styled(f"With {counted(len(remedy.proposals), 'clause')} more: {before.total.percent:.1f}% -> {then}", "bold green"))
    needed = sorted((each for each in remedy.proposals if each.catches), key=lambda each: -len(each.catches))
    rows = ((each.clause.name, len(each.catches), ", ".join(dict.fromkeys(fault for fault, _, _ in each.catches))) for each in needed)
    print_table(("clause", "catches", "faults"), rows)
    if more := len(remedy.proposals) - len(needed):
        print_text(f"{more} more that all clean batches keep to, for faults that were not tried")
    print_text("")
    if yaml:
        for proposal in needed:
            print_text(styled(f"# {proposal.clause.name}: {proposal.clause.told}", "dim"))
            for line in proposal.yaml.splitlines():
                print_text(line)
            print_text("")
    if remedy.uncaught:
        print_text("No clause catches:")
        print_table(("fault", "column", "doses", "why"), map(_uncaught, remedy.uncaught[:_LISTED]))
        print_text("")


def _uncaught(each: Uncaught) -> tuple[object, ...]:
    return each.fault, each.column or "(the batch)", ", ".join(f"{dose:g}" for dose in each.doses), each.reason
