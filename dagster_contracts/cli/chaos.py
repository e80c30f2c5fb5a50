"""`chaos`: which faults would a contract notice? Damages data in memory; nothing that is stored is touched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.options import EnvironmentOption, UrlOption
from dagster_contracts.cli.printing import print_json, say
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import MeasurementError, UsageError
from dagster_contracts.validating import object_of

if TYPE_CHECKING:
    import polars as pl

    from dagster_contracts.chaos.campaign import Campaign
    from dagster_contracts.chaos.fault import Fault
    from dagster_contracts.chaos.run import Progress
    from dagster_contracts.chaos.score import Score
    from dagster_contracts.core.contract import BreakerPolicy
    from dagster_contracts.core.plan import Plan


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"


def chaos(
    contract: Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract file, or ID@VERSION.", show_default=False)],
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
    object_name: Annotated[
        str | None,
        typer.Option("--object", metavar="NAME", help="The schema object, where the contract has several.", show_default=False),
    ] = None,
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
    environment: EnvironmentOption = None,
    database_url: UrlOption = None,
    form: Annotated[Form, typer.Option("--format", help="text for people; json is a stable form with a version.")] = Form.TEXT,
) -> None:
    """Inject faults into clean data, and tell which of them the contract does not notice.

    Exit code 0: done. 1: the contract refuses the clean data, so that nothing can be scored; or the score is lower than --minimum-score.
    2: bad usage, or the data cannot be read.
    """
    from dagster_contracts.chaos.run import without
    from dagster_contracts.chaos.score import score

    found = contract_at(contract, database_url, profiles=True)
    plan = without(compile_plan(found, object_of(found, object_name), environment), left_out or ())
    campaign = _campaign(plan, found.policy, data, _chosen(faults or [], only or []), seed, thresholds=thresholds)
    result = None if campaign.refusals else score(campaign)
    _PRINTED[form](campaign, result)
    if result is None or (minimum is not None and result.total.percent < minimum):
        raise typer.Exit(1)


def _chosen(files: Sequence[Path], only: Sequence[str]) -> list[Fault]:
    from dagster_contracts.chaos.faults import FAULTS
    from dagster_contracts.chaos.own import faults_in, installed
    from dagster_contracts.chaos.run import chosen

    own = [fault for path in files for fault in faults_in(path)]
    return chosen([*FAULTS, *installed(), *own], only)


def _campaign(plan: Plan, policy: BreakerPolicy, data: Sequence[str], faults: Sequence[Fault], seed: int, *, thresholds: bool) -> Campaign:
    from dagster_contracts.chaos.deliveries import deliveries
    from dagster_contracts.chaos.run import find_thresholds, prepare, try_all
    from dagster_contracts.engines.local import default_engine

    if plan.files:
        raise UsageError(f"{plan.contract_id}: the contract is about files as such (`physicalType: files`), and faults damage tables")
    engine = default_engine()
    began = time.monotonic()
    batches = deliveries(plan, engine, _frames(data))
    campaign, bench = prepare(plan, policy, engine, batches, faults=faults, seed=seed)
    say(f"{campaign.clean:,} clean batches read and judged in {time.monotonic() - began:.1f} s")
    if campaign.refusals:
        return campaign
    with _progress() as progress:
        began = time.monotonic()
        campaign = try_all(campaign, bench, faults, progress)
        tried, began = time.monotonic() - began, time.monotonic()
        campaign = find_thresholds(campaign, bench, faults, progress) if thresholds else campaign
    looked = f"; thresholds in {time.monotonic() - began:.1f} s" if thresholds else ""
    say(f"{campaign.trials:,} faults tried in {tried:.1f} s{looked}")
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


def _print_json(campaign: Campaign, score: Score | None) -> None:
    from dagster_contracts.chaos.campaign import campaign_to_json
    from dagster_contracts.chaos.score import score_to_json

    print_json({**campaign_to_json(campaign), "score": None if score is None else score_to_json(score)})


def _print_text(campaign: Campaign, score: Score | None) -> None:
    from dagster_contracts.cli.chaos_report import print_campaign

    print_campaign(campaign, score)


_PRINTED: Mapping[Form, Callable[[Campaign, Score | None], None]] = {Form.TEXT: _print_text, Form.JSON: _print_json}
