"""Options that several commands share, and what they mean: the database, who acts, when an override ends."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts.cli.printing import Format, say
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.snapshot import Pile
from dagster_contracts.gate import Gate
from dagster_contracts.ports import Store
from dagster_contracts.registry import Registry

FormatOption = Annotated[Format, typer.Option("--format", help="text for people; json is a stable form with a version.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="Where the breakers are kept. Without it: CONTRACTS_DATABASE_URL, else contracts.db in the folder DAGSTER_HOME.",
        show_default=False,
    ),
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment",
        metavar="NAME",
        help="Which of the contract's `environments` this is. Without it: CONTRACTS_ENVIRONMENT.",
        envvar="CONTRACTS_ENVIRONMENT",
        show_envvar=False,
        show_default=False,
    ),
]
RelatedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--related",
        metavar="NAME=PLACE",
        help="Where another object of the contract is, for relationships to it: all of its files together. May be given several times, "
        "also for one NAME: then the files of all its places are one table.",
        show_default=False,
    ),
]
ContractArgument = Annotated[
    str, typer.Argument(metavar="CONTRACT", help="The contract file, or a registered version: ID@VERSION.", show_default=False)
]
ObjectOption = Annotated[
    str | None, typer.Option("--object", metavar="NAME", help="The schema object, where the contract has several.", show_default=False)
]
_HISTORY = typer.Option(
    "--history",
    metavar="PLACE",
    help="Stored batches, a file each, in the order of their names: a file, a folder, a glob or an s3:// address; may be given several "
    "times. What has no label is taken as clean.",
    show_default=False,
)
HistoryOption = Annotated[list[str], _HISTORY]
OptionalHistory = Annotated[list[str] | None, _HISTORY]
IncidentsOption = Annotated[
    Path | None,
    typer.Option(
        "--incidents",
        metavar="FILE",
        help="The bad ones among them, YAML or JSON: a list of {partition, what, rule}; A..B is all from A to B.",
        show_default=False,
    ),
]
FixToOption = Annotated[
    Path | None,
    typer.Option("--fix-to", metavar="FILE", help="As --fix, to this file; the contract itself may be it.", show_default=False),
]
PageOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write the page of html. [default: print it]", show_default=False),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.", show_default=False)]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who; without it, the user's name.", show_default=False)]
FileOption = Annotated[
    str | None, typer.Option("--file", "-f", metavar="PATH", help="Python file with the Definitions.", show_default=False)
]
ModuleOption = Annotated[
    str | None, typer.Option("--module", "-m", metavar="NAME", help="Python module with the Definitions.", show_default=False)
]

LISTED = 1000  # rows of one kind that are read at most; more are announced


def store_at(url: str | None) -> Store:
    """The store of the breakers; it connects when it is first asked. Raises UsageError or StoreError with what to do."""
    from dagster_contracts.store.place import resolve_url
    from dagster_contracts.store.sql import SqlStore

    return SqlStore(resolve_url(url, os.environ))


def registry_at(url: str | None) -> Registry:
    """The registry of contracts, in the same database."""
    return Registry(url)


def only(contracts: Sequence[Contract], path: Path) -> Contract:
    """The one contract of a place. Raises UsageError where it holds several."""
    if len(contracts) == 1:
        return contracts[0]
    listed = ", ".join(str(contract.source) for contract in contracts)
    raise UsageError(f"{path} holds {len(contracts)} contracts; name the file of one: {listed}")


def place_of(url: str | None) -> str:
    """Where `store_at` looks, without any password; and whether nothing is there yet."""
    from dagster_contracts.store.connect import parse
    from dagster_contracts.store.place import resolve_url

    address = parse(resolve_url(url, os.environ))
    return f"{address}, which does not exist yet" if address.path is not None and not address.path.exists() else str(address)


def gate_of(store: Store) -> Gate:
    """A gate for what people say of breakers and batches; nothing is measured through it."""
    from dagster_contracts.engines.local import default_engine

    return Gate(store, default_engine())


def stated(reason: str, option: str = "--reason") -> str:
    """A reason that says something. Raises UsageError for an empty one."""
    if not reason.strip():
        raise UsageError(f"{option} is empty; say why in a few words: it is what others will read later")
    return reason.strip()


def acting(actor: str | None, option: str = "--actor") -> str:
    """Who acts: as given, else the name of the user who runs this. Raises UsageError where there is none."""
    if actor is not None:
        name = actor.strip()
    else:
        try:
            name = getpass.getuser()
        except (KeyError, ImportError, OSError):  # a container's user may have no name; which of them is raised depends on the Python
            name = ""
    if not name:
        raise UsageError(f"nobody is named for the record; say who acts with {option} NAME")
    return name


def instant(text: str, option: str, or_else: str = "") -> datetime:
    """An RFC 3339 time. Raises UsageError where it is none, or has no offset; `or_else` is what else would do."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'{option}: "{text}" is not a time; expected RFC 3339, such as 2026-01-31T06:00:00Z{or_else}') from None
    if moment.tzinfo is None:
        raise UsageError(f'{option}: "{text}" has no offset from UTC; add one, such as {text if "T" in text else text + "T00:00:00"}Z')
    return moment


def until(text: str | None, now: datetime) -> datetime | None:
    """The end of an override: a time, or a duration from now on. Raises UsageError for neither, and for an end that is over."""
    if text is None:
        return None
    if not text.upper().startswith("P"):
        end = instant(text, "--until", ", or a duration, such as PT2H")
    else:
        try:
            end = now + parse_duration(text, any_case=True)
        except (ValueError, OverflowError) as error:
            raise UsageError(f"--until: {error}; or give a time, such as 2026-01-31T06:00:00Z") from None
    if end <= now:
        raise UsageError(
            f"--until: {text} is not after now ({now:%Y-%m-%dT%H:%M:%SZ}); expected a time to come, or a duration such as PT2H"
        )
    return end


def tell_of_piles(piles: Sequence[Pile]) -> None:
    """As `tell_of_limit`, of batches that wait."""
    total, listed = sum(pile.count for pile in piles), sum(len(pile.newest) for pile in piles)
    if listed < total:
        say(f"only {listed} of {total} batches are listed, the newest of each breaker and status; see `dagster-contracts batch list ASSET`")


def tell_of_limit(found: int, what: str) -> None:
    """Nothing is left out silently."""
    if found >= LISTED:
        say(f"only the newest {LISTED} {what} are listed")
