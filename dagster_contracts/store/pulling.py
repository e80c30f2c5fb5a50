"""Contracts in force, written as files: what definitions are loaded with."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.registry import Registered


def pull(found: Sequence[Registered], folder: Path, former: Callable[[str], Collection[str]] | None = None) -> list[Path]:
    """Write each contract, and the profile files that it names beside it; return the files that were not there, or were another.

    A contract's file is called after its id. Other files of the folder are left alone. `former` gives every text that was registered with
    a contract, by its id; what a file holds is then replaced only where it is one of them. Raises UsageError where it is none, where a
    profile would stand outside the folder, or two contracts name different contents for one; nothing is written then.
    """
    texts: dict[Path, str] = {}
    owners: dict[Path, str] = {}
    for contract_id, path, text in _files(found, folder):
        owners[path] = contract_id
        if texts.setdefault(path, text) != text:
            raise UsageError(f"two contracts name different contents of {path}: pull them into different folders")
    changed = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != text.encode()]
    edited = [path for path in changed if former is not None and path.is_file() and not _is_one_of(path, former(owners[path]))]
    if edited:
        raise UsageError(
            f"{', '.join(map(str, edited))}: no registered version has this content, and pulling would replace it; nothing was written; "
            "publish it, move it away, or pull with --force"
        )
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(texts[path].encode())
    return changed


def _is_one_of(path: Path, texts: Collection[str]) -> bool:
    return path.read_bytes() in {text.encode() for text in texts}


def _files(found: Sequence[Registered], folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Ids of contracts, and their files with what these hold."""
    names = _names([each.entry.contract_id for each in found])
    for each in found:
        yield each.entry.contract_id, folder / f"{names[each.entry.contract_id]}.odcs.yaml", each.text
        for name, text in each.profiles.items():
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts:
                raise UsageError(
                    f"{each.entry.name} names the profile {name}, which would stand outside {folder}; keep it beside the contract"
                )
            yield each.entry.contract_id, folder / inside, text


def _names(ids: Sequence[str]) -> Mapping[str, str]:
    """As they are where a file may be called so, each once; else with a part of their digest."""
    plain = {each: re.sub(r"[^\w.-]", "_", each).lstrip(".")[:100] for each in ids}
    counts = [name.lower() for name in plain.values()]
    return {
        each: name if name == each and counts.count(name.lower()) == 1 else f"{name}-{sha256(each.encode()).hexdigest()[:8]}"
        for each, name in plain.items()
    }
