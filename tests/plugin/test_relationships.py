"""A relationship between two objects of one contract, wherever the other one was made."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import recovery
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operations
from tests.plugin.lab import DAYS, World, day, governed
from tests.plugin.test_feed_forms import ByPartition

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
- name: customers
  properties:
  - {name: id, logicalType: integer, required: true, unique: true}
- name: orders
  properties:
  - {name: id, logicalType: integer, required: true, unique: true}
  - name: customer
    logicalType: integer
    relationships:
    - {type: foreignKey, to: customers.id}
  - name: replaces
    logicalType: integer
    relationships:
    - {type: foreignKey, to: orders.id}
"""
CUSTOMERS = pd.DataFrame({"id": [1, 2, 3]})
ORDERS = pd.DataFrame({"id": [10, 11], "customer": [1, 3], "replaces": pd.array([None, 10], "Int64")})
STRAY = ORDERS.assign(customer=[1, 9])


def _alone(orders: pd.DataFrame) -> dg.Definitions:
    @dg.asset(name="customers")
    def customers() -> pd.DataFrame:
        return CUSTOMERS

    @dg.asset(name="orders")
    def made() -> pd.DataFrame:
        return orders

    return dg.Definitions(assets=[customers, made])


def _together(orders: pd.DataFrame) -> dg.Definitions:
    @dg.multi_asset(outs={"customers": dg.AssetOut(), "orders": dg.AssetOut()})
    def shop() -> Any:
        yield dg.Output(CUSTOMERS, "customers")
        yield dg.Output(orders, "orders")

    return dg.Definitions(assets=[shop])


def _verdict(world: World) -> Verdict:
    verdict = world.ledger().batches(asset="orders")[0].verdict
    assert verdict is not None
    return verdict


def _finding(world: World, rule: str) -> Finding:
    return next(finding for finding in _verdict(world).findings if finding.rule == rule)


@pytest.mark.parametrize("made", ["alone", "together"])
def test_rows_that_refer_to_nothing_refuse_the_batch(tmp_path: Path, made: str) -> None:
    definitions = {"alone": _alone, "together": _together}[made]
    for number, (orders, outcome) in enumerate([(ORDERS, Outcome.PASS), (STRAY, Outcome.FAIL)]):
        with governed(tmp_path / f"{number}", lambda orders=orders: definitions(orders), CONTRACT) as world:  # type: ignore[misc]
            if made == "alone":
                world.run("customers")
                world.run("orders")
            else:
                world.run()
            assert _verdict(world).outcome is outcome, "\n".join(item.observed for item in _verdict(world).findings)
            found = _finding(world, "customer.relationship")
            assert found.failing_rows == (1 if outcome is Outcome.FAIL else 0)
            assert _finding(world, "replaces.relationship").outcome is Outcome.PASS


def test_what_was_never_published_is_not_at_hand(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: _alone(ORDERS), CONTRACT) as world:
        world.run("orders")
        (batch,) = world.ledger().batches(asset="orders")
        assert (batch.outcome, batch.status) == (Outcome.WARN, Status.PUBLISHED)
        missed = {item.rule: item.reason for item in _verdict(world).not_executed}
        assert "customers" in missed["customer.relationship"]


BAD = CUSTOMERS.assign(id=[1, 1, 3])  # two of one id
POLICY = "customProperties: [{property: circuitBreaker, value: {tripOn: [error], cooldown: P9D}}]\n"


@pytest.mark.parametrize("first", ["customers", "orders"])
def test_what_the_same_step_has_made_and_is_held_is_compared_with(tmp_path: Path, first: str) -> None:
    """The breaker of the customers is open: theirs of the day are good, and held; the stray order is found all the same, in any order."""
    deliveries = {day(1): (BAD, ORDERS), day(2): (CUSTOMERS, STRAY), day(3): (CUSTOMERS, ORDERS)}

    @dg.multi_asset(outs={"customers": dg.AssetOut(), "orders": dg.AssetOut()}, partitions_def=DAYS)
    def shop(context: dg.AssetExecutionContext) -> Any:
        given = dict(zip(("customers", "orders"), deliveries[context.partition_key], strict=True))
        for name in sorted(given, reverse=first == "orders"):
            yield dg.Output(given[name], name)

    with governed(tmp_path, lambda: dg.Definitions(assets=[shop]), CONTRACT + POLICY) as world:
        outcomes = []
        for number in (1, 2, 3):
            world.run(partition=day(number))
            (batch,) = world.ledger().batches(asset="orders", partition=day(number))
            outcomes.append((batch.outcome, batch.status))
        statuses = [world.ledger().batches(asset="customers", partition=day(number))[0].status for number in (1, 2, 3)]
        assert statuses == [Status.QUARANTINED, Status.HELD, Status.HELD]
        assert outcomes[0] == (Outcome.INCONCLUSIVE, Status.HELD)  # of nothing good to compare with, nothing is known
        assert outcomes[1] == (Outcome.FAIL, Status.QUARANTINED)
        assert outcomes[2][0] is Outcome.PASS


@pytest.mark.parametrize("discarded", [False, True])
def test_what_was_delivered_and_refused_is_no_reason_to_let_orders_through(tmp_path: Path, discarded: bool) -> None:
    @dg.asset(name="customers", partitions_def=DAYS)
    def customers() -> pd.DataFrame:
        return BAD

    @dg.asset(name="orders", partitions_def=DAYS)
    def orders() -> pd.DataFrame:
        return STRAY

    with governed(tmp_path, lambda: dg.Definitions(assets=[customers, orders]), CONTRACT) as world:
        world.run("customers", partition=day(1))
        if discarded:
            (refused,) = world.ledger().batches(asset="customers")
            recovery.discard(Gate(world.ledger(), default_engine()), refused, actor="me", reason="wrong file")
        world.run("orders", partition=day(1))
        (batch,) = world.ledger().batches(asset="orders")
        assert (batch.outcome, batch.status) == (Outcome.INCONCLUSIVE, Status.HELD)
        status = "discarded" if discarded else "quarantined"
        assert _finding(world, "customer.relationship").observed.endswith(f": customers [{day(1)}] is {status}, and not published")


@pytest.mark.parametrize("first", ["customers", "orders"])
def test_a_range_is_compared_day_by_day_with_what_the_same_step_has_made(tmp_path: Path, first: str) -> None:
    of = {"customers": {day(1): CUSTOMERS, day(2): CUSTOMERS.head(1)}, "orders": {day(1): ORDERS, day(2): ORDERS}}

    @dg.multi_asset(
        outs={"customers": dg.AssetOut(), "orders": dg.AssetOut()},
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def shop(context: dg.AssetExecutionContext) -> Any:
        for name in sorted(of, reverse=first == "orders"):
            yield dg.Output(of[name], name)

    definitions = dg.Definitions(assets=[shop], resources={"io_manager": ByPartition(tmp_path)})
    with governed(tmp_path, lambda: definitions, CONTRACT) as world:
        ran = world.run(tags={"dagster/asset_partition_range_start": day(1), "dagster/asset_partition_range_end": day(2)})
        assert set(ran.failures) <= {"shop"}
        verdicts = {batch.partition.key: batch.outcome for batch in world.ledger().batches(asset="orders")}
        assert verdicts == {
            day(1): Outcome.PASS,
            day(2): Outcome.FAIL,
        }  # customer 3 is not of the second day


def test_a_baseline_tells_its_own_lines_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What Dagster's IO managers log of each file they read, such as that of the customers, is told to nobody."""
    bare = _alone(ORDERS)
    with governed(tmp_path, lambda: bare, CONTRACT) as world:
        world.run("customers")
        world.run("orders", defs=bare)
        capfd.readouterr()
        told: list[str] = []
        operations.baseline(world.defs, world.instance, "orders", None, told.append)
        assert told == ["orders [(unpartitioned)]: pass"]
        assert capfd.readouterr() == ("", "")


def test_a_quarantined_batch_is_probed_with_what_it_refers_to(tmp_path: Path) -> None:
    """The customer that an order named before it came is there at the probe: the breaker closes, and the order is released."""
    customers = [CUSTOMERS]

    @dg.asset(name="customers")
    def made() -> pd.DataFrame:
        return customers[0]

    @dg.asset(name="orders")
    def orders() -> pd.DataFrame:
        return STRAY

    policy = "customProperties: [{property: circuitBreaker, value: {tripOn: [error], cooldown: PT1H}}]\n"
    with governed(tmp_path, lambda: dg.Definitions(assets=[made, orders]), CONTRACT + policy) as world:
        world.run("customers")
        world.run("orders")
        assert [str(each.state) for each in world.ledger().breakers(["orders"])] == ["open"]
        customers[0] = pd.DataFrame({"id": [1, 9]})
        world.run("customers")
        world.at(2, 12)
        for sensor in ("contracts_probe", "contracts_heal"):
            for request in world.tick(sensor):
                world.launch(request)
        (batch,) = world.ledger().batches(asset="orders")
        assert (batch.outcome, batch.status) == (Outcome.PASS, Status.PUBLISHED)


@pytest.mark.parametrize("whole", ["customers", "orders"])
def test_only_one_of_the_two_is_partitioned(tmp_path: Path, whole: str) -> None:
    """Daily orders are compared with all customers; one table of orders has no day of customers to be compared with."""
    days = {name: None if name == whole else DAYS for name in ("customers", "orders")}

    @dg.asset(name="customers", partitions_def=days["customers"])
    def customers() -> pd.DataFrame:
        return CUSTOMERS

    @dg.asset(name="orders", partitions_def=days["orders"])
    def orders() -> pd.DataFrame:
        return STRAY

    with governed(tmp_path, lambda: dg.Definitions(assets=[customers, orders]), CONTRACT) as world:
        world.run("customers", partition=day(1) if days["customers"] else None)
        world.run("orders", partition=day(1) if days["orders"] else None)
        if whole == "customers":
            assert _finding(world, "customer.relationship").failing_rows == 1
        else:
            assert "customers" in {item.rule: item.reason for item in _verdict(world).not_executed}["customer.relationship"]
