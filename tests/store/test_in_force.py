"""What a process knows of contracts in force: asked once in a stated time, the last known goes on while the registry is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.errors import StoreError
from dagster_contracts.store.in_force import InForce
from dagster_contracts.store.registry import SqlRegistry
from dagster_contracts.store.upgrade import upgrade
from tests.servers import Server
from tests.store.test_registry import publish, submission
from tests.wire import wire


@dataclass
class Seconds:
    at: float = 0.0

    def __call__(self) -> float:
        return self.at


def version(known: InForce, contract_id: str = "orders") -> str | None:
    found = known.contract(contract_id).registered
    return found.entry.version if found is not None else None


def test_a_new_version_is_seen_after_the_time_to_live(tmp_path: Path) -> None:
    registry, clock = SqlRegistry(f"sqlite:///{tmp_path}/c.db"), Seconds()
    known = InForce(registry, 60, clock)
    assert (known.hit_ratio, version(known)) == (None, None)
    clock.at = 60
    publish(registry, submission())
    assert version(known) == "1.0.0"
    publish(registry, submission("orders", "2.0.0"))
    clock.at = 119.9
    assert version(known) == "1.0.0"
    clock.at = 120
    assert (version(known), known.hit_ratio) == ("2.0.0", 0.25)


def test_the_last_known_goes_on_while_the_registry_is_away(server_of: Callable[[int], Server], caplog: pytest.LogCaptureFixture) -> None:
    server = server_of(18)
    database = server.emptied()
    upgrade(server.url(database))
    publish(SqlRegistry(server.url(database)), submission())
    clock = Seconds()
    with wire(server.folder) as line:
        known = InForce(SqlRegistry(server.url(database, host="127.0.0.1", port=str(line.port))), 60, clock)
        assert (version(known), known.contract("orders").unreachable) == ("1.0.0", "")
        line.cut()
    clock.at = 60
    with caplog.at_level(logging.WARNING, "dagster_contracts.registry"):
        assert version(known) == "1.0.0"
        assert "the registry is out of reach" in known.contract("orders").unreachable
        assert (version(known, "never seen"), known.contract("never seen").unreachable[:8]) == (None, "the regi")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2  # once in a time to live, each
    assert "orders@1.0.0, last known, goes on" in told[0]


def test_what_trying_again_does_not_mend_is_raised(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        InForce(SqlRegistry(f"sqlite:///{tmp_path}/folder")).contract("orders")


@settings(max_examples=15)  # each makes a database
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12))
def test_what_is_known_is_never_older_than_the_time_to_live(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    """Time passes, and sometimes a version is published: what is in force is seen at the latest 30 seconds later."""
    registry, clock = SqlRegistry(f"sqlite:///{tmp_path_factory.mktemp('registry')}/c.db"), Seconds()
    known = InForce(registry, 30, clock)
    published: list[tuple[float, str]] = []
    for passed, adds in steps:
        clock.at += passed
        if adds:
            published.append((clock.at, f"{len(published) + 1}.0.0"))
            publish(registry, submission("orders", published[-1][1]))
        due = [name for at, name in published if at <= clock.at - 30]
        seen = version(known)
        assert (seen is None and not due) or seen in [name for _, name in published][max(0, len(due) - 1) :]
