"""`backtest`: what would a contract have done with what was delivered? Nothing is recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli.history import case_of, frames_in, incidents_among, incidents_of, recorded_of
from dagster_contracts.cli.options import (
    ContractArgument,
    EnvironmentOption,
    IncidentsOption,
    ObjectOption,
    OptionalHistory,
    PageOption,
    RelatedOption,
    UrlOption,
)
from dagster_contracts.cli.printing import print_json, say
from dagster_contracts.cli.revisions import Source, contract_at, source_at
from dagster_contracts.cli.writing import print_page, write_bytes, write_file
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted
from dagster_contracts.validating import object_of

if TYPE_CHECKING:
    from dagster_contracts.calibration.incidents import Incident
    from dagster_contracts.calibration.replay import Replay
    from dagster_contracts.chaos.remedy import Case


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    HTML = "html"


def backtest(
    contract: ContractArgument,
    newer: Annotated[
        str | None, typer.Argument(metavar="[NEWER]", help="Another version of it, to be compared.", show_default=False)
    ] = None,
    history: OptionalHistory = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="Instead of stored batches: what the database has recorded of batches.")] = False,
    incidents: IncidentsOption = None,
    object_name: ObjectOption = None,
    related: RelatedOption = None,
    environment: EnvironmentOption = None,
    database_url: UrlOption = None,
    form: Annotated[Form, typer.Option("--format", help="text for people; json has a version; html is one page.")] = Form.TEXT,
    output: PageOption = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            metavar="FOLDER",
            help="Also draw the figure of each rule over the batches, with its bounds: a PNG and an SVG file each.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Replay batches under a contract: when its breaker would have tripped, for how long, and what consumers would have read.

    With --history stored batches are measured; with --ledger recorded verdicts are judged anew, as far as their figures are recorded.
    Exit code 0: done. 2: bad usage, or the data cannot be read.
    """
    if output is not None and form is not Form.HTML:
        raise UsageError(f"--output is for --format html; {form.value} is printed")
    if ledger == bool(history):
        raise UsageError("say which batches: either --history PLACE, where they are stored, or --ledger, for those that were recorded")
    if ledger and related:
        raise UsageError("--related is for --history: with --ledger nothing is measured")
    places = [contract] if newer is None else [contract, newer]
    if history:
        sources = [source_at(place, database_url) for place in places]
        played = _stored(sources, object_name, history, related or (), incidents, environment, places)
    else:
        played = _recorded(places, object_name, incidents, environment, database_url)
    if plots is not None:
        _draw(played, plots)
    _print(played, form, output)


@dataclass(frozen=True, slots=True)
class Played:
    replays: Sequence[Replay]
    incidents: Sequence[Incident]

    @property
    def bad(self) -> frozenset[str]:
        return frozenset(key for incident in self.incidents for key in incident.partitions)


def _stored(
    sources: Sequence[Source],
    object_name: str | None,
    history: Sequence[str],
    related: Sequence[str],
    incidents: Path | None,
    environment: str | None,
    beside: Sequence[str],
) -> Played:
    frames = frames_in(history, [*beside, incidents])
    cases = [case_of(sources[0], object_name, frames, related)]
    cases += [case_of(source, object_name or cases[0].object_name, frames, related) for source in sources[1:]]
    labelled = incidents_of(incidents, cases)
    return Played([_replayed(case, environment) for case in cases], labelled)


def _replayed(case: Case, environment: str | None) -> Replay:
    from dagster_contracts.calibration.replay import replay
    from dagster_contracts.judgement import Terms
    from dagster_contracts.ports import FixedClock
    from dagster_contracts.store.memory import MemoryStore

    contract, obj = case.contract(case.text)
    clock = FixedClock(case.batches[0].arrived_at)
    terms = Terms.of(Attached(obj.name, contract, obj), environment)
    return replay(MemoryStore(clock=clock), clock, case.engine, terms, case.batches, case.related)


def _recorded(
    places: Sequence[str], object_name: str | None, incidents: Path | None, environment: str | None, database_url: str | None
) -> Played:
    from dagster_contracts.calibration.recorded import replay_recorded
    from dagster_contracts.engines.local import default_engine
    from dagster_contracts.judgement import Terms
    from dagster_contracts.ports import FixedClock
    from dagster_contracts.store.memory import MemoryStore

    contracts = [contract_at(place, database_url, profiles=True) for place in places]
    objects = [object_of(contracts[0], object_name)]
    objects += [object_of(each, object_name or objects[0].name) for each in contracts[1:]]
    recorded = recorded_of(contracts[0], objects[0], database_url)
    several = [Terms.of(Attached(recorded.asset, *each), environment) for each in zip(contracts, objects, strict=True)]
    former = {**{terms.version: terms.plan for terms in several}, **recorded.former}
    labelled = incidents_among(incidents, [row.partition.key or row.run_id for row in recorded.rows], [terms.plan for terms in several])
    replays = []
    for terms in several:
        clock = FixedClock(recorded.rows[0].arrived_at)
        replays.append(replay_recorded(MemoryStore(clock=clock), clock, default_engine(), terms, recorded.rows, former))
    return Played(replays, labelled)


def _print(played: Played, form: Form, output: Path | None) -> None:
    from dagster_contracts.calibration.account import replay_to_json
    from dagster_contracts.calibration.page import page
    from dagster_contracts.cli.backtest_report import print_replays

    replays, labelled = played.replays, played.incidents
    if form is Form.JSON:
        print_json({"labelled": sorted(played.bad), "replays": [replay_to_json(each, labelled) for each in replays]})
    elif form is Form.TEXT:
        print_replays(replays, labelled)
    else:
        print_page(page(replays, labelled), output)


def _draw(played: Played, folder: Path) -> None:
    """Each rule that has a figure, in a folder of its own for each of two versions."""
    from dagster_contracts.calibration.charts import style, titled
    from dagster_contracts.calibration.page import drawn
    from dagster_contracts.calibration.png import png
    from dagster_contracts.calibration.shapes import svg

    with_png = find_spec("PIL") is not None
    written = 0
    for found in played.replays:
        place = folder / found.version if len(played.replays) > 1 else folder
        for number, bounds in enumerate(drawn(found), 1):
            picture, file = titled(bounds, found, played.bad), f"{number:02}-{_file_name(bounds.rule)}"
            write_file(place / f"{file}.svg", f"{svg(picture, style())}\n", "--plots")
            if with_png:
                write_bytes(place / f"{file}.png", png(picture), "--plots")
            written += 1
    say(f"drew {counted(written, 'figure')} in {folder}")
    if not with_png:
        say("as SVG alone: PNG needs Pillow, pip install 'dagster-contracts[plots]'")


def _file_name(rule: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", rule)[:80]
