"""The use case of a way back: claim the lease of a breaker, judge a stored batch in full, close or re-open."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from dagster_contracts import telemetry
from dagster_contracts.core import breaker as machine
from dagster_contracts.core import events, references
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.ledger import Batch, Partition
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, Judged, Step, asset_of
from dagster_contracts.gate import Gate, is_overtaken
from dagster_contracts.judgement import Judgement, Probe, ProbeResult, Terms, change_of, judged_anew
from dagster_contracts.measuring import Taken


@telemetry.observed("claim", lambda gate, terms, *_, **__: terms.asset)
def claim(gate: Gate, terms: Terms, key: str, *, holder: str) -> Probe | Refused:
    """Take the probe lease of a breaker for its newest stored batch that was not probed yet."""

    def decide(snapshot: Snapshot) -> tuple[Change, Probe | Refused]:
        if snapshot.breaker is None:
            return Change(), Refused(f"{key} has never judged anything")
        adopted = machine.adopt(snapshot.breaker, terms.version, terms.policy, snapshot.now, content=terms.content)
        if is_overtaken(terms, adopted.breaker):
            newer = adopted.breaker.contract_version
            return Change(), Refused(f"{key} is open under contract {newer}, and this process has {terms.version}: it proves nothing")
        found = candidate(gate, adopted.breaker)
        if found is None:
            return Change(), Refused(f"{key} has no stored batch that was not probed yet; deliver a new one")
        lease_id = uuid.uuid4().hex
        claimed = machine.claim(
            adopted.breaker,
            lease_id=lease_id,
            holder=holder,
            batch_id=found.id,
            now=snapshot.now,
            again=terms.asset in gate.sources,
        )
        if isinstance(claimed, Refused):
            return Change(), claimed
        step = Step(claimed.breaker, adopted.transitions + claimed.transitions)
        change = change_of(step, snapshot.now, concerning=found)
        assert change.breaker is not None
        return change, Probe(lease_id, found, change.breaker)

    return gate.transact(key, terms.asset, Partition(), None, decide)


@telemetry.observed("probe", lambda gate, terms, *_, **__: terms.asset, lambda done: telemetry.of_probe(done.batch, str(done.probe)))
def settle(gate: Gate, terms: Terms, probe: Probe, data: object) -> Judgement:
    """Judge a probed batch in full under the present contract, and close or re-open.

    A late result changes the batch only; one that could not be measured leaves the batch as it was; neither touches a batch that
    has been published or discarded in between.
    """
    return settled(gate, terms, probe, gate.measured(terms, probe.batch.partition, data))


def settled(gate: Gate, terms: Terms, probe: Probe, taken: Taken) -> Judgement:
    """As `settle`, of what was measured already."""
    batch = probe.batch
    taken = gate.remembering(taken, terms, batch.breaker_key, batch.partition, batch.id)

    def decide(snapshot: Snapshot) -> tuple[Change, Judgement]:
        assert snapshot.breaker is not None
        arrivals = gate.arrivals(terms, batch.breaker_key, batch.partition, snapshot.batch or batch)
        verdict = taken.verdict(batch.partition, as_of=batch.arrived_at, head=batch.head, arrivals=arrivals)
        judged = Judged.of(batch.id, verdict)
        settled = machine.settle(snapshot.breaker, probe.lease_id, judged, snapshot.now)
        inconclusive = machine.inconclusive(snapshot.breaker, judged)
        counted = isinstance(settled, Step) and not inconclusive
        row = judged_anew(snapshot.batch or batch, verdict, snapshot.now, counted=counted)
        drafts = (events.of_inconclusive_probe(batch),) if inconclusive else ()
        change = change_of(Step(snapshot.breaker) if isinstance(settled, Refused) else settled, snapshot.now, drafts, row)
        assert change.breaker is not None
        profiles = references.kept(taken.plan, taken.measurement, row)
        result = ProbeResult.of(verdict.outcome, late=isinstance(settled, Refused), inconclusive=inconclusive)
        return replace(change, profiles=profiles), Judgement(verdict, row, change.breaker, probe=result)

    return gate.transact(batch.breaker_key, terms.asset, batch.partition, batch.id, decide)


def candidate(gate: Gate, breaker: Breaker) -> Batch | None:
    """The newest stored batch of this incident that no probe of it has judged; of a source, the newest.

    Leftovers of earlier incidents are known to be bad: each would fail, and put off what is new by a longer cooldown.
    """
    found = candidates(gate, [breaker]).get(breaker.key)
    return None if found is None else gate.store.batch(found.id)


def candidates(gate: Gate, breakers: Sequence[Breaker]) -> dict[str, Batch]:
    """The same for several, by key; without their verdicts."""
    if not breakers:
        return {}
    probed = [name for breaker in breakers if asset_of(breaker.key) not in gate.sources for name in breaker.probed]
    versions = {breaker.key: breaker.contract_version for breaker in breakers}
    return {batch.breaker_key: batch for batch in gate.store.candidates(versions, probed)}
