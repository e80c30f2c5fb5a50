"""The commands put together, and what becomes of errors: a sentence on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated

import typer
from typer.core import TyperGroup

from dagster_contracts import __version__
from dagster_contracts.cli import (
    backtest,
    batches,
    breakers,
    calibrate,
    chaos,
    contracts,
    dagster,
    database,
    diff,
    expectations,
    infer,
    mock,
    profiles,
    prune,
    registry,
    relay,
    reviews,
    status,
    why,
)
from dagster_contracts.cli.printing import say, say_error
from dagster_contracts.core.errors import DagsterContractsError

UNKNOWN = 2  # never 1, which is what `test` says of bad data
READER_GONE = 141  # 128 and the number of SIGPIPE, as of programs that the signal ends

_EPILOG = """\b
Exit codes:
  0  done; the contracts are right; the data passes (pass or warn)
  1  lint found problems; the data fails the contract; diff: the version says too little;
     mock: rules cannot be promised
  2  bad usage, could not be measured or done, store out of reach
  141  who read the output went away, such as head"""


class Commands(TyperGroup):
    """Turns our errors into one message and exit code 2."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer hides the class that it means
        try:
            return super().invoke(ctx)
        except DagsterContractsError as error:
            say_error(error)
            raise typer.Exit(UNKNOWN) from error


app = typer.Typer(
    name="dagster-contracts",
    cls=Commands,
    help="Data contracts for Dagster: check contracts and data, see and operate the circuit breakers.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # help and usage errors are plain text: they start faster, and pipes and logs read them whole
    pretty_exceptions_enable=False,
)
app.command("init")(infer.init)
app.command("infer")(infer.infer)
app.command("lint")(contracts.lint)
app.command("test")(contracts.judge_file)
app.command("chaos")(chaos.chaos)
app.command("calibrate")(calibrate.calibrate)
app.command("backtest")(backtest.backtest)
app.command("profile")(profiles.profile)
app.command("diff")(diff.diff)
app.command("mock")(mock.mock)
app.command("publish")(registry.publish)
app.command("docs")(expectations.docs)
app.command("status")(status.status)
app.command("why")(why.why)
app.command("relay")(relay.relay)
app.command("prune")(prune.prune)
app.command("baseline")(dagster.baseline)
app.command("reconcile")(dagster.reconcile)
app.command("heal")(dagster.heal)
app.command("dismiss")(dagster.dismiss)
app.command("demo")(dagster.demo)
app.add_typer(breakers.app, name="breaker")
app.add_typer(batches.app, name="batch")
app.add_typer(reviews.app, name="review")
app.add_typer(registry.app, name="registry")
app.add_typer(database.app, name="db")
app.add_typer(expectations.app, name="export")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dagster-contracts {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no name in a contract may end a report half-way
    try:
        _run()
    except (BrokenPipeError, SystemExit) as end:
        # typer makes a 1 of a pipe that nobody reads, which is said of data.
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)  # for what Python still holds
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(READER_GONE)


def _run() -> None:
    try:
        app()
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001  # a crash must not end in 1, which is said of data
        say(traceback.format_exc())
        say_error("this should not have happened; if the lines above are not about your own code, please report them")
        sys.exit(UNKNOWN)
