"""The kinds of faults that are built in: `FAULTS`, in the order in which they are told.

schema        columns that come, go, move, or hold another type
nulls         values that are not there, openly or under another name
semantics     values that are well formed and mean something else
quality       damage: rows twice or not at all, values that cannot be, broken files
distribution  values each of which is right, and which together are not what they were
cadence       deliveries that come when they should not, or do not come
"""

from __future__ import annotations

from dagster_contracts.chaos.fault import Fault
from dagster_contracts.chaos.faults import cadence, distribution, nulls, quality, schema, semantics

FAULTS: tuple[Fault, ...] = (
    *schema.FAULTS,
    *nulls.FAULTS,
    *semantics.FAULTS,
    *quality.FAULTS,
    *distribution.FAULTS,
    *cadence.FAULTS,
)
