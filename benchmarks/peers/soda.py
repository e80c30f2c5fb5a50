"""Soda Core: one contract on DuckDB. What its contract language has no check for is a `metric` with a SQL expression."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from rules import (
    ALLOWED,
    COLUMNS,
    COMPOSITE,
    COUNTRY_LENGTH,
    DECILES,
    EMAIL,
    KEY,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    ROWS,
)
from sql_text import AGE_IN_HOURS, AVERAGES, psi

VERSIONS = ("soda-core", "soda-duckdb", "duckdb")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL = {
    "newest.updated_at": "a metric with a SQL expression: its freshness check reads the clock",
    "ordered.opened_updated": "a metric with a SQL expression",
    "deviation.f6": "a metric with a SQL expression",
    "median.f7": "a metric with a SQL expression",
    "psi.f8": "a metric with a SQL expression",
    "psi.f9": "a metric with a SQL expression",
    "schema": "the type of opened_at is that of DuckDB's view of the frame",
}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import duckdb
    import pyarrow.parquet as pq
    from soda_core.contracts.contract_verification import ContractVerificationSession, ContractYamlSource
    from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

    logging.disable(logging.WARNING)
    connection = duckdb.connect()
    if form == "parquet":
        connection.execute(f"CREATE VIEW customers AS SELECT * FROM read_parquet('{path}')")
    else:
        table = pq.read_table(path)
        connection.register("arrived", table.to_pandas(date_as_object=False) if form == "pandas" else table)
        connection.execute("CREATE VIEW customers AS SELECT * FROM arrived")
    types = {name: str(kind) for name, kind, *_ in connection.execute("DESCRIBE customers").fetchall()}
    source = DuckDBDataSourceImpl.from_existing_cursor(connection, name="bench")
    contract = json.dumps(_contract(types), default=str)

    def run() -> list[str]:
        session = ContractVerificationSession.execute(
            contract_yaml_sources=[ContractYamlSource.from_str(contract)], data_source_impls=[source]
        )
        if session.has_errors:
            raise RuntimeError(session.get_errors_str())
        results = [each for result in session.contract_verification_results for each in result.check_results]
        if len(results) < 30:
            raise RuntimeError(f"soda executed {len(results)} checks")
        return [_rule(each) for each in results if each.outcome.name != "PASSED"]

    return run


def _rule(result: Any) -> str:
    return str(result.check.name)


def _contract(types: dict[str, str]) -> dict[str, Any]:
    columns = {name: {"name": name, "data_type": types[name], "checks": []} for name, _ in COLUMNS}

    def check(column: str, kind: str, name: str, **given: Any) -> None:
        columns[column]["checks"].append({kind: {"name": name, "qualifier": name.replace(".", "_"), **given}})

    for column, share in NULL_SHARES.items():
        check(column, "missing", f"nulls.{column}", threshold={"metric": "percent", "must_be_less_than_or_equal": share * 100})
    for column, values in ALLOWED.items():
        check(column, "invalid", f"allowed.{column}", valid_values=list(values))
    for column, (low, high) in RANGES.items():
        check(column, "invalid", f"range.{column}", valid_min=low, valid_max=high)
    check(KEY, "duplicate", "unique.customer_id")
    check("email", "invalid", "pattern.email", valid_format={"name": "email", "regex": EMAIL})
    check("country", "invalid", "length.country", valid_length=COUNTRY_LENGTH)
    check("f5", "aggregate", "mean.f5", function="avg", threshold=_between(*AVERAGES["mean.f5"][1]))
    return {
        "dataset": "bench/main/customers",
        "columns": [column if column["checks"] else {k: v for k, v in column.items() if k != "checks"} for column in columns.values()],
        "checks": [{kind: {"name": name, "qualifier": name.replace(".", "_"), **given}} for kind, name, given in _of_the_table()],
    }


def _of_the_table() -> list[tuple[str, str, dict[str, Any]]]:
    opened = "sum((opened_at > updated_at)::INT)"
    found: list[tuple[str, str, dict[str, Any]]] = [
        ("schema", "schema", {}),
        ("row_count", "rows", {"threshold": _between(*ROWS)}),
        ("duplicate", "unique.composite", {"columns": list(COMPOSITE)}),
        ("metric", "newest.updated_at", {"expression": AGE_IN_HOURS, "threshold": {"must_be_less_than_or_equal": 24}}),
        ("metric", "ordered.opened_updated", {"expression": opened, "threshold": {"must_be": 0}}),
    ]
    for rule in ("deviation.f6", "median.f7"):
        expression, bounds = AVERAGES[rule]
        found.append(("metric", rule, {"expression": expression, "threshold": _between(*bounds)}))
    for column, edges in DECILES.items():
        given = {"expression": psi(column, edges), "threshold": {"must_be_less_than_or_equal": PSI_AT_MOST}}
        found.append(("metric", f"psi.{column}", given))
    return found


def _between(low: float, high: float) -> dict[str, Any]:
    return {"must_be_between": {"greater_than_or_equal": low, "less_than_or_equal": high}}
