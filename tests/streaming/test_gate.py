"""Micro-batches judged without Dagster: what is done with each, what counts, and what a time window says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from dagster_contracts.core.contract import BreakerPolicy, Contract, Fallback, Operator, QualityRule, Window
from dagster_contracts.core.errors import ContractError, StoreError, StoreUnavailable, UsageError
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.streaming import Action, StreamGate, StreamVerdict
from dagster_contracts.streaming.gate import MicroFrame
from tests.streaming.lab import contract, order

START = datetime(2026, 11, 26, 12, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TEN_ROWS = QualityRule("library", "rowCount", ((Operator.GREATER_OR_EQUAL, 10),))


def frame(rows: int = 5, currency: str = "EUR") -> pl.DataFrame:
    return pl.DataFrame([order(number, currency) for number in range(rows)])


class World:
    def __init__(self, store: Store | None = None, *, terms: Contract | None = None, **more: Any):
        self.clock = FixedClock(START)
        self.store = store or MemoryStore(clock=self.clock)
        self.terms, self.more = terms or contract(), more
        self.restart()

    def restart(self) -> None:
        """As another process would: nothing is kept but the store."""
        self.gate = StreamGate(self.terms, self.store, **self.more)

    def judge(self, batch: str, data: object = None, *, after: timedelta = timedelta(0)) -> StreamVerdict:
        self.clock.at += after
        return self.gate.judge(frame() if data is None else data, asset="orders", batch=batch)

    @property
    def breaker(self) -> Any:
        (found,) = self.store.breakers()
        return found

    def rows(self, *statuses: Status) -> list[str]:
        return [str(row.partition) for row in reversed(self.store.batches(statuses=statuses))]


BAD = frame(5, "XXX")


# --- one micro-batch -----------------------------------------------------------------------------------------------


def test_a_good_one_goes_on_and_a_bad_one_does_not():
    world = World(terms=contract(BreakerPolicy(trip_on=frozenset(), failures=2, window=Window(batches=3))))
    good, bad = world.judge("1"), world.judge("2", BAD)
    assert (good.action, bad.action, bad.forward) == (Action.FORWARD, Action.DEAD_LETTER, None)
    assert isinstance(good.forward, pl.DataFrame)
    assert "XXX (5)" in bad.findings[0]
    assert world.judge("3").action is Action.FORWARD
    assert [entry.failed for entry in world.breaker.window] == [False, True, False]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_pandas_and_polars_frames_are_judged(kind: Callable[..., object]):
    assert World().judge("1", kind([order(1)])).action is Action.FORWARD
    assert World().judge("1", kind([order(1, "XXX")])).action is Action.DEAD_LETTER


def test_a_redelivery_is_the_same_batch_and_counts_once(tmp_path: Path):
    policy = BreakerPolicy(failures=3, trip_on=frozenset(), window=Window(batches=9))
    world = World(SqlStore(f"sqlite:///{tmp_path}/c.db", clock=FixedClock(START)), terms=contract(policy))
    for _ in range(3):
        world.restart()
        assert world.judge("bad", BAD).action is Action.DEAD_LETTER
    assert len(world.breaker.window) == 1
    assert world.breaker.state is State.CLOSED
    assert len(world.store.batches()) == 1


def test_what_went_on_is_published_once_it_is_confirmed():
    world = World()
    first, second = world.judge("1"), world.judge("2")
    world.gate.confirm(first)
    assert (world.rows(Status.PUBLISHED), world.rows(Status.PUBLISHING)) == (["1"], ["2"])
    world.gate.confirm(second, world.judge("3", BAD))
    assert (world.rows(Status.PUBLISHED), world.rows(Status.QUARANTINED)) == (["1", "2"], ["3"])


def test_one_that_went_on_is_not_held_when_it_is_delivered_again_while_the_breaker_is_open():
    world = World(terms=contract(BreakerPolicy(fallback=Fallback.LAST_GOOD)))
    world.gate.confirm(world.judge("1"))
    world.judge("2", BAD)
    told = world.store.events()
    again = world.judge("1")
    assert (again.action, again.judgement.batch.status, world.rows(Status.PUBLISHED)) == (Action.FORWARD, Status.PUBLISHED, ["1"])
    assert world.store.events() == told
    assert world.gate.confirm(again) == ()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_what_cannot_be_confirmed_is_told(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    world = World(SqlStore(f"sqlite:///{tmp_path}/c.db", clock=FixedClock(START)) if kind == "sqlite" else None)
    first, second, bad = world.judge("1"), world.judge("2"), world.judge("3", BAD)
    assert world.judge("1").action is Action.HOLD  # before it was confirmed, so that nobody knows whether it went on
    assert world.gate.confirm(first, second, bad) == ("orders|1|stream",)
    assert (world.rows(Status.PUBLISHED), world.rows(Status.HELD)) == (["2"], ["1"])
    assert "1 micro-batch went on and the ledger does not hold it as let in: orders|1|stream" in caplog.text


def test_failing_rows_are_set_aside_where_the_contract_lets_them():
    world = World(terms=contract(BreakerPolicy(maximum_failing_share=0.5)))
    mixed = pl.concat([frame(3), BAD.head(1)])
    found = world.judge("1", mixed)
    assert found.action is Action.FORWARD
    assert isinstance(found.forward, pl.DataFrame)
    assert isinstance(found.set_aside, pl.DataFrame)
    assert (found.forward.height, found.set_aside["contract_rules_broken"].to_list()) == (3, ["currency.enum"])


def test_an_empty_micro_batch_fails_unless_the_contract_allows_it():
    assert World().judge("1", frame().clear()).action is Action.DEAD_LETTER


def test_values_of_classified_columns_are_told_to_nobody():
    found = World().judge("1", pl.DataFrame([order(1) | {"customer": "Jane Doe"}]))
    assert found.action is Action.DEAD_LETTER
    assert "Jane" not in repr(found.findings) + found.reason + repr(found.halted().findings) + repr(found.judgement.verdict)


# --- while the breaker is open -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fallback", "action"), [(Fallback.HALT, Action.HALT), (Fallback.LAST_GOOD, Action.HOLD), (Fallback.LOW_CONFIDENCE, Action.DIVERT)]
)
def test_the_contract_says_what_an_open_breaker_means(fallback: Fallback, action: Action):
    world = World(terms=contract(BreakerPolicy(fallback=fallback)))
    world.judge("1", BAD)
    assert (world.judge("2").action, world.judge("3", BAD).action) == (action, Action.DEAD_LETTER)
    assert World(world.store, terms=world.terms, when_open="divert").judge("2").action is Action.DIVERT


def test_a_consumer_of_the_contract_has_its_own_word():
    terms = contract(BreakerPolicy(fallback=Fallback.LAST_GOOD, consumers={"fraud": Fallback.HALT}))
    world = World(terms=terms, consumer="fraud")
    world.judge("1", BAD)
    found = world.judge("2")
    assert found.action is Action.HALT
    halted = found.halted()
    assert (halted.key, halted.since, halted.retry_after) == ("orders", START, START + BreakerPolicy().cooldown)
    assert "currency.enum" in halted.findings[0]


def test_what_arrives_after_the_cooldown_is_the_probe():
    world = World()
    world.judge("1", BAD)
    assert world.judge("2", after=MINUTE).action is Action.HOLD
    assert not world.gate.may_pass("orders")
    world.clock.at += BreakerPolicy().cooldown
    assert world.gate.may_pass("orders")
    assert world.judge("2").action is Action.FORWARD  # the held one, again
    assert world.breaker.state is State.CLOSED
    assert world.breaker.window == ()


def test_a_bad_probe_opens_again():
    world = World()
    world.judge("1", BAD)
    world.clock.at += BreakerPolicy().cooldown
    assert world.judge("2", BAD).action is Action.DEAD_LETTER
    assert (world.breaker.state, world.breaker.reopened) == (State.OPEN, 1)


@pytest.mark.parametrize(("admits", "action"), [(False, Action.DIVERT), (True, Action.FORWARD)])
def test_what_cannot_be_measured_trips_nothing(admits: bool, action: Action):
    world = World(terms=contract(BreakerPolicy(admit_inconclusive=admits)))
    found = world.judge("1", object())
    assert (found.action, found.judgement.verdict.outcome) == (action, Outcome.INCONCLUSIVE)
    assert world.breaker.state is State.CLOSED


class Outage(MemoryStore):
    """A store that is out of reach while `gone`."""

    gone = False

    def _reached(self) -> None:
        if self.gone:
            raise StoreUnavailable("gone")

    def load(self, *given: Any, **named: Any) -> Any:
        self._reached()
        return super().load(*given, **named)

    def save(self, change: Change) -> None:
        self._reached()
        super().save(change)

    def parts(self, *given: Any) -> Any:
        self._reached()
        return super().parts(*given)

    def confirm(self, *given: Any) -> Any:
        self._reached()
        return super().confirm(*given)

    def now(self) -> datetime:
        self._reached()
        return super().now()


def admitting(*, window: str | None = "PT5M", admits: bool = True) -> tuple[World, Outage]:
    clock = FixedClock(START)
    store = Outage(clock=clock)
    world = World(store, terms=contract(BreakerPolicy(admit_when_unavailable=admits), quality=(TEN_ROWS,)), window=window)
    world.clock = clock
    return world, store


def test_where_the_store_is_out_of_reach_the_contract_decides():
    class Gone(MemoryStore):
        def save(self, change: Change) -> None:
            raise StoreUnavailable("gone")

        def now(self) -> datetime:
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        World(Gone()).judge("1")
    for window in (None, "PT5M"):

        class Further(Gone):
            def load(self, *given: Any, **named: Any) -> Any:
                raise StoreUnavailable("gone")

        world = World(Further(), terms=contract(BreakerPolicy(admit_when_unavailable=True)), window=window)
        assert world.judge("1").action is Action.FORWARD
        with pytest.raises(StoreUnavailable):
            world.judge("2", BAD)


@pytest.mark.parametrize("window", [None, "PT5M"])
def test_a_loop_that_judges_and_confirms_goes_on_without_the_store_where_the_contract_admits(window: str | None, caplog: Any):
    world, store = admitting(window=window)
    before = world.judge("1", frame(12))
    store.gone = True
    during = world.judge("2", frame(12))
    assert world.gate.confirm(during, before) == (during.batch_id, before.batch_id)  # one was recorded, and the store went after that
    assert "2 micro-batches went on and the ledger does not hold them" in caplog.text
    store.gone = False
    assert world.gate.confirm(during, before) == (during.batch_id,)
    assert world.rows(Status.PUBLISHED) == ["1"]


def test_without_the_store_a_recorded_one_cannot_be_confirmed_where_the_contract_halts():
    world, store = admitting(admits=False)
    judged = world.judge("1")
    assert judged.action is Action.FORWARD
    store.gone = True
    with pytest.raises(StoreUnavailable):
        world.gate.confirm(judged)


# --- time windows --------------------------------------------------------------------------------------------------


def windowed(**policy: Any) -> World:
    return World(terms=contract(BreakerPolicy(**policy), quality=(TEN_ROWS,)), window="PT5M")


def verdict_of(world: World, start: str) -> tuple[int | None, str, str]:
    row = next(row for row in world.store.batches() if str(row.partition).startswith(start))
    assert row.verdict is not None
    return row.verdict.rows, str(row.outcome), str(row.status)


def test_what_speaks_of_many_rows_is_judged_once_the_window_is_over():
    world = windowed()
    assert world.judge("1", frame(6)).action is Action.FORWARD
    assert world.judge("2", frame(5), after=MINUTE).action is Action.FORWARD
    assert world.judge("3", frame(1), after=3 * MINUTE).action is Action.FORWARD
    assert verdict_of(world, "2026-11-26T12:00:00Z/PT5M") == (11, "pass", "published")
    assert world.breaker.state is State.CLOSED


def test_a_window_that_fails_opens_before_the_next_micro_batch_is_judged():
    world = windowed()
    world.judge("1", frame(9))
    assert world.judge("2", after=4 * MINUTE).action is Action.HOLD
    assert verdict_of(world, "2026-11-26T12:00:00Z/PT5M") == (9, "fail", "quarantined")
    assert world.breaker.failed_rules == {"rowCount"}
    assert "9 rows" in world.breaker.findings[0] or "9" in world.breaker.findings[0]


def test_an_event_counts_once_in_its_window_whatever_is_delivered_again():
    world = windowed()
    for _ in range(3):
        world.restart()
        world.judge("1", frame(12))
    world.clock.at += 5 * MINUTE
    world.restart()
    assert world.judge("1", frame(12)).action is Action.FORWARD  # once more, in the next window: it belongs to the first
    assert verdict_of(world, "2026-11-26T12:00:00Z/PT5M")[0] == 12
    world.clock.at += 5 * MINUTE
    assert world.gate.close_windows("orders") == []


def test_a_bad_micro_batch_is_no_part_of_its_window():
    world = windowed(trip_on=frozenset(), failures=9, window=Window(batches=9))
    world.judge("1", frame(10))
    world.judge("2", BAD)
    world.clock.at += 5 * MINUTE
    (closed,) = world.gate.close_windows("orders")
    assert (closed.verdict.rows, closed.verdict.outcome) == (10, Outcome.PASS)


def test_the_kept_rows_of_a_divided_micro_batch_are_what_the_window_holds():
    world = windowed(maximum_failing_share=0.5)
    world.judge("1", pl.concat([frame(10), BAD.head(2)]))
    world.clock.at += 5 * MINUTE
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.rows == 10


def test_a_process_that_dies_between_a_window_s_verdict_and_its_end_judges_it_again_to_the_same():
    world = windowed()
    world.judge("1", frame(4))
    kept = world.store.parts("orders", START + 10 * MINUTE)
    world.clock.at += 5 * MINUTE
    (before,) = world.gate.close_windows("orders")
    world.store.save(Change(parts=tuple(kept)))  # as though it had died before they were dropped
    opened = world.breaker
    (after,) = world.gate.close_windows("orders")
    assert (after.verdict, after.batch.id) == (before.verdict, before.batch.id)
    assert replace(world.breaker, version=0) == replace(opened, version=0)
    assert list(world.store.parts("orders", START + 10 * MINUTE)) == []


def test_a_micro_batch_recorded_while_its_window_is_merged_is_in_it():
    world = windowed()
    world.judge("1", frame(6))
    late = World(world.store, terms=world.terms, window="PT5M")
    given, calls = world.store.parts, [0]

    def once(key: str, until: datetime | None = None) -> Any:
        found, calls[0] = given(key, until), calls[0] + 1
        if calls[0] == 2:  # the first tells which windows are over; this one is what is merged
            world.clock.at -= 5 * MINUTE  # its transaction began before the window's end
            late.gate.judge(frame(5), asset="orders", batch="2")
            world.clock.at += 5 * MINUTE
        return found

    world.clock.at += 5 * MINUTE
    world.store.parts = once  # type: ignore[method-assign]
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.rows == 11


def test_only_a_window_proves_what_a_window_disproved():
    world = windowed()
    world.judge("1", frame(1))
    world.judge("2", after=4 * MINUTE)
    assert world.breaker.state is State.OPEN
    world.clock.at += BreakerPolicy().cooldown
    assert world.gate.may_pass("orders")
    first = world.judge("3", frame(20))  # proves nothing of the row count, and does not take the probe from the window
    assert (first.action, world.breaker.state, world.breaker.lease) == (Action.DIVERT, State.OPEN, None)
    assert world.judge("4", frame(1), after=5 * MINUTE).action is Action.FORWARD
    assert world.breaker.state is State.CLOSED


def test_a_window_in_which_the_breaker_changed_proves_and_disproves_nothing():
    world = windowed()
    world.judge("1", frame(1))
    world.judge("2", BAD, after=MINUTE)
    world.clock.at += BreakerPolicy().cooldown
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.outcome is Outcome.INCONCLUSIVE
    assert "the breaker changed within the window, at 2026-11-26 12:02:00Z" in repr(closed.verdict.findings)
    assert world.breaker.state is State.OPEN
    assert world.judge("3", frame(1)).action is Action.FORWARD  # the probe, at 12:32: the rest of this window is no whole window either
    world.clock.at += 5 * MINUTE
    assert world.gate.close_windows("orders") == []
    assert world.judge("4", frame(1), after=5 * MINUTE).action is Action.FORWARD
    assert world.judge("5", frame(1), after=5 * MINUTE).action is Action.HOLD


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
@pytest.mark.parametrize("back", [2, 4, 8], ids=["within it", "in the next", "later"])
def test_a_window_of_which_something_was_let_in_unrecorded_proves_and_disproves_nothing(back: int, together: bool):
    world, store = admitting()
    world.judge("1", frame(4))
    store.gone = True
    if together:
        world.gate.judge_new([MicroFrame("2", frame(6))], asset="orders", unless=lambda snapshot: None)
    else:
        assert world.judge("2", frame(6)).action is Action.FORWARD
    store.gone = False
    assert world.judge("3", frame(4), after=back * MINUTE).action is Action.FORWARD
    world.restart()  # nothing of it is in the process that closes the windows
    world.clock.at += 5 * MINUTE
    world.gate.close_windows("orders")
    windows = [row for row in store.batches() if row.run_id == "window"]
    assert len(windows) == (1 if back == 2 else 2)
    assert {row.outcome for row in windows} == {Outcome.INCONCLUSIVE}
    assert "let in unrecorded while the store was out of reach" in repr(windows[0].verdict)
    assert world.breaker.state is State.CLOSED
    world.judge("4", frame(4))
    world.clock.at += 5 * MINUTE
    world.gate.close_windows("orders")  # the first whole one says what it says
    assert world.breaker.state is State.OPEN


def test_what_is_let_in_unrecorded_while_its_window_is_judged_makes_it_inconclusive_too():
    """By another thread of the process: it may have arrived before the window's end."""
    world, store = admitting()
    world.judge("1", frame(4))
    world.clock.at += 5 * MINUTE
    given, calls = store.parts, [0]

    def meanwhile(*asked: Any) -> Any:
        found, calls[0] = given(*asked), calls[0] + 1
        if calls[0] == 2:  # the first tells which windows are over; this one is what is merged
            store.gone = True
            world.gate.judge(frame(6), asset="orders", batch="2")
            store.gone = False
        return found

    store.parts = meanwhile  # type: ignore[method-assign]
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.outcome is Outcome.INCONCLUSIVE
    assert world.breaker.state is State.CLOSED


def test_a_mark_that_cannot_be_written_is_written_later():
    world, store = admitting()
    world.judge("1", frame(4))
    store.gone = True
    world.judge("2", frame(6))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            world.gate.close_windows("orders")
    store.gone = False
    world.clock.at += 5 * MINUTE
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.outcome is Outcome.INCONCLUSIVE


def test_a_contract_that_changes_within_a_window_makes_it_inconclusive():
    world = windowed()
    world.judge("1", frame(6))
    world.terms = contract(quality=(TEN_ROWS,), version="1.1.0")
    world.restart()
    world.judge("2", frame(6))
    world.clock.at += 5 * MINUTE
    (closed,) = world.gate.close_windows("orders")
    assert closed.verdict.outcome is Outcome.INCONCLUSIVE
    assert "the contract changed within the window: 1.0.0, 1.1.0" in repr(closed.verdict.findings)
    assert world.breaker.state is State.CLOSED


def test_a_rate_over_micro_batches_is_the_breaker_s_own_window():
    policy = BreakerPolicy(trip_on=frozenset(), window=Window(duration=timedelta(hours=6)), failure_rate_threshold=0.5, minimum_batches=4)
    world = World(terms=contract(policy))
    for number, data in enumerate((frame(), BAD, frame(), BAD)):
        assert world.gate.judge(data, asset="orders", batch=str(number)).action is not Action.HOLD
    assert world.breaker.state is State.OPEN


# --- what a gate is made of ----------------------------------------------------------------------------------------


def test_nothing_of_it_needs_dagster_and_importing_it_is_light(tmp_path: Path):
    code = """
import sys
import dagster_contracts.streaming
heavy = {"dagster", "polars", "pandas", "confluent_kafka", "sqlalchemy", "great_expectations"} & set(sys.modules)
assert not heavy, heavy
import polars as pl
from dagster_contracts.streaming import StreamGate
from tests.streaming.lab import contract, order
StreamGate(contract(), sys.argv[1]).judge(pl.DataFrame([order(1)]), asset="orders", batch="1")
assert "dagster" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{tmp_path}/c.db"], check=True, cwd=Path(__file__).parents[2])


def test_contracts_are_read_and_attached_as_in_dagster(tmp_path: Path):
    (tmp_path / "a.odcs.yaml").write_text(CONTRACT)
    for assets, asset in ((None, "feed"), (["vendor/feed", "x"], "vendor/feed")):
        gate = StreamGate(tmp_path, MemoryStore(), assets=assets)
        assert gate.judge(pl.DataFrame({"id": ["1"]}), asset=asset, batch="1").action is Action.FORWARD
    with pytest.raises(ContractError, match="matches no asset"):
        StreamGate(tmp_path, MemoryStore(), assets=["other"])


CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: feed
version: 1.0.0
status: active
schema:
  - name: feed
    properties:
      - {name: id, logicalType: string, required: true}
"""


def test_a_scoped_breaker_is_chosen_by_the_caller():
    world = World(terms=contract(BreakerPolicy(scope="vendor")))
    world.gate.judge(BAD, asset="orders", batch="1", dimensions={"vendor": "acme"})
    assert world.gate.judge(frame(), asset="orders", batch="2", dimensions={"vendor": "other"}).action is Action.FORWARD
    assert [breaker.key for breaker in world.store.breakers()] == ["orders[vendor=acme]", "orders[vendor=other]"]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"when_open": "hlod"}, 'did you mean "hold"'), ({"window": timedelta(0)}, "above zero"), ({"window": "5 minutes"}, "PT")],
)
def test_wrong_arguments_are_told(more: dict[str, Any], message: str):
    with pytest.raises((UsageError, ValueError), match=message):
        StreamGate(contract(), MemoryStore(), **more)


def test_an_asset_without_contract_and_a_batch_without_name_are_refused():
    with pytest.raises(UsageError, match='no contract governs "order", did you mean "orders"'):
        World().gate.judge(frame(), asset="order", batch="1")
    for name in ("", "a\0", "a\ud800", "a" * 1001, 7):
        with pytest.raises(UsageError, match="name of the micro-batch is"):
            World().judge(name)  # type: ignore[arg-type]


def test_a_store_whose_folder_is_not_there_is_no_new_store(tmp_path: Path) -> None:
    gate = StreamGate(contract(), f"sqlite:///{tmp_path}/mnt/s.db")
    with pytest.raises(StoreError, match=r"there is no folder .*/mnt for the SQLite store .*correct the url"):
        gate.judge(frame(), asset="orders", batch="1")
    assert not (tmp_path / "mnt").exists()
