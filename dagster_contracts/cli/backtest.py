"""`backtest`: what would a contract have done with what was delivered? Nothing is recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.history import case_of, incidents_of
from dagster_contracts.cli.printing import print_json, say
from dagster_contracts.cli.writing import print_page, write_file
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted

if TYPE_CHECKING:
    from dagster_contracts.calibration.incidents import Incident
    from dagster_contracts.calibration.replay import Replay
    from dagster_contracts.chaos.remedy import Case


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    HTML = "html"


def backtest(
    contract: Annotated[Path, typer.Argument(metavar="CONTRACT", help="The contract file.", show_default=False)],
    newer: Annotated[
        Path | None, typer.Argument(metavar="[NEWER]", help="Another version of it, to be compared.", show_default=False)
    ] = None,
    *,
    history: Annotated[
        list[str],
        typer.Option(
            "--history",
            metavar="PLACE",
            help="Stored batches, a file each, in the order of their names: a file, a folder, a glob or an s3:// address; may be given "
            "several times.",
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
    object_name: Annotated[
        str | None,
        typer.Option("--object", metavar="NAME", help="The schema object, where the contract has several.", show_default=False),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text for people; json has a version; html is one page.")] = Form.TEXT,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write the page of html. [default: print it]", show_default=False),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            metavar="FOLDER",
            help="Also draw the figure of each rule over the batches, with its bounds, an SVG file each.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Replay stored batches under a contract: when its breaker would have tripped, for how long, and what consumers would have read.

    Exit code 0: done. 2: bad usage, or the data cannot be read.
    """
    if output is not None and form is not Form.HTML:
        raise UsageError(f"--output is for --format html; {form.value} is printed")
    first = case_of(contract, object_name, history)
    cases = [first] if newer is None else [first, case_of(newer, object_name or first.object_name, history)]
    labelled = incidents_of(incidents, cases)
    replays = [_replayed(case) for case in cases]
    if plots is not None:
        _draw(replays, labelled, plots)
    _print(replays, labelled, form, output)


def _print(replays: Sequence[Replay], labelled: Sequence[Incident], form: Form, output: Path | None) -> None:
    from dagster_contracts.calibration.account import replay_to_json
    from dagster_contracts.calibration.page import page
    from dagster_contracts.cli.backtest_report import print_replays

    if form is Form.JSON:
        bad = sorted({name for each in labelled for name in each.partitions})
        print_json({"labelled": bad, "replays": [replay_to_json(each, labelled) for each in replays]})
    elif form is Form.TEXT:
        print_replays(replays, labelled)
    else:
        print_page(page(replays, labelled), output)


def _draw(replays: Sequence[Replay], labelled: Sequence[Incident], folder: Path) -> None:
    """A file for each rule that has a figure, in a folder of its own for each of two versions."""
    from dagster_contracts.calibration.charts import alone
    from dagster_contracts.calibration.page import drawn

    bad = frozenset(key for incident in labelled for key in incident.partitions)
    written = 0
    for found in replays:
        place = folder / found.version if len(replays) > 1 else folder
        for number, bounds in enumerate(drawn(found), 1):
            write_file(place / f"{number:02}-{_file_name(bounds.rule)}.svg", alone(bounds, found, bad), "--plots")
            written += 1
    say(f"drew {counted(written, 'figure')} in {folder}")


def _file_name(rule: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", rule)[:80]


def _replayed(case: Case) -> Replay:
    from dagster_contracts.calibration.replay import replay
    from dagster_contracts.judgement import Terms
    from dagster_contracts.ports import FixedClock
    from dagster_contracts.store.memory import MemoryStore

    contract, obj = case.contract(case.text)
    clock = FixedClock(case.batches[0].arrived_at)
    terms = Terms.of(Attached(obj.name, contract, obj))
    return replay(MemoryStore(clock=clock), clock, case.engine, terms, case.batches)
