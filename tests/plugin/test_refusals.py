"""What cannot be governed says so at load; what cannot be known at run time never reads as closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from dagster_contracts import BreakerResource, RegistryResource, with_contracts
from dagster_contracts.core.errors import ContractError, StoreError
from dagster_contracts.plugin.definitions import RESOURCE
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.upgrade import upgrade
from tests.plugin.lab import FIRST, Ran, Vendor, World, a_consumer, a_feed, contract_files, contract_text, dagster_home

NOWHERE = "postgresql://contracts@127.0.0.1:1/contracts"  # nobody listens on port 1


def _assets(vendor: Vendor | None = None) -> list[Any]:
    return [a_feed(vendor or Vendor(), partitions=None), a_consumer("reader", "stale", partitions=None)]


# --- at load ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assets", "texts", "told"),
    [
        pytest.param(["food"], ["feed"], ["feed", "food"], id="no asset matches"),
        pytest.param([["a", "feed"], ["b", "feed"]], ["feed"], ["a/feed", "b/feed", "dagsterAsset"], id="two assets match"),
        pytest.param(["feed"], ["feed", "feed"], ["governed twice", "1.0.0", "2.0.0"], id="two contracts on one asset"),
    ],
)
def test_objects_without_one_asset(tmp_path: Path, assets: list[Any], texts: list[str], told: list[str]) -> None:
    def made(key: Any) -> dg.AssetsDefinition:
        @dg.asset(key=key)
        def each() -> int:
            return 1

        return each

    contracts = contract_files(tmp_path, *(contract_text(name, version=f"{number}.0.0") for number, name in enumerate(texts, 1)))
    with pytest.raises(ContractError) as error:
        with_contracts(dg.Definitions(assets=[made(key) for key in assets]), contracts=contracts)
    for word in told:
        assert word in str(error.value)


def test_an_unknown_word_for_what_a_consumer_accepts(tmp_path: Path) -> None:
    contracts = contract_files(tmp_path, contract_text())
    with pytest.raises(ContractError, match=r'asset "reader": metadata contracts/accepts is "stael", expected full, stale or low.*"stale"'):
        with_contracts(dg.Definitions(assets=[_assets()[0], a_consumer("reader", "stael", partitions=None)]), contracts=contracts)


@pytest.mark.parametrize(
    ("breakers", "told"),
    [
        ("sqlite:///x.db", r'breakers is a str, expected a BreakerResource: write breakers=BreakerResource\(url="sqlite:///x.db"\)'),
        ("x.db", r'a str, .*BreakerResource\(url=dg.EnvVar\("CONTRACTS_DATABASE_URL"\)\)'),
        ("postgresql://me:hidden@host/db", r'a str, .*BreakerResource\(url=dg.EnvVar\("CONTRACTS_DATABASE_URL"\)\)'),
        (dg.EnvVar("MY_URL"), r'a EnvVar, .*BreakerResource\(url=dg.EnvVar\("MY_URL"\)\)'),
        (Path("x.db"), "breakers is a PosixPath, expected a BreakerResource"),
        (BreakerResource(url="x.db"), 'the url of the BreakerResource "breakers": the store\'s url is malformed; valid forms are'),
        (
            BreakerResource(url="mysql://me:hidden@h/db"),
            "the url of the BreakerResource .*: .* unknown kind, 'mysql'; valid forms",
        ),
        (BreakerResource(url="sqlite://"), "names no file; valid forms are"),
    ],
    ids=["text", "a file name", "text with a password", "a variable", "a path", "no url", "another database", "no file"],
)
def test_breakers_that_the_first_run_could_not_use(breakers: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=told) as caught:
        with_contracts(dg.Definitions(assets=_assets()), contracts=contract_files(tmp_path, contract_text()), breakers=breakers)
    assert "hidden" not in str(caught.value)


def test_urls_of_resources_and_of_a_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as they stand; what a variable holds is known to the runs alone."""
    folder = contract_files(tmp_path, contract_text())
    monkeypatch.setenv("CONTRACTS_TEST_URL", "x.db")
    given = dg.Definitions(assets=_assets(), resources={"breakers": BreakerResource(url="x.db")})
    with pytest.raises(ContractError, match='BreakerResource "breakers": the store\'s url is malformed'):
        with_contracts(given, contracts=folder, breakers=BreakerResource(url=f"sqlite:///{tmp_path}/c.db"))
    with pytest.raises(ContractError, match='RegistryResource "contracts": the store\'s url is malformed'):
        with_contracts(dg.Definitions(assets=_assets()), RegistryResource(contracts=str(folder), url="x.db"))
    with_contracts(dg.Definitions(assets=_assets()), contracts=folder, breakers=BreakerResource(url=dg.EnvVar("CONTRACTS_TEST_URL")))


def test_called_twice(tmp_path: Path) -> None:
    contracts = contract_files(tmp_path, contract_text())
    once = with_contracts(dg.Definitions(assets=_assets()), contracts=contracts)
    with pytest.raises(ContractError, match="with_contracts was called twice; call it once, with all contracts"):
        with_contracts(once, contracts=contracts)


@pytest.mark.parametrize("path", ["absent", "absent.odcs.yaml"])
def test_a_path_that_is_not_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(ContractError, match="absent"):
        with_contracts(dg.Definitions(assets=_assets()), contracts=tmp_path / path)


def test_a_folder_without_contracts(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=tmp_path.name):
        with_contracts(dg.Definitions(assets=_assets()), contracts=tmp_path)


def test_loading_touches_nothing_but_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the database, which is out of reach, nor the folder it stands in, nor DAGSTER_HOME; and the sensors and jobs resolve."""
    contracts = contract_files(tmp_path / "contracts", contract_text())
    here = tmp_path / "empty"
    here.mkdir()
    here.chmod(0o500)
    monkeypatch.chdir(here)
    monkeypatch.setenv("DAGSTER_HOME", str(here))
    for url in (NOWHERE, f"sqlite:///{here}/c.db", dg.EnvVar("CONTRACTS_URL_THAT_IS_NOT_SET"), ""):
        defs = with_contracts(dg.Definitions(assets=_assets()), contracts=contracts, breakers=BreakerResource(url=url))
        repository = defs.get_repository_def()
        assert {sensor.name for sensor in repository.sensor_defs} == {"contracts_probe", "contracts_heal", "contracts_relay"}
    assert list(here.iterdir()) == []


# --- a store out of reach --------------------------------------------------------------------------------------------


def _in_process(defs: dg.Definitions, instance: dg.DagsterInstance, *assets: str) -> Ran:
    return World(defs, instance, FixedClock(FIRST)).run(*assets)


def _stored(instance: dg.DagsterInstance, *names: str) -> dict[str, bool]:
    return {name: Path(instance.storage_directory(), name).exists() for name in names}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An instance in whose live place a feed stands already, from before adoption."""
    place = tmp_path_factory.mktemp("live")
    with dagster_home(place) as instance:
        bare = dg.Definitions(assets=_assets(), resources={"io_manager": dg.FilesystemIOManager(base_dir=instance.storage_directory())})
        assert _in_process(bare, instance, "feed").success
        yield place, instance


def _governed(place: Path, url: Any, policy: str = "", vendor: Vendor | None = None) -> dg.Definitions:
    contracts = contract_files(place / f"contracts-{abs(hash(policy))}", contract_text(policy=policy))
    return with_contracts(dg.Definitions(assets=_assets(vendor)), contracts=contracts, breakers=BreakerResource(url=url))


def test_out_of_reach_halts(live: Any) -> None:
    """The consumer fails and says why; the feed does not publish what nobody could record."""
    place, instance = live
    defs = _governed(place, NOWHERE)
    before = pd.read_pickle(Path(instance.storage_directory(), "feed"))
    feed, reader = _in_process(defs, instance, "feed"), _in_process(defs, instance, "reader")
    assert "out of reach" in feed.failures["feed"]
    assert feed.materialized("feed") is None
    assert "out of reach" in reader.failures["reader"]
    assert "127.0.0.1" in reader.failures["reader"]
    assert reader.materialized("reader") is None
    assert _stored(instance, "feed", "reader") == {"feed": True, "reader": False}
    pd.testing.assert_frame_equal(pd.read_pickle(Path(instance.storage_directory(), "feed")), before)


def test_out_of_reach_admits_where_the_policy_says_so(tmp_path: Path) -> None:
    """Good data is published and read, and both say that nothing was recorded; bad data is still refused."""
    vendor = Vendor()
    defs = _governed(tmp_path, NOWHERE, "onStoreUnavailable: admit", vendor)
    with dagster_home(tmp_path) as instance:
        both = _in_process(defs, instance)
        assert both.failures == {}
        made = both.materialized("reader")
        assert made is not None
        assert (made.tags or {})["contracts/route"] == "unjudged"
        vendor.bad.add("feed")
        bad = _in_process(defs, instance, "feed")
        assert bad.materialized("feed") is None
        assert "broke contract" in bad.failures["feed"]
        assert "risk.invalidValues" in bad.failures["feed"]
        assert list(pd.read_pickle(Path(instance.storage_directory(), "feed"))["risk"]) == ["HIGH", "LOW"]


@pytest.mark.parametrize("policy", ["", "onStoreUnavailable: admit"], ids=["halt", "admit"])
@pytest.mark.parametrize("fault", ["password", "schema"])
def test_what_a_person_must_mend_always_raises(live: Any, postgres_url: str, fault: str, policy: str) -> None:
    place, instance = live
    url = postgres_url
    if fault == "password":
        upgrade(postgres_url)
        engine = create_engine(postgres_url)
        with engine.begin() as connection:
            connection.execute(text("DROP ROLE IF EXISTS nobody_at_all"))
        engine.dispose()
        url = postgres_url.replace("postgres:@", "nobody_at_all:wrong@")
        assert url != postgres_url
    defs = _governed(place, url, policy)
    for name in ("feed", "reader"):
        ran = _in_process(defs, instance, name)
        assert ran.materialized(name) is None
        told = ran.failures[name]
        assert ("SchemaOutOfDate" in told and "dagster-contracts db upgrade" in told) if fault == "schema" else "StoreError" in told
        assert "wrong" not in told.replace("went wrong", "")


def test_a_ledger_that_was_lost(tmp_path: Path) -> None:
    """A refused batch stands nowhere but beside, and nobody knows of it any more: the consumer is told what to do."""
    with dagster_home(tmp_path) as instance:
        refused = _in_process(_governed(tmp_path, f"sqlite:///{tmp_path}/a.db", vendor=Vendor(bad={"feed"})), instance, "feed")
        assert refused.materialized("feed") is None
        told = _in_process(_governed(tmp_path, f"sqlite:///{tmp_path}/b.db"), instance, "reader").failures["reader"]
    assert "StorageError: nothing stands in the live place of feed [(unpartitioned)]" in told
    assert "never judged. Materialize it." in told
    assert "`dagster-contracts baseline feed`" in told


# --- which store -----------------------------------------------------------------------------------------------------


def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTRACTS_TEST_URL", raising=False)
    defs = _governed(tmp_path, dg.EnvVar("CONTRACTS_TEST_URL"))
    with dagster_home(tmp_path) as instance:
        ran = _in_process(defs, instance)
        assert "environment variable CONTRACTS_TEST_URL names the breaker database and is not set" in ran.failures["feed"]
        assert ran.materialized("feed") is None
    assert not list(tmp_path.glob("contracts.db*"))


def test_a_variable_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRACTS_TEST_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    defs = _governed(tmp_path, dg.EnvVar("CONTRACTS_TEST_URL"))
    with dagster_home(tmp_path) as instance:
        assert _in_process(defs, instance).failures == {}
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "contracts.db").exists()


def test_without_a_url_under_another_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run would have its own breaker, silently closed: refused, and nothing is read as closed."""
    monkeypatch.setattr("dagster_contracts.plugin.private.instances.runs_on_this_machine", lambda instance: False)
    with dagster_home(tmp_path) as instance:
        ran = _in_process(_governed(tmp_path, ""), instance)
        assert "Set BreakerResource(url=...) to a PostgreSQL database that all runs reach" in ran.failures["feed"]
        assert ran.materialized("feed") is None
        assert not list(tmp_path.glob("contracts.db*"))


def test_without_a_url_on_this_machine(tmp_path: Path) -> None:
    with dagster_home(tmp_path) as instance:
        assert _in_process(_governed(tmp_path, ""), instance).failures == {}
    assert (tmp_path / "contracts.db").exists()


def test_an_ephemeral_instance_keeps_breakers_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vendor = Vendor()
    defs = _governed(tmp_path / "contracts", "", vendor=vendor)
    with dg.DagsterInstance.ephemeral(str(tmp_path / "storage")) as instance:
        assert _in_process(defs, instance).failures == {}
        vendor.bad.add("feed")
        assert _in_process(defs, instance, "feed").materialized("feed") is None
        again = _in_process(defs, instance, "reader").materialized("reader")
        assert again is not None
        assert (again.tags or {})["contracts/confidence"] == "stale", "the breaker has outlived the run"
        assert isinstance((defs.resources or {})[RESOURCE].gate(instance).store, MemoryStore)
    assert not list(tmp_path.rglob("*.db"))


def test_a_wrong_url_raises_at_once(tmp_path: Path) -> None:
    with dagster_home(tmp_path) as instance, pytest.raises(StoreError, match="valid forms are"):
        BreakerResource(url="not a url").store(instance, FixedClock(FIRST)).breakers()
