"""Text of numbers, booleans and times in one spelling for each value, so that equal values are equal text."""

from __future__ import annotations

from typing import Any

import ibis

from dagster_contracts.engines.pushdown import text as reading
from dagster_contracts.engines.pushdown.values import Values, matching
from dagster_contracts.engines.text_forms import DATE_ONLY


def spelled(values: Values, logical: str | None) -> Any:
    """The values as they are judged; text that stands for a number, boolean, date, timestamp or time in the database's own spelling."""
    text, dialect = values.plain, values.dialect
    if not values.is_text:
        return text
    match logical:
        case "number":
            return reading.spelled_alike(text, dialect)
        case "boolean":
            word = reading.trimmed(text, dialect).lower()
            return ibis.ifelse(word.isin(["true", "false"]), word, text)
        case "date":
            return ibis.ifelse(matching(text, DATE_ONLY, dialect), text.substr(0, 10), text)
        case "timestamp":
            zoned = ibis.ifelse(text.substr(16).re_search("[Zz+-]"), "Z", "")
            return ibis.coalesce(reading.instant(text, dialect).cast("string") + zoned, text)
        case "time":
            return ibis.coalesce(reading.clock(text, dialect).cast("string"), text)
        case _:
            return text
