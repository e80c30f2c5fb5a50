"""Contracts in force, written as files: what definitions are loaded with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.registry import Registered


def pull(found: Sequence[Registered], folder: Path) -> list[Path]:
    """Write each contract, and the profile files that it names beside it; return the files that were not there, or were another.

    A contract's file is called after its id. Other files of the folder are left alone. Raises UsageError where a profile would stand
    outside the folder, or two contracts name different contents for one; nothing is written then.
    """
    texts: dict[Path, str] = {}
    for path, text in _files(found, folder):
        if texts.setdefault(path, text) != text:
            raise UsageError(f"two contracts name different contents of {path}: pull them into different folders")
    changed = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != text.encode()]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(texts[path].encode())
    return changed


def _files(found: Sequence[Registered], folder: Path) -> Iterator[tuple[Path, str]]:
    names = _names([each.entry.contract_id for each in found])
    for each in found:
        yield folder / f"{names[each.entry.contract_id]}.odcs.yaml", each.text
        for name, text in each.profiles.items():
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts:
                raise UsageError(
                    f"{each.entry.name} names the profile {name}, which would stand outside {folder}; keep it beside the contract"
                )
            yield folder / inside, text


def _names(ids: Sequence[str]) -> Mapping[str, str]:
    """As they are where a file may be called so, each once; else with a part of their digest."""
    plain = {each: re.sub(r"[^\w.-]", "_", each).lstrip(".")[:100] for each in ids}
    counts = [name.lower() for name in plain.values()]
    return {
        each: name if name == each and counts.count(name.lower()) == 1 else f"{name}-{sha256(each.encode()).hexdigest()[:8]}"
        for each, name in plain.items()
    }
