"""Definitions, assets, sensors and schedules with other parts, and jobs of them."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.external_asset import create_external_asset_from_source_asset
from dagster.components.core.decl import ComponentRootDecl, DefsFolderDecl, build_component_decls_from_directory_items
from dagster.components.core.defs_module import ComponentPath, ComponentRootLoc
from dagster_shared.record import replace as replace_record


def definitions_with(defs: dg.Definitions, **changes: object) -> dg.Definitions:
    return replace_record(defs, **changes)


def definitions_beneath(context: dg.ComponentLoadContext) -> dg.Definitions:
    """Everything that Dagster would have loaded from the folder of a component, had the component not stood there."""
    module = importlib.import_module(context.defs_relative_module_name(context.path))
    tree = _Beneath(defs_module=module, project_root=context.project_root)
    return definitions_with(tree.build_defs(ComponentPath.from_path(tree.defs_module_path)), component_tree=None)


class _Beneath(dg.ComponentTree):
    """The tree of a folder without its own `defs.yaml`."""

    def find_root_decl(self) -> ComponentRootDecl:
        context = self.decl_load_context.for_component_loc(ComponentPath.from_path(self.defs_module_path))
        folder = DefsFolderDecl(
            context=context,
            loc=ComponentPath.from_path(self.defs_module_path),
            children=build_component_decls_from_directory_items(context, None),
            source_tree=None,
            component_file_model=None,
        )
        return ComponentRootDecl(context=self.decl_load_context, loc=ComponentRootLoc(), decls=[folder])


def assets_around(
    assets: dg.AssetsDefinition,
    node: Any,
    checks: Mapping[str, dg.AssetCheckSpec],
    specs: Sequence[dg.AssetSpec] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """The same assets around another node, with checks added that its outputs of those names report, and with other specs and resources
    if given.

    All at once: Dagster looks through everything again whenever an AssetsDefinition is made, which is most of what loading costs.
    """
    attributes = assets.get_attributes_dict()
    attributes["node_def"] = node
    if specs is not None:
        attributes["specs"] = specs
    if resources is not None:
        attributes["resource_defs"] = resources
    if checks:
        attributes["can_subset"] = True
        attributes["check_specs_by_output_name"] = {**(attributes["check_specs_by_output_name"] or {}), **checks}
        attributes["selected_asset_check_keys"] = {*assets.check_keys, *(spec.key for spec in checks.values())}
    return type(assets).dagster_internal_init(**attributes)


def checks_around(checks: dg.AssetChecksDefinition, node: dg.OpDefinition, resources: Mapping[str, Any]) -> dg.AssetChecksDefinition:
    """The same checks around another op, with other resources."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)  # of a parameter that nobody here has given
        return type(checks)(**{**checks.get_attributes_dict(), "node_def": node, "resource_defs": resources})


def without_own_assets(
    automation: dg.SensorDefinition | dg.ScheduleDefinition,
) -> tuple[dg.SensorDefinition | dg.ScheduleDefinition, list[dg.AssetsDefinition]]:
    """A sensor or schedule whose `target=` holds asset objects, as one that selects them by key, and those objects.

    Dagster would load the objects of the target beside ours, ungoverned.
    """
    targets = automation._targets if isinstance(automation, dg.SensorDefinition) else [automation._target]
    assets = [item for target in targets for item in target.assets_defs if isinstance(item, dg.AssetsDefinition)]
    if not assets:
        return automation, []
    other = copy.copy(automation)
    bare = [target._replace(assets_defs=[]) for target in targets]
    if isinstance(other, dg.SensorDefinition):
        other._targets = bare
    else:
        other._target = bare[0]
    return other, assets


def observable(source: dg.SourceAsset) -> dg.AssetsDefinition:
    """A source asset as the AssetsDefinition that Dagster takes it for: one that is observed, or one that nobody runs."""
    return create_external_asset_from_source_asset(source)


def job_of(defs: dg.Definitions, keys: set[dg.AssetKey], checks: set[dg.AssetCheckKey] | None = None) -> dg.JobDefinition:
    """A job of these assets, and of all their checks or just of `checks`."""
    return defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys, asset_check_selection=checks)


def assets_of_job(job: dg.JobDefinition) -> set[dg.AssetKey]:
    return set(job.asset_layer.selected_asset_keys)
