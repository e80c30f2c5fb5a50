"""What `lint` tells of rules that another engine runs: SQL that would be refused, expectations that nobody knows. Neither is run.
And of contracts that breakers know otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import date

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import Problem, did_you_mean
from dagster_contracts.core.metrics import Expectation, Metric, Query
from dagster_contracts.core.misnamed import strange_arguments
from dagster_contracts.core.slips import deprecations, severity_notes
from dagster_contracts.core.state import Breaker, asset_of
from dagster_contracts.core.waiving import ended_waivers
from dagster_contracts.engines.gx.arguments import misspelt, problem_of


def refused_rules(contracts: Sequence[Contract]) -> list[Problem]:
    """Queries and expectations that are not run because of what they would do; of queries only where DuckDB is installed to read them."""
    return [
        problem
        for contract in contracts
        for obj in contract.objects
        for problem in (*_refused_queries(contract, obj), *_misspelt_columns(contract, obj), *_refused_expectations(contract, obj))
    ]


def edits(contracts: Sequence[Contract], breakers: Sequence[Breaker]) -> Iterator[Problem]:
    """Contracts whose version breakers know with another content, one of each."""
    for contract in contracts:
        same = (breaker for breaker in breakers if breaker.contract_version == contract.version and breaker.contents)
        other = (breaker for breaker in same if breaker.contents[0] != contract.content_hash)
        if (breaker := next((each for each in other if _is_about(contract, asset_of(each.key))), None)) is not None:
            known = f"the {contract.version} that {breaker.key} was judged under"
            yield Problem("version", f"this is not {known}: it was edited; give it a new version", source=contract.source)


def _is_about(contract: Contract, asset: str) -> bool:
    return any(found.may_be_about(asset) for found in contract.objects)


def notes(contract: Contract, today: date) -> list[str]:
    """The own notes, waivers that are over, what rules lack here to be run, and expectations that are none of Great Expectations' own."""
    metrics = [entry for obj in contract.objects for entry in _metrics(contract, obj)]
    strange = [note for obj in contract.objects for note in _strange_columns(contract, obj)]
    strange += strange_arguments(contract)
    return [
        *contract.notes,
        *ended_waivers(contract, today),
        *deprecations(contract),
        *severity_notes(contract),
        *strange,
        *_lacking([metric for _, metric in metrics]),
        *_unknown(metrics),
    ]


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


def _misspelt_columns(contract: Contract, obj: SchemaObject) -> list[Problem]:
    found = ((rule, _stranger(name, known), bool(_near(name, known))) for rule, name, known in _strangers(contract, obj))
    return [Problem(f"{obj.name}: {rule}", why, source=contract.source) for rule, why, near in found if near]


def _strange_columns(contract: Contract, obj: SchemaObject) -> list[str]:
    """Those near none that is known: an object that is not closed may have more columns than its contract tells of."""
    return [f"{rule}: {_stranger(name, known)}" for rule, name, known in _strangers(contract, obj) if not _near(name, known)]


def _stranger(name: str, known: Sequence[str]) -> str:
    return f'the query names the column "{name[:60]}", which the contract does not know{_near(name, known)}'


def _near(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name[:80].lower(), known)


def _strangers(contract: Contract, obj: SchemaObject) -> list[tuple[str, str, list[str]]]:
    """Rules whose query names a column that its tables do not have: the rule, the name, the columns there are."""
    queries = {metric: rule for rule, metric in _metrics(contract, obj) if isinstance(metric, Query)}
    if not queries:
        return []
    from dagster_contracts.engines.sql.duck import strangers

    named = {name: [prop.name for prop in each.properties] for each in contract.objects for name in (each.name, each.table)}
    named |= {query.name: [prop.name for prop in obj.properties] for query in queries}
    return [(queries[query], name, known) for query, found in strangers(list(queries), named).items() for name, known in found]


def _refused_expectations(contract: Contract, obj: SchemaObject) -> list[Problem]:
    expectations = [(rule, metric) for rule, metric in _metrics(contract, obj) if isinstance(metric, Expectation)]
    if not expectations:
        return []
    from dagster_contracts.engines.gx.engine import own_types

    known = own_types()
    found = ((rule, _expectation_problem(metric, known)) for rule, metric in expectations)
    return [Problem(f"{obj.name}: {rule}", why, source=contract.source) for rule, why in found if why]


def _expectation_problem(expectation: Expectation, known: Collection[str]) -> str | None:
    """Expectations of others have arguments of their own, so that the names of those are not looked at."""
    from dagster_contracts.engines.gx.engine import near_type, unknown_type

    arguments = json.loads(expectation.arguments)
    if (why := problem_of(arguments)) is not None:
        return f"the expectation is not run: {why}"
    if known and expectation.type not in known:
        return unknown_type(expectation.type, known) if near_type(expectation.type, known) else None
    return misspelt(arguments)


def _lacking(metrics: Sequence[Metric]) -> list[str]:
    if not any(isinstance(metric, Query) for metric in metrics):
        return []
    from dagster_contracts.engines.sql.duck import MISSING, refusals

    return [MISSING] if refusals([], []) is None else []


def _unknown(metrics: Sequence[tuple[str, Metric]]) -> list[str]:
    expectations = [(rule, metric.type) for rule, metric in metrics if isinstance(metric, Expectation)]
    if not expectations:
        return []
    from dagster_contracts.engines.gx.engine import near_type, own_types, unknown_type

    known = own_types()
    strange = [(rule, kind) for rule, kind in expectations if known and kind not in known and not near_type(kind, known)]
    return [f"{rule}: {unknown_type(kind, known)}" for rule, kind in strange]
