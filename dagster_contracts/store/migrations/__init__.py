"""Alembic's scripts. Applied through `dagster_contracts.store.upgrade`, which hands over a connection inside a transaction."""
