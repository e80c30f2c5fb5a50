"""The drill: faults injected into copies of the latest good batches, taken through the real gate and back, where nothing is at stake.

    offer      `Drill`: what is given to `with_contracts`; the job, its schedule, and the assets that show what came of it
    subjects   what is drilled: copies of good batches, and who reads them; the only thing that looks at production, and it only reads
    sandbox    a place of its own for one exercise: definitions, Dagster instance, breakers, storage and clock; gone afterwards
    exercise   one fault from delivery to recovery
    course     all of one asset: the campaign, and an exercise of each clause group
    report     what came of it, as metadata
    telling    the same as one message in Slack

What could reach production is not there: the sandbox is given no database, IO manager, sink or asset body of the project, faults are
confined while they run, and telemetry is muted.
"""

from __future__ import annotations

from dagster_contracts.plugin.drill.offer import Drill

__all__ = ["Drill"]
