"""`backtest`: what would a contract have done with what was delivered? Nothing is recorded."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.history import case_of, incidents_of
from dagster_contracts.cli.printing import print_json
from dagster_contracts.core.contract import Attached

if TYPE_CHECKING:
    from dagster_contracts.calibration.replay import Replay
    from dagster_contracts.chaos.remedy import Case


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"


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
    form: Annotated[Form, typer.Option("--format", help="text for people; json has a version.")] = Form.TEXT,
) -> None:
    """Replay stored batches under a contract: when its breaker would have tripped, for how long, and what consumers would have read.

    Exit code 0: done. 2: bad usage, or the data cannot be read.
    """
    from dagster_contracts.calibration.account import replay_to_json
    from dagster_contracts.cli.backtest_report import print_replays

    first = case_of(contract, object_name, history)
    cases = [first] if newer is None else [first, case_of(newer, object_name or first.object_name, history)]
    labelled = incidents_of(incidents, cases)
    replays = [_replayed(case) for case in cases]
    if form is Form.JSON:
        bad = sorted({name for each in labelled for name in each.partitions})
        print_json({"labelled": bad, "replays": [replay_to_json(each, labelled) for each in replays]})
    else:
        print_replays(replays, labelled)


def _replayed(case: Case) -> Replay:
    from dagster_contracts.calibration.replay import replay
    from dagster_contracts.judgement import Terms
    from dagster_contracts.ports import FixedClock
    from dagster_contracts.store.memory import MemoryStore

    contract, obj = case.contract(case.text)
    clock = FixedClock(case.batches[0].arrived_at)
    terms = Terms.of(Attached(obj.name, contract, obj))
    return replay(MemoryStore(clock=clock), clock, case.engine, terms, case.batches)
