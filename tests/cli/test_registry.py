"""`publish`, `registry ...`, and registered versions wherever a contract file may stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_contracts.core.alerts import begun, follow, topic_of
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import BAD, CONTRACT, GOOD, Ran
from tests.cli.test_diff import git
from tests.schemas import assert_described

LATER = CONTRACT.replace("version: 1.2.0", "version: 2.0.0").replace("[HIGH_RISK, LOW_RISK]", "[HIGH_RISK, LOW_RISK, '17']")


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one contract, and a registry of its own."""
    monkeypatch.setenv("CONTRACTS_DATABASE_URL", f"sqlite:///{tmp_path}/contracts.db")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "feed.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "bad.csv").write_text(BAD)
    return folder


def listed(run: Callable[..., Ran]) -> list[str]:
    return [f"{each['contract_id']}@{each['version']}" for each in run("registry", "list", "--format", "json").json["contracts"]]


def test_a_contract_is_published_and_found(run: Callable[..., Ran], contracts: Path) -> None:
    ran = run("publish", contracts, "--author", "ann", "--format", "json")
    assert ran.code == 0
    assert_described("publish", ran.json)
    (entry,) = ran.json["new"]
    assert (entry["contract_id"], entry["version"], entry["author"]) == ("vendor-feed", "1.2.0", "ann")
    assert run("publish", contracts).out.endswith("0 registered, 1 registered before\n")
    assert listed(run) == ["vendor-feed@1.2.0"]
    for name in ("vendor-feed@1.2.0", "vendor-feed"):
        found = run("registry", "get", name, "--format", "json")
        assert_described("registered", found.json)
        assert (found.json["text"], found.json["registered"]["author"]) == (CONTRACT, "ann")
    assert run("registry", "get", "vendor-feed", "--text").out == CONTRACT


def test_history_and_a_later_version(run: Callable[..., Ran], contracts: Path) -> None:
    run("publish", contracts)
    (contracts / "feed.odcs.yaml").write_text(LATER)
    assert run("publish", contracts).code == 0
    found = run("registry", "history", "vendor-feed", "--format", "json").json
    assert_described("contracts", found)
    assert [each["version"] for each in found["contracts"]] == ["2.0.0", "1.2.0"]
    assert run("registry", "get", "vendor-feed", "--format", "json").json["registered"]["version"] == "2.0.0"
    assert "1.2.0" in run("registry", "history", "vendor-feed").out


def test_data_and_versions_are_judged_by_what_is_registered(run: Callable[..., Ran], contracts: Path) -> None:
    run("publish", contracts)
    (contracts / "feed.odcs.yaml").write_text(LATER)
    run("publish", contracts)
    for spec, code in (("vendor-feed@1.2.0", 1), ("registry:vendor-feed@1.2.0", 1), ("registry:vendor-feed", 0), ("vendor-feed@2.0.0", 0)):
        assert run("test", spec, "--data", "bad.csv").code == code, spec
    assert run("test", "vendor-feed@1.2.0", "--data", "good.csv").code == 0
    assert run("diff", "registry:vendor-feed@1.2.0", contracts / "feed.odcs.yaml").code == 0
    assert run("diff", "vendor-feed@2.0.0", "vendor-feed@1.2.0").code == 1


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("required: true", "required: false"), "with another content"),
        (("version: 1.2.0", "version: v1.2.0"), "is the version 1.2.0 of contract"),
        (("schema:", "# the feed\nschema:"), "only comments and layout differ"),
    ],
)
def test_lint_tells_of_an_edit_that_publish_refuses(
    run: Callable[..., Ran], contracts: Path, tmp_path: Path, edit: tuple[str, str], told: str
) -> None:
    arguments = ("lint", contracts, "--strict", "--format", "json", "--database-url", f"sqlite:///{tmp_path}/contracts.db")
    run("publish", contracts)
    assert run(*arguments).json["warnings"] == []
    (contracts / "feed.odcs.yaml").write_text(CONTRACT.replace(*edit))
    ran = run(*arguments)
    (warning,) = ran.json["warnings"]
    assert (ran.code, ran.json["problems"], warning["path"]) == (1, [], "version")
    assert told in warning["message"]
    refused = run("publish", contracts)
    assert refused.code == 2
    assert " ".join(warning["message"].split()) in " ".join(refused.err.split())


def test_every_wrong_thing_is_told_and_nothing_is_registered(run: Callable[..., Ran], contracts: Path) -> None:
    (contracts / "copy.odcs.yaml").write_text(CONTRACT)
    (contracts / "fine.odcs.yaml").write_text(CONTRACT.replace("id: vendor-feed", "id: fine").replace("vendor/feed", "fine"))
    ran = run("publish", contracts)
    assert (ran.code, listed(run)) == (2, [])
    assert "a version is registered once" in ran.err
    (contracts / "copy.odcs.yaml").write_text(CONTRACT.replace("required: true", "required: false"))
    ran = run("publish", contracts)
    assert (ran.code, listed(run)) == (2, [])
    assert "has another content in" in ran.err
    (contracts / "copy.odcs.yaml").write_text("id: [")
    assert (run("publish", contracts).code, listed(run)) == (2, [])


def test_a_consumer_must_be_known(run: Callable[..., Ran], contracts: Path, tmp_path: Path) -> None:
    (contracts / "feed.odcs.yaml").write_text(CONTRACT + "      consumers: [{asset: scores, fallback: halt}]\n")
    ran = run("publish", contracts)
    assert (ran.code, listed(run)) == (2, [])
    assert 'the consumer "scores" is not known' in ran.err
    assert "registry add-consumer" in ran.err
    (tmp_path / "mine.py").write_text("import dagster as dg\ndefs = dg.Definitions([dg.AssetSpec('scores')])\n")
    assert run("publish", contracts, "--file", "mine.py").code == 0
    found = run("registry", "consumers", "--format", "json").json
    assert_described("consumers", found)
    assert [(each["contract_id"], each["consumer"], each["fallback"]) for each in found["uses"]] == [("vendor-feed", "scores", "halt")]
    assert run("registry", "consumers", "--of", "nobody", "--format", "json").json["uses"] == []


def test_what_asks_of_nothing_says_so(run: Callable[..., Ran], contracts: Path, tmp_path: Path) -> None:
    for command in ("list", "consumers"):
        ran = run("registry", command)
        assert (ran.code, f"no contract is registered in the SQLite store {tmp_path}/contracts.db" in ran.err) == (0, True)
    run("publish", contracts)
    assert run("registry", "consumers", "vendor-feed").code == 0
    for command in ("consumers", "history"):
        ran = run("registry", command, "vendor-fed")
        assert (ran.code, 'did you mean "vendor-feed"?' in ran.err) == (2, True)


def test_a_consumer_can_be_made_known(run: Callable[..., Ran], contracts: Path) -> None:
    (contracts / "feed.odcs.yaml").write_text(CONTRACT + "      consumers: [{asset: scores, fallback: halt}]\n")
    assert run("registry", "add-consumer", "scores").code == 0
    assert run("publish", contracts).code == 0
    assert run("registry", "add-consumer", " ").code == 2


def test_a_version_that_says_too_little_needs_a_reason(run: Callable[..., Ran], contracts: Path) -> None:
    run("publish", contracts)
    (contracts / "feed.odcs.yaml").write_text(LATER.replace("version: 2.0.0", "version: 1.3.0"))
    ran = run("publish", contracts)
    assert (ran.code, listed(run)) == (2, ["vendor-feed@1.2.0"])
    assert "a breaking change needs a major version" in ran.err
    assert run("publish", contracts, "--accept-incompatible", " ").code == 2
    assert run("publish", contracts, "--accept-incompatible", "nobody reads it yet").code == 0
    assert run("registry", "get", "vendor-feed", "--format", "json").json["registered"]["accepted"] == "nobody reads it yet"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("vendor-fed@1.2.0", 'no contract "vendor-fed" is registered'),
        ("vendor-fed@1.2.0", 'did you mean "vendor-feed"?'),
        ("vendor-feed@3.0.0", 'has no version "3.0.0"'),
        ("vendor-feed@3.0.0", "registered are 1.2.0"),
        ("registry:", 'no contract "" is registered'),
        ("nosuch:contracts/feed.odcs.yaml", 'the git revision "nosuch" does not exist'),
    ],
)
def test_what_is_not_registered(run: Callable[..., Ran], contracts: Path, spec: str, told: str) -> None:
    git(contracts.parent, "init")
    run("publish", contracts)
    for command in (("test", spec, "--data", "good.csv"), ("diff", spec, contracts / "feed.odcs.yaml")):
        ran = run(*command)
        assert ran.code == 2
        assert told in " ".join(ran.err.split())


def test_what_is_in_force_is_pulled(run: Callable[..., Ran], contracts: Path, tmp_path: Path) -> None:
    odd = CONTRACT.replace("id: vendor-feed", "id: 'urn:x/../feed'").replace("vendor/feed", "odd")
    (contracts / "odd.odcs.yaml").write_text(odd)
    (contracts / "draft.odcs.yaml").write_text(odd.replace("urn:x/../feed", "draft").replace("status: active", "status: draft"))
    run("publish", contracts)
    assert run("registry", "pull", "pulled").out.endswith("2 files changed\n")
    assert run("registry", "pull", "pulled").out == "0 files changed\n"
    found = {path.name: path.read_text() for path in (tmp_path / "pulled").iterdir()}
    assert found.pop("vendor-feed.odcs.yaml") == CONTRACT
    ((name, text),) = found.items()
    assert (name.startswith("urn_x_.._feed-"), text) == (True, odd)
    assert run("lint", "pulled").code == 0


def test_a_local_edit_is_not_pulled_over(run: Callable[..., Ran], contracts: Path) -> None:
    run("publish", contracts)
    file, edited = contracts / "vendor-feed.odcs.yaml", CONTRACT.replace("PT6H", "PT7H")
    (contracts / "feed.odcs.yaml").rename(file)
    file.write_text(LATER)
    run("publish", contracts)
    file.write_text(CONTRACT)
    assert run("registry", "pull", "contracts").out.endswith("1 file changed\n")  # an earlier version, not edited
    file.write_text(edited)
    ran = run("registry", "pull", "contracts")
    told = " ".join(ran.err.split())
    assert (ran.code, file.read_text()) == (2, edited)
    assert f"{file.relative_to(contracts.parent)}: no registered version has this content" in told
    assert "--force" in told
    assert run("registry", "pull", "contracts", "--force").out == "wrote contracts/vendor-feed.odcs.yaml\n1 file changed\n"
    assert file.read_text() == LATER


def test_a_waiver_that_lasts_too_long_is_not_registered(run: Callable[..., Ran], contracts: Path) -> None:
    value = "[{rule: risk_indicator.invalidValues, until: '2999-01-01', reason: r, approvedBy: a}]"
    (contracts / "feed.odcs.yaml").write_text(f"{CONTRACT}  - {{property: waivers, value: {value}}}\n")
    ran = run("publish", contracts)
    assert (ran.code, listed(run)) == (2, [])
    assert "more than 90 days ahead" in ran.err


def test_a_violation_is_reported_to_all_who_are_told(run: Callable[..., Ran], past: str) -> None:
    arguments = ("registry", "report-violation", "vendor/feed", "--partition", "2026-01-01")
    before = SqlStore(past).breakers()
    ran = run(*arguments, "--rule", "risk_indicator.invalidValues", "--reason", "17 is no indicator", "--actor", "scores")
    assert ran.code == 0
    event = SqlStore(past).events()[-1]
    assert ran.out == f"recorded {event.id}: {event.message}\n"
    assert event.message == "scores reports a violation of vendor/feed [2026-01-01]: risk_indicator.invalidValues: 17 is no indicator"
    assert event.payload["contract"] == {"id": "vendor-feed", "version": "1.2.0"}
    assert event.payload["batch"] is not None
    assert [(each.state, each.generation) for each in SqlStore(past).breakers()] == [(each.state, each.generation) for each in before]
    told = topic_of(event)
    assert told is not None
    assert follow(begun(event, *told), event).counts == {"violations reported": 1}
    for wrong in (("vendor/fed", "x"), ("vendor/feed", " ")):
        assert run("registry", "report-violation", wrong[0], "--reason", wrong[1]).code == 2


def test_drafts_are_said_to_be_never_in_force(run: Callable[..., Ran], contracts: Path, tmp_path: Path) -> None:
    nothing = run("registry", "get", "nosuch").err
    assert f'no contract "nosuch" is registered (SQLite store {tmp_path}/contracts.db); `dagster-contracts publish`' in " ".join(
        nothing.split()
    )
    pulled = run("registry", "pull", "pulled")
    assert (pulled.code, pulled.out) == (0, "0 files changed\n")
    assert f"no contract is registered in the SQLite store {tmp_path}/contracts.db" in pulled.err
    (contracts / "feed.odcs.yaml").write_text(CONTRACT.replace("status: active", "status: draft"))
    assert "its status is draft; publish a later minor version with `status: active`" in run("publish", contracts).out
    refused = run("registry", "get", "vendor-feed")
    assert refused.code == 2
    assert "is never in force: registered are 1.2.0 (draft); publish a later minor version with `status: active`, or name" in refused.err
    assert "vendor-feed@1.2.0 (draft); publish versions" in run("registry", "pull", "pulled").err
    assert run("registry", "get", "vendor-feed@1.2.0", "--output", "good.csv/x").err.startswith("error: good.csv/x cannot be written")
    (contracts / "feed.odcs.yaml").write_text(CONTRACT.replace("1.2.0", "1.3.0"))
    assert run("publish", contracts).err == ""
    assert run("registry", "get", "vendor-feed").code == 0
    assert run("registry", "pull", "good.csv").code == 2
    run("registry", "pull", "pulled")
    again = run("registry", "pull", "pulled")
    assert (again.out, again.err) == ("0 files changed\n", "")
