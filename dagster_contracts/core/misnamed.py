"""What a valid contract names that there is not, or asks of columns of another kind: see `slips`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from unicodedata import category

from dagster_contracts.core.contract import Contract, Property, QualityRule, SchemaObject, Unrelated
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.formats import FLOATS, INTEGERS, TEXT_PATTERNS, TEXT_WITHOUT_RULE
from dagster_contracts.core.metrics import Kind
from dagster_contracts.core.odcs_quality import OURS, is_great_expectations
from dagster_contracts.core.plan import DriftKind

_OF_NUMBERS: frozenset[str] = frozenset(
    (
        *(kind for kind in Kind if kind not in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)),
        DriftKind.KOLMOGOROV_SMIRNOV,
        DriftKind.KOLMOGOROV_SMIRNOV_P,
        DriftKind.WASSERSTEIN,
        DriftKind.BELOW_REFERENCE,
        DriftKind.MEAN_CHANGE,
    )
)
_UNITS = ("percent", "rows")

Told = Iterator[tuple[str, str]]


def misnamed(contract: Contract) -> Told:
    """Places and what is wrong there."""
    for obj in contract.objects:
        yield from _name(obj)
        for prop in obj.properties:
            yield from _name(prop)
        yield from _keys(obj)
        yield from _relationships(obj)
        for rule, owner in _rules(obj):
            yield from _unit(rule)
            yield from _implementation(rule, owner, obj)
        for prop in obj.properties:
            yield from _format(prop)


def strange_arguments(contract: Contract) -> Iterator[str]:
    """Columns that expectations name and the contract does not: the data may have them all the same, so that this is no problem."""
    for obj in contract.objects:
        names = [prop.name for prop in obj.properties]
        for rule, _ in _rules(obj):
            given = rule.implementation if is_great_expectations(rule.engine) and isinstance(rule.implementation, Mapping) else {}
            arguments = given.get("kwargs")
            for key in ("column", "column_A", "column_B"):
                name = arguments.get(key) if isinstance(arguments, Mapping) else None
                if names and isinstance(name, str) and name not in names:
                    yield f'{rule.path}.implementation: {obj.name} has no property "{name[:60]}"{did_you_mean(name[:80], names)}'


def _rules(obj: SchemaObject) -> Iterator[tuple[QualityRule, Property | None]]:
    yield from ((rule, None) for rule in obj.quality)
    yield from ((rule, prop) for prop in obj.properties for rule in prop.quality)


def _name(named: SchemaObject | Property) -> Told:
    """A name that is nothing, or looks like another. Elements of arrays have none."""
    unseen = [character for character in named.name if category(character) in ("Cc", "Cf", "Zl", "Zp")]
    if not named.name.strip():
        yield f"{named.path}.name", f'expected a name, found "{named.name}"'
    elif named.name != named.name.strip() or unseen:
        what = f"holds U+{ord(unseen[0]):04X}, which nobody sees" if unseen else "begins or ends with a space"
        yield f"{named.path}.name", f'the name "{named.name}" {what}: the data must have it too'
    if isinstance(named, Property):
        for inner in named.properties:
            yield from _name(inner)


def _keys(obj: SchemaObject) -> Told:
    first: dict[int, Property] = {}
    for prop in obj.properties:
        at = prop.primary_key_position
        if not prop.primary_key or at < 1:
            continue
        if at in first:
            yield f"{prop.path}.primaryKeyPosition", f"{first[at].name} is at position {at} of the primary key as well"
        first.setdefault(at, prop)


def _relationships(obj: SchemaObject) -> Told:
    """Objects that are not there and nearly have the name of one. Others may be of another contract, and are listed."""
    places = [(obj.path, obj.relationships), *((prop.path, prop.relationships) for prop in obj.properties)]
    for place, relationships in places:
        for related in relationships:
            if isinstance(related, Unrelated) and "did you mean" in related.reason:
                yield f"{place}.relationships", related.reason


def _unit(rule: QualityRule) -> Told:
    word = (rule.unit or "").strip().lower()
    if rule.type == "library" and word not in ("", "%", "row", *_UNITS) and (near := did_you_mean(word[:80], _UNITS)):
        yield f"{rule.path}.unit", f'unit "{word[:60]}" is not known{near}'


def _implementation(rule: QualityRule, owner: Property | None, obj: SchemaObject) -> Told:
    given = rule.implementation
    if rule.engine != OURS or not isinstance(given, Mapping):
        return
    names, place = [prop.name for prop in obj.properties], f"{rule.path}.implementation"
    other = given.get("other")
    if owner is not None and isinstance(other, str) and other not in names:
        yield f"{place}.other", f'the object has no property "{other[:60]}"{did_you_mean(other[:80], names)}'
    about = owner or next((prop for prop in obj.properties if prop.name == given.get("column")), None)
    if about is not None and about.logical_type not in (None, "number", "integer") and given.get("metric") in _OF_NUMBERS:
        yield f"{place}.metric", f"{given['metric']} is of numbers, and {about.name} is of logicalType {about.logical_type}"


def _format(prop: Property) -> Told:
    given = prop.options.get("format")
    if not isinstance(given, str) or prop.logical_type not in ("string", "integer", "number"):
        return
    word = given.strip().lower()
    known = (*TEXT_PATTERNS, *TEXT_WITHOUT_RULE) if prop.logical_type == "string" else (*INTEGERS, *FLOATS)
    if word not in known and (near := did_you_mean(word[:80], known)):
        yield f"{prop.path}.logicalTypeOptions.format", f'format "{given[:60]}" is not known{near}'
