"""Real feeds: our verdict of each partition judged alone, beside what datacontract-cli 1.2.8 said of it, and the published truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.judge import failing, judge
from dagster_contracts.core.metrics import Duplicates, Missing
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.verdict import Count, Finding, Measurement, Outcome, Verdict, verdict_from_json, verdict_to_json
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.local import LocalEngine
from tests.shared_cases import CASES, needs_cases

pytestmark = needs_cases
ENGINE = LocalEngine()

# Where our outcome is another than the peer's, and why.
DIFFERENCES = {
    ("nyc_taxi", "yellow_tripdata_2019-02.csv.gz"): "the peer could not read the file (its CSV dialect detection failed) and says failed; "
    "read as the CSV it is, every rule of the contract holds",
}

# Where one measured value is another than the peer's, and why: (dataset, partition, type of check, column).
VALUE_DIFFERENCES = {
    (
        "jhu_daily",
        "2020-03-22.csv",
        "field_required",
        "Country/Region",
    ): "column absent: the peer counts every row as null, we do not execute",
    ("jhu_daily", "2020-03-22.csv", "field_required", "Last Update"): "column absent",
    ("jhu_daily", "2020-03-23.csv", "field_required", "Country/Region"): "column absent",
    ("jhu_daily", "2020-03-23.csv", "field_required", "Last Update"): "column absent",
}

# The peer's check -> the suffix of our rule.
RULES = {
    "field_required": ".required",
    "field_unique": ".unique",
    "field_null_values": ".nullValues",
    "field_invalid_values": ".invalidValues",
    "field_minimum": ".minimum",
    "field_maximum": ".maximum",
    "field_regex": ".pattern",
    "field_not_equal": ".exclusiveMinimum",
    "field_is_present": ".present",
    "row_count": "rowCount",
    "model_duplicate_values": "duplicateValues",
    "model_quality_sql": "sql",
}


@cache
def peer() -> dict[str, dict[str, Any]]:
    if not CASES.is_dir():
        return {}
    verdicts: dict[str, dict[str, Any]] = json.loads((CASES / "peer/real_partition_verdicts.json").read_text())["verdicts"]
    return verdicts


def partitions() -> Iterator[tuple[str, str]]:
    for dataset, verdicts in peer().items():
        for partition in verdicts:
            yield dataset, partition


@cache
def plan_of(dataset: str) -> Plan:
    contract = parse((CASES / "contracts" / f"{dataset}.odcs.yaml").read_text())
    return compile_plan(contract, contract.objects[0])


@cache
def verdict_of(dataset: str, partition: str) -> Verdict:
    plan, frame = plan_of(dataset), scan(CASES / "data" / dataset / partition)
    measurement = ENGINE.measure(frame, plan.metrics)
    assert isinstance(measurement, Measurement)
    samples = ENGINE.samples(frame, failing(plan, measurement))
    return judge(plan, measurement, samples, as_of=datetime(2026, 1, 1, tzinfo=UTC), head=True)


def test_every_partition_of_the_peer_is_here() -> None:
    assert len(list(partitions())) == 87


@pytest.mark.parametrize(("dataset", "partition"), list(partitions()))
def test_outcome_agrees_with_the_peer(dataset: str, partition: str) -> None:
    verdict = verdict_of(dataset, partition)
    agrees = (verdict.outcome is Outcome.FAIL) == (peer()[dataset][partition]["result"] == "failed")
    assert verdict.outcome is not Outcome.INCONCLUSIVE
    assert agrees != ((dataset, partition) in DIFFERENCES), [f for f in verdict.findings if f.outcome is not Outcome.PASS]


def test_each_value_agrees_with_the_peer() -> None:
    different, compared = set(), 0
    for dataset, partition in partitions():
        by_rule = {finding.rule: finding for finding in verdict_of(dataset, partition).findings}
        queries = iter(finding for name, finding in by_rule.items() if name.startswith("sql"))
        for check in peer()[dataset][partition]["checks"]:
            suffix = RULES.get(check["type"])
            if suffix is None or check["result"] not in ("passed", "failed"):
                continue  # files the peer could not read
            if (check["type"], check["field"]) == ("field_minimum", "hum"):
                continue  # the peer asks for exclusiveMinimum in two checks, of which we compare "not equal to"
            compared += 1
            finding = next(queries) if suffix == "sql" else by_rule.get((check["field"] or "") + suffix)
            if not _same(finding, check):
                different.add((dataset, partition, check["type"], check["field"]))
    assert different == set(VALUE_DIFFERENCES)
    assert compared > 2_000


def _same(finding: Finding | None, check: dict[str, Any]) -> bool:
    if finding is None or (finding.outcome is Outcome.PASS) != (check["result"] == "passed"):
        return False
    if check["type"] == "row_count":
        return finding.observed == f"{check['value']:,} rows"
    if check["type"] == "model_quality_sql":
        return finding.observed == f"{check['value']:,}"
    return check["value"] is None or finding.failing_rows == check["value"]


def test_every_rule_is_executed() -> None:
    assert [plan_of(dataset).not_executed for dataset in peer()] == [()] * len(peer())
    assert verdict_of("bike_sharing", "2011-04.csv").outcome is Outcome.PASS
    assert verdict_of("lendingclub", "2008-04.csv").outcome is Outcome.PASS


def test_verdicts_of_real_data_survive_json() -> None:
    for dataset, partition in partitions():
        verdict = verdict_of(dataset, partition)
        text = json.dumps(verdict_to_json(verdict), allow_nan=False)
        assert verdict_from_json(json.loads(text)) == verdict


# The truth was taken by pandas, which reads these words as null ("None" is a province in jhu_daily); for us they are text.
NA_WORDS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN"),
    *("None", "n/a", "nan", "null"),
)
FEEDS = ("nyc_taxi", "jhu_daily", "jhu_us_daily", "bike_sharing", "lendingclub", "italy_regioni", "uci_credit_default", "nyc_weather")


@pytest.mark.parametrize("dataset", FEEDS)
def test_counts_agree_with_the_published_truth(dataset: str) -> None:
    truth = json.loads(gzip.decompress((CASES / "truth" / f"{dataset}.json.gz").read_bytes()))
    known = {name: entry for name, entry in truth.items() if (CASES / "data" / dataset / name).exists()}
    assert known
    for name, entry in list(known.items())[:40]:
        columns = list(entry["columns"])
        of_column = [(Missing(column, (None, *NA_WORDS)), Missing(column, NA_WORDS), Duplicates((column,))) for column in columns]
        found = ENGINE.measure(scan(CASES / "data" / dataset / name), [metric for metrics in of_column for metric in metrics])
        assert isinstance(found, Measurement)
        assert found.rows == entry["rows"], name
        assert [column.name for column in found.columns] == columns, name
        for told, metrics in zip(entry["columns"].values(), of_column, strict=True):
            missing, words, repeated = (found.values[metric] for metric in metrics)
            assert missing == Count(told["nulls"]), (name, metrics)
            # Of numbers, pandas counts 1 and 1.0 once; a CSV read as text has two.
            if "min" not in told and words == Count(0) and isinstance(repeated, Count):
                assert found.rows - told["nulls"] - repeated.value == told["distinct"], (name, metrics)
