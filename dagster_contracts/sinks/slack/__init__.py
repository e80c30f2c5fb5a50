"""Slack: one thread per incident, of a bounded number of messages. Needs the extra `slack`.

text     text of others made inert, and Slack's limits
blocks   an alert as Block Kit
web      calls of the Web API, and what its refusals mean
sink     threads: what was said, what is to be said
"""

from __future__ import annotations

from dagster_contracts.sinks.slack.sink import TOKEN, SlackAlerts, SlackSink
from dagster_contracts.sinks.slack.text import inert

__all__ = ["TOKEN", "SlackAlerts", "SlackSink", "inert"]
