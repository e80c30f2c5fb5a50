"""Adapters for `ports.Store`: `SqlStore` on PostgreSQL and SQLite, `MemoryStore` for what need not outlive the process.

tables.py   the tables            rows.py     values <-> rows           succession.py   what replaces what (pure)
sql.py      SqlStore              reading.py  its SELECTs               writing.py      its one transaction
connect.py  url -> Database, and what errors mean                       upgrade.py      the schema's version, migrations/
memory.py   MemoryStore
"""

from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import REQUIRED_REVISION, current_revision, upgrade

__all__ = ["REQUIRED_REVISION", "MemoryStore", "SqlStore", "current_revision", "upgrade"]
