"""`chaos`: which faults would a contract notice? Damages data in memory; nothing that is stored is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.chaos_fix import Fixed, fixed, print_fixed, written
from dagster_contracts.cli.options import (
    ContractArgument,
    EnvironmentOption,
    FixToOption,
    ObjectOption,
    PageOption,
    RelatedOption,
    UrlOption,
)
from dagster_contracts.cli.printing import print_json, print_text, say
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.cli.writing import print_page
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import MeasurementError, UsageError
from dagster_contracts.core.wording import counted
from dagster_contracts.validating import object_of

if TYPE_CHECKING:
    import polars as pl

    from dagster_contracts.chaos.batch import Batch
    from dagster_contracts.chaos.campaign import Campaign
    from dagster_contracts.chaos.fault import Fault
    from dagster_contracts.chaos.run import Progress
    from dagster_contracts.chaos.score import Score
    from dagster_contracts.core.contract import BreakerPolicy
    from dagster_contracts.core.plan import Plan
    from dagster_contracts.ports import MetricEngine, Related


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    HTML = "html"


def chaos(
    contract: ContractArgument,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="PLACE",
            help="Clean batches, a file each, in the order of their names: a file, a folder, a glob or an s3:// address; may be given "
            "several times. Faults are injected into the last one.",
            show_default=False,
        ),
    ],
    object_name: ObjectOption = None,
    faults: Annotated[
        list[Path] | None,
        typer.Option("--faults", metavar="FILE", help="A Python file with faults of your own, beside those built in.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="A group (schema, nulls, semantics, quality, distribution, cadence) or a fault alone."),
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="RULE", help="Leave out a rule, such as one that refuses clean data.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed damages the same rows.")] = 0,
    thresholds: Annotated[bool, typer.Option("--thresholds/--no-thresholds", help="Look for the smallest dose that is noticed.")] = True,
    minimum: Annotated[
        float | None,
        typer.Option("--minimum-score", metavar="PERCENT", min=0, max=100, help="Exit code 1 for a lower score.", show_default=False),
    ] = None,
    propose: Annotated[
        bool, typer.Option("--propose/--no-propose", help="Learn the clauses that would catch what was missed, and try them.")
    ] = True,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a new version of the contract with them, to NAME-VERSION in this folder.")
    ] = False,
    fix_to: FixToOption = None,
    related: RelatedOption = None,
    environment: EnvironmentOption = None,
    database_url: UrlOption = None,
    form: Annotated[Form, typer.Option("--format", help="text for people; json has a version; html is one page.")] = Form.TEXT,
    output: PageOption = None,
) -> None:
    """Inject faults into clean data, tell which of them the contract does not notice, and propose the clauses that would.

    Exit code 0: done. 1: the contract refuses the clean data, or no fault could be tried, so that nothing is scored; or the score is lower
    than --minimum-score.
    2: bad usage, or the data cannot be read.
    """
    from dagster_contracts.chaos.run import without
    from dagster_contracts.chaos.score import score
    from dagster_contracts.cli.tables import related_of

    if output is not None and form is not Form.HTML:
        raise UsageError(f"--output is for --format html; {form.value} is printed")
    found = contract_at(contract, database_url, profiles=True)
    file = _file(contract, wanted=fix or fix_to is not None)
    obj = object_of(found, object_name)
    plan = without(compile_plan(found, obj, environment), left_out or ())
    trying = _chosen(faults or [], only or [])
    others = related_of(found, related or ())
    batches, engine = _batches(plan, data)
    campaign = _campaign(plan, found.policy, batches, engine, trying, seed, others, thresholds=thresholds)
    result = score(campaign) if campaign.trials and not campaign.refusals else None
    fixed = None
    if result is not None and file is not None and (propose or fix or fix_to):
        asked = fix or fix_to is not None
        fixed = _fixed(file, obj.name, batches, engine, campaign, trying, environment, left_out or (), others, asked=asked)
    if fixed is not None and (fix or fix_to):
        fixed = written(fixed, file or Path(contract), fix_to)
    _print(Report(campaign, result, fixed), form, output)
    if result is None or (minimum is not None and result.total.percent < minimum):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed. `score` None: clean data is refused, or no fault was tried; `fixed` None: no clauses were looked for."""

    campaign: Campaign
    score: Score | None
    fixed: Fixed | None


def _file(place: str, *, wanted: bool) -> Path | None:
    """The file that a contract is read from; None where it comes from elsewhere. Raises UsageError there where one is wanted."""
    path = Path(place)
    if path.is_file():
        return path
    if path.is_dir():
        from dagster_contracts.store.files import load_contracts

        return Path(str(load_contracts(place, profiles=False)[0].source))
    if wanted:
        raise UsageError(f"{place} is no file, so that no new version of it can be written; name the file of the contract")
    return None


def _fixed(
    file: Path,
    object_name: str,
    batches: Sequence[Batch],
    engine: MetricEngine,
    campaign: Campaign,
    faults: Sequence[Fault],
    environment: str | None,
    left_out: Sequence[str],
    related: Related,
    *,
    asked: bool,
) -> Fixed | None:
    try:
        with _progress() as progress:
            return fixed(file, object_name, batches, engine, campaign, faults, environment, left_out, related, progress)
    except UsageError as error:  # too few batches, or a file that cannot be amended: the score stands all the same
        if asked:
            raise
        say(f"no clauses are proposed: {error}")
        return None


def _chosen(files: Sequence[Path], only: Sequence[str]) -> list[Fault]:
    from dagster_contracts.chaos.faults import FAULTS
    from dagster_contracts.chaos.own import faults_in, installed
    from dagster_contracts.chaos.run import chosen

    own = [fault for path in files for fault in faults_in(path)]
    return chosen([*FAULTS, *installed(), *own], only)


def _batches(plan: Plan, data: Sequence[str]) -> tuple[Sequence[Batch], MetricEngine]:
    from dagster_contracts.chaos.deliveries import deliveries
    from dagster_contracts.engines.local import default_engine

    if plan.files:
        raise UsageError(f"{plan.contract_id}: the contract is about files as such (`physicalType: files`), and faults damage tables")
    engine = default_engine()
    return deliveries(plan, engine, _frames(data)), engine


def _campaign(
    plan: Plan,
    policy: BreakerPolicy,
    batches: Sequence[Batch],
    engine: MetricEngine,
    faults: Sequence[Fault],
    seed: int,
    related: Related,
    *,
    thresholds: bool,
) -> Campaign:
    from dagster_contracts.chaos.run import find_thresholds, prepare, try_all

    began = time.monotonic()
    campaign, bench = prepare(plan, policy, engine, batches, faults=faults, seed=seed, related=related)
    say(f"{counted(campaign.clean, 'clean batch', 'es')} judged in {time.monotonic() - began:.1f} s")
    if campaign.refusals:
        return campaign
    with _progress() as progress:
        began = time.monotonic()
        campaign = try_all(campaign, bench, faults, progress)
        tried, began = time.monotonic() - began, time.monotonic()
        campaign = find_thresholds(campaign, bench, faults, progress) if thresholds else campaign
    looked = f"; thresholds in {time.monotonic() - began:.1f} s" if thresholds else ""
    say(f"{counted(campaign.trials, 'fault')} tried in {tried:.1f} s{looked}")
    return campaign


def _frames(places: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    from dagster_contracts.cli.tables import tables

    for name, frame in tables(places):
        if not frame.height:
            raise MeasurementError(f"{name}: has no row, so that there is nothing to damage; give clean batches")
        yield name, frame


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, int] = {}

        def told(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield told


def _print(report: Report, form: Form, output: Path | None) -> None:
    if form is Form.JSON:
        print_json(_document(report))
    elif form is Form.HTML:
        _print_page(report, output)
    else:
        _print_text(report)


def _document(report: Report) -> dict[str, object]:
    from dagster_contracts.chaos.campaign import campaign_to_json
    from dagster_contracts.chaos.remedy import remedy_to_json
    from dagster_contracts.chaos.score import score_to_json

    document: dict[str, object] = {**campaign_to_json(report.campaign), "score": report.score and score_to_json(report.score), "fix": None}
    if report.fixed is not None:
        after = _score_after(report.fixed)
        path = str(report.fixed.path) if report.fixed.path else None
        document["fix"] = {**remedy_to_json(report.fixed.remedy), "path": path, "score": after and score_to_json(after)}
    return document


def _score_after(fixed: Fixed) -> Score | None:
    from dagster_contracts.chaos.score import score

    return None if fixed.after.refusals else score(fixed.after)


def _print_text(report: Report) -> None:
    from dagster_contracts.cli.chaos_report import print_campaign

    print_campaign(report.campaign, report.score)
    if report.fixed is not None and report.score is not None:
        print_text("")
        print_fixed(report.fixed, report.score, _score_after(report.fixed), yaml=report.fixed.path is None)


def _print_page(report: Report, output: Path | None) -> None:
    from dagster_contracts.chaos.page import page

    remedy = report.fixed.remedy if report.fixed is not None else None
    after = report.fixed.after if report.fixed is not None and report.fixed.remedy.proposals else None
    print_page(page(report.campaign, remedy, after), output)
