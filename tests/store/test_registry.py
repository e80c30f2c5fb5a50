"""The registry: a version is registered once and never changed; all that is published together, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text

from dagster_contracts.core.errors import ContractInvalid, StoreUnavailable, UsageError
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.profile_files import to_text
from dagster_contracts.core.registry import Published, Submission
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.files import load_submissions
from dagster_contracts.store.pulling import pull
from dagster_contracts.store.registry import SqlRegistry
from dagster_contracts.store.tables import uses, versions

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


def document(name: str = "orders", version: str = "1.0.0", *, maximum: int = 10, status: str = "active", extra: str = "") -> str:
    return f"""\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: '{version}'
status: {status}
team: {{name: shop}}
schema:
  - name: {name}
    properties:
      - name: amount
        logicalType: integer
        logicalTypeOptions: {{maximum: {maximum}}}
{extra}"""


def consumed_by(*names: str) -> str:
    listed = ", ".join(f"{{asset: {name}, fallback: halt}}" for name in names)
    return f"customProperties: [{{property: circuitBreaker, value: {{consumers: [{listed}]}}}}]\n"


def valid_from(moment: str) -> str:
    return f"customProperties: [{{property: validFrom, value: '{moment}'}}]\n"


def submission(*arguments: str, **options: object) -> Submission:
    written = document(*arguments, **options)  # type: ignore[arg-type]
    contract = parse(written, source=f"{arguments}.yaml")
    return Submission(contract, written)


@pytest.fixture
def registry(url: str) -> SqlRegistry:
    return SqlRegistry(url, clock=FixedClock(NOW))


def publish(registry: SqlRegistry, *given: Submission, **options: str) -> Published:
    return registry.publish(given, author="ann", **options)  # type: ignore[arg-type]


def refused(registry: SqlRegistry, *given: Submission) -> list[str]:
    """What is wrong, and that nothing was registered for it."""
    before = registry.entries()
    with pytest.raises(ContractInvalid) as raised:
        publish(registry, *given)
    assert registry.entries() == before
    return [problem.message for problem in raised.value.problems]


def test_what_is_registered_is_found_as_it_was_written(registry: SqlRegistry) -> None:
    first, second = submission(extra=consumed_by("customers")), submission("customers")
    (entry, _) = publish(registry, first, second).new
    assert (entry.name, entry.author, entry.producer, entry.published_at) == ("orders@1.0.0", "ann", "shop", NOW)
    found = registry.get("orders", "1.0.0")
    assert found is not None
    assert (found.entry, found.text) == (entry, first.text)
    assert found.contract.content_hash == entry.content_hash == first.contract.content_hash
    assert found.contract == replace(first.contract, source="registry:orders@1.0.0")
    assert (registry.get("orders", "2.0.0"), registry.get("order", "1.0.0"), registry.in_force("order")) == (None, None, None)


def test_publishing_again_changes_nothing(registry: SqlRegistry) -> None:
    both = submission(), submission("orders", "1.0.1", maximum=9)
    first = publish(registry, *both)
    again = publish(registry, *reversed(both))
    assert (again.new, again.unchanged) == ((), first.new)
    assert list(registry.entries("orders")) == list(reversed(first.new))


def test_a_registered_version_is_never_changed(registry: SqlRegistry) -> None:
    publish(registry, submission())
    (told,) = refused(registry, submission(maximum=9), submission("other"))
    assert "registered on 2026-11-01 06:00Z by ann with another content" in told


def test_a_version_that_goes_backwards_is_refused(registry: SqlRegistry) -> None:
    publish(registry, submission("orders", "1.10.0"))
    (told,) = refused(registry, submission("orders", "1.9.0"), submission("other"))
    assert "comes after 1.10.0" in told


@pytest.mark.parametrize("version", ["1.0", "v1.0.0"])
def test_one_version_written_in_two_ways_is_one(registry: SqlRegistry, version: str) -> None:
    (told,) = refused(registry, submission(), submission("orders", version, maximum=9))
    assert "a version is registered once" in told
    publish(registry, submission())
    (told,) = refused(registry, submission("orders", version))
    assert "is the version 1.0.0 of contract" in told


def test_a_version_without_an_order_is_refused(registry: SqlRegistry) -> None:
    (told,) = refused(registry, submission("orders", "spring"))
    assert "expected MAJOR.MINOR.PATCH" in told


def test_a_version_that_says_too_little_is_let_in_with_a_reason_alone(registry: SqlRegistry) -> None:
    publish(registry, submission())
    loosened = submission("orders", "1.1.0", maximum=11)
    (told,) = refused(registry, loosened, submission("other"))
    assert "a breaking change needs a major version" in told
    assert "orders.amount.maximum" in told
    accepted, untouched = publish(registry, loosened, submission("other"), accepted="nobody reads it").new
    assert (accepted.accepted, untouched.accepted) == ("nobody reads it", None)


def test_each_version_of_one_publication_is_compared_with_the_one_before(registry: SqlRegistry) -> None:
    (told,) = refused(registry, submission("orders", "1.1.0", maximum=12), submission(), submission("orders", "2.0.0", maximum=11))
    assert "1.0.0 to 1.1.0 is a minor one" in told


def test_a_consumer_must_be_known(registry: SqlRegistry) -> None:
    (told,) = refused(registry, submission(extra=consumed_by("custmers")), submission("customers"))
    assert 'did you mean "customers"?' in told
    given = submission(extra=consumed_by("here", "registered", "customers", "orders")), submission("customers")
    registry.add_consumers(["registered"], author="ann")
    registry.add_consumers(["registered"], author="bob")
    assert len(registry.publish(given, author="ann", consumers=["here"]).new) == 2
    assert list(registry.consumers()) == ["customers", "orders", "registered"]
    publish(registry, submission("invoices", extra=consumed_by("orders")))


def test_who_consumes_what_is_what_the_latest_version_says(registry: SqlRegistry) -> None:
    registry.add_consumers(["a", "b"], author="ann")
    publish(registry, submission(extra=consumed_by("a", "b")), submission("stock", extra=consumed_by("a")))
    publish(registry, submission("orders", "2.0.0", extra=consumed_by("b")))
    found = [(use.contract_id, use.version, use.consumer) for use in registry.uses()]
    assert found == [("orders", "2.0.0", "b"), ("stock", "1.0.0", "a")]
    assert [use.contract_id for use in registry.uses(consumer="a")] == ["stock"]
    assert [use.consumer for use in registry.uses("orders")] == ["b"]


# --- what is in force ----------------------------------------------------------------------------------------------


def in_force(registry: SqlRegistry, at: datetime) -> str | None:
    found = registry.in_force("orders", at)
    return found.entry.version if found else None


def test_a_version_is_in_force_from_its_publication_until_a_later_one_is(url: str) -> None:
    clock = FixedClock(NOW)
    registry, hour = SqlRegistry(url, clock=clock), timedelta(hours=1)
    publish(registry, submission())
    clock.at = NOW + 2 * hour
    publish(
        registry, submission("orders", "2.0.0", extra="customProperties: [{property: validFrom, value: '2026-11-01T12:00:00+02:00'}]\n")
    )
    publish(registry, submission("orders", "3.0.0", status="draft"))
    moments = [NOW - hour, NOW, NOW + 4 * hour - timedelta(microseconds=1), NOW + 4 * hour, NOW + 40 * hour]
    assert [in_force(registry, at) for at in moments] == [None, "1.0.0", "1.0.0", "2.0.0", "2.0.0"]
    clock.at = NOW + 3 * hour
    publish(registry, submission("orders", "4.0.0"))  # overtakes the one that waits
    assert [in_force(registry, at) for at in moments] == [None, "1.0.0", "4.0.0", "4.0.0", "4.0.0"]


def test_without_a_time_the_database_says_what_is_in_force(url: str) -> None:
    registry = SqlRegistry(url)
    publish(registry, submission())
    publish(registry, submission("orders", "2.0.0", extra=valid_from("2999-01-01")))
    found = registry.in_force("orders")
    assert found is not None
    assert found.entry.version == "1.0.0"


# --- at once, and out of reach -------------------------------------------------------------------------------------


def test_publishers_at_once_take_turns(url: str) -> None:
    together = threading.Barrier(4)
    failed: list[BaseException] = []

    def add(number: int) -> None:
        together.wait()
        try:
            publish(SqlRegistry(url), submission(f"c{number}"), submission(f"d{number}"))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(entry.number for entry in SqlRegistry(url).entries()) == list(range(1, 9))


def test_two_contents_at_once_are_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what one publisher has seen and what it writes, another registers the same version."""
    registry, add = SqlRegistry(url), SqlRegistry._add
    met: list[int] = []

    def meets(self: SqlRegistry, *given: object) -> object:
        if not met:
            met.append(1)
            publish(SqlRegistry(url), submission(maximum=9))
        return add(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(SqlRegistry, "_add", meets)
    with pytest.raises(ContractInvalid, match="another content"):
        publish(registry, submission())
    assert [entry.version for entry in registry.entries()] == ["1.0.0"]


def test_reading_creates_nothing(tmp_path: Path) -> None:
    registry = SqlRegistry(f"sqlite:///{tmp_path}/c.db")
    assert (registry.get("a", "1"), registry.in_force("a"), list(registry.latest()), list(registry.uses())) == (None, None, [], [])
    assert list(tmp_path.iterdir()) == []


def test_out_of_reach_is_said() -> None:
    with pytest.raises(StoreUnavailable):
        SqlRegistry("postgresql://nobody@127.0.0.1:1/none").in_force("orders")


# --- how much it takes ---------------------------------------------------------------------------------------------


@pytest.fixture
def filled(url: str) -> Iterator[SqlRegistry]:
    """10,000 versions: 100 of each of 100 contracts."""
    registry = SqlRegistry(url, clock=FixedClock(NOW))
    publish(registry, submission("c0"))
    found = registry.get("c0", "1.0.0")
    assert found is not None
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    columns = ", ".join(column.name for column in versions.columns)
    given = {"contract_id": "'c' || (n % 100)", "version": "(n / 100) || '.0.0'", "number": "n"}
    values = ", ".join(given.get(column.name, column.name) for column in versions.columns)
    numbers = "WITH RECURSIVE many(n) AS (SELECT 200 UNION ALL SELECT n + 1 FROM many WHERE n < 10198)"
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {versions.name} ({columns}) {numbers} SELECT {values} FROM many, {versions.name}"))
        connection.execute(text("ANALYZE"))
    yield registry
    engine.dispose()


def test_one_indexed_query_finds_a_version_among_ten_thousand(filled: SqlRegistry, url: str) -> None:
    from dagster_contracts.store.registry import _AT, _EXACT

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    postgres = engine.dialect.name == "postgresql"
    at = NOW if postgres else "2026-11-01T06:00:00.000000Z"
    with engine.connect() as connection:
        for statement, values, index in (
            (_EXACT, {"contract_id": "c7", "version": "9.0.0"}, "contracts_versions_pkey"),
            (_AT, {"contract_id": "c7", "at": at}, "contracts_versions_of_contract"),
        ):
            if postgres:
                shown = statement.postgres.sql
                for place, name in enumerate(statement.postgres.parameters, 1):
                    value = {**statement.postgres.constants, **values}[name]
                    shown = shown.replace(f"${place}", f"'{value}'" if not isinstance(value, int) else str(value))
                plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {shown}"))
                assert f"{index} on" in plan
                assert "Seq Scan" not in plan
            else:
                found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sqlite.sql}", tuple(statement.sqlite.given(values)))
                plan = "\n".join(row[3] for row in found)
                assert "SEARCH" in plan
                assert "SCAN contracts_versions" not in plan
                assert "TEMP B-TREE" not in plan
    engine.dispose()


def test_a_lookup_is_one_statement(filled: SqlRegistry) -> None:
    filled.get("c7", "9.0.0")  # the tables' revision is looked at once
    engine = filled._database._engine
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    found, force = filled.get("c7", "9.0.0"), filled.in_force("c7")
    assert found is not None
    assert force is not None
    assert force.entry.number == 10107
    if engine.dialect.name == "sqlite":  # PostgreSQL is asked through the wire, where one read is one statement (store/database.py)
        assert [sql for sql in asked if sql != "BEGIN"] == asked[1::2]
    assert uses.name not in " ".join(asked)


# --- files ---------------------------------------------------------------------------------------------------------


def test_profile_files_are_registered_with_the_contract_that_names_them(registry: SqlRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "written"
    folder.mkdir()
    rule = "{metric: psi, mustBeLessThan: 1, reference: {file: amount.json}}"
    quality = f"        quality: [{{type: custom, engine: dagster-contracts, implementation: {rule}}}]\n"
    profile = to_text("orders", 3, {("amount", False): NumericProfile((1.0,), (3,))})
    (folder / "orders.odcs.yaml").write_text(document() + quality)
    (folder / "amount.json").write_text(profile)
    given = load_submissions(folder)
    publish(registry, *given)
    found = registry.get("orders", "1.0.0")
    assert found is not None
    assert found.contract.objects == given[0].contract.objects
    assert (found.profiles, found.entry.content_hash) == ({"amount.json": profile}, given[0].contract.content_hash)
    assert {path.name for path in pull([found], tmp_path / "pulled")} == {"orders.odcs.yaml", "amount.json"}
    assert pull([found], tmp_path / "pulled") == []
    with pytest.raises(UsageError, match="would stand outside"):
        pull([replace(found, profiles={"../amount.json": ""})], tmp_path / "pulled")
    (folder / "amount.json").write_text(to_text("orders", 3, {("amount", False): NumericProfile((1.0,), (4,))}))
    (told,) = refused(registry, *load_submissions(folder))
    assert "another content" in told
