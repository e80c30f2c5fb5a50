"""Contracts from a registry in Dagster: what is in force judges, without a new deployment; loading asks nobody."""

from pathlib import Path

import dagster as dg
import pytest

from dagster_contracts import BreakerResource, Registry, RegistryResource, with_contracts
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.plugin.site import site_of
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.sql import SqlStore
from tests.plugin.lab import FIRST, QUIET, Vendor, World, a_feed, contract_files, contract_text, dagster_home, day

NOBODY = "postgresql://nobody@127.0.0.1:1/none"
LOOSE = "validValues: [HIGH, LOW, '7', '8']"
TIGHT = "validValues: [HIGH, LOW]"


def version(number: str, values: str = TIGHT) -> str:
    return contract_text(version=number).replace(TIGHT, values)


class Registered:
    """A governed feed whose contract comes from a registry; each publication is a folder of its own."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, *, url: str = "", bad: set[str] | None = None, ttl: float = 0):
        self.folder = folder
        self.address = f"sqlite:///{folder}/contracts.db"
        clock = FixedClock(FIRST)
        loaded = contract_files(folder / "contracts", version("1.0.0"))
        resource = RegistryResource(contracts=str(loaded), url=url, ttl_seconds=ttl)
        defs = dg.Definitions(assets=[a_feed(Vendor(bad=bad or set()))])
        governed = with_contracts(defs, resource, breakers=BreakerResource(url=self.address), clock=clock)
        self.world = World(governed, instance, clock, SqlStore(self.address, clock=clock))

    def publish(self, number: str, values: str = TIGHT) -> None:
        folder = contract_files(self.folder / number, version(number, values))
        Registry(self.address).publish(folder, author="ann", accept_incompatible="tests")

    def delivered(self, number: int) -> tuple[str, Outcome]:
        self.world.at(number + 1, 6)
        self.world.run("feed", partition=day(number))
        (batch,) = self.world.ledger().batches(partition=day(number))
        return batch.contract_version, batch.outcome


def test_what_is_in_force_judges_without_a_new_deployment(tmp_path: Path) -> None:
    with dagster_home(tmp_path) as instance:
        feed = Registered(tmp_path, instance, bad={day(1), day(2), day(3)})
        feed.publish("1.0.0", LOOSE)
        assert feed.delivered(1) == ("1.0.0", Outcome.PASS)  # not the content that was loaded
        feed.publish("2.0.0", TIGHT)
        assert feed.delivered(2) == ("2.0.0", Outcome.FAIL)
        assert feed.world.ledger().breakers()[0].state is State.OPEN


def test_a_version_bump_makes_a_probe_of_an_open_breaker_due_now(tmp_path: Path) -> None:
    """It keeps its state, its window is empty, its generation moves on; and the batch that was refused is judged by what is in force."""
    with dagster_home(tmp_path) as instance:
        feed = Registered(tmp_path, instance, bad={day(1)})
        feed.publish("1.0.0")
        assert feed.delivered(1) == ("1.0.0", Outcome.FAIL)
        (opened,) = feed.world.ledger().breakers()
        assert feed.world.tick("contracts_probe") == []
        feed.publish("2.0.0", LOOSE)
        (request,) = feed.world.tick("contracts_probe")
        (still,) = feed.world.ledger().breakers()
        assert (still.state, still.generation, still.contract_version) == (State.OPEN, opened.generation, "1.0.0")  # reading writes nothing
        feed.world.launch(request)
        (closed,) = feed.world.ledger().breakers()
        assert (closed.state, closed.contract_version, closed.window) == (State.CLOSED, "2.0.0", ())
        assert closed.generation > opened.generation


def test_what_was_loaded_counts_where_nothing_is_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with dagster_home(tmp_path) as instance:
        feed = Registered(tmp_path, instance)
        site = site_of(feed.world.defs)
        told: list[str] = []
        assert site.in_force(instance, ["feed"], told.append)["feed"].version == "1.0.0"
        assert told == ["no version of contract feed-contract is in force in the registry; feed is judged by 1.0.0, as loaded"]
        assert feed.delivered(1) == ("1.0.0", Outcome.PASS)


def test_loading_asks_nobody_and_a_registry_that_is_away_stops_nothing(tmp_path: Path) -> None:
    with dagster_home(tmp_path) as instance:
        feed = Registered(tmp_path, instance, url=NOBODY, ttl=1000)
        job = feed.world.defs.resolve_implicit_global_asset_job_def()
        assert feed.delivered(1) == ("1.0.0", Outcome.PASS)
        result = job.execute_in_process(instance=instance, partition_key=day(2), run_config=QUIET)
        said = [event.message for event in instance.all_logs(result.run_id) if "out of reach" in (event.message or event.user_message)]
        logged = [event.user_message for event in instance.all_logs(result.run_id) if "out of reach" in event.user_message]
        assert said or logged
        assert "feed is judged by feed-contract 1.0.0, the last known" in (said + logged)[0]


def test_in_force_without_the_asset_is_told_and_not_used(tmp_path: Path) -> None:
    with dagster_home(tmp_path) as instance:
        feed = Registered(tmp_path, instance)
        feed.publish("1.1.0", LOOSE)
        site, told = site_of(feed.world.defs), list[str]()
        assert site.in_force(instance, ["feed"], told.append)["feed"].version == "1.1.0"
        text = version("2.0.0").replace("name: feed", "name: other")
        Registry(feed.address).publish(contract_files(tmp_path / "other", text), author="ann")
        assert site.in_force(instance, ["feed"], told.append)["feed"].version == "1.1.0"
        assert told == ["feed-contract 2.0.0, in force, says nothing of feed; it is judged by 1.1.0"]


def test_in_memory_there_is_no_registry(tmp_path: Path) -> None:
    loaded = contract_files(tmp_path, version("1.0.0"))
    defs = with_contracts(dg.Definitions(assets=[a_feed(Vendor())]), RegistryResource(contracts=str(loaded)))
    site = site_of(defs)
    assert site.in_force(dg.DagsterInstance.ephemeral())["feed"].version == "1.0.0"


def test_a_resource_shows_no_password(tmp_path: Path) -> None:
    loaded = contract_files(tmp_path, version("1.0.0"))
    resource = RegistryResource(contracts=str(loaded), url="postgresql://ann:secret@db/contracts")
    assert "secret" not in repr(resource)
    with pytest.raises(ContractError, match=r'RegistryResource\(url=dg.EnvVar\("CONTRACTS_DATABASE_URL"\)\)'):
        with_contracts(dg.Definitions(assets=[a_feed(Vendor())], resources={"registry": resource}), resource)


def test_a_body_asks_the_registry(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/contracts.db"
    Registry(address).publish(contract_files(tmp_path / "contracts", version("1.0.0")), author="ann")

    @dg.asset
    def report(registry: RegistryResource) -> str:
        return registry.registry().get("feed-contract").entry.name

    resource = RegistryResource(contracts=str(tmp_path / "contracts"), url=address)
    result = dg.materialize([report], resources={"registry": resource}, run_config=QUIET)
    assert result.output_for_node("report") == "feed-contract@1.0.0"
