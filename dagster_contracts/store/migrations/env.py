"""Run by Alembic: migrate over the connection that `dagster_contracts.store.upgrade` has opened, in its transaction."""

from __future__ import annotations

from alembic import context

from dagster_contracts.store.tables import VERSION_TABLE, metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
