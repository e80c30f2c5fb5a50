"""What a message says that did not go on: headers beside the key, the value and the headers that it came with.

What it came with under names that begin with `contracts-` is left out, of what goes on too: who reads them knows that they are ours.

    contracts-reason     quarantined | held | undecodable | row
    contracts-outcome    pass | warn | fail | inconclusive
    contracts-contract   id and version: "orders 1.2.0"
    contracts-rules      ids of the rules that failed, "; " between them: of the row where it was set aside alone, else of the micro-batch
    contracts-findings   JSON: [{rule, severity, observed, expected}], at most 4 KB, the last entry {"more": n} where that is not all
    contracts-breaker    its key and state: "orders open"
    contracts-batch      the id of the micro-batch in the ledger
    contracts-source     topic/partition/offset it was read from

Values of classified columns never stand in these headers; the message itself is what it was, and belongs where its topic may be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.streaming.answers import StreamVerdict

Headers = list[tuple[str, bytes]]
FINDINGS_BYTES = 4096
_SHOWN = 500  # characters of one observation


def others(given: Any) -> list[tuple[str, Any]]:
    """Of the headers that a message came with, (name, value) each or None, those whose names are not ours."""
    return [header for header in given or () if not header[0].lower().startswith("contracts-")]


def headers(verdict: StreamVerdict) -> Headers:
    """Those that every message of a micro-batch has in common, in the order above, but for reason, rules and source."""
    judgement, batch = verdict.judgement, verdict.judgement.batch
    return [
        ("contracts-outcome", _bytes(batch.outcome)),
        ("contracts-contract", _bytes(f"{batch.contract_id} {batch.contract_version}")),
        ("contracts-findings", findings(judgement.verdict)),
        ("contracts-breaker", _bytes(f"{batch.breaker_key} {judgement.breaker.state}")),
        ("contracts-batch", _bytes(batch.id)),
    ]


def rules(verdict: Verdict) -> str:
    return "; ".join(finding.rule for finding in _told(verdict))


def findings(verdict: Verdict) -> bytes:
    told = _told(verdict)
    entries = [_entry(finding) for finding in told]
    for kept in range(len(entries), -1, -1):
        more = [{"more": len(entries) - kept}] if kept < len(entries) else []
        text = json.dumps([*entries[:kept], *more], ensure_ascii=True, separators=(",", ":")).encode("ascii")
        if len(text) <= FINDINGS_BYTES:
            return text
    raise AssertionError("an empty list is short enough")


def reason(why: str, broken: str, source: str) -> Headers:
    return [("contracts-reason", _bytes(why)), ("contracts-rules", _bytes(broken)), ("contracts-source", _bytes(source))]


def _told(verdict: Verdict) -> Sequence[Finding]:
    """What failed; of a micro-batch that did not fail, what kept it from passing."""
    failed = [finding for finding in verdict.findings if finding.outcome is Outcome.FAIL]
    return failed or [finding for finding in verdict.findings if finding.outcome is not Outcome.PASS]


def _entry(finding: Finding) -> dict[str, str]:
    shown = {"rule": finding.rule, "severity": finding.severity.value, "observed": finding.observed, "expected": finding.expected}
    return {name: text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…" for name, text in shown.items()}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
