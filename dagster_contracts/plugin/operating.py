"""Jobs that a person starts in Dagster's launchpad: contracts_probe, contracts_release and contracts_heal; and contracts_observe, for what
is not made here, with a schedule that is stopped until somebody starts it.

They do in their own run what the sensors ask for by themselves, and what the command line does: a run of an asset that becomes due is
executed by the job's process. With contracts_review and contracts_prune they are all the jobs that `with_contracts` adds.

No postponed annotations here: Dagster reads the annotation of a config as it stands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from dagster_contracts import recovery
from dagster_contracts.core.errors import DagsterContractsError
from dagster_contracts.plugin import operations
from dagster_contracts.plugin.private import instances
from dagster_contracts.plugin.site import Site
from dagster_contracts.plugin.sources import OBSERVE

PROBE, RELEASE, HEAL = "contracts_probe", "contracts_release", "contracts_heal"
HOURLY = "0 * * * *"
Governed = Callable[[], dg.Definitions]  # what `with_contracts` has made, once it has

ACTOR = Field(description="Who decides: a name that others will read later. Dagster does not always know it.")
REASON = Field(description="Why, in a sentence that others will read later.")


class ProbeConfig(dg.Config):
    """Which breaker to probe."""

    breaker: str | None = Field(
        default=None,
        description='Key of one breaker, such as "credit_bureau". Without it: every breaker whose cooldown is over.',
    )


class ReleaseConfig(dg.Config):
    """Which batch to let through, and who says so."""

    asset: str = Field(description='Key of the asset whose batch waits, such as "vendor/feed".')
    partition: str | None = Field(default=None, description="Key of its partition; leave it out for an asset without partitions.")
    actor: str = ACTOR
    reason: str = REASON


class HealConfig(dg.Config):
    """Whose batches to publish, and which outputs to make anew."""

    asset: str | None = Field(default=None, description="Key of one asset. Without it: everything of this code location that is due.")


class ObserveConfig(dg.Config):
    """Which sources to look at."""

    asset: str | None = Field(
        default=None, description="Key of one source. Without it: every external asset and observable source with a contract."
    )
    partition: str | None = Field(default=None, description="Key of one of its partitions. Without it: the newest that is over.")


def jobs(site: Site, governed: Governed) -> list[dg.JobDefinition]:
    """None where nothing is governed."""
    if not site.terms:
        return []
    return [_probe_job(governed), _release_job(site, governed), _heal_job(governed), *([_observe_job(governed)] if site.sources else [])]


def schedules(site: Site) -> list[dg.ScheduleDefinition]:
    """One, of the job by its name; none where nothing is governed that is not made here."""
    if not site.sources:
        return []
    hourly = dg.ScheduleDefinition(
        name=f"{OBSERVE}_hourly",
        job_name=OBSERVE,
        cron_schedule=HOURLY,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Off until it is started here.",
    )
    return [hourly]


def _probe_job(governed: Governed) -> dg.JobDefinition:
    @dg.op(name="probe_breakers", description="Judges the newest batch that waits, in full; a pass closes the breaker.")
    def probe(context: dg.OpExecutionContext, config: ProbeConfig) -> None:
        with readable_errors():
            rows = operations.probe(governed(), context.instance, config.breaker, holder=f"run {context.run_id}")
        for row in rows:
            context.log.info(f"{row.breaker}: {row.told}")
        if not rows:
            context.log.info("no breaker is due for a probe")
        if refused := next((row for row in rows if config.breaker is not None and not row.probed), None):
            raise dg.Failure(f"{refused.breaker} was not probed: {refused.told}", allow_retries=False)

    @dg.job(name=PROBE, description="Probes breakers now instead of at the sensor's next tick.", tags=of_a_person("probe"))
    def contracts_probe() -> None:
        probe()

    return contracts_probe


def _release_job(site: Site, governed: Governed) -> dg.JobDefinition:
    @dg.op(name="release_batch", description="Publishes a batch despite its verdict: recorded, marked, never served as last good.")
    def release(context: dg.OpExecutionContext, config: ReleaseConfig) -> None:
        actor, reason = config.actor.strip(), config.reason.strip()
        if not actor or not reason:
            raise dg.Failure("actor or reason is empty; say who decides, and why: it is what others will read later", allow_retries=False)
        with readable_errors():
            gate = site.gate(context.instance)
            batch = recovery.releasable_batch(gate, config.asset, config.partition)
            released = recovery.release(gate, batch, actor=actor, reason=reason)
            run = operations.run_release(governed(), context.instance, released)
        context.log.info(f"{batch.asset} [{batch.partition}]: the {batch.status} batch was released by {actor}; run {run} published it")

    @dg.job(name=RELEASE, description="A person lets a quarantined or held batch through.", tags=of_a_person("release"))
    def contracts_release() -> None:
        release()

    return contracts_release


def _heal_job(governed: Governed) -> dg.JobDefinition:
    @dg.op(
        name="heal_outputs",
        description="Publishes held batches that passed, then makes outputs anew whose inputs are fresh now, each in a run of its own.",
    )
    def heal(context: dg.OpExecutionContext, config: HealConfig) -> None:
        with readable_errors():
            rows = operations.heal(governed(), context.instance, config.asset, context.log.info)
        failed = [row for row in rows if row.result not in ("ok", "published")]
        context.log.info(f"{len(rows) - len(failed)} of {len(rows)} due batches and outputs are published and made anew")
        if failed:
            told = ", ".join(f"{row.asset} [{row.partition}]: {row.result} (run {row.run})" for row in failed[:10])
            raise dg.Failure(f"{len(failed)} of {len(rows)} due batches and outputs are not healed: {told}", allow_retries=False)

    @dg.job(
        name=HEAL,
        description="Publishes held batches of closed breakers and makes outputs of fallback data anew now, also under `heal: ask`.",
        tags=of_a_person("heal"),
    )
    def contracts_heal() -> None:
        heal()

    return contracts_heal


def _observe_job(governed: Governed) -> dg.JobDefinition:
    @dg.op(name="observe_sources", description="Judges what stands in assets that are not made here, each in a run of its own.")
    def observe(context: dg.OpExecutionContext, config: ObserveConfig) -> None:
        with readable_errors():
            rows = operations.observe(governed(), context.instance, config.asset, config.partition)
        for row in rows:
            context.log.info(f"{row.asset}: {row.result} (run {row.run})")
        if failed := [f"{row.asset} (run {row.run})" for row in rows if row.result == "failed"]:
            raise dg.Failure(f"{len(failed)} of {len(rows)} sources could not be looked at: {', '.join(failed[:10])}")

    @dg.job(
        name=OBSERVE,
        description="Judges the external assets and observable sources that have a contract, as they stand now.",
        tags={"contracts/job": "observe"},
    )
    def contracts_observe() -> None:
        observe()

    return contracts_observe


def of_a_person(job: str) -> dict[str, str]:
    """The tags of a job that a person starts: what it cannot do now, Dagster's run retries would not do either."""
    return {"contracts/job": job, instances.MAX_RETRIES: "0"}


@contextmanager
def readable_errors() -> Iterator[None]:
    """What a person asked for and cannot be done is told as the failure of the step, which is not tried again."""
    try:
        yield
    except DagsterContractsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
