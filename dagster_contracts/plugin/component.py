"""The `dg` component: contracts on everything in a folder of a project, without Python."""

# Annotations are values here: Dagster reads the fields of `defs.yaml` off them.

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from dagster_contracts.core.errors import ContractError
from dagster_contracts.plugin.definitions import with_contracts
from dagster_contracts.plugin.private import rebuilding
from dagster_contracts.plugin.registry import RegistryResource
from dagster_contracts.plugin.resource import BreakerResource

FOLDER = "contracts"


class ContractsScaffolder(dg.Scaffolder):
    """Writes `defs.yaml` and an empty folder for the contracts."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Files that are there already stay as they are."""
        dg.scaffold_component(request, {"contracts": FOLDER})
        folder = request.target_path / FOLDER
        folder.mkdir(exist_ok=True)


@dataclass
class RegistryAttributes(dg.Resolvable):
    """`registry:` of a ContractsComponent, as in `RegistryResource`: `url` is the database of the registry; without it, that of the
    breakers."""

    url: str | None = field(default="", repr=False)
    ttl_seconds: float = 60.0


@dg.scaffold_with(ContractsScaffolder)
@dataclass
class ContractsComponent(dg.Component, dg.Resolvable):
    """Governs everything that is defined in its folder, and in the folders below, by data contracts: `with_contracts` as YAML.

    Put its `defs.yaml` at the top of what it shall govern. A consumer that is defined outside of its folder is not gated, so that is
    mostly the project's `defs` folder itself. There is one in a code location.

    `contracts`: a folder or file of contracts, or several, relative to the folder of `defs.yaml`; default `contracts`. `database_url`:
    where breakers are kept, as in `BreakerResource`; without it, SQLite beside the Dagster instance. `cache_seconds`: see
    `BreakerResource`; default 0. `environment`: see `with_contracts`. `registry`: what is judged is judged by the version that is in force
    in a registry then, as with a `RegistryResource`; `contracts` is then one folder or file, with which definitions are loaded.

    Raises ContractError where a contract is wrong, matches no or several assets, or an asset cannot be governed.
    """

    contracts: str | Sequence[str] = FOLDER
    database_url: str | None = field(default="", repr=False)
    cache_seconds: float = 0.0
    environment: str | None = None
    registry: RegistryAttributes | None = None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """What lies beneath its folder, governed."""
        given = [self.contracts] if isinstance(self.contracts, str) else list(self.contracts)
        paths = [Path(context.path) / item for item in given]
        if missing := next((path for path in paths if not path.exists()), None):
            raise ContractError(
                f"{Path(context.path) / 'defs.yaml'}: contracts names {missing}, which is not there; paths are relative to the folder of "
                "defs.yaml"
            )
        where = Path(context.path) / "defs.yaml"
        url = _given("database_url", self.database_url, "then breakers are kept in SQLite beside the Dagster instance", where)
        return with_contracts(
            rebuilding.definitions_beneath(context),
            contracts=paths if self.registry is None else _registered(self.registry, paths, where),
            breakers=BreakerResource(url=url, cache_seconds=self.cache_seconds),
            environment=self.environment,
        )


def _registered(registry: RegistryAttributes, paths: Sequence[Path], where: Path) -> RegistryResource:
    if len(paths) != 1:
        raise ContractError(f"{where}: contracts names {len(paths)} places; beside a registry it is one folder or file")
    url = _given("registry.url", registry.url, "then the registry is in the database of the breakers", where)
    return RegistryResource(contracts=str(paths[0]), url=url, ttl_seconds=registry.ttl_seconds)


def _given(attribute: str, url: str | None, otherwise: str, where: Path) -> str:
    if url is None:
        raise ContractError(
            f"{where}: {attribute} is given, and comes to nothing; set the environment variable that it names, or leave the line out: "
            f"{otherwise}"
        )
    return url
