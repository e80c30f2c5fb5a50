"""`SqlRegistry`: registered contracts on PostgreSQL or SQLite, in the database of the breakers."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect, Select, bindparam, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from dagster_contracts.core.contract import Contract, Fallback
from dagster_contracts.core.errors import Problem, StoreUnavailable
from dagster_contracts.core.odcs import reread
from dagster_contracts.core.registry import (
    Admission,
    Entry,
    Known,
    Published,
    Registered,
    Submission,
    Use,
    admit,
    assets_of,
    binding,
    edited,
    producer_of,
    uses_of,
)
from dagster_contracts.ports import Clock, StoreClock
from dagster_contracts.store import reading, tables
from dagster_contracts.store.connect import parse as address_of
from dagster_contracts.store.database import Database
from dagster_contracts.store.statement import Statement

_DATABASE_CLOCK = StoreClock()
_versions, _uses, _assets = tables.versions.columns, tables.uses.columns, tables.assets.columns
_ENTRY = [each.name for each in fields(Entry)]
_RACES = 20  # publications by others that one may meet
_LOCK = (0x646331, 1)  # 0 is that of upgrades
_IDS = 500  # contracts in one question


class SqlRegistry:
    """`ports.ContractRegistry` on a database. `url` and errors are those of `SqlStore`; nothing is opened before the first question."""

    def __init__(self, url: str, *, clock: Clock = _DATABASE_CLOCK):
        self._address = address_of(url)
        self._clock = clock
        self._databases: dict[int, Database] = {}

    def __repr__(self) -> str:
        return f"SqlRegistry({self._address})"

    def __getstate__(self) -> dict[str, object]:
        return {"_address": self._address, "_clock": self._clock, "_databases": {}}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @property
    def _database(self) -> Database:
        found = self._databases.get(os.getpid())  # by process: see SqlStore
        return found or self._databases.setdefault(os.getpid(), Database(self._address))

    # --- read ------------------------------------------------------------------------------------------------------

    def get(self, contract_id: str, version: str) -> Registered | None:
        rows = self._database.read(_EXACT, {"contract_id": contract_id, "version": version})
        return _registered(rows[0]) if rows else None

    def in_force(self, contract_id: str, at: datetime | None = None) -> Registered | None:
        moment = at or self._clock.now()
        rows = self._database.read(_NOW if moment is None else _AT, {"contract_id": contract_id, "at": moment})
        return _registered(rows[0]) if rows else None

    def entries(self, contract_id: str | None = None, *, limit: int = 1000) -> Sequence[Entry]:
        query = select(*(_versions[name] for name in _ENTRY)).order_by(_versions.number.desc()).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(query if contract_id is None else query.where(_versions.contract_id == contract_id))
            return [Entry(*row) for row in rows]

    def latest(self, *, limit: int = 1000) -> Sequence[Entry]:
        newest = select(func.max(_versions.number)).group_by(_versions.contract_id)
        query = select(*(_versions[name] for name in _ENTRY)).where(_versions.number.in_(newest))
        with self._database.reading() as connection:
            return [Entry(*row) for row in connection.execute(query.order_by(_versions.contract_id).limit(limit))]

    def uses(self, contract_id: str | None = None, *, consumer: str | None = None, limit: int = 1000) -> Sequence[Use]:
        newest = select(func.max(_versions.number)).group_by(_versions.contract_id)
        query = (
            select(_uses.contract_id, _uses.version, _uses.consumer, _uses.fallback, _uses.properties)
            .join(tables.versions, (_versions.contract_id == _uses.contract_id) & (_versions.version == _uses.version))
            .where(_versions.number.in_(newest))
            .order_by(_uses.contract_id, _uses.consumer)
            .limit(limit)
        )
        if contract_id is not None:
            query = query.where(_uses.contract_id == contract_id)
        if consumer is not None:
            query = query.where(_uses.consumer == consumer)
        with self._database.reading() as connection:
            return [_use(row) for row in connection.execute(query)]

    def consumers(self) -> Sequence[str]:
        with self._database.reading() as connection:
            return list(connection.execute(select(_assets.name).order_by(_assets.name)).scalars())

    def edited(self, submissions: Sequence[Submission]) -> Sequence[Problem]:
        return edited(submissions, self._known(submissions, frozenset())[1])

    # --- write -----------------------------------------------------------------------------------------------------

    def publish(
        self, submissions: Sequence[Submission], *, author: str, consumers: Iterable[str] = (), accepted: str | None = None
    ) -> Published:
        for _ in range(_RACES):
            seen, known = self._known(submissions, frozenset(consumers))
            new = admit(submissions, known, accepted=accepted)
            published = self._add(seen, new, author)
            if published is not None:
                names = {(each.contract.id, each.contract.version) for each in submissions}
                old = (entry for several in known.entries.values() for entry in several if (entry.contract_id, entry.version) in names)
                return Published(published, tuple(old))
        raise StoreUnavailable(f"others published {_RACES} times while this was being checked; nothing was registered; try again")

    def add_consumers(self, names: Iterable[str], *, author: str) -> None:
        with self._database.writing() as connection:
            _add_assets(connection, names, author, self._clock.now() or reading.now(connection))

    def _known(self, submissions: Sequence[Submission], consumers: frozenset[str]) -> tuple[int, Known]:
        """What is registered of these contracts, as of a number of the registry."""
        ids = list(dict.fromkeys(each.contract.id for each in submissions))
        named = {name for each in submissions for name in each.contract.policy.consumers}
        entries: dict[str, list[Entry]] = {}
        with self._database.reading() as connection:
            seen, now = _newest(connection), self._clock.now() or reading.now(connection)
            for some in _chunks(ids):
                query = select(*(_versions[name] for name in _ENTRY)).where(_versions.contract_id.in_(some)).order_by(_versions.number)
                for row in connection.execute(query):
                    entries.setdefault(row.contract_id, []).append(Entry(*row))
            changing = [each for each in submissions if _differs(each.contract, entries)]
            latest = _latest(
                connection, {each.contract.id: entries[each.contract.id][-1] for each in changing if each.contract.id in entries}
            )
            former = _documents(connection, [entry.number for each in submissions for entry in _otherwise(each.contract, entries)])
            strangers = named - consumers - {name for each in submissions for name in assets_of(each.contract)}
            registered = _names(connection, strangers)
        return seen, Known(now, entries, latest, {each.entry.name: each for each in former}, consumers | registered)

    def _add(self, seen: int, new: Sequence[Admission], author: str) -> tuple[Entry, ...] | None:
        """None where somebody else has registered something since number `seen`. One publication at a time."""
        if not new:
            return ()
        with self._database.writing() as connection:
            if connection.dialect.name != "sqlite":
                connection.execute(select(func.pg_advisory_xact_lock(*_LOCK)))  # a lock of the table takes a right to change it
            if _newest(connection) != seen:
                return None
            now = self._clock.now() or reading.now(connection)
            entries = [_entry(each, seen + place, author, now) for place, each in enumerate(new, 1)]
            rows = [{**_row(entry), "document": _packed(each.submission)} for entry, each in zip(entries, new, strict=True)]
            connection.execute(insert(tables.versions), rows)
            if used := [_use_row(use) for each in new for use in uses_of(each.submission.contract)]:
                connection.execute(insert(tables.uses), used)
            _add_assets(connection, (name for each in new for name in assets_of(each.submission.contract)), author, now)
        return tuple(entries)


def _entry(admission: Admission, number: int, author: str, now: datetime) -> Entry:
    contract = admission.submission.contract
    return Entry(
        contract_id=contract.id,
        version=contract.version,
        number=number,
        content_hash=contract.content_hash,
        status=contract.status,
        binding=binding(contract),
        producer=producer_of(contract),
        author=author,
        published_at=now,
        valid_from=max(now, contract.valid_from or now),
        accepted=admission.accepted,
    )


# --- statements ----------------------------------------------------------------------------------------------------


def _text(name: str) -> Any:
    return bindparam(name, type_=tables.Key, required=True)


def _selected() -> Select[Any]:
    return select(*(_versions[name] for name in _ENTRY), _versions.document).where(_versions.contract_id == _text("contract_id"))


def _in_force(moment: Any) -> Select[Any]:
    return _selected().where(_versions.binding, _versions.valid_from <= moment).order_by(_versions.number.desc()).limit(1)


def _at_now(dialect: Dialect) -> Select[Any]:
    if dialect.name == "sqlite":
        return _in_force(func.strftime("%Y-%m-%dT%H:%M:%f999Z", "now"))  # its clock has milliseconds, our instants six digits
    return _in_force(func.now())


_EXACT = Statement(lambda dialect: _selected().where(_versions.version == _text("version")))
_AT = Statement(lambda dialect: _in_force(bindparam("at", type_=tables.Instant(), required=True)))
_NOW = Statement(_at_now)


def _newest(connection: Connection) -> int:
    return connection.execute(select(func.max(_versions.number))).scalar() or 0


def _latest(connection: Connection, wanted: Mapping[str, Entry]) -> dict[str, Contract]:
    return {each.entry.contract_id: each.contract for each in _documents(connection, [entry.number for entry in wanted.values()])}


def _documents(connection: Connection, numbers: Sequence[int]) -> list[Registered]:
    query = select(*(_versions[name] for name in _ENTRY), _versions.document)
    return [_registered(row) for some in _chunks(numbers) for row in connection.execute(query.where(_versions.number.in_(some)))]


def _add_assets(connection: Connection, names: Iterable[str], author: str, now: datetime) -> None:
    rows = [{"name": name, "author": author, "registered_at": now} for name in dict.fromkeys(names)]
    if rows:
        kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(kind(tables.assets).on_conflict_do_nothing(), rows)


def _names(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are registered."""
    found: set[str] = set()
    for some in _chunks(sorted(names)):
        found.update(connection.execute(select(_assets.name).where(_assets.name.in_(some))).scalars())
    return frozenset(found)


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _IDS] for start in range(0, len(items), _IDS))


# --- rows ----------------------------------------------------------------------------------------------------------


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _ENTRY}


def _use_row(use: Use) -> dict[str, Any]:
    return {**{each.name: getattr(use, each.name) for each in fields(Use)}, "properties": list(use.properties)}


def _use(row: Any) -> Use:
    contract_id, version, consumer, fallback, properties = row
    return Use(contract_id, version, consumer, Fallback(fallback), tuple(properties))


def _differs(contract: Contract, entries: Mapping[str, Sequence[Entry]]) -> bool:
    return all(entry.version != contract.version for entry in entries.get(contract.id, ()))


def _otherwise(contract: Contract, entries: Mapping[str, Sequence[Entry]]) -> Iterator[Entry]:
    """Its version, where that is registered with another content."""
    for entry in entries.get(contract.id, ()):
        if entry.version == contract.version and entry.content_hash != contract.content_hash:
            yield entry


def _packed(each: Submission) -> bytes:
    document = {"text": each.text, "profiles": dict(each.profiles)}
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode("ascii"))


def _registered(row: Sequence[Any]) -> Registered:
    *values, packed = row
    entry = Entry(*values)
    document = json.loads(zlib.decompress(packed))
    contract = reread(document["text"], source=f"registry:{entry.name}")
    profiles: Mapping[str, str] = document["profiles"]
    objects = tuple(replace(obj, profiles=profiles) for obj in contract.objects) if profiles else contract.objects
    return Registered(entry, replace(contract, objects=objects, content_hash=entry.content_hash), document["text"], profiles)
