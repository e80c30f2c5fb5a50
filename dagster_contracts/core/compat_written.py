"""What of two versions is compared as it is written: texts, exceptions, promises that nothing executes, what nothing acts on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from dagster_contracts.core.compat_kinds import KINDS, Change
from dagster_contracts.core.contract import Contract, Property, QualityRule, SchemaObject, ServiceLevel
from dagster_contracts.core.extension import is_ours
from dagster_contracts.core.odcs_quality import is_great_expectations
from dagster_contracts.core.plan import Rule
from dagster_contracts.core.service_levels import promises


def exceptions(old: Contract, new: Contract) -> Iterator[Change]:
    """What is let through though it breaks a rule: waivers, and what environments make of severities."""
    before, after = ({(each.object, each.rule): each for each in contract.waivers} for contract in (old, new))
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        longer = now is not None and (was is None or was.until < now.until)
        if (was and was.until) != (now and now.until):
            place = f"waivers[{'.'.join(part for part in name if part)}]"
            kind = KINDS["waiver.granted" if longer else "waiver.ended"]
            yield Change(kind, place, f"until {was.until}" if was else None, f"until {now.until}" if now else None)
        elif was and now and (was.reason, was.approved_by) != (now.reason, now.approved_by):
            yield Change(KINDS["text.changed"], f"waivers[{now.rule}]", was.reason, now.reason)
    if old.valid_from != new.valid_from:
        yield Change(KINDS["text.changed"], "validFrom", text(old.valid_from), text(new.valid_from))
    for environment in dict.fromkeys((*old.environments, *new.environments)):
        one, other = old.environments.get(environment), new.environments.get(environment)
        if one != other:
            yield Change(KINDS["environment.changed"], f"environments.{environment}", one and one.value, other and other.value)


def unread(place: str, old: Sequence[QualityRule], new: Sequence[QualityRule]) -> Iterator[Change]:
    """Rules for people or for other engines, which are compared as they are written."""
    before, after = ([replace(rule, path="") for rule in rules if _unreadable(rule)] for rules in (old, new))
    for rule in before:
        if rule not in after:
            yield Change(KINDS["unjudged.changed"], f"{place}.quality", _rule_text(rule), None)
    for rule in after:
        if rule not in before:
            yield Change(KINDS["unjudged.changed"], f"{place}.quality", None, _rule_text(rule))


def _unreadable(rule: QualityRule) -> bool:
    return rule.type == "text" or (rule.type == "custom" and not is_ours(rule) and not is_great_expectations(rule.engine))


def levels(old: Contract, new: Contract) -> Iterator[Change]:
    """Service levels that no batch is judged by, compared as they are written."""
    before, after = (
        [replace(level, path="") for level in contract.service_levels if _unpromised(level, contract)] for contract in (old, new)
    )
    for name in dict.fromkeys(level.property for level in (*before, *after)):
        gone = [_level_text(level) for level in before if level.property == name and level not in after]
        come = [_level_text(level) for level in after if level.property == name and level not in before]
        for was, now in zip_longest(gone, come):
            yield Change(KINDS["unjudged.changed"], f"slaProperties.{name}", was, now)


def _unpromised(level: ServiceLevel, contract: Contract) -> bool:
    return not any(isinstance(promise, Rule) for obj in contract.objects for promise in promises(level, contract, obj))


def _level_text(level: ServiceLevel) -> str:
    parts = (level.value, level.value_ext, level.unit, level.schedule, level.element)
    return " ".join(str(part) for part in parts if part is not None)


def _rule_text(rule: QualityRule) -> str:
    told = rule.description or rule.name or text(rule.implementation) or rule.query
    return f"{rule.type}: {told}" if told else rule.type


def texts(old: Contract, new: Contract) -> Iterator[Change]:
    for name in ("status", "name", "description", "owner", "domain", "tags", "samples"):
        if (before := getattr(old, name)) != (after := getattr(new, name)):
            yield Change(KINDS["status.changed" if name == "status" else "text.changed"], name, text(before), text(after))


def rest(old: Contract, new: Contract) -> Iterator[Change]:
    """What nothing acts on, of what both versions have."""
    both = _owners(old) & _owners(new)
    for owner, name in dict.fromkeys((*old.rest, *new.rest)):
        before, after = old.rest.get((owner, name)), new.rest.get((owner, name))
        if before != after and owner in both:
            kind = "server.changed" if name.startswith("servers.") else "role.changed" if name == "roles" else "text.changed"
            yield Change(KINDS[kind], f"{owner}.{name}" if owner else name, before, after)


def _owners(contract: Contract) -> set[str]:
    names = (f"{obj.name}.{path}" for obj in contract.objects for path in columns(obj))
    return {"", *(obj.name for obj in contract.objects), *names}


def columns(obj: SchemaObject) -> dict[str, Property]:
    """Every property of an object, by its path in words."""
    return dict(chain.from_iterable(_walk(prop.name, prop) for prop in obj.properties))


def _walk(path: str, prop: Property) -> Iterator[tuple[str, Property]]:
    yield path, prop
    for inner in prop.properties:
        yield from _walk(f"{path}.{inner.name}", inner)
    for part, step_ in ((prop.items, "[]"), (prop.keys, "{keys}"), (prop.values, "{values}")):
        if part is not None:
            yield from _walk(path + step_, part)


def text(value: object) -> str | None:
    if value is None or value == ():
        return None
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value)
    return str(value)
