"""A TCP port in front of a server's socket, whose connections are cut at a round trip that a test names."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_MOST = 1 << 20  # of one message; a client waits for its answer before it sends the next


@dataclass
class Wire:
    """Hands on what clients and the server say. Counts what clients send, since `watch`."""

    server: Path
    listener: socket.socket
    passed: int = 0
    cut_at: int | None = None
    answered: bool = False
    open: set[socket.socket] = field(default_factory=set)

    @property
    def port(self) -> int:
        found: int = self.listener.getsockname()[1]
        return found

    def watch(self, cut_at: int | None = None, *, answered: bool = False) -> None:
        """Count from 0. The connection that sends message `cut_at` is cut: before the server sees it, or (`answered`) once the server has
        answered, and before the client sees that."""
        self.passed, self.cut_at, self.answered = 0, cut_at, answered

    def cut(self) -> None:
        """Every connection, now."""
        for each in list(self.open):
            _close(each)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # the wire is taken down
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.server))
            except OSError:  # the server is down: so is what stands in front of it
                client.close()
                continue
            self.open |= {client, server}
            threading.Thread(target=self._hand_on, args=(client, server), daemon=True).start()

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                speaking, _, _ = select.select([client, server], [], [])
                if server in speaking:
                    _pass(server, client)
                elif self._is_cut(client, server):
                    return
        except (OSError, ValueError):  # one of the two is gone
            return
        finally:
            self.open -= {client, server}
            _close(client)
            _close(server)

    def _is_cut(self, client: socket.socket, server: socket.socket) -> bool:
        number, self.passed = self.passed, self.passed + 1
        if number == self.cut_at and not self.answered:
            return True
        _pass(client, server)
        if number != self.cut_at:
            return False
        while server not in select.select([client, server], [], [])[0]:
            _pass(client, server)  # what was asked came in pieces
        return True


def _pass(source: socket.socket, target: socket.socket) -> None:
    said = source.recv(_MOST)
    if not said:
        raise OSError("closed")
    target.sendall(said)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):  # shut already, by its other end
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def wire(server: Path) -> Iterator[Wire]:
    """In front of the socket in the folder `server`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Wire(server / ".s.PGSQL.5432", listener)
        serving = threading.Thread(target=made.serve, daemon=True)
        serving.start()
        try:
            yield made
        finally:
            _close(listener)
            serving.join(10)
            made.cut()
