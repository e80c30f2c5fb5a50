"""How far one distribution is from another. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_contracts.core.plan import Drifted
from dagster_contracts.core.verdict import Measured, Past, Unmeasured


@dataclass(frozen=True, slots=True)
class Told:
    value: float
    observed: str


def observed(check: Drifted, measured: Measured, past: Past) -> Told | Unmeasured | str:
    """The distance and what to say of it; or why it could not be measured; or, as text, why the rule does not apply."""
    raise NotImplementedError


def expected(check: Drifted) -> str:
    raise NotImplementedError
