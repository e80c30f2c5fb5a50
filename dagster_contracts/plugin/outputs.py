"""What a step has made, output by output: judged, then published, set aside beside the live data, or kept back.

A verdict that refuses ends the step where no consumer in the run can go on; the others of the step are judged all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import least
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import Batch, Partition, Route, RouteKind, Status
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.wording import counted
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.plugin import checks, metadata, stored_runs
from dagster_contracts.plugin.in_place import standing
from dagster_contracts.plugin.partitions import alone
from dagster_contracts.plugin.private import io_managers, steps
from dagster_contracts.plugin.routing import BATCH, REPLACES, STATUS, staging_key
from dagster_contracts.plugin.running_step import RunningStep
from dagster_contracts.plugin.within import Within


class Outputs:
    """Of one step. `refusal` is raised once all of them have been judged; `kept_back` are those that were made and are not passed on."""

    def __init__(self, running: RunningStep, within: Within):
        self.running = running
        self.within = within
        self.refusal: dg.Failure | None = None
        self.kept_back: set[str] = set()
        self._made: dict[tuple[str, str, str | None], Callable[[], object]] = {}  # by contract, object and partition

    # --- on their way to the IO manager ------------------------------------------------------------------------------

    def judged(self, terms: Terms, place: Partition, event: dg.Output[Any], routes: Sequence[Route]) -> Iterator[Any]:
        """An output of one partition: published, or set aside."""
        seen = io_managers.version_in_place(
            self.running.step, event.output_name
        )  # before the verdict, so that what others write later stays
        held = in_memory(event)
        value = alone(held.value, place.key)
        whole = value is held.value
        judgement = self.judge(terms, place, value, held, routes, divisible=whole)
        kept = self._without_refused_rows(held, judgement)
        self.remember(terms, judgement, kept.value if whole else value)
        if held is not event:
            kept = metadata.with_value(kept, kept.value.to_reader())
        if judgement.publish:
            yield self.published(terms, kept, [judgement], seen)
        else:
            self.within.refused([judgement])
            yield from self._refuse(terms, kept, judgement)
        yield from self.evaluations(terms, [judgement])

    def _without_refused_rows(self, event: dg.Output[Any], judgement: Judgement) -> dg.Output[Any]:
        """What is left to publish (or to hold) once failing rows are written beside the live data."""
        if (division := judgement.division) is None:
            return event
        place = staging_key(judgement.batch.asset, f"{_fingerprint(judgement.batch)}_rows")
        io_managers.set_aside(self.running.step, event.output_name, place, division.refused)
        self.running.context.log.warning(f"{counted(division.rows, 'row')} of {judgement.batch.id} set aside at {'/'.join(place.path)}")
        return metadata.with_rows_set_aside(event, division, place)

    def remember(self, terms: Terms, judgement: Judgement, value: object) -> None:
        """For the rules of later outputs of this step. What passed and is held is good, too."""
        is_good = judgement.publish or judgement.verdict.outcome in (Outcome.PASS, Outcome.WARN)
        if is_good and self._is_read_beside(terms):
            self._made[terms.attached.contract.id, terms.attached.object.name, judgement.batch.partition.key] = lambda: value

    def _is_read_beside(self, terms: Terms) -> bool:
        """Whether a rule of another asset of this step reads this one."""
        return any(terms.asset in self.running.site.compared_with(other) for other in self.running.terms.values())

    def _refuse(self, terms: Terms, event: dg.Output[Any], judgement: Judgement) -> Iterator[Any]:
        batch = judgement.batch
        stands = batch.status is Status.PUBLISHED  # the same batch, as far as was measured: the live place keeps what it has
        if not stands:
            fingerprint = _fingerprint(batch)
            io_managers.set_aside(self.running.step, event.output_name, staging_key(batch.asset, fingerprint), event.value)
            self.running.gate.staged(batch, fingerprint)
        story = shown(metadata.refusal(terms, judgement))
        self.running.context.log.warning(story)
        key = dg.AssetKey.from_user_string(batch.asset)
        unknown = batch.outcome is Outcome.INCONCLUSIVE  # reading it again may help, so that retries are left alone
        if (unknown or batch.status is Status.QUARANTINED) and not self.running.anybody_goes_on(key):
            failure = dg.Failure(story, metadata=metadata.of_judgement(judgement), allow_retries=unknown)
            if not unknown:
                self.running.no_run_retries()
            if unknown or len(self.running.consumers) == 1:
                yield from self.evaluations(terms, [judgement], close=False)
                raise failure
            self.refusal = self.refusal or failure  # raised once the others of this step have been judged
        self._observe(key, judgement, story)
        yield dg.Output(
            event.value,
            output_name=event.output_name,
            metadata={
                BATCH: batch.id,
                STATUS: "unchanged" if stands else str(batch.status),
                steps.NO_MATERIALIZATION: True,
                "contracts/published": False,
            },
            tags={"contracts/published": "false"},
        )

    def published(self, terms: Terms, event: dg.Output[Any], judgements: Sequence[Judgement], seen: str | None) -> dg.Output[Any]:
        """For the IO manager: which batches it writes, over what. `seen` stood in the live place before the verdict."""
        told = self._told(dg.AssetKey.from_user_string(terms.asset), judgements)
        batches = "\n".join(judgement.batch.id for judgement in judgements)
        replaced = {} if seen is None else {REPLACES: seen}
        return metadata.with_told(event, {**told, BATCH: batches, STATUS: "published", **replaced})

    # --- written already, by its asset itself -------------------------------------------------------------------------

    def judged_in_place(self, terms: Terms, event: Any, routes: Sequence[Route]) -> Iterator[Any]:
        """Audit what the asset has written itself, each partition. What is refused stays where it is, and nobody is routed to it."""
        name, key = self.running.output_names[terms.asset], dg.AssetKey.from_user_string(terms.asset)
        judgements: list[Judgement] = []
        for place in self.running.partitions(key):
            data = None if self._release_of(terms) is not None else standing(self.running.site, self.running.step, name, key, place.key)
            judgement = self.judge(terms, place, data, event, routes, divisible=False, in_place=True)
            if judgement.publish:
                self.running.gate.published(judgement.batch, None)
            judgements.append(judgement)
        refused = [judgement for judgement in judgements if not judgement.publish]
        self.within.refused(refused)
        if refused:
            for judgement in judgements:
                if judgement.publish:
                    self._materialized(key, judgement, event)
            yield from self._tell_refused(terms, refused, name)
        else:
            yield metadata.with_told(event, self._told(key, judgements))
        yield from self.evaluations(terms, judgements)

    def _tell_refused(self, terms: Terms, refused: Sequence[Judgement], output_name: str) -> Iterator[Any]:
        """What an asset has written itself was refused. Nothing is materialized: whoever waits for that waits on."""
        first = refused[0]
        story = metadata.refusal(terms, first)
        self.running.context.log.warning(story)
        key = dg.AssetKey.from_user_string(terms.asset)
        if first.batch.status is Status.QUARANTINED and not self.running.anybody_goes_on(key):
            self.running.no_run_retries()
            self.refusal = self.refusal or dg.Failure(story, metadata=metadata.of_judgement(first), allow_retries=False)
        for judgement in refused:
            self._observe(key, judgement, metadata.refusal(terms, judgement))
        yield dg.Output(None, output_name=output_name, metadata={steps.NO_MATERIALIZATION: True, "contracts/published": False})

    def _materialized(self, key: dg.AssetKey, judgement: Judgement, event: Any) -> None:
        """A partition that stands and passed, of a range whose output says that nothing was materialized: others of it were refused."""
        told = {**(event.metadata or {}), **metadata.of_judgement(judgement)}
        self.running.context.log_event(
            dg.AssetMaterialization(key, partition=judgement.batch.partition.key, metadata=told, tags=dict(event.tags or {}))
        )

    # --- both ---------------------------------------------------------------------------------------------------------

    def judge(
        self,
        terms: Terms,
        place: Partition,
        value: object,
        event: Any,
        routes: Sequence[Route],
        *,
        divisible: bool,
        in_place: bool = False,
    ) -> Judgement:
        """The verdict on one partition. `divisible`: rows that fail may be set aside alone."""
        if (batch := self._release_of(terms)) is not None:
            return stored_runs.publishing(self.running, terms, batch, value)
        run = self.running.context.run
        delivery = Delivery(
            partition=place,
            run_id=run.run_id,
            root_run_id=run.root_run_id or run.run_id,
            data_version=event.data_version.value if event.data_version else None,
            confidence=least(route.confidence for route in routes if route.confidence is not None),
            fallback_of=metadata.fallback_of(routes),
            in_place=in_place,
        )
        own = terms.attached.contract.id
        made = {name: source for (contract, name, key), source in self._made.items() if contract == own and key in (None, place.key)}
        judgement = self.running.gate.judge(terms, delivery, value, made=made, divisible=divisible)
        self.running.tell_of_edit(terms, judgement)
        return judgement

    def _release_of(self, terms: Terms) -> Batch | None:
        batch = stored_runs.batch_to_release(self.running)
        return batch if batch is not None and batch.asset == terms.asset else None

    def _told(self, key: dg.AssetKey, judgements: Sequence[Judgement]) -> Mapping[str, Any]:
        """What an output says of its verdict. Of several partitions each has a verdict, which its own materialization tells."""
        if len(judgements) == 1:
            return metadata.of_judgement(judgements[0])
        for judgement in judgements:
            self.running.step.add_asset_metadata(metadata.of_judgement(judgement), key, judgement.batch.partition.key)
        return {}

    def _observe(self, key: dg.AssetKey, judgement: Judgement, story: str) -> None:
        self.running.context.log_event(
            dg.AssetObservation(
                asset_key=key,
                partition=judgement.batch.partition.key,
                description=story,
                metadata=metadata.of_judgement(judgement),
                tags={"contracts/published": "false"},
            )
        )

    def evaluations(self, terms: Terms, judgements: Sequence[Judgement], *, close: bool = True) -> Iterator[Any]:
        """The asset checks of these judgements."""
        return checks.evaluations(self.running.context, self.running.gate.store, terms, judgements, close=close)

    def halted_within(self, key: dg.AssetKey, event: Any, routes: Sequence[Route]) -> Iterator[Any]:
        """An output that was made of what this step has made itself, and was refused: it is not stored; where it has been written already,
        nobody is told of a materialization."""
        worst = next(route for route in routes if route.kind is RouteKind.HALTED)
        asset = key.to_user_string()
        story = shown(f"Halted: {asset} may not be made of {worst.upstream} [{worst.requested}]. {worst.reason}")
        self.running.context.log.warning(story)
        told = metadata.of_halt(routes)
        for place in self.running.partitions(key):
            self.running.context.log_event(dg.AssetObservation(asset_key=key, partition=place.key, description=story, metadata=told))
        if not any(self.running.anybody_goes_on(dg.AssetKey.from_user_string(route.upstream)) for route in routes):
            self.running.no_run_retries()
            self.refusal = self.refusal or dg.Failure(story, metadata=told, allow_retries=False)
        if self.running.has_no_value(event, asset):
            output_name = self.running.output_names[asset]
            yield dg.Output(None, output_name=output_name, metadata={steps.NO_MATERIALIZATION: True, "contracts/published": False})
        else:
            self.kept_back.add(self.running.output_names[asset])


def in_memory(event: dg.Output[Any]) -> dg.Output[Any]:
    """The same output where its value can be read twice, else one with what an Arrow stream gives: it is held while it is judged."""
    from dagster_contracts.engines.local import read_once

    readable = read_once(event.value)
    return event if readable is event.value else metadata.with_value(event, readable)


def _fingerprint(batch: Batch) -> str:
    return f"b{hashlib.sha256(batch.id.encode()).hexdigest()[:12]}"
