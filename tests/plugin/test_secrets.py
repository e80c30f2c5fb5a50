"""A canary stands in the password of every url; every kind of failure is provoked; it must be nowhere that anybody can read."""

import logging
import subprocess
import sys
import traceback
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value
from sqlalchemy import make_url

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.core.errors import ContractError, DagsterContractsError
from dagster_contracts.plugin.site import site_of
from dagster_contracts.ports import EventSink, StoreSink
from dagster_contracts.sinks.kafka import KafkaEvents
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.store.upgrade import upgrade
from tests.plugin.lab import Vendor, a_consumer, a_feed, contract_files, contract_text, dagster_home, day

CANARY = "cAnArY+7"
IN_A_URL = "cAnArY%2B7"
FORMS = (CANARY, IN_A_URL, "cAnArY")
FAULTS = ["unreachable", "bare @", "no tables", "ssl password"]


def _url(fault: str, request: pytest.FixtureRequest) -> str:
    if fault in ("no tables", "no database"):
        url = make_url(request.getfixturevalue("postgres_url")).set(password=CANARY)
        if fault == "no database":
            url = url.set(database="elsewhere")
        return url.render_as_string(hide_password=False)
    return {
        "unreachable": f"postgresql://me:{IN_A_URL}@127.0.0.1:1/none",
        "malformed": f"postgresql://me:{IN_A_URL}@host:port/none",
        "bare @": f"postgresql://me:p@{IN_A_URL}@host/none",
        "another kind": f"mysql://me:{IN_A_URL}@host/none",
        "ssl password": f"postgresql://me@127.0.0.1:1/none?sslpassword={IN_A_URL}&password={IN_A_URL}",
    }[fault]


def assert_hidden(*texts: object) -> None:
    for text in texts:
        for form in FORMS:
            found = str(text).find(form)
            assert found < 0, f"...{str(text)[max(0, found - 200) : found + 40]}"


def _chain(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _definitions(folder: Path, url: Any, policy: str = "") -> dg.Definitions:
    assets = [a_feed(Vendor()), a_consumer("reader")]
    contracts = contract_files(folder / "contracts", contract_text(policy=policy))
    return with_contracts(dg.Definitions(assets=assets), contracts=contracts, breakers=BreakerResource(url=url))


@pytest.mark.parametrize("fault", FAULTS)
def test_runs_and_sensors(
    fault: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given literally and by a variable: events of the runs, what they print, what sensors raise, all reprs."""
    url = _url(fault, request)
    monkeypatch.setenv("CANARY_URL", url)
    caplog.set_level(logging.DEBUG)
    with dagster_home(tmp_path / "home") as instance:
        given = dg.EnvVar("CANARY_URL") if fault in ("ssl password", "bare @") else url
        defs = _definitions(tmp_path, given)
        assert_hidden(repr(BreakerResource(url=given)), str(BreakerResource(url=given)), repr(site_of(defs)), repr(defs))
        job = defs.resolve_implicit_global_asset_job_def()
        ran = job.execute_in_process(instance=instance, partition_key=day(1), raise_on_error=False)
        assert not ran.success
        logs = instance.all_logs(ran.run_id)
        assert len(logs) > 3
        assert_hidden(*(serialize_value(entry) for entry in logs), serialize_value(instance.get_run_by_id(ran.run_id)))
        for sensor in ("contracts_probe", "contracts_heal", "contracts_relay"):
            context = dg.build_sensor_context(instance=instance, definitions=defs, sensor_name=sensor)
            with pytest.raises(Exception) as caught:  # noqa: PT011  # what it raises is Dagster's; what it says is the matter here
                defs.resolve_sensor_def(sensor).evaluate_tick(context)
            assert_hidden(_chain(caught.value))
    assert_hidden(*capfd.readouterr(), caplog.text)


def test_an_admitted_run_tells_why_without_the_password(
    tmp_path: Path, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    """onStoreUnavailable: admit puts the reason into metadata and tags of what is made."""
    defs = _definitions(tmp_path, _url("unreachable", request), "onStoreUnavailable: admit")
    with dagster_home(tmp_path / "home") as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        ran = job.execute_in_process(instance=instance, partition_key=day(1), raise_on_error=False)
        assert ran.success
        logs = [serialize_value(entry) for entry in instance.all_logs(ran.run_id)]
        assert any("out of reach" in entry for entry in logs)
        assert_hidden(*logs, *capfd.readouterr())


COMMANDS = [["status"], ["breaker", "show", "k"], ["batch", "list"], ["db", "upgrade"], ["breaker", "reset", "k", "--reason", "x"]]


@pytest.mark.parametrize("fault", ["unreachable", "malformed", "bare @", "another kind", "no database"])
def test_the_command_line(fault: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from dagster_contracts.cli.app import app

    monkeypatch.chdir(tmp_path)
    url = _url(fault, request)
    for command in COMMANDS:
        given = CliRunner().invoke(app, [*command, "--database-url", url])
        named = CliRunner().invoke(app, command, env={"CONTRACTS_DATABASE_URL": url})
        assert (given.exit_code, named.exit_code) == (2, 2)
        for result in (given, named):
            assert_hidden(result.output, result.stdout, result.stderr, _chain(result.exception) if result.exception else "")
    helped = CliRunner().invoke(app, ["status", "--help"], env={"CONTRACTS_DATABASE_URL": url})
    assert_hidden(helped.output)


def test_a_pool_that_is_exhausted(postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """All connections of the process are taken, and nobody gives one back in time."""
    from dagster_contracts.core.errors import StoreUnavailable
    from dagster_contracts.store.sql import SqlStore

    upgrade(postgres_url)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("dagster_contracts.store.connect._BUSY_SECONDS", 0.05)
    store = SqlStore(make_url(postgres_url).set(password=CANARY).render_as_string(hide_password=False))
    store.now()
    with ExitStack() as taken:
        for _ in range(15):
            taken.enter_context(store._database._engine.connect())
        for ask in (store.now, store.breakers, store.tripped, lambda: store.confirm(["b"])):
            with pytest.raises(StoreUnavailable, match="QueuePool limit") as caught:
                ask()
            assert_hidden(_chain(caught.value))
    store.now()
    assert_hidden(caplog.text, repr(store._database._engine), repr(store._database._engine.pool))


def test_the_configuration_of_sinks(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Passwords and tokens of sinks that cannot deliver, given as they stand: what they raise, log and show, and what Dagster shows."""
    caplog.set_level(logging.DEBUG)
    nowhere = "127.0.0.1:1"
    at_once = timedelta(milliseconds=200)
    secret = {"sasl.password": CANARY, "sasl.username": "me", "ssl.key.password": CANARY}
    sinks: list[EventSink | StoreSink] = [
        KafkaEvents(nowhere, "t", options={**secret, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, timeout=at_once),
        KafkaEvents(nowhere, "t", name="unknown mechanism", options={**secret, "sasl.mechanism": "NONE SUCH"}, timeout=at_once),
        KafkaEvents(nowhere, "t", name="unknown setting", options={**secret, "sasl.pasword": CANARY}, timeout=at_once),
        SlackAlerts("#alerts", f"xoxb-{CANARY}", base_url=f"http://{nowhere}/api/", timeout=1),
    ]
    vendor = Vendor(bad={day(1)})
    contracts = contract_files(tmp_path / "contracts", contract_text())
    with dagster_home(tmp_path / "home") as instance:
        defs = with_contracts(dg.Definitions(assets=[a_feed(vendor)]), contracts=contracts, sinks=sinks)
        assert_hidden(*map(repr, sinks), repr(defs), serialize_value(RepositorySnap.from_def(defs.get_repository_def())))
        ran = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, partition_key=day(1), raise_on_error=False)
        context = dg.build_sensor_context(instance=instance, definitions=defs, sensor_name="contracts_relay")
        told = defs.resolve_sensor_def("contracts_relay").evaluate_tick(context)
        said = str(told.skip_message)
        for sink in sinks:
            assert f"{sink.name}: " in said
        assert_hidden(said, *(serialize_value(entry) for entry in instance.all_logs(ran.run_id)), *capfd.readouterr(), caplog.text)


def test_what_dagster_shows_of_a_code_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is all that the pages of Dagster know of resources and run config."""
    monkeypatch.setenv("CANARY_URL", f"postgresql://me:{IN_A_URL}@127.0.0.1:1/none")
    for url in (f"postgresql://me:{IN_A_URL}@127.0.0.1:1/none", dg.EnvVar("CANARY_URL")):
        defs = _definitions(tmp_path, url)
        assert_hidden(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))
    named = dg.Definitions(assets=[a_feed(Vendor())], resources={"breakers": BreakerResource(url=dg.EnvVar("CANARY_URL"))})
    governed = with_contracts(named, contracts=contract_files(tmp_path / "named", contract_text()))
    snapshot = serialize_value(RepositorySnap.from_def(governed.get_repository_def()))
    assert "CANARY_URL" in snapshot
    assert_hidden(snapshot)


@pytest.mark.parametrize("fault", ["malformed", "bare @", "another kind"])
def test_a_url_that_is_refused_at_load(fault: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with pytest.raises(ContractError, match="valid forms are") as caught:
        _definitions(tmp_path, _url(fault, request))
    assert_hidden(_chain(caught.value))


def test_a_resource_that_would_show_its_password_is_refused(tmp_path: Path) -> None:
    resource = BreakerResource(url=f"postgresql://me:{IN_A_URL}@host/db")
    defs = dg.Definitions(assets=[a_feed(Vendor())], resources={"breakers": resource})
    assert IN_A_URL in serialize_value(RepositorySnap.from_def(defs.get_repository_def()))  # Dagster does show it
    with pytest.raises(ContractError, match=r'the resource "breakers" holds a database url with a password.*EnvVar') as caught:
        with_contracts(defs, contracts=contract_files(tmp_path, contract_text()))
    assert_hidden(_chain(caught.value))


@pytest.mark.parametrize("arguments", [{"ulr": f"postgresql://me:{CANARY}@h/d"}, {"url": ["x", CANARY]}, {"url": {"canary": CANARY}}])
def test_a_misspelt_resource_does_not_quote_what_it_was_given(arguments: dict[str, Any]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # pydantic's or Dagster's own
        BreakerResource(**arguments)
    assert_hidden(_chain_without_source(caught.value))


def _chain_without_source(error: BaseException) -> str:
    """Messages alone: a traceback quotes the line of code that holds the literal, as any would."""
    messages = []
    known: BaseException | None = error
    while known is not None:
        messages.append(str(known))
        known = known.__cause__ or known.__context__
    return "\n".join(messages)


def test_a_store_is_pickled_for_another_process_and_never_shown(tmp_path: Path) -> None:
    import pickle

    from dagster_contracts.store.sql import SqlStore

    store = SqlStore(f"postgresql://me:{IN_A_URL}@127.0.0.1:1/none")
    again = pickle.loads(pickle.dumps(store))
    assert_hidden(repr(store), repr(again), str(vars(again)))
    with pytest.raises(DagsterContractsError) as caught:
        again.now()
    assert_hidden(_chain(caught.value))


def test_dagster_definitions_validate(tmp_path: Path) -> None:
    """What `dagster definitions validate` prints of a location whose database is out of reach: loading does not ask it."""
    contract_files(tmp_path / "contracts", contract_text())
    (tmp_path / "definitions.py").write_text(
        "import dagster as dg\nimport os\nimport pandas as pd\nfrom dagster_contracts import BreakerResource, with_contracts\n"
        "@dg.asset(partitions_def=dg.DailyPartitionsDefinition('2026-01-01'))\n"
        "def feed() -> pd.DataFrame:\n    return pd.DataFrame()\n"
        "defs = with_contracts(dg.Definitions(assets=[feed]), 'contracts', breakers=BreakerResource(url=os.environ['CANARY_URL']))\n"
        "print(repr(defs))\n"
    )
    import os

    ran = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-f", "definitions.py", "--log-level", "debug"],
        cwd=tmp_path,
        env={**os.environ, "CANARY_URL": f"postgresql://me:{IN_A_URL}@127.0.0.1:1/none", "DAGSTER_HOME": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    assert_hidden(ran.stdout, ran.stderr)


@pytest.fixture
def guarded(postgres_url: str) -> Any:
    """A migrated database, and a role of a server that asks it for a password."""
    import psycopg

    upgrade(postgres_url)
    url = make_url(postgres_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    access = Path(str(url.query["host"])) / "pg_hba.conf"
    before = access.read_text()

    def do(*statements: str) -> None:
        with psycopg.connect(plain, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    access.write_text("local all canary scram-sha-256\n" + before)
    do("CREATE ROLE canary LOGIN PASSWORD 'the right one'", "SELECT pg_reload_conf()")
    yield url.set(username="canary", password=CANARY).render_as_string(hide_password=False)
    access.write_text(before)
    do("SELECT pg_reload_conf()", "DROP ROLE canary")


def test_a_wrong_password(guarded: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    defs = _definitions(tmp_path, guarded, "onStoreUnavailable: admit")
    with dagster_home(tmp_path / "home") as instance:
        ran = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, partition_key=day(1), raise_on_error=False)
        logs = [serialize_value(entry) for entry in instance.all_logs(ran.run_id)]
        assert any("password authentication failed" in entry for entry in logs)
        assert_hidden(*logs, *capfd.readouterr())
