"""The drill: what it finds out, how it tells it, and that nothing of production is touched by it, whatever anybody tries."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text

from dagster_contracts import Drill, make_slack_on_breaker_sensor, with_contracts
from dagster_contracts import recovery as words
from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.edit import edited, picked
from dagster_contracts.chaos.fault import Fault, fault
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.state import OverrideKind
from dagster_contracts.gate import Gate
from dagster_contracts.plugin.drill.offer import DRILL
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.sinks.slack.web import Web
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.plugin.lab import QUIET, Ran, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of
from tests.slack_server import TOKEN, Slack, slack_server

REPORT = dg.AssetKey(["contracts_drill", "feed"])


class Bureau(Vendor):
    """Forty rows a day."""

    def frame(self, key: str) -> pd.DataFrame:
        risks = ["7", "8"] if key in self.bad else ["HIGH", "LOW"]
        return pd.DataFrame({"customer_id": range(1, 41), "risk": risks * 20, "read": key})


def drill(world: World, **config: Any) -> Ran:
    given = {**QUIET, "ops": {"drill_contracts": {"config": {"seed": 1, **config}}}}
    return Ran(world.defs.resolve_job_def(DRILL).execute_in_process(instance=world.instance, run_config=given, raise_on_error=False))


def reported(world: World, asset: dg.AssetKey = REPORT) -> dict[str, Any]:
    event = world.instance.get_latest_materialization_event(asset)
    assert event is not None
    made = event.asset_materialization
    assert made is not None
    tables = {name: [dict(row.data) for row in v.records] for name, v in made.metadata.items() if isinstance(v, dg.TableMetadataValue)}
    return {"told": made.description, **{name: value.value for name, value in made.metadata.items()}, **tables}


def consumers() -> list[dg.AssetsDefinition]:
    return [a_consumer("scores", "full"), a_consumer("terms", "stale"), a_consumer("offers", "low")]


@contextmanager
def drilled_world(folder: Path, *texts: str, days: int = 3, offer: Drill | None = None, **options: Any) -> Iterator[World]:
    with governed(
        folder, lambda: dg.Definitions(assets=[a_feed(Bureau()), *consumers()]), *texts, drill=offer or Drill(), **options
    ) as world:
        for number in range(1, days + 1):
            world.at(number, 6)
            assert world.run("feed", partition=day(number)).success
        yield world


# --- what it finds out -----------------------------------------------------------------------------------------------


def test_faults_are_taken_to_recovery_and_the_score_has_a_trend(tmp_path: Path) -> None:
    with drilled_world(tmp_path) as world:
        ran = drill(world, faults=["new_category", "drop_column"])
        assert ran.success, ran.failures
        found = reported(world)
        by_fault = {row["fault"].split()[0]: row for row in found["contracts/exercises"]}
        assert set(by_fault) == {"new_category", "drop_column"}
        caught = by_fault["new_category"]
        assert (caught["caught"], caught["tripped"], caught["recovered"]) == ("refused", "with batch 1", "by a probe")
        assert caught["rules"] == "risk.invalidValues"
        assert caught["read"] == ("scores: halted, nothing; terms: last_good, an earlier batch; offers: low_confidence, the faulty batch")
        assert found["contracts/recovered_percent"] == 100.0
        assert found["contracts/score"] < 100
        assert f"score {found['contracts/score']:.1f}% (" in found["told"]
        assert "contracts/score_before" not in found
        assert {row["clause"] for row in found["contracts/missing_clauses"]} == {"schema"}
        assert "dagster-contracts chaos " in found["contracts/next"]
        assert drill(world, faults=["new_category"], of_each_group=0).success
        again = reported(world)
        assert (again["contracts/score"], again["contracts/score_before"]) == (100.0, found["contracts/score"])


def test_what_is_missed_is_published_and_replaced(tmp_path: Path) -> None:
    with drilled_world(tmp_path) as world:
        assert drill(world, faults=["sign_change"]).success
        [row] = reported(world)["contracts/exercises"]
        assert (row["caught"], row["tripped"], row["recovered"]) == ("missed", "no", "by the next delivery")
        assert row["read"].count("fresh, the faulty batch") == 3


@pytest.mark.soak
def test_a_policy_that_waits_for_several_batches_and_several_probes_is_waited_for(tmp_path: Path) -> None:
    policy = "tripOn: [], failures: 2, window: {batches: 3}, halfOpen: {probes: 2}"
    with drilled_world(tmp_path, contract_text(policy=policy)) as world:
        ran = drill(world, faults=["new_category"])
        assert ran.success, ran.failures
        [row] = reported(world)["contracts/exercises"]
        assert (row["tripped"], row["recovered"]) == ("with batch 2", "by a probe")


def test_an_asset_without_partitions_has_its_live_data_as_the_last_good(tmp_path: Path) -> None:
    def definitions() -> dg.Definitions:
        return dg.Definitions(assets=[a_feed(Bureau(), partitions=None), a_consumer("terms", "stale", partitions=None)])

    with governed(tmp_path, definitions, drill=Drill()) as world:
        assert world.run("feed").success
        assert drill(world, faults=["new_category"]).success
        [row] = reported(world)["contracts/exercises"]
        assert (row["caught"], row["recovered"]) == ("refused", "by a probe")
        assert row["read"] == "terms: last_good, an earlier batch"


def test_the_objects_that_rules_read_are_there(tmp_path: Path) -> None:
    contract = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
- name: customers
  properties: [{name: id, logicalType: integer, required: true, unique: true}]
- name: orders
  properties:
  - {name: number, logicalType: integer, required: true}
  - {name: customer, logicalType: integer, required: true, relationships: [{to: customers.id}]}
"""

    @dg.asset
    def customers() -> pd.DataFrame:
        return pd.DataFrame({"id": range(50)})

    @dg.asset
    def orders() -> pd.DataFrame:
        return pd.DataFrame({"number": range(50), "customer": range(50)})

    with governed(tmp_path, lambda: dg.Definitions(assets=[customers, orders]), contract, drill=Drill()) as world:
        assert world.run("customers").success
        assert world.run("orders").success
        ran = drill(world, assets=["orders"], faults=["unit_change"])
        assert ran.success, ran.failures
        found = reported(world, dg.AssetKey(["contracts_drill", "orders"]))
        assert found["contracts/exercises"][0]["recovered"] != "no"
        assert world.instance.get_latest_materialization_event(dg.AssetKey(["contracts_drill", "customers"])) is None


# --- what it says where it cannot ------------------------------------------------------------------------------------


def test_without_a_good_partition_or_a_fault_that_fits_an_asset_is_left_out_and_told(tmp_path: Path) -> None:
    with slack_server() as slack:
        slack.channels["#drill"] = "C0000003"
        offer = Drill(channel="#drill", slack_token=TOKEN, slack_base_url=slack.url)
        with drilled_world(tmp_path, days=0, offer=offer) as world:
            assert drill(world).success
            world.at(1, 6)
            assert world.run("feed", partition=day(1)).success
            assert drill(world, faults=["nested_to_text"]).success
            assert world.instance.get_latest_materialization_event(REPORT) is None
        none_good, none_fits = (json.dumps(message["blocks"]) for message in slack.messages)
        assert "feed: left out, no partition of feed has been judged good" in none_good
        assert "no fault could be tried, so that nothing is scored" in none_fits


def test_an_unknown_asset_or_fault_is_told(tmp_path: Path) -> None:
    with drilled_world(tmp_path, days=0) as world:
        assert 'no contract governs "fed"' in drill(world, assets=["fed"]).failures["drill_contracts"]
        assert 'no fault or group is called "gremlin"' in drill(world, faults=["gremlin"]).failures["drill_contracts"]


def test_the_schedule_is_off_and_no_job_of_all_assets_makes_what_drills_report_to(tmp_path: Path) -> None:
    with drilled_world(tmp_path, days=0) as world:
        schedule = world.defs.resolve_schedule_def("contracts_drill_monthly")
        assert (schedule.default_status, schedule.cron_schedule) == (dg.DefaultScheduleStatus.STOPPED, "0 5 1 * *")
        assert REPORT in {spec.key for spec in world.defs.resolve_all_asset_specs()}
        job = dg.define_asset_job("everything", selection=dg.AssetSelection.all())
        resolved = dg.Definitions.merge(world.defs, dg.Definitions(jobs=[job])).resolve_job_def("everything")
        assert REPORT not in resolved.asset_layer.selected_asset_keys
    with governed(tmp_path / "without", lambda: dg.Definitions(assets=[a_feed(Bureau())])) as plain:
        assert not [job for job in plain.defs.jobs or [] if getattr(job, "name", "") == DRILL]


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"sinks": [SlackAlerts(channel="alerts")]}, "the sink slack"),
        ({"sensors": [make_slack_on_breaker_sensor("#Alerts", TOKEN)]}, "the sensor slack_on_breaker"),
        ({"contract": "support: [{channel: '#alerts', tool: slack}]\n"}, "contract feed-contract"),
    ],
    ids=["sink", "sensor", "contract"],
)
def test_a_drill_may_not_speak_where_alerts_do(tmp_path: Path, options: dict[str, Any], who: str) -> None:
    defs = dg.Definitions(assets=[a_feed(Bureau())], sensors=options.get("sensors", []))
    (tmp_path / "feed.odcs.yaml").write_text(contract_text() + options.get("contract", ""))
    with pytest.raises(ContractError, match=rf'the drill would tell the Slack channel "#alerts", to which {who} sends alerts'):
        with_contracts(defs, tmp_path, sinks=options.get("sinks", ()), drill=Drill(channel="#alerts", slack_token=TOKEN))


# --- that nothing is touched -----------------------------------------------------------------------------------------


class Watched(dg.IOManager):
    """Production's storage: one file for each partition, whatever the asset's key is."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.written: list[str] = []

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        self.written.append(context.asset_key.to_user_string())
        self.folder.mkdir(exist_ok=True)
        pd.to_pickle(obj, self.folder / context.partition_key)

    def load_input(self, context: dg.InputContext) -> Any:
        return pd.read_pickle(self.folder / context.partition_key)


def dumped(url: str) -> dict[str, list[str]]:
    """Every row of every table, but for what SQLite keeps for itself."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        found = {name: sorted(str(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"'))) for name in names}
    engine.dispose()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def attacks(url: str, folder: Path, slack: Slack, world: list[World]) -> dict[str, Callable[[], object]]:
    """What somebody's fault might do to production with all that production knows."""

    def override(store: SqlStore | Any) -> object:
        return words.override(Gate(store, None), "feed", OverrideKind.FORCE_OPEN, actor="fault", reason="drill")  # type: ignore[arg-type]

    def sql() -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE contracts_breakers SET generation = generation + 100"))
        engine.dispose()

    def driver() -> None:
        statement = "UPDATE contracts_breakers SET generation = generation + 7"
        if url.startswith("sqlite"):
            with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
                connection.execute(statement)
        else:
            with psycopg.connect(url.replace("+psycopg", "")) as connected:
                connected.execute(statement)

    def alert() -> None:
        Web(lambda: TOKEN, slack.url, 5).post("#alerts", "a drill", [], name="drill")

    return {
        "a_store_of_its_own": lambda: override(SqlStore(url)),
        "the_store_that_is_connected": lambda: override(world[0].ledger()),
        "sql": sql,
        "the_driver": driver,
        "a_file": lambda: (folder / day(1)).write_bytes(b"a fault was here"),
        "slack": alert,
    }


def attacking(name: str, attempt: Callable[[], object], told: list[str]) -> Fault:
    @fault(name, "quality", clause="validity")
    def attack(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        """Tries to do harm, says what came of it, and damages the batch."""
        try:
            attempt()
        except Exception as error:  # noqa: BLE001 - whatever it is refused with
            told.append(f"{name}: {error}")
        else:
            told.append(f"{name}: done")
        return edited(batch, "risk", picked_value(), picked(batch, "risk", 1.0, rng), "unknown")

    return attack


def picked_value() -> Any:
    import polars as pl

    return pl.lit("UNKNOWN")


@pytest.mark.parametrize("database", [pytest.param("sqlite", marks=pytest.mark.soak), "postgres"])
def test_a_drill_touches_nothing_of_production(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/production.db" if database == "sqlite" else request.getfixturevalue("postgres_url")
    if database == "postgres":
        upgrade(url)
    live, told, here = tmp_path / "live", list[str](), list[World]()
    storage, vendor = Watched(live), Bureau({day(3)})
    with slack_server() as slack:
        slack.channels["#drill"] = "C0000003"
        tries = attacks(url, live, slack, here)
        faults = [attacking(name, attempt, told) for name, attempt in tries.items()]
        offer = Drill(channel="#drill", slack_token=TOKEN, slack_base_url=slack.url, faults=faults, directory=str(tmp_path))
        alerts = make_slack_on_breaker_sensor("#alerts", TOKEN, slack_base_url=slack.url)

        def definitions() -> dg.Definitions:
            return dg.Definitions(assets=[a_feed(vendor), *consumers()], resources={"io_manager": storage}, sensors=[alerts])

        with governed(tmp_path / "home", definitions, url=url, drill=offer) as world:
            here.append(world)
            for number in (1, 2, 3):
                world.at(number, 6)
                world.run("feed", partition=day(number))
            assert [(breaker.key, breaker.state) for breaker in world.ledger().breakers()] == [("feed", "open")]  # no reason to refuse
            before, stood, written = dumped(url), files(live), list(storage.written)
            ran = drill(world, faults=list(tries))
            assert ran.success, ran.failures
            assert [row["caught"] for row in reported(world)["contracts/exercises"]] == ["refused"]
            assert reported(world)["contracts/faults"] == len(tries)
            assert dumped(url) == before
            assert files(live) == stood
            assert storage.written == written
            assert {message["channel"] for message in slack.messages} == {"C0000003"}
            assert len(slack.messages) == 1
            assert {line.partition(":")[0] for line in told} == set(tries)
            assert not [line for line in told if line.endswith(": done")], told
            assert not list(tmp_path.glob("contracts-drill-*"))
            assert {key.to_user_string() for key in world.instance.all_asset_keys()} == {"feed", "contracts_drill/feed"}
            assert value_of(world, "feed", day(2))["risk"].to_list() == ["HIGH", "LOW"] * 20
            for name, attempt in tries.items():  # outside of a drill each of them does its harm
                attempt()
                now = (dumped(url), files(live), len(slack.messages))
                assert now != (before, stood, 1), name
                before, stood = now[0], now[1]


def test_a_drill_of_unknown_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        Drill(batches=0)
    with pytest.raises(ValueError, match="give channel and slack_token, or neither"):
        Drill(channel="#drill")
    assert TOKEN not in repr(Drill(channel="#drill", slack_token=TOKEN))
