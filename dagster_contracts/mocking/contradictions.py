"""Which rules keep a place from having any value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random

from dagster_contracts.core.contract import Property
from dagster_contracts.core.plan import Rule
from dagster_contracts.mocking.pools import pool
from dagster_contracts.mocking.wanted import Wanted, wanted


def pair(rules: Sequence[Rule], asked: Wanted, now: datetime) -> tuple[Rule, Rule] | None:
    """Two rules that no value keeps both of; None where no two of them are enough."""
    mine = [rule for rule in rules if rule.id in asked.rules]
    for number, one in enumerate(mine):
        for other in mine[number + 1 :]:
            if not _agree((one, other), asked, now) and all(_agree((rule,), asked, now) for rule in (one, other)):
                return one, other
    return None


def _agree(rules: tuple[Rule, ...], asked: Wanted, now: datetime) -> bool:
    both = wanted(rules, Property(asked.place[-1], asked.kind), asked.place)
    return not both.metrics or bool(pool(both, Random(0), 1, now).values)  # noqa: S311 - no secret
