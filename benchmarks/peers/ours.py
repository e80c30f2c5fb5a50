"""dagster-contracts, as the gate runs it: every rule of the contract measured by the default engine and judged.

`unique=False` leaves the uniqueness rules out; `samples=True` collects 20 failing rows of each broken rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

from rules import REFERENCE_TIME, RULES, SCHEMA

VERSIONS = ("polars", "pandas", "pyarrow")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL: dict[str, str] = {}
CONTRACT = Path(__file__).parents[1] / "customers.odcs.yaml"


def load(form: str, path: str, *, samples: bool = False, unique: bool = True) -> Callable[[], set[str]]:
    from dagster_contracts.core.contract import BreakerPolicy
    from dagster_contracts.core.ledger import Partition
    from dagster_contracts.core.verdict import Outcome
    from dagster_contracts.engines.polars.engine import PolarsEngine
    from dagster_contracts.measuring import take

    whole = plan()
    assert {_rule(rule.id) for rule in whole.rules} == set(RULES), "the contract says something else than rules.py"
    left = tuple(rule for rule in whole.rules if unique or not rule.id.startswith(("unique.", "customer_id.unique")))
    judged = replace(whole, rules=left, samples=samples)
    engine, policy, source = PolarsEngine(), BreakerPolicy(), _source(form, path)
    now = REFERENCE_TIME.replace(tzinfo=UTC)

    def run() -> set[str]:
        verdict = take(engine, judged, policy, source()).verdict(Partition(), as_of=now, head=True)
        if wrong := [f"{each.rule}: {each.observed}" for each in verdict.findings if each.outcome is Outcome.INCONCLUSIVE]:
            raise RuntimeError("; ".join(wrong))
        if verdict.not_executed:
            raise RuntimeError("; ".join(f"{each.rule}: {each.reason}" for each in verdict.not_executed))
        return {_rule(rule) for rule in verdict.failed_rules}

    return run


def plan() -> Any:
    """The plan of the contract in this folder."""
    from dagster_contracts.core.compile import compile_plan
    from dagster_contracts.core.odcs import parse

    contract = parse(CONTRACT.read_text(), source=str(CONTRACT))
    profiles = {file.name: file.read_text() for file in CONTRACT.parent.glob("*.profiles.json")}
    return compile_plan(contract, replace(contract.objects[0], profiles=profiles))


def _source(form: str, path: str) -> Callable[[], Any]:
    import pyarrow.parquet as pq

    from dagster_contracts.engines.files.tables import scan

    if form == "parquet":
        return lambda: scan(path)
    table = pq.read_table(path)
    held = table.to_pandas(date_as_object=False) if form == "pandas" else table
    return lambda: held


_KINDS = {
    "present": None,
    "type": None,
    "required": "nulls",
    "unique": "unique",
    "minimum": "range",
    "maximum": "range",
    "minLength": "length",
    "maxLength": "length",
    "pattern": "pattern",
    "latency": "newest",
}


def _rule(found: str) -> str:
    """The name that rules.py gives to a rule of the plan."""
    if found in RULES:
        return found
    column, _, kind = found.partition(".")
    name = _KINDS[kind]
    return f"{name}.{column}" if name else SCHEMA
