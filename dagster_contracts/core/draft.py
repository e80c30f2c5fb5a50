"""The plan being written: promises become rules, or are listed with the reason. Pure.

Severities (free text in ODCS, case does not matter):

    critical    critical, blocker, fatal
    error       error, high, major, and every word not listed here: never silently weaker
    warning     warning, warn, medium, moderate, minor
    info        info, information, informational, notice, low

Without one: presence, type, closed schema and enum are critical, and so is `invalidValues` of `validValues` that must be 0, which is
an enum by another name; every other rule is error. What speaks of no single batch (text rules, availability, retention, support)
is listed as info, so that it makes no verdict a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.plan import Check, NotExecuted, Rule

SEVERITIES = {
    **dict.fromkeys(("critical", "blocker", "fatal"), Severity.CRITICAL),
    **dict.fromkeys(("error", "high", "major"), Severity.ERROR),
    **dict.fromkeys(("warning", "warn", "medium", "moderate", "minor"), Severity.WARNING),
    **dict.fromkeys(("info", "information", "informational", "notice", "low"), Severity.INFO),
}


def severity_of(text: str | None, default: Severity) -> tuple[Severity, str | None]:
    """The severity an ODCS text means, and a note where the word is not known."""
    if text is None or not text.strip():
        return default, None
    found = SEVERITIES.get(text.strip().lower())
    return (found, None) if found else (Severity.ERROR, f'severity "{text}" is not known: judged as error')


@dataclass(slots=True)
class Draft:
    """The plan being written. Ids are made unique by a suffix, in the order of the document."""

    rules: list[Rule] = field(default_factory=list)
    not_executed: list[NotExecuted] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def rule(self, name: str, clause: Clause, severity: Severity, check: Check, column: str | None, description: str | None = None) -> None:
        self.rules.append(Rule(self._unique(name), clause, severity, check, column, description))

    def skip(self, name: str, reason: str, severity: Severity = Severity.ERROR, clause: Clause = Clause.CUSTOM) -> None:
        self.not_executed.append(NotExecuted(self._unique(name), reason, severity, clause))

    def add(self, promise: Rule | NotExecuted) -> None:
        if isinstance(promise, Rule):
            self.rules.append(replace(promise, id=self._unique(promise.id)))
        else:
            self.not_executed.append(replace(promise, rule=self._unique(promise.rule)))

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}-{number}"
        self.taken.add(found)
        return found
