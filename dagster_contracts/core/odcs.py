"""Open Data Contract Standard document -> Contract.

Read `document` (text -> values with lines), `standard` (the published JSON schemas), `odcs_rules` and `policy` (what we ask beyond them)
and `odcs_read` (values -> Contract); this module puts them together and reports everything wrong with a document at once.
"""

from __future__ import annotations

from hashlib import sha256

from dagster_contracts.core.conformance import Breach
from dagster_contracts.core.contract import BreakerPolicy, Contract, Operator
from dagster_contracts.core.document import Document, read
from dagster_contracts.core.errors import ContractInvalid, Problem
from dagster_contracts.core.flaws import Flaw, Path, maps, shown
from dagster_contracts.core.odcs_read import read_contract
from dagster_contracts.core.odcs_rules import own_flaws
from dagster_contracts.core.policy import read_policy
from dagster_contracts.core.standard import conform, unlike_newest


def parse(text: str, *, source: str | None = None) -> Contract:
    """The contract that an ODCS document (YAML or JSON, versions 3.0.0 to 3.2.0) states.

    `source` names the document in messages. Raises ContractSyntaxError where the text is not safe, readable YAML, and ContractInvalid
    with every problem of the document, in the order of its lines.
    """
    document = read(text, source=source)
    root = document.value
    if not isinstance(root, dict):
        message = f"expected an ODCS document (a mapping with apiVersion, kind, id), found {shown(root)}"
        raise ContractInvalid([document.problem(Flaw((), message))])
    by_standard, notes = conform(root)
    policy, policy_flaws = _policy(root)
    ours = [*document.flaws, *own_flaws(document), *policy_flaws]
    misspelt = _misspelt_operators(by_standard)
    flaws = [flaw for flaw in ours if flaw.path not in misspelt] + [flaw for flaw in by_standard if not _told(flaw, ours)]
    if flaws:
        raise ContractInvalid(_problems(document, flaws))
    if not root.get("schema"):
        notes = [*notes, "no schema object: nothing of this contract can be checked"]
    digest = sha256(text.encode()).hexdigest()
    return read_contract(root, policy, line=document.line, source=source, content_hash=digest, notes=(*notes, *document.notes))


def reread(text: str, *, source: str | None = None) -> Contract:
    """The contract of a document that `parse` has read before: nothing is checked again, and it has no notes."""
    document = read(text, source=source)
    root = document.value
    assert isinstance(root, dict)
    digest = sha256(text.encode()).hexdigest()
    return read_contract(root, _policy(root)[0], line=document.line, source=source, content_hash=digest, notes=())


def remarks(text: str) -> list[str]:
    """What `lint` says of a document that `parse` has read, and nobody else needs to know."""
    root = read(text).value
    assert isinstance(root, dict)
    return unlike_newest(root)


def _policy(root: dict[str, object]) -> tuple[BreakerPolicy, list[Flaw]]:
    for index, entry in maps(root.get("customProperties")):
        if entry.get("property") == "circuitBreaker":
            return read_policy(entry.get("value"), ("customProperties", index, "value"))
    return BreakerPolicy(), []


def _told(flaw: Flaw, ours: list[Flaw]) -> bool:
    """Whether one of our own rules already says what the schema says of this place, or of an entry of the list or relationship there."""
    if isinstance(flaw, Breach) and flaw.keyword in ("required", "unknown"):
        return False
    within = bool(flaw.path) and (isinstance(flaw.path[-1], int) or "relationships" in flaw.path[-3:-1])
    places = {flaw.path, flaw.path[:-1]} if within else {flaw.path}
    return any(told.path in places for told in ours)


def _misspelt_operators(by_standard: list[Flaw]) -> set[Path]:
    """Rules whose missing operator is an unknown key that the schema already told."""
    unknown = [flaw for flaw in by_standard if isinstance(flaw, Breach) and flaw.keyword == "unknown"]
    return {breach.path[:-1] for breach in unknown if breach.expected in tuple(Operator)}


def _as_written(document: Document, flaw: Flaw) -> Flaw:
    """YAML reads `version: 1.0` as a number and a column `no` as false: say what was written, and how it stays text."""
    word = document.written(flaw.path)
    if not isinstance(flaw, Breach) or (flaw.keyword, flaw.expected) != ("type", "text") or word is None:
        return flaw
    return Flaw(flaw.path, f'{flaw.message}; quote it if the text is meant: "{word[:60]}"')


def _problems(document: Document, flaws: list[Flaw]) -> list[Problem]:
    problems = dict.fromkeys(document.problem(_as_written(document, flaw)) for flaw in flaws)
    return sorted(problems, key=lambda problem: problem.line or 0)
