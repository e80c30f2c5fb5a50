"""Processes whose clock is off: a C compiler makes a library that answers for the system's clock (LD_PRELOAD)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock.c")


def library(folder: Path) -> Path | None:
    """The library, made in `folder`, for `fork_with`; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE], check=True)
    return made


def set_clock(made: Path, seconds: int) -> None:
    """From here on this process takes it to be `seconds` later than it is."""
    before = time.time()
    ctypes.c_long.in_dll(ctypes.CDLL(str(made)), "skew").value = seconds
    assert abs(time.time() - before - seconds) < 60, f"{made} does not answer for the clock of this process"


@contextmanager
def fork_with(made: Path | None, preload: list[str]) -> Iterator[None]:
    """What `multiprocessing` forks from here on has imported `preload`, and a clock to set where `made` is a library."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    server._stop()  # one that another test started knows neither
    with pytest.MonkeyPatch.context() as patch:
        if made is not None:
            patch.setenv("LD_PRELOAD", str(made))
        server.set_forkserver_preload(preload)
        server.ensure_running()
    yield
    server._stop()
