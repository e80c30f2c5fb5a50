"""The customProperties `waivers` and `environments` of a contract -> values. Pure.

A waiver turns a rule that fails into a warning, for batches that arrive up to the day `until` (UTC) and not more than 90 days before it:
whatever is written, none lasts longer. `environments` says what a broken rule does in an environment of that name:

    block     what its severity says; also where the environment is not named
    warn      nothing is refused: critical and error count as warning
    escalate  each severity counts one step graver: a broken warning refuses the batch, an error opens the breaker
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from dagster_contracts.core.conformance import Schema
from dagster_contracts.core.contract import Enforcement, Severity, Waiver
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, maps, path_text, shown

LONGEST = timedelta(days=90)
_TEXT = {"type": "string"}
_KEYS = ("rule", "until", "reason", "approvedBy")
_WAIVERS = Schema(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": list(_KEYS),
            "properties": dict.fromkeys((*_KEYS, "object"), _TEXT),
            "additionalProperties": False,
        },
    }
)


def waiver_flaws(value: object, path: Path) -> Iterator[Flaw]:
    """Everything wrong with the list at `path`, but for what takes the rules of the contract or the day to tell."""
    broken = _WAIVERS.breaches(value)
    for breach in broken:
        ends = breach.keyword == "required" and breach.expected == "until"
        told = 'the key "until" is missing: a waiver has an end, such as 2027-01-31, at most 90 days ahead' if ends else breach.message
        yield Flaw((*path, *breach.path), told)
    told_at = {breach.path for breach in broken}
    seen: dict[tuple[object, object], Path] = {}
    for index, entry in maps(value):
        for key in _KEYS:
            given = entry.get(key)
            if isinstance(given, str) and (index, key) not in told_at and not given.strip():
                yield Flaw((*path, index, key), f"expected text, found {shown(given)}")
        until = entry.get("until")
        if isinstance(until, str) and until.strip() and _day(until) is None:
            yield Flaw((*path, index, "until"), f"expected the last day of the waiver, such as 2027-01-31, found {shown(until)}")
        named = entry.get("rule"), entry.get("object")
        if isinstance(named[0], str) and named in seen:
            yield Flaw((*path, index), f'the rule "{named[0][:80]}" is waived twice, also at {path_text(seen[named])}; keep one of them')
        seen.setdefault(named, (*path, index))


def environment_flaws(value: object, path: Path) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        yield Flaw(path, f"environments: expected a mapping such as dev: warn, found {shown(value)}")
        return
    for name, word in value.items():
        if not isinstance(word, str) or word not in tuple(Enforcement):
            near = did_you_mean(word[:80], Enforcement) if isinstance(word, str) else ""
            yield Flaw((*path, name), f"expected one of {', '.join(Enforcement)}, found {shown(word)}{near}")


def read_waivers(value: object, path: Path) -> tuple[Waiver, ...]:
    """Of a list without flaws."""
    found = ((index, entry, _day(str(entry["until"]))) for index, entry in maps(value))
    return tuple(
        Waiver(
            rule=str(entry["rule"]),
            until=until,
            reason=str(entry["reason"]).strip(),
            approved_by=str(entry["approvedBy"]).strip(),
            object=str(entry["object"]) if "object" in entry else None,
            path=path_text((*path, index)),
        )
        for index, entry, until in found
        if until is not None
    )


def read_environments(value: object) -> dict[str, Enforcement]:
    return {name: Enforcement(str(word)) for name, word in value.items()} if isinstance(value, dict) else {}


def enforced(severity: Severity, how: Enforcement) -> Severity:
    """What a broken rule of a severity counts as."""
    if how is Enforcement.WARN:
        return Severity.WARNING if severity.refuses else severity
    if how is Enforcement.ESCALATE:
        return {Severity.WARNING: Severity.ERROR, Severity.ERROR: Severity.CRITICAL}.get(severity, severity)
    return severity


def is_too_long(waiver: Waiver, today: date) -> bool:
    return waiver.until - today > LONGEST


def is_waived(waiver: Waiver, day: date) -> bool:
    """Whether it holds for what arrives on `day` (UTC)."""
    return timedelta(0) <= waiver.until - day <= LONGEST


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
