"""The job contracts_prune, with a schedule that is stopped until somebody starts it: nothing is deleted unasked."""

from dataclasses import asdict
from datetime import timedelta

import dagster as dg
from pydantic import Field

from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.retention import Retention
from dagster_contracts.plugin.operating import readable_errors
from dagster_contracts.plugin.site import Site

PRUNE = "contracts_prune"
NIGHTLY = "30 3 * * *"


class PruneConfig(dg.Config):
    """What to delete."""

    older_than: str | None = Field(default=None, description="One age for all kinds, such as P90D. Without it each kind has its own.")
    dry_run: bool = Field(default=False, description="Only count what would be deleted.")


def schedules(site: Site) -> list[dg.ScheduleDefinition]:
    """One, of the job by its name; none where nothing is governed."""
    if not site.terms:
        return []
    stopped = dg.DefaultScheduleStatus.STOPPED
    description = "Off until it is started here."
    nightly = dg.ScheduleDefinition(
        name=f"{PRUNE}_nightly", job_name=PRUNE, cron_schedule=NIGHTLY, default_status=stopped, description=description
    )
    return [nightly]


def jobs(site: Site) -> list[dg.JobDefinition]:
    """None where nothing is governed."""
    return [_job(site)] if site.terms else []


def _job(site: Site) -> dg.JobDefinition:
    @dg.op(name="prune_ledger", description="Deletes what is over and old from the breakers' database; what is needed stays.")
    def prune(context: dg.OpExecutionContext, config: PruneConfig) -> None:
        with readable_errors():
            kept = Retention() if config.older_than is None else Retention.of(_age(config.older_than))
            gone = asdict(site.gate(context.instance).store.prune(kept, dry_run=config.dry_run))
        told = ", ".join(f"{name} {count}" for name, count in gone.items())
        context.log.info(f"{'would prune' if config.dry_run else 'pruned'}: {told}")

    @dg.job(name=PRUNE, description="Prunes the history of breakers, batches, decisions and events.", tags={"contracts/job": "prune"})
    def contracts_prune() -> None:
        prune()

    return contracts_prune


def _age(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"older_than: {error}") from error
