"""Contracts from files, and from git revisions (`main:contracts/orders.odcs.yaml`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dagster_contracts.cli.contracts import only
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import UsageError


def contract_at(place: str) -> Contract:
    """The contract of a file or, where no such file exists, of `REVISION:PATH` with the path from the top of the repository.

    Profile files are not read. Raises UsageError where there is nothing at `place`, and ContractError where that is no valid contract.
    """
    from dagster_contracts.core.odcs import parse
    from dagster_contracts.store.files import load_contracts

    revision, colon, path = place.partition(":")
    if Path(place).exists() or not (revision and colon and path):
        return only(load_contracts(place, profiles=False), Path(place))
    return parse(_text(revision, path), source=place)


def _text(revision: str, path: str) -> str:
    if _git("rev-parse", "--git-dir") is None:
        raise UsageError(f"{revision}:{path} names a git revision, and {Path.cwd()} is in no git repository; name a file, or change there")
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(f'the git revision "{revision}" does not exist here; see `git branch --all` and `git tag`, or fetch it')
    found = _git("cat-file", "blob", f"{commit.decode().strip()}:{path}")
    if found is None:
        raise UsageError(f'the git revision "{revision}" has no file {path}; the path starts at the top of the repository')
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{revision}:{path} is not UTF-8 text: {error}") from None


def _git(*arguments: str) -> bytes | None:
    """What git prints, None where it says no. Raises UsageError where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607 - no shell; what is named ends the options
    except FileNotFoundError:
        raise UsageError("git is not installed, and a revision was named; name files instead") from None
    return done.stdout if done.returncode == 0 else None
