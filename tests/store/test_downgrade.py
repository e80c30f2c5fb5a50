"""The way back: tables of earlier revisions, with everything that they have a place for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, inspect, select, text

from dagster_contracts.core.errors import SchemaOutOfDate, StoreError
from dagster_contracts.core.ledger import OutputStatus, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Overdue
from dagster_contracts.core.windows import Part
from dagster_contracts.store.registry import SqlRegistry
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import VERSION_TABLE, metadata
from dagster_contracts.store.upgrade import NOTHING, REQUIRED_REVISION, REVISIONS, current_revision, downgrade, upgrade
from tests.store.test_registry import consumed_by, submission
from tests.store.values import DAY, T0, batch, breaker, day, numbered, output, review, route, transition

Content = dict[str, list[dict[str, Any]]]


def fill(url: str) -> None:
    """Some rows in every table."""
    store = SqlStore(url)
    for number in range(1, 4):
        changed, events = numbered(
            breaker(f"feed{number}", overdue=(Overdue("sla", T0, T0 + DAY),), incident=number, contents=("a",)), "one", 'two "\x00"'
        )
        made = batch(f"b{number}", day(number))
        store.save(
            Change(
                changed,
                (transition(f"feed{number}"),),
                (made,),
                (output(f"o{number}", OutputStatus.DEGRADED, day(number)),),
                (review(f"o{number}"),),
                events,
                (KeptProfile(f"b{number}", ProfileOf("amount"), NumericProfile((1.0,), (2,))),),
                (Part(f"b{number}", f"feed{number}", T0, "1.0.0", {"rows": 1}),),
            )
        )
        store.decide(StepKey("run", f"step{number}"), "scores", route(requested=day(number)))
    # What no method of the store writes in this test gets a row of its own.
    engine = create_engine(url)
    with engine.begin() as connection:
        for name in ("contracts_cursors", "contracts_threads"):
            table = metadata.tables[name]
            known = {"sink": "slack", "key": "feed1", "incident": "feed1#1", "thread": {"ts": "1"}, "sequence": 2, "updated_at": T0}
            connection.execute(table.insert().values({c.name: known[c.name] for c in table.columns if not c.nullable and c.name in known}))
    engine.dispose()


def content(url: str) -> Content:
    """Every row of every table of ours, as the database itself holds it."""
    engine = create_engine(url)
    found = MetaData()
    found.reflect(engine, only=lambda name, _: name.startswith("contracts_"))
    with engine.connect() as connection:
        rows = {
            table.name: sorted((dict(row) for row in connection.execute(select(table)).mappings()), key=repr)
            for table in found.tables.values()
        }
    engine.dispose()
    return rows


def shape(url: str) -> Mapping[str, object]:
    """Tables, columns and indexes."""
    engine = create_engine(url)
    inspector = inspect(engine)
    names = [name for name in inspector.get_table_names() if name != "alembic_version"]
    found = {
        name: (
            sorted((str(column["name"]), str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)),
            sorted((str(index["name"]), str(index["column_names"])) for index in inspector.get_indexes(name)),
        )
        for name in names
    }
    sequences = inspector.get_sequence_names() if engine.dialect.name == "postgresql" else []
    engine.dispose()
    return {**found, "sequences": [name for name in sequences if name == "contracts_arrivals"]}


def shared(old: Content, new: Content) -> tuple[Content, Content]:
    """Both contents, cut to the tables and columns that both have."""

    def cut(content: Content) -> Content:
        return {
            name: sorted(({key: row[key] for key in row if key in old[name][0] and key in new[name][0]} for row in content[name]), key=repr)
            for name in old
            if name in new and old[name] and new[name]
        }

    return cut(old), cut(new)


def test_what_the_earlier_tables_have_a_place_for_is_unchanged_down_and_up(url: str) -> None:
    fill(url)
    SqlRegistry(url).publish([submission(extra=consumed_by("orders"))], author="ann")
    before = content(url)
    assert [name for name, rows in before.items() if not rows] == []
    for revision in reversed(REVISIONS[:-1]):
        downgrade(url, revision, force=True)
        assert current_revision(url) == revision
        old, new = shared(before, content(url))
        assert len(new) >= 7
        assert old == new
    first = content(url)
    upgrade(url)
    old, new = shared(first, content(url))
    assert len(new) >= 7
    assert old == new
    store = SqlStore(url)
    assert [found.key for found in store.breakers()] == ["feed1", "feed2", "feed3"]
    store.save(Change(batches=(batch("b4", day(4)),)))
    newest = store.batch("b4")
    assert newest is not None
    assert newest.sequence == 4  # arrivals are numbered on


@pytest.mark.parametrize("to", ["0004", "0001", NOTHING])
def test_registered_contracts_are_not_dropped_by_the_way(url: str, to: str) -> None:
    registry = SqlRegistry(url)
    registry.publish([submission(extra=consumed_by("orders")), submission("stock")], author="ann")
    registry.add_consumers(["vendor/feed"], author="ann")
    before = content(url)
    names = len(registry.consumers())
    lost = f"2 registered versions of 2 contracts and {names} names of consumers.* `dagster-contracts registry pull FOLDER`"
    with pytest.raises(StoreError, match=lost):
        downgrade(url, to)
    assert content(url) == before
    assert downgrade(url, REQUIRED_REVISION) == REQUIRED_REVISION
    assert downgrade(url, to, force=True) == REQUIRED_REVISION


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_going_back_makes_the_tables_that_going_forward_made(url: str, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    downgrade(url, NOTHING)
    monkeypatch.setattr("dagster_contracts.store.upgrade.REQUIRED_REVISION", revision)
    upgrade(url)
    monkeypatch.undo()
    expected = shape(url)
    upgrade(url)
    fill(url)
    assert downgrade(url, revision) == REQUIRED_REVISION
    assert shape(url) == expected


def test_before_the_first_revision_nothing_of_ours_is_left(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE somebody_elses (id INTEGER)"))
    engine.dispose()
    fill(url)
    downgrade(url, NOTHING)
    assert set(shape(url)) == {"somebody_elses", "sequences"}
    assert shape(url)["sequences"] == []
    assert current_revision(url) is None
    upgrade(url)
    assert VERSION_TABLE in shape(url)


def test_what_cannot_be_gone_back_to_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match='no revision "0099" of the tables; there are 0001, 0002'):
        downgrade(url, "0099")
    downgrade(url, "0002")
    with pytest.raises(StoreError, match="is at revision 0002, before 0003"):
        downgrade(url, "0003")
    assert downgrade(url, "0002") == "0002"
    with pytest.raises(SchemaOutOfDate):
        SqlStore(url).breakers()
    downgrade(url, NOTHING)
    with pytest.raises(StoreError, match="no tables of ours"):
        downgrade(url, "0001")
    with pytest.raises(StoreError, match="does not exist"):
        downgrade("sqlite:////nowhere/store.db", "0001")
    upgrade(url)
    monkeypatch.setattr("dagster_contracts.store.upgrade.REVISIONS", REVISIONS[:-1])
    monkeypatch.setattr("dagster_contracts.store.upgrade.REQUIRED_REVISION", REVISIONS[-2])
    with pytest.raises(SchemaOutOfDate, match="db downgrade --to"):
        downgrade(url, "0002")
