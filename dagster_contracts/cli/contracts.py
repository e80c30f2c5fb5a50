"""`lint` and `test`: is the contract right, and does a file keep to it? Neither needs Dagster or a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts.cli import options
from dagster_contracts.cli.options import ContractArgument, EnvironmentOption, FormatOption, ObjectOption, RelatedOption, UrlOption
from dagster_contracts.cli.outside import edits, notes, refused_rules
from dagster_contracts.cli.printing import Format, print_json, print_text, say, styled
from dagster_contracts.cli.report import print_verdict
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import Problem
from dagster_contracts.core.registry import Submission
from dagster_contracts.core.slips import consumer_slips, governed_twice, slips
from dagster_contracts.core.verdict import Outcome, verdict_to_json
from dagster_contracts.core.waiving import long_waivers
from dagster_contracts.core.wording import counted
from dagster_contracts.ports import NO_OTHERS, Related
from dagster_contracts.validating import object_of, validate


def lint(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Contract files, or folders of them.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 for warnings too.")] = False,
    format: FormatOption = Format.TEXT,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="Compare with the registry there, and with what breakers were judged under.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check contracts, and tell which rules are executed.

    All problems of all files are told at once, as file:line: path: message. Exit code 1 if there are any. Warnings are told of what the
    standard allows and is likely a slip: a name that nothing has, a query that would be refused; with --database-url, a contract that
    was edited without a new version.
    """
    from dagster_contracts.store.files import survey_contracts

    found, problems = survey_contracts(*paths)
    contracts = [each.contract for each in found]
    today = datetime.now(UTC).date()
    problems += (problem for contract in contracts for problem in long_waivers(contract, today))
    problems += governed_twice(contracts, certain=True)
    assets = [obj.asset or obj.name for contract in contracts for obj in contract.objects]
    warnings = [slip for contract in contracts for slip in (*slips(contract), *consumer_slips(contract, assets))]
    warnings += [*governed_twice(contracts, certain=False), *refused_rules(contracts)]
    if database_url is not None:
        warnings += _edits(found, database_url)
    if format is Format.JSON:
        linted = [_linted(contract, today) for contract in contracts]
        print_json({"contracts": linted, "problems": [*map(_problem, problems)], "warnings": [*map(_problem, warnings)]})
    else:
        _print_linted(contracts, problems, warnings, today)
    if problems or (strict and warnings):
        raise typer.Exit(1)


def judge_file(
    contract: ContractArgument,
    data: Annotated[
        list[str],
        typer.Option(
            "--data", metavar="PLACE", help="A file, a folder, a glob or an s3:// address; may be given several times.", show_default=False
        ),
    ],
    object_name: ObjectOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="When the data arrived (RFC 3339), to judge its age. [default: now]"),
    ] = None,
    related: RelatedOption = None,
    environment: EnvironmentOption = None,
    database_url: UrlOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Judge data by a contract: a table (CSV, Parquet, JSON lines, a folder of Parquet), or a set of files.

    Exit code 0: it passes (pass or warn). 1: it fails. 2: it could not be measured, or bad usage.
    """
    moment = datetime.now(UTC) if as_of is None else options.instant(as_of, "--as-of")
    found = contract_at(contract, database_url, profiles=True)
    others = _related(found, related or ())
    verdict = validate(found, data, as_of=moment, object_name=object_name, environment=environment, related=others)
    if verdict.outcome is not Outcome.PASS and not compile_plan(found, object_of(found, object_name)).files:
        _tell_what_was_judged(data)
    if format is Format.JSON:
        print_json(verdict_to_json(verdict))
    else:
        print_verdict(verdict, data[0] if len(data) == 1 else f"{data[0]} and {len(data) - 1:,} more")
    raise typer.Exit({Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 2}.get(verdict.outcome, 0))


def _tell_what_was_judged(data: Sequence[str]) -> None:
    from dagster_contracts.cli.tables import hint

    if (told := hint(data)) is not None:
        say(f"{data[0]}: {told}")


def _related(contract: Contract, given: Sequence[str]) -> Related:
    if not given:
        return NO_OTHERS
    from dagster_contracts.cli.tables import related_of

    return related_of(contract, given)


def _edits(found: Sequence[Submission], database_url: str) -> Iterator[Problem]:
    """What the registry has otherwise; of others, what breakers were judged under otherwise."""
    registered = options.registry_at(database_url).contracts.edited(found)
    yield from registered
    told = {problem.source for problem in registered}
    left = [each.contract for each in found if each.contract.source not in told]
    yield from edits(left, options.store_at(database_url).breakers())


# --- what lint prints ----------------------------------------------------------------------------------------------


def _linted(contract: Contract, today: date) -> dict[str, object]:
    plans = [compile_plan(contract, found) for found in contract.objects]
    objects = [
        {
            "name": plan.object_name,
            "executed": len(plan.rules),
            "not_executed": [{"rule": item.rule, "reason": item.reason} for item in plan.not_executed],
        }
        for plan in plans
    ]
    return {
        "id": contract.id,
        "version": contract.version,
        "source": contract.source,
        "notes": notes(contract, today),
        "objects": objects,
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {"source": problem.source, "line": problem.line, "path": problem.path, "message": problem.message}


def _print_linted(contracts: Sequence[Contract], problems: Sequence[Problem], warnings: Sequence[Problem], today: date) -> None:
    for contract in contracts:
        print_text(f"{contract.source}: {contract.id} {contract.version}")
        for found in contract.objects:
            plan = compile_plan(contract, found)
            left = f", {len(plan.not_executed)} not executed:" if plan.not_executed else ""
            print_text(f"  {found.name}: {counted(len(plan.rules), 'rule')} executed{left}")
            for item in plan.not_executed:
                print_text(f"    {item.rule}: {item.reason}")
        for note in notes(contract, today):
            print_text(f"  note: {note}")
    for warning in warnings:
        print_text(styled(f"warning: {warning}", "yellow"))
    for problem in problems:
        print_text(styled(problem, "red"))
    told = f", {counted(len(warnings), 'warning')}" if warnings else ""
    wrong = {problem.source for problem in problems}
    valid = [contract for contract in contracts if contract.source not in wrong]
    print_text(f"{counted(len(valid), 'valid contract')}, {counted(len(problems), 'problem')}{told}")
