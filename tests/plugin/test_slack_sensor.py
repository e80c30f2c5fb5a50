"""The sensor that tells Slack, in Dagster."""

from pathlib import Path

import dagster as dg
import pytest

from dagster_contracts import make_slack_on_breaker_sensor
from dagster_contracts.sinks.slack import SlackAlerts
from tests.plugin.lab import Vendor, World, a_consumer, a_feed, contract_text, day, governed
from tests.sinks.test_slack import text_of
from tests.slack_server import TOKEN, Slack, slack_server


def definitions(vendor: Vendor, *sensors: dg.SensorDefinition) -> dg.Definitions:
    assets = [a_feed(vendor), a_consumer("scores", "full"), a_consumer("terms", "stale"), a_consumer("offers", "stale", of="other")]
    return dg.Definitions(assets=[*assets, a_consumer("other", "low")], sensors=sensors)


def sensor(slack: Slack, token: str | dg.EnvVar = TOKEN) -> dg.SensorDefinition:
    return make_slack_on_breaker_sensor("#alerts", token, webserver_base_url="https://dagster.test", slack_base_url=slack.url)


def tick(world: World, name: str = "slack_on_breaker") -> None:
    """As the daemon would do it: with the resources of the code location that the sensor asks for."""
    repository = world.defs.get_repository_def()
    sensor = repository.get_sensor_def(name)
    resources = {key: made for key, made in repository.get_top_level_resources().items() if key in sensor.required_resource_keys}
    sensor.evaluate_tick(dg.build_sensor_context(instance=world.instance, repository_def=repository, sensor_name=name, resources=resources))


def test_an_incident_reaches_slack_with_what_every_asset_downstream_reads(tmp_path: Path) -> None:
    vendor = Vendor(bad={day(3)})
    with slack_server() as slack, governed(tmp_path, lambda: definitions(vendor, sensor(slack)), contract_text()) as world:
        for number in (2, 3):
            world.at(number, 6)
            run = world.run("feed", partition=day(number))
        tick(world)
        (thread,) = slack.threads()
        said = text_of(thread)
        for wanted in (
            "feed is open",
            f"https://dagster.test/runs/{run.run_id}",
            "https://dagster.test/assets/feed",
            "scores  reads nothing: it is halted",
            f"terms   reads the last good data [{day(2)}]",
            f"other   reads the refused data [{day(3)}], marked low",
            "offers  reads nothing: other is only low, stale is needed",
        ):
            assert wanted in said, (wanted, said)
        assert slack.refused == []
        tick(world)
        assert len(slack.messages) == 1


def test_the_token_stands_nowhere_but_in_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SLACK_TOKEN", TOKEN)
    vendor = Vendor(bad={day(3)})
    with slack_server() as slack, governed(tmp_path, lambda: definitions(vendor, sensor(slack, dg.EnvVar("OUR_SLACK_TOKEN")))) as world:
        world.at(3, 6)
        world.run("feed", partition=day(3))
        tick(world)
        assert len(slack.threads()) == 1
        monkeypatch.delenv("OUR_SLACK_TOKEN")
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []


def test_it_is_off_until_it_is_switched_on() -> None:
    made = make_slack_on_breaker_sensor("#alerts", "xoxb-x")
    assert (made.name, made.default_status) == ("slack_on_breaker", dg.DefaultSensorStatus.STOPPED)
    assert "xoxb" not in repr(made)


def test_without_with_contracts_it_is_refused() -> None:
    made = make_slack_on_breaker_sensor("#alerts", "xoxb-x")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="'contracts' required by sensor 'slack_on_breaker'"):
        made(dg.build_sensor_context())


def test_the_relay_sensor_tells_it_as_a_sink(tmp_path: Path) -> None:
    from dagster_contracts import with_contracts
    from tests.plugin.lab import contract_files, dagster_home

    vendor = Vendor(bad={day(3)})
    contracts = contract_files(tmp_path / "contracts", contract_text())
    with slack_server() as slack, dagster_home(tmp_path / "home") as instance:
        sinks = [SlackAlerts("#alerts", TOKEN, base_url=slack.url)]
        defs = with_contracts(definitions(vendor), contracts=contracts, sinks=sinks)
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("feed")})
        job.execute_in_process(instance=instance, partition_key=day(3), raise_on_error=False)
        context = dg.build_sensor_context(instance=instance, definitions=defs, sensor_name="contracts_relay")
        defs.resolve_sensor_def("contracts_relay").evaluate_tick(context)
        assert "scores  reads nothing: it is halted" in text_of(slack.threads()[0])
