"""Which assets are being made, or are queued to be: what is asked for by somebody else is not asked for again."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from dagster_contracts.plugin.private import instances

LOOKED_AT = 500  # runs that are not over
SEVERAL = "..."  # no partition key: Dagster allows none that holds it
NOT_OVER = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def is_under_way(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run is queued or running."""
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


class Running:
    """The runs of an instance that are not over, asked for once."""

    def __init__(self, instance: dg.DagsterInstance):
        runs = instance.get_runs(dg.RunsFilter(statuses=NOT_OVER), limit=LOOKED_AT)
        # A run without a selection makes all of its job, which is not known here: it may make any asset.
        self._known = {(asset, _partition(run)) for run in runs for asset in run.asset_selection or ()}
        self._any = {_partition(run) for run in runs if run.asset_selection is None and run.asset_check_selection is None}

    def makes(self, asset: dg.AssetKey, partition: str | None) -> bool:
        """Whether one of them makes, or may make, this partition of an asset (None: unpartitioned)."""
        return any(each in self._any or (asset, each) in self._known for each in (partition, SEVERAL))

    def will_make(self, assets: Iterable[dg.AssetKey], partition: str | None) -> None:
        """A run of them is asked for now."""
        self._known.update((asset, partition) for asset in assets)


def _partition(run: dg.DagsterRun) -> str | None:
    """Which keys a range has is not known here: such a run may make any."""
    return SEVERAL if instances.RANGE_START in run.tags else run.tags.get(instances.PARTITION)
