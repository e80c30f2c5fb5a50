"""`relay`: deliver events for as long as the process lives, beside or instead of the sensor contracts_relay."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from dagster_contracts import telemetry
from dagster_contracts.cli import options
from dagster_contracts.cli.options import UrlOption
from dagster_contracts.cli.printing import print_text, say
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import StoreUnavailable, UsageError
from dagster_contracts.core.events import Event
from dagster_contracts.core.inert import plain
from dagster_contracts.ports import EventSink
from dagster_contracts.relay import Relay, Told
from dagster_contracts.sinks.slack import SlackAlerts

OnceOption = Annotated[bool, typer.Option("--once", help="Deliver what waits now and end; exit code 2 where something is left.")]
IntervalOption = Annotated[str, typer.Option("--interval", metavar="DURATION", help="How long to wait where nothing waits.")]
ServersOption = Annotated[
    str | None,
    typer.Option(
        "--kafka-bootstrap-servers",
        metavar="HOST:PORT,...",
        envvar="CONTRACTS_KAFKA_BOOTSTRAP_SERVERS",
        help="Brokers.",
        show_default=False,
    ),
]
TopicOption = Annotated[str, typer.Option("--kafka-topic", metavar="NAME", envvar="CONTRACTS_KAFKA_TOPIC", help="The topic.")]
SourceOption = Annotated[
    str, typer.Option("--kafka-source", metavar="URI", envvar="CONTRACTS_KAFKA_SOURCE", help="The source of the CloudEvents.")
]
_OPTION = "CONTRACTS_KAFKA_OPTION_"
ForgetOption = Annotated[
    str | None, typer.Option("--forget", metavar="SINK", help="Deliver nothing; drop a sink that is told no more.", show_default=False)
]
SlackOption = Annotated[
    str | None,
    typer.Option("--slack-channel", metavar="CHANNEL", help="Tell Slack too, with the bot token in SLACK_BOT_TOKEN.", show_default=False),
]
WebserverOption = Annotated[
    str | None, typer.Option("--webserver-url", metavar="URL", help="Where people see Dagster, for Slack's buttons.", show_default=False)
]


def relay(
    once: OnceOption = False,
    interval: IntervalOption = "PT5S",
    kafka_bootstrap_servers: ServersOption = None,
    kafka_topic: TopicOption = "dagster.contracts",
    kafka_source: SourceOption = "/dagster-contracts",
    slack_channel: SlackOption = None,
    webserver_url: WebserverOption = None,
    forget: ForgetOption = None,
    database_url: UrlOption = None,
) -> None:
    """Deliver events until SIGTERM. Any number of relays may run.

    Always: to stdout, a line each. Settings of the Kafka client, secrets among them, are environment variables:
    CONTRACTS_KAFKA_OPTION_SASL_PASSWORD is sasl.password.
    """
    store = options.store_at(database_url)
    if forget is not None:
        if not store.forget(forget):
            known = ", ".join(waiting.sink for waiting in store.waiting()) or "none"
            raise UsageError(f'no sink "{forget}" is known; known sinks: {known}')
        print_text(f"nothing waits for {forget} any more")
        return
    sinks: list[EventSink] = [_Lines()]
    if kafka_bootstrap_servers:
        sinks.append(_kafka(kafka_bootstrap_servers, kafka_topic, kafka_source))
    if slack_channel is not None:
        sinks.append(SlackAlerts(slack_channel, webserver_base_url=webserver_url).beside(store))
    running = Relay(store, sinks)
    if once:
        _drain(running)
    else:
        telemetry.observe_breakers(store)
        _run(running, _duration(interval))


def _kafka(servers: str, topic: str, source: str) -> EventSink:
    from dagster_contracts.sinks.kafka import KafkaEvents

    given = {name.removeprefix(_OPTION): value for name, value in os.environ.items() if name.startswith(_OPTION)}
    return KafkaEvents(servers, topic, source, options={name.lower().replace("_", "."): value for name, value in given.items()})


class _Lines:
    """An EventSink: a line on stdout for each event, under the name of the log."""

    name = "log"

    def deliver(self, events: Sequence[Event]) -> None:
        from dagster_contracts.sinks.log import line_of

        for event in events:
            print_text(line_of(event))


def _duration(text: str) -> timedelta:
    try:
        found = parse_duration(text, any_case=True)
    except ValueError as error:
        raise UsageError(f"--interval: {error}") from None
    if not timedelta() < found <= timedelta(days=1):
        raise UsageError(f'--interval: "{text}" is not above zero and at most P1D')
    return found


def _drain(running: Relay) -> None:
    while True:
        news = _tick(running)
        if not any(told.events for told in news):
            break
    if any(told.failure is not None for told in news):
        raise typer.Exit(2)


def _run(running: Relay, interval: timedelta) -> None:
    """A signal ends it after the delivery under way: every cursor is given back."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    say("relaying; SIGTERM ends it")
    lost = False
    while not ended.is_set():
        try:
            news = _tick(running)
            lost = False
        except StoreUnavailable as error:
            if not lost:
                say(f"waiting for the database: {error}")
            news, lost = (), True
        if not any(told.events for told in news):
            ended.wait(interval.total_seconds())
    say("ended")


def _tick(running: Relay) -> Sequence[Told]:
    """One line for each delivery, and for each attempt that failed."""
    news = running.tick()
    for told in news:
        if told.events or (told.failure is not None and told.attempted):
            say(plain(told))
    return news
