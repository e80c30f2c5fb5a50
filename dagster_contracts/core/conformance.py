"""Whether a document conforms to a JSON schema, in time linear in the document, told in words for people.

The keywords that the ODCS schemas use, and no others: `Schema` refuses a schema with a keyword it does not know, so nothing goes
unchecked. The package `jsonschema` gives the same verdicts (the tests compare them), but its `unevaluatedProperties` validates every nested
level several times: four nested arrays take it 20 seconds, and what it says of a typo is a chain of follow-up errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import eq
from typing import Any, TypeGuard

from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, shown

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated", "format"})
_APPLIED = frozenset(
    {"$ref", "type", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "items", "minItems", "maxItems", "uniqueItems"}
    | {"required", "properties", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "not", "if", "then", "$defs"}
)
_CONDITION = frozenset({"const", "type", "required", "properties", "anyOf"})
_COMBINING = frozenset({"allOf", "if", "not", "anyOf", "oneOf"})
_OF_VALUES = frozenset({"enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum"})

Test = Callable[[object], bool]


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return value.is_integer() if isinstance(value, float) else _is_number(value)


_TYPES: dict[str, tuple[str, Test]] = {
    "string": ("text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", _is_whole),
    "number": ("a number", _is_number),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "null": ("nothing", lambda value: value is None),
    "array": ("a list", lambda value: isinstance(value, list)),
    "object": ("a mapping", lambda value: isinstance(value, dict)),
}


@dataclass(frozen=True, slots=True)
class Breach(Flaw):
    """A place where a document breaks its schema, with the keyword it breaks.

    `expected` is the type for "type", the missing key for "required", and the nearest known key for "unknown".
    """

    keyword: str
    expected: str = ""


class Schema:
    """A JSON schema (draft 2019-09) to check documents against. Raises ValueError for a keyword it does not know."""

    def __init__(self, root: Mapping[str, Any]):
        self._root = _pruned(root, _APPLIED)
        self._known: dict[int, tuple[str, ...]] = {}
        self._parts: dict[str, _Part] = {}

    def breaches(self, value: object) -> list[Breach]:
        """Every breach, once; empty for a valid document. A key that is missing because it is misspelt is told as misspelt."""
        found: list[Breach] = []
        _Check(self).apply(self.resolve("#"), value, (), found)
        misspelt = {(breach.path[:-1], breach.expected) for breach in found if breach.keyword == "unknown" and breach.expected}
        return [breach for breach in dict.fromkeys(found) if breach.keyword != "required" or (breach.path, breach.expected) not in misspelt]

    def resolve(self, ref: str) -> _Part:
        """The part that a reference names, made ready when it is first asked for."""
        if ref not in self._parts:
            self._parts[ref] = _ready(self._at(ref))
        return self._parts[ref]

    def _at(self, ref: str) -> Mapping[str, Any]:
        schema: Mapping[str, Any] = self._root
        for step in ref.split("/")[1:]:
            schema = schema[step]
        return schema

    def known_keys(self, schema: Mapping[str, Any]) -> tuple[str, ...]:
        """Every key that `schema` speaks of, whatever its conditions."""
        if id(schema) not in self._known:
            self._known[id(schema)] = tuple(dict.fromkeys(self._collect(schema)))
        return self._known[id(schema)]

    def _collect(self, schema: Mapping[str, Any]) -> Iterable[str]:
        yield from schema.get("properties", ())
        if ref := schema.get("$ref"):
            yield from self._collect(self._at(ref))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                yield from self._collect(part)
        if "then" in schema:
            yield from self._collect(schema["then"])


@dataclass(slots=True)
class _Part:
    """A schema made ready to be applied: its text is looked at once, and not for every value."""

    schema: Mapping[str, Any]
    ref: str | None = None
    kinds: str | list[str] | None = None
    of_values: bool = False
    items: _Part | None = None
    properties: dict[str, _Part] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    closed: bool = False
    all_of: list[tuple[Test | None, _Part]] = field(default_factory=list)  # most are conditions, and most do not hold
    forbidden: Test | None = None
    alternatives: list[tuple[str, list[_Part]]] = field(default_factory=list)
    combines: bool = False  # has any of all_of, forbidden, alternatives
    accounts: bool = False  # for every key, whatever part of it knows the key


def _ready(schema: Mapping[str, Any]) -> _Part:
    conditions = [_conditional(part) for part in schema.get("allOf", ())]
    if "if" in schema:
        conditions.append(_conditional({"if": schema["if"], "then": schema["then"]}))
    return _Part(
        schema,
        schema.get("$ref"),
        schema.get("type"),
        not _OF_VALUES.isdisjoint(schema),
        _ready(schema["items"]) if "items" in schema else None,
        {key: _ready(part) for key, part in schema.get("properties", {}).items()},
        tuple(schema.get("required", ())),
        schema.get("additionalProperties") is False,
        conditions,
        _test(schema["not"]) if "not" in schema else None,
        [(keyword, [_ready(part) for part in schema[keyword]]) for keyword in ("anyOf", "oneOf") if keyword in schema],
        not _COMBINING.isdisjoint(schema),
        schema.get("unevaluatedProperties") is False,
    )


def _conditional(schema: Mapping[str, Any]) -> tuple[Test | None, _Part]:
    return (_test(schema["if"]), _ready(schema["then"])) if schema.keys() == {"if", "then"} else (None, _ready(schema))


class _Check:
    """One run over one document. `apply` returns the keys of `value` that the schema accounts for ("evaluated")."""

    def __init__(self, schema: Schema):
        self._schema = schema
        self._hints = 200  # near misses looked up per document: each costs about a millisecond
        self._seen: dict[tuple[str, Path], tuple[list[Breach], set[str]]] = {}

    def apply(self, part: _Part, value: object, path: Path, found: list[Breach]) -> set[str]:
        evaluated = set() if part.ref is None else set(self._ref(part.ref, value, path, found))
        if part.kinds is not None and not _is_of(value, part.kinds):
            found.append(_wrong_type(part.kinds, value, path))
            return evaluated
        if part.of_values:
            self._values(part.schema, value, path, found)
        if isinstance(value, dict):
            self._keys(part, value, path, found, evaluated)
        elif isinstance(value, list):
            self._list(part, value, path, found)
        if part.combines:
            self._combinations(part, value, path, found, evaluated)
        if part.accounts and isinstance(value, dict):
            self._unknown(part.schema, value, path, found, evaluated)
        return evaluated

    def _ref(self, ref: str, value: object, path: Path, found: list[Breach]) -> set[str]:
        # The recursive definitions are reached over several ways at each level; without this the work doubles with every level.
        if not isinstance(value, dict | list):
            return self.apply(self._schema.resolve(ref), value, path, found)
        key = (ref, path)
        if key not in self._seen:
            breaches: list[Breach] = []
            self._seen[key] = (breaches, self.apply(self._schema.resolve(ref), value, path, breaches))
        breaches, evaluated = self._seen[key]
        found += breaches
        return evaluated

    def _values(self, schema: Mapping[str, Any], value: object, path: Path, found: list[Breach]) -> None:
        if (allowed := schema.get("enum")) is not None and not _among(value, allowed):
            hint = self._near(value, map(str, allowed)) if isinstance(value, str) else ""
            found.append(Breach(path, f"{shown(value)} is not allowed here{hint or ';'} allowed: {', '.join(map(str, allowed))}", "enum"))
        if "const" in schema and not _same(value, schema["const"]):
            found.append(Breach(path, f"expected {shown(schema['const'])}, found {shown(value)}", "const"))
        if isinstance(value, str):
            if (pattern := schema.get("pattern")) is not None and not re.search(pattern, value):
                found.append(Breach(path, f"{shown(value)} does not have the form {pattern}", "pattern"))
        elif _is_number(value):
            if (least := schema.get("minimum")) is not None and value < least:
                found.append(Breach(path, f"expected at least {least}, found {shown(value)}", "minimum"))
            if (most := schema.get("maximum")) is not None and value > most:
                found.append(Breach(path, f"expected at most {most}, found {shown(value)}", "maximum"))
            if (bound := schema.get("exclusiveMinimum")) is not None and value <= bound:
                found.append(Breach(path, f"expected more than {bound}, found {shown(value)}", "exclusiveMinimum"))

    def _list(self, part: _Part, value: list[object], path: Path, found: list[Breach]) -> None:
        if part.items is not None:
            for index, item in enumerate(value):
                self.apply(part.items, item, (*path, index), found)
        schema = part.schema
        if len(value) < schema.get("minItems", 0):
            found.append(Breach(path, f"expected at least {schema['minItems']} entries, found {len(value)}", "minItems"))
        if len(value) > schema.get("maxItems", len(value)):
            found.append(Breach(path, f"expected at most {schema['maxItems']} entries, found {len(value)}", "maxItems"))
        if schema.get("uniqueItems") and len({_canonical(item) for item in value}) < len(value):
            found.append(Breach(path, "an entry stands twice in this list; keep one of them", "uniqueItems"))

    def _keys(self, part: _Part, value: dict[str, object], path: Path, found: list[Breach], evaluated: set[str]) -> None:
        if part.properties:
            for key, item in value.items():
                known = part.properties.get(key)
                if known is not None:
                    evaluated.add(key)
                    self.apply(known, item, (*path, key), found)
        if part.required:
            missing = [key for key in part.required if key not in value]
            found += [Breach(path, f'the key "{key}" is missing', "required", key) for key in missing]
        if part.closed:
            self._unknown(part.schema, value, path, found, evaluated & part.properties.keys())
            evaluated |= value.keys()

    def _unknown(self, schema: Mapping[str, Any], value: dict[str, object], path: Path, found: list[Breach], evaluated: set[str]) -> None:
        known = self._schema.known_keys(schema)
        for key in value:
            if key in evaluated:
                continue
            evaluated.add(key)
            near = ""
            if key in known:
                message = f'the key "{key}" is not allowed here, though other entries of this kind may have it; remove it'
            else:
                free = [other for other in known if other not in value] or known
                near = self._near(key, free)
                message = f'unknown key "{_cut(key)}"' + (near or f"; known here: {_listed(known)}")
            found.append(Breach((*path, key), message, "unknown", near.split('"')[1] if near else ""))

    def _near(self, word: str, known: Iterable[str]) -> str:
        self._hints -= 1
        return did_you_mean(word[:80], known) if self._hints >= 0 else ""

    def _combinations(self, part: _Part, value: object, path: Path, found: list[Breach], evaluated: set[str]) -> None:
        for condition, then in part.all_of:
            if condition is None or condition(value):
                evaluated |= self.apply(then, value, path, found)
        if part.forbidden is not None and part.forbidden(value):
            names = ", ".join(f'"{key}"' for key in part.schema["not"]["required"])
            found.append(Breach(path, f"the key {names} is not allowed here", "not"))
        for keyword, parts in part.alternatives:
            evaluated |= self._alternatives(keyword, parts, value, path, found)

    def _alternatives(self, keyword: str, parts: list[_Part], value: object, path: Path, found: list[Breach]) -> set[str]:
        tried: list[tuple[list[Breach], set[str]]] = []
        for part in parts:
            breaches: list[Breach] = []
            tried.append((breaches, self.apply(part, value, path, breaches)))
        fitting = [keys for breaches, keys in tried if not breaches]
        if not fitting:
            found += _nearest([breaches for breaches, _ in tried], value, path, keyword)
        elif keyword == "oneOf" and len(fitting) > 1:
            both = sorted(set().union(*fitting))
            found.append(Breach(path, f"only one of these may stand here: {', '.join(both)}; split the entry", keyword))
        return set().union(*(fitting or [keys for _, keys in tried]))


def _nearest(tried: list[list[Breach]], value: object, path: Path, keyword: str) -> list[Breach]:
    """What to say where no alternative fits: what the alternative that comes nearest complains about."""
    here = [breach for breaches in tried for breach in breaches if breach.path == path]
    if all(any(breach.keyword == "type" and breach.path == path for breach in breaches) for breaches in tried):
        kinds = " or ".join(dict.fromkeys(breach.expected for breach in here if breach.keyword == "type"))
        return [Breach(path, f"expected {kinds}, found {shown(value)}", "type", kinds)]
    if all(len(breaches) == 1 and breaches[0].keyword == "required" for breaches in tried) and len(here) == len(tried):
        names = ", ".join(breach.expected for breach in here)
        return [Breach(path, f"one of these keys is missing: {names}", keyword)]

    def distance(breaches: list[Breach]) -> tuple[bool, int, int]:
        deepest = max(len(breach.path) for breach in breaches)
        return any(breach.keyword == "type" and breach.path == path for breach in breaches), -deepest, len(breaches)

    return min(tried, key=distance)


def _pruned(schema: Mapping[str, Any], supported: frozenset[str]) -> dict[str, Any]:
    """`schema` without its annotations. Raises ValueError for a keyword that is not `supported`."""
    return {keyword: _pruned_content(keyword, content, supported) for keyword, content in schema.items() if keyword not in _ANNOTATIONS}


def _pruned_content(keyword: str, content: Any, supported: frozenset[str]) -> Any:
    if keyword not in supported or (keyword.endswith("Properties") and content):
        raise ValueError(f"the JSON schema uses {keyword}: {content} in a way that is not supported")
    if keyword == "properties":
        return {name: _pruned(part, supported) for name, part in content.items()}
    if keyword == "$defs":
        return {
            name: _pruned(part, supported) if part.keys() & _APPLIED else _pruned_content("$defs", part, supported)
            for name, part in content.items()
        }
    if keyword in ("allOf", "anyOf", "oneOf"):
        return [_pruned(part, supported) for part in content]
    if keyword in ("items", "then"):
        return _pruned(content, supported)
    return _pruned(content, _CONDITION) if keyword in ("if", "not") else content


def _test(condition: Mapping[str, Any]) -> Test:
    """Whether the schema of an `if` or a `not` accepts a value. Its keys need no accounting for: the schemas list them elsewhere too."""
    if condition.keys() == {"const"} and isinstance(condition["const"], str):
        return partial(eq, condition["const"])
    required = tuple(condition.get("required", ()))
    parts = [(key, _test(part)) for key, part in condition.get("properties", {}).items()]
    tests = [_test(part) for part in condition.get("anyOf", ())]

    def keys_hold(value: Mapping[str, object]) -> bool:
        for key in required:
            if key not in value:
                return False
        for key, test in parts:  # noqa: SIM110 - twice as fast as all(), and this is most of the time that a document takes
            if key in value and not test(value[key]):
                return False
        return True

    def holds(value: object) -> bool:
        if isinstance(value, dict) and not keys_hold(value):
            return False
        if "const" in condition and not _same(value, condition["const"]):
            return False
        if "type" in condition and not _is_of(value, condition["type"]):
            return False
        return not tests or any(test(value) for test in tests)

    return holds


def _is_of(value: object, kinds: str | list[str]) -> bool:
    return _TYPES[kinds][1](value) if isinstance(kinds, str) else any(_TYPES[kind][1](value) for kind in kinds)


def _wrong_type(kinds: str | list[str], value: object, path: Path) -> Breach:
    wanted = " or ".join(_TYPES[kind][0] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    advice = "; give it a value or leave the key out" if value is None else ""
    return Breach(path, f"expected {wanted}, found {shown(value)}{advice}", "type", wanted)


def _same(one: object, other: object) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return _canonical(one) == _canonical(other)


def _among(value: object, allowed: list[object]) -> bool:
    return value in allowed if isinstance(value, str) else any(_same(value, other) for other in allowed)


def _canonical(value: object) -> object:
    """Equal for values that JSON schema calls equal (1 and 1.0, but not 1 and true), and hashable."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _canonical(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_canonical(item) for item in value))
    return ("boolean", value) if isinstance(value, bool) else value


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:15]) + (", ..." if len(keys) > 15 else "")


def _cut(key: str) -> str:
    return key if len(key) <= 60 else key[:57] + "..."
