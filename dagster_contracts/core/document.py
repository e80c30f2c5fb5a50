"""YAML or JSON text -> plain values, with the line of every place. Safe: no tags, no dates, bounded depth and alias expansion.

Scalars are read as PyYAML reads them, but for three decisions: timestamps stay text (the ODCS schema wants text), `12:30` is text
and not a base-60 number, and `1e5` is a number (as in JSON). Numbers keep their digits (precise.py). Keys are always text, as in JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import yaml

from dagster_contracts.core.errors import ContractSyntaxError, Problem
from dagster_contracts.core.flaws import Flaw, Path, path_text, shown
from dagster_contracts.core.precise import number_of

MAX_DEPTH = 64
MAX_ALIASED_NODES = 20_000  # nodes that aliases may add to what is written; a real contract stays far below

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)\Z")
_TRUTH = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{form: truth for word, truth in _TRUTH.items() for form in (word, word.capitalize(), word.upper())},
    **{sign + form: float(sign + "inf") for sign in ("", "+", "-") for form in (".inf", ".Inf", ".INF")},
    **{form: float("nan") for form in (".nan", ".NaN", ".NAN")},
}
_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Node:
    """A value and where it stands: `line` is that of its key (or of the item, in a list). `written` is what a word without quotes was."""

    value: object
    line: int
    size: int = 1
    entries: dict[str, Node] | None = None
    items: list[Node] | None = None
    written: str | None = None


@dataclass(slots=True)
class Document:
    """A document as plain dicts, lists and scalars. `flaws` are duplicate keys, `notes` are words that YAML reads as true or false."""

    root: Node
    source: str | None = None
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def value(self) -> object:
        return self.root.value

    def line(self, path: Path) -> int:
        """1-based line of `path`, or of its nearest ancestor that is written."""
        return self._node(path).line

    def written(self, path: Path) -> str | None:
        """The word that YAML reads as a number, true or false, where such a value stands at `path`."""
        node = self._node(path)
        return node.written if isinstance(node.value, bool | int | float) else None

    def _node(self, path: Path) -> Node:
        node = self.root
        for part in path:
            if isinstance(part, str) and node.entries is not None and part in node.entries:
                node = node.entries[part]
            elif isinstance(part, int) and node.items is not None and part < len(node.items):
                node = node.items[part]
            else:
                break
        return node

    def problem(self, flaw: Flaw) -> Problem:
        return Problem(path_text(flaw.path), flaw.message, line=self.line(flaw.path), source=self.source)


def read(text: str, *, source: str | None = None) -> Document:
    """The one document that `text` holds. Raises ContractSyntaxError with line and column."""
    text = text.removeprefix("\ufeff")
    if found := _UNREADABLE.search(text):
        line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
        message = f"character U+{ord(found[0]):04X} is not allowed in YAML; remove it"
        raise ContractSyntaxError(message, source=source, line=line, column=column)
    if text.lstrip().startswith("{"):
        text = _SURROGATE_PAIR.sub(_joined, text)  # JSON writes characters beyond U+FFFF as two escapes, which YAML does not know
    return _Composer(text, source).document()


def _joined(pair: re.Match[str]) -> str:
    return pair[1] + (chr(int(pair[2], 16)) + chr(int(pair[3], 16))).encode("utf-16", "surrogatepass").decode("utf-16")


class _Composer:
    """Builds the tree from parser events, so that depth and size are bounded before anything is built."""

    def __init__(self, text: str, source: str | None):
        self._text, self._source = text, source
        self._parser = _Loader(text)
        self._anchors: dict[str, Node | None] = {}
        self._aliased = 0
        self._path: list[str | int] = []
        self._flaws: list[Flaw] = []
        self._notes: list[str] = []

    def document(self) -> Document:
        try:
            return self._document()
        except yaml.MarkedYAMLError as broken:
            mark = broken.problem_mark or broken.context_mark
            if "nesting depth" in str(broken.problem):  # the parser's own limit, of some versions, is met before ours
                raise self._refused(f"nested deeper than {MAX_DEPTH} levels", mark) from None
            context = f" ({broken.context})" if broken.context else ""
            raise self._refused(f"not readable as YAML: {self._odd(mark) or f'{broken.problem}{context}'}", mark) from None
        except yaml.YAMLError as broken:
            raise ContractSyntaxError(f"not readable as YAML: {broken}", source=self._source) from None
        finally:
            self._parser.dispose()

    def _document(self) -> Document:
        self._parser.get_event()  # StreamStart
        if isinstance(self._parser.get_event(), yaml.StreamEndEvent):
            raise ContractSyntaxError("the file is empty; expected an ODCS document", source=self._source, line=1, column=1)
        root = self._node(self._parser.get_event(), 1)
        self._parser.get_event()  # DocumentEnd
        following = self._parser.get_event()
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._refused("a second YAML document starts here; put one contract in each file", following.start_mark)
        return Document(root, self._source, self._flaws, self._notes)

    def _node(self, event: yaml.NodeEvent, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), event.start_mark.line + 1, written=event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)
            node = self._mapping(event, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = event.anchor
        if name not in self._anchors:
            raise self._refused(f'alias "*{name}" names no anchor that stands before it', event.start_mark)
        target = self._anchors[name]
        if target is None:
            raise self._refused(f'alias "*{name}" stands inside its own anchor', event.start_mark)
        self._aliased += target.size
        if self._aliased > MAX_ALIASED_NODES:
            raise self._refused(f"aliases expand to more than {MAX_ALIASED_NODES} values; write them out", event.start_mark)
        return target

    def _sequence(self, event: yaml.CollectionStartEvent, depth: int) -> Node:
        self._plain_tag(event, "seq")
        items: list[Node] = []
        while not isinstance(entry := self._parser.get_event(), yaml.SequenceEndEvent):
            self._path.append(len(items))
            self._note_truth(entry)
            items.append(self._node(entry, depth + 1))
            self._path.pop()
        return Node([item.value for item in items], event.start_mark.line + 1, 1 + sum(item.size for item in items), items=items)

    def _mapping(self, event: yaml.CollectionStartEvent, depth: int) -> Node:
        self._plain_tag(event, "map")
        entries: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(key_event := self._parser.get_event(), yaml.MappingEndEvent):
            key, line = self._key(key_event), key_event.start_mark.line + 1
            self._path.append(key)
            value_event = self._parser.get_event()
            if key == "value":
                self._note_truth(value_event)
            node = self._node(value_event, depth + 1)
            if key == "<<" and isinstance(key_event, yaml.ScalarEvent) and key_event.implicit[0]:
                merged += self._merged(node, key_event)
            elif key in entries:
                where = f"on lines {entries[key].line} and {line}" if entries[key].line != line else f"on line {line}"
                self._flaws.append(Flaw(tuple(self._path), f'the key "{key}" stands twice, {where}; keep one of them'))
            else:
                entries[key] = replace(node, line=line)
            self._path.pop()
        for other in merged:
            for key, node in (other.entries or {}).items():
                entries.setdefault(key, node)
        size = 1 + sum(node.size for node in entries.values())
        return Node({key: node.value for key, node in entries.items()}, event.start_mark.line + 1, size, entries=entries)

    def _key(self, event: yaml.Event) -> str:
        if isinstance(event, yaml.AliasEvent) and isinstance(value := self._alias(event).value, str):
            return value
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = Node(event.value, event.start_mark.line + 1)
            return str(event.value)
        raise self._refused("expected a key that is text, found a list, a mapping or an alias", event.start_mark)

    def _merged(self, node: Node, event: yaml.Event) -> list[Node]:
        parts = node.items if node.items is not None else [node]
        if any(part.entries is None for part in parts):
            raise self._refused('"<<" merges mappings only', event.start_mark)
        return parts

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        if event.tag not in (None, "!") and event.tag.removeprefix(_TAG) not in ("str", "int", "float", "bool", "null"):
            raise self._refused(f'tag "{event.tag}" is not allowed; remove it', event.start_mark)
        if event.tag in (_TAG + "str", "!") or (event.tag is None and not event.implicit[0]):
            return event.value  # quoted, or a block of text
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "0123456789+-.":
            return text
        return self._number(text, event)

    def _number(self, text: str, event: yaml.Event) -> object:
        if _INT.match(text):
            digits = text.replace("_", "")
            octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
            try:
                return int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
            except ValueError:
                raise self._refused(f"{shown(text)} is not a number that can be read; quote it if it is text", event.start_mark) from None
        return number_of(text.replace("_", "")) if _FLOAT.match(text) else text

    def _plain_tag(self, event: yaml.CollectionStartEvent, kind: str) -> None:
        tag = event.tag
        if tag not in (None, "!", _TAG + kind):
            raise self._refused(f'tag "{tag}" is not allowed; remove it', event.start_mark)

    def _note_truth(self, event: yaml.Event) -> None:
        if not (isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value.lower() in ("yes", "no", "on", "off")):
            return
        if isinstance(truth := _WORDS.get(event.value), bool):
            line, word = event.start_mark.line + 1, event.value
            self._notes.append(f'line {line}: YAML reads {word} as {shown(truth)}; quote it ("{word}") if the word is meant')

    def _odd(self, mark: yaml.Mark | None) -> str | None:
        """What is wrong with the character that the parser stopped at, where that alone is."""
        lines = self._text.splitlines()
        rest = lines[mark.line][mark.column :] if mark is not None and mark.line < len(lines) else ""
        if rest.startswith("\t"):
            return "a tab stands here; YAML is indented by spaces"
        return f'no text begins with {rest[0]}; quote it ("{rest.split()[0]}")' if rest[:1] in ("@", "`", "%") else None

    def _refused(self, message: str, mark: yaml.Mark | None) -> ContractSyntaxError:
        if mark is None:
            return ContractSyntaxError(message, source=self._source)
        lines = self._text.splitlines()
        found = lines[mark.line].strip() if mark.line < len(lines) else ""
        where = f"; found {shown(found)}" if found else "; found the end of the file"
        return ContractSyntaxError(message + where, source=self._source, line=mark.line + 1, column=mark.column + 1)
