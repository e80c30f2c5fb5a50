"""Plain values -> YAML (or JSON) text that stands within another. Pure.

What `document.read` would take for something else is quoted. Mappings are written over several lines, lists of few scalars in one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from dagster_contracts.core.document import read
from dagster_contracts.core.errors import ContractSyntaxError
from dagster_contracts.core.precise import Precise

_WIDE = 100  # characters of a list that is written in one line


@dataclass(frozen=True, slots=True)
class Layout:
    """How a document is laid out: line breaks, spaces by which a mapping stands within another, and a list's dash within its key."""

    line_break: str = "\n"
    step: int = 2
    dash: int = 0
    json: bool = False  # the document is JSON, and stays it


def scalar(value: object, *, quote: str = "", within_flow: bool = True) -> str:
    """Text that reads as `value`; text in the quotes `quote` (' or ") where it can be."""
    if not isinstance(value, str):
        return _number(value)
    if quote == '"' or "\n" in value or "\r" in value:
        return json.dumps(value, ensure_ascii=False)
    if quote == "'":
        return "'" + value.replace("'", "''") + "'"
    dumped = yaml.safe_dump([value] if within_flow else value, width=2**31, allow_unicode=True, default_flow_style=True)
    plain = dumped.strip()[1:-1] if within_flow else dumped.removesuffix("...\n").rstrip("\n")
    return plain if "\n" not in plain and _reads_as(plain, value) else json.dumps(value, ensure_ascii=False)


def _number(value: object) -> str:
    if isinstance(value, float) and value != value:
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value == float("inf") else "-.inf"
    return str(value) if isinstance(value, Precise) else json.dumps(value)


def _reads_as(text: str, value: object) -> bool:
    try:
        return read(text).value == value
    except ContractSyntaxError:
        return False


def flow(value: object, layout: Layout) -> str:
    """Everything in one line: `{metric: psi, mustBeLessThan: 0.25}`."""
    if layout.json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(part, layout)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(flow(part, layout) for part in value)}]"
    return scalar(value)


def entry(key: str, value: object, indent: int, layout: Layout) -> str:
    """`key: value` over as many lines as it takes, without the indentation of the first, nor the last line break."""
    return f"{scalar(key, within_flow=False)}:{after_key(value, indent, layout)}"


def after_key(value: object, indent: int, layout: Layout) -> str:
    """What stands after the colon of a key at the column `indent`."""
    if isinstance(value, Mapping) and value:
        deeper = indent + layout.step
        return _line(deeper, layout) + _line(deeper, layout).join(entry(key, part, deeper, layout) for key, part in value.items())
    if _is_long(value, layout):
        assert isinstance(value, Sequence)
        deeper = indent + layout.dash
        return _line(deeper, layout) + _line(deeper, layout).join(item(part, deeper, layout) for part in value)
    return f" {one_line(value, layout)}"


def item(value: object, indent: int, layout: Layout) -> str:
    """`- value`, with its dash at the column `indent`."""
    inner = indent + 2
    if isinstance(value, Mapping) and value:
        return "- " + _line(inner, layout).join(entry(key, part, inner, layout) for key, part in value.items())
    return f"- {one_line(value, layout)}"


def one_line(value: object, layout: Layout) -> str:
    return flow(value, layout) if isinstance(value, Mapping | list | tuple) else scalar(value, within_flow=False)


def _is_long(value: object, layout: Layout) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    return any(isinstance(part, Mapping | list | tuple) for part in value) or len(flow(value, layout)) > _WIDE


def _line(indent: int, layout: Layout) -> str:
    return layout.line_break + " " * indent
