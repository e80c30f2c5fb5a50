"""Batches compared with good ones before them, through the gate: what the ledger remembers, and what it never shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_contracts import probing, stored
from dagster_contracts.core.contract import Attached, BreakerPolicy, Confidence, Contract, Property, QualityRule, SchemaObject
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.ledger import UNPARTITIONED, Partition, Status
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import LastGood
from dagster_contracts.core.profile import CategoryProfile, digest
from dagster_contracts.core.verdict import Finding, NotExecuted, Outcome
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Probe, Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore

START = datetime(2026, 11, 1, tzinfo=UTC)
USUAL, DRIFTED = ["LOW"] * 18 + ["HIGH"] * 2, ["LOW"] * 10 + ["HIGH"] * 10


def day(number: int) -> Partition:
    start = START + timedelta(days=number - 1)
    return Partition(f"2026-11-{number:02}", start, start + timedelta(days=1))


def terms(*, classification: str | None = None, severity: str = "critical", version: str = "1.0.0", **reference: Any) -> Terms:
    given = {"metric": "totalVariation", "mustBeLessThan": 0.2, "reference": reference or {"lastGood": 3}}
    rule = QualityRule("custom", engine="dagster-contracts", implementation=given, severity=severity)
    feed = SchemaObject("feed", properties=(Property("risk", "string", quality=(rule,), classification=classification),))
    policy = BreakerPolicy(cooldown=timedelta(hours=1))
    return Terms.of(Attached("feed", Contract("feed", version, "v3.1.0", "active", (feed,), policy=policy), feed))


@dataclass
class Feed:
    terms: Terms = field(default_factory=terms)
    clock: FixedClock = field(default_factory=lambda: FixedClock(START))

    def __post_init__(self) -> None:
        self.gate = Gate(MemoryStore(clock=self.clock), PolarsEngine())

    def judge(self, partition: Partition, values: Sequence[str | None], **other: Any) -> Judgement:
        self.clock.at += timedelta(days=1)
        run = self.clock.at.isoformat()
        data = pl.DataFrame({"risk": values}, schema={"risk": pl.String})
        return self.gate.judge(self.terms, Delivery(partition, run, run, **other), data)

    def deliver(self, partition: Partition, values: Sequence[str | None], **other: Any) -> Judgement:
        judgement = self.judge(partition, values, **other)
        if judgement.publish:
            self.gate.published(judgement.batch, None)
        else:
            self.gate.staged(judgement.batch, judgement.batch.id)
        return judgement


def drift(judgement: Judgement) -> Finding | NotExecuted:
    told: list[Finding | NotExecuted] = [found for found in judgement.verdict.findings if found.rule == "risk.totalVariation"]
    (only,) = told or [missed for missed in judgement.verdict.not_executed if missed.rule == "risk.totalVariation"]
    return only


def observed(judgement: Judgement) -> str:
    found = drift(judgement)
    assert isinstance(found, Finding), found
    return found.observed


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_the_first_batch_has_nothing_to_be_compared_with(feed: Feed) -> None:
    first = feed.deliver(day(1), USUAL)
    missed = drift(first)
    assert isinstance(missed, NotExecuted)
    assert missed.reason == "no good batch is known to compare with: not executed until one is published"
    assert (first.verdict.outcome, first.publish) == (Outcome.WARN, True)
    assert observed(feed.deliver(day(2), USUAL)) == "total variation 0; compared with 1 good batch, 2026-11-01"


def test_a_batch_that_drifted_is_refused_and_no_reference_of_the_next(feed: Feed) -> None:
    for number in (1, 2, 3, 4):
        feed.deliver(day(number), USUAL)
    refused = feed.deliver(day(5), DRIFTED)
    assert (refused.verdict.outcome, refused.batch.status) == (Outcome.FAIL, Status.QUARANTINED)
    assert observed(refused) == (
        "total variation 0.4: LOW (90% -> 50%), HIGH (10% -> 50%); compared with 3 good batches, newest 2026-11-04"
    )
    again = feed.deliver(day(6), DRIFTED)
    assert observed(again).endswith("newest 2026-11-04")


def test_an_older_partition_is_compared_with_what_was_before_it(feed: Feed) -> None:
    feed.deliver(day(1), USUAL)
    feed.deliver(day(3), USUAL)
    assert observed(feed.deliver(day(2), USUAL)).endswith("1 good batch, 2026-11-01")


def test_a_batch_is_never_compared_with_itself(feed: Feed) -> None:
    feed.deliver(day(1), USUAL, data_version="a")
    again = feed.deliver(day(1), USUAL, data_version="a")
    assert isinstance(drift(again), NotExecuted)


def test_without_partitions_the_batches_before_are_the_reference(feed: Feed) -> None:
    for run in range(3):
        feed.deliver(UNPARTITIONED, USUAL, data_version=f"v{run}")
    found = observed(feed.deliver(UNPARTITIONED, DRIFTED, data_version="v3"))
    assert found.endswith("compared with 3 good batches, newest of 2026-11-04 00:00Z")


def test_a_named_partition() -> None:
    feed = Feed(terms(partition="2026-11-01"))
    missed = drift(feed.deliver(day(2), USUAL))
    assert isinstance(missed, NotExecuted)
    assert missed.reason.startswith("no good batch of partition 2026-11-01 is known")
    feed.deliver(day(1), USUAL)
    feed.deliver(day(3), USUAL)
    assert observed(feed.deliver(day(4), USUAL)).endswith("compared with the good batch of partition 2026-11-01")


@pytest.mark.parametrize("confidence", [Confidence.STALE, Confidence.LOW])
def test_what_was_made_from_fallback_data_is_no_reference(feed: Feed, confidence: Confidence) -> None:
    feed.deliver(day(1), USUAL, confidence=confidence)
    assert isinstance(feed.gate.store, MemoryStore)
    assert feed.gate.store._profiles == {}  # nor kept
    assert isinstance(drift(feed.deliver(day(2), USUAL)), NotExecuted)


def test_a_batch_that_warns_is_a_reference() -> None:
    feed = Feed(terms(severity="warning"))
    feed.deliver(day(1), USUAL)
    assert feed.deliver(day(2), DRIFTED).verdict.outcome is Outcome.WARN
    assert observed(feed.deliver(day(3), USUAL)).endswith("2 good batches, newest 2026-11-02")


# --- stored batches ------------------------------------------------------------------------------------------------


def test_a_probe_compares_and_its_batch_is_a_reference_once_released(feed: Feed) -> None:
    feed.deliver(day(1), USUAL)
    feed.deliver(day(2), DRIFTED)
    held = feed.deliver(day(3), [*USUAL[:-1], "LOW"])
    assert held.batch.status is Status.PUBLISHING  # a fresh batch probes, and closes
    feed.deliver(day(4), DRIFTED)
    feed.clock.at += timedelta(days=1)
    probe = probing.claim(feed.gate, feed.terms, "feed", holder="run")
    assert isinstance(probe, Probe)
    settled = probing.settle(feed.gate, feed.terms, probe, pl.DataFrame({"risk": USUAL}))
    assert observed(settled).endswith("2 good batches, newest 2026-11-03")
    going = stored.publishing(feed.gate, settled.batch, "run")
    feed.gate.published(going.batch, None)
    assert observed(feed.deliver(day(5), USUAL)).endswith("3 good batches, newest 2026-11-04")


def test_a_batch_judged_again_keeps_the_profile_of_then(feed: Feed) -> None:
    feed.deliver(day(1), USUAL)
    refused = feed.deliver(day(2), DRIFTED)
    judged = stored.rejudge(feed.gate, feed.terms, refused.batch, pl.DataFrame({"risk": USUAL}), actor="ana", reason="mended")
    assert observed(judged).endswith("1 good batch, 2026-11-01")
    assert judged.verdict.outcome is Outcome.PASS


def test_a_baseline_is_a_reference(feed: Feed) -> None:
    stored.baseline(feed.gate, feed.terms, Delivery(day(1), "run", "run"), pl.DataFrame({"risk": USUAL}))
    assert observed(feed.deliver(day(2), USUAL)).endswith("1 good batch, 2026-11-01")


# --- classified columns, and a store that is gone ------------------------------------------------------------------


def test_categories_of_classified_columns_are_kept_as_digests() -> None:
    feed = Feed(terms(classification="restricted"))
    feed.deliver(day(1), USUAL)
    (kept,) = feed.gate.store.profiles(LastGood(1), ProfileOf("risk", True), key="feed", asset="feed", partition=day(2))
    assert kept.profile == CategoryProfile(((digest("LOW"), 18), (digest("HIGH"), 2)), veiled=True)
    refused = feed.deliver(day(2), DRIFTED)
    assert observed(refused) == "0.4 (values masked: classification)"
    assert refused.verdict.outcome is Outcome.FAIL


def test_a_store_out_of_reach_is_no_reason_to_pass(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise StoreUnavailable("out of reach")

    monkeypatch.setattr(feed.gate.store, "profiles", gone)
    with pytest.raises(StoreUnavailable):
        feed.judge(day(1), USUAL)
