"""What Dagster does not make public is used in `plugin/private` alone, and each such name is there, and takes what it is given.

A new name is first written down here. What the names do is seen in `test_private.py`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.definitions.assets.definition.asset_graph_computation import AssetGraphComputation
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.job.asset_layer import AssetLayer
from dagster._core.definitions.node_definition import NodeDefinition

import dagster_contracts
from dagster_contracts.core.errors import ContractError
from dagster_contracts.plugin import private
from tests.plugin.lab import DAYS

PACKAGE = Path(dagster_contracts.__file__).parent
OPEN = {"dagster", "dagster_aws.s3", "dagster_slack"}  # modules of Dagster's that are for everybody
CLOSED = {"dagster_internal_init", "get_attributes_dict"}  # methods that are not, and have no underscore
OF_TUPLES = {"_replace", "_asdict"}  # Python's


class Takes(NamedTuple):
    """Can be called with so many positional arguments, and these keywords."""

    positional: int = 0
    keywords: str = ""


class Has(NamedTuple):
    attributes: str


CORE = "dagster._core."
COMPONENTS = "dagster.components.core."
IMPORTED: dict[str, str | Takes | Has] = {
    CORE + "definitions.asset_checks.asset_check_evaluation.AssetCheckEvaluationTargetMaterializationData": Takes(
        0, "run_id storage_id timestamp"
    ),
    CORE + "definitions.data_version.DATA_VERSION_TAG": "dagster/data_version",
    CORE + "definitions.decorators.op_decorator.DecoratedOpFunction": Has("has_context_arg get_context_arg"),
    CORE + "definitions.external_asset.create_external_asset_from_source_asset": Takes(1),
    CORE + "definitions.job_definition.default_job_io_manager": Has("resource_fn config_schema"),
    CORE + "definitions.partitions.subset.PartitionsSubset": Has("with_partition_keys with_partition_key_range get_partition_keys"),
    CORE + "definitions.source_asset.SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION": "__source_asset_observation__",
    CORE + "definitions.utils.DEFAULT_IO_MANAGER_KEY": "io_manager",
    CORE + "definitions.utils.NoValueSentinel": Has(""),
    CORE + "execution.build_resources.get_mapped_resource_config": Takes(2),
    CORE + "execution.plan.compute_generator.create_op_compute_wrapper": Takes(1),
    CORE + "execution.plan.outputs.StepOutputHandle": Takes(2),
    CORE + "scheduler.instigation.InstigatorStatus": Has("RUNNING DECLARED_IN_CODE"),
    CORE + "storage.db_io_manager.DbIOManager": Has("load_input"),
    CORE + "storage.tags.MAX_RETRIES_TAG": "dagster/max_retries",
    CORE + "storage.tags.ASSET_PARTITION_RANGE_START_TAG": "dagster/asset_partition_range_start",
    CORE + "storage.tags.PARTITION_NAME_TAG": "dagster/partition",
    CORE + "storage.tags.RUN_KEY_TAG": "dagster/run_key",
    COMPONENTS + "decl.ComponentRootDecl": Takes(0, "context loc decls"),
    COMPONENTS + "decl.DefsFolderDecl": Takes(0, "context loc children source_tree component_file_model"),
    COMPONENTS + "decl.build_component_decls_from_directory_items": Takes(2),
    COMPONENTS + "defs_module.ComponentPath": Has("from_path"),
    COMPONENTS + "defs_module.ComponentRootLoc": Takes(),
    "dagster_shared.record.replace": Takes(1, "anything"),
}

METHODS: dict[Any, dict[str, Takes]] = {
    dg.OpDefinition: {
        "dagster_internal_init": Takes(
            0, "compute_fn name ins outs description config_schema required_resource_keys tags version retry_policy code_version pool"
        ),
    },
    dg.GraphDefinition: {
        "__init__": Takes(
            1, "name description node_defs dependencies input_mappings output_mappings config tags input_assets composition_fn"
        ),
        "get_output_mapping": Takes(2),
        "node_named": Takes(2),
        "resolve_output_to_origin": Takes(3),
    },
    NodeDefinition: {"resolve_output_to_origin": Takes(3), "output_def_named": Takes(2)},
    dg.DagsterType: {"__init__": Takes(1, "type_check_fn key description typing_type required_resource_keys"), "type_check": Takes(3)},
    dg.AssetsDefinition: {
        "get_attributes_dict": Takes(1),
        "get_io_manager_key_for_asset_key": Takes(2),
        "get_output_name_for_asset_key": Takes(2),
        "infer_partition_mapping": Takes(4),
    },
    dg.Definitions: {"resolve_implicit_global_asset_job_def": Takes(1)},
    dg.JobDefinition: {"get_subset": Takes(1, "asset_selection asset_check_selection")},
    dg.ComponentTree: {"__init__": Takes(1, "defs_module project_root"), "build_defs": Takes(2), "find_root_decl": Takes(1)},
    dg.ComponentLoadContext: {"defs_relative_module_name": Takes(2)},
    AssetLayer: {
        **dict.fromkeys(("get", "has", "get_assets_def_for_node"), Takes(2)),
        **dict.fromkeys(("get_asset_key_for_node_output", "get_asset_check_key_for_node_output", "get_asset_key_for_node_input"), Takes(3)),
    },
    AssetGraph: {"get": Takes(2), "get_partition_mapping": Takes(3)},
    dg.StepExecutionContext: {
        "for_type": Takes(2),
        "get_io_manager": Takes(2),
        "get_output_context": Takes(3),
        "asset_partitions_subset_for_input": Takes(2),
        "asset_partition_key_range_for_output": Takes(2),
    },
    dg.PartitionMapping: {
        "get_upstream_mapped_partitions_result_for_partitions": Takes(4),
        "get_downstream_partitions_for_partitions": Takes(4),
    },
    dg.PartitionsDefinition: {"empty_subset": Takes(1), "has_partition_key": Takes(2), "get_last_partition_key": Takes(1)},
    dg.MultiPartitionsDefinition: {"get_partition_key_from_str": Takes(2)},
    dg.DagsterInstance: {"all_instigator_state": Takes(1), "fetch_materializations": Takes(2, "limit")},
    dg.IOManagerDefinition: {"hardcoded_io_manager": Takes(1)},
    AssetCheckEvaluation: {"__new__": Takes(1, "asset_key check_name passed metadata target_materialization_data")},
}

PROPERTIES: dict[Any, str] = {
    dg.StepExecutionContext: "job_def node_handle op_def step event_loop scoped_resources_builder instance log has_partitions "
    "has_partition_key partition_key partition_key_range entity_partitions_def",
    dg.JobDefinition: "asset_layer",
    AssetLayer: "asset_graph selected_asset_keys",
    AssetGraphComputation: "keys_by_output_name full_node_def",
    dg.AssetsDefinition: "is_observable specs_by_key check_keys resource_defs node_def",
    dg.ComponentTree: "defs_module_path decl_load_context",
    dg.ComponentLoadContext: "path project_root",
    dg.AssetExecutionContext: "op_execution_context",
    dg.OpExecutionContext: "_step_execution_context",
    dg.SensorEvaluationContext: "repository_def code_location_origin",
    dg.RepositoryDefinition: "asset_graph sensor_defs",
    dg.DagsterType: "is_nothing typing_type required_resource_keys display_name",
}

OF_ASSETS = "node_def specs can_subset check_specs_by_output_name selected_asset_check_keys resource_defs"  # keys of get_attributes_dict


def _attributes() -> dict[str, list[Any]]:
    """Each attribute with an underscore that is read or set, and one of each thing that it stands on."""

    @dg.asset(partitions_def=DAYS)
    def one() -> None: ...

    @dg.graph
    def several() -> None: ...

    @dg.sensor(target=[one])
    def watches() -> None: ...

    schedule = dg.ScheduleDefinition(name="nightly", target=[one], cron_schedule="0 0 * * *")
    read, written = dg.build_input_context(), dg.build_output_context()
    inputs, outputs, both = [read], [written], [read, written]
    return {
        **dict.fromkeys(("_dagster_type", "_upstream_output", "_step_context", "_name", "_log"), inputs),
        **dict.fromkeys(("_step_key", "_user_generated_metadata", "_run_id"), outputs),
        **dict.fromkeys(("_asset_key", "_asset_partitions_subset", "_partition_key"), both),
        "_version": [one.op],
        "_computation": [one],
        "_input_assets": [several],
        "_composition_fn": [several],
        "_targets": [watches],
        "_target": [schedule],
        "_step_execution_context": [dg.OpExecutionContext],
        "_get_path": [dg.UPathIOManager],
        "_get_paths_for_partitions": [dg.UPathIOManager],
    }


# --- what is used where ----------------------------------------------------------------------------------------------


def _uses(source: str) -> set[str]:
    """What a module uses of Dagster that is not public: names that it imports, and attributes that it does not define itself."""
    tree = ast.parse(source)
    return {*_imports(tree), *(_attributes_of_others(tree) - OF_TUPLES)}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if _is_dagsters(each.name) and each.name not in OPEN)
        elif isinstance(node, ast.ImportFrom) and node.module and _is_dagsters(node.module):
            yield from (f"{node.module}.{each.name}" for each in node.names if node.module not in OPEN or each.name.startswith("_"))
        elif isinstance(node, ast.Constant) and re.fullmatch(r"dagster\w*(\.\w+)*\._\w+(\.\w+)*", str(node.value)):
            yield str(node.value)


def _is_dagsters(module: str) -> bool:
    return re.match(r"dagster(_(?!contracts\b)\w+)?\b", module) is not None


def _attributes_of_others(tree: ast.AST) -> set[str]:
    own: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(body=body):
                own |= {name for each in body for name in _defined(each)}
            case ast.Call(func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                read.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                own.add(name)
            case ast.Attribute(attr=name):
                read.add(name)
    return {name for name in read - own if name in CLOSED or re.match("_[^_]", name)}


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        (
            "import dagster as dg\nfrom dagster import asset\nfrom dagster_aws.s3 import S3Resource\nimport dagster_contracts.core.plan",
            set(),
        ),
        ("from dagster_contracts.core.plan import _x", set()),
        ("from dagster._core.types.dagster_type import DagsterType", {"dagster._core.types.dagster_type.DagsterType"}),
        ("from dagster import _core", {"dagster._core"}),
        ("import dagster._core.launcher as it", {"dagster._core.launcher"}),
        ("def f():\n  from dagster_shared import record", {"dagster_shared.record"}),
        ("from dagster.components.core.decl import ComponentDecl", {"dagster.components.core.decl.ComponentDecl"}),
        ("import_module('dagster._core.launcher')", {"dagster._core.launcher"}),
        ("dg._core.launcher", {"_core"}),
        ("getattr(context, '_step_execution_context', None)", {"_step_execution_context"}),
        ("context._asset_key = 1", {"_asset_key"}),
        ("dg.OpDefinition.dagster_internal_init()", {"dagster_internal_init"}),
        ("class A(dg.IOManager):\n  _b = 1\n  def _c(self): self._d = self._b, self._c(), self._theirs", {"_theirs"}),
        ("result._replace(check_name='x').__class__", set()),
    ],
)
def test_a_use_is_found(source: str, uses: set[str]) -> None:
    assert _uses(source) == uses


HERE = Path(private.__file__).parent
OTHERS = [path for path in PACKAGE.rglob("*.py") if HERE not in path.parents]


def test_nothing_private_is_used_anywhere_else() -> None:
    """Objects of Dagster's are in the hands of `plugin` alone."""
    imported = {path: set(_imports(ast.parse(path.read_text()))) for path in OTHERS}
    found = imported | {path: _uses(path.read_text()) for path in OTHERS if PACKAGE / "plugin" in path.parents}
    assert {path.relative_to(PACKAGE).as_posix(): uses for path, uses in found.items() if uses} == {}


def test_all_that_is_used_is_written_down_here() -> None:
    found = {use for path in HERE.glob("*.py") for use in _uses(path.read_text())}
    assert found == {*IMPORTED, *_attributes(), *CLOSED}


# --- the canaries ----------------------------------------------------------------------------------------------------


def _takes(callable_: Any, given: Takes) -> None:
    inspect.signature(callable_).bind(*[None] * given.positional, **dict.fromkeys(given.keywords.split()))


@pytest.mark.parametrize("name", IMPORTED)
def test_a_name_is_there_and_as_it_was(name: str) -> None:
    module, _, short = name.rpartition(".")
    found, expected = getattr(importlib.import_module(module), short), IMPORTED[name]
    match expected:
        case Takes():
            _takes(found, expected)
        case Has(attributes):
            assert [each for each in attributes.split() if not hasattr(found, each)] == []
        case value:
            assert found == value


@pytest.mark.parametrize("owner", METHODS, ids=lambda owner: owner.__name__)
def test_methods_take_what_they_are_given(owner: Any) -> None:
    for name, given in METHODS[owner].items():
        _takes(getattr(owner, name), given)


@pytest.mark.parametrize("owner", PROPERTIES, ids=lambda owner: owner.__name__)
def test_properties_are_there(owner: Any) -> None:
    fields = {*dir(owner), *reduce(lambda found, each: found | inspect.get_annotations(each).keys(), owner.__mro__, set[str]())}
    assert set(PROPERTIES[owner].split()) - fields == set()


def test_attributes_are_there() -> None:
    assert [(name, thing) for name, things in _attributes().items() for thing in things if not hasattr(thing, name)] == []


def test_assets_are_made_of_what_they_tell() -> None:
    @dg.asset
    def one() -> None: ...

    attributes = one.get_attributes_dict()
    assert set(OF_ASSETS.split()) <= attributes.keys()
    inspect.signature(dg.AssetsDefinition.dagster_internal_init).bind(**attributes)


# --- versions --------------------------------------------------------------------------------------------------------

UNKNOWN = "dagster {} is installed; this version of dagster-contracts works with dagster 1.13.x. Install one of those, or a version of"


@pytest.mark.parametrize("version", ["1.12.9", "1.14.0", "1.130.0", "2.0.0"])
def test_a_dagster_it_does_not_know(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(dg, "__version__", version)
    with pytest.raises(ContractError, match=re.escape(UNKNOWN.format(version))):
        importlib.reload(private)


def test_an_unknown_version_is_told_before_anything_of_it_is_missed() -> None:
    lines = (
        "import sys, dagster as dg, dagster_contracts",
        "dg.__version__ = '1.14.0'",
        "sys.modules['dagster._core.execution.plan.compute_generator'] = None  # not to be imported",
        "for name in ('with_contracts', 'BreakerResource', 'ContractsComponent', 'resolve', 'S3ParquetIOManager'):",
        "  try: getattr(dagster_contracts, name)",
        "  except dagster_contracts.core.errors.ContractError as error: print(error)",
    )
    told = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 5
    assert all(line.startswith(UNKNOWN.format("1.14.0")) for line in told)
