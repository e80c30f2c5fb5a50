"""Engines as processes: each in an environment of its own, with pinned versions, made once in the cache folder by uv.

An engine that cannot be installed or cannot run a case is `Absent`, with the reason: it is reported by name, never left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workload import cache

PEERS = Path(__file__).parent / "peers"
_INSTALLING = 600  # seconds


class Absent(Exception):
    """Why an engine is not measured."""


@dataclass(frozen=True)
class Engine:
    """`module` in peers/, run by the Python of the environment that `requirements` (a file there) pins; None: the one we run in."""

    name: str
    module: str
    requirements: str | None
    forms: tuple[str, ...]
    ways: tuple[dict[str, Any], ...] = ({},)  # options to choose the fastest of
    large: tuple[str, ...] = ()  # forms of tables beyond 1,000,000 rows

    def forms_of(self, rows: int) -> tuple[str, ...]:
        return self.forms if rows <= 1_000_000 else self.large


def python(requirements: str | None, *, install: bool) -> Path:
    """The interpreter of an environment, made where it does not exist and `install` allows it. Raises Absent."""
    if requirements is None:
        return Path(sys.executable)
    wanted = (PEERS / requirements).read_bytes()
    name = f"{Path(requirements).stem}-{hashlib.sha256(wanted + sys.version.encode()).hexdigest()[:12]}"
    place = cache() / "environments" / name
    found = place / "bin" / "python"
    if not (place / "complete").exists():
        if not install:
            raise Absent("its environment is not installed (a run without --quick installs it)")
        _install(place, found, PEERS / requirements)
    return found


def _install(place: Path, interpreter: Path, requirements: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise Absent("uv, which installs peers, is not on the PATH")
    shutil.rmtree(place, ignore_errors=True)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(interpreter), "--requirement", str(requirements)],
    ):
        try:  # elsewhere than in this repository, whose own constraints are not meant for peers
            subprocess.run(command, cwd=cache(), check=True, capture_output=True, text=True, timeout=_INSTALLING)
        except subprocess.CalledProcessError as failed:
            raise Absent(f"not installed: {failed.stderr.strip().partition(chr(10))[0]}") from failed
        except subprocess.TimeoutExpired as slow:
            raise Absent(f"not installed within {_INSTALLING} s") from slow
    (place / "complete").touch()


class Worker:
    """One engine, running. Raises Absent for what it cannot do; close it when done."""

    def __init__(self, engine: Engine, *, install: bool = False) -> None:
        self.engine = engine
        command = [str(python(engine.requirements, install=install)), str(PEERS / "serve.py"), engine.module]
        quiet = {"PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "OTEL_SDK_DISABLED": "true"}
        self._process = subprocess.Popen(
            command,
            cwd=cache(),
            env={**os.environ, **quiet},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions: dict[str, str] = {}
        self.unequal: dict[str, str] = {}  # rule, kind or form -> how what this engine does differs from what ours does

    def load(self, form: str, path: Path, options: dict[str, Any]) -> None:
        """Hold the table from now on."""
        answer = self._ask({"form": form, "path": str(path), "options": options})
        self.versions, self.unequal = answer["versions"], answer["unequal"]

    def run(self) -> dict[str, Any]:
        """{"wall", "cpu", "broken", "peak"} of one run over what is held."""
        return self._ask({})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Absent(f"its process ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Absent(answer["error"]) if self.engine.requirements else RuntimeError(f"{self.engine.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
