"""Alerts in Slack as a sensor of their own, as dagster-slack makes them for failed runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from dagster_contracts.core.alerts import Alert
from dagster_contracts.core.errors import DeliveryFailed
from dagster_contracts.plugin.site import RESOURCE, Site
from dagster_contracts.relay import Outage, Relay
from dagster_contracts.sinks.slack import SlackAlerts

CHANNEL = "contracts/slack_channel"  # metadata of sensors that tell Slack
_ADDRESS = "https://slack.com/api/"


def make_slack_on_breaker_sensor(
    channel: str,
    slack_token: str | dg.EnvVar,
    text_fn: Callable[[Alert], str] | None = None,
    blocks_fn: Callable[[Alert], list[dict[str, Any]]] | None = None,
    name: str = "slack_on_breaker",
    minimum_interval_seconds: int | None = 30,
    webserver_base_url: str | None = None,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    *,
    slack_base_url: str = _ADDRESS,
) -> dg.SensorDefinition:
    """A sensor that tells Slack of every incident: one thread each. For `Definitions(sensors=[...])` given to `with_contracts`.

    `channel` (name or id) is where alerts go whose contract names none; `slack_token` a bot token with chat:write, or an EnvVar that
    holds one. `text_fn` takes the Alert that a thread begins with and returns the notification, which also is a section of the message;
    `blocks_fn` returns its blocks instead, all but the buttons. `webserver_base_url` makes the buttons. `name` also is the name of the
    sink: how far it has told, and its threads, are kept under it. `default_status` as in dagster-slack: the sensor is off until it
    is switched on; from then on, it tells what the other sinks have not been told yet.
    """
    alerts = SlackAlerts(
        channel=channel,
        token=lambda: token(slack_token),
        text_fn=text_fn,
        blocks_fn=blocks_fn,
        webserver_base_url=webserver_base_url,
        name=name,
        base_url=slack_base_url,
    )
    outages: dict[str, Outage] = {}

    @dg.sensor(
        name=name,
        description="Tells Slack of broken contracts: one thread per incident.",
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        metadata={CHANNEL: channel},
        required_resource_keys={RESOURCE},
    )
    def slack_on_breaker(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        site: Site = getattr(context.resources, RESOURCE)  # put there by with_contracts; without it Dagster refuses the sensor
        store = site.gate(context.instance).store
        (told,) = Relay(store, [alerts.beside(store, site.readers())], outages=outages).tick()
        return dg.SkipReason(str(told) if told.events or told.failure is not None else "no event is waiting")

    return slack_on_breaker


def token(given: str | dg.EnvVar) -> str:
    """Looked up now, so that a definition holds no secret. Raises DeliveryFailed where the variable is not set."""
    if not isinstance(given, dg.EnvVar):
        return given
    value = given.get_value()
    if not value:
        raise DeliveryFailed(f"environment variable {given.env_var_name} names the Slack token and is not set")
    return value
