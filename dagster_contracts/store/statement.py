"""A SQL statement that is compiled once per kind of database, and its values on their way in and out.

SQLAlchemy writes the SQL. What it does anew for each execution (cache keys, type processors, result objects) costs more than the
database does, so statements of every batch and every decision are run by their text: on SQLite by `exec_driver_sql`, on PostgreSQL by
`wire.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import JSON, Boolean, ColumnElement, Connection, Dialect, LargeBinary, literal_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import StatementError
from sqlalchemy.sql.elements import CompilerElement

from dagster_contracts.store.tables import Instant

Values = Mapping[str, Any]
Decoder = Callable[[Any], Any]
_POSTGRES = asyncpg.dialect()  # type: ignore[no-untyped-call]  # for its text: parameters as the protocol numbers them, each with its type
_SQLITE = sqlite.dialect()


def among(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """`column` is one of these words of ours, which stand in the text of the statement."""
    return column.in_([word(value) for value in values])


def word(value: str) -> ColumnElement[Any]:
    """A word of ours (letters and underscores) as a literal: planners know how frequent it is."""
    assert value.replace("_", "").isalpha()
    return literal_column(f"'{value}'")


class Statement:
    """`of` makes the statement for a dialect. `guard`: it must touch a row, else the transaction ends (on PostgreSQL by an error)."""

    def __init__(self, of: Callable[[Dialect], CompilerElement], *, guard: bool = False):
        self._of = of
        self.guard = guard

    @cached_property
    def postgres(self) -> Text:
        return Text.of(self._of(_POSTGRES), _POSTGRES, guard=self.guard)

    @cached_property
    def sqlite(self) -> Text:
        return Text.of(self._of(_SQLITE), _SQLITE)

    def on_sqlite(self, connection: Connection, values: Values) -> list[tuple[Any, ...]]:
        """Run it inside a transaction of SQLite; the rows it returns, decoded."""
        text = self.sqlite
        found = connection.exec_driver_sql(text.sql, tuple(_for_sqlite(value) for value in text.given(values)))
        if not found.returns_rows:
            return []
        return [text.decoded(row) for row in found]


class Text:
    """The SQL of a statement for one database, the order of its parameters, and how its columns are read."""

    def __init__(self, sql: str, parameters: Sequence[str] = (), decoders: Sequence[Decoder] = (), constants: Values | None = None):
        self.sql = sql
        self.constants = dict(constants or {})
        self.encoded = sql.encode()
        self.parameters = tuple(parameters)
        self.decoders = tuple(decoders)
        # Named after what it says: whoever prepared it on this connection of the server, through whatever pooler, meant the same.
        self.name = b"contracts_" + hashlib.sha256(self.encoded).hexdigest()[:32].encode()

    @classmethod
    def of(cls, statement: CompilerElement, dialect: Dialect, *, guard: bool = False) -> Text:
        compiled: Any = statement.compile(dialect=dialect)
        sql = f"WITH won AS ({compiled}) SELECT 1 / count(*) FROM won" if guard else str(compiled)  # noqa: S608 - our own statement
        columns = [] if guard else list(getattr(statement, "exported_columns", ()))
        find = _postgres_decoder if dialect is _POSTGRES else _sqlite_decoder
        names = compiled.positiontup or ()
        constants = {name: value for name, value in compiled.construct_params(_check=False).items() if not compiled.binds[name].required}
        return cls(sql, names, [find(column.type) for column in columns], constants)

    def sent(self, values: Values) -> list[bytes | None]:
        """The values of the parameters, in their order, as PostgreSQL's protocol carries them: as text.

        Raises StatementError for text with NUL, which libpq would cut off there.
        """
        found = [value.encode() if type(value) is str else for_postgres(value) for value in self.given(values)]
        if b"\0" in b"".join(filter(None, found)):
            raise _unfit("PostgreSQL's text cannot hold NUL (0x00) characters")
        return found

    def given(self, values: Values) -> list[Any]:
        """The values of the parameters, in their order."""
        known = {**self.constants, **values} if self.constants else values
        return [known[name] for name in self.parameters]

    def decoded(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(None if value is None else decode(value) for decode, value in zip(self.decoders, row, strict=True))


# --- on their way in -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)  # a verdict has the same few moments in many places
def instant_text(value: datetime) -> str:
    """RFC 3339 UTC of fixed width: sorts as time does."""
    if value.tzinfo is None:
        raise _unfit(f"the store takes aware times only, got {value.isoformat()} without a time zone")
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def for_postgres(value: Any) -> bytes | None:
    form = _FORMS.get(type(value))
    if form is None:  # found once per type: a verdict has some hundred values of a few types
        form = _FORMS[type(value)] = _form_of(value)
    return form(value)


def _form_of(value: Any) -> Callable[[Any], bytes | None]:
    if isinstance(value, Enum) and not isinstance(value, str):
        return lambda word: for_postgres(word.value)
    return next((form for kind, form in _FORMS.items() if isinstance(value, kind)), lambda other: str(other).encode())


_FORMS: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda nothing: None,
    bool: lambda truth: b"t" if truth else b"f",
    int: lambda number: b"%d" % number,
    str: str.encode,
    datetime: lambda moment: instant_text(moment).encode(),
    bytes: lambda content: b"\\x" + content.hex().encode(),
}


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    return value.value if isinstance(value, Enum) else value


def _unfit(why: str) -> StatementError:
    """As SQLAlchemy's own types tell it."""
    return StatementError(why, None, None, ValueError(why))


# --- on their way out ----------------------------------------------------------------------------------------------


def _instant(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


def _same(value: Any) -> Any:
    return value


def _sqlite_decoder(kind: Any) -> Decoder:
    if isinstance(kind, Instant):
        return _instant
    if isinstance(kind, JSON):
        return json.loads
    return bool if isinstance(kind, Boolean) else _same


def _postgres_decoder(kind: Any) -> Decoder:
    if isinstance(kind, Instant):
        return lambda value: _instant(value.decode())
    if isinstance(kind, JSON):
        return json.loads
    if isinstance(kind, Boolean):
        return lambda value: bool(value == b"t")
    if isinstance(kind, LargeBinary):
        return lambda value: bytes.fromhex(value[2:].decode())
    return int if kind.python_type is int else bytes.decode
