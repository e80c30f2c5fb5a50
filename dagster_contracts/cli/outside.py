"""What `lint` tells of rules that another engine runs: SQL that would be refused, expectations that nobody knows. Neither is run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import Problem
from dagster_contracts.core.metrics import Expectation, Metric, Query
from dagster_contracts.engines.gx.arguments import problem_of


def refused_rules(contracts: Sequence[Contract]) -> list[Problem]:
    """Queries and expectations that are not run because of what they would do; of queries only where DuckDB is installed to read them."""
    return [
        problem
        for contract in contracts
        for obj in contract.objects
        for problem in (*_refused_queries(contract, obj), *_refused_expectations(contract, obj))
    ]


def notes(contract: Contract) -> list[str]:
    """The contract's own notes, what its rules lack here to be run, and expectations that are none of Great Expectations' own."""
    metrics = [entry for obj in contract.objects for entry in _metrics(contract, obj)]
    return [*contract.notes, *_lacking([metric for _, metric in metrics]), *_unknown(metrics)]


def _metrics(contract: Contract, obj: SchemaObject) -> list[tuple[str, Metric]]:
    """Rule ids with what they measure, where another engine does."""
    found = ((rule.id, getattr(rule.check, "metric", None)) for rule in compile_plan(contract, obj).rules)
    return [(rule, metric) for rule, metric in found if isinstance(metric, Query | Expectation)]


def _refused_queries(contract: Contract, obj: SchemaObject) -> list[Problem]:
    queries = {metric: rule for rule, metric in _metrics(contract, obj) if isinstance(metric, Query)}
    if not queries:
        return []
    from dagster_contracts.engines.sql.duck import refusals

    others = [name for each in contract.objects for name in (each.name, each.table)]
    refused = refusals(list(queries), list(dict.fromkeys(others))) or {}
    return [Problem(f"{obj.name}: {queries[query]}", why, source=contract.source) for query, why in refused.items()]


def _refused_expectations(contract: Contract, obj: SchemaObject) -> list[Problem]:
    found = (
        (rule, problem_of(json.loads(metric.arguments))) for rule, metric in _metrics(contract, obj) if isinstance(metric, Expectation)
    )
    return [Problem(f"{obj.name}: {rule}", f"the expectation is not run: {why}", source=contract.source) for rule, why in found if why]


def _lacking(metrics: Sequence[Metric]) -> list[str]:
    if not any(isinstance(metric, Query) for metric in metrics):
        return []
    from dagster_contracts.engines.sql.duck import MISSING, refusals

    return [MISSING] if refusals([], []) is None else []


def _unknown(metrics: Sequence[tuple[str, Metric]]) -> list[str]:
    expectations = [(rule, metric.type) for rule, metric in metrics if isinstance(metric, Expectation)]
    if not expectations:
        return []
    from dagster_contracts.engines.gx.engine import own_types, unknown_type

    known = own_types()
    return [f"{rule}: {unknown_type(kind, known)}" for rule, kind in expectations if kind not in known]
