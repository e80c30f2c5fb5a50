"""Versions of contracts are registered, with who consumes what; breakers know of edits; indexes hold what is asked through them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Spelled out and not imported: a migration stays what it was when the tables move on.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    op.create_table(
        "contracts_versions",
        sa.Column("contract_id", KEY, primary_key=True),
        sa.Column("version", KEY, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("content_hash", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("binding", sa.Boolean, nullable=False),
        sa.Column("producer", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("author", KEY, nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("accepted", sa.JSON(none_as_null=True)),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("number", name="contracts_versions_order"),
    )
    op.create_index("contracts_versions_of_contract", "contracts_versions", ["contract_id", "number"])
    op.create_table(
        "contracts_uses",
        sa.Column("contract_id", KEY, primary_key=True),
        sa.Column("version", KEY, primary_key=True),
        sa.Column("consumer", KEY, primary_key=True),
        sa.Column("fallback", KEY, nullable=False),
        sa.Column("properties", sa.JSON(none_as_null=True), nullable=False),
    )
    op.create_index("contracts_uses_of_consumer", "contracts_uses", ["consumer"])
    op.create_table(
        "contracts_assets",
        sa.Column("name", KEY, primary_key=True),
        sa.Column("author", KEY, nullable=False),
        sa.Column("registered_at", INSTANT, nullable=False),
    )
    op.add_column("contracts_breakers", sa.Column("contents", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    op.create_index("contracts_reviews_of_asset", "contracts_reviews", ["asset", "number"])
    op.add_column("contracts_outputs", sa.Column("asked", sa.JSON(none_as_null=True)))
    _index(partly=True)


def downgrade() -> None:
    _index(partly=False)
    op.drop_column("contracts_outputs", "asked")
    op.drop_column("contracts_breakers", "contents")
    op.drop_index("contracts_reviews_of_asset", "contracts_reviews")
    op.drop_table("contracts_assets")
    op.drop_index("contracts_uses_of_consumer", "contracts_uses")
    op.drop_table("contracts_uses")
    op.drop_index("contracts_versions_of_contract", "contracts_versions")
    op.drop_table("contracts_versions")


def _index(*, partly: bool) -> None:
    """On PostgreSQL: the rows that are asked for through an index, or all as before. On SQLite always all."""
    for name in _BEFORE if partly else _NOW:
        op.drop_index(name, "contracts_batches")
    for name, (columns, asked) in (_NOW if partly else _BEFORE).items():
        op.create_index(name, "contracts_batches", columns, postgresql_where=None if asked is None else sa.text(asked))
    if op.get_context().dialect.name == "sqlite":
        return
    for name, (table, columns, asked) in _INDEXES.items():
        op.drop_index(name, table)
        op.create_index(name, table, columns, postgresql_where=sa.text(asked) if partly else None)


_BEFORE: dict[str, tuple[list[str], str | None]] = {
    "contracts_batches_of_status": (["status", "sequence"], None),
    "contracts_batches_of_asset_status": (["asset", "status", "sequence"], None),
}
_NOW: dict[str, tuple[list[str], str | None]] = {
    "contracts_batches_of_status": (["status", "asset", "sequence"], "status <> 'discarded'"),
}
_INDEXES = {
    "contracts_batches_arrival": ("contracts_batches", ["sequence"], "sequence > 0"),
    "contracts_batches_last_good": (
        "contracts_batches",
        ["asset", "dimensions", "status", "ends_at", "sequence"],
        "status = 'published'",
    ),
    "contracts_batches_newest_end": ("contracts_batches", ["breaker_key", "status", "ends_at"], "status <> 'discarded'"),
    "contracts_events_of_incident": ("contracts_events", ["key", "incident", "sequence"], "incident IS NOT NULL"),
}
