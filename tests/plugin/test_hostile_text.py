"""A contract and data whose every free text is an attack: runs go on as with any other, and nothing that is shown acts on anybody."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_shared.serdes import serialize_value
from markdown_it import MarkdownIt

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.store.sql import SqlStore
from tests.plugin.lab import dagster_home

ATTACK = (
    "<script>alert(1)</script> ![x](http://evil.example/p.png) [run](javascript:alert(2)) <!channel> *b* "
    "\x1b[2J\x1b]0;owned\x07 \u202e\u2066 \x9b31m \n# h"
)
LONG = ATTACK + "x" * 1_000_000
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PAGE = MarkdownIt("commonmark", {"html": True})


def document(long: bool = False) -> dict[str, Any]:
    text, large = ATTACK, LONG if long else ATTACK  # a contract of more than 5 MB is not read
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"id {ATTACK}",
        "version": "1.0.0",
        "status": "active",
        "name": text,
        "tags": [text],
        "domain": large,
        "description": {"purpose": large, "usage": text, "limitations": text},
        "team": [{"username": text, "role": "owner", "name": text}],
        "support": [{"channel": text, "url": "https://example.org/" + "y" * 50}],
        "schema": [
            {
                "name": "feed",
                "description": text,
                "properties": [
                    {"name": "risk", "logicalType": "string", "description": text, "quality": [_rule(large)]},
                    {"name": f"column {ATTACK}", "logicalType": "string", "required": True, "description": text},
                ],
                "quality": [{"type": "text", "name": f"word {ATTACK}", "description": text}],
            }
        ],
        "customProperties": [{"property": "circuitBreaker", "value": {"fallback": "halt"}}],
    }


def _rule(text: str) -> dict[str, Any]:
    values = ["HIGH", text]
    return {"type": "library", "name": f"rule {text}", "metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": values}}


def frame() -> pd.DataFrame:
    return pd.DataFrame({"risk": [ATTACK, "<img src=x onerror=alert(3)>"], f"column {ATTACK}": [None, ATTACK]})


@dg.asset
def feed() -> pd.DataFrame:
    return frame()


@dg.asset
def reader(feed: pd.DataFrame) -> int:
    return len(feed)


def assert_inert(text: str) -> None:
    assert not RAW.search(text), repr(text[:300])
    tokens = {child.type for token in PAGE.parse(text) for child in (token, *(token.children or []))}
    assert not tokens & {"html_block", "html_inline", "link_open", "image"}, text[:300]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dg.TableMetadataValue):
        yield from (cell for record in value.records for cell in record.data.values() if isinstance(cell, str))
    elif isinstance(getattr(value, "value", None), str):
        yield value.value


@pytest.mark.parametrize("long", [False, True], ids=["attacks", "1 MB"])
def test_runs(tmp_path: Path, long: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """The batch is refused for its values; every event of the run is looked at. A consumer halts, and says why."""
    contract = tmp_path / "feed.odcs.json"
    contract.write_text(json.dumps(document(long)))
    url = f"sqlite:///{tmp_path}/contracts.db"
    defs = with_contracts(dg.Definitions(assets=[feed, reader]), contract, breakers=BreakerResource(url=url))
    specs = [spec for item in defs.assets or [] if isinstance(item, dg.AssetsDefinition) for spec in item.check_specs]
    for spec in specs:
        assert re.fullmatch(r"[A-Za-z0-9_]+", spec.name)
        assert_inert(spec.description or "")
    page = next(spec for spec in defs.resolve_all_asset_specs() if spec.key == feed.key)
    assert_inert(page.description or "")
    for value in page.metadata.values():
        assert all(map(_is_inert, _texts(dg.MetadataValue.text(value) if isinstance(value, str) else value)))
        assert len(str(value)) < 200_000
    for column in page.metadata["dagster/column_schema"].columns:
        for text in (column.name, column.type, column.description or "", *column.constraints.other):
            assert_inert(text)
    with dagster_home(tmp_path / "home") as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        first = job.execute_in_process(instance=instance, raise_on_error=False)
        second = job.get_subset(asset_selection={dg.AssetKey("reader")}).execute_in_process(instance=instance, raise_on_error=False)
        results = [dg.AssetCheckEvaluation, dg.AssetObservation]
        evaluations = 0
        for ran in (first, second):
            for event in ran.all_events:
                data = event.event_specific_data
                seen = getattr(data, "asset_observation", data)
                if isinstance(seen, tuple(results)):
                    evaluations += 1
                    assert_inert(seen.description or "")
                    for value in seen.metadata.values():
                        for text in _texts(value):
                            assert_inert(text)
                            assert len(text) < 100_000
                if event.is_step_failure and data.user_failure_data is not None:
                    assert_inert(data.user_failure_data.description or "")
                    for value in data.user_failure_data.metadata.values():
                        assert all(map(_is_inert, _texts(value)))
            for entry in instance.all_logs(ran.run_id):
                assert len(serialize_value(entry)) < 500_000
        assert evaluations >= 3
        assert {event.step_key for event in first.all_events if event.is_step_failure} == {"feed"}
        assert {event.step_key for event in second.all_events if event.is_step_failure} == {"reader"}
        relay = dg.build_sensor_context(instance=instance, definitions=defs, sensor_name="contracts_relay")
        defs.resolve_sensor_def("contracts_relay").evaluate_tick(relay)
    assert not RAW.search(_without_colours("".join(capfd.readouterr())))
    (breaker,) = SqlStore(url).breakers()
    assert breaker.state == "open"


def _is_inert(text: str) -> bool:
    assert_inert(text)
    return True


def _without_colours(text: str) -> str:
    """Dagster's own console logger writes colours."""
    return re.sub("\x1b\\[[0-9;]*m", "", text).replace("\r", "")


@pytest.mark.parametrize("long", [False, True], ids=["attacks", "1 MB"])
def test_the_terminal(tmp_path: Path, long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the commands say of such a contract, its data and its breaker."""
    from typer.testing import CliRunner

    from dagster_contracts.cli.app import app

    monkeypatch.chdir(tmp_path)
    contract, data, url = tmp_path / "feed.odcs.json", tmp_path / "feed.csv", f"sqlite:///{tmp_path}/contracts.db"
    contract.write_text(json.dumps(document(long)))
    frame().to_csv(data, index=False)
    defs = with_contracts(dg.Definitions(assets=[feed, reader]), contract, breakers=BreakerResource(url=url))
    with dagster_home(tmp_path / "home") as instance:
        defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, raise_on_error=False)
    stored = ["--database-url", url]
    commands = [
        (["lint", str(contract)], 0),
        (["test", str(contract), "--data", str(data)], 1),
        (["status", *stored], 0),
        (["breaker", "show", "feed", *stored], 0),
        (["breaker", "history", "feed", *stored], 0),
        (["batch", "list", *stored], 0),
        (["batch", "show", "feed", *stored], 0),
        (["breaker", "show", ATTACK, *stored], 2),
        (["breaker", "reset", "feed", "--reason", ATTACK, "--actor", ATTACK, *stored], 0),
        (["breaker", "show", "feed", *stored], 0),
        (["breaker", "history", "feed", *stored], 0),
    ]
    for command, code in commands:
        for form in ([], ["--format", "json"]) if "reset" not in command else ([],):
            ran = CliRunner().invoke(app, [*command, *form])
            assert ran.exit_code == code, (command, ran.output[-500:])
            assert not RAW.search(ran.output), command
            if form and code == 0:
                json.loads(ran.stdout)
            elif not form:
                assert max(map(len, ran.output.splitlines()), default=0) < 30_000, command


def test_what_no_text_may_hold_is_refused_with_a_clear_error(tmp_path: Path) -> None:
    """NUL and lone surrogates in names are read or refused, never half-way: the run of such a contract is a verdict or a load error."""
    from dagster_contracts.core.errors import ContractError

    for bad in ("\x00", "\ud800"):
        made = document()
        made["schema"][0]["properties"][0]["description"] = bad
        made["id"] = f"id {bad}"
        contract = tmp_path / "feed.odcs.json"
        contract.write_text(json.dumps(made))
        try:
            defs = with_contracts(dg.Definitions(assets=[feed]), contract, breakers=BreakerResource(url=f"sqlite:///{tmp_path}/c.db"))
        except ContractError as error:
            assert str(contract) in str(error)  # noqa: PT017
            continue
        with dagster_home(tmp_path / f"home{ord(bad)}") as instance:
            ran = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, raise_on_error=False)
            told = [event.step_failure_data for event in ran.all_events if event.is_step_failure]
            assert told[0].user_failure_data is not None, told[0].error
