"""`prune`: what is over and old goes; what is needed stays whatever its age."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dagster_contracts.cli import options
from dagster_contracts.cli.options import FormatOption, UrlOption
from dagster_contracts.cli.printing import Format, print_json, print_table, print_text
from dagster_contracts.core.durations import format_duration, parse_duration
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.retention import Retention
from dagster_contracts.core.wording import counted

_WHAT = {
    "batches": "discarded batches that nothing looks back at, and micro-batches",
    "verdicts": "findings of published and discarded batches",
    "transitions": "transitions of earlier incidents",
    "decisions": "what consumers were given",
    "outputs": "outputs that were made again or dismissed",
    "reviews": "decided reviews of such outputs",
    "events": "events that every sink was told",
    "threads": "where sinks spoke of earlier incidents",
}


def prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="DURATION", help="One age for all, such as P90D. [default: by kind]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    format: FormatOption = Format.TEXT,
    database_url: UrlOption = None,
) -> None:
    """Delete what is over and old: history, replaced batches, events that were told.

    What a decision, a sensor or `status` needs stays whatever its age. Safe while others run, and to break off.
    """
    kept = _kept(older_than)
    gone = asdict(options.store_at(database_url).prune(kept, dry_run=dry_run))
    ages = {name: format_duration(age) for name, age in asdict(kept).items()}
    if format is Format.JSON:
        print_json({"dry_run": dry_run, "older_than": ages, "pruned": gone})
        return
    print_table(("rows", "older than", "what"), [(gone[name], ages[name], what) for name, what in _WHAT.items()])
    print_text("")
    total = sum(gone.values())
    rows = counted(total, "row")
    print_text(f"{rows} would be pruned; nothing was" if dry_run else f"{rows} pruned")


def _kept(older_than: str | None) -> Retention:
    if older_than is None:
        return Retention()
    try:
        return Retention.of(parse_duration(older_than, any_case=True))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--older-than {older_than}: {error}; expected a duration such as P90D") from None
