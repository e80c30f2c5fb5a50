"""Change the text of a contract in a few places, and leave every other character as it is: comments, order, quotes, indentation. Pure.

    amended(text, [
        Append(("schema", 0, "properties", 2, "quality"), {"type": "library", "metric": "nullValues", "mustBe": 0}),
        Put(("schema", 0, "properties", 2, "logicalTypeOptions", "minimum"), 0),
        Put(("version",), "2.2.0"),
    ])

A path names keys and positions, as in messages of `lint`. Mappings and lists that are missing on the way are made. What is added stands
after what is there, in the layout of the document: its line breaks, indentation, brackets where it uses them; JSON stays JSON.

The text is read again, and must say what it said before, and the changes. So a place that the document repeats
elsewhere (an anchor with an alias, a merge key) is refused, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from dagster_contracts.core.document import read
from dagster_contracts.core.errors import ContractSyntaxError, UsageError
from dagster_contracts.core.flaws import Path, path_text, shown
from dagster_contracts.core.places import Form, Place, column, line_break, line_end, line_start, next_line, placed
from dagster_contracts.core.yaml_text import Layout, after_key, entry, flow, item, one_line, scalar


@dataclass(frozen=True, slots=True)
class Put:
    """The value at `path`: replaced, or added where its mapping has no such key. A place of a list must exist."""

    path: Path
    value: object


@dataclass(frozen=True, slots=True)
class Append:
    """One more item of the list at `path`, which is made where there is none."""

    path: Path
    value: object


@dataclass(frozen=True, slots=True)
class Remove:
    """Without the entry or item at `path`, which must exist. Comments after it, on its own line, go with it."""

    path: Path


Edit = Put | Append | Remove
Owner = tuple[Place | None, str | int | None]  # the mapping or list that a value stands in, and its key or position there


def amended(text: str, edits: Sequence[Edit], *, source: str | None = None) -> str:
    """`text` with the edits made, one after the other. `source` names the document in messages.

    Raises ContractSyntaxError where it is not safe, readable YAML with one document, and UsageError for an edit that cannot be made
    there without changing something else.
    """
    mark, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    value = _unshared(read(body, source=source).value)
    try:
        return mark + _made_all(body, value, edits)
    except (_Refused, yaml.YAMLError):  # once more, to tell which one it was
        return mark + _one_by_one(body, value, edits, source)


def _made_all(body: str, value: object, edits: Sequence[Edit]) -> str:
    for edit in edits:
        value = _applied(value, edit.path, edit)
        body = _spliced(body, edit)
    _same(body, value)
    return body


def _one_by_one(body: str, value: object, edits: Sequence[Edit], source: str | None) -> str:
    for edit in edits:
        try:
            body = _made_all(body, value, [edit])
        except (_Refused, yaml.YAMLError) as why:
            place = ":".join(str(part) for part in (source, read(body).line(edit.path)) if part is not None)
            raise UsageError(f"{place}: {path_text(edit.path)} cannot be changed in place: {why}") from None
        value = _applied(value, edit.path, edit)
    return body


class _Refused(Exception):
    pass


def _same(text: str, wanted: object) -> None:
    try:
        found = read(text).value
    except ContractSyntaxError as broken:
        raise _Refused(f"it is written in a way that this does not know ({broken.message}); change the file by hand") from None
    if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        raise _Refused("the document repeats it elsewhere (an anchor, an alias or a merge key), which would change too; write it out")


# --- of values -----------------------------------------------------------------------------------------------------


def _unshared(value: object) -> object:
    """A copy in which nothing is one with anything else."""
    if isinstance(value, dict):
        return {key: _unshared(part) for key, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list | tuple) else value


def _applied(value: object, path: Path, edit: Edit) -> object:
    """What the document says after the edit."""
    if not path:
        return _at_end(value, edit)
    head, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(head, int) and 0 <= head < len(value):
        if not rest and isinstance(edit, Remove):
            return [part for place, part in enumerate(value) if place != head]
        return [_applied(part, rest, edit) if place == head else part for place, part in enumerate(value)]
    if isinstance(head, str) and (value is None or isinstance(value, dict)):
        known = value or {}
        if not rest and isinstance(edit, Remove) and head in known:
            return {key: part for key, part in known.items() if key != head}
        if head in known or not isinstance(edit, Remove):
            return {**known, head: _applied(known.get(head), rest, edit)}
    raise _Refused(f"the document has no {shown(str(head))} there")


def _at_end(value: object, edit: Edit) -> object:
    if isinstance(edit, Put):
        return _unshared(edit.value)
    if isinstance(edit, Append) and (value is None or isinstance(value, list)):
        return [*(value or []), _unshared(edit.value)]
    raise _Refused(f"expected a list, found {shown(value)}" if isinstance(edit, Append) else "the whole document is not removed")


# --- of text -------------------------------------------------------------------------------------------------------


def _spliced(text: str, edit: Edit) -> str:
    root = placed(text)
    return _Splice(text, _layout(text, root)).of(root, edit)


def _layout(text: str, root: Place) -> Layout:
    steps: Counter[int] = Counter()
    dashes: Counter[int] = Counter()
    for parent, child in _nested(root):
        if child.form is Form.MAPPING:
            steps[column(text, _first(child)) - column(text, _first(parent))] += 1
        else:
            dashes[_dash(text, child) - column(text, _first(parent))] += 1
    step, dash = (found.most_common(1)[0][0] if found else usual for found, usual in ((steps, 2), (dashes, 0)))
    return Layout(line_break(text), max(1, step), max(0, dash), json=root.flow and _is_json(text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _nested(place: Place) -> Iterator[tuple[Place, Place]]:
    """Blocks within block mappings, as values of their keys."""
    for _, value in place.entries.values():
        if not place.flow and not value.flow and (value.entries or value.items):
            yield place, value
        yield from _nested(value)
    for value in place.items:
        yield from _nested(value)


def _first(mapping: Place) -> int:
    return next(iter(mapping.entries.values()))[0].start


def _dash(text: str, sequence: Place) -> int:
    """The column of its dashes."""
    at = sequence.start if text[sequence.start] == "-" else text.rfind("-", sequence.start, sequence.items[0].start)
    return column(text, at)


@dataclass(frozen=True, slots=True)
class _Splice:
    text: str
    layout: Layout

    def of(self, root: Place, edit: Edit) -> str:
        place, within_flow = root, False
        owner: Owner = (None, None)
        for number, part in enumerate(edit.path):
            rest = edit.path[number + 1 :]
            if place.form is Form.ALIAS:
                raise _Refused("an alias stands there for what is written elsewhere; write it out")
            if isinstance(part, int):
                inner = place.items[part] if part < len(place.items) else None
            else:
                inner = place.entries[part][1] if part in place.entries else None
            if inner is None and place.form is Form.MAPPING:
                if isinstance(edit, Remove):
                    raise _Refused("a merge key gives it; write it out")
                return self.added(place, str(part), _made(rest, edit))
            if inner is None:
                value = _made(edit.path[number:], edit)
                return self.replaced(place, value, owner, within_flow)
            if not rest and isinstance(edit, Remove):
                return self.removed(place, part, owner, within_flow)
            owner, within_flow, place = (place, part), within_flow or place.flow, inner
        if isinstance(edit, Append):
            return self.appended(place, edit.value, owner, within_flow)
        assert isinstance(edit, Put)
        return self.replaced(place, edit.value, owner, within_flow)

    # --- more

    def added(self, mapping: Place, key: str, value: object) -> str:
        if mapping.flow:
            written = f"{flow(key, self.layout)}: {flow(value, self.layout)}"
            return self.into_brackets(mapping, list(mapping.entries.values()), written)
        indent = column(self.text, _first(mapping))
        return self.line_after(mapping.end, indent, entry(key, value, indent, self.layout))

    def appended(self, place: Place, value: object, owner: Owner, within_flow: bool) -> str:
        if place.form is Form.ALIAS:
            raise _Refused("an alias stands there for what is written elsewhere; write it out")
        if not place.items:
            return self.replaced(place, [value], owner, within_flow)
        if place.flow:
            return self.into_brackets(place, [(each, each) for each in place.items], flow(value, self.layout))
        indent = _dash(self.text, place)
        return self.line_after(place.end, indent, item(value, indent, self.layout))

    def line_after(self, end: int, indent: int, written: str) -> str:
        """`written` on a line of its own, after the line that `end` stands in."""
        if end and self.text[end - 1] in "\r\n":  # after text that keeps its last line breaks
            return self.with_(end, end, " " * indent + written + self.layout.line_break)
        at = line_end(self.text, end)
        return self.with_(at, at, self.layout.line_break + " " * indent + written)

    def into_brackets(self, place: Place, parts: Sequence[tuple[Place, Place]], written: str) -> str:
        """`written` after the last of `parts` (where each begins, and where it ends): on a line of its own where that began one."""
        if not parts:
            return self.with_(place.end - 1, place.end - 1, written)
        first, last = parts[-1]
        indent = self.text[line_start(self.text, first.start) : first.start]
        between = self.layout.line_break + indent if not indent.strip() else " "
        return self.with_(last.end, last.end, f",{between}{written}")

    # --- other

    def replaced(self, place: Place, value: object, owner: Owner, within_flow: bool) -> str:
        if place.form is Form.ALIAS or place.anchored:
            raise _Refused("it is an alias, or named by an anchor; write it out")
        if isinstance(value, list | tuple) and value and len(value) == len(place.items):
            return self.each(place, value, owner, within_flow)
        if within_flow or not isinstance(value, dict | list | tuple):
            if not place.flow and place.form is not Form.SCALAR:
                return self.behind_key(place, value, owner)
            quote = self.text[place.start] if not place.empty and self.text[place.start] in "'\"" else ""
            written = flow(value, self.layout) if self.layout.json or not isinstance(value, str) else scalar(value, quote=quote)
            return self.with_(place.start, place.end, " " * place.empty + written)
        return self.behind_key(place, value, owner)

    def each(self, place: Place, values: Sequence[object], owner: Owner, within_flow: bool) -> str:
        """The items one by one, the last first, so that the places of the others stay."""
        text = self
        for at in reversed(range(len(values))):
            text = _Splice(text.replaced(place.items[at], values[at], (place, at), within_flow), self.layout)
        return text.text

    def behind_key(self, place: Place, value: object, owner: Owner) -> str:
        """In place of what stands after a key: a list or mapping over several lines, or what such a one is replaced by."""
        mapping, key = owner
        if mapping is None or not isinstance(key, str):
            return self.with_(place.start, place.end, one_line(value, self.layout))
        at = mapping.entries[key][0]
        written = after_key(value, column(self.text, at.start), self.layout)
        if place.form is Form.SCALAR or place.flow:
            if not written.startswith(" "):  # over several lines: after what stands behind the value on its own line
                tail = self.text[place.end : line_end(self.text, place.end)]
                return self.with_(self.text.index(":", at.end) + 1, line_end(self.text, place.end), tail.rstrip() + written)
            return self.with_(place.start, place.end, written if place.empty else written[1:])
        return self.with_(self.text.index(":", at.end) + 1, place.end, written)

    # --- less

    def removed(self, place: Place, part: str | int, owner: Owner, within_flow: bool) -> str:
        parts = [(k.start, v.end) for k, v in place.entries.values()] if place.entries else [(each.start, each.end) for each in place.items]
        at = list(place.entries).index(part) if isinstance(part, str) else part
        if len(parts) == 1:
            if place.flow:
                return self.with_(parts[0][0], parts[0][1], "")
            return self.behind_key(place, {} if place.entries else [], owner)
        start, end = parts[at]
        if place.flow:
            last = at + 1 == len(parts)
            return self.with_(parts[at - 1][1] if last else start, end if last else parts[at + 1][0], "")
        if at == 0:  # its line may begin with the dash of a list around it
            return self.with_(self.begin(place, start), self.begin(place, parts[1][0]), "")
        after = end if self.text[end - 1] in "\r\n" else next_line(self.text, end)
        return self.with_(line_start(self.text, start), after, "")

    def begin(self, place: Place, start: int) -> int:
        """Where an entry or item of a block begins: with its key, or its dash."""
        return start if place.entries else self.text.rfind("-", place.start, start)

    def with_(self, start: int, end: int, written: str) -> str:
        return self.text[:start] + written + self.text[end:]


def _made(path: Path, edit: Edit) -> object:
    """What a place that is missing is made with: the value of the edit, within what else its path names."""
    value = [edit.value] if isinstance(edit, Append) else edit.value if isinstance(edit, Put) else None
    for part in reversed(path):
        if not isinstance(part, str):
            raise _Refused("the document has no such item there")
        value = {part: value}
    return value
