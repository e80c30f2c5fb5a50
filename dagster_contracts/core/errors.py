"""What can go wrong, and whether trying again helps.

DagsterContractsError
├── ContractError              the contract, or how it is attached, is wrong: fix the file
│   ├── ContractSyntaxError    the file is not safe, readable YAML
│   ├── ContractInvalid        readable, but breaks the standard or our rules; `.problems` has all of them
│   ├── IncompatibleChange     a new version would break a consumer
│   └── Unsatisfiable          no data was found that keeps all of its rules
├── MeasurementError           data could not be read or measured; never means that the data is bad
├── StoreError
│   ├── StoreUnavailable       out of reach right now: try again
│   ├── LostRace               somebody else changed the breaker first: load and decide again
│   └── SchemaOutOfDate        the database needs `dagster-contracts db upgrade`
├── StorageError               data could not be written to, or read from, where it lies
│   ├── StorageUnreachable     out of reach right now: try again
│   └── LostWrite              another run has written the same place first: nothing was overwritten; run again
├── DeliveryFailed             a sink could not tell all events; the rest waits in the outbox
├── UsageError                 the caller named something that does not exist or may not be done; `.hint` says what to do
└── Halted                     a consumer may not read: its upstream is open and its fallback is to halt
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


class DagsterContractsError(Exception):
    """Root of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one contract file.

    `path` is the place in the document ("schema[0].properties[2].logicalType"), `line` the 1-based line where it stands.
    """

    path: str
    message: str
    line: int | None = None
    source: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line) if part is not None)
        return " ".join(part for part in (f"{place}:" if place else "", f"{self.path}:" if self.path else "", self.message) if part)


class ContractError(DagsterContractsError):
    """A contract, or how it is attached to an asset, is wrong."""


class ContractSyntaxError(ContractError):
    """The file is not safe, readable YAML (or JSON). `line` and `column` are 1-based, None where the place is unknown."""

    def __init__(self, message: str, *, source: str | None = None, line: int | None = None, column: int | None = None):
        place = ":".join(str(part) for part in (source, line, column) if part is not None)
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.source = source
        self.line = line
        self.column = column


class ContractInvalid(ContractError):
    """A readable contract that breaks the standard or our rules. `problems` lists everything at once."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) != 1 else "")
        super().__init__("\n".join([f"{count} found:", *(f"  - {problem}" for problem in self.problems)]))


class IncompatibleChange(ContractError):
    """A new contract version would break a consumer."""


class Unsatisfiable(ContractError):
    """No data was found that keeps all rules of a contract: some contradict each other, or data cannot be made for them."""


class MeasurementError(DagsterContractsError):
    """Data could not be read or measured. Says nothing about whether the data is good."""


class StoreError(DagsterContractsError):
    """The breaker store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store is out of reach right now. Trying again can help."""


class LostRace(StoreError):
    """Another process changed the breaker between load and save. Load again and decide anew."""


class SchemaOutOfDate(StoreError):
    """The database's tables are not of this version. Trying again does not help."""


class StorageError(DagsterContractsError):
    """Data could not be written to, or read from, where it lies."""


class StorageUnreachable(StorageError):
    """Where the data lies cannot be reached right now. Says nothing of the data: try again."""


class LostWrite(StorageError):
    """Another run has written the same place since this one looked. Nothing was overwritten."""


class DeliveryFailed(DagsterContractsError):
    """A sink could not tell all events it was given. `delivered` are the ids of those that it did tell.

    `retry_after`: how long the outside system asked to be left alone; None where it did not say.
    """

    def __init__(self, message: str, *, delivered: Iterable[str] = (), retry_after: timedelta | None = None):
        super().__init__(message)
        self.delivered = frozenset(delivered)
        self.retry_after = retry_after


class UsageError(DagsterContractsError):
    """The caller named something that does not exist, or asked for what may not be done now."""


class Halted(DagsterContractsError):
    """A consumer may not read its upstream now.

    Attributes: `key` of the breaker, `since` when it opened, `retry_after` when the next probe may run (both aware UTC, None if
    unknown), `findings` one-line descriptions of what failed.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str,
        since: datetime | None = None,
        retry_after: datetime | None = None,
        findings: Iterable[str] = (),
    ):
        super().__init__(message)
        self.key = key
        self.since = since
        self.retry_after = retry_after
        self.findings = tuple(findings)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean "x"?` for the nearest of `known`, or the empty string where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""
