"""The tables. A column is named after the field it holds; what no query looks into is JSON.

Free text (causes, messages, notes, reasons) is JSON too: it may quote a vendor's data, and PostgreSQL's text cannot hold every character
(NUL, lone surrogates) while JSON's escapes can. JSON and not JSONB, which refuses the same characters.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

VERSION_TABLE = "dagster_contracts_version"  # not alembic_version: that one is Dagster's in a shared database


class Instant(TypeDecorator[datetime]):
    """An aware instant, in UTC. On SQLite text of fixed width, so that it sorts as time does and keeps its microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = String(27) if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the store takes aware times only, got {value.isoformat()} without a time zone")
        value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z") if dialect.name == "sqlite" else value

    def process_result_value(self, value: object | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(found, datetime)
        return found.astimezone(UTC)


# Byte order on both databases: the same as Python's order of text, whatever the locale of the database.
Key = Text().with_variant(Text(collation="C"), "postgresql")
Document = JSON(none_as_null=True)
# SQLite numbers rows itself only in a column that is exactly INTEGER PRIMARY KEY.
Number = BigInteger().with_variant(Integer(), "sqlite")


def _indexed(name: str, *columns: str, among: str) -> Index:
    """An index of the rows that are asked for through it. Most batches are over, and an index that leaves them out costs a write nothing.

    On SQLite of all rows: there a condition must be repeated word by word by each query.
    """
    return Index(name, *columns, postgresql_where=text(among))


metadata = MetaData()
version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))  # Alembic's own: it makes and fills it

breakers = Table(
    "contracts_breakers",
    metadata,
    Column("key", Key, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("state", Key, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("contract_version", Key, nullable=False),
    Column("since", Instant),
    Column("opened_at", Instant),
    Column("incident", BigInteger, nullable=False, server_default=text("0")),
    Column("retry_at", Instant),
    Column("reopened", BigInteger, nullable=False),
    Column("event_sequence", BigInteger, nullable=False),
    Column("cause", Document, nullable=False),
    Column("findings", Document, nullable=False),
    Column("failed_rules", Document, nullable=False),
    Column("window", Document, nullable=False),
    Column("probed", Document, nullable=False),
    Column("passed", Document, nullable=False),
    Column("lease", Document),
    Column("override", Document),
    Column("overdue", Document, nullable=False, server_default=text("'[]'")),
    Column("contents", Document, nullable=False, server_default=text("'[]'")),
    Column("policy", Document, nullable=False),
    Index("contracts_breakers_due", "state", "retry_at"),
)

transitions = Table(
    "contracts_transitions",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("key", Key, nullable=False),
    Column("from_state", Key, nullable=False),
    Column("to_state", Key, nullable=False),
    Column("cause", Document, nullable=False),
    Column("at", Instant, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("batch_id", Key),
    Column("actor", Key),
    Column("shadow", Boolean, nullable=False),
    Index("contracts_transitions_of_breaker", "key", "number"),
)

# Order of arrival. On SQLite, where one transaction writes at a time, it is the highest number plus one.
arrivals = Sequence("contracts_arrivals", metadata=metadata)

# `place` is the partition's key, empty for unpartitioned assets; `ends_at` and `dimensions` (JSON text) are what last good looks for.
batches = Table(
    "contracts_batches",
    metadata,
    Column("id", Key, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("asset", Key, nullable=False),
    Column("breaker_key", Key, nullable=False),
    Column("place", Key, nullable=False),
    Column("ends_at", Instant),
    Column("dimensions", Key, nullable=False),
    Column("partition", Document, nullable=False),
    Column("data_version", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("contract_id", Key, nullable=False),
    Column("contract_version", Key, nullable=False),
    Column("outcome", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("confidence", Key, nullable=False),
    Column("arrived_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("head", Boolean, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("staged", Key),
    Column("storage_version", Key),
    Column("released", Document),
    Column("note", Document, nullable=False),
    Column("verdict", Document),
    # Only for what says so itself: else PostgreSQL walks it backwards to meet the newest of one asset, which may be the oldest of all.
    _indexed("contracts_batches_arrival", "sequence", among="sequence > 0"),
    Index("contracts_batches_of_asset", "asset", "sequence"),
    Index("contracts_batches_of_place", "asset", "place", "status", "sequence"),
    _indexed("contracts_batches_of_status", "status", "asset", "sequence", among="status <> 'discarded'"),
    _indexed("contracts_batches_last_good", "asset", "dimensions", "status", "ends_at", "sequence", among="status = 'published'"),
    _indexed("contracts_batches_newest_end", "breaker_key", "status", "ends_at", among="status <> 'discarded'"),
)

# `requested` is the key of the requested partition, empty for unpartitioned upstreams.
decisions = Table(
    "contracts_decisions",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("run_id", Key, nullable=False),
    Column("step", Key, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("consumer", Key, nullable=False),
    Column("upstream", Key, nullable=False),
    Column("requested", Key, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("route", Document, nullable=False),
    UniqueConstraint("run_id", "step", "attempt", "consumer", "upstream", "requested", name="contracts_decisions_once"),
    Index("contracts_decisions_of_consumer", "consumer", "decided_at"),
)

# `asked` is which places the inputs are of, for healing.py; NULL where an earlier version has written the row.
outputs = Table(
    "contracts_outputs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Key, nullable=False),
    Column("asset", Key, nullable=False),
    Column("place", Key, nullable=False),
    Column("partition", Document, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("confidence", Key),
    Column("inputs", Document, nullable=False),
    Column("asked", Document),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("id", name="contracts_outputs_id"),
    Index("contracts_outputs_of_place", "asset", "place", "status", "number"),
    Index("contracts_outputs_of_asset", "asset", "number"),
    Index("contracts_outputs_of_status", "status", "number"),
)

# `of_column` is the column's name as JSON; `good` that the batch was published on its own merit, also once it has been replaced.
profiles = Table(
    "contracts_profiles",
    metadata,
    Column("batch_id", Key, primary_key=True),
    Column("of_column", Key, primary_key=True),
    Column("categorical", Boolean, primary_key=True),
    Column("good", Boolean, nullable=False),
    Column("profile", LargeBinary, nullable=False),
)

# What was measured of the micro-batches of a time window, until the window has its verdict.
parts = Table(
    "contracts_parts",
    metadata,
    Column("batch_id", Key, primary_key=True),
    Column("key", Key, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("contract_version", Key, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index("contracts_parts_of_window", "key", "ends_at"),
)

reviews = Table(
    "contracts_reviews",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Key, nullable=False),
    Column("asset", Key, nullable=False),
    Column("partition", Document, nullable=False),
    Column("status", Key, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("reason", Document, nullable=False),
    Column("actor", Key),
    Column("decided_at", Instant),
    UniqueConstraint("id", name="contracts_reviews_id"),
    Index("contracts_reviews_of_status", "status", "number"),
    Index("contracts_reviews_of_asset", "asset", "number"),
)

events = Table(
    "contracts_events",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("key", Key, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Key, nullable=False),
    Column("at", Instant, nullable=False),
    Column("message", Document, nullable=False),
    Column("payload", Document, nullable=False),
    Column("incident", BigInteger),
    UniqueConstraint("key", "sequence", name="contracts_events_id"),
    _indexed("contracts_events_of_incident", "key", "incident", "sequence", among="incident IS NOT NULL"),
)

# How far each sink has been told of each breaker's events, and which relay is telling it now: free from `leased_until` on. A row with an
# empty key says that the sink is known; a breaker without a row is told from its first event on.
cursors = Table(
    "contracts_cursors",
    metadata,
    Column("sink", Key, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("holder", Key),
    Column("leased_until", Instant),
)

# What a sink has said of an incident ("<breaker key>#<number>"): where its thread is, and how much stands in it.
threads = Table(
    "contracts_threads",
    metadata,
    Column("sink", Key, primary_key=True),
    Column("incident", Key, primary_key=True),
    Column("thread", Document, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

# Every version of every contract that was registered, once. `document` is its text with the profile files that it names, packed;
# `binding` that it is in force from `valid_from` on, until a later number of its contract is.
versions = Table(
    "contracts_versions",
    metadata,
    Column("contract_id", Key, primary_key=True),
    Column("version", Key, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("content_hash", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("binding", Boolean, nullable=False),
    Column("producer", Document, nullable=False),
    Column("author", Key, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("accepted", Document),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("number", name="contracts_versions_order"),
    Index("contracts_versions_of_contract", "contract_id", "number"),
)

# Which assets a registered version names as consumers of its data.
uses = Table(
    "contracts_uses",
    metadata,
    Column("contract_id", Key, primary_key=True),
    Column("version", Key, primary_key=True),
    Column("consumer", Key, primary_key=True),
    Column("fallback", Key, nullable=False),
    Column("properties", Document, nullable=False),
    Index("contracts_uses_of_consumer", "consumer"),
)

# Assets that a contract may name as consumers: those that have one themselves, and those that somebody has registered.
assets = Table(
    "contracts_assets",
    metadata,
    Column("name", Key, primary_key=True),
    Column("author", Key, nullable=False),
    Column("registered_at", Instant, nullable=False),
)
