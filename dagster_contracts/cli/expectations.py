"""`export gx` and `docs`: a contract as an expectation suite of Great Expectations, and as its Data Docs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts.cli.options import ContractArgument, ObjectOption
from dagster_contracts.cli.printing import print_text, say
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.cli.writing import write_file
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.metrics import may_read
from dagster_contracts.core.plan import NotExecuted
from dagster_contracts.core.queries import column_types
from dagster_contracts.core.wording import counted
from dagster_contracts.validating import object_of

app = typer.Typer(help="A contract in the form of another tool.", no_args_is_help=True)


@app.command("gx")
def export_gx(
    contract: ContractArgument,
    object_name: ObjectOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it. [default: print it]", show_default=False)
    ] = None,
) -> None:
    """Write a contract as an expectation suite of Great Expectations (JSON).

    Rules that Great Expectations has no words for are listed on stderr, and in the suite's meta under left_out.
    """
    from dagster_contracts.engines.gx.suite import suite_of

    found = contract_at(contract, profiles=True)
    suite = suite_of(compile_plan(found, object_of(found, object_name)))
    text = json.dumps(suite.document, indent=2, allow_nan=False)
    if output is None:
        typer.echo(text)
    else:
        write_file(output, f"{text}\n")
        say(f"wrote {output}: {len(suite.expectations)} expectations")
    _tell_left_out(suite.left_out)


def docs(
    contract: ContractArgument,
    data: Annotated[str, typer.Option("--data", metavar="PLACE", help="A file, a folder, a glob or an s3:// address.", show_default=False)],
    object_name: ObjectOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the pages go.")] = Path("data_docs"),
) -> None:
    """Build Data Docs of Great Expectations: the contract, and what data makes of it, as HTML pages.

    What decides about data is `test`: rules that Great Expectations has no words for are not on these pages, and are listed.
    """
    from dagster_contracts.engines.files.engine import opened
    from dagster_contracts.engines.gx.docs import build_docs

    found = contract_at(contract, profiles=True)
    obj = object_of(found, object_name)
    plan = compile_plan(found, obj)
    place: Path | str = data if data.startswith("s3://") else Path(data)
    with opened(place, may_read(plan.metrics)) as source:
        pages = build_docs(plan, dict(column_types(obj)), source.frame, Path(data).name, output)
    print_text(f"{pages.met} of {pages.expectations} expectations met: {pages.page}")
    print_text(f"all pages: {pages.index}")
    _tell_left_out(pages.left_out)


def _tell_left_out(left_out: Sequence[NotExecuted]) -> None:
    if left_out:
        say(f"{counted(len(left_out), 'rule')} {'is' if len(left_out) == 1 else 'are'} left out:")
    for missed in left_out:
        say(f"  {missed.rule}: {missed.reason}")
