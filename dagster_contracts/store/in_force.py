"""Contracts in force, as a process last saw them: the registry is asked for each once in a stated time, and while it is out of reach the
last known version goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dagster_contracts import telemetry
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.registry import Registered
from dagster_contracts.ports import ContractRegistry

logger = logging.getLogger("dagster_contracts.registry")
DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LastKnown:
    """A contract as it is known: None where no version is in force, or none was ever seen. `unreachable` is why it may be out of date."""

    registered: Registered | None
    unreachable: str = ""


class InForce:
    """The contracts in force of one registry. What is asked may be up to `seconds` old; `clock` counts seconds."""

    def __init__(self, registry: ContractRegistry, seconds: float = DEFAULT_SECONDS, clock: Callable[[], float] = time.monotonic):
        self._registry = registry
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[float, LastKnown]] = {}
        self._asked = 0
        self._hits = 0

    @property
    def hit_ratio(self) -> float | None:
        """The share of questions that needed no question to the registry; None before the first."""
        return self._hits / self._asked if self._asked else None

    def contract(self, contract_id: str) -> LastKnown:
        """Raises StoreError for what trying again does not mend: a wrong password, tables of another version."""
        now, known = self._clock(), self._known.get(contract_id)
        self._asked += 1
        if known is not None and now - known[0] < self._seconds:
            self._hits += 1
            telemetry.of_lookup(contract_id, "hit")
            return known[1]
        found = self._read(contract_id, known[1].registered if known is not None else None)
        self._known[contract_id] = (now, found)  # also what is out of reach: each question would wait for it
        return found

    def _read(self, contract_id: str, before: Registered | None) -> LastKnown:
        try:
            found = LastKnown(self._registry.in_force(contract_id))
        except StoreUnavailable as error:
            telemetry.of_lookup(contract_id, "stale")
            goes_on = f"{before.entry.name}, last known, goes on" if before is not None else "no version of it was seen in this process"
            logger.warning("the registry is out of reach, for contract %s: %s. %s", contract_id, goes_on, error)
            return LastKnown(before, f"the registry is out of reach: {error}")
        telemetry.of_lookup(contract_id, "miss")
        return found
