"""`batch ...`: the deliveries of an asset, what was found in them, and what people decide on the ones that wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dagster_contracts import recovery
from dagster_contracts.cli import forms, options, project
from dagster_contracts.cli.options import LISTED, ActorOption, FileOption, FormatOption, ModuleOption, ReasonOption, UrlOption
from dagster_contracts.cli.printing import Format, print_fields, print_json, print_table, print_text, say
from dagster_contracts.cli.report import print_verdict
from dagster_contracts.cli.wording import age, prospect, since, why
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.ledger import Batch, Status
from dagster_contracts.core.state import asset_of
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import counted
from dagster_contracts.ports import Store

app = typer.Typer(help="See the batches of an asset; decide on those that wait.", no_args_is_help=True)

REFUSED = (Status.HELD, Status.QUARANTINED)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The asset's key.", show_default=False)]
PartitionOption = Annotated[str | None, typer.Option("--partition", metavar="P", help="The partition's key.", show_default=False)]


@app.command("list")
def list_batches(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The asset's key. [default: all assets]", show_default=False)] = None,
    partition: PartitionOption = None,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Only batches of this status; may be given several times.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    format: FormatOption = Format.TEXT,
    database_url: UrlOption = None,
) -> None:
    """Batches, newest arrival first."""
    store = options.store_at(database_url)
    found = store.batches(asset=key, partition=partition, statuses=status or (), limit=limit)
    if key is not None and not found:
        _known_asset(store, key)
    if format is Format.JSON:
        print_json({"batches": [forms.of_batch(batch) for batch in found]})
        return
    if not found:
        print_text("no batches")
    else:
        now = store.now()
        rows = ((b.asset, b.partition, b.status, b.outcome, *age(b.arrived_at, now), b.run_id) for b in found)
        print_table(("asset", "partition", "status", "outcome", "arrived", "ago", "run"), rows)
    if len(found) == limit:
        say(f"only the newest {limit} batches are listed; see more with --limit")


@app.command()
def show(key: KeyArgument, partition: PartitionOption = None, format: FormatOption = Format.TEXT, database_url: UrlOption = None) -> None:
    """The newest batch (of a partition) with its verdict, findings and failing rows."""
    store = options.store_at(database_url)
    found = store.batches(asset=key, partition=partition, limit=1)
    if not found:
        _known_asset(store, key)
        raise UsageError(_no_batch(store, key, partition, ()))
    if format is Format.JSON:
        print_json({"batch": forms.of_batch_in_full(found[0])})
    else:
        _print(found[0], store)


@app.command()
def rejudge(
    key: KeyArgument,
    reason: ReasonOption,
    partition: PartitionOption = None,
    actor: ActorOption = None,
    file: FileOption = None,
    module: ModuleOption = None,
    database_url: UrlOption = None,
) -> None:
    """Judge a waiting batch again, by the contract as it is now."""
    reason, actor = options.stated(reason), options.acting(actor)
    batch = _waiting(options.store_at(database_url), key, partition)
    found = project.load(file, module)
    judgement = found.operations.rejudge(found.definitions, found.instance, batch.id, actor=actor, reason=reason)
    print_verdict(judgement.verdict, f"{batch.asset} [{batch.partition}]")
    print_text("")
    print_text(f"{batch.asset} [{batch.partition}] was {batch.status} ({batch.outcome}) and is now ", judgement.batch.status)


@app.command()
def release(
    key: KeyArgument,
    reason: ReasonOption,
    partition: PartitionOption = None,
    actor: ActorOption = None,
    file: FileOption = None,
    module: ModuleOption = None,
    database_url: UrlOption = None,
) -> None:
    """Let a waiting batch, or the one discarded last, through whatever its verdict: recorded, marked, never served as last good.

    With --file, --module or a definitions.py here it is published at once; else by the sensor contracts_heal.
    """
    reason, actor = options.stated(reason), options.acting(actor)
    store = options.store_at(database_url)
    batch = recovery.discarded_batch(store, key, partition) or _waiting(store, key, partition)
    found = project.load(file, module) if project.is_given(file, module) else None
    released = recovery.release(options.gate_of(store), batch, actor=actor, reason=reason)
    print_text(f"{batch.asset} [{batch.partition}]: the {batch.status} batch ({batch.outcome}) was released by {actor}")
    if found is None:
        print_text("the sensor contracts_heal publishes it; or run this again with --file or --module, which publishes it at once")
        return
    run_id = found.operations.run_release(found.definitions, found.instance, released)
    print_text(f"run {run_id} published it")


@app.command()
def discard(
    key: KeyArgument,
    reason: ReasonOption,
    partition: PartitionOption = None,
    all: Annotated[bool, typer.Option("--all", help="All that wait of the asset, such as what a stream has set aside.")] = False,
    status: Annotated[
        Status | None, typer.Option("--status", help="With --all: held or quarantined ones alone.", show_default=False)
    ] = None,
    actor: ActorOption = None,
    database_url: UrlOption = None,
) -> None:
    """Dismiss a waiting batch: it is no longer listed, probed or served; its partition waits for a new delivery.

    Nothing is run, so that no definitions are named: there is no --file or --module here.
    """
    reason, actor = options.stated(reason), options.acting(actor)
    if all and partition is not None:
        raise UsageError("--all is every partition: leave out --partition, or --all")
    if status is not None and (not all or status not in REFUSED):
        raise UsageError(f"--status {status}: expected held or quarantined, and --all with it")
    store = options.store_at(database_url)
    if all:
        _discard_all(store, key, REFUSED if status is None else (status,), reason, actor)
        return
    batch = _waiting(store, key, partition)
    recovery.discard(options.gate_of(store), batch, actor=actor, reason=reason)
    print_text(f"{batch.asset} [{batch.partition}]: the {batch.status} batch ({batch.outcome}) was discarded by {actor}")
    if is_streamed(batch):
        print_text("its events stay where its consumer has set them aside: what is sent again is a micro-batch of its own")
    elif batch.staged is not None:
        print_text("what was set aside of it is kept: until the next delivery of it, `batch release` lets it through after all")
    else:
        print_text("nothing is stored of it: only a new delivery brings it back")


def _discard_all(store: Store, key: str, statuses: Sequence[Status], reason: str, actor: str) -> None:
    """Each by itself, as if one had named them: broken off anywhere, the rest still waits. What comes meanwhile stays."""
    began, gate, gone = store.now(), options.gate_of(store), 0
    while True:
        found = [batch for batch in store.batches(asset=key, statuses=statuses, limit=LISTED) if batch.updated_at <= began]
        for batch in found:
            recovery.discard(gate, batch, actor=actor, reason=reason)
            gone += 1
        if not found:
            break
    if not gone:
        _known_asset(store, key)
        raise UsageError(_no_batch(store, key, None, statuses))
    print_text(f"{key}: {counted(gone, 'batch', 'es')} that waited {'was' if gone == 1 else 'were'} discarded by {actor}")


# --- which batch is meant ------------------------------------------------------------------------------------------


def _waiting(store: Store, key: str, partition: str | None) -> Batch:
    """The newest held or quarantined batch of the partition. Raises UsageError where there is none, or several partitions wait."""
    found = store.batches(asset=key, partition=partition, statuses=REFUSED, limit=LISTED)
    if not found:
        _known_asset(store, key)
        raise UsageError(_no_batch(store, key, partition, REFUSED))
    partitions = sorted({str(batch.partition) for batch in found})
    if len(partitions) > 1:
        raise UsageError(
            f"{len(partitions)} partitions of {key} have a batch that waits; choose one with --partition: {_listed(partitions)}"
        )
    return found[0]


def _no_batch(store: Store, key: str, partition: str | None, statuses: Sequence[Status]) -> str:
    others = sorted({str(batch.partition) for batch in store.batches(asset=key, statuses=statuses, limit=LISTED)})
    place = f"partition {partition} of {key}" if partition is not None else key
    what = "held or quarantined batch" if statuses else "batch"
    near = did_you_mean(partition or "", others) or ";"
    return f"{place} has no {what}{near} partitions that have one: {_listed(others) or 'none'}"


def _known_asset(store: Store, key: str) -> None:
    """Raise UsageError where no batch of that asset was ever judged."""
    if store.batches(asset=key, limit=1):
        return
    known = sorted({batch.asset for batch in store.batches(limit=LISTED)} | {asset_of(breaker.key) for breaker in store.breakers()})
    listed = _listed(known) or "none yet"
    raise UsageError(f'no batch of an asset "{key}" was ever judged{did_you_mean(key, known) or ";"} assets with batches: {listed}')


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _print(batch: Batch, store: Store) -> None:
    released, now = batch.released, store.now()
    breaker = next(iter(store.breakers([batch.breaker_key])), None)
    print_fields(
        (
            ("batch", batch.id),
            ("status", batch.status),
            ("outcome", why(batch)),
            ("arrived", since(batch.arrived_at, now)),
            ("run", batch.run_id),
            ("breaker", batch.breaker_key),
            ("made from", f"data of {batch.confidence} confidence"),
            ("counted", "by the breaker" if batch.counted else "not by the breaker"),
            ("released", f"by {released.actor} ({released.reason})" if released is not None else None),
            ("next", prospect(batch, breaker, now) if batch.status in (*REFUSED, Status.PUBLISHING) else None),
            ("note", batch.note),
        )
    )
    if batch.verdict is not None:
        print_text("")
        print_verdict(batch.verdict, f"{batch.asset} [{batch.partition}]")
