"""Profiles of batches, for the rules that compare a batch with good ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "contracts_profiles",
        sa.Column("batch_id", KEY, primary_key=True),
        sa.Column("of_column", KEY, primary_key=True),
        sa.Column("categorical", sa.Boolean, primary_key=True),
        sa.Column("good", sa.Boolean, nullable=False),
        sa.Column("profile", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("contracts_profiles")
