"""What text may look like to be a date, a time or a truth value: one regular expression each, in what every engine's dialect has."""

from __future__ import annotations

from dagster_contracts.core.formats import DATE

# ISO 8601 as one expression, leap years included: one pass over the text, where a parser would take a second one.
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
_OFFSET = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
TIMESTAMP = f"^{DATE}(?:[T ]{_CLOCK}{_OFFSET}?)?$"
DATE_ONLY = f"^{DATE}(?:[T ]00:00(?::00(?:[.,]0{{1,9}})?)?{_OFFSET}?)?$"
TIME = f"^{_CLOCK}{_OFFSET}?$"
TRUE_FALSE = r"(?i)^\s*(?:true|false)\s*$"

# By whether a time zone must be there (True), must not (False), or may (None).
TIMESTAMPS = {None: TIMESTAMP, True: f"^{DATE}[T ]{_CLOCK}{_OFFSET}$", False: f"^{DATE}(?:[T ]{_CLOCK})?$"}
TIMES = {None: TIME, True: f"^{_CLOCK}{_OFFSET}$", False: f"^{_CLOCK}$"}
