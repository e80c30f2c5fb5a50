"""Whether a document conforms to a JSON schema, in time linear in the document, told in words for people.

The keywords that the ODCS schemas use, and no others: `Schema` refuses a schema with a keyword it does not know, so nothing goes
unchecked. The package `jsonschema` gives the same verdicts (the tests compare them), but its `unevaluatedProperties` validates every nested
level several times: four nested arrays take it 20 seconds, and what it says of a typo is a chain of follow-up errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from dagster_contracts.core.document import Flaw, Path, shown
from dagster_contracts.core.errors import did_you_mean

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated", "format"})
_APPLIED = frozenset(
    {"$ref", "type", "enum", "const", "pattern", "minimum", "exclusiveMinimum", "items", "minItems", "maxItems", "uniqueItems"}
    | {"required", "properties", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "not", "if", "then", "$defs"}
)
_CONDITION = frozenset({"const", "type", "required", "properties", "anyOf"})


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return value.is_integer() if isinstance(value, float) else _is_number(value)


_TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
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
        self._resolved: dict[str, Mapping[str, Any]] = {}

    def breaches(self, value: object) -> list[Breach]:
        """Every breach, once; empty for a valid document. A key that is missing because it is misspelt is told as misspelt."""
        found: list[Breach] = []
        _Check(self).apply(self._root, value, (), found)
        misspelt = {(breach.path[:-1], breach.expected) for breach in found if breach.keyword == "unknown" and breach.expected}
        return [breach for breach in dict.fromkeys(found) if breach.keyword != "required" or (breach.path, breach.expected) not in misspelt]

    def resolve(self, ref: str) -> Mapping[str, Any]:
        if ref not in self._resolved:
            schema: Mapping[str, Any] = self._root
            for part in ref.removeprefix("#/").split("/"):
                schema = schema[part]
            self._resolved[ref] = schema
        return self._resolved[ref]

    def known_keys(self, schema: Mapping[str, Any]) -> tuple[str, ...]:
        """Every key that `schema` speaks of, whatever its conditions."""
        if id(schema) not in self._known:
            self._known[id(schema)] = tuple(dict.fromkeys(self._collect(schema)))
        return self._known[id(schema)]

    def _collect(self, schema: Mapping[str, Any]) -> Iterable[str]:
        yield from schema.get("properties", ())
        if ref := schema.get("$ref"):
            yield from self._collect(self.resolve(ref))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                yield from self._collect(part)
        if "then" in schema:
            yield from self._collect(schema["then"])


class _Check:
    """One run over one document. `apply` returns the keys of `value` that the schema accounts for ("evaluated")."""

    def __init__(self, schema: Schema):
        self._schema = schema
        self._hints = 200  # near misses looked up per document: each costs about a millisecond
        self._seen: dict[tuple[str, Path], tuple[list[Breach], set[str]]] = {}

    def apply(self, schema: Mapping[str, Any], value: object, path: Path, found: list[Breach]) -> set[str]:
        evaluated: set[str] = set()
        if (ref := schema.get("$ref")) is not None:
            evaluated |= self._ref(ref, value, path, found)
        if (kinds := schema.get("type")) is not None:
            if not _is_of(value, kinds):
                found.append(_wrong_type(kinds, value, path))
                return evaluated
            if len(schema) == 1:
                return evaluated
        self._values(schema, value, path, found)
        if isinstance(value, list):
            self._list(schema, value, path, found)
        elif isinstance(value, dict):
            self._keys(schema, value, path, found, evaluated)
        self._combinations(schema, value, path, found, evaluated)
        if isinstance(value, dict) and schema.get("unevaluatedProperties") is False:
            self._unknown(schema, value, path, found, evaluated)
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
        if (allowed := schema.get("enum")) is not None and not any(_same(value, other) for other in allowed):
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
            if (bound := schema.get("exclusiveMinimum")) is not None and value <= bound:
                found.append(Breach(path, f"expected more than {bound}, found {shown(value)}", "exclusiveMinimum"))

    def _list(self, schema: Mapping[str, Any], value: list[object], path: Path, found: list[Breach]) -> None:
        if (items := schema.get("items")) is not None:
            for index, item in enumerate(value):
                self.apply(items, item, (*path, index), found)
        if len(value) < schema.get("minItems", 0):
            found.append(Breach(path, f"expected at least {schema['minItems']} entries, found {len(value)}", "minItems"))
        if len(value) > schema.get("maxItems", len(value)):
            found.append(Breach(path, f"expected at most {schema['maxItems']} entries, found {len(value)}", "maxItems"))
        if schema.get("uniqueItems") and len({_canonical(item) for item in value}) < len(value):
            found.append(Breach(path, "an entry stands twice in this list; keep one of them", "uniqueItems"))

    def _keys(self, schema: Mapping[str, Any], value: dict[str, object], path: Path, found: list[Breach], evaluated: set[str]) -> None:
        properties = schema.get("properties", {})
        if properties:
            for key, item in value.items():
                if key in properties:
                    evaluated.add(key)
                    self.apply(properties[key], item, (*path, key), found)
        missing = [key for key in schema.get("required", ()) if key not in value]
        found += [Breach(path, f'the key "{key}" is missing', "required", key) for key in missing]
        if schema.get("additionalProperties") is False:
            self._unknown(schema, value, path, found, evaluated & properties.keys())
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

    def _combinations(self, schema: Mapping[str, Any], value: object, path: Path, found: list[Breach], evaluated: set[str]) -> None:
        for part in schema.get("allOf", ()):
            if "if" not in part or len(part) > 2 or _holds(part["if"], value):  # most are conditions, and most do not hold
                evaluated |= self.apply(part, value, path, found)
        if "if" in schema and _holds(schema["if"], value):
            evaluated |= self.apply(schema["then"], value, path, found)
        if "not" in schema and _holds(schema["not"], value):
            names = ", ".join(f'"{key}"' for key in schema["not"]["required"])
            found.append(Breach(path, f"the key {names} is not allowed here", "not"))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                evaluated |= self._alternatives(keyword, schema[keyword], value, path, found)

    def _alternatives(self, keyword: str, parts: list[Mapping[str, Any]], value: object, path: Path, found: list[Breach]) -> set[str]:
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


def _holds(condition: Mapping[str, Any], value: object) -> bool:
    """Whether the schema of an `if` or a `not` accepts `value`. Its keys need no accounting for: the schemas list them elsewhere too."""
    if "const" in condition and not _same(value, condition["const"]):
        return False
    if "type" in condition and not _is_of(value, condition["type"]):
        return False
    if isinstance(value, dict):
        if any(key not in value for key in condition.get("required", ())):
            return False
        if not all(_holds(part, value[key]) for key, part in condition.get("properties", {}).items() if key in value):
            return False
    return "anyOf" not in condition or any(_holds(part, value) for part in condition["anyOf"])


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
