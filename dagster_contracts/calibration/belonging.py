"""Whether stored batches are of the object whose contract is asked: of files of something else, any answer would be garbage. Pure.

A batch that has gone bad may lack columns too, and that is for its contract to say. So a file is taken for another's only where it has none
of the columns, or lacks most of them and looks like another object of the contract; a history only where most batches lack most columns.
Batches with a label are what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from dagster_contracts.calibration.observed import key_of
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.inert import LINE, cut
from dagster_contracts.core.wording import counted

_MOST = 0.5
_LISTED = 5  # names in a sentence


def require_own(contract: Contract, obj: SchemaObject, batches: Sequence[Batch], labelled: Collection[str] = ()) -> None:
    """Raises UsageError where batches are not of `obj`. `labelled` are partitions that are known to be bad."""
    unlabelled = [batch for batch in batches if key_of(batch) not in labelled]
    own = _columns(obj)
    if not own:
        return
    for batch in unlabelled:
        likely = _other(contract, obj, batch)
        if (batch.columns and own.keys().isdisjoint(batch.columns)) or likely is not None:
            raise UsageError(_told(obj, batch, likely))
    strange = [batch for batch in unlabelled if _share(obj, batch) < _MOST]
    if 2 * len(strange) > len(unlabelled):
        first = strange[0]
        raise UsageError(
            f"{len(strange)} of {len(unlabelled)} batches lack most columns of {obj.name} ({_few(own)}); the first, "
            f"{first.name or key_of(first)}, has {_few(first.columns)}: this is no history of contract {contract.id}; name that with "
            "--history, or the contract that it is of"
        )


def _told(obj: SchemaObject, batch: Batch, likely: SchemaObject | None) -> str:
    own = _columns(obj)
    shared = len(own.keys() & batch.columns)
    told = f"it has {'none' if not shared else f'{shared:,}'} of the {counted(len(own), 'column')} of {obj.name} ({_few(own)})"
    as_ = f", and looks like {likely.name}" if likely is not None else ""
    return (
        f"{batch.name or key_of(batch)} is no batch of {obj.name}: {told}, but {_few(batch.columns)}{as_}. Name only files of {obj.name} "
        "with --history; a delivery of it that went so wrong is to be labelled in --incidents"
    )


def _other(contract: Contract, obj: SchemaObject, batch: Batch) -> SchemaObject | None:
    """Another object of the contract that a batch looks like, which has less than half of its own columns."""
    share = _share(obj, batch)
    others = [other for other in contract.objects if other.name != obj.name and _columns(other)]
    likely = [other for other in others if _share(other, batch) > max(_MOST, share)]
    return max(likely, key=lambda other: _share(other, batch)) if share < _MOST and likely else None


def _columns(obj: SchemaObject) -> dict[str, None]:
    """In their order."""
    return dict.fromkeys(prop.name for prop in obj.properties if not prop.computed)


def _share(obj: SchemaObject, batch: Batch) -> float:
    own = _columns(obj)
    return len(own.keys() & batch.columns) / len(own)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
    return cut(", ".join(listed[:_LISTED]), LINE) + more
