"""Where every value of a YAML or JSON text stands, to the character: for changing a text in place instead of writing it anew. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")  # of JSON, which YAML does not know
_AS_LONG = r"\\u0020\\u0020"
_BREAK = re.compile(r"\r\n|\n|\r")


class Form(StrEnum):
    SCALAR = "scalar"
    MAPPING = "mapping"
    SEQUENCE = "sequence"
    ALIAS = "alias"


@dataclass(slots=True)
class Place:
    """What is written of one value: the characters from `start` up to `end`, comments and blank lines after it left out.

    `flow`: between brackets (of a scalar: none of its own). `anchored`: it is named, so that others may repeat it.
    """

    form: Form
    start: int
    end: int
    flow: bool = False
    anchored: bool = False
    entries: dict[str, tuple[Place, Place]] = field(default_factory=dict)  # key -> where the key stands, where its value does
    items: list[Place] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Nothing is written: a null."""
        return self.form is Form.SCALAR and self.start == self.end


def placed(text: str) -> Place:
    """The root of the one document in `text`, which `document.read` has read."""
    readable = _SURROGATE_PAIR.sub(_AS_LONG, text) if text.lstrip().startswith("{") else text
    parser = _Loader(readable)
    try:
        parser.get_event()  # StreamStart
        parser.get_event()  # DocumentStart
        return _place(parser, parser.get_event(), text)
    finally:
        parser.dispose()


def _place(parser: yaml.SafeLoader, event: yaml.NodeEvent, text: str) -> Place:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return Place(Form.ALIAS, start, end)
    anchored = event.anchor is not None
    if isinstance(event, yaml.ScalarEvent):
        return Place(Form.SCALAR, start, _scalar_end(event, text), anchored=anchored)
    form = Form.SEQUENCE if isinstance(event, yaml.SequenceStartEvent) else Form.MAPPING
    place = Place(form, start, end, bool(event.flow_style), anchored)
    closing = _items(place, parser, text) if form is Form.SEQUENCE else _entries(place, parser, text)
    place.end = closing if place.flow else max([end, *(child.end for child in _children(place))])
    return place


def _items(place: Place, parser: yaml.SafeLoader, text: str) -> int:
    while not isinstance(event := parser.get_event(), yaml.SequenceEndEvent):
        place.items.append(_place(parser, event, text))
    return int(event.end_mark.index)


def _entries(place: Place, parser: yaml.SafeLoader, text: str) -> int:
    while not isinstance(event := parser.get_event(), yaml.MappingEndEvent):
        key = _place(parser, event, text)
        value = _place(parser, parser.get_event(), text)
        place.entries.setdefault(event.value if isinstance(event, yaml.ScalarEvent) else f"*{event.anchor}", (key, value))
    return int(event.end_mark.index)


def _children(place: Place) -> list[Place]:
    return [*place.items, *(part for entry in place.entries.values() for part in entry)]


def _scalar_end(event: yaml.ScalarEvent, text: str) -> int:
    """A block of text ends with its last line; one that keeps its blank lines (`|+`) after them."""
    start, end = event.start_mark.index, int(event.end_mark.index)
    if event.style not in ("|", ">"):
        return end
    header = text[start : line_end(text, start)].partition("#")[0]
    return end if "+" in header else len(text[:end].rstrip())


# --- lines ---------------------------------------------------------------------------------------------------------


def line_end(text: str, at: int) -> int:
    """Where the line that `at` stands in ends, before its line break."""
    found = _BREAK.search(text, at)
    return found.start() if found else len(text)


def line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


def next_line(text: str, at: int) -> int:
    found = _BREAK.search(text, at)
    return found.end() if found else len(text)


def column(text: str, at: int) -> int:
    return at - line_start(text, at)


def line_break(text: str) -> str:
    """How lines of this text end: as the first one does."""
    found = _BREAK.search(text)
    return found[0] if found else "\n"
