"""The published versions of the Open Data Contract Standard, and whether a document keeps to them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib.resources import files

from dagster_contracts.core.conformance import Breach, Schema
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, path_text, shown

VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
NEWEST = VERSIONS[-1]


@cache
def schema(version: str) -> Schema:
    """The published JSON schema of one of VERSIONS; the newest ships in the package open-data-contract-standard."""
    if version == NEWEST:
        place = files("open_data_contract_standard") / "schema.json"
    else:
        place = files("dagster_contracts.core") / "schemas" / f"odcs-json-schema-{version}.json"
    return Schema(json.loads(place.read_text(encoding="utf-8")))


def conform(document: dict[str, object]) -> tuple[list[Flaw], list[str]]:
    """What is wrong with `document` by the standard, and a note where it is valid, but not as what it declares.

    A document is valid if the schema of the version it declares, of the newest, or of one between them accepts it: declared versions and
    content often disagree, and the newest is stricter in places. Where none does, the breaches are those against the declared or the
    newest, whichever it comes nearer to.
    """
    declared = document.get("apiVersion")
    if not isinstance(declared, str) or declared not in VERSIONS:
        if (other := _other_standard(document)) is not None:
            return [other], []
        others = [each for each in _by_newest(document) if not (each.path == ("apiVersion",) or _names_version(each))]
        return [_unsupported(document), *others], []
    if declared == NEWEST:
        return [*_by_newest(document)], []
    own = [_reworded(breach) for breach in schema(declared).breaches(document)]
    if not own:
        return [], []
    later = VERSIONS[VERSIONS.index(declared) + 1 :]
    accepting = next((version for version in later if not schema(version).breaches(document)), None)
    if accepting is not None:
        return [], [f"declares {declared}, but is valid only as {accepting}: {_first(own)}"]
    newest = _by_newest(document)
    return [*(own if len(own) <= len(newest) else newest)], []


def unlike_newest(document: dict[str, object]) -> list[str]:
    """A note on a valid document that the newest version would not accept as it is."""
    declared = str(document.get("apiVersion"))
    if declared == NEWEST or schema(declared).breaches(document) or not (newest := _by_newest(document)):
        return []
    return [f"valid as {declared}, which it declares, but not as {NEWEST}: {_first(newest)}"]


def _by_newest(document: dict[str, object]) -> list[Breach]:
    return [_reworded(breach) for breach in schema(NEWEST).breaches(document)]


def _reworded(breach: Breach) -> Breach:
    """The schema of v3.2.0 takes a property without logicalType for a map, and asks for the key `map`: say what is meant. Version 2 of the
    standard, and others, say of nulls the opposite of `required`."""
    if (breach.keyword, breach.expected) == ("required", "map"):
        message = 'the key "logicalType" is missing, which v3.2.0 asks for (or "map", if it is one)'
        return replace(breach, message=message)
    if breach.keyword == "unknown" and breach.path[-1] in ("isNullable", "nullable"):
        return replace(
            breach, message=f'unknown key "{breach.path[-1]}"; the key "required" says the opposite: true where nulls are refused'
        )
    return breach


def _names_version(breach: Breach) -> bool:
    return breach.path == () and breach.keyword == "required" and breach.expected == "apiVersion"


def _other_standard(document: dict[str, object]) -> Flaw | None:
    """What is written in another form altogether: nothing of it is told key by key."""
    supported = ", ".join(VERSIONS)
    if "dataContractSpecification" in document and "apiVersion" not in document:
        advice = f"convert it to ODCS ({supported}), as with: datacontract export FILE --format odcs"
        return Flaw(("dataContractSpecification",), f"this is a document of the Data Contract Specification; {advice}")
    declared = document.get("apiVersion")
    if isinstance(declared, str) and declared.startswith(("v2.", "2.")):
        moved = "`dataset` has become `schema`, and other keys have moved"
        message = f"{shown(declared)} is not a supported version of the standard; supported: {supported}; since version 2 {moved}"
        return Flaw(("apiVersion",), message)
    return None


def _unsupported(document: dict[str, object]) -> Flaw:
    supported = ", ".join(VERSIONS)
    if "apiVersion" not in document:
        near = did_you_mean("apiVersion", document)
        return Flaw((), f'the key "apiVersion" is missing{near or ";"} it names the version of the standard: {supported}')
    declared = document["apiVersion"]
    near = did_you_mean(str(declared)[:80], VERSIONS)
    return Flaw(("apiVersion",), f"{shown(declared)} is not a supported version of the standard{near or ';'} supported: {supported}")


def _first(breaches: list[Breach]) -> str:
    more = f" (and {len(breaches) - 1} more)" if len(breaches) > 1 else ""
    return f"{path_text(breaches[0].path)}: {breaches[0].message}{more}"
