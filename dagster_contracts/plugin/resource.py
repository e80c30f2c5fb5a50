"""Where breakers are kept: the one thing to configure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict

from dagster_contracts.core.errors import StoreError, StoreUnavailable
from dagster_contracts.plugin.private import instances
from dagster_contracts.ports import Clock, Store

if TYPE_CHECKING:
    from dagster_contracts.store.connect import Address


def shows_a_password(url: str) -> bool:
    """Whether a url is given as it stands and holds one: Dagster shows a resource's configuration to all who may see its pages."""
    return not isinstance(url, dg.EnvVar) and bool(url) and bool(_address(url).secrets)


def require_form(url: str) -> None:
    """Raises StoreError, without quoting it, where a url is given as it stands and is none of a database that can be used."""
    if url and not isinstance(url, dg.EnvVar):
        _address(url)


def resolved(url: str) -> str:
    """The url, with an environment variable looked up now. Raises StoreError where that variable is not set."""
    if not isinstance(url, dg.EnvVar):
        return url
    value = url.get_value()
    if not value:
        raise StoreError(
            f"environment variable {url.env_var_name} names the breaker database and is not set; set it to a SQLAlchemy url, "
            "or leave BreakerResource(url=...) out for SQLite beside the Dagster instance"
        )
    return value


def shown_url(url: str) -> str:
    """As a representation may show it."""
    return url if isinstance(url, dg.EnvVar) or not url else _without_password(url)


def _address(url: str) -> Address:
    from dagster_contracts.store.connect import parse

    return parse(url)


def _without_password(url: str) -> str:
    try:
        return str(_address(url))
    except StoreError:
        return "(malformed)"


class BreakerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database of breakers, ledger and outbox.

    `url` is a SQLAlchemy url (`postgresql+psycopg://...` or `sqlite:///...`), or empty: then SQLite beside the Dagster instance,
    where all runs share this machine (the default run launcher); memory for ephemeral instances; elsewhere gates halt and say
    that a url is needed, since every run would have its own, silently closed, breaker.

    `cache_seconds`: how old what a route is decided on may be, at most. 0, the default: not at all, each decision asks the database. With
    more, a process asks once per place and time, and a trip is seen up to that much later: until then a consumer may read the batch that
    tripped, or a later one, as fresh.
    """

    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")
    url: str = ""
    cache_seconds: float = 0.0

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "url", shown_url(self.url)

    def shows_a_password(self) -> bool:
        """Whether `url` holds one as it stands, for all to see who may see Dagster's pages; an EnvVar does not."""
        return shows_a_password(self.url)

    def store(self, instance: dg.DagsterInstance, clock: Clock) -> Store:
        """The store for an instance. Constructing it connects to nothing. Raises StoreUnavailable where there is no safe default."""
        from dagster_contracts.store.recent import keeping_recent

        return keeping_recent(self._store(instance, clock), self.cache_seconds)

    def _store(self, instance: dg.DagsterInstance, clock: Clock) -> Store:
        from dagster_contracts.store.sql import SqlStore

        if (url := self.url_for(instance)) is not None:
            return SqlStore(url, clock=clock)
        from dagster_contracts.store.memory import MemoryStore

        dg.get_dagster_logger("contracts").info("no database url and an ephemeral instance: breakers are kept in memory")
        return MemoryStore(clock=clock)

    def url_for(self, instance: dg.DagsterInstance) -> str | None:
        """Where the breakers of an instance are; None where they are in memory. Raises StoreUnavailable where there is no safe default."""
        from dagster_contracts.store.place import url_beside

        if url := self.resolved_url():
            return url
        if instance.is_ephemeral:
            return None
        if instances.runs_on_this_machine(instance):
            return url_beside(instance.root_directory)
        launcher = type(instance.run_launcher).__name__
        raise StoreUnavailable(
            f"no database url, and runs are launched by {launcher}, possibly on other machines: each would have its own breaker. "
            "Set BreakerResource(url=...) to a PostgreSQL database that all runs reach."
        )

    def resolved_url(self) -> str:
        """The url, with an environment variable looked up now. Raises StoreError where that variable is not set."""
        return resolved(self.url)
