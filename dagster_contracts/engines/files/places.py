"""Where files lie: paths, folders, globs, lists of them, s3:// addresses -> every file, with what tells whether it changed since.

A folder is walked. Links to files are followed, links to folders are not; those, broken links, pipes, devices and what may not be
looked at are listed with `problem`, and never opened. On S3 every object below the prefix is a file, and "*" matches "/" too.
"""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import IO, Any, TypeGuard, cast

from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.engines.files import s3

Place = PurePath | str | list["PurePath | str"] | tuple["PurePath | str", ...]

_IN_MEMORY = 8 << 20  # bytes of an object of S3; more is kept in a temporary file


class Unreadable(MeasurementError):
    """Data that cannot be read: `reason` says what, where and what to do; `detail` holds a library's own words, which may quote data."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class File:
    """One file of a set. `name` is its path below the set, with "/"; `address` where it lies.

    `stamp` differs once the file was written again. `problem` says why the file cannot be opened; then `size` and `modified` may be
    unknown. `open` gives its bytes, seekable, from the start; raises OSError.
    """

    name: str
    address: str
    size: int | None  # bytes
    modified: datetime | None  # aware UTC
    stamp: object
    open: Callable[[], IO[bytes]]
    local: Path | None = None  # None on S3
    problem: str | None = None


def is_place(data: object) -> TypeGuard[Place]:
    """Whether a value says where data lies. Text is no place, unless it starts with s3://."""
    if isinstance(data, list | tuple):
        return bool(data) and all(map(_is_one_place, data))
    return _is_one_place(data)


def _is_one_place(data: object) -> bool:
    return isinstance(data, PurePath) or (isinstance(data, str) and data.startswith(s3.SCHEME))


def files_of(place: Place) -> list[File]:
    """Every file of a place, by name. Raises Unreadable where there is no such place, or it cannot be listed."""
    try:
        found = _together([_of_one(each) for each in place]) if isinstance(place, list | tuple) else _of_one(place)
    except OSError as error:
        raise Unreadable(f"{told(place)}: cannot be looked at ({error.strerror or type(error).__name__})") from error
    return sorted(found, key=lambda file: file.name)


def require_files(place: Place, found: list[File]) -> None:
    """Raises Unreadable where `place`, at which these were found, has no file, or one of its globs means none."""
    places = list(place) if isinstance(place, list | tuple) else [place]
    for each in places:
        is_glob = glob.has_magic(str(each))
        if not found or (is_glob and len(places) > 1 and not files_of(each)):
            what = "no file is called like that" if is_glob else "there is no file in it"
            raise Unreadable(f"{each}: {what}; is the place right? Where none is a batch too, let the contract say `physicalType: files`")


def is_single(place: Place, found: list[File]) -> bool:
    """Whether a place is that of one file, rather than of a set that happens to hold one."""
    if isinstance(place, list | tuple) or len(found) != 1:
        return False
    return found[0].address == place if isinstance(place, str) else found[0].local == Path(place)


def told(place: Place) -> str:
    """The place in words."""
    if not isinstance(place, list | tuple):
        return str(place)
    return f"{place[0]} and {len(place) - 1:,} more" if len(place) > 1 else str(place[0]) if place else "no files"


def changed(before: list[File], place: Place) -> str | None:
    """What changed since the files of a place were listed; None where they lie as they did."""
    try:
        now = {file.address: file.stamp for file in files_of(place)}
    except MeasurementError:
        now = {}
    then = {file.address: file.stamp for file in before}
    differing = sorted(address for address in then.keys() | now.keys() if then.get(address) != now.get(address))
    if not differing:
        return None
    if len(differing) == 1:
        return f"the file changed while it was read: {differing[0]}"
    return f"{len(differing):,} files changed while they were read: {differing[0]} and others"


def _of_one(place: PurePath | str) -> list[File]:
    if isinstance(place, str):
        return _objects(place)
    path = Path(place)
    if path.is_dir():
        return [_local(entry, path, problem) for entry, problem in _walked(path)]
    if os.path.lexists(path):
        return [_local(path, path.parent, None)]
    if glob.has_magic(str(path)):
        names = sorted(map(Path, glob.glob(str(path), recursive=True)))
        return _together([_of_one(name) for name in names])
    raise Unreadable(f"{path}: no such file or folder")


def _together(several: list[list[File]]) -> list[File]:
    """Files of several places as one set, each once, named from the folder they have in common."""
    files = list({file.address: file for part in several for file in part}.values())
    if len(several) == 1 or not files:
        return files
    folders = [file.address.rpartition("/")[0] for file in files]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # some relative, some absolute, some on S3
        common = ""
    common = s3.SCHEME + common.removeprefix("s3:/") if folders[0].startswith(s3.SCHEME) and common else common
    return [_named(file, file.address.removeprefix(common).lstrip("/") if common else file.address) for file in files]


def _named(file: File, name: str) -> File:
    return replace(file, name=name)


# --- folders -------------------------------------------------------------------------------------------------------


def _walked(folder: Path) -> Iterator[tuple[Path, str | None]]:
    failed: list[OSError] = []
    for place, below, names in os.walk(folder, onerror=failed.append):
        for name in [*names, *(name for name in below if os.path.islink(os.path.join(place, name)))]:
            path = Path(place, name)
            yield path, "a link to a folder, which is not followed" if name in below else None
    for error in failed:
        yield Path(os.fsdecode(error.filename)), f"cannot be looked into ({error.strerror})"


def _local(path: Path, folder: Path, problem: str | None) -> File:
    def opened() -> IO[bytes]:
        return path.open("rb")

    name, address = _text(path.relative_to(folder)), _text(path)
    if problem is not None:
        return File(name, address, None, None, problem, opened, path, problem)
    try:
        seen = path.stat()
    except OSError as error:
        lost = "a link to nothing" if path.is_symlink() else f"cannot be looked at ({error.strerror})"
        return File(name, address, None, None, lost, opened, path, lost)
    modified = _instant(seen.st_mtime)
    if not stat.S_ISREG(seen.st_mode):
        special = f"no regular file ({_KINDS.get(stat.S_IFMT(seen.st_mode), 'of an unknown kind')})"
        return File(name, address, None, modified, special, opened, path, special)
    return File(name, address, seen.st_size, modified, (seen.st_size, seen.st_mtime_ns, seen.st_ino), opened, path)


def _instant(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):  # a file system may hold any number
        return None


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def _text(path: PurePath) -> str:
    """A path as text: bytes of a name that are no UTF-8 are written as \\xff."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


# --- S3 ------------------------------------------------------------------------------------------------------------


def _objects(address: str) -> list[File]:
    """The object of that key; every object below it, as a folder, where it ends in "/" or there is no such object; or those of a glob."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = s3.split(address)
    if not bucket:
        raise Unreadable(f'{address}: names no bucket; write "s3://bucket/key"')
    try:
        connection = s3.client()
        single = s3.found(connection, bucket, key) if key and not key.endswith("/") and not glob.has_magic(key) else None
        if single is not None:
            return [_remote(connection, single, single.key.rpartition("/")[2])]
        return _below(connection, bucket, key, address)
    except (BotoCoreError, ClientError) as error:
        raise Unreadable(f"{address}: cannot be read from S3 ({type(error).__name__})", str(error)) from error


def _below(connection: Any, bucket: str, key: str, address: str) -> list[File]:
    if glob.has_magic(key):
        plain = key[: min(key.index(sign) for sign in "*?[" if sign in key)]
        folder = plain[: plain.rfind("/") + 1]
        matching = [entry for entry in s3.listed(connection, bucket, plain) if fnmatchcase(entry.key, key)]
        return [_remote(connection, entry, entry.key.removeprefix(folder)) for entry in matching]
    prefix = key if not key or key.endswith("/") else f"{key}/"
    entries = list(s3.listed(connection, bucket, prefix))
    if not entries and not address.endswith("/"):
        raise Unreadable(f'{address}: no such object, and none below it; for a prefix that may be empty write "{address}/"')
    return [_remote(connection, entry, entry.key.removeprefix(prefix)) for entry in entries]


def _remote(connection: Any, entry: s3.Object, name: str) -> File:
    from botocore.exceptions import BotoCoreError, ClientError

    def opened() -> IO[bytes]:
        into = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115  # whoever opens it closes it
        try:
            s3.fetch(connection, entry, into)
        except (BotoCoreError, ClientError) as error:
            into.close()
            raise OSError(str(error)) from error
        return into

    return File(name, entry.address, entry.size, entry.modified.astimezone(UTC), (entry.size, entry.etag), opened)
