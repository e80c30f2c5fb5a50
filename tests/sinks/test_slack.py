"""The Slack sink against a local server: one thread per incident, of few messages, whatever fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import log2
from typing import Any

import pytest

from dagster_contracts import recovery
from dagster_contracts.core.alerts import READERS as READERS_SHOWN
from dagster_contracts.core.alerts import Alert
from dagster_contracts.core.contract import BreakerPolicy, Confidence, Contact, Fallback
from dagster_contracts.core.downstream import Reader
from dagster_contracts.core.errors import DeliveryFailed
from dagster_contracts.core.events import Event
from dagster_contracts.core.state import OverrideKind
from dagster_contracts.core.threads import REPLIES
from dagster_contracts.ports import Store
from dagster_contracts.sinks.slack import SlackAlerts, SlackSink
from tests.gate_world import BAD, GOOD, HOUR, POLICY, UNREADABLE, World, daily, day, terms
from tests.slack_server import TOKEN, Slack

CHANNEL = "#alerts"
READERS = [
    Reader("fraud_scores", frozenset({"feed"}), Confidence.FULL),
    Reader("credit_terms", frozenset({"feed"}), Confidence.STALE),
    Reader("offers", frozenset({"credit_terms", "customers"}), Confidence.STALE),
    Reader("letters", frozenset({"fraud_scores"}), Confidence.LOW),
]


def alerts(slack: Slack, **other: Any) -> SlackAlerts:
    given = {"channel": CHANNEL, "token": TOKEN, "base_url": slack.url, "webserver_base_url": "https://dagster.test", **other}
    return SlackAlerts(**given)


def sink_of(slack: Slack, store: Store, readers: Sequence[Reader] = READERS, **other: Any) -> SlackSink:
    return alerts(slack, **other).beside(store, readers)


def events(store: Store) -> list[Event]:
    return list(store.events(limit=100_000))


def text_of(message: dict[str, Any]) -> str:
    """Everything that people see of a message."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(each for name, each in value.items() if name in ("text", "url") and isinstance(each, str))
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    walk(message["blocks"])
    return "\n".join(found)


def incident(world: World) -> None:
    """D5 good; D6 fails and opens; D7 fails the probe; D9 passes it."""
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    world.deliver(7, BAD, day(7, 13))
    world.deliver(9, GOOD, day(9, 1))


# --- one thread ----------------------------------------------------------------------------------------------------


def test_an_incident_is_one_thread(slack: Slack) -> None:
    world = World(policy=replace(POLICY, contact=Contact("ana", "Credit", None, "https://runbooks.test/feed")))
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    sink = sink_of(slack, world.store)
    sink.deliver(events(world.store))
    (thread,) = slack.threads()
    said = text_of(thread)
    for wanted in (
        "feed is open",
        "feed [2026-01-06] failed",
        "88 of 100 rows (88%)",
        "one of HIGH, LOW",
        "risk=57",
        "ana, Credit",
        "https://runbooks.test/feed",
        "https://dagster.test/assets/feed",
        "2026-01-07 12:00Z",
        "batches failed: 1",
        "fraud_scores  reads nothing: it is halted",
        "credit_terms  reads the last good data [2026-01-05]",
        "offers        reads credit_terms, made at stale confidence",
        "letters       reads nothing: fraud_scores is halted",
    ):
        assert wanted in said, (wanted, said)
    assert slack.replies(thread) == []
    world.deliver(7, BAD, day(7, 13))
    sink.deliver(events(world.store))
    world.deliver(9, GOOD, day(9, 1))
    sink.deliver(events(world.store))
    assert slack.threads() == [thread]
    failed, closed = slack.replies(thread)
    assert "A probe failed: open again, next probe after 2026-01-09 01:00Z" in text_of(failed)
    assert "88 of 100 rows (88%)" in text_of(failed)
    assert "Closed after 2 d 19 h" in text_of(closed)
    assert "feed is closed again after 2 d 19 h" in text_of(thread)
    assert "batches failed: 2 · probes failed: 1" in text_of(thread)
    assert slack.methods() == {"chat.postMessage": 3, "chat.update": 2}


def test_an_incident_that_a_person_ends_names_them(slack: Slack) -> None:
    """And tells no more of the override that the reset ended."""
    world = World()
    world.deliver(6, BAD, day(7))
    recovery.override(world.gate, "feed", OverrideKind.FORCE_CLOSED, actor="ana", reason="vendor phoned", expires_at=None)
    sink_of(slack, world.store).deliver(events(world.store))
    (thread,) = slack.threads()
    assert "force_closed: vendor phoned" in text_of(thread)
    recovery.reset(world.gate, "feed", actor="bob", reason="corrected")
    sink_of(slack, world.store).deliver(events(world.store))
    assert "reset: corrected" in text_of(slack.replies(thread)[-1])
    assert "by bob" in text_of(slack.replies(thread)[-1])
    assert "closed: reset: corrected (by bob)" in text_of(thread)
    assert "force_closed" not in text_of(thread)


def test_a_whole_incident_told_at_once_is_the_same_thread(slack: Slack) -> None:
    world = World()
    incident(world)
    sink_of(slack, world.store).deliver(events(world.store))
    (thread,) = slack.threads()
    assert [text_of(reply).splitlines()[0] for reply in slack.replies(thread)] == [
        "*A probe failed: open again, next probe after 2026-01-09 01:00Z*",
        "*Closed after 2 d 19 h*",
    ]
    assert "feed is closed again" in text_of(thread)


def test_what_is_delivered_again_says_nothing_new(slack: Slack) -> None:
    world = World()
    incident(world)
    told = events(world.store)
    for size in (1, 3, len(told)):  # by a relay that had been paused: late, and in other portions
        for first in range(0, len(told), size):
            sink_of(slack, world.store).deliver(told[first : first + size])
    assert len(slack.threads()) == 1
    posted = slack.methods()["chat.postMessage"]
    sink_of(slack, world.store).deliver(told)
    assert slack.methods()["chat.postMessage"] == posted <= 5


def test_the_next_incident_has_a_thread_of_its_own(slack: Slack) -> None:
    world = World()
    incident(world)
    world.deliver(10, BAD, day(10, 6))
    sink_of(slack, world.store).deliver(events(world.store))
    assert [text_of(thread).splitlines()[0].split(" after")[0] for thread in slack.threads()] == [
        "\N{LARGE GREEN CIRCLE} feed is closed again",
        "\N{LARGE RED CIRCLE} feed is open",
    ]


def test_what_consumers_really_read_and_what_was_healed_is_told(slack: Slack) -> None:
    world = World(policy=replace(POLICY, consumers={"credit_terms": Fallback.LAST_GOOD}))
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    sink = sink_of(slack, world.store, readers=())
    sink.deliver(events(world.store))
    world.consume("letters", 6, Confidence.LOW)
    sink.deliver(events(world.store))
    assert "letters       reads the refused data [2026-01-06], marked low" in text_of(slack.threads()[0])
    world.deliver(6, GOOD, day(7, 13))
    world.consume("letters", 6, Confidence.LOW)
    sink.deliver(events(world.store))
    assert "Outputs are being made anew" in text_of(slack.replies(slack.threads()[0])[-1])
    assert "outputs made anew: 1" in text_of(slack.threads()[0])


def test_a_probe_that_proves_nothing_is_a_reply(slack: Slack) -> None:
    world = World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    world.probe(day(7, 13), UNREADABLE)
    sink_of(slack, world.store).deliver(events(world.store))
    (thread,) = slack.threads()
    said = [text_of(reply).splitlines()[0] for reply in slack.replies(thread)]
    assert said == ["*Half-open: a probe is running*", "*A probe proved nothing: the breaker stays as it is*"]


# --- outside an incident -------------------------------------------------------------------------------------------


def test_batches_that_open_nothing_are_one_message_a_day(slack: Slack) -> None:
    world = World(policy=replace(POLICY, trip_on=frozenset(), failures=1000))
    sink = sink_of(slack, world.store)
    for number in range(1, 41):
        world.deliver(1 + number // 21, BAD, day(2 + number // 21, 1), data_version=str(number))
        sink.deliver(events(world.store))
    first, second = slack.threads()
    assert "broke its contract; the breaker did not open" in text_of(first)
    assert "88 of 100 rows (88%)" in text_of(first)
    assert [message.get("edits", 0) for message in (first, second)] == [4, 4]  # when 2, 4, 8 and 16 batches were told
    assert slack.methods() == {"chat.postMessage": 2, "chat.update": 8}


def test_what_is_made_from_the_fallback_of_an_incident_is_told_in_its_thread(slack: Slack) -> None:
    world = World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    own = terms(asset="scores")
    for _ in range(3):
        run = world.run()
        delivery = replace_delivery(run, fallback_of=("feed",))
        world.gate.judge(own, delivery, BAD)
    sink_of(slack, world.store).deliver(events(world.store))
    (thread,) = slack.threads()
    assert "feed is open" in text_of(thread)
    (reply,) = slack.replies(thread)
    assert "scores was made from fallback data of this incident, and broke its own contract" in text_of(reply)


def replace_delivery(run: str, **other: Any) -> Any:
    from dagster_contracts.judgement import Delivery

    return Delivery(daily(6), run, run, confidence=Confidence.STALE, data_version=run, **other)


# --- bounds --------------------------------------------------------------------------------------------------------


def storm(world: World, sink: SlackSink, batches: int, every: timedelta) -> None:
    world.deliver(5, GOOD, day(5, 6))
    begin = day(6, 6)
    for number in range(batches):
        world.deliver(6, BAD, begin + number * every, data_version=str(number))
        sink.deliver(events(world.store)[-20:])


@pytest.mark.parametrize(
    ("cooldown", "replied"),
    [pytest.param(timedelta(days=30), 0, id="all while it is open"), pytest.param(timedelta(0), REPLIES, id="each of them a failed probe")],
)
def test_a_storm_of_failing_batches_is_one_thread_of_few_messages(slack: Slack, cooldown: timedelta, replied: int) -> None:
    world = World(policy=BreakerPolicy(cooldown=cooldown, backoff_multiplier=1.0))
    storm(world, sink_of(slack, world.store), 300, timedelta(minutes=1))
    (thread,) = slack.threads()
    assert len(slack.replies(thread)) == replied
    told = len(events(world.store))
    assert len(slack.calls) <= 2 * (REPLIES + 2) + READERS_SHOWN + 2 + log2(told)
    assert len(slack.calls) <= 12 + 2 * replied
    world.clock.at += HOUR
    world.gate.transact("feed", "feed", daily(6), None, lambda seen: (_reset(seen), None))
    sink_of(slack, world.store).deliver(events(world.store)[-20:])
    assert "batches failed: 300" in text_of(thread)
    assert "Closed after" in text_of(slack.replies(thread)[-1])


def _reset(snapshot: Any) -> Any:
    from dagster_contracts.core import breaker as machine
    from dagster_contracts.judgement import change_of

    return change_of(machine.reset(snapshot.breaker, actor="ana", reason="fixed", now=snapshot.now), snapshot.now)


# --- what fails ----------------------------------------------------------------------------------------------------


def failure(sink: SlackSink, told: Sequence[Event]) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        sink.deliver(told)
    assert TOKEN not in str(raised.value)
    return raised.value


def test_retry_after_is_handed_to_the_relay(slack: Slack) -> None:
    world = World()
    incident(world)
    sink = sink_of(slack, world.store)
    slack.faults += [None, (429, {"Retry-After": "17"})]
    failed = failure(sink, events(world.store))
    assert failed.retry_after == timedelta(seconds=17)
    assert "Slack asks to be left alone" in str(failed)
    assert not failed.delivered
    assert len(slack.calls) == 2  # nothing more is tried
    sink.deliver(events(world.store))
    (thread,) = slack.threads()
    assert len(slack.replies(thread)) == 2


@pytest.mark.parametrize("fault", [(500, {}), (503, {}), "hang up", "internal_error"])
def test_an_outage_of_slack_loses_and_repeats_nothing(slack: Slack, fault: object) -> None:
    world = World()
    incident(world)
    sink, told, reasons = sink_of(slack, world.store), events(world.store), set[str]()
    for calls in range(6):  # so many calls go through, the next does not
        slack.faults = [*[None] * calls, fault]
        try:
            sink.deliver(told)
        except DeliveryFailed as failed:
            reasons.add(str(failed).partition(" (")[0])
            continue
        break
    assert all(reason.endswith("Slack is out of reach") for reason in reasons)
    (thread,) = slack.threads()
    assert [text_of(reply).splitlines()[0] for reply in slack.replies(thread)] == [
        "*A probe failed: open again, next probe after 2026-01-09 01:00Z*",
        "*Closed after 2 d 19 h*",
    ]
    assert "batches failed: 2 · probes failed: 1" in text_of(thread)  # each event counts once, however often it came


def test_a_message_that_was_posted_before_its_place_was_remembered_is_found_again(slack: Slack) -> None:
    """The answer was lost: Slack has the message, the store does not know."""
    world = World()
    incident(world)
    told = events(world.store)
    posted = slack.answer
    lost: list[str] = []

    def answer(method: str, arguments: dict[str, Any], authorization: str) -> dict[str, Any]:
        answered = posted(method, arguments, authorization)
        name = arguments.get("metadata", {}).get("event_payload", {}).get("id", "")
        if method == "chat.postMessage" and name not in lost:
            lost.append(name)
            return {"ok": False, "error": "internal_error"}
        return answered

    slack.answer = answer  # type: ignore[method-assign]
    for _ in range(4):
        try:
            sink_of(slack, world.store, channel="C0000001").deliver(told)
        except DeliveryFailed:
            continue
        break
    assert len(lost) == 3
    (thread,) = slack.threads()
    assert len(slack.replies(thread)) == 2


def test_a_token_that_is_refused_leaves_everything_in_the_outbox_and_says_so(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    incident(world)
    failed = failure(sink_of(slack, world.store, token="xoxb-another-secret"), events(world.store))
    assert str(failed) == "Slack refused chat.postMessage: invalid_auth; check the bot token and its scopes (chat:write)"
    assert "invalid_auth" in caplog.text
    assert "secret" not in caplog.text + repr(alerts(slack)) + str(failed)
    assert slack.messages == []


def test_without_a_token_it_is_said_where_one_goes(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    incident(world)
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    assert "SLACK_BOT_TOKEN" in str(failure(sink_of(slack, world.store, token=None), events(world.store)))
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    sink_of(slack, world.store, token=None).deliver(events(world.store))
    assert len(slack.threads()) == 1


def test_a_channel_of_a_contract_is_used(slack: Slack) -> None:
    world = World(policy=replace(POLICY, contact=Contact(channel="#risk")))
    incident(world)
    sink_of(slack, world.store).deliver(events(world.store))
    assert {message["channel"] for message in slack.messages} == {"C0000002"}


def test_a_channel_that_does_not_exist_keeps_no_incident_from_people(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    world = World(policy=replace(POLICY, contact=Contact(channel="#misspelt")))
    incident(world)
    sink_of(slack, world.store).deliver(events(world.store))
    (thread,) = slack.threads()
    assert "The contract sends alerts to #misspelt, where the bot cannot write (channel_not_found)." in text_of(thread) or thread["edits"]
    assert "#misspelt" in caplog.text
    assert {message["channel"] for message in slack.messages} == {"C0000001"}


def test_an_alert_that_can_go_nowhere_does_not_keep_the_others(slack: Slack) -> None:
    world = World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    other = terms(replace(POLICY, contact=Contact(channel="#risk")), asset="other")
    world.gate.judge(other, replace_delivery("run"), GOOD)
    from dagster_contracts.judgement import Delivery

    world.gate.judge(other, Delivery(daily(6), "run 9", "run 9"), BAD)
    failed = failure(sink_of(slack, world.store, channel="#nowhere"), events(world.store))
    assert [message["channel"] for message in slack.threads()] == ["C0000002"]
    assert {name.partition(":")[0] for name in failed.delivered} == {"other"}


def test_a_first_message_that_somebody_deleted_does_not_stop_the_thread(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    sink = sink_of(slack, world.store)
    sink.deliver(events(world.store))
    world.deliver(9, GOOD, day(9, 1))
    slack.faults = [None, "message_not_found"]
    with caplog.at_level(logging.WARNING):
        sink.deliver(events(world.store))
    assert "was not edited" in caplog.text
    assert "Closed after" in text_of(slack.messages[-1])


# --- words of the user's own ---------------------------------------------------------------------------------------


def test_text_and_blocks_of_the_users_own_are_within_the_limits_too(slack: Slack) -> None:
    world = World()
    incident(world)
    seen: list[Alert] = []

    def text(alert: Alert) -> str:
        seen.append(alert)
        return f"*{alert.asset}* {alert.state} " + "x" * 10_000

    def made(alert: Alert) -> list[dict[str, Any]]:
        return [{"type": "section", "text": {"type": "mrkdwn", "text": "y" * 9_000}}] * 80

    sink_of(slack, world.store, text_fn=text, blocks_fn=made).deliver(events(world.store))
    sink_of(slack, world.store, text_fn=text, name="second").deliver(events(world.store))
    assert {alert.asset for alert in seen} == {"feed"}
    both, worded = slack.threads()
    assert len(both["blocks"]) == 50
    assert both["blocks"][-1]["type"] == "actions"
    assert "*feed* closed xxx" in text_of(worded)
    assert both["text"].startswith("*feed* closed")
