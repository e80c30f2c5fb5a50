"""What leaves for Slack, of real contracts and real data through the real gate: no personal value, no secret, no markup of others."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
import yaml

from dagster_contracts.core.contract import Attached
from dagster_contracts.core.odcs import parse
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.store.memory import MemoryStore
from tests.gate_world import daily, day
from tests.sinks.test_slack_text import markup_of_others, texts
from tests.slack_server import TOKEN, Slack

PERSONAL = ["Ada Lovelace", "1815-12-10", "ada@analytical.test", "4711.815", "Ockham Park"]


def contract(*, classified: bool = True, name: str = "feed", **document: Any) -> str:
    mark = {"classification": "confidential"} if classified else {}
    rule = {"type": "library", "metric": "invalidValues", "mustBe": 0, "severity": "critical"}
    properties = [
        {"name": "name", "logicalType": "string", "quality": [{**rule, "arguments": {"validValues": ["nobody"]}}], **mark},
        {"name": "born", "logicalType": "date", "logicalTypeOptions": {"maximum": "1800-01-01"}, **mark},
        {"name": "mail", "logicalType": "string", "logicalTypeOptions": {"pattern": "^x$"}, "unique": True, **mark},
        {"name": "limit", "logicalType": "number", "logicalTypeOptions": {"maximum": 10}, **mark},
        {"name": "risk", "logicalType": "string", "quality": [{**rule, "arguments": {"validValues": ["HIGH", "LOW"]}}]},
    ]
    rules = document.pop("quality", [])
    base = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "feed", "version": "1.0.0", "status": "active"}
    return yaml.safe_dump({**base, **document, "schema": [{"name": name, "properties": properties, "quality": rules}]})


def told_of(slack: Slack, text: str, asset: str = "feed", run: str = "run 1") -> dict[str, Any]:
    """The message about a batch in which everything is wrong."""
    parsed = parse(text)
    terms = Terms.of(Attached(asset, parsed, parsed.objects[0]))
    store = MemoryStore(clock=FixedClock(day(6, 6)))
    name, born, mail, limit, home = PERSONAL
    rows = {"name": [name] * 2, "born": [born] * 2, "mail": [mail] * 2, "limit": [float(limit)] * 2, "risk": ["57"] * 2, "home": [home] * 2}
    frame = pl.DataFrame(rows).with_columns(pl.col("born").str.to_date())
    Gate(store, default_engine()).judge(terms, Delivery(daily(6), run, run), frame)
    SlackAlerts("#alerts", TOKEN, base_url=slack.url, webserver_base_url="https://dagster.test").beside(store).deliver(store.events())
    (message,) = slack.threads()
    return message


def test_no_value_of_a_classified_column_leaves(slack: Slack) -> None:
    message = told_of(slack, contract())
    sent = json.dumps(slack.calls)
    assert [value for value in PERSONAL if value in sent] == []
    assert "57" in sent  # of the column that is not classified
    assert "***" in json.dumps(message["blocks"])
    assert TOKEN not in sent


def test_the_values_would_leave_if_the_columns_were_public(slack: Slack) -> None:
    """The test above can fail."""
    told_of(slack, contract(classified=False))
    assert PERSONAL[0] in json.dumps(slack.calls)


def test_a_contract_that_wants_no_samples_shows_none(slack: Slack) -> None:
    message = told_of(slack, contract(classified=False, customProperties=[{"property": "samples", "value": False}]))
    assert "for example" not in json.dumps(message["blocks"])


@pytest.mark.parametrize("text", ["<!channel> <@U1> *b* `c` ```d``` <https://evil.test|x>", "\x1b[31m\x07\u202egnp", "&<>`" * 20_000])
def test_hostile_text_of_a_contract_is_inert(slack: Slack, text: str) -> None:
    team = {"name": text, "members": [{"username": text, "role": "owner"}]}
    rule = {"type": "sql", "query": f"SELECT 1 -- {text}", "mustBe": 0, "severity": "critical", "name": text, "description": text}
    document = contract(id=text, version=text[:50], team=team, quality=[rule])
    message = told_of(slack, document, run=text)
    assert [found for each in texts(message["blocks"]) if (found := markup_of_others(each))] == []
