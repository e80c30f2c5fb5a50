"""`review ...`: the low-confidence outputs that wait for a person, and what that person decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from dagster_contracts import reviewing
from dagster_contracts.cli import forms, options
from dagster_contracts.cli.options import LISTED, ActorOption, FormatOption, ReasonOption, UrlOption
from dagster_contracts.cli.printing import Format, print_json, print_table, print_text
from dagster_contracts.cli.wording import age
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Review, ReviewStatus

app = typer.Typer(help="See the low-confidence outputs that wait for a person; approve or reject them.", no_args_is_help=True)

AssetArgument = Annotated[str, typer.Argument(metavar="ASSET", help="The output's asset key.", show_default=False)]
PartitionOption = Annotated[str | None, typer.Option("--partition", metavar="P", help="The partition's key.", show_default=False)]


@app.command("list")
def list_reviews(format: FormatOption = Format.TEXT, database_url: UrlOption = None) -> None:
    """Reviews that wait, newest first."""
    store = options.store_at(database_url)
    found = store.reviews(statuses=(ReviewStatus.PENDING,), limit=LISTED)
    options.tell_of_limit(len(found), "reviews")
    if format is Format.JSON:
        print_json({"reviews": [forms.of_review(review) for review in found]})
    elif not found:
        print_text("no output waits for a review")
    else:
        now = store.now()
        rows = ((each.asset, each.partition, *age(each.opened_at, now), each.reason) for each in found)
        print_table(("asset", "partition", "since", "for", "why"), rows)


@app.command()
def approve(
    asset: AssetArgument,
    reason: ReasonOption,
    partition: PartitionOption = None,
    actor: ActorOption = None,
    database_url: UrlOption = None,
) -> None:
    """The output stands, still marked as of low confidence."""
    decided = _decided(reviewing.approve, asset, partition, reason, actor, database_url)
    print_text(f"{decided.asset} [{decided.partition}] was approved by {decided.actor}: it stands")


@app.command()
def reject(
    asset: AssetArgument,
    reason: ReasonOption,
    partition: PartitionOption = None,
    actor: ActorOption = None,
    database_url: UrlOption = None,
) -> None:
    """The output is withdrawn: nobody reads it until it is made again. An approval is taken back."""
    decided = _decided(reviewing.reject, asset, partition, reason, actor, database_url)
    print_text(
        f"{decided.asset} [{decided.partition}] was rejected by {decided.actor}: it is withdrawn, and made again once its inputs are fresh"
    )


def _decided(
    word: Callable[..., Review], asset: str, partition: str | None, reason: str, actor: str | None, database_url: str | None
) -> Review:
    reason, actor = options.stated(reason), options.acting(actor)
    gate = options.gate_of(options.store_at(database_url))
    if partition is None and (waiting := gate.store.reviews(statuses=(ReviewStatus.PENDING,), asset=asset, limit=LISTED)):
        keys = sorted({str(review.partition) for review in waiting})
        if len(keys) > 1:
            raise UsageError(f"{len(keys)} partitions of {asset} wait for a review; choose one with --partition: {', '.join(keys[:10])}")
        partition = waiting[0].partition.key
    elif partition is None and gate.store.output(asset, None) is None:
        reviewing.pending(gate, asset)
    return word(gate, asset, partition, actor=actor, reason=reason)
