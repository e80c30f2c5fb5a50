"""Statements to PostgreSQL in one round trip, prepared under names made of their text.

psycopg's cursors prepare under names that each process counts for itself: behind a pooler that hands connections around, such a name
may stand for another process's statement. Here a name is a digest of the text, so it stands for that text only. Where the server does
not know a name that was prepared, or knows one already (a pooler gave us another connection), everything sent has been rolled back, and
is sent once more unprepared.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from sqlalchemy.exc import DBAPIError

from dagster_contracts.store.statement import Text, Values

Sent = tuple[Text, Values]
BEGIN: Sent = (Text("BEGIN ISOLATION LEVEL READ COMMITTED"), {})
COMMIT: Sent = (Text("COMMIT"), {})
_ERRORS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_NOTHING = b""  # among the names of a connection: it changes under us, and nothing is prepared on it any more
_POOLED = ("26000", "42P05")  # no prepared statement of that name; there is one already


def run(connection: psycopg.Connection[Any], prepared: set[bytes], statements: Sequence[Sent]) -> list[list[tuple[Any, ...]]]:
    """Send statements and wait once; the rows of each, decoded. `prepared`: the names that this connection knows; it grows.

    They are one transaction, unless they begin and end one themselves; nothing is executed after the first that fails. Raises what
    a cursor of SQLAlchemy would, and ValueError for values that the protocol cannot carry.
    """
    sent = [(text, text.sent(values)) for text, values in statements]
    pgconn = connection.pgconn
    inside = pgconn.transaction_status != pq.TransactionStatus.IDLE
    try:
        return _exchange(pgconn, prepared, sent)
    except psycopg.Error as error:
        if error.sqlstate in _POOLED and not inside and pgconn.status == pq.ConnStatus.OK:
            connection.rollback()
            return _once_more(pgconn, prepared, sent)
        raise _told(pgconn, error) from error


def has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection that nothing was asked of has something to be read: that it has ended, most often."""
    return _wait(connection.pgconn, seconds=0)


def answers(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server does, in one round trip."""
    return connection.pgconn.exec_(b"").status == pq.ExecStatus.EMPTY_QUERY


def _once_more(pgconn: pq.abc.PGconn, prepared: set[bytes], sent: Sequence[tuple[Text, list[bytes | None]]]) -> list[list[tuple[Any, ...]]]:
    prepared.clear()
    prepared.add(_NOTHING)
    try:
        return _exchange(pgconn, prepared, sent)
    except psycopg.Error as error:
        raise _told(pgconn, error) from error


def _told(pgconn: pq.abc.PGconn, error: psycopg.Error) -> DBAPIError:
    lost = pgconn.status != pq.ConnStatus.OK
    told = DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost)
    assert isinstance(told, DBAPIError)
    return told


def usable(connection: psycopg.Connection[Any]) -> bool:
    """Whether it can be asked something else: it is not lost, and nothing of an exchange is left on it."""
    pgconn = connection.pgconn
    return pgconn.status == pq.ConnStatus.OK and pgconn.pipeline_status == pq.PipelineStatus.OFF


def _exchange(pgconn: pq.abc.PGconn, prepared: set[bytes], sent: Sequence[tuple[Text, list[bytes | None]]]) -> list[list[tuple[Any, ...]]]:
    pgconn.enter_pipeline_mode()
    new: set[bytes] = set()
    readers: list[Text | bytes] = []  # what each result is of: a statement, or the name of one that is prepared
    for text, values in sent:
        if _NOTHING in prepared:
            pgconn.send_query_params(text.encoded, values)
        else:
            if text.name not in prepared and text.name not in new:
                pgconn.send_prepare(text.name, text.encoded)
                new.add(text.name)
                readers.append(text.name)
            pgconn.send_query_prepared(text.name, values)
        readers.append(text)
    pgconn.pipeline_sync()
    _flush(pgconn)
    found: list[list[tuple[Any, ...]]] = []
    for reader in readers:
        result = _result(pgconn)
        if isinstance(reader, bytes):
            prepared.add(reader)  # at once: what fails afterwards is rolled back, and this is not
        else:
            found.append(_rows(reader, result))
    _synchronized(pgconn)
    return found


def _flush(pgconn: pq.abc.PGconn) -> None:
    """Send all there is; the server may want to be read from meanwhile."""
    while pgconn.flush():
        _wait(pgconn, writing=True)
        pgconn.consume_input()


def _result(pgconn: pq.abc.PGconn) -> pq.abc.PGresult:
    """The next result. Raises psycopg's error where it is one, once everything else has been read."""
    result = _next(pgconn)
    if result is None:
        raise _lost(pgconn)
    if result.status in _ERRORS:
        error = _error_of(result)
        with suppress(psycopg.OperationalError):  # the server has closed the connection: the first error says why
            _settle(pgconn)
        raise error
    ended = _next(pgconn)
    assert ended is None, "one result for each statement"
    return result


def _next(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    """Waits without holding Python's lock: the transaction that we wait for may be another thread's."""
    while pgconn.is_busy():
        _wait(pgconn)
        pgconn.consume_input()
    return pgconn.get_result()


def _wait(pgconn: pq.abc.PGconn, *, writing: bool = False, seconds: float | None = None) -> bool:
    """Whether the server has sent something (or, with `writing`, would take something) within the time."""
    if not hasattr(select, "poll"):  # Windows, where select knows no limit to the numbers of sockets
        ready = select.select([pgconn.socket], [pgconn.socket] if writing else [], [], seconds)
        return any(ready)
    waiting = select.poll()
    waiting.register(pgconn.socket, select.POLLIN | (select.POLLOUT if writing else 0))
    return bool(waiting.poll(None if seconds is None else seconds * 1000))


def _settle(pgconn: pq.abc.PGconn) -> None:
    """Read up to the end of what was sent, so that the connection can be used again, unless it is lost."""
    while pgconn.status == pq.ConnStatus.OK:
        result = _next(pgconn)
        if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
            pgconn.exit_pipeline_mode()
            return


def _synchronized(pgconn: pq.abc.PGconn) -> None:
    """The end of what was sent. A transaction that nobody began is committed here, and may fail here."""
    end = _next(pgconn)
    if end is not None and end.status in _ERRORS:
        error = _error_of(end)
        with suppress(psycopg.OperationalError):
            _settle(pgconn)
        raise error
    if end is None or end.status != pq.ExecStatus.PIPELINE_SYNC:
        raise _lost(pgconn)
    pgconn.exit_pipeline_mode()


def _lost(pgconn: pq.abc.PGconn) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"the connection is lost: {pgconn.error_message.decode(errors='replace').strip()}")


def _error_of(result: pq.abc.PGresult) -> psycopg.Error:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    told = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    detail = result.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b""
    message = b"\n".join(part for part in (told, detail) if part).decode(errors="replace")
    kind: type[psycopg.Error] = psycopg.OperationalError
    if state is not None:
        with suppress(KeyError):
            kind = psycopg.errors.lookup(state.decode())
    return kind(message)


def _rows(text: Text, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
    if not text.decoders:
        return []
    columns = range(result.nfields)
    return [text.decoded([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]
