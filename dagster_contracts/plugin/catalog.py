"""What a contract says of its asset, on that asset's page in Dagster: description, owners, tags, kinds, columns, and where it is written.

What the user says of the asset stays as it is: the contract fills in what is not said. A contract's words become inert text, and only
those become tags that Dagster knows as tags.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Contract, Property, SchemaObject
from dagster_contracts.core.inert import LINE, shown
from dagster_contracts.core.plan import Plan, Within
from dagster_contracts.core.wording import expected_count
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.metadata import inert

COLUMNS, CODE, KIND = "dagster/column_schema", "dagster/code_references", "dagster/kind/"  # Dagster's own names
SAID = tuple(  # metadata of a contracted asset
    f"contracts/{name}" for name in ("contract", "name", "owner", "team", "domain", "description", "fallback", "tags", "runbook", "source")
)
TAGGED = ("contracts/contract", "contracts/domain")
_KINDS = 10  # that Dagster lets an asset have
_LONGEST_TAG = 63
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]+")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")  # as Dagster asks of an owner
_TEAM = re.compile(r"[\w .&/-]{1,100}")


def described(spec: dg.AssetSpec, terms: Mapping[str, Terms]) -> dg.AssetSpec:
    """The spec of an asset with what its contract (`terms` by asset key) says of it, if it has one."""
    own = terms.get(spec.key.to_user_string())
    if own is None:
        return spec
    contract, obj = own.attached.contract, own.attached.object
    tags, told = _tags(contract)
    return spec.replace_attributes(
        description=spec.description or shown(obj.description or contract.description or "") or None,
        owners=list(spec.owners) or _owners(contract),
        metadata={**_metadata(own, told), **spec.metadata, CODE: _references(spec.metadata.get(CODE), contract, obj)},
        tags={**tags, **_kind(obj, spec), **spec.tags},
    )


def _metadata(terms: Terms, tags_told: str) -> dict[str, Any]:
    contract, obj = terms.attached.contract, terms.attached.object
    contact = contract.policy.contact
    said = {
        "contracts/contract": f"{contract.id} {contract.version}" + (f" ({contract.status})" if contract.status else ""),
        "contracts/name": contract.name,
        "contracts/owner": contract.owner,
        "contracts/team": contact.team,
        "contracts/domain": contract.domain,
        "contracts/description": obj.description or contract.description,
        "contracts/fallback": str(contract.policy.fallback),
        "contracts/tags": tags_told,
        "contracts/runbook": dg.MetadataValue.url(contact.runbook) if contact.runbook else None,
        "contracts/source": dg.MetadataValue.path(f"{contract.source}:{obj.line}") if contract.source else None,
        COLUMNS: _columns(obj, terms.plan) if obj.properties else None,
    }
    return inert({name: value for name, value in said.items() if value})


# --- columns -------------------------------------------------------------------------------------------------------


def _columns(obj: SchemaObject, plan: Plan) -> dg.TableSchema:
    promised: dict[str, list[str]] = {}
    for rule in plan.rules:
        if rule.column is not None and isinstance(rule.check, Within):
            promised.setdefault(rule.column, []).append(expected_count(rule.check.metric, rule.check.threshold))
    several = sum(prop.primary_key for prop in obj.properties) > 1
    rows = [", ".join(name for name in _key(obj))] if several else []
    return dg.TableSchema(
        [_column(prop, promised.get(prop.name, []), several) for prop in obj.properties if not prop.computed],
        dg.TableConstraints([f"primary key: {shown(row, LINE)}" for row in rows]),
    )


def _key(obj: SchemaObject) -> list[str]:
    keys = [prop for prop in obj.properties if prop.primary_key]
    return [prop.name for prop in sorted(keys, key=lambda prop: prop.primary_key_position)]


def _column(prop: Property, promised: Iterable[str], composite: bool) -> dg.TableColumn:
    """`promised` is what the rules of the column expect, in words. Nullable and unique are said by Dagster's own marks."""
    kind = prop.logical_type or ""
    said = ("no nulls", f"no duplicates of {prop.name}", f"every value a {kind}", f"every value an {kind}")
    words = [word for word in dict.fromkeys(promised) if word not in said]
    if prop.primary_key and not composite:
        words.insert(0, "primary key")
    if prop.deprecated:
        words.append("deprecated" + (f", until {prop.deprecated_until}" if prop.deprecated_until else ""))
    unique = prop.unique or (prop.primary_key and not composite)
    tags = {tag: "" for tag in map(_as_tag, prop.tags) if tag}
    if prop.classification and (value := _as_tag(prop.classification)):
        tags["classification"] = value
    return dg.TableColumn(
        name=shown(prop.name, LINE),
        type=shown(prop.logical_type or prop.physical_type or "string", LINE),
        description=shown(prop.description, LINE) if prop.description else None,
        constraints=dg.TableColumnConstraints(
            nullable=not (prop.required or prop.primary_key), unique=unique, other=[shown(word, LINE) for word in words]
        ),
        tags=tags,
    )


# --- where it is written -------------------------------------------------------------------------------------------


def _references(known: object, contract: Contract, obj: SchemaObject) -> dg.CodeReferencesMetadataValue:
    """The asset's own references, and the place of the contract where it is a file. Dagster calls them beta and would warn of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        own = list(known.code_references) if isinstance(known, dg.CodeReferencesMetadataValue) else []
        if contract.source:
            label = shown(f"contract {contract.id} {contract.version}", LINE)
            own.append(dg.LocalFileCodeReference(file_path=str(Path(contract.source).absolute()), line_number=obj.line, label=label))
        return dg.CodeReferencesMetadataValue(code_references=own)


# --- owners and tags -----------------------------------------------------------------------------------------------


def _owners(contract: Contract) -> list[str]:
    """The owner where it is an e-mail address, and the team: what Dagster knows as owners."""
    owner, team = contract.owner or "", contract.policy.contact.team or ""
    return [*([owner] if _EMAIL.fullmatch(owner) else []), *([f"team:{team}"] if _TEAM.fullmatch(team) else [])]


def _tags(contract: Contract) -> tuple[dict[str, str], str]:
    """Dagster's tags for those of the contract, and in words which of them read differently there, or are left out and why."""
    tags = {"contracts/contract": _as_tag(contract.id), "contracts/domain": _as_tag(contract.domain or "")}
    found = {name: value for name, value in tags.items() if value}
    told: list[str] = []
    for word in contract.tags:
        tag = _as_tag(word)
        if not tag:
            told.append(f"{word[:_LONGEST_TAG]}: left out, {_why_not(word)}")
            continue
        found[tag] = ""
        if tag != word:
            told.append(f"{word}: shown as {tag}, other characters are not allowed in Dagster's tags")
    return found, "; ".join(told)


def _as_tag(word: str) -> str:
    """The word as Dagster's tags may be written; empty where nothing is left of it, or it is too long."""
    tag = _NOT_IN_TAGS.sub("_", word).strip("_")
    return tag if len(tag) <= _LONGEST_TAG else ""


def _why_not(word: str) -> str:
    if len(word) > _LONGEST_TAG:
        return f"Dagster's tags have at most {_LONGEST_TAG} characters"
    return "Dagster's tags are of A-Z, a-z, 0-9, _, . and -"


def _kind(obj: SchemaObject, spec: dg.AssetSpec) -> dict[str, str]:
    """The physical type of the object (table, view, topic) as a kind, where there is room for one."""
    kind = _as_tag((obj.physical_type or "").lower())
    return {f"{KIND}{kind}": ""} if kind and len(spec.kinds) < _KINDS else {}
