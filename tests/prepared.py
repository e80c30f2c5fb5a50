"""Commands that have imported everything before they begin: a process that forks itself for each.

To who runs one it is a process as any other: its own arguments, folder, environment and files, and it ends with the code of the command.
Importing Dagster and all that we stand on takes longer than most commands do.

    python -P tests/prepared.py SOCKET       imports, says "ready", and forks itself for each command that a shim asks for
    commands(folder)                         in tests: the folder with the shims of that process, for PATH
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

COMMANDS = {
    "dagster-contracts": ("dagster_contracts.cli", "main"),
    "dagster": ("dagster.__main__", "main"),
    "python": ("__main__", "script"),
}
_SHIM = """\
#!{python} -IS
import json, os, socket, sys
if sys.argv[0].endswith("/python") and not sys.argv[1].endswith(".py"):
    os.execv(sys.executable, sys.argv)
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
told = json.dumps([sys.argv[0].rpartition("/")[2], sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(asked, [len(told).to_bytes(4)], [0, 1, 2])
asked.sendall(told)
code = asked.recv(1)
sys.exit(code[0] if code else "the process that runs the command was killed")
"""


@contextmanager
def commands(folder: Path) -> Iterator[Path]:
    """The folder with the commands. It must be a short path: sockets allow about 100 characters."""
    address, shims = str(folder / "socket"), folder / "bin"
    shims.mkdir()
    for name in COMMANDS:
        shim = shims / name
        shim.write_text(_SHIM.format(python=sys.executable, address=address))
        shim.chmod(0o755)
    started = [sys.executable, "-P", __file__, address]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(started, cwd=folder, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield shims
        finally:
            process.terminate()


def _import_everything() -> None:
    for name in (
        "dagster._cli",
        "dagster_contracts.plugin",
        "dagster_contracts.cli.app",
        "polars",
        "psycopg",
        "alembic.command",
        "rich.table",
    ):
        import_module(name)


def script() -> None:
    """`python FILE.py`."""
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent.resolve()))
    runpy.run_path(sys.argv[0], run_name="__main__")


def _commanded(listener: socket.socket) -> str:
    """Forks for each command; comes back in the process that is to run it, with its name."""
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        length, files, _, _ = socket.recv_fds(connection, 4, 3)
        told = connection.recv(int.from_bytes(length), socket.MSG_WAITALL)
        running = os.fork()
        if running:
            _, status = os.waitpid(running, 0)
            if os.WIFEXITED(status):
                connection.send(bytes([os.WEXITSTATUS(status)]))
            os._exit(0)
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        # As Python opens them when it starts: what they were is known of the files that are there now no more.
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        name, arguments, place, environment = json.loads(told)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(place)
        sys.argv = [name, *arguments]
        return name


def _serve(address: str) -> None:
    _import_everything()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has waited for a command is waited for by nobody
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        name = _commanded(listener)
    module, function = COMMANDS[name]
    os._exit(_ended(getattr(import_module(module), function)))


def _ended(command: Callable[[], object]) -> int:
    """The code that a command ends with, and all that Python does at the end but to take every object apart."""
    try:
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    _serve(sys.argv[1])
