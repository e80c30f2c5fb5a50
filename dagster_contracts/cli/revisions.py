"""Contracts from files, git revisions (`main:contracts/orders.odcs.yaml`) and the registry (`registry:orders@1.2.0`)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dagster_contracts.cli.options import only, registry_at
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import UsageError
from dagster_contracts.registry import is_version

_REGISTRY = "registry:"
_UNSAFE = re.compile(r"[^\w.-]")  # in the name of a file


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a contract, what its file is called, and how a changed text is read: with the profile files beside it."""

    text: str
    name: str
    reading: Callable[[str], Contract]


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


def source_at(place: str, database_url: str | None = None) -> Source:
    """As `contract_at`, for who changes its text. Raises UsageError where there is nothing at `place`."""
    from dagster_contracts.core.odcs import parse
    from dagster_contracts.store.files import load_contracts

    path = Path(place)
    if path.is_dir():
        path = Path(str(only(load_contracts(place, profiles=False), path).source))
    if path.is_file():
        return Source(text_of(path), path.name, lambda text: with_profiles_of(text, path))
    if place.startswith(_REGISTRY) or is_version(place):
        found = registry_at(database_url).get(place.removeprefix(_REGISTRY))

        def reading(text: str) -> Contract:
            contract = parse(text, source=found.contract.source)
            return replace(contract, objects=tuple(replace(obj, profiles=found.profiles) for obj in contract.objects))

        return Source(found.text, f"{_UNSAFE.sub('_', found.entry.contract_id)}.odcs.yaml", reading)
    revision, colon, inner = place.partition(":")
    if revision and colon and inner:
        return Source(_text(revision, inner), Path(inner).name, lambda text: parse(text, source=place))
    raise UsageError(f"{place} is no file; name the file of a contract, a registered version as ID@VERSION, or a git revision and its path")


def text_of(file: Path) -> str:
    with file.open(encoding="utf-8", newline="") as opened:
        return opened.read()


def with_profiles_of(text: str, file: Path) -> Contract:
    from dagster_contracts.core.odcs import parse
    from dagster_contracts.store.references import with_profiles

    return with_profiles(parse(text, source=str(file)))[0]


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
