"""What `propose` comes to: clauses with their YAML, what none catches, and the new version of the contract's text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.clauses import Candidate, column_of, described, edits_of, in_words_of, object_at, properties_of, shown
from dagster_contracts.chaos.reasons import reason_for
from dagster_contracts.chaos.run import without
from dagster_contracts.core.amend import Put, amended
from dagster_contracts.core.compat import compare
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, SchemaObject
from dagster_contracts.core.document import read
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.versions import Step, following
from dagster_contracts.core.yaml_text import Layout, entry
from dagster_contracts.ports import NO_OTHERS, MetricEngine, Related

Trying = tuple[str, str | None, float]  # fault, column, dose


@dataclass(frozen=True, slots=True)
class Proposal:
    """A clause that was missing. `yaml` is a part of a contract that holds it alone; `catches` what it was seen to catch."""

    clause: Candidate
    yaml: str
    catches: tuple[Trying, ...]


@dataclass(frozen=True, slots=True)
class Uncaught:
    """Doses of a fault that no clause catches, and why."""

    fault: str
    column: str | None
    doses: tuple[float, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Remedy:
    """`text` is the new version of the contract, equal to the old one where nothing is proposed; `version` its version."""

    text: str
    version: str
    proposals: tuple[Proposal, ...] = ()
    uncaught: tuple[Uncaught, ...] = ()


@dataclass(frozen=True)
class Case:
    """A contract (its text, and how text becomes one: with its profile files, say), one of its objects, and good batches of that.

    `arrivals_known`: batches tell when they really arrived. Where that was only taken to be so, no age of data is promised.
    """

    text: str
    object_name: str
    batches: Sequence[Batch]
    engine: MetricEngine
    reading: Callable[[str], Contract] = parse
    related: Related = field(default_factory=lambda: NO_OTHERS)
    arrivals_known: bool = True
    left_out: Sequence[str] = ()  # rules that are not judged

    def contract(self, text: str) -> tuple[Contract, SchemaObject]:
        contract = self.reading(text)
        return contract, next(obj for obj in contract.objects if obj.name == self.object_name)

    def with_(self, chosen: Sequence[Candidate]) -> str:
        return amended(self.text, edits_of(read(self.text).value, self.object_name, chosen)) if chosen else self.text

    def plan(self, chosen: Sequence[Candidate]) -> Plan:
        return without(compile_plan(*self.contract(self.with_(chosen))), self.left_out)


def remedy(case: Case, chosen: Sequence[Candidate], noticed: Mapping[str, frozenset[Trying]], missed: set[Trying]) -> Remedy:
    caught = frozenset[Trying]().union(*(noticed.get(clause.name, frozenset()) for clause in chosen))
    told = [described(clause, _description(clause, noticed.get(clause.name, frozenset()))) for clause in chosen]
    text, version = versioned(case, case.with_(told)) if told else (case.text, case.contract(case.text)[0].version)
    document = read(case.text).value
    proposals = [
        Proposal(clause, _yaml(document, case.object_name, clause), tuple(sorted(noticed.get(clause.name, ()), key=str))) for clause in told
    ]
    return Remedy(text, version, tuple(proposals), tuple(_uncaught(missed - caught)))


def _description(clause: Candidate, catches: frozenset[Trying]) -> str:
    faults = ", ".join(sorted({fault for fault, _, _ in catches}))
    return f"Learned: {clause.told}." + (f" Catches {faults}." if faults else "")


def _yaml(document: object, object_name: str, clause: Candidate) -> str:
    _, found = object_at(document, object_name)
    names = {column_of(prop): str(prop.get("name")) for prop in properties_of(found)}
    part = shown(in_words_of(document, clause), object_name, names.get(clause.column or ""))
    return "\n".join(entry(key, value, 0, Layout()) for key, value in part.items()) + "\n"


def versioned(case: Case, text: str) -> tuple[str, str]:
    """With the version that the change needs: minor where consumers only get fewer surprises, major where less is promised."""
    old, _ = case.contract(case.text)
    new, _ = case.contract(text)
    version = following(old.version, max(Step.MINOR, compare(old, new).needed))
    return amended(text, [Put(("version",), version)]), version


def remedy_to_json(found: Remedy) -> Mapping[str, object]:
    """JSON values; docs/schemas/chaos.schema.json describes them."""
    return {
        "version": found.version,
        "clauses": [
            {
                "rule": proposal.clause.name,
                "column": proposal.clause.column,
                "learned": proposal.clause.told,
                "yaml": proposal.yaml,
                "catches": [{"fault": fault, "column": column, "dose": dose} for fault, column, dose in proposal.catches],
            }
            for proposal in found.proposals
        ],
        "uncaught": [
            {"fault": each.fault, "column": each.column, "doses": list(each.doses), "reason": each.reason} for each in found.uncaught
        ],
    }


def _uncaught(missed: set[Trying]) -> Iterator[Uncaught]:
    doses: dict[tuple[str, str | None], list[float]] = {}
    for fault, column, dose in missed:
        doses.setdefault((fault, column), []).append(dose)
    for (fault, column), some in sorted(doses.items(), key=str):
        yield Uncaught(fault, column, tuple(sorted(some)), reason_for(fault))
