"""Incidents have numbers; sinks have a cursor for each breaker, and remember their threads."""

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
    op.create_table(
        "contracts_threads",
        sa.Column("sink", KEY, primary_key=True),
        sa.Column("incident", KEY, primary_key=True),
        sa.Column("thread", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("contracts_threads")
    op.drop_table("contracts_cursors")
    op.drop_index("contracts_decisions_of_consumer", "contracts_decisions")
    op.drop_index("contracts_events_of_incident", "contracts_events")
    op.drop_column("contracts_events", "incident")
    op.drop_column("contracts_breakers", "incident")
