"""A checked ODCS document -> Contract. Decides nothing about validity; `odcs.parse` calls it once nothing is wrong.

A column is called by `physicalName` where one is given, else by `name`; column names in the arguments of rules follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

from dagster_contracts.core.contract import (
    BreakerPolicy,
    Contract,
    Operator,
    Property,
    QualityRule,
    Scalar,
    SchemaObject,
    ServiceLevel,
    Unrelated,
)
from dagster_contracts.core.flaws import Path, maps, path_text
from dagster_contracts.core.odcs_contact import read_contact
from dagster_contracts.core.odcs_quality import FORMER_METRICS, OURS, is_library, read_implementation
from dagster_contracts.core.odcs_references import column_of, object_name, of_object, of_property
from dagster_contracts.core.odcs_rest import rest
from dagster_contracts.core.waivers import read_environments, read_waivers

_Map = dict[str, object]


def read_contract(
    root: _Map, policy: BreakerPolicy, *, line: Callable[[Path], int], source: str | None, content_hash: str, notes: tuple[str, ...]
) -> Contract:
    """`line` tells where in the document a path stands."""
    return Contract(
        id=str(root["id"]),
        version=str(root["version"]),
        api_version=str(root["apiVersion"]),
        status=_text(root.get("status")) or "",
        objects=tuple(_object(root, obj, ("schema", index), line) for index, obj in maps(root.get("schema"))),
        name=_text(root.get("name")),
        description=_description(root.get("description")),
        owner=_owner(root),
        domain=_text(root.get("domain")),
        tags=_texts(root.get("tags")),
        service_levels=_service_levels(root),
        policy=replace(policy, contact=read_contact(root, owner=_owner(root)), reads=_reads(root, policy)),
        samples=custom_property(root, "samples") is not False,
        waivers=read_waivers(custom_property(root, "waivers"), _custom_path(root, "waivers")),
        environments=read_environments(custom_property(root, "environments")),
        valid_from=_moment(custom_property(root, "validFrom")),
        source=source,
        content_hash=content_hash,
        notes=notes,
        rest=rest(root),
    )


def custom_property(owner: _Map, name: str) -> object | None:
    """The value of a custom property, None where it is not given."""
    return next((entry.get("value") for _, entry in maps(owner.get("customProperties")) if entry.get("property") == name), None)


def _reads(root: _Map, policy: BreakerPolicy) -> dict[str, tuple[str, ...]]:
    """Columns that consumers read are called as the data calls them."""
    columns = {str(prop.get("name")): column_of(prop) for _, obj in maps(root.get("schema")) for _, prop in maps(obj.get("properties"))}
    return {consumer: tuple(columns.get(name, name) for name in names) for consumer, names in policy.reads.items()}


def named_in(value: object) -> tuple[str, ...]:
    """One name, or a list of names."""
    return (value,) if isinstance(value, str) else _texts(value)


def _custom_path(owner: _Map, name: str) -> Path:
    at = next((index for index, entry in maps(owner.get("customProperties")) if entry.get("property") == name), 0)
    return ("customProperties", at, "value")


def _object(root: _Map, obj: _Map, path: Path, line: Callable[[Path], int]) -> SchemaObject:
    columns = {str(prop.get("name")): column_of(prop) for _, prop in maps(obj.get("properties"))}
    return SchemaObject(
        name=object_name(obj),
        physical_name=_text(obj.get("physicalName")),
        physical_type=_text(obj.get("physicalType")),
        asset=_text(custom_property(obj, "dagsterAsset")),
        closed=custom_property(obj, "closedSchema") is True,
        description=_text(obj.get("description")),
        properties=tuple(_column(root, obj, prop, (*path, "properties", index), columns) for index, prop in maps(obj.get("properties"))),
        quality=_rules(obj, path, columns),
        relationships=tuple(of_object(root, obj, entry) for _, entry in maps(obj.get("relationships"))),
        path=path_text(path),
        line=line(path),
    )


def _column(root: _Map, obj: _Map, prop: _Map, path: Path, columns: dict[str, str]) -> Property:
    column = _property(prop, path, columns)
    if column.quality:  # its rules may name other columns
        column = replace(column, quality=_rules(prop, path, columns))
    related = tuple(of_property(root, obj, column.name, entry) for _, entry in maps(prop.get("relationships")))
    return replace(column, relationships=related) if related else column


def _properties(owner: _Map, path: Path) -> tuple[Property, ...]:
    return tuple(_property(prop, (*path, "properties", index)) for index, prop in maps(owner.get("properties")))


def _property(prop: _Map, path: Path, columns: dict[str, str] | None = None) -> Property:
    columns = columns or {}
    position = prop.get("primaryKeyPosition", -1)
    return Property(
        name=column_of(prop),
        logical_type=_text(prop.get("logicalType")),
        physical_type=_text(prop.get("physicalType")),
        options=_options(prop),
        required=prop.get("required") is True,
        unique=prop.get("unique") is True,
        primary_key=prop.get("primaryKey") is True,
        primary_key_position=int(position) if isinstance(position, int | float) else -1,
        enum=_scalars([entry.get("value") for _, entry in maps(prop.get("enum"))]),
        classification=_text(prop.get("classification")),
        deprecated=prop.get("deprecated") is True,
        deprecated_until=_day(custom_property(prop, "deprecatedUntil")),
        replaced_by=tuple(columns.get(name, name) for name in named_in(custom_property(prop, "replacedBy"))),
        computed=prop.get("semanticType") in ("measure", "dimension") and not prop.get("physicalName"),
        description=_text(prop.get("description")),
        tags=_texts(prop.get("tags")),
        quality=_rules(prop, path, {}),
        properties=_properties(prop, path),
        items=_part(prop, "items", path),
        keys=_part(_map(prop.get("map")), "key", (*path, "map")),
        values=_part(_map(prop.get("map")), "value", (*path, "map")),
        relationships=tuple(
            Unrelated(_text(entry.get("to")) or "", "keys within a column are not compared") for _, entry in maps(prop.get("relationships"))
        ),
        path=path_text(path),
    )


def _part(owner: _Map, key: str, path: Path) -> Property | None:
    found = owner.get(key)
    return _property(found, (*path, key)) if isinstance(found, dict) else None


def _options(prop: _Map) -> _Map:
    """`required` of an object names its fields; they are called as the data calls them."""
    options = _map(prop.get("logicalTypeOptions"))
    if not isinstance(named := options.get("required"), list):
        return options
    columns = {inner.get("name"): column_of(inner) for _, inner in maps(prop.get("properties"))}
    return {**options, "required": [columns.get(name, name) for name in named]}


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    """A day is its begin in UTC."""
    if not isinstance(value, str):
        return None
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _rules(owner: _Map, path: Path, columns: dict[str, str]) -> tuple[QualityRule, ...]:
    return tuple(_rule(rule, (*path, "quality", index), columns) for index, rule in maps(owner.get("quality")))


def _rule(rule: _Map, path: Path, columns: dict[str, str]) -> QualityRule:
    former = _text(rule.get("rule"))
    return QualityRule(
        type=_type(rule),
        metric=_text(rule.get("metric")) or (FORMER_METRICS.get(former, former) if former else None),
        operators=_operators(rule),
        unit=_text(rule.get("unit")),
        severity=_text(rule.get("severity")),
        dimension=_text(rule.get("dimension")),
        name=_text(rule.get("name")),
        description=_text(rule.get("description")),
        arguments=_arguments(rule, columns),
        query=_text(rule.get("query")),
        engine=_text(rule.get("engine")),
        implementation=_implementation(rule, columns),
        path=path_text(path),
    )


def _implementation(rule: _Map, columns: dict[str, str]) -> object | None:
    """Columns that a rule of ours names are called as the data calls them."""
    given = read_implementation(rule)[0]
    if not isinstance(given, dict) or rule.get("engine") != OURS:
        return given
    named = {key: columns.get(given[key], given[key]) for key in ("column", "other") if isinstance(given.get(key), str)}
    return {**given, **named}


def _type(rule: _Map) -> str:
    """A rule without `type` and without a metric is read by what it has, so that it is listed as what it is."""
    if given := _text(rule.get("type")):
        return given
    if is_library(rule):
        return "library"
    return "sql" if "query" in rule else "custom" if "implementation" in rule else "text"


def _operators(rule: _Map) -> tuple[tuple[Operator, object], ...]:
    given = tuple((operator, _bounds(rule[operator])) for operator in Operator if operator in rule)
    return given or (((Operator.MUST_BE, 0),) if rule.get("rule") == "validValues" else ())


def _bounds(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _arguments(rule: _Map, columns: dict[str, str]) -> _Map:
    arguments = _map(rule.get("arguments"))
    if is_library(rule):
        arguments = {**{key: rule[key] for key in ("validValues", "pattern") if key in rule}, **arguments}  # ODCS 3.0 had no `arguments`
    named = arguments.get("properties")
    if isinstance(named, list):
        arguments = {**arguments, "properties": [columns.get(name, name) if isinstance(name, str) else name for name in named]}
    return arguments


def _service_levels(root: _Map) -> tuple[ServiceLevel, ...]:
    """`slaDefaultElement` (until ODCS 3.1) stands for an element that is not given; elements name columns as the data does."""
    columns: dict[str, str] = {}
    for _, obj in maps(root.get("schema")):
        for _, prop in maps(obj.get("properties")):
            columns.setdefault(str(prop.get("name")), column_of(prop))
            columns[f"{obj.get('name')}.{prop.get('name')}"] = f"{obj.get('name')}.{column_of(prop)}"
    default = _text(root.get("slaDefaultElement"))
    return tuple(_service_level(level, ("slaProperties", index), default, columns) for index, level in maps(root.get("slaProperties")))


def _service_level(level: _Map, path: Path, default: str | None, columns: dict[str, str]) -> ServiceLevel:
    elements = [element.strip() for element in (_text(level.get("element")) or default or "").split(",")]
    return ServiceLevel(
        property=_text(level.get("property")) or "",
        value=level.get("value"),
        value_ext=level.get("valueExt"),
        unit=_text(level.get("unit")),
        element=", ".join(columns.get(element, element) for element in elements) or None,
        driver=_text(level.get("driver")),
        schedule=_text(level.get("schedule")),
        severity=_text(custom_property(level, "severity")),
        tolerance=_text(custom_property(level, "tolerance")),
        description=_text(level.get("description")),
        path=path_text(path),
    )


def _description(value: object) -> str | None:
    parts = _map(value)
    return _text(value) or next((text for key in ("purpose", "usage", "limitations") if (text := _text(parts.get(key)))), None)


def _owner(root: _Map) -> str | None:
    """The team member with the role owner, else the team's name, else the customProperty `owner`."""
    team = root.get("team")
    members = team.get("members") if isinstance(team, dict) else team
    for _, member in maps(members):
        if (_text(member.get("role")) or "").lower() == "owner":
            return _text(member.get("username")) or _text(member.get("name"))
    return _text(_map(team).get("name")) or _text(custom_property(root, "owner"))


def _scalars(values: list[object]) -> tuple[Scalar, ...]:
    """Allowed values, each once. Null is left out: whether it is allowed is for `required` to say."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str | int | float)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _map(value: object) -> _Map:
    return value if isinstance(value, dict) else {}
