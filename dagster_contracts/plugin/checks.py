"""Verdicts as asset checks: one per clause group of the contract, and the breaker itself.

The specs stand on the contracted asset's own op, so that no selection starts them as steps of their own, and a run that selects only
them is a probe. A failing check never blocks by itself: the gate does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_contracts.core.breaker import Breaker, enforced_open
from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.plan import NotExecuted
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.plugin import private
from dagster_contracts.plugin.metadata import table_of_findings

PREFIX = "contract_"
BREAKER = "contract_breaker"


def specs(terms: Terms, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None) -> list[dg.AssetCheckSpec]:
    """The checks of one asset: its clause groups in the contract's order, then the breaker."""
    contract = terms.attached.contract
    groups = [
        private.check_spec(
            f"{PREFIX}{clause}",
            key,
            partitions,
            f"{clause}: {len(_rules(terms, clause))} rules of contract {contract.id} {contract.version}",
        )
        for clause in Clause
        if _rules(terms, clause)
    ]
    breaker = dg.AssetCheckSpec(
        BREAKER, asset=key, blocking=True, description=f"The circuit breaker of contract {contract.id}: passes while it is closed."
    )
    return [*groups, breaker]


def is_ours(key: dg.AssetCheckKey, terms: Mapping[str, Terms]) -> bool:
    """Whether a check is one that a contract has put there."""
    return key.asset_key.to_user_string() in terms and (key.name == BREAKER or key.name.removeprefix(PREFIX) in set(Clause))


def _rules(terms: Terms, clause: Clause) -> list[str]:
    return [rule.id for rule in terms.plan.rules if rule.clause is clause]


def evaluations(context: Any, terms: Terms, judgements: Sequence[Judgement], *, close: bool = True) -> Iterator[Any]:
    """The selected checks of judged partitions, and (with `close`) the outputs that Dagster expects of them."""
    ours = {terms.asset: terms}
    selected = {key.name: key for key in context.selected_asset_check_keys if is_ours(key, ours)}
    key = dg.AssetKey.from_user_string(terms.asset)
    for judgement in judgements:
        target = private.target_of(context.instance, key, judgement.batch.partition.key) if judgement.publish else None
        for clause in Clause:
            if f"{PREFIX}{clause}" in selected:
                yield _of_clause(terms, key, clause, judgement, target)
    if BREAKER in selected and judgements:
        last = judgements[-1]
        yield of_breaker(terms.asset, last.breaker, last.batch.updated_at, private.target_of(context.instance, key, None))
    if close:
        for check in selected.values():
            yield dg.Output(None, output_name=dg.AssetCheckSpec(check.name, asset=check.asset_key).get_python_identifier())


def _of_clause(terms: Terms, key: dg.AssetKey, clause: Clause, judgement: Judgement, target: Any) -> dg.AssetCheckEvaluation:
    verdict = judgement.verdict
    findings = [finding for finding in verdict.findings if finding.clause is clause]
    skipped = [item for item in verdict.not_executed if item.clause is clause]
    broken = [finding for finding in findings if finding.outcome is not Outcome.PASS]
    refusing = any(finding.outcome is Outcome.FAIL for finding in findings)
    metadata: dict[str, Any] = {
        "rules": table_of_findings(_only(verdict, findings)),
        "rules_failed": len(broken),
        "failing_rows": max((finding.failing_rows or 0 for finding in findings), default=0),
        "rows": verdict.rows or 0,
        "contract": f"{verdict.contract_id} {verdict.contract_version}",
        "batch": judgement.batch.id,
        "status": str(judgement.batch.status),
    }
    if skipped:
        metadata["not_executed"] = "\n".join(f"{item.rule}: {item.reason}" for item in skipped)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=f"{PREFIX}{clause}",
        passed=not broken and not any(item.severity.refuses for item in skipped),
        severity=dg.AssetCheckSeverity.ERROR if refusing else dg.AssetCheckSeverity.WARN,
        description=_sentence(broken, len(findings), skipped),
        metadata=metadata,
        target_materialization_data=target,
        blocking=False,
        partition=judgement.batch.partition.key,
    )


def _only(verdict: Verdict, findings: list[Finding]) -> Verdict:
    return Verdict(verdict.outcome, verdict.contract_id, verdict.contract_version, verdict.rows, tuple(findings), (), verdict.digest)


def _sentence(broken: list[Finding], executed: int, skipped: Sequence[NotExecuted]) -> str:
    if not broken:
        told = f"{executed} rules hold"
    else:
        worst = min(broken, key=lambda finding: (_ORDER[finding.outcome], list(Severity).index(finding.severity)))
        unknown = sum(finding.outcome is Outcome.INCONCLUSIVE for finding in broken)
        counts = ((len(broken) - unknown, "broken"), (unknown, "could not be measured"))
        told = " and ".join(f"{count} of {executed} rules {word}" for count, word in counts if count)
        told += f": {worst.rule}: {worst.observed}, expected {worst.expected}"
    first = next((item for item in skipped if item.severity.refuses), None)
    return told + (f"; {len(skipped)} not executed" if skipped else "") + (f": {first.rule}: {first.reason}" if first else "")


_ORDER = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.WARN: 2, Outcome.PASS: 3}


def of_breaker(asset: str, breaker: Breaker, now: datetime, target: Any) -> dg.AssetCheckEvaluation:
    """The breaker as a check: red while consumers are routed away."""
    is_open = enforced_open(breaker, now)
    metadata: dict[str, Any] = {
        "state": str(breaker.state),
        "generation": breaker.generation,
        "is_open": int(is_open),
        "cause": breaker.cause or "never tripped",
        "contract_version": breaker.contract_version,
    }
    if breaker.since:
        metadata["since"] = dg.MetadataValue.timestamp(breaker.since)
    if breaker.retry_at:
        metadata["next_probe_after"] = dg.MetadataValue.timestamp(breaker.retry_at)
    if breaker.findings:
        metadata["findings"] = "\n".join(breaker.findings)
    if breaker.override:
        metadata["override"] = f"{breaker.override.kind} by {breaker.override.actor}: {breaker.override.reason}"
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey.from_user_string(asset),
        check_name=BREAKER,
        passed=not is_open,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{breaker.key} is {breaker.state}" + (f": {breaker.cause}" if breaker.cause else ""),
        metadata=metadata,
        target_materialization_data=target,
        blocking=False,
    )


def report_breaker(instance: dg.DagsterInstance, asset: str, breaker: Breaker, now: datetime) -> None:
    """Show the breaker's present state on the asset without a run."""
    key = dg.AssetKey.from_user_string(asset)
    instance.report_runless_asset_event(of_breaker(asset, breaker, now, private.target_of(instance, key, None)))
