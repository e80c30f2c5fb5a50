"""`diff`: what changed between versions of a contract, whom that breaks, and whether the version number says so."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from dagster_contracts.cli.options import UrlOption
from dagster_contracts.cli.printing import one_line, print_json, print_text, styled
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.core.compat import Comparison, Mode, compare
from dagster_contracts.core.compat_kinds import Change, Impact
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.wording import counted

_WIDTH = 80
_STYLES = {Impact.BREAKING: "bold red", Impact.RISKY: "yellow", Impact.SAFE: "green"}


class DiffFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def diff(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD... NEW",
            help="Contract files, git revisions such as main:contracts/x.yaml, or registered versions: ID@VERSION.",
            show_default=False,
        ),
    ],
    mode: Annotated[Mode, typer.Option("--mode", help="Who must not be broken; transitive: by any of the old versions.")] = Mode.BACKWARD,
    database_url: UrlOption = None,
    format: Annotated[DiffFormat, typer.Option("--format", help="markdown for pull requests; json has a version.")] = DiffFormat.TEXT,
) -> None:
    """Tell what changed between versions of a contract, and whom it breaks.

    Several old versions go with a transitive mode: the new one is compared with each. Exit code 1 where the version number says too
    little (breaking needs major, risky minor, anything else patch), stays or goes backwards. 2: bad usage, or no valid contract.
    """
    *before, after = (contract_at(place, database_url) for place in places)
    if not before or (len(before) > 1 and not mode.transitive):
        expected = "OLD and NEW; several old ones go with a transitive mode" if before else "OLD and NEW"
        raise UsageError(f"{counted(len(places), 'place')} given; expected {expected}")
    compared = [compare(old, after, mode) for old in before]
    if format is DiffFormat.JSON:
        print_json({"mode": mode.value, "comparisons": [_document(one) for one in compared]})
    else:
        for one in compared:
            _print_markdown(one) if format is DiffFormat.MARKDOWN else _print_text(one)
    if any(one.problems for one in compared):
        raise typer.Exit(1)


def _document(one: Comparison) -> dict[str, object]:
    return {
        "contract": one.new.id,
        "old": {"version": one.old.version, "source": one.old.source},
        "new": {"version": one.new.version, "source": one.new.source},
        "step": one.step.word,
        "needed": one.needed.word,
        "problems": list(one.problems),
        "changes": [
            {
                "kind": change.kind.name,
                "place": change.place,
                "old": change.old,
                "new": change.new,
                "consumer": change.consumer.word,
                "producer": change.producer.word,
                "reason": change.kind.reason,
                "hint": change.hint,
            }
            for change in one.changes
        ],
    }


def _sorted(one: Comparison) -> Sequence[Change]:
    return sorted(one.changes, key=lambda change: (-one.mode.impact(change), -change.consumer, -change.producer, change.place))


def _ending(one: Comparison) -> Iterator[str]:
    if one.problems:
        yield from one.problems
    elif one.changes:
        yield f"{one.old.version} to {one.new.version} is a {one.step.word} version, and {one.needed.word} is needed"
    else:
        yield "nothing that is judged, read or told has changed"


def _print_text(one: Comparison) -> None:
    print_text(f"{one.new.id} {one.old.version} -> {one.new.version} ({one.mode.value})")
    for change in _sorted(one):
        print_text("")
        print_text(styled(change.place, _STYLES[one.mode.impact(change)]))
        _wrapped(f"consumers {change.consumer.word}, producer {change.producer.word}: {change.kind.reason}")
        for told in (change.old and f"- {change.old}", change.new and f"+ {change.new}", change.hint):
            if told:
                _wrapped(told)
    print_text("")
    for line in _ending(one):
        for part in textwrap.wrap(one_line(line), _WIDTH):
            print_text(styled(part, "bold red" if one.problems else "green"))


def _wrapped(text: str) -> None:
    indent = "    " if text.startswith(("- ", "+ ")) else "  "
    for line in textwrap.wrap(one_line(text), _WIDTH, initial_indent="  ", subsequent_indent=indent):
        print_text(line)


def _print_markdown(one: Comparison) -> None:
    print_text(f"### {_cell(one.new.id)} {_cell(one.old.version)} → {_cell(one.new.version)} ({one.mode.value})")
    if one.changes:
        print_text("")
        print_text("| place | consumers | producer | old | new | why |")
        print_text("|---|---|---|---|---|---|")
    for change in _sorted(one):
        why = " ".join(part for part in (change.kind.reason, change.hint) if part)
        cells = (change.place, change.consumer.word, change.producer.word, change.old or "", change.new or "", why)
        print_text(f"| {' | '.join(map(_cell, cells))} |")
    print_text("")
    for line in _ending(one):
        print_text(f"**{_cell(line)}**" if one.problems else _cell(line))


def _cell(text: str) -> str:
    """Text of strangers as text of a table cell: no markup, link or mention of theirs acts."""
    line = one_line(text)
    return "".join(f"&#{ord(char)};" if char in "|`*_[]<>&\\~@#!" else char for char in line)
