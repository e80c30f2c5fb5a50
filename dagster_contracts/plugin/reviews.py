"""The job contracts_review: a person approves or rejects a low-confidence output in Dagster's UI. No run waits for that person."""

from typing import Literal

import dagster as dg
from pydantic import Field

from dagster_contracts import reviewing
from dagster_contracts.plugin.operating import ACTOR, REASON, of_a_person, readable_errors
from dagster_contracts.plugin.site import Site

REVIEW = "contracts_review"


class ReviewConfig(dg.Config):
    """Which output is decided on, and how."""

    asset: str = Field(description='Key of the asset whose output waits for a review, such as "vendor/scores".')
    decision: Literal["approve", "reject"] = Field(description="approve: it stands. reject: it is withdrawn, and nobody reads it.")
    reason: str = REASON
    actor: str = ACTOR
    partition: str | None = Field(default=None, description="Key of its partition; leave it out for an asset without partitions.")


def jobs(site: Site) -> list[dg.JobDefinition]:
    """None where nothing is governed."""
    return [_job(site)] if site.terms else []


def _job(site: Site) -> dg.JobDefinition:
    @dg.op(name="decide_review", description="Approves or rejects a low-confidence output; a rejected one is read by nobody.")
    def decide(context: dg.OpExecutionContext, config: ReviewConfig) -> None:
        actor, reason = config.actor.strip(), config.reason.strip()
        if not actor or not reason:
            raise dg.Failure("actor or reason is empty; say who decides, and why: it is what others will read later", allow_retries=False)
        word = reviewing.approve if config.decision == "approve" else reviewing.reject
        with readable_errors():
            decided = word(site.gate(context.instance), config.asset, config.partition, actor=actor, reason=reason)
        context.log.info(f"{decided.asset} [{decided.partition}] was {decided.status} by {decided.actor}: {decided.reason}")

    @dg.job(name=REVIEW, description="A person approves or rejects a low-confidence output.", tags=of_a_person("review"))
    def contracts_review() -> None:
        decide()

    return contracts_review
