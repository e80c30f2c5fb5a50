"""The first tables: breakers with their history, batches, decisions, outputs, reviews, events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelled out and not imported: a migration stays what it was when the tables move on.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON()


def upgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        op.execute(sa.schema.CreateSequence(sa.Sequence("contracts_arrivals")))
    op.create_table(
        "contracts_breakers",
        sa.Column("key", KEY, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("contract_version", KEY, nullable=False),
        sa.Column("since", INSTANT),
        sa.Column("opened_at", INSTANT),
        sa.Column("retry_at", INSTANT),
        sa.Column("reopened", sa.BigInteger, nullable=False),
        sa.Column("event_sequence", sa.BigInteger, nullable=False),
        sa.Column("cause", DOCUMENT, nullable=False),
        sa.Column("findings", DOCUMENT, nullable=False),
        sa.Column("failed_rules", DOCUMENT, nullable=False),
        sa.Column("window", DOCUMENT, nullable=False),
        sa.Column("probed", DOCUMENT, nullable=False),
        sa.Column("passed", DOCUMENT, nullable=False),
        sa.Column("lease", DOCUMENT),
        sa.Column("override", DOCUMENT),
        sa.Column("policy", DOCUMENT, nullable=False),
    )
    op.create_index("contracts_breakers_due", "contracts_breakers", ["state", "retry_at"])
    op.create_table(
        "contracts_transitions",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("key", KEY, nullable=False),
        sa.Column("from_state", KEY, nullable=False),
        sa.Column("to_state", KEY, nullable=False),
        sa.Column("cause", DOCUMENT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("batch_id", KEY),
        sa.Column("actor", KEY),
        sa.Column("shadow", sa.Boolean, nullable=False),
    )
    op.create_index("contracts_transitions_of_breaker", "contracts_transitions", ["key", "number"])
    op.create_table(
        "contracts_batches",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("asset", KEY, nullable=False),
        sa.Column("breaker_key", KEY, nullable=False),
        sa.Column("place", KEY, nullable=False),
        sa.Column("ends_at", INSTANT),
        sa.Column("dimensions", KEY, nullable=False),
        sa.Column("partition", DOCUMENT, nullable=False),
        sa.Column("data_version", KEY, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("contract_id", KEY, nullable=False),
        sa.Column("contract_version", KEY, nullable=False),
        sa.Column("outcome", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("confidence", KEY, nullable=False),
        sa.Column("arrived_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("head", sa.Boolean, nullable=False),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("staged", KEY),
        sa.Column("storage_version", KEY),
        sa.Column("released", DOCUMENT),
        sa.Column("note", DOCUMENT, nullable=False),
        sa.Column("verdict", DOCUMENT),
    )
    op.create_index("contracts_batches_arrival", "contracts_batches", ["sequence"])
    op.create_index("contracts_batches_last_good", "contracts_batches", ["asset", "dimensions", "status", "ends_at", "sequence"])
    op.create_index("contracts_batches_newest_end", "contracts_batches", ["breaker_key", "status", "ends_at"])
    op.create_index("contracts_batches_of_asset", "contracts_batches", ["asset", "sequence"])
    op.create_index("contracts_batches_of_asset_status", "contracts_batches", ["asset", "status", "sequence"])
    op.create_index("contracts_batches_of_place", "contracts_batches", ["asset", "place", "status", "sequence"])
    op.create_index("contracts_batches_of_status", "contracts_batches", ["status", "sequence"])
    op.create_table(
        "contracts_decisions",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("step", KEY, nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("consumer", KEY, nullable=False),
        sa.Column("upstream", KEY, nullable=False),
        sa.Column("requested", KEY, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("route", DOCUMENT, nullable=False),
        sa.UniqueConstraint("run_id", "step", "attempt", "consumer", "upstream", "requested", name="contracts_decisions_once"),
    )
    op.create_table(
        "contracts_outputs",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", KEY, nullable=False),
        sa.Column("asset", KEY, nullable=False),
        sa.Column("place", KEY, nullable=False),
        sa.Column("partition", DOCUMENT, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("confidence", KEY),
        sa.Column("inputs", DOCUMENT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.UniqueConstraint("id", name="contracts_outputs_id"),
    )
    op.create_index("contracts_outputs_of_asset", "contracts_outputs", ["asset", "number"])
    op.create_index("contracts_outputs_of_place", "contracts_outputs", ["asset", "place", "status", "number"])
    op.create_index("contracts_outputs_of_status", "contracts_outputs", ["status", "number"])
    op.create_table(
        "contracts_reviews",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", KEY, nullable=False),
        sa.Column("asset", KEY, nullable=False),
        sa.Column("partition", DOCUMENT, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("reason", DOCUMENT, nullable=False),
        sa.Column("actor", KEY),
        sa.Column("decided_at", INSTANT),
        sa.UniqueConstraint("id", name="contracts_reviews_id"),
    )
    op.create_index("contracts_reviews_of_status", "contracts_reviews", ["status", "number"])
    op.create_table(
        "contracts_events",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("key", KEY, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("message", DOCUMENT, nullable=False),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("delivered_at", INSTANT),
        sa.UniqueConstraint("key", "sequence", name="contracts_events_id"),
    )
    undelivered = sa.text("delivered_at IS NULL")
    op.create_index("contracts_events_pending", "contracts_events", ["number"], postgresql_where=undelivered, sqlite_where=undelivered)


def downgrade() -> None:
    for name in ("events", "reviews", "outputs", "decisions", "batches", "transitions", "breakers"):
        op.drop_table(f"contracts_{name}")
    if op.get_context().dialect.name != "sqlite":
        op.execute(sa.schema.DropSequence(sa.Sequence("contracts_arrivals")))
