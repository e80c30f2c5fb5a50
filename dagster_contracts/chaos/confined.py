"""A fault computes a batch from a batch, and does nothing else. `confined` sees to it, where anybody's faults run beside what matters.

While such a fault runs, its thread writes, moves and deletes no file, connects to nothing, starts no process and writes to no breaker
store; other threads do as they always do. What it tries raises PermissionError, so that the fault is told as one that raised, and does
not count.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

from dagster_contracts.chaos.fault import Fault

P = ParamSpec("P")
R = TypeVar("R")

_CONFINED: ContextVar[str] = ContextVar("dagster_contracts_confined", default="")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED = frozenset(
    {
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.utime"),
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"),
        *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto", "sqlite3.connect"),
        *("dagster_contracts.store.connect", "dagster_contracts.store.write", "dagster_contracts.postgres.connect"),
    }
)
_POSTGRES = (("psycopg.generators", "connect"), ("psycopg2", "_connect"))  # what every connection of a driver goes through


def confined(faults: Sequence[Fault]) -> list[Fault]:
    """The same faults, which can do nothing but compute."""
    _watch()
    return [replace(fault, fits=_inside(fault.name, fault.fits), inject=_inside(fault.name, fault.inject)) for fault in faults]


def _inside(name: str, function: Callable[P, R]) -> Callable[P, R]:
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _CONFINED.set(name)
        try:
            return function(*args, **kwargs)
        finally:
            _CONFINED.reset(token)

    return inside


@cache
def _watch() -> None:
    """Once in a process: Python offers no way to take such a hook away again. It costs a look-up where nothing is confined.

    libpq connects without telling Python, so the drivers that are installed are made to tell it.
    """
    sys.addaudithook(_hook)
    for module, name in _POSTGRES:
        if find_spec(module.partition(".")[0]) is not None:
            driver = import_module(module)
            setattr(driver, name, _told(getattr(driver, name)))


def _told(connect: Callable[P, R]) -> Callable[P, R]:
    @wraps(connect)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        sys.audit("dagster_contracts.postgres.connect")
        return connect(*args, **kwargs)

    return told


def _hook(event: str, args: tuple[object, ...]) -> None:
    name = _CONFINED.get()
    if name and (event in _REFUSED or (event == "open" and _opens_to_write(args))) and args[:1] != (":memory:",):
        raise PermissionError(f"fault {name} may only compute, and tried {event}")


def _opens_to_write(args: tuple[object, ...]) -> bool:
    _, mode, flags = args
    return (isinstance(mode, str) and bool(set(mode) & set("wax+"))) or (isinstance(flags, int) and bool(flags & _WRITING))
