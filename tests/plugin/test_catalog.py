"""What a contract says of its asset stands on that asset's page, and nothing that the user says is overridden."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts import with_contracts
from dagster_contracts.core.contract import Contract
from dagster_contracts.plugin import catalog
from tests.plugin.lab import FIRST, Vendor, a_consumer, a_feed, contract_text, day, governed

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: credit bureau
name: Credit bureau feed
version: 2.1.0
status: active
domain: lending
tags: [pii, credit risk, ✓, %s]
description: {purpose: One row a customer.}
team:
  name: data-platform
  members: [{username: ann@lender.example, role: owner}]
support: []
schema:
- name: feed
  physicalType: table
  properties:
  - {name: customer_id, logicalType: integer, required: true, primaryKey: true, classification: confidential}
  - name: risk
    logicalType: string
    description: How likely a default is.
    tags: [model input]
    quality:
    - {type: library, metric: invalidValues, mustBe: 0, severity: critical, arguments: {validValues: [HIGH, LOW]}}
""" % ("x" * 64)


def page(tmp_path: Path, asset: Any) -> dg.AssetSpec:
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(CONTRACT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=dg.BetaWarning)
        defs = with_contracts(dg.Definitions(assets=[asset]), contracts=file)
    dg.Definitions.validate_loadable(defs)
    specs: Sequence[dg.AssetSpec] = defs.resolve_all_asset_specs()
    return next(spec for spec in specs if spec.key == dg.AssetKey("feed"))


@dg.asset(name="feed")
def bare() -> pd.DataFrame:
    return pd.DataFrame()


def test_a_contract_fills_in_what_the_user_does_not_say(tmp_path: Path) -> None:
    spec = page(tmp_path, bare)
    assert spec.description == "One row a customer."
    assert list(spec.owners) == ["ann@lender.example", "team:data-platform"]
    assert dict(spec.tags) == {
        "pii": "",
        "credit_risk": "",
        "contracts/contract": "credit_bureau",
        "contracts/domain": "lending",
        "dagster/kind/table": "",
    }
    told = spec.metadata
    assert told["contracts/contract"] == "credit bureau 2.1.0 (active)"
    assert told["contracts/tags"].split("; ") == [
        "credit risk: shown as credit_risk, other characters are not allowed in Dagster's tags",
        "✓: left out, Dagster's tags are of A-Z, a-z, 0-9, _, . and -",
        f"{'x' * 63}: left out, Dagster's tags have at most 63 characters",
    ]
    line = 1 + CONTRACT.splitlines().index("- name: feed")
    assert told["contracts/source"].value == f"{tmp_path}/feed.odcs.yaml:{line}"
    [reference] = told["dagster/code_references"].code_references
    assert (reference.file_path, reference.line_number) == (f"{tmp_path}/feed.odcs.yaml", line)


def test_columns_say_what_is_promised_of_them(tmp_path: Path) -> None:
    customer, risk = page(tmp_path, bare).metadata["dagster/column_schema"].columns
    assert (customer.name, customer.type, customer.tags) == ("customer_id", "integer", {"classification": "confidential"})
    assert (customer.constraints.nullable, customer.constraints.unique, customer.constraints.other) == (False, True, ["primary key"])
    assert (risk.description, risk.tags) == ("How likely a default is.", {"model_input": ""})
    assert (risk.constraints.nullable, risk.constraints.unique, risk.constraints.other) == (True, False, ["one of HIGH, LOW"])


def test_what_the_user_says_of_an_asset_stays(tmp_path: Path) -> None:
    own = dg.UrlCodeReference(url="https://example.org/feed.py")
    columns = dg.TableSchema([dg.TableColumn("mine")])

    @dg.asset(
        description="Mine.",
        owners=["team:mine"],
        tags={"pii": "yes"},
        kinds={"python"},
        metadata={
            "contracts/owner": "me",
            "dagster/column_schema": columns,
            "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[own]),
        },
    )
    def feed() -> pd.DataFrame:
        return pd.DataFrame()

    spec = page(tmp_path, feed)
    assert (spec.description, list(spec.owners), spec.tags["pii"]) == ("Mine.", ["team:mine"], "yes")
    assert spec.kinds == {"python", "table"}
    assert spec.metadata["contracts/owner"] == "me"
    assert spec.metadata["dagster/column_schema"] == columns
    assert spec.metadata["dagster/code_references"].code_references[0] == own
    assert len(spec.metadata["dagster/code_references"].code_references) == 2


def test_assets_without_a_contract_are_left_as_they_are(tmp_path: Path) -> None:
    other = dg.AssetSpec("other")
    (tmp_path / "feed.odcs.yaml").write_text(CONTRACT)
    defs = with_contracts(dg.Definitions(assets=[bare, other]), contracts=tmp_path)
    assert other in list(defs.assets or [])


@given(st.lists(st.text(), max_size=5), st.text(), st.text(), st.text())
def test_every_contract_gives_tags_and_owners_that_dagster_takes(tags: list[str], name: str, domain: str, owner: str) -> None:
    contract = Contract(id=name, version="1.0.0", api_version="v3.1.0", status="", objects=(), tags=tuple(tags), domain=domain, owner=owner)
    found, told = catalog._tags(contract)
    dg.AssetSpec("feed", tags=found, owners=catalog._owners(contract))
    assert all(word in found or word[:63] in told for word in tags)


# --- a refused batch -----------------------------------------------------------------------------------------------


def test_rows_that_broke_rules_are_a_table_with_classified_columns_masked(tmp_path: Path) -> None:
    text = contract_text().replace("logicalType: integer", "logicalType: integer\n    classification: confidential")
    feed = a_feed(Vendor({day(2)}))
    with governed(tmp_path, lambda: dg.Definitions(assets=[feed]), text) as world:
        assert world.run("feed", partition=day(1)).success
        ran = world.run("feed", partition=day(2))
    [broken] = [each for each in ran.evaluations("feed") if each.check_name == "contract_semantics"]
    rows = [dict(record.data) for record in broken.metadata["failing"].records]
    assert [row["risk"] for row in rows] == ["7", "8"]
    assert {row["customer_id"] for row in rows} == {"***"}
    assert broken.metadata["failing_percent"].value == 100.0
    whole = [each for each in ran.evaluations("feed") if each.check_name == "contract_uniqueness"]
    assert [("failing" in each.metadata, each.metadata["failing_percent"].value) for each in whole] == [(False, 0.0)]


def test_figures_of_a_batch_are_plotted_under_the_same_names_each_time(tmp_path: Path) -> None:
    feed = a_feed(Vendor({day(2)}))
    with governed(tmp_path, lambda: dg.Definitions(assets=[feed, a_consumer("stale", "stale")])) as world:
        good = world.run("feed", partition=day(1)).materialized("feed")
        world.run(partition=day(2))
        [refused] = world.instance.fetch_observations(dg.AssetKey("feed"), limit=5).records
    assert good is not None
    seen = [{n: v.value for n, v in each.items() if isinstance(v.value, int | float)} for each in (good.metadata, _observed(refused))]
    plotted = "contracts/failing_percent/semantics"
    assert (seen[0][plotted], seen[1][plotted]) == (0.0, 100.0)
    assert seen[0].keys() - {"contracts/published"} <= seen[1].keys()


def _observed(record: dg.EventLogRecord) -> Any:
    found = record.asset_observation
    assert found is not None
    return found.metadata


def test_the_first_line_of_a_halt_says_what_since_when_until_when_and_what_was_found(tmp_path: Path) -> None:
    assert FIRST.isoformat() == "2026-01-01T00:00:00+00:00"
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor({day(2)})), a_consumer("strict", "full")])) as world:
        world.run("feed", partition=day(2))
        ran = world.run("strict", partition=day(2))
        [failed] = [event.step_failure_data.user_failure_data for event in ran.result.all_events if event.is_step_failure]
    first, rest = ran.failures["strict"].split("\n", 1)
    assert first.startswith(
        "Halted: strict may not read feed [2026-01-02]. feed is open since 2026-01-01 06:00Z, next probe after 2026-01-01 12:00Z: "
        "risk.invalidValues: 2 of 2 rows (100%) outside"
    )
    assert "batch release feed --partition 2026-01-02" in rest
    assert failed is not None
    assert failed.metadata["contracts/breaker"].value == "feed"
    assert failed.metadata["contracts/next_probe_after"].value == FIRST.timestamp() + 12 * 3600
