"""Service levels that speak of when batches come: cadence, time of availability, support periods. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dagster_contracts.core.plan import Cadence, Due, InForce, NotExecuted
from dagster_contracts.core.verdict import Past


@dataclass(frozen=True, slots=True)
class Told:
    held: bool
    observed: str


def observed(check: Cadence | Due | InForce, *, as_of: datetime, head: bool, past: Past) -> Told | NotExecuted:
    """Whether the arrival of a batch at `as_of` keeps the promise, in words; or why that cannot be said."""
    raise NotImplementedError


def expected(check: Cadence | Due | InForce) -> str:
    raise NotImplementedError
