"""Contracts from files, git revisions (`main:contracts/orders.odcs.yaml`) and the registry (`registry:orders@1.2.0`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dagster_contracts.cli.options import only, registry_at
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import UsageError
from dagster_contracts.registry import is_version

_REGISTRY = "registry:"


def contract_at(place: str, database_url: str | None = None, *, profiles: bool = False) -> Contract:
    """The contract of a file or, where no such file exists, of the registry or of a git revision.

    `registry:ID@VERSION`, or `ID@VERSION` alone, is a registered version; `registry:ID` the one in force now; `REVISION:PATH` has the
    path from the top of the repository. `profiles` says whether profile files are read beside a file. Raises UsageError where there is
    nothing at `place`, and ContractError where that is no valid contract.
    """
    from dagster_contracts.core.odcs import parse
    from dagster_contracts.store.files import load_contracts

    revision, colon, path = place.partition(":")
    if not Path(place).exists():
        if place.startswith(_REGISTRY) or is_version(place):
            return registry_at(database_url).get(place.removeprefix(_REGISTRY)).contract
        if revision and colon and path:
            return parse(_text(revision, path), source=place)
    return only(load_contracts(place, profiles=profiles), Path(place))


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
