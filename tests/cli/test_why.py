"""`why`: sentences that a person can act on, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from dagster_contracts import recovery, reviewing, routing, stored
from dagster_contracts.core.contract import Clause, Confidence, Fallback, Severity, Waiver, attach
from dagster_contracts.core.ledger import OutputStatus, Route, RouteKind, Status, StepKey
from dagster_contracts.core.plan import NotExecuted
from dagster_contracts.core.route import decide_output
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import OverrideKind, State
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.files import load_contracts
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import FIRST, Ran
from tests.cli.conftest import day as of_day
from tests.schemas import assert_described
from tests.store.values import batch, breaker, day, output, route

SHAPES = ["why", "vendor/feed"], ["why", "fraud", "--at", "2026-01-03T00:00Z"], ["why", "vendor/feed", "--incident", "1"]


@pytest.mark.usefixtures("past")
def test_why_a_feed_is_held(run: Callable[..., Ran]):
    ran = run("why", "vendor/feed")
    assert (ran.code, ran.err) == (0, "")
    out = ran.out
    assert out.startswith("vendor/feed is open since 2026-01-02 06:00Z (")
    for said in (
        "it sets aside what arrives; consumers read published partitions as ever, and fall back for all else.",
        "Cause: vendor/feed [2026-01-02] failed (contract 1.2.0).",
        "risk_indicator.invalidValues: ",
        "vendor/feed [2026-01-03] is held since 2026-01-02 08:00Z",
        "vendor/feed [2026-01-02] is quarantined since 2026-01-02 06:00Z",
        "it failed its contract.",
        "Next: published once the breaker closes.",
        "Affected: 2 outputs.",
        "fraud [2026-01-02] was halted on 2026-01-02 07:00Z: it was given nothing of vendor/feed [2026-01-02].",
        "underwriting [2026-01-02] was made at low confidence on 2026-01-02 07:00Z: "
        "it read vendor/feed [2026-01-02] though it was refused, marked low.",
        "Waiting for: vendor/feed: probe due, of a stored batch or of what arrives next.",
        "dagster-contracts batch show vendor/feed --partition 2026-01-02",
        "dagster-contracts batch release vendor/feed --partition 2026-01-02 --reason ...",
        "dagster-contracts breaker reset vendor/feed --reason ...",
        "dagster-contracts why vendor/feed --incident 1",
    ):
        assert said in out, said


@pytest.mark.usefixtures("past")
def test_every_command_that_it_names_exists(run: Callable[..., Ran]):
    lines = (run("why", "vendor/feed").out + run("why", "fraud").out).splitlines()
    commands = [line.split() for line in lines if line.startswith("  dagster-contracts ")]
    assert len(commands) > 4
    for _, *words in commands:
        given = ["vendor confirmed" if word == "..." else word for word in words]
        ran = run(*(given if given[1] != "rejudge" else [*given[:2], "--help"]))
        assert ran.code == 0, (given, ran.err)


@pytest.mark.usefixtures("past")
def test_why_one_partition(run: Callable[..., Ran]):
    out = run("why", "vendor/feed", "--partition", "2026-01-03").out
    assert "vendor/feed [2026-01-03] is held" in out
    assert "quarantined" not in out
    assert "vendor/feed [2026-01-01] is published" not in out
    assert "vendor/feed [2026-01-01] is published since 2026-01-01 06:00Z" in run("why", "vendor/feed", "--partition", "2026-01-01").out


@pytest.mark.usefixtures("past")
def test_why_a_consumer_was_halted(run: Callable[..., Ran]):
    out = run("why", "fraud", "--partition", "2026-01-02").out
    assert out.startswith("fraud [2026-01-02] was halted on 2026-01-02 07:00Z.\n")
    assert "It was given nothing of vendor/feed [2026-01-02]." in out
    assert "vendor/feed is open since" in out
    assert "Waiting for: vendor/feed: probe due." in out
    assert "Waiting for: fraud [2026-01-02] is computed again once its inputs are fresh." in out
    assert "dagster-contracts why vendor/feed --partition 2026-01-02" in out


@pytest.mark.usefixtures("past")
def test_what_a_consumer_read_at_a_time(run: Callable[..., Ran]):
    at = run("why", "underwriting", "--at", "2026-01-02T08:00:00+01:00")
    assert at.out.splitlines()[0] == (
        "By 2026-01-02 07:00:00Z, underwriting had last read in run run-underwriting (step underwriting, attempt 0):"
    )
    assert "2026-01-02 07:00:00Z: it read vendor/feed [2026-01-02] though it was refused, marked low." in at.out
    before = run("why", "underwriting", "--at", "2026-01-02T06:59:59Z")
    assert (before.code, before.out) == (0, "underwriting had read nothing by 2026-01-02 06:59:59Z.\n")
    other = run("why", "underwriting", "--partition", "2026-01-01", "--at", "2026-01-03T00:00Z").out
    assert other == "underwriting had read nothing for [2026-01-01] by 2026-01-03 00:00:00Z.\n"


def test_of_a_partition_only_the_breakers_that_concern_it_are_told(run: Callable[..., Ran], tmp_path: Path):
    """Where each vendor has a breaker of its own, that of another explains nothing, and nobody should reset it for this."""
    url = f"sqlite:///{tmp_path}/scoped.db"
    store = SqlStore(url, clock=FixedClock(FIRST))
    acme, other, third = (f"feed[vendor={name}]" for name in ("acme", "other", "third"))
    bad = batch("bad", day(1, vendor="other"), Status.QUARANTINED, breaker_key=other)
    for made in (breaker(acme), breaker(other, state=State.OPEN, opened_at=FIRST), breaker(third, state=State.OPEN, opened_at=FIRST)):
        store.save(Change(made))
    store.save(Change(batches=(batch("good", day(1, vendor="acme"), breaker_key=acme), bad)))
    read = route("feed", day(2, vendor="other"), RouteKind.HALTED, confidence=None, breaker_key=other)
    store.save(Change(outputs=(output("o", OutputStatus.HALTED, day(2), inputs=(read,), confidence=None),)))

    def told(partition: str) -> tuple[list[str], str]:
        ran = run("why", "feed", "--partition", partition, "--database-url", url)
        form = run("why", "feed", "--partition", partition, "--database-url", url, "--format", "json").json
        return [each["key"] for each in form["breakers"]], ran.out

    keys, out = told("2026-11-01|acme")
    assert keys == [acme]
    assert "other" not in out
    assert "Nothing is the matter." in out
    keys, out = told("2026-11-01|other")
    assert (keys, "feed[vendor=other] is open" in out, "third" in out) == ([other], True, False)
    assert told("2026-11-02|other")[0] == [other]
    assert len(run("why", "feed", "--database-url", url, "--format", "json").json["breakers"]) == 3


@pytest.mark.usefixtures("past")
def test_what_happened_in_an_incident(run: Callable[..., Ran]):
    lines = run("why", "vendor/feed", "--incident", "1").out.splitlines()
    assert lines[0] == "Incident 1 of vendor/feed began on 2026-01-02 06:00:00Z; it has not closed."
    told = [line.split("  ")[2].split(":")[0] for line in lines[1:]]
    assert told[0] == "breaker.opened"
    assert "batch.quarantined" in told
    assert told.count("route.served_fallback") == 2
    run("breaker", "force-closed", "vendor/feed", "--reason", "vendor phoned", "--actor", "ann")
    run("breaker", "reset", "vendor/feed", "--reason", "corrected", "--actor", "bob")
    closed = run("why", "vendor/feed", "--incident", "1").out
    assert "breaker.changed: vendor/feed: force_closed: vendor phoned (by ann)" in closed
    assert closed.endswith("open -> closed: reset: corrected (by bob)\n")
    assert "; it closed on " in closed
    assert closed.splitlines()[-1].split("  ")[2].startswith("breaker.closed: ")


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("command", SHAPES)
def test_json_says_the_same_and_is_described(run: Callable[..., Ran], command: list[str]):
    found = run(*command, "--format", "json").json
    assert_described("why", found)
    said = [line.strip() for line in run(*command).out.splitlines() if line]
    assert len(found["sentences"]) == len(said)
    assert found["sentences"][-1] == said[-1]


@pytest.mark.usefixtures("past")
def test_json_by_kind(run: Callable[..., Ran]):
    found = run("why", "vendor/feed", "--format", "json").json
    assert [(each["key"], each["state"]) for each in found["breakers"]] == [("vendor/feed", "open")]
    assert [each["partition"] for each in found["waiting"]] == ["2026-01-03", "2026-01-02"]
    assert (found["published"]["partition"], found["newest"]["partition"], found["output"]) == ("2026-01-01", "2026-01-03", None)
    assert {each["asset"] for each in found["affected"]} == {"fraud", "underwriting"}
    given = run("why", "fraud", "--at", "2026-01-03T00:00Z", "--format", "json").json
    assert [(each["upstream"], each["route"], each["decided_at"]) for each in given["decisions"]] == [
        ("vendor/feed", "halted", "2026-01-02T07:00:00Z")
    ]


def test_a_healthy_asset_says_so(run: Callable[..., Ran], past: str):
    SqlStore(past).save(Change(breaker("well"), batches=(batch("b", asset="well", breaker_key="well"),)))
    out = run("why", "well").out
    assert out.startswith("well is closed: consumers read what is published.\n")
    assert "well [(unpartitioned)] is published since 2026-11-01" in out
    assert out.endswith("Nothing is the matter.\n")
    assert "What to do" not in out


def _waived(rule: str, observed: str) -> Finding:
    waiver = Waiver(rule, date(2026, 12, 1), "vendor mends it", "ann")
    told = f"waived until 2026-12-01 by ann (vendor mends it): {observed}"
    return Finding(rule, Clause.VALIDITY, None, Severity.WARNING, Outcome.WARN, told, "0 rows", 1, waived=waiver)


def test_of_what_is_published_all_the_same_it_is_told_what_was_found(run: Callable[..., Ran], past: str):
    """By a waiver; with a rule that nobody could run; by the policy though it could not be measured."""
    unmeasured = Finding("amount.mean", Clause.DISTRIBUTION, None, Severity.ERROR, Outcome.INCONCLUSIVE, "no engine", "1")
    found = {
        "waived": (Outcome.WARN, Verdict(Outcome.WARN, "c", "1", 4, (_waived("amount.minimum", "1 of 4 rows (25%)"),), (), "d")),
        "left_out": (Outcome.WARN, Verdict(Outcome.WARN, "c", "1", 4, (), (NotExecuted("sql", "no engine runs SQL"),), "d")),
        "unknown": (Outcome.INCONCLUSIVE, Verdict(Outcome.INCONCLUSIVE, "c", "1", 4, (unmeasured,), (), "d")),
    }
    for name, (outcome, verdict) in found.items():
        published = batch(name, asset=name, breaker_key=name, outcome=outcome, verdict=verdict)
        SqlStore(past).save(Change(breaker(name), batches=(published,)))
    told = {name: run("why", name).out for name in found}
    waived = "  amount.minimum: waived until 2026-12-01 by ann (vendor mends it): 1 of 4 rows (25%); expected 0 rows\n"
    assert waived in told["waived"]
    assert "  sql was not executed: no engine runs SQL\n" in told["left_out"]
    assert "  amount.mean: no engine; expected 1\n" in told["unknown"]
    assert all(out.endswith("Nothing else is the matter.\n") for out in told.values())


def test_what_failed_while_it_was_only_observed_stays_and_is_told_of(run: Callable[..., Ran], past: str):
    late = Finding(
        "risk.enum", Clause.SEMANTICS, "risk", Severity.CRITICAL, Outcome.FAIL, "1 of 2 rows (50%) outside: 17 (1)", "one of A", 1
    )
    verdict = Verdict(Outcome.FAIL, "c", "1", 2, (late,), (), "d")
    SqlStore(past).save(
        Change(breaker("watched"), batches=(batch("b", asset="watched", breaker_key="watched", outcome=Outcome.FAIL, verdict=verdict),))
    )
    run("breaker", "observe-only", "watched", "--reason", "roll-out")
    again = "deliver watched [(unpartitioned)] again"
    assert again not in run("why", "watched").out, "as long as it is only observed"
    run("breaker", "reset", "watched", "--reason", "enforced from now on")
    out = run("why", "watched").out
    assert "It failed its contract, and was let through while its breaker only observed; it stays until it is delivered again.\n" in out
    assert "  risk.enum: 1 of 2 rows (50%) outside: 17 (1); expected one of A\n" in out
    assert out.endswith(f"What to do:\n  {again}\n")
    assert "Nothing" not in out


def test_of_what_is_not_stored_only_a_new_delivery_is_advised(run: Callable[..., Ran], past: str):
    """Such as the partitions of a run of several: `batch release` and `batch rejudge` could only refuse."""
    good, bad = (
        batch(f"{name}", day(number), status, staged=None)
        for number, name, status in ((1, "good", Status.HELD), (2, "bad", Status.QUARANTINED))
    )
    for state in (State.OPEN, State.CLOSED):
        of = {"breaker_key": f"{state}", "asset": f"{state}"}
        SqlStore(past).save(
            Change(
                breaker(f"{state}", state=state, opened_at=FIRST),
                batches=tuple(replace(each, id=f"{state}{each.id}", **of) for each in (good, bad)),
            )
        )
        told = run("why", f"{state}", "--partition", "2026-11-01").out
        assert "  Next: its data is not stored: run it again.\n" in told
        assert f"  deliver {state} [2026-11-01] again, or\n  dagster-contracts batch show" in told
        told = run("why", f"{state}", "--partition", "2026-11-02").out
        assert "  Next: its data is not stored: run it again, or batch discard.\n" in told
        assert f"  deliver {state} [2026-11-02] again, or\n  dagster-contracts batch show" in told
        assert "release" not in told
        assert "rejudge" not in told


@pytest.mark.usefixtures("past")
def test_after_a_reset_it_is_said_what_publishes_a_held_batch(run: Callable[..., Ran]):
    now = "the breaker is closed: published at the next tick of the sensor contracts_heal, or by `dagster-contracts heal`"
    shown = ["status"], ["breaker", "show", "vendor/feed"], ["batch", "show", "vendor/feed"]
    assert not any("contracts_heal" in run(*words).out for words in shown)  # one word: a cell may be broken into lines
    run("breaker", "reset", "vendor/feed", "--reason", "corrected")
    for words in shown:
        assert "contracts_heal" in run(*words).out
    out = run("why", "vendor/feed", "--partition", "2026-01-03").out
    assert f"Next: {now}." in out
    assert "see that the sensor contracts_heal is on, or\n  dagster-contracts heal\n" in out
    assert "batch release" not in out
    assert "Nothing is the matter" not in out


@pytest.mark.usefixtures("past")
def test_what_was_discarded_is_to_be_delivered_again_or_released(run: Callable[..., Ran]):
    second = ("vendor/feed", "--partition", "2026-01-02")
    run("batch", "discard", *second, "--reason", "dup")
    run("breaker", "reset", "vendor/feed", "--reason", "z")
    release = "dagster-contracts batch release vendor/feed --partition 2026-01-02 --reason ...\n"
    again = "What to do:\n  deliver vendor/feed [2026-01-02] again, or\n"
    assert run("why", *second).out.endswith(f"{again}  {release}")
    assert f"{again}  dagster-contracts why vendor/feed --partition 2026-01-02\n" in run("why", "fraud").out
    assert "  deliver vendor/feed [2026-01-02] again, or\n  dagster-contracts why vendor/feed --part" in run("why", "vendor/feed").out
    rows = [line for line in run("status").out.splitlines() if line.startswith("output")]
    assert len(rows) == 2
    assert all("deliver vendor/feed [2026-01-02] again" in line for line in rows)
    assert run("batch", "release", *second, "--reason", "no dup").code == 0
    assert "released by ana, to be published" in run("why", *second).out


def _has_read(store: SqlStore, asset: str, *routes: Route, status: OutputStatus = OutputStatus.DEGRADED) -> None:
    confidence = {OutputStatus.HALTED: None, OutputStatus.OK: Confidence.FULL}.get(status, Confidence.STALE)
    store.save(Change(outputs=(output(asset, status, asset=asset, confidence=confidence, inputs=routes),)))


def test_a_partition_that_was_never_delivered_is_said_so_and_its_breaker_is_advised_on(run: Callable[..., Ran], past: str):
    never = of_day(20)
    _has_read(SqlStore(past), "last", route("vendor/feed", never, RouteKind.HALTED, reason="open"), status=OutputStatus.HALTED)
    out = run("why", "last").out
    assert "It was given nothing of vendor/feed [2026-01-20], which was never delivered.\n" in out
    assert out.endswith("What to do:\n  dagster-contracts why vendor/feed\n")
    own = run("why", "vendor/feed", "--partition", "2026-01-20")
    assert own.code == 0
    assert "vendor/feed [2026-01-20] was never delivered.\n" in own.out
    assert "  deliver vendor/feed [2026-01-20]\n  dagster-contracts breaker force-closed vendor/feed --until PT2H" in own.out


def test_a_cause_is_told_once_of_many_partitions(run: Callable[..., Ran], past: str):
    days = [of_day(number) for number in (*range(4, 32), 2, 3)]
    left = [route("vendor/feed", each, RouteKind.LAST_GOOD, reason=f"[{each}] was left out. The cause.") for each in days]
    _has_read(SqlStore(past), "monthly", *left)
    out = run("why", "monthly").out
    assert out.count("The cause.") == 1
    assert "  and 25 more partitions of vendor/feed, 25 of them never delivered.\n" in out
    assert out[out.index("What to do:") :].splitlines()[1:] == [
        "  dagster-contracts why vendor/feed --partition 2026-01-02",
        "  dagster-contracts why vendor/feed --partition 2026-01-03",
        "  dagster-contracts why vendor/feed",
    ]


@pytest.mark.usefixtures("contract")
def test_a_newer_delivery_that_was_refused_is_told_of_what_was_made_of_the_earlier_one(run: Callable[..., Ran], past: str):
    _redelivered(_at(past, 26))
    _consumed(_at(past, 27), "revenue", 1, Confidence.STALE, 27)
    out = run("why", "revenue").out
    assert (
        "  It read vendor/feed [2026-01-01], fresh: the earlier delivery of it. A newer one is quarantined; see "
        "`dagster-contracts why vendor/feed --partition 2026-01-01`.\n"
    ) in out
    assert out.endswith("Nothing else is the matter.\n")
    assert (
        "    The delivery of 2026-01-02 08:00Z is quarantined: the earlier one is read.\n"
        in run("why", "revenue", "--at", "2026-01-03T00:00Z").out
    )


def _redelivered(store: SqlStore) -> None:
    """The first day comes again, and is refused."""
    gate, terms = Gate(store, LocalEngine()), Terms.of(attach(load_contracts(Path("feed.odcs.yaml")), ["vendor/feed"])["vendor/feed"])
    worse = pl.DataFrame({"customer_id": [1, 2], "risk_indicator": ["18", "LOW_RISK"]})
    gate.staged(gate.judge(terms, Delivery(of_day(1), "again", "again"), worse).batch, "again")


@pytest.mark.usefixtures("past")
def test_a_reason_that_is_over_is_told_as_one(run: Callable[..., Ran]):
    assert "\n  vendor/feed is open since 2026-01-02 06:00Z: " in run("why", "fraud").out
    run("breaker", "reset", "vendor/feed", "--reason", "corrected")
    assert "\n  At that time: vendor/feed is open since 2026-01-02 06:00Z: " in run("why", "fraud").out


def test_what_was_released_is_told_of_what_was_made_of_it(run: Callable[..., Ran], past: str):
    read = route("vendor/feed", day(1), served=day(1), confidence=Confidence.FULL, reason="released by ana: vendor confirmed")
    SqlStore(past).save(Change(outputs=(output("o", asset="invoices", partition=day(1), inputs=(read,)),)))
    out = run("why", "invoices", "--partition", "2026-11-01").out
    assert "It read vendor/feed [2026-11-01], fresh: a batch that had been released by ana: vendor confirmed\n" in out
    assert out.endswith("Nothing else is the matter.\n")


def test_what_was_made_of_a_stale_output_is_said_so(run: Callable[..., Ran], past: str):
    read = decide_output(
        output("mix", OutputStatus.DEGRADED, confidence=Confidence.STALE, inputs=(route("vendor/feed", reason="feed is open"),)),
        asset="channel_mix",
        requested=day(3),
        accepts=Confidence.STALE,
    )
    made = output("d", OutputStatus.DEGRADED, day(3), asset="dashboard", confidence=Confidence.STALE, inputs=(read,))
    SqlStore(past).save(Change(outputs=(made,)))
    assert "It read [2026-11-03] of channel_mix, which was itself made from stale data.\n" in run("why", "dashboard").out


def _consumed(store: SqlStore, asset: str, number: int, accepts: Confidence, hours: int) -> None:
    """`asset` is made of the feed's day so many hours after the first delivery."""
    gate, run_id = Gate(store, LocalEngine()), f"run-{asset}-{hours}"
    terms = Terms.of(attach(load_contracts(Path("feed.odcs.yaml")), ["vendor/feed"])["vendor/feed"])
    read = routing.route(gate, StepKey(run_id, asset), routing.Input(asset, "vendor/feed", accepts, terms), of_day(number))
    gate.record_output(asset, of_day(number), run_id, [read])


def _at(url: str, hours: int) -> SqlStore:
    return SqlStore(url, clock=FixedClock(FIRST + timedelta(hours=hours)))


@pytest.mark.usefixtures("contract")
def test_who_has_rejected_an_output_when_and_why(run: Callable[..., Ran], past: str):
    reviewing.reject(Gate(_at(past, 40), LocalEngine()), "underwriting", "2026-01-02", actor="bo", reason="looks wrong")
    word = "bo rejected it on 2026-01-02 22:00Z: looks wrong. It is withdrawn."
    own = run("why", "underwriting", "--partition", "2026-01-02")
    assert own.out.startswith(f"underwriting [2026-01-02] was made at low confidence on 2026-01-02 07:00Z.\n  {word}\n")
    assert word in run("why", "vendor/feed").out
    found = run("why", "vendor/feed", "--format", "json").json
    assert_described("why", found)
    assert [(each["asset"], each["actor"], each["status"]) for each in found["reviews"]] == [("underwriting", "bo", "rejected")]
    later = run("why", "underwriting", "--at", "2026-01-02T22:00:00Z").out
    assert later.endswith("  2026-01-02 22:00:00Z: bo rejected what it had made, [2026-01-02]: looks wrong\n")
    assert "rejected" not in run("why", "underwriting", "--at", "2026-01-02T21:59:59Z").out
    assert_described("why", run("why", "underwriting", "--at", "2026-01-02T22:00:00Z", "--format", "json").json)


@pytest.mark.usefixtures("contract")
def test_what_was_refused_then_and_has_passed_since_is_told_as_past(run: Callable[..., Ran], past: str):
    recovery.reset(Gate(_at(past, 40), LocalEngine()), "vendor/feed", actor="bo", reason="known")
    _consumed(_at(past, 41), "payouts", 2, Confidence.FULL, 41)
    told = "vendor/feed [2026-01-02] is quarantined (fail: "
    assert f"\n  {told}" in run("why", "payouts").out
    gate = Gate(_at(past, 42), LocalEngine())
    terms = Terms.of(attach(load_contracts(Path("feed.odcs.yaml")), ["vendor/feed"])["vendor/feed"])
    refused = recovery.releasable_batch(gate, "vendor/feed", "2026-01-02")
    stored.rejudge(gate, terms, refused, pl.DataFrame({"customer_id": [1], "risk_indicator": ["HIGH_RISK"]}), actor="bo", reason="mended")
    assert f"\n  At that time: {told}" in run("why", "payouts").out


@pytest.mark.usefixtures("contract")
def test_a_held_batch_that_passed_was_not_refused(run: Callable[..., Ran], past: str):
    _consumed(_at(past, 27), "underwriting", 3, Confidence.LOW, 27)
    out = run("why", "underwriting", "--partition", "2026-01-03").out
    assert "It read vendor/feed [2026-01-03] while it was held, though it had passed, marked low." in out
    assert "refused, marked low" not in out


@pytest.mark.usefixtures("contract")
def test_of_one_partition_its_own_outputs_are_affected(run: Callable[..., Ran], past: str):
    _consumed(_at(past, 27), "invoices", 3, Confidence.FULL, 27)
    assert "Affected: 3 outputs." in run("why", "vendor/feed").out
    out = run("why", "vendor/feed", "--partition", "2026-01-03").out
    assert "Affected: 1 output.\n  invoices [2026-01-03] was halted" in out
    assert "dagster-contracts breaker reset vendor/feed --reason ..." in out
    refused = run("why", "vendor/feed", "--partition", "2026-01-02").out
    assert "invoices" not in refused
    assert "dagster-contracts breaker" not in refused  # no word on the breaker frees what was refused


@pytest.mark.usefixtures("contract")
def test_an_output_of_fresh_data_waits_for_nothing_while_the_breaker_above_is_open(run: Callable[..., Ran], past: str):
    _consumed(_at(past, 27), "fraud", 1, Confidence.FULL, 27)
    _consumed(_at(past, 28), "other", 2, Confidence.FULL, 28)
    out = run("why", "fraud", "--partition", "2026-01-01").out
    assert out == "fraud [2026-01-01] was made on 2026-01-02 09:00Z from fresh data.\n\nNothing is the matter.\n"


@pytest.mark.usefixtures("contract")
def test_what_is_healed_and_reviewed_later_is_told_of_its_own_incident(run: Callable[..., Ran], past: str):
    gate = Gate(_at(past, 30), LocalEngine())
    recovery.reset(gate, "vendor/feed", actor="ana", reason="mended")
    reviewing.reject(Gate(_at(past, 31), LocalEngine()), "underwriting", "2026-01-02", actor="bo", reason="looks wrong")
    terms = Terms.of(attach(load_contracts(Path("feed.odcs.yaml")), ["vendor/feed"])["vendor/feed"])

    def deliver(number: int, hours: int, indicator: str) -> None:
        here = Gate(_at(past, hours), LocalEngine())
        judged = here.judge(
            terms,
            Delivery(of_day(number), f"late-{hours}", f"late-{hours}"),
            pl.DataFrame({"customer_id": [1, 2], "risk_indicator": [indicator, "LOW_RISK"]}),
        )
        here.published(judged.batch, None) if judged.publish else here.staged(judged.batch, f"late-{hours}")

    deliver(2, 32, "HIGH_RISK")
    deliver(4, 72, "17")
    _consumed(_at(past, 73), "fraud", 4, Confidence.FULL, 73)  # halted in the second
    _consumed(_at(past, 74), "fraud", 2, Confidence.FULL, 74)  # what fell in the first
    first, second = (run("why", "vendor/feed", "--incident", number).out for number in (1, 2))
    assert "  2026-01-02 13:00:00Z  review.rejected: bo rejected underwriting [2026-01-02]: looks wrong\n" in first
    assert first.endswith("  2026-01-04 08:00:00Z  output.healed: fraud [2026-01-02] was healed after 2 d 1 h\n")
    assert "output.healed" not in second
    assert "fraud: halted of vendor/feed [2026-01-04]" in second


def test_overrides_scopes_and_declared_consumers(run: Callable[..., Ran], past: str):
    store = SqlStore(past, clock=FixedClock(FIRST + timedelta(days=1)))
    (made,) = store.breakers()
    consumers = {"fraud": Fallback.HALT, "reports": Fallback.LAST_GOOD}
    store.save(Change(breaker=replace(made, policy=replace(made.policy, consumers=consumers))))
    store.save(Change(breaker("vendor/feed[vendor=a b]")))
    assert "  reports: by the contract it reads the last good data." in run("why", "vendor/feed").out
    recovery.override(
        Gate(store, LocalEngine()), "vendor/feed[vendor=a b]", OverrideKind.FORCE_OPEN, actor="bo", reason="vendor\nis \x1b[31mdown"
    )
    out = run("why", "vendor/feed[vendor=a b]").out
    assert "vendor/feed[vendor=a b] is closed" in out
    assert "bo set force_open on 2026-01-02 06:00Z, until it is reset: vendor\\nis \\x1b[31mdown" in out
    assert "dagster-contracts breaker reset 'vendor/feed[vendor=a b]' --reason ..." in out
    assert "vendor/feed is open" in out


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vendor/fed"], 'no asset "vendor/fed" is known to the ledger, did you mean "vendor/feed"? assets: fraud, underwriting'),
        (["fraude", "--at", "2026-01-03T00:00Z"], 'no asset "fraude" was ever given anything to read, did you mean "fraud"?'),
        (["vendor/feed", "--partition", "2026-01-20"], 'nothing is known of vendor/feed [2026-01-20], did you mean "2026-01-03"?'),
        (["fraud", "--at", "2026-01-03T09:00"], 'has no offset from UTC; add one, such as 2026-01-03T09:00Z'),
        (["fraud", "--at", "yesterday"], '--at: "yesterday" is not a time'),
        (["vendor/feed", "--incident", "2"], "vendor/feed had incidents 1 to 1; there is no incident 2"),
        (["vendor/fed", "--incident", "1"], 'no breaker "vendor/fed", did you mean "vendor/feed"?'),
        (["vendor/feed", "--incident", "1", "--at", "2026-01-03T00:00Z"], "--incident is asked alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered(run: Callable[..., Ran], words: list[str], said: str):
    ran = run("why", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_an_empty_store(run: Callable[..., Ran], tmp_path: Path):
    ran = run("why", "feed", "--database-url", f"sqlite:///{tmp_path}/none.db")
    assert (ran.code, ran.out) == (2, "")
    assert "assets: none yet" in ran.err
    assert not (tmp_path / "none.db").exists()
