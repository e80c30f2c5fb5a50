"""Incidents have numbers; sinks have a cursor for each breaker, and remember their threads; windows keep parts
until they are over.

Until now an event was delivered to the log alone, and marked. The log's cursors begin where those marks ended: before the first event of
each breaker that was not marked.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Spelled out and not imported: a migration stays what it was when the tables move on.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


_CURSORS_OF_THE_LOG = """
    INSERT INTO contracts_cursors (sink, key, sequence)
    SELECT 'log', key, COALESCE(MIN(CASE WHEN delivered_at IS NULL THEN sequence END) - 1, MAX(sequence))
    FROM contracts_events GROUP BY key"""
# Where nothing was recorded yet no sink is known: all that are there at the first event begin with it.
_THE_LOG_IS_KNOWN = """
    INSERT INTO contracts_cursors (sink, key, sequence) SELECT 'log', '', 0 WHERE EXISTS (SELECT 1 FROM contracts_events)"""
# Back: an event is marked where every sink was told. Forward again all begin where the slowest stood: told twice rather than never.
_MARKS_OF_ALL = """
    UPDATE contracts_events SET delivered_at = at WHERE sequence <= (
        SELECT MIN(COALESCE(own.sequence, 0)) FROM contracts_cursors AS known
        LEFT JOIN contracts_cursors AS own ON own.sink = known.sink AND own.key = contracts_events.key
        WHERE known.key = '')"""


def upgrade() -> None:
    op.add_column("contracts_breakers", sa.Column("incident", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("contracts_events", sa.Column("incident", sa.BigInteger))
    op.create_index("contracts_events_of_incident", "contracts_events", ["key", "incident", "sequence"])
    op.create_index("contracts_decisions_of_consumer", "contracts_decisions", ["consumer", "decided_at"])
    op.create_table(
        "contracts_cursors",
        sa.Column("sink", KEY, primary_key=True),
        sa.Column("key", KEY, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("holder", KEY),
        sa.Column("leased_until", INSTANT),
    )
    op.execute(_CURSORS_OF_THE_LOG)
    op.execute(_THE_LOG_IS_KNOWN)
    op.drop_index("contracts_events_pending", "contracts_events")
    op.drop_column("contracts_events", "delivered_at")
    op.create_table(
        "contracts_threads",
        sa.Column("sink", KEY, primary_key=True),
        sa.Column("incident", KEY, primary_key=True),
        sa.Column("thread", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
    )

    op.create_table(
        "contracts_parts",
        sa.Column("batch_id", KEY, primary_key=True),
        sa.Column("key", KEY, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("contract_version", KEY, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("contracts_parts_of_window", "contracts_parts", ["key", "ends_at"])


def downgrade() -> None:
    op.drop_index("contracts_parts_of_window", "contracts_parts")
    op.drop_table("contracts_parts")
    op.drop_table("contracts_threads")
    op.add_column("contracts_events", sa.Column("delivered_at", INSTANT))
    op.execute(_MARKS_OF_ALL)
    undelivered = sa.text("delivered_at IS NULL")
    op.create_index("contracts_events_pending", "contracts_events", ["number"], postgresql_where=undelivered, sqlite_where=undelivered)
    op.drop_table("contracts_cursors")
    op.drop_index("contracts_decisions_of_consumer", "contracts_decisions")
    op.drop_index("contracts_events_of_incident", "contracts_events")
    op.drop_column("contracts_events", "incident")
    op.drop_column("contracts_breakers", "incident")
