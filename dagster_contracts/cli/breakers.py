"""`breaker ...`: one breaker, its history, and the words of people over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts import recovery
from dagster_contracts.cli import forms, options
from dagster_contracts.cli.options import LISTED, ActorOption, FormatOption, ReasonOption, UrlOption
from dagster_contracts.cli.printing import Format, print_fields, print_json, print_table, print_text
from dagster_contracts.cli.wording import age, clock, outlook, prospect, reading, short, since, streaming, why
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Batch
from dagster_contracts.core.snapshot import in_order
from dagster_contracts.core.state import Breaker, OverrideKind, Transition, asset_of
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import counted

app = typer.Typer(help="See and operate one breaker.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The breaker, as `status` names it.", show_default=False)]
EachArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="The breaker, as `status` names it; the key of an asset with `scope` means all of its breakers, and those to come.",
        show_default=False,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="When it ends: RFC 3339, or a duration such as PT2H. [default: when it is reset]"),
]


@app.command()
def show(key: KeyArgument, format: FormatOption = Format.TEXT, database_url: UrlOption = None) -> None:
    """All there is to know of a breaker."""
    store = options.store_at(database_url)
    now, breaker = store.now(), recovery.known_breaker(options.gate_of(store), key)
    piles = [pile for pile in store.piles(asset_of(key), LISTED) if pile.first.breaker_key == key]
    batches = in_order(piles)
    options.tell_of_piles(piles)
    if format is Format.JSON:
        form = forms.of_breaker_in_full(breaker, now)
        print_json({"at": forms.time(now), "breaker": form, "batches": [forms.of_batch(batch) for batch in batches]})
    else:
        newest = store.batches(asset=asset_of(key), limit=1)
        _print(machine.current(breaker, now), batches, now, streamed=any(map(is_streamed, [*newest, *batches])))


@app.command()
def history(
    key: KeyArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    format: FormatOption = Format.TEXT,
    database_url: UrlOption = None,
) -> None:
    """Every transition, override and contract version, newest first."""
    store = options.store_at(database_url)
    recovery.known_breaker(options.gate_of(store), key)
    transitions = store.transitions(key, limit)
    if format is Format.JSON:
        print_json({"key": key, "transitions": [forms.of_transition(transition) for transition in transitions]})
    else:
        print_table(("at", "from", "to", "cause", "actor"), map(_transition, transitions))


@app.command("force-open")
def force_open(
    key: EachArgument, reason: ReasonOption, actor: ActorOption = None, until: UntilOption = None, database_url: UrlOption = None
) -> None:
    """Hold or quarantine what arrives, whatever its verdict; no probe runs. Published partitions stay readable."""
    _override(key, OverrideKind.FORCE_OPEN, reason, actor, until, database_url)


@app.command("force-closed")
def force_closed(
    key: EachArgument, reason: ReasonOption, actor: ActorOption = None, until: UntilOption = None, database_url: UrlOption = None
) -> None:
    """Let consumers read as if it were closed; bad batches are still quarantined."""
    _override(key, OverrideKind.FORCE_CLOSED, reason, actor, until, database_url)


@app.command("observe-only")
def observe_only(
    key: EachArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    until: UntilOption = None,
    create: Annotated[bool, typer.Option("--create", help="Before the first batch: KEY is the asset's key.")] = False,
    contracts: Annotated[
        list[Path] | None,
        typer.Option(
            "--contracts",
            metavar="PATH",
            help="With --create: a contract's file, or a folder of them; one of them must govern KEY.",
            show_default=False,
        ),
    ] = None,
    database_url: UrlOption = None,
) -> None:
    """Judge and record, but publish everything and route nobody; it ends closed."""
    if contracts and not create:
        raise UsageError("--contracts is for --create: it says which assets there are before their first batch")
    _override(key, OverrideKind.OBSERVE_ONLY, reason, actor, until, database_url, create=create, contracts=contracts or ())


@app.command()
def reset(key: EachArgument, reason: ReasonOption, actor: ActorOption = None, database_url: UrlOption = None) -> None:
    """No override, closed, and no memory of failures."""
    reason, actor = options.stated(reason), options.acting(actor)
    breakers = recovery.reset(options.gate_of(options.store_at(database_url)), key, actor=actor, reason=reason)
    if [each.key for each in breakers] == [key]:
        print_text(f"{key}: reset by {actor}; it is ", breakers[0].state)
    else:
        print_text(f"{key}: reset by {actor}; {_counted(key, breakers)} of it, all closed")


def _override(
    key: str,
    kind: OverrideKind,
    reason: str,
    actor: str | None,
    until: str | None,
    url: str | None,
    *,
    create: bool = False,
    contracts: Sequence[Path] = (),
) -> None:
    from dagster_contracts.store.files import load_contracts

    reason, actor = options.stated(reason), options.acting(actor)
    store = options.store_at(url)
    end = options.until(until, store.now())
    given = load_contracts(*contracts) if contracts else ()
    breakers = recovery.override(
        options.gate_of(store), key, kind, actor=actor, reason=reason, expires_at=end, create=create, contracts=given
    )
    told = f"{key}: {kind} by {actor} until {clock(end) or 'it is reset'}; "
    if len(breakers) == 1:
        print_text(f"{told}its own state is ", breakers[0].state)
        return
    states = Counter(each.state.value for each in breakers if each.key != key)
    by_state = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    print_text(f"{told}said of {_counted(key, breakers)} (by their own state: {by_state}) and of each that comes later")


def _counted(key: str, breakers: Sequence[Breaker]) -> str:
    return counted(sum(each.key != key for each in breakers), "scoped breaker")


# --- what show and history print -----------------------------------------------------------------------------------


def _print(breaker: Breaker, batches: Sequence[Batch], now: datetime, *, streamed: bool) -> None:
    print_fields(_fields(breaker, batches, now, streamed=streamed))
    if batches:
        print_text("")
        rows = (
            (batch.partition, batch.status, *age(batch.arrived_at, now), why(batch), prospect(batch, breaker, now)) for batch in batches
        )
        print_table(("partition", "status", "since", "for", "why", "next"), rows)


def _fields(breaker: Breaker, batches: Sequence[Batch], now: datetime, *, streamed: bool) -> Iterator[tuple[str, object]]:
    override, lease = breaker.override, breaker.lease
    yield "breaker", breaker.key
    yield "state", breaker.state
    yield "since", since(breaker.since, now)
    yield "open since", since(breaker.opened_at, now)
    routed = machine.enforced_open(breaker, now)
    yield ("stream", streaming(routed)) if streamed else ("consumers", reading(routed))
    yield "cause", breaker.cause
    for finding in breaker.findings:
        yield "finding", finding
    if override is not None:
        yield "override", f"{override.kind} by {override.actor} since {clock(override.set_at)}: {override.reason}"
    yield "next", outlook(breaker, now, batches)
    if lease is not None and machine.lease_is_live(breaker, now):
        yield "probe running", f"{lease.batch_id}, leased to {lease.holder} until {clock(lease.expires_at)}"
    yield "probes failed", breaker.reopened or None
    yield "probes passed", f"{len(breaker.passed)} of {breaker.policy.probes}" if breaker.passed else None
    yield "window", f"{sum(entry.failed for entry in breaker.window)} failed of {len(breaker.window)}"
    yield "contract", f"version {breaker.contract_version}"
    yield "edited", machine.edited(breaker)
    yield "generation", breaker.generation
    yield "policy", "; ".join(f"{name} {short(value)}" for name, value in forms.of_policy(breaker.policy).items() if short(value))


def _transition(entry: Transition) -> tuple[object, ...]:
    moved = entry.from_state is not entry.to_state
    cause = f"{entry.cause} (not enforced: observe_only)" if entry.shadow else _worded(entry)
    return (clock(entry.at), *((entry.from_state, entry.to_state) if moved else (None, f"stays {entry.to_state}")), cause, entry.actor)


def _worded(entry: Transition) -> str:
    """An override that was set is told as one: "force_open set by ana: vendor phoned"."""
    kind, colon, reason = entry.cause.partition(": ")
    return f"{kind} set by {entry.actor}{colon}{reason}" if kind in set(OverrideKind) and entry.actor else entry.cause
