"""Which version of a batch stands in the live place: read off the storage right after it was written, compared before it is served."""

from __future__ import annotations

import os
from collections.abc import Callable

from dagster_contracts.core.ledger import Batch


def version_of(path: str | None) -> str | None:
    """ "path|modification time in ns|bytes" of a local file; None for anything else, whose version is not known."""
    if path is None or not os.path.isfile(path):
        return None
    found = os.stat(path)
    return f"{path}|{found.st_mtime_ns}|{found.st_size}"


VersionAt = Callable[[str], str | None]  # address -> the version that stands there; "" where nothing does, None where it cannot tell
_REMOTE = "s3://"


def is_intact(batch: Batch, version_at: VersionAt | None = None) -> bool:
    """Whether the batch still stands where it was written, unchanged since. True where its version was never known, and where nobody is
    there to ask: an object is compared through the IO manager that is about to read it, one request each. What that raises where its
    storage cannot be reached is passed on: neither answer would be true.
    """
    if batch.storage_version is None:
        return True
    if batch.storage_version.startswith(_REMOTE):
        address, _, version = batch.storage_version.rpartition("|")
        found = version_at(address) if version_at is not None else None
        return found is None or found == version
    return version_of(batch.storage_version.rsplit("|", 2)[0]) == batch.storage_version
