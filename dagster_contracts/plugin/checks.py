"""Verdicts as asset checks: one per clause group of the contract, and the breaker itself.

The specs stand on the contracted asset's own op, so that no selection starts them as steps of their own, and a run that selects only
them is a probe. A failing check never blocks by itself: the gate does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_contracts.core.breaker import enforced_open
from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.inert import LINE, shown
from dagster_contracts.core.plan import NotExecuted
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.core.wording import counted
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.plugin.metadata import inert, table, table_of_failing_rows, table_of_findings
from dagster_contracts.plugin.private import instances
from dagster_contracts.ports import Store

PREFIX = "contract_"
BREAKER = "contract_breaker"


def specs(terms: Terms, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None) -> list[dg.AssetCheckSpec]:
    """The checks of one asset: its clause groups in the contract's order, then the breaker."""
    contract = terms.attached.contract
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)  # Dagster calls partitioned checks a preview, and would warn of each
        groups = [
            dg.AssetCheckSpec(
                f"{PREFIX}{clause}",
                asset=key,
                blocking=False,
                partitions_def=partitions,
                description=shown(
                    f"{clause}: {counted(len(_rules(terms, clause)), 'rule')} of contract {contract.id} {contract.version}", LINE
                ),
            )
            for clause in Clause
            if _rules(terms, clause)
        ]
    breaker = dg.AssetCheckSpec(
        BREAKER,
        asset=key,
        blocking=True,
        description=shown(f"The circuit breaker of contract {contract.id}: passes while it is closed.", LINE),
    )
    return [*groups, breaker]


def is_ours(key: dg.AssetCheckKey, terms: Mapping[str, Terms]) -> bool:
    """Whether a check is one that a contract has put there."""
    return key.asset_key.to_user_string() in terms and (key.name == BREAKER or key.name.removeprefix(PREFIX) in set(Clause))


def _rules(terms: Terms, clause: Clause) -> list[str]:
    return [rule.id for rule in terms.plan.rules if rule.clause is clause]


def evaluations(context: Any, store: Store, terms: Terms, judgements: Sequence[Judgement], *, close: bool = True) -> Iterator[Any]:
    """The selected checks of judged partitions, and (with `close`) the outputs that Dagster expects of them."""
    ours = {terms.asset: terms}
    selected = {key.name: key for key in context.selected_asset_check_keys if is_ours(key, ours)}
    key = dg.AssetKey.from_user_string(terms.asset)
    for judgement in judgements:
        target = instances.target_of(context.instance, key, judgement.batch.partition.key) if judgement.publish else None
        for clause in Clause:
            if f"{PREFIX}{clause}" in selected:
                yield _of_clause(terms, key, clause, judgement, target)
    if BREAKER in selected and judgements:
        breakers = standing(store, terms, [judgement.breaker for judgement in judgements])
        yield of_breakers(terms.asset, breakers, judgements[-1].batch.updated_at, instances.target_of(context.instance, key, None))
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
        "failing_percent": verdict.failing_percent.get(clause, 0.0),
        "rows": verdict.rows or 0,
        "contract": f"{verdict.contract_id} {verdict.contract_version}",
        "batch": judgement.batch.id,
        "status": str(judgement.batch.status),
    }
    if failing := table_of_failing_rows(findings):
        metadata["failing"] = failing
    if skipped:
        metadata["not_executed"] = "\n".join(f"{item.rule}: {item.reason}" for item in skipped)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=f"{PREFIX}{clause}",
        passed=not broken and not any(item.severity.refuses for item in skipped),
        severity=dg.AssetCheckSeverity.ERROR if refusing else dg.AssetCheckSeverity.WARN,
        description=shown(_sentence(broken, len(findings), skipped), LINE),
        metadata=inert(metadata),
        target_materialization_data=target,
        blocking=False,
        partition=judgement.batch.partition.key,
    )


def _only(verdict: Verdict, findings: list[Finding]) -> Verdict:
    return Verdict(verdict.outcome, verdict.contract_id, verdict.contract_version, verdict.rows, tuple(findings), (), verdict.digest)


def _sentence(broken: list[Finding], executed: int, skipped: Sequence[NotExecuted]) -> str:
    if not broken:
        told = f"{counted(executed, 'rule')} {'holds' if executed == 1 else 'hold'}"
    else:
        worst = min(broken, key=lambda finding: (_ORDER[finding.outcome], list(Severity).index(finding.severity)))
        unknown = sum(finding.outcome is Outcome.INCONCLUSIVE for finding in broken)
        counts = ((len(broken) - unknown, "broken"), (unknown, "could not be measured"))
        told = " and ".join(f"{count} of {counted(executed, 'rule')} {word}" for count, word in counts if count)
        told += f": {worst.rule}: {worst.observed}, expected {worst.expected}"
    first = next((item for item in skipped if item.severity.refuses), None)
    return told + (f"; {len(skipped)} not executed" if skipped else "") + (f": {first.rule}: {first.reason}" if first else "")


_ORDER = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.WARN: 2, Outcome.PASS: 3}


def standing(store: Store, terms: Terms, known: Sequence[Breaker]) -> list[Breaker]:
    """The breakers that the check of an asset shows: its one, or with `scope` all of them. `known` are newer than what is stored."""
    scope, newest = terms.policy.scope, {breaker.key: breaker for breaker in known}
    if scope == "asset":
        return [newest.get(terms.asset) or known[-1]]
    try:
        stored = [breaker for breaker in store.breakers(asset=terms.asset) if breaker.key.startswith(f"{terms.asset}[{scope}=")]
    except StoreUnavailable:  # the policy has admitted the batch all the same
        stored = []
    return list({**{breaker.key: breaker for breaker in stored}, **newest}.values())


def of_breakers(asset: str, breakers: Sequence[Breaker], now: datetime, target: Any) -> dg.AssetCheckEvaluation:
    """The worst of an asset's breakers as its check: red while the consumers of any fall back. Where there are several, all are
    listed."""
    ordered = sorted(breakers, key=lambda each: (not enforced_open(each, now), _WORST_FIRST.index(each.state), each.key))
    worst = ordered[0]
    description = f"{worst.key} is {worst.state}" + (f": {worst.cause}" if worst.cause else "")
    metadata = _told(worst, now)
    if len(ordered) > 1:
        away = sum(enforced_open(each, now) for each in ordered)
        description = f"the consumers of {away} of {len(ordered)} breakers fall back; the worst: {description}"
        metadata |= {"breakers": len(ordered), "breakers_open": away, "scopes": _table_of(ordered[:_LISTED], now)}
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey.from_user_string(asset),
        check_name=BREAKER,
        passed=not enforced_open(worst, now),
        severity=dg.AssetCheckSeverity.ERROR,
        description=shown(description, LINE),
        metadata=inert(metadata),
        target_materialization_data=target,
        blocking=False,
    )


_WORST_FIRST = (State.OPEN, State.HALF_OPEN, State.CLOSED)
_LISTED = 100  # breakers of one asset that its check lists, the worst first


def _told(breaker: Breaker, now: datetime) -> dict[str, Any]:
    """What the check says of one breaker."""
    metadata: dict[str, Any] = {
        "state": str(breaker.state),
        "generation": breaker.generation,
        "is_open": int(enforced_open(breaker, now)),
        "cause": breaker.cause or "never tripped",
        "contract_version": breaker.contract_version,
    }
    if breaker.since:
        metadata["since"] = dg.MetadataValue.timestamp(breaker.since)
    if breaker.retry_at:
        metadata["next_probe_after"] = dg.MetadataValue.timestamp(breaker.retry_at)
    if breaker.findings:
        metadata["findings"] = table([{"finding": finding} for finding in breaker.findings], {"finding": "string"})
    if (word := breaker.override) is not None:
        until = f"until {word.expires_at:%Y-%m-%d %H:%MZ}" if word.expires_at else "until reset"
        metadata["override"] = f"{word.kind} by {word.actor} {until}: {word.reason}"
    return metadata


def _table_of(breakers: Sequence[Breaker], now: datetime) -> dg.TableMetadataValue:
    rows: list[dict[str, str | bool]] = [
        {
            "breaker": each.key,
            "state": str(each.state),
            "open": enforced_open(each, now),
            "since": f"{each.since:%Y-%m-%d %H:%MZ}" if each.since else "",
            "cause": each.cause,
        }
        for each in breakers
    ]
    return table(rows, {name: "bool" if name == "open" else "string" for name in rows[0]})


def report_breakers(instance: dg.DagsterInstance, asset: str, breakers: Sequence[Breaker], now: datetime) -> None:
    """Show the present state of an asset's breakers on it without a run."""
    key = dg.AssetKey.from_user_string(asset)
    instance.report_runless_asset_event(of_breakers(asset, breakers, now, instances.target_of(instance, key, None)))
