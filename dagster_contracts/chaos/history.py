"""The clean batches before a damaged one: what the ledger would remember of them, and what they are judged to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.core import references
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood, Plan, Reference
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, veiled
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.verdict import ACCEPTED, Arrival, Measurement, Past, Remembered, Unmeasured, Verdict
from dagster_contracts.measuring import subject
from dagster_contracts.ports import NO_OTHERS, MetricEngine, Related


@dataclass(frozen=True, slots=True)
class Known:
    """A clean batch, measured and judged."""

    batch: Batch
    measurement: Measurement | Unmeasured
    verdict: Verdict


def judged(plan: Plan, engine: MetricEngine, batches: Sequence[Batch], related: Related = NO_OTHERS) -> list[Known]:
    """Each batch, judged with those before it behind it, in the order given."""
    history: list[Known] = []
    for batch in batches:
        measurement = engine.measure(subject(plan, batch.frame), plan.metrics, with_itself(plan, batch.frame, related))
        verdict = judge(plan, measurement, {}, as_of=batch.arrived_at, head=is_head(batch, history), past=past_of(plan, batch, history))
        history.append(Known(batch, measurement, verdict))
    return history


def with_itself(plan: Plan, data: object, related: Related) -> Related:
    """The other objects of the contract, and the batch itself: rows may refer to rows."""
    return {**related, plan.object_name: lambda: data}


def is_head(batch: Batch, before: Sequence[Known]) -> bool:
    """Whether it is of no older time window than what came before it."""
    ends = [known.batch.partition.end for known in before if known.batch.partition.end is not None]
    return batch.partition.end is None or not ends or batch.partition.end >= max(ends)


def past_of(plan: Plan, batch: Batch, before: Sequence[Known]) -> Past:
    """What the ledger would know as the batch arrives: profiles of good batches, and when deliveries came."""
    arrivals = [Arrival(known.batch.arrived_at, known.batch.partition.end, known.verdict.outcome in ACCEPTED) for known in before]
    profiles: dict[tuple[Reference, ProfileOf], Remembered] = {}
    for reference, metric in references.asked(plan):
        good = [found for known in reversed(before) if (found := _profile(plan, known, reference, metric)) is not None]
        wanted = good[: reference.batches] if isinstance(reference, LastGood) else good[:1]
        if (remembered := references.remembered(reference, wanted)) is not None:
            profiles[reference, metric] = remembered
    return Past(profiles, tuple(reversed(arrivals)), batch.partition.end)


def _profile(plan: Plan, known: Known, reference: LastGood | GoodPartition, metric: ProfileOf) -> GoodProfile | None:
    if isinstance(known.measurement, Unmeasured) or known.verdict.outcome not in ACCEPTED:
        return None
    if isinstance(reference, GoodPartition) and known.batch.partition.key != reference.partition:
        return None
    profile = known.measurement.values.get(metric)
    if isinstance(profile, CategoryProfile):
        profile = veiled(profile) if metric.column in plan.masked else profile
    if not isinstance(profile, CategoryProfile | NumericProfile):
        return None
    return GoodProfile(profile, known.batch.partition, known.batch.arrived_at)
