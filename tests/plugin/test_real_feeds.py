"""Real feeds through real runs: labelled drifts trip a breaker that was baselined before them, and two feeds are played in full."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dagster_contracts.core.ledger import OutputStatus, RouteKind, Status
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from tests.plugin.real_drifts import SPOKEN, UNSPOKEN, Label, Spoken
from tests.plugin.real_feeds import FEEDS, Played, Warehouse, passes, rule_ids, verdict_alone, warehouse
from tests.shared_cases import CASES, needs_cases

pytestmark = needs_cases

TRIPS = {label: drift for label, drift in SPOKEN.items() if drift.trips}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Dagster prints every event of every run."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def named(label: Label) -> str:
    return "-".join(label)


# --- what the labels mean ------------------------------------------------------------------------------------------


@cache
def labels() -> dict[Label, str]:
    entries = json.loads((CASES / "drift_labels.json").read_text())
    return {(entry["dataset"], entry["partition"], entry["kind"]): entry["what"] for entry in entries}


def test_every_label_is_spoken_of_by_rules_or_has_a_reason() -> None:
    assert SPOKEN.keys() | UNSPOKEN.keys() == labels().keys()
    assert not SPOKEN.keys() & UNSPOKEN.keys()
    assert len(TRIPS) == 4


@pytest.mark.parametrize(("label", "drift"), SPOKEN.items(), ids=map(named, SPOKEN))
def test_the_rules_of_a_label_break_on_its_partition(label: Label, drift: Spoken) -> None:
    dataset, _, _ = label
    assert drift.rules <= rule_ids(dataset)
    assert drift.rules <= verdict_alone(dataset, drift.on).failed_rules
    before = FEEDS[dataset].before(drift.on)
    assert drift.before == (None if before is None else verdict_alone(dataset, before).failed_rules)


@pytest.mark.parametrize("dataset", ["nyc_taxi", "jhu_daily", "lendingclub", "bike_sharing", "jhu_us_daily"])
def test_no_feed_turns_bad_without_a_label(dataset: str) -> None:
    """Every delivery that fails after one that passed is a labelled drift: no label is missed, and no verdict is noise."""
    turns = {late for early, late in pairwise(FEEDS[dataset].keys) if _passes(dataset, early) and not _passes(dataset, late)}
    assert turns == {drift.on for (feed, _, _), drift in TRIPS.items() if feed == dataset}


def _passes(dataset: str, key: str) -> bool:
    return passes(verdict_alone(dataset, key))


# --- adoption, and the drift after it ------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "drift"), TRIPS.items(), ids=map(named, TRIPS))
def test_a_breaker_baselined_before_a_drift_trips_on_it(label: Label, drift: Spoken, tmp_path: Path) -> None:
    dataset, _, _ = label
    feed = FEEDS[dataset]
    good, bad = feed.before(drift.on), drift.on
    assert good is not None
    with warehouse(dataset, tmp_path, on_disk=dataset == "nyc_taxi") as house:
        assert house.deliver(good, governed=False).success
        (row,) = house.baseline()
        assert (row.partition, row.outcome) == (good, str(verdict_alone(dataset, good).outcome))
        assert house.breaker is not None
        assert (house.breaker.state, house.breaker.window) == (State.CLOSED, ())

        played = house.deliver(bad)
        _refused(house, played, drift, bad)
        _stale_reader_has(house, played, good, bad)
        _full_reader_halted(house, played, drift, bad)


def _refused(house: Warehouse, played: Played, drift: Spoken, bad: str) -> None:
    (batch,) = house.batches(bad)
    assert batch.verdict is not None
    assert (batch.outcome, batch.status) == (Outcome.FAIL, Status.QUARANTINED)
    assert drift.rules <= batch.verdict.failed_rules
    assert batch.verdict.failed_rules == verdict_alone(house.feed.dataset, bad).failed_rules
    assert house.breaker is not None
    assert house.breaker.state is State.OPEN
    assert not played.checks["contract_breaker"]
    assert house.feed.asset not in played.materialized
    assert house.live(house.feed.asset, bad) is None
    assert_frame_equal(house.staged(batch), house.feed.read(bad))


def _stale_reader_has(house: Warehouse, played: Played, good: str, bad: str) -> None:
    feed = house.feed
    made = played.materialized["stale_reader"]
    assert made.tags is not None
    assert made.tags["contracts/confidence"] == "stale"
    assert made.metadata["contracts/served_partition"].value == f"{feed.asset} [{good}]"
    read = house.live("stale_reader", bad)
    assert read is not None
    assert_frame_equal(read, feed.read(good))


def _full_reader_halted(house: Warehouse, played: Played, drift: Spoken, bad: str) -> None:
    assert "full_reader" not in played.materialized
    assert house.live("full_reader", bad) is None
    message = played.failures["full_reader"]
    assert f"Halted: full_reader may not read {house.feed.asset} [{bad}]" in message
    assert "Next probe after" in message
    assert any(rule in message for rule in drift.rules)


# --- no last good --------------------------------------------------------------------------------------------------

FIRST_FAILS = {dataset: feed for dataset, feed in FEEDS.items() if CASES.is_dir() and not _passes(dataset, feed.keys[0])}


def test_feeds_whose_first_partition_fails() -> None:
    assert FIRST_FAILS.keys() == FEEDS.keys()


@pytest.mark.parametrize("dataset", FEEDS)
def test_without_a_last_good_the_message_says_what_to_do(dataset: str, tmp_path: Path) -> None:
    feed = FEEDS[dataset]
    first = feed.keys[0]
    with warehouse(dataset, tmp_path) as house:
        played = house.deliver(first)
        message = played.failures["stale_reader"]
        what = f"partition of {feed.asset} before {first}" if feed.timed else f"batch of {feed.asset} [{first}]"
        assert f"No {what} has been judged good; run `dagster-contracts baseline {feed.asset}`" in message
        assert "accept low" in message
        assert house.live("stale_reader", first) is None
        assert not played.materialized
        assert house.output("stale_reader", first).status is OutputStatus.HALTED


def test_following_that_message_gives_the_stale_reader_its_data(tmp_path: Path) -> None:
    with warehouse("jhu_daily", tmp_path) as house:
        house.deliver("2020-03-21", governed=False)
        message = house.deliver("2020-03-22").failures["stale_reader"]
        assert "(contract 1.0.0, partition 2020-03-22)" in message
        assert "No partition of cases before 2020-03-22 has been judged good" in message
        earlier = house.deliver("2020-03-21", only="full_reader").failures["full_reader"]
        assert "cases [2020-03-21] was never judged." in earlier
        assert "partition 2020-03-21" not in earlier, "the columns are missing in another partition"

        assert [(row.partition, row.outcome) for row in house.baseline()] == [("2020-03-21", "pass")]
        assert house.breaker is not None
        assert house.breaker.state is State.OPEN, "a baseline moves no breaker"
        _stale_reader_has(house, house.deliver("2020-03-22", only="stale_reader"), "2020-03-21", "2020-03-22")
        assert house.deliver("2020-03-21", only="full_reader").success
        assert not house.deliver("2020-03-22", only="full_reader").success


# --- two feeds, played in full -------------------------------------------------------------------------------------


def _play(house: Warehouse) -> dict[str, Played]:
    """Every delivery in time; after each, what must always hold of what stands in the live places."""
    played: dict[str, Played] = {}
    for key in house.feed.keys:
        played[key] = house.deliver(key)
        _holds_after(house, key, played[key])
    return played


def _holds_after(house: Warehouse, key: str, played: Played) -> None:
    feed, good = house.feed, _passes(house.feed.dataset, key)
    live = house.live(feed.asset, key)
    assert (live is not None) == good  # invariant 1
    for reader in ("full_reader", "stale_reader"):
        (route,) = house.output(reader, key).inputs
        read = house.live(reader, key)
        if good:
            assert route.kind is RouteKind.FRESH
            assert live is not None
            assert read is not None
            assert_frame_equal(live, feed.read(key))
            assert_frame_equal(read, live)
        elif route.kind is RouteKind.HALTED:
            assert read is None
            assert reader in played.failures
        else:
            _last_good_was_read(house, key, read)  # invariants 2 and 7


def _last_good_was_read(house: Warehouse, key: str, read: pd.DataFrame | None) -> None:
    feed = house.feed
    (route,) = house.output("stale_reader", key).inputs
    assert route.kind is RouteKind.LAST_GOOD
    assert route.served is not None
    assert route.served.key is not None
    newest = max(each for each in feed.keys if each < key and _passes(feed.dataset, each))
    assert route.served.key == newest
    batch = house.gate.store.batch(route.batch_id or "")
    assert batch is not None
    assert batch.last_good
    assert batch.partition == route.served
    assert read is not None
    assert_frame_equal(read, feed.read(newest))


def _changes(house: Warehouse) -> list[tuple[str, str]]:
    """(state, day) of every change into open or closed from the other, oldest first."""
    told = [(str(each.to_state), f"{each.at:%Y-%m-%d}") for each in reversed(house.gate.store.transitions(house.feed.asset, limit=1000))]
    settled = [each for each in told if each[0] != "half_open"]
    return [late for early, late in pairwise([("closed", ""), *settled]) if early[0] != late[0]]


def test_nyc_taxi_in_full(tmp_path: Path) -> None:
    with warehouse("nyc_taxi", tmp_path) as house:
        _play(house)
        assert _changes(house) == [("open", "2019-02-01"), ("closed", "2019-03-01"), ("open", "2020-06-01")]
        quarantined = ["2019-01", "2020-05", "2020-07", "2020-09", "2020-11"]
        assert [key for key in house.feed.keys if house.batches(key, Status.QUARANTINED)] == quarantined
        assert [key for key in house.feed.keys if house.output("stale_reader", key).status is OutputStatus.DEGRADED] == quarantined[1:]
        _no_row_of_a_refused_month_is_live(house, quarantined)


def _no_row_of_a_refused_month_is_live(house: Warehouse, quarantined: list[str]) -> None:
    feed = house.feed
    live = [
        frame for asset in (feed.asset, "stale_reader", "full_reader") for key in feed.keys if (frame := house.live(asset, key)) is not None
    ]
    # feed and full_reader: 3 good months each; stale_reader: those, and the last of them once more for each of 4 refused ones
    assert len(live) == 3 + 3 + 7
    rows = pd.concat([frame.drop_duplicates() for frame in live]).drop_duplicates()
    for key in quarantined:
        assert rows.merge(feed.read(key)).empty


def test_jhu_daily_in_full(tmp_path: Path) -> None:
    with warehouse("jhu_daily", tmp_path) as house:
        played = _play(house)
        # The first ten days have no counts in many rows; from 2020-03-22 the columns are named anew.
        assert _changes(house) == [("open", "2020-01-23"), ("closed", "2020-02-02"), ("open", "2020-03-23")]
        assert "Country_Region" in played["2020-03-22"].failures["full_reader"]
        assert house.live("stale_reader", "2020-03-26") is not None
        _a_new_contract_version_ends_it(house)


def _a_new_contract_version_ends_it(house: Warehouse) -> None:
    """The vendor's new names are there to stay: the contract is changed, and the next delivery closes the breaker."""
    text = (CASES / "contracts" / "jhu_daily.odcs.yaml").read_text().replace("version: 1.0.0", "version: 2.0.0")
    for old in ("Province/State", "Country/Region", "Last Update"):
        text = text.replace(old, old.replace("/", "_").replace(" ", "_"))
    house.govern(parse(text))
    assert house.deliver("2020-03-26").success
    assert house.breaker is not None
    assert (house.breaker.state, house.breaker.contract_version) == (State.CLOSED, "2.0.0")
    read = house.live("full_reader", "2020-03-26")
    assert read is not None
    assert_frame_equal(read, house.feed.read("2020-03-26"))
    assert house.output("stale_reader", "2020-03-26").status is OutputStatus.OK
