"""Breaker scenarios of other projects, run through our machine; those that our policy cannot express are listed with the reason.

How a scenario's words become ours:

- a call is a batch with its outcome: `success` PASS, `failure` FAIL of severity error, `ignored` INCONCLUSIVE;
- `acquire` claims a probe where the breaker is not closed; the call that `uses_permit` settles it;
- `open` (an operator's word, followed by the ordinary wait) is a critical failure: `tripOn` opens whatever the window says;
- `half_open` (an operator's word) is a new contract version, which makes a probe due now, and a claim; the next call is that probe;
- `isolate`, `disable` and `metrics_only` are the overrides, `close` and `reset` our reset; `open` and `half_open` end an override first;
- N consecutive failures are N failures in a window of N; a cumulative count is a window longer than the scenario; an interval that no
  stretch of being closed outlasts is a window of its length;
- where `half_open_on` is `timeout`, an open breaker whose cooldown is over is read as half_open: the one difference is that they show it
  before a call claims, and we show it after.

States, permissions and transitions are compared, and what is in the window where a step names its `counts`; what the others count of
themselves in the end (`expect_metrics`) is not.

A scenario's time is stretched a thousandfold: it has nanoseconds, datetime has microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import takewhile
from typing import Any

import pytest

from dagster_contracts.core import breaker as machine
from dagster_contracts.core.contract import BreakerPolicy, Severity, Window
from dagster_contracts.core.state import Breaker, Counted, Judged, OverrideKind, State, Step, Transition
from dagster_contracts.core.verdict import Outcome
from tests.shared_cases import CASES, needs_cases

Scenario = Mapping[str, Any]

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FOREVER = timedelta(days=36_500)
OUTCOMES = {"success": Outcome.PASS, "failure": Outcome.FAIL, "ignored": Outcome.INCONCLUSIVE}
OVERRIDES = {"isolate": OverrideKind.FORCE_OPEN, "disable": OverrideKind.FORCE_CLOSED, "metrics_only": OverrideKind.OBSERVE_ONLY}
SHOWN = {OverrideKind.FORCE_OPEN: "forced_open", OverrideKind.FORCE_CLOSED: "disabled", OverrideKind.OBSERVE_ONLY: "metrics_only"}


def seconds(value: float) -> timedelta:
    return timedelta(microseconds=int(Fraction(str(value)) * 1000 * 1_000_000))


def half_opened(scenario: Scenario) -> Iterator[Mapping[str, Any]]:
    """The calls that are made while the scenario says half-open, or that a wait in `open` makes the first of half-open."""
    for before, step, after in stretched(scenario):
        if step["do"] in OUTCOMES and (before == "half_open" or (before == "open" and after != "open")):
            yield step


def stretched(scenario: Scenario) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Every step, with the state before and after it."""
    state = scenario["config"].get("initial_state", "closed")
    for step in scenario["steps"]:
        before, state = state, step.get("state", {"open": "open", "half_open": "half_open"}.get(step["do"], state))
        yield before, step, state


# --- what we cannot express ----------------------------------------------------------------------------------------


def inexpressible(scenario: Scenario) -> str | None:
    """Why our policy cannot express a scenario; None where it can. Rules over config and steps only, never over names."""
    reasons = (_window(scenario), _tripping(scenario), _probing(scenario), _permits(scenario), _waiting(scenario))
    return next((reason for reason in reasons if reason), None)


def _window(scenario: Scenario) -> str | None:
    window = scenario["config"]["window"]
    if window["type"] == "fixed_interval" and any(
        lasted >= window["seconds"] for step, lasted in _lasting(scenario, "closed") if step["do"] in OUTCOMES
    ):
        return "window.type fixed_interval: counts restart at the end of an interval; our windows slide"
    if "bucket_seconds" in window and not _buckets_are_exact(scenario):
        return "window.bucket_seconds: events leave the window by the bucket; ours leave at their own age"
    return None


def _lasting(scenario: Scenario, state: str) -> Iterator[tuple[Mapping[str, Any], float]]:
    """The steps that find the scenario in a state, and the seconds for which it has been."""
    since = 0.0
    for before, step, after in stretched(scenario):
        if before == state:
            yield step, step["t"] - since
        if before != after or step["do"] == "reset":
            since = step["t"]


def _buckets_are_exact(scenario: Scenario) -> bool:
    """Whether at every step the buckets that are left hold just the events that are young enough."""
    window = scenario["config"]["window"]
    size, bucket = Fraction(str(window["seconds"])), Fraction(str(window["bucket_seconds"]))
    times = [Fraction(str(step["t"])) for step in scenario["steps"]]
    return all(
        (now - then < size) == (now // bucket - then // bucket < size / bucket)
        for position, now in enumerate(times)
        for then in times[: position + 1]
    )


def _tripping(scenario: Scenario) -> str | None:
    config, steps = scenario["config"], scenario["steps"]
    slow = config.get("slow_call_seconds")
    if slow is not None and any(step.get("duration", 0) >= slow for step in steps):
        return "slow_call_seconds: how long a batch took says nothing of its data"
    if config["trip_on"] == "any_call" and any(step["do"] != "failure" for step in _opening(scenario)):
        return "trip_on any_call: only a failure opens"
    minimum, failures = (
        config.get("minimum_calls", 0),
        config.get("failure_count_threshold") or config.get("consecutive_failures_threshold"),
    )
    if failures is not None and minimum > failures:
        return "minimum_calls with a count: our minimum goes with a rate"
    return None


def _opening(scenario: Scenario) -> Iterator[Mapping[str, Any]]:
    """The calls after which the scenario has gone from closed to open."""
    for before, step, after in stretched(scenario):
        if step["do"] in OUTCOMES and (before, after) == ("closed", "open"):
            yield step


def _probing(scenario: Scenario) -> str | None:
    decide = scenario["config"]["half_open"]
    failed = any(step["do"] == "failure" for step in half_opened(scenario))
    if decide["decide"] == "thresholds" and failed and _tolerance(decide) > 0:
        return "half_open.decide thresholds: the first failed probe re-opens"
    if decide["decide"] == "rate_after_n" and failed and decide["permitted"] > 1:
        return "half_open.decide rate_after_n: the first failed probe re-opens, there is no rate of probes"
    return None


def _tolerance(decide: Mapping[str, Any]) -> int:
    """How many probes of a `thresholds` policy may fail before it re-opens. A success threshold overrides the failure threshold."""
    if decide["success"] is not None:
        needed, of = decide["success"]
        return int(of - needed)
    return int(decide["failure"][0] - 1)


def _permits(scenario: Scenario) -> str | None:
    out, begun, stretch = 0, list[int](), 0
    steps = list(stretched(scenario))
    for number, (before, step, after) in enumerate(steps):
        if step.get("uses_permit") and begun.pop(0) < stretch and ("half_open" in (before, after) or before == "closed"):
            return "uses_permit: a batch begins when it arrives, whatever the state was before"
        if step["do"] in OUTCOMES and before == "half_open" and out > 0 and not step.get("uses_permit") and step.get("permitted", True):
            return "half_open.permitted: one probe at a time"
        stretch += before != after
        if step["do"] == "acquire" and step.get("permitted"):
            begun.append(stretch)
        if step["do"] == "acquire" and after == "half_open" and step.get("permitted"):
            out = 1 if scenario["config"]["half_open"].get("permit_renews_after_wait") else out + 1
        elif step["do"] == "release" or step.get("uses_permit") or after != "half_open":
            out = 0
        if out > 1:
            return "half_open.permitted: one probe at a time"
        if step["do"] == "release":
            return "release: a probe that says nothing is due again after a lease, not at once"
        if step["do"] == "ignored" and _says_nothing(scenario, steps, number):
            return "ignored: a batch that says nothing moves no breaker, and its probe is due again after a lease"
    return None


def _says_nothing(scenario: Scenario, steps: Sequence[tuple[str, Mapping[str, Any], str]], number: int) -> bool:
    """Whether an ignored call moves open to half-open, or holds the lease that a later call of half-open needs."""
    before, step, after = steps[number]
    if before == "open" and after == "half_open" and scenario["config"]["half_open_on"] == "call":
        return True
    asked = [each[1]["do"] for each in steps[:number] if each[1]["do"] != "tick"]
    leased = step.get("uses_permit", False) or asked[-1:] == ["half_open"]
    later = list(takewhile(lambda each: each[0] == "half_open", steps[number + 1 :]))
    return before == "half_open" and leased and any(each[1]["do"] in (*OUTCOMES, "acquire") for each in later)


def _waiting(scenario: Scenario) -> str | None:
    config, steps = scenario["config"], list(stretched(scenario))
    limit = config.get("max_half_open")
    if limit is not None and any(lasted >= limit["seconds"] for _, lasted in _lasting(scenario, "half_open")):
        return "max_half_open: half-open does not end by itself; the lease does, and the next probe is due"
    for number, (_, step, _) in enumerate(steps):
        later = list(takewhile(lambda each: each[0] == "open", steps[number + 1 :]))
        wait = step.get("for_seconds", config["wait_seconds"])
        if wait != config["wait_seconds"] and any(each[1]["t"] - step["t"] >= min(wait, config["wait_seconds"]) for each in later):
            return "open.for_seconds: the wait is the policy's cooldown; force_open with an expiry returns to the state before it"
    return None


# --- ours ----------------------------------------------------------------------------------------------------------


def policy_of(scenario: Scenario) -> BreakerPolicy:
    config = scenario["config"]
    wait, backoff = seconds(config["wait_seconds"]), config.get("wait_backoff", {"multiplier": 1})
    failures = config.get("consecutive_failures_threshold") or config.get("failure_count_threshold") or 1
    window = _window_of(config["window"], failures, len(scenario["steps"]))
    return BreakerPolicy(
        failures=failures,
        failure_rate_threshold=config.get("failure_rate_threshold"),
        minimum_batches=max(1, min(config.get("minimum_calls", 1), window.batches or FOREVER.days)),
        window=window,
        cooldown=wait,
        backoff_multiplier=backoff["multiplier"],
        backoff_maximum=seconds(backoff["max_seconds"]) if "max_seconds" in backoff else FOREVER,
        probes=_probes(config["half_open"]),
        # In the others a probe that never reports holds its permit, unless the scenario says when it is given back.
        lease=wait if config["half_open"].get("permit_renews_after_wait") else FOREVER,
    )


def _window_of(window: Mapping[str, Any], failures: int, steps: int) -> Window:
    match window["type"]:
        case "time" | "fixed_interval":
            return Window(batches=None, duration=seconds(window["seconds"]))
        case "count":
            return Window(batches=window["size"])
        case "consecutive":
            return Window(batches=failures)
        case "cumulative":
            return Window(batches=steps + 1)
        case other:
            raise ValueError(f"unknown window {other!r}")


def _probes(decide: Mapping[str, Any]) -> int:
    """How many passes in a row close."""
    match decide["decide"]:
        case "n_successes":
            return int(decide.get("successes_to_close") or decide["permitted"])
        case "rate_after_n":
            return int(decide["permitted"])
        case "thresholds" if decide["success"] is not None:
            return int(decide["success"][0])
        case "thresholds":
            failed, of = decide["failure"]
            return int(of - failed + 1)
        case other:
            raise ValueError(f"unknown way to decide {other!r}")


@dataclass
class Replay:
    """A breaker under the steps of one scenario."""

    scenario: Scenario
    breaker: Breaker = field(init=False)
    now: datetime = T0
    transitions: list[Transition] = field(default_factory=list)
    waiting: str | None = None  # lease of a claim that no call has used yet
    permits: list[str | None] = field(default_factory=list)  # leases that acquired calls hold; None: acquired while closed
    names: int = 0

    def __post_init__(self) -> None:
        self.breaker = Breaker("scenario", policy_of(self.scenario), "1")
        initial = self.scenario["config"].get("initial_state", "closed")
        if initial != "closed":
            self.apply(
                {"t": 0, "do": {"metrics_only": "metrics_only", "forced_open": "isolate", "disabled": "disable"}.get(initial, initial)}
            )

    def apply(self, step: Mapping[str, Any]) -> bool | None:
        """Take one step; whether a call was let through, None where the step is no call."""
        self.now = T0 + seconds(step["t"])
        do = step["do"]
        if do in OUTCOMES:
            return self.call(OUTCOMES[do], uses_permit=step.get("uses_permit", False))
        if do == "acquire":
            return self.acquire()
        if do == "half_open":
            self.force_half_open()
        elif do == "open":
            self.force_opened()
        elif do in OVERRIDES:
            self.waiting = None
            self.follow(machine.override(self.breaker, OVERRIDES[do], actor="operator", reason=do, now=self.now))
        elif do in ("close", "reset"):
            self.follow(machine.reset(self.breaker, actor="operator", reason=do, now=self.now))
        elif do != "tick":
            raise ValueError(f"unknown step {do!r}")
        return None

    def call(self, outcome: Outcome, *, uses_permit: bool = False, severity: Severity = Severity.ERROR) -> bool:
        lease, acquired = self.waiting, False
        self.waiting = None
        if uses_permit:
            lease, acquired = self.permits.pop(0), True
        if lease is not None:
            batch = machine.current(self.breaker, self.now).lease
            settled = machine.settle(self.breaker, lease, self.judged(outcome, severity, batch.batch_id if batch else None), self.now)
            if isinstance(settled, Step):
                self.follow(settled)
            return True
        permitted = acquired or not machine.enforced_open(self.breaker, self.now) or machine.probe_due(self.breaker, self.now)
        self.follow(machine.arrive(self.breaker, self.judged(outcome, severity), self.now).step)
        return permitted

    def acquire(self) -> bool:
        if self.waiting is not None:
            self.permits.append(self.waiting)
            self.waiting = None
            return True
        if not machine.enforced_open(self.breaker, self.now):
            self.permits.append(None)
            return True
        return self.claim() is not None and self.acquire()

    def claim(self) -> str | None:
        batch = self.name()
        claimed = machine.claim(self.breaker, lease_id=batch, holder="caller", batch_id=batch, now=self.now)
        if not isinstance(claimed, Step):
            return None
        self.follow(claimed)
        self.waiting = batch
        return batch

    def force_opened(self) -> None:
        self.end_override()
        if self.breaker.state is State.HALF_OPEN:
            self.waiting = self.breaker.lease.id if self.breaker.lease else self.claim()
        self.call(Outcome.FAIL, severity=Severity.CRITICAL)

    def end_override(self) -> None:
        if self.breaker.override is not None:
            self.follow(machine.reset(self.breaker, actor="operator", reason="override ends", now=self.now))

    def force_half_open(self) -> None:
        self.end_override()
        if self.breaker.state is State.CLOSED:
            self.force_opened()
        self.follow(machine.adopt(self.breaker, self.name(), self.breaker.policy, self.now))
        self.claim()

    def follow(self, step: Step) -> None:
        self.breaker = step.breaker
        self.transitions += [change for change in step.transitions if change.from_state is not change.to_state]

    def judged(self, outcome: Outcome, severity: Severity, name: str | None = None) -> Judged:
        failed = frozenset({severity}) if outcome is Outcome.FAIL else frozenset[Severity]()
        return Judged(name or self.name(), outcome, failed_severities=failed)

    def name(self) -> str:
        self.names += 1
        return f"batch {self.names}"

    @property
    def counts(self) -> dict[str, int]:
        window = machine.trimmed(self.breaker.window, self.breaker.policy.window, self.now)
        failures = sum(entry.failed for entry in window)
        return {"successes": len(window) - failures, "failures": failures}

    @property
    def shown(self) -> str:
        breaker = machine.current(self.breaker, self.now)
        if breaker.override is not None:
            return SHOWN[breaker.override.kind]
        on_timeout = self.scenario["config"]["half_open_on"] == "timeout"
        if on_timeout and breaker.state is State.OPEN and machine.probe_due(breaker, self.now):
            return "half_open"
        return breaker.state.value


def replay(scenario: Scenario) -> Replay:
    """Run a scenario's steps, asserting what it expects after each, and of the whole."""
    run = Replay(scenario)
    for number, step in enumerate(scenario["steps"]):
        permitted = run.apply(step)
        place = f"{scenario['id']} step {number} {step}"
        if "state" in step:
            assert run.shown == step["state"], place
        if "permitted" in step:
            assert permitted is step["permitted"], place
        if "counts" in step:
            assert run.counts == step["counts"], place
    told = [[change.from_state.value, change.to_state.value] for change in run.transitions]
    if "expect_transitions" in scenario:
        assert told == scenario["expect_transitions"], scenario["id"]
    # Both events of the scenarios that name events are the one transition to open.
    for event, times in scenario.get("expect_events", {}).items():
        assert event in ("to_open", "failure_rate_exceeded"), event
        assert [end for _, end in told].count("open") == times, scenario["id"]
    return run


def trips(decision: Scenario) -> bool:
    """A row of a decision table: so many calls, such a share of them failed.

    The share of so many calls may be no whole number of failures: calls, failures and the minimum are counted in parts of a call.
    """
    config, given = decision["config"], decision["given"]
    failed = Fraction(str(given["failure_rate"])).limit_denominator(10_000) * given["calls"]
    parts = failed.denominator
    policy = BreakerPolicy(
        failure_rate_threshold=config["failure_rate_threshold"],
        minimum_batches=config["minimum_calls"] * parts,
        window=Window(batches=given["calls"] * parts),
    )
    window = tuple(Counted(str(number), T0, number < failed * parts) for number in range(given["calls"] * parts))
    return machine.threshold_reached(window, policy)


# --- the tests -----------------------------------------------------------------------------------------------------


def scenarios(kind: str) -> Sequence[Scenario]:
    place = CASES / "breaker" / "scenarios.json"
    return [entry for entry in json.loads(place.read_text()) if entry["kind"] == kind] if place.is_file() else []


def named(entries: Sequence[Scenario]) -> list[Any]:
    return [pytest.param(entry, id=entry["id"]) for entry in entries]


INEXPRESSIBLE = {
    "fs-07": "half_open.decide thresholds",
    "fs-10": "half_open.decide thresholds",
    "fs-11": "half_open.decide thresholds",
    "fs-16": "half_open.decide thresholds",
    "fs-17": "half_open.decide thresholds",
    "fs-21": "half_open.decide thresholds",
    "gob-05": "window.type fixed_interval",
    "r4j-03": "half_open.permitted",
    "r4j-06": "trip_on any_call",
    "r4j-07": "slow_call_seconds",
    "r4j-08": "slow_call_seconds",
    "r4j-10": "open.for_seconds",
    "r4j-13": "half_open.decide rate_after_n",
    "r4j-23": "max_half_open",
    "r4j-24": "max_half_open",
}


@needs_cases
@pytest.mark.parametrize("scenario", named([entry for entry in scenarios("sequence") if inexpressible(entry) is None]))
def test_a_scenario_that_our_policy_can_express_gives_the_expected_states(scenario: Scenario) -> None:
    replay(scenario)


@needs_cases
def test_the_scenarios_that_it_cannot_express_are_these_and_no_others() -> None:
    reasons = {entry["id"]: inexpressible(entry) for entry in scenarios("sequence")}
    assert {name: reason.split(":")[0] for name, reason in reasons.items() if reason} == INEXPRESSIBLE


@needs_cases
@pytest.mark.parametrize("scenario", named([entry for entry in scenarios("sequence") if inexpressible(entry) is not None]))
def test_what_is_called_inexpressible_does_end_differently_here(scenario: Scenario) -> None:
    """No scenario is given up that would have passed."""
    with pytest.raises((AssertionError, ValueError)):
        replay(scenario)


@needs_cases
@pytest.mark.parametrize("decision", named(scenarios("decision")))
def test_a_row_of_a_decision_table(decision: Scenario) -> None:
    assert trips(decision) is decision["expected"]["trip"]


@needs_cases
def test_every_scenario_is_of_a_kind_that_is_run() -> None:
    everything = json.loads((CASES / "breaker" / "scenarios.json").read_text())
    assert len(everything) == len(scenarios("sequence")) + len(scenarios("decision")) > 0


# --- scenarios of ours, for what the others' do not touch -------------------------------------------------------------

COUNT = {"window": {"type": "count", "size": 2}, "failure_count_threshold": 2, "trip_on": "failure_only", "wait_seconds": 5}
ONE = {"decide": "n_successes", "permitted": 1}
RATE = {"window": {"type": "time", "seconds": 9}, "failure_rate_threshold": 0.5, "trip_on": "failure_only", "wait_seconds": 5}
OWN: dict[str, tuple[dict[str, Any], str, str | None]] = {
    # name: config, steps as "second what state", why it cannot be expressed
    "an override ends by opening": (COUNT, "0 isolate forced_open, 1 open open, 5 success open, 6 success closed", None),
    "an override ends by a probe": (COUNT, "0 half_open half_open, 1 isolate forced_open, 2 half_open half_open, 3 success closed", None),
    "a probe is void when isolated": (COUNT, "0 half_open half_open, 1 isolate forced_open, 2 success forced_open", None),
    "fewer calls than the minimum": (RATE | {"minimum_calls": 5}, "0 failure closed, 0 failure closed", None),
    "an interval that is not over": (
        RATE | {"minimum_calls": 2, "window": {"type": "fixed_interval", "seconds": 9}},
        "0 failure closed, 8 failure open, 20 success closed, 28 failure closed",
        None,
    ),
    "an interval that is over": (
        RATE | {"minimum_calls": 2, "window": {"type": "fixed_interval", "seconds": 9}},
        "8 failure closed, 10 failure closed",
        "window.type fixed_interval",
    ),
    "a failed call that makes half-open": (
        RATE | {"minimum_calls": 1, "half_open": {"decide": "rate_after_n", "permitted": 2}},
        "0 failure open, 5 failure half_open, 5 failure open",
        "half_open.decide rate_after_n",
    ),
    "a call that says nothing": (COUNT, "0 open open, 5 ignored half_open", "ignored"),
    "half-open that is not over": (
        COUNT | {"max_half_open": {"seconds": 9, "to": "open"}},
        "0 half_open half_open, 8 success closed",
        None,
    ),
    "half-open that is over": (
        COUNT | {"max_half_open": {"seconds": 9, "to": "open"}},
        "0 half_open half_open, 9 tick open",
        "max_half_open",
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_a_scenario_of_ours(name: str) -> None:
    config, steps, reason = OWN[name]
    words = [step.split() for step in steps.split(", ")]
    scenario = {
        "id": name,
        "config": {"half_open": ONE, "half_open_on": "call"} | config,
        "steps": [{"t": int(at), "do": do, "state": state} for at, do, state in words],
    }
    assert (inexpressible(scenario) or "").split(":")[0] == (reason or "")
    if reason is None:
        replay(scenario)
    else:
        with pytest.raises(AssertionError):
            replay(scenario)
