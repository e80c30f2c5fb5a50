"""Assets that write their live place themselves: dbt, external tools, a `MaterializeResult` without a value.

What they made is judged right after they wrote it, read by the project's own reader or by the IO manager that their consumers read it
with. Until then, and where it is refused, the live place holds what no consumer should read: the ledger says so from before the body
runs, and every gated consumer is routed.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from dagster_contracts.core.errors import DagsterContractsError
from dagster_contracts.plugin.private import io_managers
from dagster_contracts.plugin.site import Site


def writes_itself(assets: dg.AssetsDefinition) -> list[str]:
    """The assets of a definition whose outputs have no value."""
    if not assets.is_executable:
        return []
    node = assets.node_def
    names = assets.node_keys_by_output_name.items()
    return [key.to_user_string() for name, key in names if node.output_def_named(name).dagster_type.is_nothing]


def is_readable(assets: dg.AssetsDefinition, asset: str, site: Site) -> bool:
    """Whether anybody says how to read what the asset writes: a reader, or an IO manager that was chosen for it."""
    return asset in site.live_readers or io_managers.chosen_io_manager(assets, dg.AssetKey.from_user_string(asset)) is not None


def standing(site: Site, step: Any, output_name: str, key: dg.AssetKey, partition: str | None) -> object:
    """What stands in the live place of an asset that writes itself. Raises DagsterContractsError where nobody says how to read it."""
    if (reader := site.live_readers.get(key.to_user_string())) is not None:
        return reader(partition)
    if not io_managers.has_chosen_io_manager(step, output_name):
        asset = key.to_user_string()
        raise DagsterContractsError(
            f"asset {asset} has a contract and returned no value: it has written its data itself, and nobody says how to read it. Return "
            f'the data; or name a reader: with_contracts(..., readers={{"{asset}": lambda partition: ...}}).'
        )
    return io_managers.read_back(step, output_name, key, partition)
