"""Valid data from a contract: for consumers that build before the producer delivers, and for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 10_000_000


def mock(contract: Contract | str | Path, *, rows: int = 100, seed: int = 0, now: datetime | None = None) -> dict[str, pl.DataFrame]:
    """A Polars DataFrame for each object of a contract that is a table, by the object's name, which passes `dagster-contracts test`.

    `contract` is a parsed contract or the path of a file. `rows` of each object, or the nearest number that its rowCount rules accept.
    The same contract, `rows`, `seed` and `now` (aware; default: the present) give the same data. Times lie before `now`, and are fresh
    at `now`.

    Keys, enums, patterns, ranges, lengths, formats, nested values, nulls, relationships, compared columns, statistics and distances from
    stored profiles are aimed at. SQL and Great Expectations rules are not, but looked at. Raises Unsatisfiable, naming the rules, where
    the data would break one that refuses, or where rules contradict each other; ContractError where the file is no valid contract.
    """
    from dagster_contracts.core.errors import Unsatisfiable
    from dagster_contracts.mocking.making import make
    from dagster_contracts.mocking.telling import told

    moment = checked(rows, now or datetime.now(UTC))
    made = make(_read(contract), rows=rows, seed=seed, now=moment)
    broken = [line for each in made.values() if each.refused for line in told(each)]
    if broken:
        raise Unsatisfiable("\n".join(broken))
    return {name: each.frame for name, each in made.items()}


def checked(rows: int, now: datetime) -> datetime:
    """`now`, where it has a time zone and `rows` is a number that can be made. Raises UsageError."""
    if not 0 <= rows <= MOST_ROWS:
        raise UsageError(f"{rows:,} rows were asked for; expected 0 to {MOST_ROWS:,}")
    if now.tzinfo is None:
        raise UsageError(f"now is {now.isoformat()}, without a time zone; give an aware datetime, such as datetime.now(UTC)")
    return now


def _read(contract: Contract | str | Path) -> Contract:
    if isinstance(contract, Contract):
        return contract
    from dagster_contracts.store.files import load_contracts

    found = load_contracts(contract)
    if len(found) != 1:
        raise UsageError(f"{contract} holds {len(found)} contracts; name the file of one")
    return found[0]
