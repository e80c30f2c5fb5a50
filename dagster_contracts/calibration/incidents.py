"""Labelled incidents: which batches of a history are known to have been bad. Pure.

    - {partition: 2026-03-01, what: "the vendor sent yesterday's file", rule: row_count}
    - {partition: 2026-04-02..2026-04-05, what: a column was empty}

YAML or JSON; a list, or a mapping with the list under `incidents`. `rule` names the rule that is to catch it, where one is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dagster_contracts.core.document import read
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.flaws import shown

KEYS = ("partition", "what", "rule")
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Incident:
    """`partitions` are keys of the history, in its order; `rule` is the id of a rule, `what` is for people."""

    label: str
    partitions: tuple[str, ...]
    what: str = ""
    rule: str | None = None

    def __str__(self) -> str:
        return f"{self.label} ({self.what})" if self.what else self.label


def incidents_in(text: str, known: Sequence[str], *, source: str, rules: Collection[str] = ()) -> tuple[Incident, ...]:
    """The incidents of a file; `known` are the partitions of the history in their order, `rules` those of the contract.

    Raises UsageError for a partition or a rule that there is not, and for anything else that is wrong; ContractSyntaxError for no YAML.
    """
    document = read(text, source=source).value
    listed = document.get("incidents") if isinstance(document, dict) else document
    if not isinstance(listed, list) or not listed:
        raise UsageError(f"{source}: expected a list of incidents, each with the key partition; found {shown(listed)}")
    return tuple(_incident(entry, f"{source}: incident {number}", known, rules) for number, entry in enumerate(listed, 1))


def _incident(entry: object, place: str, known: Sequence[str], rules: Collection[str]) -> Incident:
    if not isinstance(entry, Mapping) or "partition" not in entry:
        raise UsageError(f"{place}: expected a mapping with the key partition, found {shown(entry)}")
    if unknown := [str(key) for key in entry if key not in KEYS]:
        raise UsageError(f'{place}: unknown key "{unknown[0]}"{did_you_mean(unknown[0], KEYS) or ";"} known are {", ".join(KEYS)}')
    label, rule = str(entry["partition"]), entry.get("rule")
    if rule is not None and rule not in rules:
        raise UsageError(f'{place}: the contract executes no rule "{rule}"{did_you_mean(str(rule), rules)}')
    return Incident(label, _partitions(label, place, known), str(entry.get("what") or ""), None if rule is None else str(rule))


def _partitions(label: str, place: str, known: Sequence[str]) -> tuple[str, ...]:
    """One, or all from the first to the last: "2026-03-01..2026-03-04"."""
    first, dots, last = label.partition("..")
    for name in (first, last) if dots else (label,):
        if name not in known:
            near = did_you_mean(name, known) or ";"
            more = ", ..." if len(known) > _LISTED else ""
            raise UsageError(f'{place}: the history has no partition "{name}"{near} it has {", ".join(known[:_LISTED])}{more}')
    if not dots:
        return (label,)
    start, end = known.index(first), known.index(last)
    if start > end:
        raise UsageError(f"{place}: {first} comes after {last}; write the earlier partition first")
    return tuple(known[start : end + 1])
