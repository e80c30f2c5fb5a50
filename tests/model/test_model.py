"""The state machine, explored: real gate, real breaker, real rules of the store, every interleaving of small scenarios.

How it works: replay.py (one store call at a time), search.py (what a state is), invariants.py (what must hold of each transaction and
state), ways_out.py (nobody is wedged). `python -m pytest tests/model -s` prints what was explored; `-m soak` explores more of each.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.bugs import BUGS, Bug
from tests.model.scenarios import SCENARIOS
from tests.model.search import Explored, Scenario, Search


def named(part: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if part in scenario.name)


def told(scenario: Scenario, explored: Explored) -> str:
    """What was found, and by which actions, one a line."""
    return "\n".join([f"{scenario.name}: {explored}", str(explored.violated), *(f"  {label}" for label in explored.trace)])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_interleaving_keeps_the_invariants(scenario: Scenario) -> None:
    explored = Search(scenario).run()
    print(f"\n{scenario.name}: {explored}")
    assert explored.violated is None, told(scenario, explored)
    assert explored.states >= scenario.least, "the search has lost states"
    assert explored.ways_out >= 10, "the ways out have become empty"
    assert explored.transitions > explored.states


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_with_more_time_crashes_and_repetition(scenario: Scenario) -> None:
    """One more deadline to pass, one more crash, and the first operation once more."""
    first, *others = scenario.operations
    again = replace(first, times=first.times + 1)
    wider = replace(scenario, ticks=scenario.ticks + 1, crashes=scenario.crashes + 1, operations=(again, *others))
    explored = Search(wider).run(limit=300_000)
    print(f"\n{scenario.name}: {explored}")
    assert explored.violated is None, told(scenario, explored)
    assert explored.states > 2 * scenario.least


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = named(bug.scenario)
    bug.plant(monkeypatch)
    explored = Search(scenario).run()
    assert explored.violated is not None, "not found"
    print(f"\n{bug.name}\n{told(scenario, explored)}")
    assert explored.violated.number == bug.breaks, told(scenario, explored)
    assert explored.trace, "shown by what was done"
