"""Who may do what in PostgreSQL: four roles, and what each is granted on every table.

contracts_reader  reads everything: `status`, `why`, dashboards
contracts_worker  what runs, sensors and the words of people need: it reads and writes state, ledger and outbox, and deletes nothing
contracts_pruner  what `prune` needs beside: to delete what is over
contracts_publisher  what `publish` needs beside: contracts are added, by people or their pipeline and not by what runs

The tables belong to whoever runs `db upgrade`; only that user can change them. Every table has a decision here: one without is an error
of this package, and a test finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy.dialects import postgresql

from dagster_contracts.store import tables
from dagster_contracts.store.tables import VERSION_TABLE

READER, WORKER, PRUNER, PUBLISHER = ROLES = "contracts_reader", "contracts_worker", "contracts_pruner", "contracts_publisher"
_READ = ("SELECT",)
_APPEND = ("SELECT", "INSERT")
_REVISE = ("SELECT", "INSERT", "UPDATE")
_END = ("SELECT", "DELETE")

REGISTRY = (tables.versions.name, tables.uses.name, tables.assets.name)

# What a worker may do. A table of contracts, which people and not runs write, is _READ here.
WORKERS: Mapping[str, tuple[str, ...]] = {
    tables.breakers.name: _REVISE,
    tables.transitions.name: _APPEND,
    tables.batches.name: _REVISE,
    tables.decisions.name: _APPEND,
    tables.outputs.name: _REVISE,
    tables.profiles.name: _REVISE,
    tables.reviews.name: _REVISE,
    tables.events.name: _APPEND,
    tables.cursors.name: _REVISE,
    tables.threads.name: _REVISE,
    tables.parts.name: (*_REVISE, "DELETE"),  # those of a window that has its verdict
    **dict.fromkeys(REGISTRY, _READ),
    VERSION_TABLE: _READ,
}
PRUNERS: Mapping[str, tuple[str, ...]] = {
    tables.breakers.name: _READ,
    tables.transitions.name: _END,
    tables.batches.name: ("SELECT", "UPDATE", "DELETE"),  # old verdicts are emptied
    tables.decisions.name: _END,
    tables.outputs.name: _END,
    tables.profiles.name: _END,
    tables.reviews.name: _END,
    tables.events.name: _END,
    tables.cursors.name: _END,
    tables.threads.name: _END,
    tables.parts.name: _READ,
    **dict.fromkeys(REGISTRY, _READ),
    VERSION_TABLE: _READ,
}
PUBLISHERS: Mapping[str, tuple[str, ...]] = {**dict.fromkeys(WORKERS, _READ), **dict.fromkeys(REGISTRY, _APPEND)}
# What numbers rows as they are inserted.
SEQUENCES = (
    tables.arrivals.name,
    *(f"{table.name}_number_seq" for table in tables.metadata.sorted_tables if "number" in table.primary_key.columns),
)

_quoted = postgresql.dialect().identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]


def _of(table: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (READER, _READ), (WORKER, WORKERS[table]), (PRUNER, PRUNERS[table]), (PUBLISHER, PUBLISHERS[table])


def statements(schema: str = "public") -> Iterator[str]:
    """The SQL that makes the roles where they are missing, and grants anew; for the owner of the tables, after each upgrade.

    Nobody logs in as one of them: they are granted to users, who may have several.
    """
    for role in ROLES:
        missing = f"NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}')"
        yield f"DO $$ BEGIN IF {missing} THEN CREATE ROLE {_quoted(role)} NOLOGIN; END IF; END $$"
    everybody = ", ".join(map(_quoted, ROLES))
    yield f"GRANT USAGE ON SCHEMA {_quoted(schema)} TO {everybody}"
    for table in sorted(WORKERS):
        place = f"{_quoted(schema)}.{_quoted(table)}"
        yield f"REVOKE ALL ON TABLE {place} FROM PUBLIC, {everybody}"
        for role, rights in _of(table):
            yield f"GRANT {', '.join(rights)} ON TABLE {place} TO {_quoted(role)}"
    for sequence in sorted(SEQUENCES):
        yield f"GRANT USAGE ON SEQUENCE {_quoted(schema)}.{_quoted(sequence)} TO {_quoted(WORKER)}"
