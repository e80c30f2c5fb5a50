"""Every use of what Dagster does not make public, each with a canary in tests/plugin. Written for Dagster 1.13.

Dagster offers no public way to put code in front of an asset's inputs and behind its outputs however the run starts. What stands
here rebuilds definitions from their own attributes, and copies IO contexts; nothing is patched, and the originals stay as they were.

    rebuilding   Definitions, assets, sensors and schedules with other parts, and jobs of them
    nodes        ops and graphs around other compute functions
    steps        a running step: what it makes, of what it is made, what its body gives
    mappings     which partitions are made from which
    io_managers  resources that store and load, and the one behind an output
    io_contexts  contexts of IO managers that read something else than their run asked for
    instances    what an instance knows of runs, materializations and automation, and where it launches runs
"""

from __future__ import annotations

import dagster as dg

from dagster_contracts.core.errors import ContractError


def _require_known_dagster() -> None:
    """Raises ContractError on a Dagster version whose internals this package does not know."""
    if not dg.__version__.startswith("1.13."):
        raise ContractError(
            f"dagster {dg.__version__} is installed; this version of dagster-contracts works with dagster 1.13.x. Install one of those, "
            "or a version of dagster-contracts that is made for this one"
        )


_require_known_dagster()  # before any module here imports what another version of Dagster may not have
