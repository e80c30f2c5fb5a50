"""Contracts from files, git revisions (`main:contracts/orders.odcs.yaml`) and the registry (`registry:orders@1.2.0`)."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

from dagster_contracts.cli.options import only, place_of, registry_at
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import ContractError, UsageError, did_you_mean
from dagster_contracts.core.registry import Registered
from dagster_contracts.core.versions import read_version

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
        if place.startswith(_REGISTRY) or _is_version(place):
            return registered_at(place.removeprefix(_REGISTRY), database_url).contract
        if revision and colon and path:
            return parse(_text(revision, path), source=place)
    return only(load_contracts(place, profiles=profiles), Path(place))


def _is_version(place: str) -> bool:
    name, _, version = place.rpartition("@")
    try:
        return bool(name) and read_version(version) is not None
    except ContractError:
        return False


def registered_at(name: str, database_url: str | None, at: datetime | None = None) -> Registered:
    """The registered version `ID@VERSION`; of `ID` alone the one in force at a time, else now. Raises UsageError where there is none."""
    registry = registry_at(database_url)
    contract_id, _, version = name.rpartition("@") if _is_version(name) else (name, "", "")
    found = registry.get(contract_id, version) if version else registry.in_force(contract_id, at)
    if found is not None:
        return found
    known = [entry.version for entry in registry.entries(contract_id)]
    where = place_of(database_url)
    if known:
        told = f'has no version "{version}" in the registry ({where})' if version else f"has no version that is in force then ({where})"
        raise UsageError(f'contract "{contract_id}" {told}; registered are {", ".join(known[:10])}')
    ids = [entry.contract_id for entry in registry.latest()]
    near = did_you_mean(contract_id, ids) or ";"
    raise UsageError(f'no contract "{contract_id}" is registered ({where}){near} `dagster-contracts publish` registers contracts')


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
