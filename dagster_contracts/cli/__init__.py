"""The command line `dagster-contracts`: arguments, printing, exit codes.

    app        the commands put together, errors -> exit codes
    options    options that several commands share, and reading times
    contracts  lint, test          breakers  status, breaker ...     batches  batch ...
    database   db ...              dagster   demo, baseline, reconcile
    why        why, its sentences in telling                         prune    prune
    relay      relay
    printing   text and JSON on a terminal or a pipe                 forms    values -> JSON

Only typer is imported at start; rich, Polars, SQLAlchemy and Dagster are imported by the commands that use them.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit: 0 done, 1 the contract or data is bad, 2 it could not be told or done."""
    from dagster_contracts.cli.app import run

    run()
