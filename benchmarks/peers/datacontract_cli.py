"""datacontract-cli: the rules as an ODCS contract, over the Parquet file. What ODCS has no library metric for is a `sql` rule."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from rules import ALLOWED, COLUMNS, COMPOSITE, COUNTRY_LENGTH, DECILES, EMAIL, KEY, NULL_SHARES, PSI_AT_MOST, RANGES, ROWS
from sql_text import AGE_IN_HOURS, AVERAGES, psi

VERSIONS = ("datacontract-cli", "duckdb")
FORMS = ("parquet",)
UNEQUAL = {
    "newest.updated_at": "a sql rule: its freshness check reads the clock",
    "mean.f5": "a sql rule",
    "deviation.f6": "a sql rule",
    "median.f7": "a sql rule",
    "psi.f8": "a sql rule",
    "psi.f9": "a sql rule",
    "ordered.opened_updated": "a sql rule",
    "schema": "presence only: it does not compare types in Parquet files, and warns of that",
}


def load(form: str, path: str) -> Callable[[], list[str]]:
    from datacontract.data_contract import DataContract

    logging.disable(logging.ERROR)
    contract = json.dumps(_contract(path))

    def run() -> list[str]:
        found = DataContract(data_contract_str=contract, server="file").test()
        if wrong := [f"{check.name}: {check.reason}" for check in found.checks if check.result.name == "error"]:
            raise RuntimeError("; ".join(wrong)[:400])
        return sorted({_rule(check) for check in found.checks if check.result.name == "failed"})

    return run


def _rule(check: Any) -> str:
    if check.type == "model_quality_sql":
        return str(_of_the_table()[int(check.key.rpartition("_")[2])]["name"])
    kind = {
        "field_null_values": "nulls",
        "field_duplicate_values": "unique",
        "field_invalid_values": "pattern" if check.field == "email" else "allowed",
        "field_minimum": "range",
        "field_maximum": "range",
        "field_min_length": "length",
        "field_max_length": "length",
        "model_duplicate_values": "unique",
    }.get(check.type)
    return f"{kind}.{check.field or 'composite'}" if kind else "rows" if check.type == "row_count" else "schema"


def _contract(path: str) -> dict[str, Any]:
    properties = {name: {"name": name, "logicalType": logical, "quality": []} for name, logical in COLUMNS}

    def library(column: str, rule: str, metric: str, **given: Any) -> None:
        properties[column]["quality"].append({"name": rule, "type": "library", "metric": metric, **given})

    for column, share in NULL_SHARES.items():
        library(column, f"nulls.{column}", "nullValues", mustBeLessOrEqualTo=share * 100, unit="percent")
    for column, values in ALLOWED.items():
        library(column, f"allowed.{column}", "invalidValues", mustBe=0, arguments={"validValues": list(values)})
    for column, (low, high) in RANGES.items():
        properties[column]["logicalTypeOptions"] = {"minimum": low, "maximum": high}
    properties["country"]["logicalTypeOptions"] = {"minLength": COUNTRY_LENGTH, "maxLength": COUNTRY_LENGTH}
    library(KEY, "unique.customer_id", "duplicateValues", mustBe=0)
    library("email", "pattern.email", "invalidValues", mustBe=0, arguments={"pattern": EMAIL})
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "customers",
        "version": "1.0.0",
        "status": "active",
        "servers": [{"server": "file", "type": "local", "path": path, "format": "parquet"}],
        "schema": [{"name": "customers", "physicalType": "table", "properties": list(properties.values()), "quality": _of_the_table()}],
    }


def _of_the_table() -> list[dict[str, Any]]:
    return [
        {"name": "rows", "type": "library", "metric": "rowCount", "mustBeBetween": list(ROWS)},
        {
            "name": "unique.composite",
            "type": "library",
            "metric": "duplicateValues",
            "mustBe": 0,
            "arguments": {"properties": list(COMPOSITE)},
        },
        _sql("newest.updated_at", AGE_IN_HOURS, mustBeLessOrEqualTo=24),
        _sql("ordered.opened_updated", "sum((opened_at > updated_at)::INT)", mustBe=0),
        *(_sql(rule, expression, mustBeBetween=list(bounds)) for rule, (expression, bounds) in AVERAGES.items()),
        *(_sql(f"psi.{column}", psi(column, edges), mustBeLessOrEqualTo=PSI_AT_MOST) for column, edges in DECILES.items()),
    ]


def _sql(name: str, expression: str, **operator: Any) -> dict[str, Any]:
    return {"name": name, "type": "sql", "query": f"SELECT {expression} FROM customers", **operator}
