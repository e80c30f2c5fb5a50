"""Physical types: whether the type of a column is the one the contract names, in the words of its database. Pure."""

from __future__ import annotations


def same(promised: str, found: str) -> bool | None:
    """Whether two names mean one type ("VARCHAR(10)" and "character varying(10)"); None where they cannot be compared."""
    return None
