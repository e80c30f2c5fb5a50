"""Adapters for `ports.Store`: `SqlStore` on PostgreSQL and SQLite, `MemoryStore` for what need not outlive the process.

tables.py   the tables            rows.py     values <-> rows           succession.py   what replaces what (pure)
sql.py      SqlStore              reading.py  its SELECTs               writing.py      its one transaction
connect.py  url -> Database, and what errors mean                       upgrade.py      the schema's version, migrations/
memory.py   MemoryStore        questions.py  what people ask, one SELECT each
retention.py  what is pruned (dispensable.py: the same as pure functions)                roles.py  who may do what in PostgreSQL
"""
