"""The relay: at least once, in order per breaker, whoever fails or dies; one sink's outage keeps nothing from another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.errors import DeliveryFailed, UsageError
from dagster_contracts.core.events import Event
from dagster_contracts.core.snapshot import Change
from dagster_contracts.ports import FixedClock, Waiting
from dagster_contracts.relay import LEASE, LONGEST_WAIT, Relay, Told
from dagster_contracts.store.memory import MemoryStore
from tests.store.values import T0, breaker, numbered

HOUR = timedelta(hours=1)


@dataclass
class Sink:
    """Remembers what it was told; fails as `fails` says, after so many events."""

    name: str = "kafka"
    fails: Exception | None = None
    after: int = 0
    told: list[str] = field(default_factory=list)
    asked: int = 0

    def deliver(self, events: Sequence[Event]) -> None:
        self.asked += 1
        done = events if self.fails is None else events[: self.after]
        self.told += [event.id for event in done]
        if isinstance(self.fails, DeliveryFailed):
            raise DeliveryFailed(str(self.fails), delivered=[event.id for event in done], retry_after=self.fails.retry_after)
        if self.fails is not None:
            raise self.fails


DOWN = DeliveryFailed("the broker does not answer")


class Place:
    """A store with a clock, in which events are recorded."""

    def __init__(self) -> None:
        self.clock = FixedClock(T0)
        self.store = MemoryStore(clock=self.clock)

    def record(self, key: str = "a", count: int = 1) -> None:
        known = next(iter(self.store.breakers([key])), breaker(key))
        changed, events = numbered(known, *["x"] * count)
        self.store.save(Change(breaker=changed, events=events))


@pytest.fixture
def place() -> Place:
    return Place()


def test_every_sink_is_told_everything_once(place: Place) -> None:
    place.record("a", 2)
    sinks = [Sink("log"), Sink("kafka")]
    relay = Relay(place.store, sinks)
    assert relay.tick() == (Told("log", 2), Told("kafka", 2))
    place.record("b")
    assert relay.tick() == (Told("log", 1), Told("kafka", 1))
    assert relay.tick() == (Told("log", attempted=False), Told("kafka", attempted=False))
    assert [sink.told for sink in sinks] == [["a:1", "a:2", "b:1"]] * 2
    assert [sink.asked for sink in sinks] == [2, 2], "nothing waits, nobody is called"


def test_an_hour_without_a_broker_loses_nothing_and_keeps_nothing_from_others(place: Place) -> None:
    kafka, log = Sink("kafka", DOWN), Sink("log")
    relay = Relay(place.store, [kafka, log])
    for _ in range(360):
        place.record()
        relay.tick()
        place.clock.at += timedelta(seconds=10)
    expected = [f"a:{number}" for number in range(1, 361)]
    assert (kafka.told, log.told) == ([], expected)
    assert kafka.asked < 25, "it is left alone for longer and longer"
    assert place.store.waiting()[0] == Waiting("kafka", 360, T0)
    kafka.fails = None
    place.clock.at += LONGEST_WAIT
    while relay.tick()[0].events:
        pass
    assert kafka.told == expected
    assert [waiting.events for waiting in place.store.waiting()] == [0, 0]


def test_an_outage_is_told_once_and_its_end(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dagster_contracts.relay")
    sink = Sink(fails=DOWN)
    relay = Relay(place.store, [sink])
    place.record()
    (first,) = relay.tick()
    assert str(first) == "kafka: failed, next attempt after 2026-11-01T06:00:05Z: the broker does not answer"
    assert relay.tick() == (replace(first, attempted=False),)
    assert sink.asked == 1, "it is left alone until then"
    place.clock.at += timedelta(seconds=5)
    (second,) = relay.tick()
    assert second.again_at == place.clock.at + timedelta(seconds=10)
    sink.fails = None
    place.clock.at += timedelta(seconds=10)
    assert relay.tick() == (Told("kafka", 1),)
    assert [record.getMessage() for record in caplog.records] == [
        "kafka cannot be told; events wait in the outbox until it can: the broker does not answer",
        "kafka is told again, after 0:00:15",
    ]


def test_the_outside_system_may_say_when_to_come_again(place: Place) -> None:
    place.record()
    (told,) = Relay(place.store, [Sink(fails=DeliveryFailed("too many requests", retry_after=HOUR))]).tick()
    assert told.again_at == T0 + HOUR


def test_what_was_delivered_before_a_failure_is_not_delivered_again(place: Place) -> None:
    place.record("a", 2)
    place.record("b", 2)
    sink = Sink(fails=DOWN, after=3)
    relay = Relay(place.store, [sink])
    assert relay.tick()[0].events == 3
    sink.fails = None
    place.clock.at += HOUR
    assert relay.tick() == (Told("kafka", 1),)
    assert sink.told == ["a:1", "a:2", "b:1", "b:2"]


def test_a_cursor_stops_before_what_was_not_delivered(place: Place) -> None:
    """A sink that got the second event through and not the first is told both again."""

    class Gap(Sink):
        def deliver(self, events: Sequence[Event]) -> None:
            raise DeliveryFailed("the first was refused", delivered=["a:2", "b:1"])

    place.record("a", 2)
    place.record("b")
    Relay(place.store, [Gap()]).tick()
    assert [event.id for event in place.store.claim("kafka", holder="me", lease=LEASE)] == ["a:1", "a:2"]


def test_a_defect_of_one_sink_is_its_own(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    broken, log = Sink("broken", KeyError("x")), Sink("log")
    place.record()
    told = Relay(place.store, [broken, log]).tick()
    assert (told[0].failure, log.told) == ("KeyError: 'x'", ["a:1"])
    assert "sink broken broke" in caplog.text


def test_two_sinks_of_one_name_are_refused(place: Place) -> None:
    with pytest.raises(UsageError, match='two sinks are named "kafka"'):
        Relay(place.store, [Sink(), Sink()])


def test_outages_may_outlive_the_relay(place: Place) -> None:
    place.record()
    sink, outages = Sink(fails=DOWN), {}  # type: ignore[var-annotated]
    for _ in range(2):
        Relay(place.store, [sink], outages=outages).tick()
    assert sink.asked == 1


# --- several relays ------------------------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.sampled_from(["record", "claim", "send", "advance", "wait"]), st.integers(0, 2), st.sampled_from("ab")))


class Slow:
    """A relay of which every step may be the last, or come long after the one before."""

    def __init__(self, place: Place, sent: list[Event], name: str):
        self.place, self.sent, self.name = place, sent, name
        self.events: list[Event] = []
        self.done = 0

    def claim(self) -> None:
        self.events, self.done = list(self.place.store.claim("kafka", holder=self.name, lease=LEASE, limit=4)), 0

    def send(self) -> None:
        self.sent += self.events[self.done : self.done + 1]
        self.done += 1

    def advance(self) -> None:
        reached = {event.key: event.sequence for event in self.events[: self.done]}
        self.place.store.advance("kafka", self.name, reached)


@given(STEPS)
def test_paused_and_dead_relays_reorder_nothing(steps: list[tuple[str, int, str]]) -> None:
    """However three relays interleave, stop and come back: of each breaker the first occurrences come in order, and a cursor is never
    beyond what was sent."""
    place, sent = Place(), list[Event]()
    relays = [Slow(place, sent, str(number)) for number in range(3)]
    for step, who, key in steps:
        if step == "record":
            place.record(key)
        elif step == "wait":
            place.clock.at += LEASE
        else:
            getattr(relays[who], step)()
        for name in "ab":
            first = list(dict.fromkeys(event.sequence for event in sent if event.key == name))
            assert first == list(range(1, len(first) + 1))
    place.clock.at += LEASE
    left = place.store.claim("kafka", holder="last", lease=LEASE)
    assert {event.id for event in [*sent, *left]} == {event.id for event in place.store.events()}
