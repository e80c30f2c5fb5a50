"""What the world is told: every payload of every type is described by its schema, bounded, and quotes no classified value."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openlineage.client.facet_v2 import data_quality_assertions_dataset as openlineage

from dagster_contracts import recovery, reviewing, watching
from dagster_contracts.core.contract import BreakerPolicy, Clause, Confidence, Severity
from dagster_contracts.core.events import Draft, Event, EventType, Report, number, of_batch, schema_of, type_of
from dagster_contracts.core.state import OverrideKind
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.judgement import Terms
from tests.gate_world import BAD, GOOD, POLICY, UNREADABLE, World, daily, day
from tests.schemas import SCHEMAS
from tests.store.values import T0, batch, breaker
from tests.test_watching import watched

DOCUMENTED = Path(__file__).parents[1] / "docs" / "reference" / "events.md"


def schema(kind: EventType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / "events" / f"{kind}.schema.json").read_text())
    return found


def assert_described(event: Event) -> None:
    document = schema(event.type)
    jsonschema.Draft202012Validator.check_schema(document)
    validator = jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())
    validator.validate(json.loads(json.dumps(event.payload)))


def under(policy: BreakerPolicy) -> Terms:
    """A feed that promises a batch each day."""
    found = watched("warning")
    return replace(found, attached=replace(found.attached, contract=replace(found.attached.contract, policy=policy)))


def everything() -> list[Event]:
    """A history in which every type of event occurs."""
    world = World()
    world.terms = under(POLICY)
    world.deliver(5, GOOD, day(5, 6))
    watching.record_missed(world.gate, {"feed": world.terms}, lambda asset, now: ())
    world.clock.at = day(6, 9)
    watching.record_missed(world.gate, {"feed": world.terms}, lambda asset, now: ())
    world.deliver(6, BAD, day(6, 10))
    for consumer, accepts in (("marketing", Confidence.STALE), ("fraud", Confidence.FULL), ("underwriting", Confidence.LOW)):
        world.consume(consumer, 6, accepts)
    for word in (reviewing.approve, reviewing.reject):
        word(world.gate, "underwriting", daily(6).key, actor="ann", reason="looked at it")
    recovery.report(world.gate, "feed", Report("marketing", "amounts are in cents", "amount.maximum", daily(5).key))
    world.probe(day(8), UNREADABLE)
    world.probe(day(9))
    world.deliver(8, GOOD, day(9, 1))
    world.probe(day(12))
    world.deliver(6, {**GOOD, "rows": 506}, day(12, 1))
    world.consume("fraud", 6, Confidence.FULL)
    recovery.dismiss(world.gate, "marketing", None, actor="ann", reason="looked at it")
    recovery.override(world.gate, "feed", OverrideKind.OBSERVE_ONLY, actor="ann", reason="roll-out")
    recovery.reset(world.gate, "feed", actor="ann", reason="done")
    for place, word in ((13, recovery.release), (14, recovery.discard)):
        refused = world.deliver(place, UNREADABLE, day(place, 6)).batch
        word(world.gate, next(iter(world.store.batches(partition=refused.partition.key))), actor="ann", reason="looked at it")
    world.terms = under(replace(POLICY, admit_inconclusive=True))
    world.deliver(15, UNREADABLE, day(15, 6))
    return list(world.store.events())


@pytest.fixture(scope="module")
def told() -> list[Event]:
    return everything()


def test_every_type_has_a_schema_that_describes_what_is_told(told: list[Event]) -> None:
    assert {event.type for event in told} == set(EventType)
    for event in told:
        assert_described(event)
    assert {path.name.removesuffix(".schema.json") for path in (SCHEMAS / "events").iterdir()} == set(EventType)


def test_a_schema_is_found_by_its_name_and_names_its_type() -> None:
    for kind in EventType:
        assert schema(kind)["$id"] == schema_of(kind)
        assert type_of(kind) in schema(kind)["title"]
        assert schema(kind)["additionalProperties"] is False


def test_what_opened_says_what_failed(told: list[Event]) -> None:
    opened = next(event for event in told if event.type is EventType.BREAKER_OPENED).payload
    assert (opened["incident"], opened["batch"], opened["partition"]) == (1, opened["batch"], "2026-01-06")
    assert (opened["severity"], opened["retry_at"], opened["since"]) == ("critical", "2026-01-07T16:00:00Z", "2026-01-06T10:00:00Z")
    assert opened["contract"] == {"id": "feed", "version": "1.0.0"}
    (rule,) = opened["rules"]  # type: ignore[misc]
    assert rule["observed"].startswith("88")
    reopened = next(event for event in told if event.type is EventType.BREAKER_REOPENED).payload
    assert reopened["rules"] == opened["rules"]


def test_a_violation_has_the_facet_of_openlineage(told: list[Event]) -> None:
    violated = next(event for event in told if event.type is EventType.CONTRACT_VIOLATED).payload
    document: Any = violated["openlineage"]
    facet = document["dataQualityAssertions"]
    made = openlineage.DataQualityAssertionsDatasetFacet(
        assertions=[openlineage.Assertion(**each) for each in facet["assertions"]], producer=facet["_producer"]
    )
    assert made._schemaURL == facet["_schemaURL"]
    assert Counter(each.success for each in made.assertions)[False] == violated["rules_broken"]
    assert made.assertions[0].column == "risk"
    assert any(each.success for each in made.assertions)


def test_a_payload_holds_no_rows(told: list[Event]) -> None:
    """Failing rows stand in the ledger, where access is the database's: `57` is what they hold."""
    assert not any('"57"' in json.dumps(event.payload) or "sample" in event.payload for event in told)


HOSTILE = ["\x1b[31m<script>", "\x00\ud800", "\u202e*_~`<!channel>", "🧨"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_strangers_is_bounded(text: str) -> None:
    """A megabyte in every place that a contract or a batch can put it in still makes a message that Kafka takes."""
    long = text * (1_000_000 // len(text))
    finding = Finding(long, Clause.VALIDITY, long, Severity.CRITICAL, Outcome.FAIL, long, long, 1)
    verdict = Verdict(Outcome.FAIL, long, long, 1, (finding,) * 1000, (), "")
    judged = replace(batch("b", daily(1)), outcome=Outcome.FAIL, verdict=verdict, contract_id=long, contract_version=long, run_id=long)
    open_ = replace(breaker(), findings=(long,) * 1000, contract_version=long)
    _, events = number(open_, [*of_batch(judged), Draft(EventType.BATCH_HELD, long, {"reason": long})], T0)
    for event in events:
        assert len(json.dumps(event.payload)) < 900_000
        assert len(event.message) <= 2000
    assert_described(events[0])


EXAMPLE = re.compile(r"^## io\.dagster-contracts\.([a-z_.]+)\.v1$.*?```\n(.*?)```", re.MULTILINE | re.DOTALL)


def test_each_type_is_documented_with_what_a_run_tells(told: list[Event]) -> None:
    examples = dict(EXAMPLE.findall(DOCUMENTED.read_text()))
    assert list(examples) == [kind.value for kind in EventType]
    for kind, example in examples.items():
        first = next(event for event in told if event.type == kind)
        assert json.loads(example) == json.loads(json.dumps(first.payload)), kind
