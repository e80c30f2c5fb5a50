"""`calibrate`: what should the thresholds of a contract be? Learned from stored batches; nothing is recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.history import case_of, frames_in, incidents_of
from dagster_contracts.cli.options import (
    ContractArgument,
    FixToOption,
    HistoryOption,
    IncidentsOption,
    ObjectOption,
    RelatedOption,
    UrlOption,
)
from dagster_contracts.cli.printing import print_json, print_table, print_text
from dagster_contracts.cli.revisions import source_at
from dagster_contracts.cli.writing import write_version
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted

if TYPE_CHECKING:
    from dagster_contracts.calibration.calibrate import Calibration


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def calibrate(
    contract: ContractArgument,
    history: HistoryOption,
    incidents: IncidentsOption = None,
    budget: Annotated[float, typer.Option("--budget", metavar="N", help="False trips in 100 clean batches.")] = 1.0,
    propose: Annotated[bool, typer.Option("--propose/--no-propose", help="Propose rules of behaviour that the contract lacks.")] = True,
    object_name: ObjectOption = None,
    fix: Annotated[
        bool, typer.Option("--fix", "--write", help="Write the new version of the contract, to NAME-VERSION in this folder.")
    ] = False,
    fix_to: FixToOption = None,
    related: RelatedOption = None,
    database_url: UrlOption = None,
    form: Annotated[
        Form, typer.Option("--format", help="text for people; json has a version; markdown is for a pull request.")
    ] = Form.TEXT,
) -> None:
    """Propose thresholds from history for a budget of false trips, as a diff of the contract with the evidence of each rule.

    Loosens rules that trip on clean batches, tightens those that are too loose, and never widens one that a labelled incident needs.
    Exit code 0: done. 2: bad usage, too little history, or the data cannot be read.
    """
    from dagster_contracts.calibration.calibrate import calibrate as calibrated
    from dagster_contracts.calibration.evidence import diff_of, to_json, to_markdown
    from dagster_contracts.store.memory import MemoryStore

    source = source_at(contract, database_url)
    case = case_of(source, object_name, frames_in(history, [contract, incidents]), related or ())
    labelled = incidents_of(incidents, [case])
    found = calibrated(case, lambda clock: MemoryStore(clock=clock), budget=budget, incidents=labelled, propose=propose)
    diff = diff_of(case.text, found, source.name)
    if fix or fix_to is not None:
        if found.text == case.text:
            raise UsageError(f"{contract}: history asks for no other threshold, so that there is nothing to write")
        write_version(found.text, source.name, found.version, fix_to)
    if form is Form.JSON:
        print_json(to_json(found, diff))
    elif form is Form.MARKDOWN:
        typer.echo(to_markdown(found, diff), nl=False)
    else:
        _print(found, diff)


def _print(found: Calibration, diff: str) -> None:
    from dagster_contracts.calibration.choosing import Step
    from dagster_contracts.calibration.evidence import now, seen, summary, told

    for line in summary(found):
        print_text(line)
    print_text("")
    changed = [choice for choice in found.choices if choice.step is not Step.KEPT]
    kept = [choice for choice in found.choices if choice.step is Step.KEPT]
    rows = ((c.rule, c.step.value, c.old, now(c) if c.step is not Step.KEPT else "", seen(c.seen), told(c)) for c in (*changed, *kept))
    print_table(("rule", "", "was", "is", "seen", "why"), rows)
    if found.fixed:
        print_text(f"{counted(len(found.fixed), 'rule')} without a threshold: nothing of them is changed")
    print_text("")
    if not diff:
        print_text("Nothing changes.")
        return
    typer.echo(diff, nl=False)
