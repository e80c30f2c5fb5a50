"""`calibrate`: what should the thresholds of a contract be? Learned from stored batches; nothing is recorded."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.chaos_fix import named
from dagster_contracts.cli.history import case_of, incidents_of
from dagster_contracts.cli.printing import print_json, print_table, print_text, say
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted

if TYPE_CHECKING:
    from dagster_contracts.calibration.calibrate import Calibration
    from dagster_contracts.chaos.remedy import Case


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def calibrate(
    contract: Annotated[Path, typer.Argument(metavar="CONTRACT", help="The contract file.", show_default=False)],
    history: Annotated[
        list[str],
        typer.Option(
            "--history",
            metavar="PLACE",
            help="Stored batches, a file each, in the order of their names: a file, a folder, a glob or an s3:// address; may be given "
            "several times. What has no label is taken as clean.",
            show_default=False,
        ),
    ],
    incidents: Annotated[
        Path | None,
        typer.Option(
            "--incidents",
            metavar="FILE",
            help="The bad ones among them, YAML or JSON: a list of {partition, what, rule}; A..B is all from A to B.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[float, typer.Option("--budget", metavar="N", help="False trips in 100 clean batches.")] = 1.0,
    propose: Annotated[bool, typer.Option("--propose/--no-propose", help="Propose rules of behaviour that the contract lacks.")] = True,
    object_name: Annotated[
        str | None,
        typer.Option("--object", metavar="NAME", help="The schema object, where the contract has several.", show_default=False),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", "--write", help="Write the new version of the contract, to NAME-VERSION in this folder.")
    ] = False,
    fix_to: Annotated[
        Path | None,
        typer.Option("--fix-to", metavar="FILE", help="As --fix, to this file; the contract itself may be it.", show_default=False),
    ] = None,
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

    case = case_of(contract, object_name, history)
    found = calibrated(case, budget=budget, incidents=incidents_of(incidents, [case]), propose=propose)
    diff = diff_of(case.text, found, contract.name)
    if fix or fix_to is not None:
        _write(found, case, contract, fix_to)
    if form is Form.JSON:
        print_json(to_json(found, diff))
    elif form is Form.MARKDOWN:
        typer.echo(to_markdown(found, diff), nl=False)
    else:
        _print(found, diff)


def _write(found: Calibration, case: Case, contract: Path, to: Path | None) -> None:
    """Raises UsageError where nothing changes, or no file can be written; without `to` also for a file that stands there already."""
    if found.text == case.text:
        raise UsageError(f"{contract}: history asks for no other threshold, so that there is nothing to write")
    place = to or Path(named(contract, found.version))
    if to is None and place.exists():
        raise UsageError(f"{place} exists already; remove it, or name another file with --fix-to")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w", encoding="utf-8", newline="") as opened:
            opened.write(found.text)
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror or error}; name another file with --fix-to") from error
    say(f"wrote version {found.version} to {place}")


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
