"""What every store does for micro-batches: parts of windows, names in order, confirmations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dagster_contracts.core.ledger import Partition, Status
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import LastGood
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.windows import Part
from dagster_contracts.ports import Store
from tests.store.values import T0, batch, breaker

FIVE = timedelta(minutes=5)


def part(batch_id: str, *, key: str = "feed", windows: int = 1, rows: int = 1) -> Part:
    document = {"rows": rows, "columns": [["ä", "String"]], "values": {"x": ["Count", {"value": 1}]}}
    return Part(batch_id, key, T0 + windows * FIVE, "1.0.0", document)


def test_parts_come_by_window_once_it_is_over_and_each_batch_has_one(store: Store) -> None:
    late, early = part("a", windows=2), part("b")
    store.save(Change(breaker=breaker(), parts=(late, early, part("c", key="other"))))
    store.save(Change(breaker=breaker(version=1), parts=(part("b", rows=7),)))
    assert list(store.parts("feed", T0 + FIVE - timedelta(microseconds=1))) == []
    assert list(store.parts("feed", T0 + FIVE)) == [part("b", rows=7)]
    assert list(store.parts("feed", T0 + 2 * FIVE)) == [part("b", rows=7), late]


def test_without_a_moment_the_clock_of_the_store_says_which_windows_are_over(store: Store) -> None:
    now = store.now()
    before, after = (replace(part(name), ends_at=now + apart) for name, apart in (("a", -FIVE), ("b", timedelta(days=1))))
    store.save(Change(breaker=breaker(), parts=(before, after)))
    assert list(store.parts("feed")) == [before]


def test_dropping_a_window_leaves_the_others(store: Store) -> None:
    store.save(Change(breaker=breaker(), parts=(part("a"), part("b", windows=2), part("c", key="other"))))
    store.drop_parts("feed", T0 + FIVE)
    store.drop_parts("feed", T0 + FIVE)
    assert [each.batch_id for key in ("feed", "other") for each in store.parts(key, T0 + 2 * FIVE)] == ["b", "c"]


def test_places_are_those_of_a_range_in_byte_order(store: Store) -> None:
    for place in ("t/0/02", "t/0/01", "t/1/01", "t/0/10", None):
        store.save(Change(batches=(batch(f"id of {place}", partition=Partition(place), status=Status.PUBLISHED),)))
    store.save(Change(batches=(batch("again", partition=Partition("t/0/01"), status=Status.HELD),)))
    assert list(store.places("feed", "t/0/", "t/0/:")) == ["t/0/01", "t/0/02", "t/0/10"]
    assert list(store.places("feed", "t/0/01", "t/0/02")) == ["t/0/01"]
    assert list(store.places("feed", "t/0/", "t/0/:", statuses=(Status.HELD,))) == ["t/0/01"]
    assert list(store.places("feed", "t/0/", "t/0/:", limit=2)) == ["t/0/01", "t/0/02"]
    assert list(store.places("other", "t/0/", "t/0/:")) == []


def test_only_what_is_publishing_is_confirmed_and_its_profile_is_good_then(store: Store) -> None:
    metric, profile = ProfileOf("x"), NumericProfile((1.0,), (2,))
    for name, status in (("a", Status.PUBLISHING), ("b", Status.QUARANTINED), ("c", Status.HELD)):
        kept = KeptProfile(name, metric, profile)
        store.save(Change(batches=(batch(name, partition=Partition(name), status=status),), profiles=(kept,)))
    store.confirm(["a", "b", "c", "never seen"])
    assert [found.status for name in "abc" if (found := store.batch(name))] == [Status.PUBLISHED, Status.QUARANTINED, Status.HELD]
    good = [len(store.profiles(LastGood(1), metric, key="feed", asset="feed", partition=Partition(name), batch_id=None)) for name in "abc"]
    assert good == [1, 0, 0]
