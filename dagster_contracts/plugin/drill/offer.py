"""`Drill`, and what it adds to definitions: the job contracts_drill, its schedule, and an asset for each contract on which drills stand.

No postponed annotations here: Dagster reads the annotation of a config as it stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import DagsterContractsError, UsageError
from dagster_contracts.plugin.drill import telling
from dagster_contracts.plugin.drill.course import Drilled, Orders, drilled
from dagster_contracts.plugin.drill.report import GROUP, drill_asset, last_score, materialization
from dagster_contracts.plugin.drill.subjects import governed as named
from dagster_contracts.plugin.drill.subjects import subject_of
from dagster_contracts.plugin.drill.telling import Told
from dagster_contracts.plugin.private import instances
from dagster_contracts.plugin.site import Site
from dagster_contracts.plugin.slack import token

if TYPE_CHECKING:
    from dagster_contracts.chaos.fault import Fault

DRILL = "contracts_drill"
Governed = Callable[[], dg.Definitions]


@dataclass(frozen=True)
class Drill:
    """A drill of all contracts, monthly where its schedule is started: for `with_contracts(..., drill=Drill())`.

    Faults are injected into copies of the newest `batches` good partitions, in a folder of its own below `directory` (None: where the
    system keeps temporary files) that is deleted afterwards; values are held in memory meanwhile. `faults` are your own, beside the
    built-in ones and those that packages offer: while one runs it can do nothing but compute. With a Slack `channel` of its own, to
    which no alerts go, each drill sends it one message; `slack_token` is a bot token with chat:write, or an EnvVar that holds one.
    """

    channel: str | None = None
    slack_token: str | dg.EnvVar | None = field(default=None, repr=False)
    faults: "Sequence[Fault]" = ()
    batches: int = 5
    directory: str | None = None
    cron_schedule: str = "0 5 1 * *"
    slack_base_url: str = "https://slack.com/api/"

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise ValueError(f"Drill(batches={self.batches}): expected 1 or more")
        if (self.channel is None) != (self.slack_token is None):
            raise ValueError("Drill: give channel and slack_token, or neither")


class DrillConfig(dg.Config):
    """What to drill, and how."""

    assets: list[str] = Field(default_factory=list, description="Keys of contracted assets. Without any: all of this code location.")
    faults: list[str] = Field(
        default_factory=list, description="Groups or kinds of faults, such as nulls or unit_change. Without any: all that there are."
    )
    of_each_group: int = Field(default=1, ge=0, description="How many faults of each clause group are taken through breaker and recovery.")
    seed: int | None = Field(default=None, description="Draws those faults, and the rows that are damaged. Without it: one for each day.")


def check(drill: Drill | None, contracts: Sequence[Contract], sinks: Sequence[object], sensors: Sequence[Any]) -> None:
    """Raises ContractError where the drill would speak where alerts do."""
    if drill is not None and drill.channel is not None:
        telling.refuse_production(drill.channel, telling.channels(contracts, sinks, sensors))


def assets(site: Site, drill: Drill | None) -> list[dg.AssetSpec]:
    """One for each contracted asset. No job makes it; drills report to it."""
    if drill is None:
        return []
    return [
        dg.AssetSpec(drill_asset(asset), group_name=GROUP, description=f"What drills found out about the contract of {asset}: the trend.")
        for asset in sorted(site.terms)
    ]


def schedules(site: Site, drill: Drill | None) -> list[dg.ScheduleDefinition]:
    """One, stopped until somebody starts it; none where nothing is governed."""
    if drill is None or not site.terms:
        return []
    stopped = dg.DefaultScheduleStatus.STOPPED
    told = "Off until it is started here."
    return [
        dg.ScheduleDefinition(
            name=f"{DRILL}_monthly", job_name=DRILL, cron_schedule=drill.cron_schedule, default_status=stopped, description=told
        )
    ]


def jobs(site: Site, drill: Drill | None, governed: Governed) -> list[dg.JobDefinition]:
    """None where nothing is governed."""
    return [_job(site, drill, governed)] if drill is not None and site.terms else []


def _job(site: Site, drill: Drill, governed: Governed) -> dg.JobDefinition:
    @dg.op(name="drill_contracts", description="Injects faults into copies of good batches, and proves the way back. Touches nothing else.")
    def drill_contracts(context: dg.OpExecutionContext, config: DrillConfig) -> None:
        try:
            orders = _orders(drill, config)
            wanted = named(site, config.assets)
        except UsageError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        told = [_drilled(context, governed(), asset, drill, orders) for asset in wanted]
        for each in told:
            context.log.info(str(each))
            if each.found is not None and each.found.score is not None:
                context.log_event(materialization(each.found, each.before))
        _tell_slack(context, drill, told)
        if wrong := [each.found for each in told if each.found is not None and each.found.went_wrong]:
            raise dg.Failure(_what_went_wrong(wrong), allow_retries=False)

    @dg.job(
        name=DRILL,
        description="Faults in copies of good batches, through gate, breaker, routing and probe, where nothing is at stake.",
        tags={"contracts/job": "drill", instances.MAX_RETRIES: "0"},
    )
    def contracts_drill() -> None:
        drill_contracts()

    return contracts_drill


def _orders(drill: Drill, config: DrillConfig) -> Orders:
    from dagster_contracts.chaos.confined import confined
    from dagster_contracts.chaos.faults import FAULTS
    from dagster_contracts.chaos.own import installed
    from dagster_contracts.chaos.run import chosen

    now = datetime.now(UTC)
    faults = confined(chosen([*FAULTS, *installed(), *drill.faults], config.faults))
    return Orders(faults, config.of_each_group, now.toordinal() if config.seed is None else config.seed, drill.directory, now)


def _drilled(context: dg.OpExecutionContext, defs: dg.Definitions, asset: str, drill: Drill, orders: Orders) -> Told:
    try:
        found = drilled(subject_of(defs, context.instance, asset, drill.batches), orders, context.log.info)
    except DagsterContractsError as error:  # of this asset; the others are drilled all the same
        return Told(asset, reason=str(error))
    return Told(asset, found, last_score(context.instance, asset))


def _tell_slack(context: dg.OpExecutionContext, drill: Drill, told: Sequence[Told]) -> None:
    if drill.channel is None or drill.slack_token is None:
        return
    from dagster_contracts.sinks.slack.web import Web

    given = drill.slack_token
    text, blocks = telling.message(told)
    try:
        Web(lambda: token(given), drill.slack_base_url, _TIMEOUT).post(drill.channel, text, blocks, name=f"drill {context.run_id}")
    except DagsterContractsError as error:
        context.log.warning(f"Slack was not told of the drill: {error}")


_TIMEOUT = 8  # seconds


def _what_went_wrong(wrong: Sequence[Drilled]) -> str:
    lines = [f"{found.asset}: {each.what_went_wrong}" for found in wrong for each in found.went_wrong]
    return f"{len(lines)} exercises did not end as the policy says: " + "; ".join(lines[:10])
