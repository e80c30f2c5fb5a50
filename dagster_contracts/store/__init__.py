"""Adapters for `ports.Store`: `SqlStore` on PostgreSQL and SQLite, `MemoryStore` for what need not outlive the process.

tables.py   the tables            rows.py     values <-> rows           succession.py   what replaces what (pure)
sql.py      SqlStore              reading.py  its SELECTs               writing.py      its one transaction
database.py connections: one round trip to read, one transaction        wire.py         PostgreSQL's protocol, prepared by text
statement.py SQL compiled once, values in and out                       upgrade.py      the schema's version, migrations/
connect.py  url -> engine, and what errors mean
memory.py   MemoryStore        questions.py  what people ask, one SELECT each; due.py  what sensors ask
retention.py  what is pruned (dispensable.py: the same as pure functions)                roles.py  who may do what in PostgreSQL
"""
