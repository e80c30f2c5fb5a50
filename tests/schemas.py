"""The published JSON schemas of docs/schemas, and whether they say everything of a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def assert_described(name: str, document: Any) -> None:
    """Raises jsonschema.ValidationError where the document breaks its schema, or has a key that the schema does not name."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(_closed(schema)).validate(document)


def _closed(part: Any) -> Any:
    """The schema with every object closed. As published they let keys be added."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _closed(value) for key, value in part.items()}
    is_object = isinstance(made.get("properties"), dict) and made.get("type") == "object"
    return {**made, "additionalProperties": False} if is_object else made
