"""`breaker ...`: everything that changes state is recorded with who and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("past")

CHANGES = ["force-open", "force-closed", "observe-only", "reset"]


def test_show_tells_the_cause_the_findings_what_is_next_and_the_policy(run: Callable[..., Ran]):
    ran = run("breaker", "show", "vendor/feed")
    assert ran.code == 0
    for part in ("open", "2026-01-02 06:00Z", "risk_indicator.invalidValues", "probe due", "cooldown PT6H", "version 1.2.0", "quarantined"):
        assert part in ran.out


def test_show_as_json_has_the_policy_in_the_words_of_the_contract(run: Callable[..., Ran]):
    found = run("breaker", "show", "vendor/feed", "--format", "json").json
    assert found["version"] == 1
    assert found["breaker"]["policy"]["cooldown"] == "PT6H"
    assert found["breaker"]["policy"]["window"] == {"batches": 1, "duration": None, "failureRateThreshold": None, "minimumBatches": 1}
    assert found["breaker"]["failed_rules"] == ["risk_indicator.invalidValues"]
    assert {batch["status"] for batch in found["batches"]} == {"held", "quarantined"}


def test_history_is_newest_first_and_names_the_actor(run: Callable[..., Ran]):
    run("breaker", "force-open", "vendor/feed", "--reason", "vendor phoned", "--actor", "bo")
    found = run("breaker", "history", "vendor/feed", "--format", "json").json
    newest, oldest = found["transitions"]
    assert (newest["from"], newest["to"], newest["actor"], newest["cause"]) == ("open", "open", "bo", "force_open: vendor phoned")
    assert (oldest["from"], oldest["to"], oldest["actor"]) == ("closed", "open", None)
    lines = run("breaker", "history", "vendor/feed").out.splitlines()
    assert " ".join(lines[2].split()[2:]) == "stays open force_open set by bo: vendor phoned bo"
    assert "closed" in lines[3]
    assert len(run("breaker", "history", "vendor/feed", "--limit", "1").out.splitlines()) == 3


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_needs_a_reason(run: Callable[..., Ran], command: str, past: str):
    before = SqlStore(past).breakers()
    for arguments in ((), ("--reason", "  ")):
        ran = run("breaker", command, "vendor/feed", *arguments)
        assert ran.code == 2
        assert "--reason" in ran.err
    assert SqlStore(past).breakers() == before


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_records_the_user_who_runs_it(run: Callable[..., Ran], command: str, past: str):
    ran = run("breaker", command, "vendor/feed", "--reason", "why not")
    assert (ran.code, ran.err) == (0, "")
    newest = SqlStore(past).transitions("vendor/feed")[0]
    assert newest.actor == "ana"
    assert newest.cause.endswith("why not")


def test_reset_closes(run: Callable[..., Ran]):
    assert run("breaker", "reset", "vendor/feed", "--reason", "repaired").out == "vendor/feed: reset by ana; it is closed\n"
    assert run("breaker", "show", "vendor/feed", "--format", "json").json["breaker"]["state"] == "closed"


def test_until_may_be_a_duration_from_now_on(run: Callable[..., Ran], past: str):
    assert run("breaker", "observe-only", "vendor/feed", "--reason", "trial", "--until", "PT2H").code == 0
    (breaker,) = SqlStore(past).breakers()
    assert breaker.override is not None
    assert isinstance(breaker.override.expires_at, datetime)
    assert (breaker.override.expires_at - breaker.override.set_at).total_seconds() == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2 hours", '"2 hours" is not a time; expected RFC 3339, such as 2026-01-31T06:00:00Z, or a duration, such as PT2H'),
        ("P1M", "which have no fixed length"),
        ("PT0S", "is not after now"),
        ("2020-01-01T00:00:00Z", "is not after now"),
        ("2999-01-01T00:00:00", "has no offset from UTC; add one, such as 2999-01-01T00:00:00Z"),
        ("2999-01-01", "has no offset from UTC; add one, such as 2999-01-01T00:00:00Z"),
        ("P999999999D", "--until"),
    ],
)
def test_a_wrong_end_is_refused_and_nothing_is_changed(run: Callable[..., Ran], past: str, until: str, said: str):
    ran = run("breaker", "force-open", "vendor/feed", "--reason", "x", "--until", until)
    assert ran.code == 2
    assert said in ran.err
    assert SqlStore(past).breakers()[0].override is None


def test_observe_only_before_the_first_batch(run: Callable[..., Ran], tmp_path: Path):
    database = ("--database-url", f"sqlite:///{tmp_path}/new.db")
    words = ("breaker", "observe-only", "vendor/new", "--reason", "trial", *database)
    refused = run(*words)
    assert (refused.code, (tmp_path / "new.db").exists()) == (2, False)
    assert "breaker observe-only KEY --create" in refused.err
    assert run(*words, "--create", "--until", "P14D").code == 0
    (found,) = run("status", "--format", "json", *database).json["breakers"]
    assert (found["key"], found["state"], found["override"]["kind"]) == ("vendor/new", "closed", "observe_only")
    assert "override until 20" in run("status", *database).out


@pytest.fixture
def payments(past: str) -> tuple[str, ...]:
    """Two more breakers, of an asset with `scope`: one of them is open."""
    store = SqlStore(past)
    for vendor, state in (("acme", State.OPEN), ("beta", State.CLOSED)):
        key = f"payments[vendor={vendor}]"
        store.save(Change(breaker=Breaker(key, BreakerPolicy(scope="vendor"), "1.0.0", state=state)))
    return "payments[vendor=acme]", "payments[vendor=beta]"


def test_a_word_about_an_asset_is_said_of_all_its_scoped_breakers(run: Callable[..., Ran], past: str, payments: tuple[str, ...]):
    ran = run("breaker", "observe-only", "payments", "--reason", "trial")
    assert ran.out == (
        "payments: observe_only by ana until it is reset; said of 2 scoped breakers (by their own state: 1 closed, 1 open) and of each "
        "that comes later\n"
    )
    said = {each.key for each in SqlStore(past).breakers() if each.override is not None}
    assert said == {"payments", *payments}
    assert run("breaker", "reset", "payments", "--reason", "over").out == "payments: reset by ana; 2 scoped breakers of it, all closed\n"
    assert all(each.override is None for each in SqlStore(past).breakers())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("paymnts", 'no breaker "paymnts", did you mean "payments"? if it is another asset, name its contract: --contracts PATH'),
        ("vendor/fed", 'no breaker "vendor/fed", did you mean "vendor/feed"?'),
        (
            "payments[vendr=new]",
            '"payments[vendr=new]" is no breaker of payments; its breakers are one for each value of vendor, did you mean "vendor"?',
        ),
        ("payments[vendor]", '"payments[vendor]" is no breaker of payments; its breakers are one for each value of vendor'),
        ("vendor/feed[day=1]", '"vendor/feed[day=1]" is no breaker of vendor/feed; --create takes the key of an asset: vendor/feed'),
        ("nosuch[vendor=a]", '"nosuch[vendor=a]" is no breaker of nosuch; --create takes the key of an asset: nosuch'),
    ],
)
@pytest.mark.usefixtures("payments")
def test_a_breaker_of_a_mistyped_key_is_not_made(run: Callable[..., Ran], past: str, key: str, said: str):
    before = SqlStore(past).breakers()
    ran = run("breaker", "observe-only", key, "--create", "--reason", "trial")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert SqlStore(past).breakers() == before


@pytest.mark.usefixtures("payments")
@pytest.mark.parametrize("key", ["payments[vendor=new]", "other"])
def test_a_breaker_that_may_be_is_made(run: Callable[..., Ran], past: str, key: str):
    assert run("breaker", "observe-only", key, "--create", "--reason", "trial").code == 0
    assert [each.key for each in SqlStore(past).breakers([key])] == [key]


def test_the_contracts_say_which_assets_there_are(run: Callable[..., Ran], past: str, contract: Path):
    contract.write_text(contract.read_text().replace("vendor/feed", "vendor/feed2").replace("cooldown: PT6H", "scope: region"))
    words = ("breaker", "observe-only", "--create", "--reason", "trial", "--contracts", contract)
    refused = run(*words, "vendor/feed3")
    assert refused.code == 2
    assert 'none of the contracts governs "vendor/feed3", did you mean "vendor/feed2"? they govern: vendor/feed2' in refused.err
    assert run(*words, "vendor/feed2[reigon=eu]").code == 2
    assert run(*words, "vendor/feed2").code == run(*words, "vendor/feed2[region=eu]").code == 0
    assert len(SqlStore(past).breakers()) == 3
    assert run("breaker", "observe-only", "vendor/feed", "--reason", "trial", "--contracts", contract).code == 2


@pytest.mark.parametrize("command", ["show", "history"])
def test_an_unknown_key_names_the_nearest(run: Callable[..., Ran], command: str):
    ran = run("breaker", command, "vendor/fed")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'error: no breaker "vendor/fed", did you mean "vendor/feed"? known breakers: vendor/feed\n'
    assert run("breaker", command, "nosuch").err == 'error: no breaker "nosuch"; known breakers: vendor/feed\n'


def test_nobody_changes_anything_without_a_name(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, past: str):
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found")))
    ran = run("breaker", "reset", "vendor/feed", "--reason", "x")
    assert ran.code == 2
    assert "--actor" in ran.err
    assert len(SqlStore(past).transitions("vendor/feed")) == 1
