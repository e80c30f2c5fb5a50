"""`ContractsComponent`: a project of `dg`, governed from its `defs.yaml`."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.core.package_entry import discover_package_objects
from dagster.components.scaffold.scaffold import ScaffoldRequest

from dagster_contracts import ContractsComponent, Registry
from dagster_contracts.core.errors import Halted
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.plugin.component import ContractsScaffolder, RegistryAttributes
from dagster_contracts.store.sql import SqlStore
from tests.plugin.lab import QUIET, Ran, contract_files, contract_text, dagster_home

ROOT = Path(__file__).resolve().parents[2]
FEED = """
import dagster as dg
import pandas as pd


@dg.asset
def feed() -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [1, 1], "risk": ["HIGH", "LOW"]})
"""
READER = """
import dagster as dg
import pandas as pd


@dg.asset
def reader(feed: pd.DataFrame) -> int:
    return len(feed)
"""
GOVERNED = "type: dagster_contracts.ContractsComponent\nattributes:\n  contracts: promises\n"
UNGOVERNED = "type: dagster.DefsFolderComponent\n"
TAGGED = GOVERNED + 'post_processing:\n  assets:\n  - target: "*"\n    attributes:\n      tags: {team: shop}\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of `dg` with a feed and its reader in folders of their own; its `defs` folder."""
    defs = tmp_path / "src" / "contracted_shop" / "defs"
    for path, text in {
        tmp_path / "dg.toml": 'directory_type = "project"\n[project]\nroot_module = "contracted_shop"\n',
        defs / "feeds" / "feed.py": FEED,
        defs / "models" / "deep" / "reader.py": READER,
        defs.parent / "__init__.py": "",
        defs / "__init__.py": "",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    contract_files(defs / "promises", contract_text())
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    yield defs
    for name in [name for name in sys.modules if name.split(".")[0] == "contracted_shop"]:
        del sys.modules[name]


def _loaded(project: Path, yaml: str) -> dg.Definitions:
    (project / "defs.yaml").write_text(yaml)
    importlib.invalidate_caches()
    return dg.load_from_defs_folder(path_within_project=project)


def _ran(defs: dg.Definitions, home: Path) -> Ran:
    with dagster_home(home) as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        return Ran(job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET))


def _told(error: BaseException) -> str:
    """Everything that Dagster says of the failure to load."""
    return f"{error}\n{_told(error.__cause__)}" if error.__cause__ else str(error)


@pytest.mark.parametrize("yaml", [GOVERNED, TAGGED], ids=["as it is", "post-processed"])
def test_what_lies_beneath_is_governed(project: Path, tmp_path: Path, yaml: str) -> None:
    ran = _ran(_loaded(project, yaml), tmp_path / "home")
    assert {name for name, passed in ran.checks("feed").items() if not passed} == {"contract_uniqueness", "contract_breaker"}
    assert ran.materialized("feed") is None
    assert "Halted" in ran.failures["reader"]
    assert Halted.__name__ in ran.failures["reader"]


def test_without_it_nothing_is(project: Path, tmp_path: Path) -> None:
    ran = _ran(_loaded(project, UNGOVERNED), tmp_path / "home")
    assert ran.success
    assert ran.checks("feed") == {}


def test_the_same_definitions_are_there(project: Path) -> None:
    governed, bare = _loaded(project, TAGGED), _loaded(project, UNGOVERNED)
    keys = {spec.key for spec in bare.resolve_all_asset_specs()}
    assert {spec.key for spec in governed.resolve_all_asset_specs()} == keys
    assert {spec.tags.get("team") for spec in governed.resolve_all_asset_specs()} == {"shop"}


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        (GOVERNED.replace("promises", "promisses"), "promisses, which is not there; paths are relative to the folder of defs.yaml"),
        (GOVERNED + '  database_url: "{{ env.NO_SUCH_DATABASE }}"\n', "database_url is given, and comes to nothing"),
        (GOVERNED + '  registry: {url: "{{ env.NO_SUCH_DATABASE }}"}\n', "registry.url is given, and comes to nothing"),
        (GOVERNED.replace("promises", "[promises, .]") + "  registry: {}\n", "contracts names 2 places; beside a registry it is one"),
        (GOVERNED + "  registry: {ttl: 5}\n", "ttl"),
        (GOVERNED + "  fallback: halt\n", "fallback"),
        (GOVERNED + "---\n" + GOVERNED, "different resources with same key"),
    ],
    ids=[
        "contracts elsewhere",
        "variable not set",
        "registry's not set",
        "two places",
        "unknown of registry",
        "unknown attribute",
        "twice",
    ],
)
def test_what_is_wrong_is_said(project: Path, yaml: str, told: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  # Dagster wraps it in errors of its own
        _loaded(project, yaml).resolve_all_asset_specs()
    assert told in _told(raised.value)


def test_the_url_comes_from_the_environment_and_is_not_shown(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_DATABASE", f"sqlite:///{tmp_path}/breakers.db")
    _ran(_loaded(project, GOVERNED + '  database_url: "{{ env.A_DATABASE }}"\n'), tmp_path / "home")
    assert (tmp_path / "breakers.db").is_file()
    url = "postgresql+psycopg://me:secret@db/contracts"
    assert "secret" not in repr(ContractsComponent(database_url=url, registry=RegistryAttributes(url)))


@pytest.mark.parametrize("own", [True, False], ids=["a database of its own", "that of the breakers"])
def test_what_is_in_force_in_the_registry_judges(project: Path, tmp_path: Path, own: bool) -> None:
    """The files that are loaded find a duplicate; the version that was published since allows it."""
    database = f"sqlite:///{tmp_path}/{'registry' if own else 'breakers'}.db"
    text = contract_text(version="2.0.0").replace("    unique: true\n", "")
    Registry(database).publish(contract_files(tmp_path / "published", text), author="ann")
    registry = f"{{url: '{database}', ttl_seconds: 0}}" if own else "{}"
    ran = _ran(_loaded(project, f"{GOVERNED}  database_url: sqlite:///{tmp_path}/breakers.db\n  registry: {registry}\n"), tmp_path / "home")
    assert ran.success
    (batch,) = SqlStore(f"sqlite:///{tmp_path}/breakers.db").batches()
    assert (batch.contract_version, batch.outcome) == ("2.0.0", Outcome.PASS)


def test_dg_finds_it() -> None:
    assert ContractsComponent in discover_package_objects(["dagster_contracts"]).values()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["dagster_dg_cli.registry_modules"]
    assert declared == {"dagster_contracts": "dagster_contracts"}


def test_scaffolding(tmp_path: Path) -> None:
    request = ScaffoldRequest("dagster_contracts.ContractsComponent", tmp_path, "yaml", tmp_path, None)
    ContractsScaffolder().scaffold(request)
    assert (tmp_path / "contracts").is_dir()
    text = (tmp_path / "defs.yaml").read_text()
    assert text.split() == ["type:", "dagster_contracts.ContractsComponent", "attributes:", "contracts:", "contracts"]
