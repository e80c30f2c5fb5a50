"""Events to Slack: one thread per incident, remembered in the store, so that redelivery, a crash or another relay adds nothing to it.

What is about to be posted is noted first. Where a note is found with no place beside it, a relay died in between: the message is looked
for in the channel, by its metadata, before it is posted again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from dagster_contracts.core.alerts import Alert, Topic, begun, topic_of, with_batch
from dagster_contracts.core.downstream import Reader, readings
from dagster_contracts.core.errors import DeliveryFailed
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import Batch, Partition
from dagster_contracts.core.route import decide
from dagster_contracts.core.state import Breaker, asset_of
from dagster_contracts.core.threads import Reply, Thread, edit_is_due, folding, from_json, replies, showing, to_json
from dagster_contracts.ports import Store
from dagster_contracts.sinks.slack import blocks
from dagster_contracts.sinks.slack.text import TEXT, cut, inert
from dagster_contracts.sinks.slack.web import NoSuchChannel, NoSuchMessage, Posted, SlackBusy, SlackRefused, Web

TOKEN = "SLACK_BOT_TOKEN"
ENOUGH = 20.0  # seconds; what is left is told at the next tick, well within a relay's lease

logger = logging.getLogger("dagster_contracts.slack")

Blocks = list[dict[str, Any]]


@dataclass(frozen=True)
class SlackAlerts:
    """Alerts in Slack, as a sink for `with_contracts(sinks=[...])` and for relays.

    `channel` (name or id) is where alerts go whose contract names none. `token` is a bot token with chat:write, or a function that
    returns one; None: the environment variable SLACK_BOT_TOKEN, read with each delivery. With channels:history (groups:history), a
    message that a dying relay posted is found again instead of posted twice. `text_fn` and `blocks_fn` take the Alert that a thread
    begins with: the text is the notification and a section of the message, the blocks replace all of it but the buttons.
    `webserver_base_url` is where people see Dagster: it makes the buttons. Two of them in one deployment need different names.
    """

    channel: str
    token: str | Callable[[], str] | None = None
    text_fn: Callable[[Alert], str] | None = None
    blocks_fn: Callable[[Alert], Blocks] | None = None
    webserver_base_url: str | None = None
    name: str = "slack"
    base_url: str = "https://slack.com/api/"
    timeout: int = 8

    def __repr__(self) -> str:
        return f"SlackAlerts(channel={self.channel!r}, name={self.name!r})"

    def beside(self, store: Store, readers: Sequence[Reader] = ()) -> SlackSink:
        """The sink of one store. `readers` are the assets known to read others; without them, the consumers that the policy names."""
        return SlackSink(self, store, readers)

    def deliver(self, events: Sequence[Event]) -> None:
        """Raises DeliveryFailed: threads are remembered in a store, and this one was given none."""
        raise DeliveryFailed(f"{self!r} remembers its threads in the store; use .beside(store)")

    def resolved_token(self) -> str:
        """Raises DeliveryFailed where there is none."""
        given = os.environ.get(TOKEN, "") if self.token is None else self.token
        token = given() if callable(given) else given
        if not token:
            raise DeliveryFailed(f"there is no Slack token; give SlackAlerts(token=...) or set the environment variable {TOKEN}")
        return token


class SlackSink:
    """Tells the alerts of one store. See SlackAlerts."""

    def __init__(self, alerts: SlackAlerts, store: Store, readers: Sequence[Reader] = ()):
        self.name = alerts.name
        self._alerts, self._store, self._readers = alerts, store, readers
        self._web = Web(alerts.resolved_token, alerts.base_url, alerts.timeout)

    def deliver(self, events: Sequence[Event]) -> None:
        """Tell the events, alert by alert. Raises DeliveryFailed for what could not be told; the rest was."""
        told = {event.id for event in events if topic_of(event) is None}
        refused: list[str] = []
        begin = time.monotonic()
        for group in _grouped(events):
            try:
                if time.monotonic() - begin > ENOUGH:
                    raise SlackBusy(
                        f"{len(told)} of {len(events)} events were told in {ENOUGH:.0f} s, the rest follows", timedelta(seconds=1)
                    )
                self._tell(group, begin + ENOUGH)
            except NoSuchChannel as error:  # of this alert; others may go elsewhere
                refused.append(str(error))
                logger.error("%s: %s (channel %s)", inert(group[0].key, 200), error, inert(self._alerts.channel, 100))
            except SlackBusy as error:
                raise DeliveryFailed(str(error), delivered=told, retry_after=error.retry_after) from None
            except SlackRefused as error:
                logger.error("%s: %s", inert(group[0].key, 200), error)
                raise DeliveryFailed(str(error), delivered=told) from None
            else:
                told.update(event.id for event in group)
        if refused:
            raise DeliveryFailed(refused[0], delivered=told)

    # --- one thread ---

    def _tell(self, events: Sequence[Event], until: float) -> None:
        thread = self._known(events[0]) or self._begun(events)
        fresh = [event for event in events if event.sequence > min(thread.folded, thread.told)]
        if not fresh and thread.place is not None:
            return
        thread = folding(thread, fresh)
        replied = False
        if thread.place is None:
            thread = self._opened(thread)
        for reply in replies(thread, fresh):
            if time.monotonic() > until:
                raise SlackBusy("there is more to tell than one tick takes, the rest follows", timedelta(seconds=1))
            thread, replied = self._replied(thread, reply), True
        if edit_is_due(thread, replied=replied):
            thread = self._edited(thread)
        self._keep(replace(thread, told=thread.folded))

    def _known(self, event: Event) -> Thread | None:
        name = _name(event)
        document = self._store.thread(self.name, name)
        return from_json(document) if document is not None else None

    def _keep(self, thread: Thread) -> Thread:
        self._store.keep_thread(self.name, thread.alert.id, to_json(thread))
        return thread

    def _opened(self, thread: Thread) -> Thread:
        """The thread with its first message in Slack: it tells everything so far; what changed after its first event follows as replies."""
        name = thread.alert.id
        above = self._above(thread.alert)
        at = self._found(thread, name, above)
        if at is None:
            thread = self._keep(replace(thread, pending=name))
            at = self._post_first(thread.alert, name, above)
        return self._keep(showing(replace(thread, channel=at.channel, place=at.place, pending=None)))

    def _post_first(self, alert: Alert, name: str, above: Posted | None) -> Posted:
        if above is not None:
            text, shown = self._rendered(alert)
            return self._web.post(above.channel, text, shown, name=name, thread=above.place)
        wanted, note = alert.contact.channel or self._alerts.channel, ""
        try:
            return self._post_to(wanted, alert, name, note)
        except NoSuchChannel as error:
            if wanted == self._alerts.channel:
                raise
            note = f"The contract sends alerts to {wanted}, where the bot cannot write ({error.code})."
            logger.error("%s: %s It goes to %s instead.", inert(alert.key, 200), inert(note, 300), inert(self._alerts.channel, 100))
            return self._post_to(self._alerts.channel, alert, name, note)

    def _post_to(self, channel: str, alert: Alert, name: str, note: str) -> Posted:
        text, shown = self._rendered(alert, note)
        at = self._web.post(channel, text, shown, name=name)
        if at.channel != channel and self._id_of(channel) != at.channel:
            self._store.keep_thread(self.name, f"channel {channel}", {"version": 1, "id": at.channel})
        return at

    def _replied(self, thread: Thread, reply: Reply) -> Thread:
        at, name = _place(thread), f"{thread.alert.id}/{reply.sequence}"
        if self._found(thread, name, at) is None:
            thread = self._keep(replace(thread, pending=name))
            self._web.post(at.channel, inert(reply.title, TEXT), blocks.reply(reply), name=name, thread=at.place)
        return self._keep(
            replace(
                thread,
                told=max(thread.told, reply.sequence),
                replies=thread.replies + (not reply.final),
                healed=thread.healed or reply.heals,
                pending=None,
            )
        )

    def _edited(self, thread: Thread) -> Thread:
        text, shown = self._rendered(thread.alert)
        try:
            self._web.update(_place(thread), text, shown, name=thread.alert.id)
        except NoSuchMessage as error:  # deleted by somebody, or too old to be edited: replies still tell what changes
            logger.warning("%s: the first message of its thread was not edited: %s", inert(thread.alert.key, 200), error)
        return showing(thread)

    def _found(self, thread: Thread, name: str, within: Posted | None) -> Posted | None:
        """A message that was noted and may have been posted: where it is, if it is."""
        if thread.pending != name:
            return None
        channel = within.channel if within is not None else self._id_of(thread.alert.contact.channel or self._alerts.channel)
        if channel is None:
            return None
        try:
            return self._web.find(channel, name, thread=within.place if within is not None else None)
        except SlackRefused as error:
            logger.warning("%s may have been posted already, and cannot be looked for; it is posted: %s", inert(name, 200), error)
            return None

    def _id_of(self, channel: str) -> str | None:
        """Slack looks through a channel by its id alone: known of a name once anything was posted there."""
        document = self._store.thread(self.name, f"channel {channel}")
        if document is not None:
            return str(document["id"])
        return None if channel.startswith("#") else channel

    def _above(self, alert: Alert) -> Posted | None:
        """The thread of the incident that an alert is told in."""
        document = self._store.thread(self.name, alert.above) if alert.above is not None else None
        found = from_json(document) if document is not None else None
        return Posted(found.channel, found.place) if found is not None and found.channel and found.place else None

    # --- what it says ---

    def _rendered(self, alert: Alert, note: str = "") -> tuple[str, Blocks]:
        own, base = self._alerts, self._alerts.webserver_base_url
        words = own.text_fn(alert) if own.text_fn is not None else None
        text = blocks.summary(alert) if words is None else cut(words, TEXT)
        if own.blocks_fn is None:
            return text, blocks.first_message(alert, base_url=base, note=note, words=words)
        clicks = blocks.buttons(alert, base)
        made = blocks.limits_kept(own.blocks_fn(alert))
        return text, [*made[: 50 - len(clicks)], *clicks]

    def _begun(self, events: Sequence[Event]) -> Thread:
        """A thread that nothing was said in yet, with what the store knows of its alert."""
        first = events[0]
        found = topic_of(first)
        assert found is not None
        alert = begun(first, *found)
        breaker = next(iter(self._store.breakers([first.key])), None)
        batch = self._batch(first)
        if batch is not None:
            alert = with_batch(alert, batch)
        if breaker is not None:
            alert = replace(alert, contact=breaker.policy.contact)
            alert = _midway(alert, first, breaker)
        if alert.topic is Topic.INCIDENT and breaker is not None:
            alert = replace(alert, readers=self._readings(first.key, breaker, batch))
        return Thread(alert, folded=first.sequence - 1, told=first.sequence)

    def _batch(self, event: Event) -> Batch | None:
        name = event.payload.get("batch")
        return self._store.batch(name) if isinstance(name, str) else None

    def _readings(self, key: str, breaker: Breaker, batch: Batch | None) -> tuple[Any, ...]:
        asset = asset_of(key)
        named = [Reader(name, frozenset({asset}), breaker.policy.accepts(name)) for name in sorted(breaker.policy.consumers)]
        asked = batch.partition if batch is not None else Partition()
        snapshot = self._store.load(key, asset=asset, partition=asked)
        return readings(
            asset,
            self._readers or named,
            lambda reader: decide(snapshot, asset=asset, requested=asked, accepts=reader.accepts, breaker_key=key),
        )


def _place(thread: Thread) -> Posted:
    assert thread.channel is not None
    assert thread.place is not None
    return Posted(thread.channel, thread.place)


def _midway(alert: Alert, event: Event, breaker: Breaker) -> Alert:
    """An incident that began before this sink was told anything: the breaker remembers how."""
    begins = event.type in (EventType.BREAKER_OPENED, EventType.BREAKER_CLOSED, EventType.OUTPUT_HEALED)
    if alert.topic is not Topic.INCIDENT or begins or breaker.incident != event.incident:
        return alert
    return replace(alert, cause=breaker.cause or alert.cause, since=breaker.opened_at or alert.since, state=str(breaker.state))


def _name(event: Event) -> str:
    found = topic_of(event)
    assert found is not None
    return found[0]


def _grouped(events: Sequence[Event]) -> list[list[Event]]:
    """By alert, in the order of their first events."""
    groups: dict[str, list[Event]] = {}
    for event in events:
        if (found := topic_of(event)) is not None:
            groups.setdefault(found[0], []).append(event)
    return list(groups.values())
