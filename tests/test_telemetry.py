"""What OpenTelemetry is told by the gate: through the real API and SDK, read from memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dagster_contracts import probing, telemetry
from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.ledger import Partition, Route, RouteKind
from dagster_contracts.judgement import Delivery, Probe
from dagster_contracts.store.in_force import InForce
from dagster_contracts.store.registry import SqlRegistry
from dagster_contracts.store.sql import SqlStore
from tests.gate_world import BAD, GOOD, HOUR, POLICY, UNREADABLE, World, daily, day, terms


@dataclass
class Told:
    """What was recorded so far. Counts are cumulative: a test looks at assets of its own."""

    reader: Any
    spans: Any

    def points(self, name: str) -> dict[frozenset[tuple[str, object]], Any]:
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        found = [point for metric in metrics if metric.name == f"dagster_contracts.{name}" for point in metric.data.data_points]
        return {frozenset((key.removeprefix("dagster_contracts."), value) for key, value in p.attributes.items()): p for p in found}

    def of(self, name: str, asset: str) -> dict[tuple[object, ...], Any]:
        """Points of one asset: the other attributes' values, in order of their names -> value (or the sum of a histogram)."""
        return {
            tuple(value for _, value in sorted(attributes - {("asset", asset)})): getattr(p, "value", getattr(p, "sum", None))
            for attributes, p in self.points(name).items()
            if ("asset", asset) in attributes
        }


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    reader, spans, tracing = InMemoryMetricReader(), InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    metrics.set_meter_provider(MeterProvider([reader]))
    trace.set_tracer_provider(tracing)
    yield Told(reader, spans)
    spans.shutdown()  # providers are set once per process; from here on nothing is kept


def world(asset: str, policy: BreakerPolicy = POLICY) -> World:
    made = World(policy)
    made.terms = terms(policy, asset=asset)
    return made


def story(asset: str) -> World:
    """A good day, a bad one that opens, one that is held, a probe that closes."""
    made = world(asset)
    feed = asset
    made.deliver(1, GOOD, day(1, 6))
    made.deliver(2, BAD, day(2, 6))
    made.route("revenue", 2, Confidence.STALE, upstream=feed)
    made.route("scores", 2, Confidence.FULL, upstream=feed)
    made.deliver(3, GOOD, day(2, 7))
    made.probe(day(4))
    return made


def test_the_story_of_an_incident_is_counted(told: Told) -> None:
    story("told/feed")
    contract = "feed"
    assert told.of("batch.verdicts", "told/feed") == {
        (contract, "pass", "publishing"): 1,
        (contract, "fail", "quarantined"): 1,
        (contract, "pass", "held"): 1,
    }
    assert told.of("breaker.transitions", "told/feed") == {
        ("closed", False, "open"): 1,
        ("open", False, "half_open"): 1,
        ("half_open", False, "closed"): 1,
    }
    assert told.of("breaker.probes", "told/feed") == {(contract, "passed"): 1}
    assert told.of("routes", "told/feed") == {("revenue", "last_good"): 1, ("scores", "halted"): 1}
    assert told.of("served.staleness", "told/feed") == {("revenue", "last_good"): 24 * 3600}
    operations = {operation for (operation,) in told.of("gate.duration", "told/feed")}
    assert operations == {"judge", "measure", "decide", "route", "claim", "probe"}


@pytest.mark.parametrize(("data", "result"), [(BAD, "failed"), (UNREADABLE, "inconclusive")])
def test_what_a_probe_came_to(told: Told, data: dict[str, int], result: str) -> None:
    asset = f"probed/{result}"
    made = world(asset)
    made.deliver(1, BAD, day(1, 6))
    made.probe(day(4), data)
    assert told.of("breaker.probes", asset) == {("feed", result): 1}


def test_a_late_probe(told: Told) -> None:
    made = world("probed/late")
    made.deliver(1, BAD, day(1, 6))
    made.clock.at = day(4)
    claimed = made.claim()
    assert isinstance(claimed, Probe)
    made.clock.at = day(4) + made.terms.policy.lease
    probing.settle(made.gate, made.terms, claimed, GOOD)
    assert told.of("breaker.probes", "probed/late") == {("feed", "late"): 1}
    assert made.breaker.state == "half_open"


def test_a_decision_that_is_recalled_counts_once(told: Told) -> None:
    from dagster_contracts.core.ledger import StepKey

    made = world("recalled")
    made.deliver(1, GOOD, day(1, 6))
    for _ in range(3):
        made.route("revenue", 1, Confidence.FULL, upstream="recalled", step=StepKey("one run", "revenue"))
    assert told.of("routes", "recalled") == {("revenue", "fresh"): 1}
    assert told.of("served.staleness", "recalled") == {("revenue", "fresh"): 0}


def test_spans_stand_within_each_other_and_tell_what_came_of_it(told: Told) -> None:
    told.spans.clear()
    made = world("traced")
    made.deliver(1, BAD, day(1, 6))
    spans = {span.name: span for span in told.spans.get_finished_spans()}
    judge = spans["dagster_contracts.judge"]
    assert spans["dagster_contracts.measure"].parent.span_id == judge.context.span_id
    assert {span.parent.span_id for span in told.spans.get_finished_spans() if span.name == "dagster_contracts.decide" and span.parent} == {
        judge.context.span_id
    }
    assert dict(judge.attributes) == {
        "dagster_contracts.asset": "traced",
        "dagster_contracts.contract": "feed",
        "dagster_contracts.contract_version": "1.0.0",
        "dagster_contracts.outcome": "fail",
        "dagster_contracts.status": "quarantined",
        "dagster_contracts.run_id": "run 1",
    }


def test_partitions_batches_and_values_are_in_no_attribute(told: Told) -> None:
    told.spans.clear()
    story("bounded")
    kept = [str(span.attributes) + str(span.events) + str(span.status.description) for span in told.spans.get_finished_spans()]
    kept += [str(sorted(map(str, attributes))) for name in NAMES for attributes in told.points(name)]
    assert len(kept) > 20
    for secret in ("2026-01-0", "risk", "57", "88"):
        assert not [text for text in kept if secret in text]


def test_an_error_is_told_by_its_type(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.spans.clear()
    made = world("failing")

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("the row 57 of ann@example.org")

    monkeypatch.setattr(made.store, "save", refuse)
    with pytest.raises(StoreUnavailable):
        made.judge(daily(1), GOOD)
    judge = next(span for span in told.spans.get_finished_spans() if span.name == "dagster_contracts.judge")
    assert judge.status.status_code.name == "ERROR"
    assert judge.attributes["error.type"] == "StoreUnavailable"
    assert "ann" not in str(judge.to_json())
    durations = {attributes for attributes in told.points("gate.duration") if ("asset", "failing") in attributes}
    assert frozenset({("asset", "failing"), ("operation", "judge"), ("error.type", "StoreUnavailable")}) in durations


def test_what_the_database_cannot_do_is_counted(told: Told, tmp_path: Any) -> None:
    before = _errors(told)
    (tmp_path / "contracts.db").write_text("this is no database, and never was one" * 40)
    made = World(store=SqlStore(f"sqlite:///{tmp_path}/contracts.db"))
    with pytest.raises(Exception, match="not a database"):
        made.judge(daily(1), GOOD)
    assert _errors(told) == before + 1


def _errors(told: Told) -> int:
    return sum(p.value for attributes, p in told.points("store.errors").items() if ("error.type", "StoreError") in attributes)


def test_lost_races_are_counted(told: Told) -> None:
    made = world("raced")
    original, others = made.store.load, iter([True])

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        if next(others, False):
            made.gate.judge(made.terms, Delivery(daily(1), "other", "other"), GOOD)
        return found

    made.store.load = overtaken  # type: ignore[method-assign]
    made.deliver(2, GOOD, day(2, 6))
    assert told.of("store.lost_races", "raced") == {(): 1}


def test_the_state_of_breakers_is_read_when_metrics_are_collected(told: Told) -> None:
    made = world("gauged")
    telemetry.observe_breakers(made.store)
    telemetry.observe_breakers(made.store)
    made.deliver(1, GOOD, day(1, 6))
    assert told.of("breaker.state", "gauged") == {("closed",): 1, ("half_open",): 0, ("open",): 0}
    made.deliver(2, BAD, day(2, 6))
    assert told.of("breaker.state", "gauged") == {("closed",): 0, ("half_open",): 0, ("open",): 1}


def test_breakers_of_one_asset_are_counted_together(told: Told) -> None:
    made = world("scoped", BreakerPolicy(cooldown=HOUR, scope="vendor"))
    for vendor, data in (("acme", BAD), ("zeta", GOOD)):
        made.judge(Partition(vendor, dimensions=(("vendor", vendor),)), data)
    telemetry.observe_breakers(made.store)
    assert told.of("breaker.state", "scoped") == {("closed",): 1, ("half_open",): 0, ("open",): 1}
    assert not [attributes for name in NAMES for attributes in told.points(name) if "acme" in str(attributes)]


def test_a_drill_is_told_to_nobody(told: Told) -> None:
    with telemetry.muted():
        story("drilled/feed")
    assert not [name for name in NAMES if told.of(name, "drilled/feed")]
    assert telemetry.is_active()


def test_staleness_needs_windows(told: Told) -> None:
    telemetry.of_route("c", Route("windowless", Partition("a"), RouteKind.LAST_GOOD, Confidence.STALE, served=Partition("a")))
    assert told.of("routes", "windowless") == {("c", "last_good"): 1}
    assert told.of("served.staleness", "windowless") == {}


NAMES = (
    "breaker.state",
    "breaker.transitions",
    "breaker.probes",
    "batch.verdicts",
    "routes",
    "served.staleness",
    "gate.duration",
    "registry.lookups",
    "store.errors",
    "store.lost_races",
)

JUDGING = """
import sys
{before}
from tests.gate_world import World, GOOD, BAD, day
world = World()
world.deliver(1, GOOD, day(1, 6))
world.deliver(2, BAD, day(2, 6))
{after}
"""
BLOCKED = "sys.modules['opentelemetry'] = None"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BLOCKED, "assert world.breaker.state == 'open'"),
        ("", "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"),
        ("import opentelemetry.trace, opentelemetry.metrics", "assert world.breaker.state == 'open'"),
    ],
    ids=["absent", "never imported", "imported, not configured"],
)
def test_without_a_provider_the_gate_works_the_same(before: str, after: str) -> None:
    script = JUDGING.format(before=before, after=after)
    ran = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_contracts_in_force_are_counted_as_they_were_found(told: Told, tmp_path: Path) -> None:
    moment = [0.0]
    known = InForce(SqlRegistry(f"sqlite:///{tmp_path}/c.db"), 60, lambda: moment[0])
    away = InForce(SqlRegistry("postgresql://nobody@127.0.0.1:1/none"), 60, lambda: moment[0])
    for each in (known, known, known, away, away):
        each.contract("counted")
    moment[0] = 60
    known.contract("counted")
    found = {dict(key)["result"]: p.value for key, p in told.points("registry.lookups").items() if ("contract", "counted") in key}
    assert found == {"miss": 2, "hit": 3, "stale": 1}
    assert known.hit_ratio == 0.5


def test_every_metric_is_documented(told: Told) -> None:
    made = story("documented")
    telemetry.observe_breakers(made.store)
    page = (Path(__file__).parents[1] / "docs" / "guides" / "telemetry.md").read_text()
    data = told.reader.get_metrics_data()
    found = {m.name: m for r in data.resource_metrics for s in r.scope_metrics if s.scope.name == telemetry.SCOPE for m in s.metrics}
    assert {
        f"dagster_contracts.{name}" for name in NAMES if name not in ("registry.lookups", "store.errors", "store.lost_races")
    } <= found.keys()
    for name in found:
        assert f"| `{name}` |" in page
    every: Callable[[str], str] = "dagster_contracts.{}".format
    assert not [name for name in NAMES if f"| `{every(name)}` |" not in page]
