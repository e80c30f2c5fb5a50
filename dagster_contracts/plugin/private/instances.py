"""What an instance knows of runs, materializations and automation, and where it launches runs."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_START_TAG, MAX_RETRIES_TAG, PARTITION_NAME_TAG, RUN_KEY_TAG

PARTITION, RUN_KEY, MAX_RETRIES = PARTITION_NAME_TAG, RUN_KEY_TAG, MAX_RETRIES_TAG  # tags of runs
RANGE_START = ASSET_PARTITION_RANGE_START_TAG  # the first partition of a run of several


def target_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The latest materialization of an asset's partition, as what a check evaluation speaks of."""
    wanted = key if partition is None else dg.AssetRecordsFilter(key, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    found = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        run_id=found.event_log_entry.run_id, storage_id=found.storage_id, timestamp=found.timestamp
    )


def runs_on_this_machine(instance: dg.DagsterInstance) -> bool:
    """Whether all runs of the instance are launched where its files are."""
    return isinstance(instance.run_launcher, dg.DefaultRunLauncher)


def is_automation_on(context: dg.SensorEvaluationContext) -> bool:
    """Whether any sensor that evaluates automation conditions is on in this code location."""
    assert context.repository_def is not None
    here = getattr(context.code_location_origin, "location_name", None)
    found = [sensor for sensor in context.repository_def.sensor_defs if isinstance(sensor, dg.AutomationConditionSensorDefinition)]
    known = {
        state.instigator_name: state.status
        for state in context.instance.all_instigator_state()
        if here in (None, state.origin.repository_origin.code_location_origin.location_name)
    }
    running = (InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE)
    default = {sensor.name: sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in found}
    return any(known[name] in running if name in known else is_on for name, is_on in default.items())
