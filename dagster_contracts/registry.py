"""Registered contracts, from Python: what `dagster-contracts publish` and `registry ...` do, for pipelines and services."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dagster_contracts.core.errors import ContractError, UsageError, did_you_mean
from dagster_contracts.core.events import Event, Report
from dagster_contracts.core.registry import Entry, Published, Registered, Use
from dagster_contracts.core.verdict import Verdict
from dagster_contracts.core.versions import read_version
from dagster_contracts.gate import Gate
from dagster_contracts.ports import ContractRegistry
from dagster_contracts.store.place import resolve_url
from dagster_contracts.validating import validate

PULLED = 100_000  # contracts


class Registry:
    """The registry in a database: `postgresql://...` or `sqlite:///...`.

    Without `url`: that of CONTRACTS_DATABASE_URL, else contracts.db in the folder DAGSTER_HOME. Nothing is opened before the first
    question. Raises UsageError where no database is named, StoreError where the url is malformed; all methods raise StoreUnavailable
    and SchemaOutOfDate as the store does.
    """

    def __init__(self, url: str | None = None):
        from dagster_contracts.store.registry import SqlRegistry

        self._url = resolve_url(url, os.environ)
        self.contracts: ContractRegistry = SqlRegistry(self._url)

    def publish(self, *paths: str | Path, author: str, consumers: Iterable[str] = (), accept_incompatible: str | None = None) -> Published:
        """Register the contracts of files and folders, all or none; what is registered already stays as it is.

        `consumers` are further names that consumers may have, `accept_incompatible` why versions that say too little are let in. Raises
        ContractError, ContractInvalid with all that is wrong.
        """
        from dagster_contracts.store.files import load_submissions

        if not author.strip() or (accept_incompatible is not None and not accept_incompatible.strip()):
            raise UsageError("author and accept_incompatible are for the record: an empty text says nothing")
        return self.contracts.publish(load_submissions(*paths), author=author, consumers=consumers, accepted=accept_incompatible)

    def get(self, name: str, at: datetime | None = None) -> Registered:
        """The version "orders@1.2.0"; of "orders" the one in force at a time, without one now. Raises UsageError where there is none."""
        contract_id, version = split_name(name)
        found = self.contracts.get(contract_id, version) if version else self.contracts.in_force(contract_id, at)
        if found is not None:
            return found
        entries = self.contracts.entries(contract_id)
        where = self.place
        if entries:
            raise UsageError(f'contract "{contract_id}" {_absent(version, entries)} ({where})')
        near = did_you_mean(contract_id, [entry.contract_id for entry in self.contracts.latest()]) or ";"
        raise UsageError(f'no contract "{contract_id}" is registered ({where}){near} `dagster-contracts publish` registers contracts')

    @property
    def place(self) -> str:
        """Where it is, in words, without any password."""
        from dagster_contracts.store.connect import parse

        return str(parse(self._url))

    def pull(self, folder: str | Path, *, force: bool = False) -> Sequence[Path]:
        """Write every contract that is in force into a folder, for definitions to be loaded with; return the files that changed.

        A file whose content was never registered is replaced with `force` alone. Raises UsageError where there is one, and where a profile
        file of a contract would stand elsewhere; nothing is written then.
        """
        from dagster_contracts.store.pulling import pull

        found = (self.contracts.in_force(entry.contract_id) for entry in self.contracts.latest(limit=PULLED))
        return pull([each for each in found if each is not None], Path(folder), None if force else self._former)

    def _former(self, contract_id: str) -> Collection[str]:
        """Every text that was registered of a contract: its own, and those of its profile files."""
        found = (self.contracts.get(contract_id, entry.version) for entry in self.contracts.entries(contract_id))
        return {text for each in found if each is not None for text in (each.text, *each.profiles.values())}

    def list(self) -> Sequence[Entry]:
        """Of each contract the version that was registered last, by id; 1,000 at most."""
        return self.contracts.latest()

    def history(self, contract_id: str) -> Sequence[Entry]:
        """Every version of a contract, newest first; 1,000 at most."""
        return self.contracts.entries(contract_id)

    def consumers(self, contract_id: str | None = None, *, of: str | None = None) -> Sequence[Use]:
        """Who consumes what, as the latest version of each contract says; `of`: what this asset consumes."""
        return self.contracts.uses(contract_id, consumer=of)

    def add_consumers(self, *names: str, author: str) -> None:
        """Make consumers known that are in no definitions and have no contract."""
        self.contracts.add_consumers(names, author=author)

    def validate(
        self,
        data: object,
        against: str,
        *,
        object_name: str | None = None,
        as_of: datetime | None = None,
        environment: str | None = None,
    ) -> Verdict:
        """What data (a frame, an ibis Table, places of files) is worth under a registered contract, such as "orders@1.2.0" or "orders".

        `as_of` is when it arrived (aware; without it, now). Nothing is recorded. Raises UsageError as `get` does.
        """
        found = self.get(against)
        moment = as_of or datetime.now(UTC)
        return validate(found.contract, data, as_of=moment, object_name=object_name, environment=environment)

    def report_violation(self, asset: str, *, reason: str, actor: str, rule: str | None = None, partition: str | None = None) -> Event:
        """Tell all who are told of events that data breaks its contract: what was seen (`reason`), and where. It moves no breaker.

        `asset` may be a breaker's key. Raises UsageError where nothing was judged for it, or a text is empty.
        """
        from dagster_contracts.engines.local import default_engine
        from dagster_contracts.recovery import report
        from dagster_contracts.store.sql import SqlStore

        if not (actor.strip() and reason.strip()):
            raise UsageError("actor and reason are for the record: an empty text says nothing")
        return report(Gate(SqlStore(self._url), default_engine()), asset, Report(actor, reason, rule, partition))


def _absent(version: str, entries: Sequence[Entry]) -> str:
    """Why a contract with these versions has none that was asked for, and what to do."""
    listed = ", ".join(f"{entry.version} ({entry.status})" for entry in entries[:10])
    if version:
        return f'has no version "{version}" in the registry; registered are {listed}'
    if any(entry.binding for entry in entries):
        return f"has no version that is in force then; registered are {listed}"
    example = f"{entries[0].contract_id}@{entries[0].version}"
    return f"is never in force: registered are {listed}; publish a later minor version with `status: active`, or name one: {example}"


def split_name(name: str) -> tuple[str, str]:
    """The id and version of "orders@1.2.0"; an id alone has no version."""
    contract_id, _, version = name.rpartition("@")
    return (contract_id, version) if is_version(name) else (name, "")


def is_version(name: str) -> bool:
    """Whether it ends in an @ and a version."""
    contract_id, _, version = name.rpartition("@")
    try:
        return bool(contract_id) and read_version(version) is not None
    except ContractError:
        return False
