"""Which version of a batch stands in the live place: read off the file right after it was written, compared before it is served."""

from __future__ import annotations

import os

from dagster_contracts.core.ledger import Batch


def version_of(path: str | None) -> str | None:
    """ "path|modification time in ns|bytes" of a local file; None for anything else, whose version is not known."""
    if path is None or not os.path.isfile(path):
        return None
    found = os.stat(path)
    return f"{path}|{found.st_mtime_ns}|{found.st_size}"


def is_intact(batch: Batch) -> bool:
    """Whether the batch still stands where it was written, unchanged since. True where its version was never known."""
    if batch.storage_version is None:
        return True
    return version_of(batch.storage_version.rsplit("|", 2)[0]) == batch.storage_version
