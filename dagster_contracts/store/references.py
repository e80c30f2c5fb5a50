"""The profile files that contracts name: read where the contract lies, checked, and kept with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import Problem
from dagster_contracts.core.extension import checks_of, profile_rules
from dagster_contracts.core.options import NotMeasurable

MAX_BYTES = 50_000_000


def with_profiles(contract: Contract) -> tuple[Contract, list[Problem]]:
    """`contract` with the text of every profile file that its rules name, and what is wrong with those files.

    Names are relative to the contract's own file. Its content hash covers them: a changed profile is another content.
    """
    rules = list(profile_rules(contract))
    if not rules:
        return contract, []
    texts: dict[str, str] = {}
    unread: dict[str, str] = {}
    for name in dict.fromkeys(file for _, _, _, file in rules):
        try:
            texts[name] = _text(_place(contract, name))
        except (OSError, ValueError) as error:
            unread[name] = f"the profile {_place(contract, name)} {_why(error)}; write it with `dagster-contracts profile`"
    objects = tuple(replace(obj, profiles=texts) for obj in contract.objects)
    together = "\n".join([contract.content_hash, *(f"{name} {sha256(text.encode()).hexdigest()}" for name, text in sorted(texts.items()))])
    read = replace(contract, objects=objects, content_hash=sha256(together.encode()).hexdigest())
    return read, list(_problems(read, unread))


def _problems(contract: Contract, unread: dict[str, str]) -> Iterator[Problem]:
    for obj, quality, column, file in profile_rules(contract):
        path = f"{quality.path}.implementation.reference.file"
        if file in unread:
            yield Problem(path, unread[file], source=contract.source)
            continue
        for check in checks_of(quality, obj, column):
            if isinstance(check, NotMeasurable):
                yield Problem(path, str(check), source=contract.source)
                break


def _place(contract: Contract, name: str) -> Path:
    return Path(contract.source or ".").parent / name


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES:,} bytes")
    return path.read_text(encoding="utf-8")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "is no UTF-8 text"
    return f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
