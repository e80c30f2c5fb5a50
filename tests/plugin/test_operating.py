"""The jobs that a person starts in Dagster: what they do, and what they say when it cannot be done."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from dagster_contracts import BreakerResource, recovery, stored, with_contracts
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import FALLEN
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operating, operations
from dagster_contracts.plugin.site import site_of
from tests.plugin.lab import QUIET, Ran, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

OPS = {
    "contracts_probe": "probe_breakers",
    "contracts_release": "release_batch",
    "contracts_heal": "heal_outputs",
    "contracts_review": "decide_review",
    "contracts_prune": "prune_ledger",
}


def start(world: World, job: str, **config: Any) -> Ran:
    given = {**QUIET, "ops": {OPS[job]: {"config": config}}}
    return Ran(world.defs.resolve_job_def(job).execute_in_process(instance=world.instance, run_config=given, raise_on_error=False))


def refused(folder: Path, vendor: Vendor, *texts: str) -> Any:
    return governed(folder, lambda: dg.Definitions(assets=[a_feed(vendor), a_consumer("stale", "stale")]), *texts)


def test_a_probe_is_refused_during_the_cooldown_and_says_until_when(tmp_path: Path) -> None:
    with refused(tmp_path, Vendor({day(2)})) as world:
        world.run("feed", partition=day(2))
        assert start(world, "contracts_probe").success  # nothing is due, nothing was named
        ran = start(world, "contracts_probe", breaker="feed")
        assert "feed was not probed: " in ran.failures["probe_breakers"]
        assert 'no breaker "fed", did you mean "feed"?' in start(world, "contracts_probe", breaker="fed").failures["probe_breakers"]


@pytest.mark.parametrize("named", [{}, {"breaker": "feed"}])
def test_a_probe_judges_what_waits_and_its_pass_closes_the_breaker(tmp_path: Path, named: dict[str, str]) -> None:
    vendor = Vendor({day(2)})
    with refused(tmp_path, vendor) as world:
        world.run("feed", partition=day(2))
        world.at(1, 7)
        world.run("feed", partition=day(3))  # good, and held
        world.at(1, 13)
        assert start(world, "contracts_probe", **named).success
        [breaker] = world.ledger().breakers()
        assert breaker.state == "closed"


def test_a_released_batch_is_published_by_the_job(tmp_path: Path) -> None:
    with refused(tmp_path, Vendor({day(2)})) as world:
        world.run("feed", partition=day(2))
        wanted = {"asset": "feed", "partition": day(2), "reason": "the vendor says so", "actor": "ann"}
        assert "actor or reason is empty" in start(world, "contracts_release", **{**wanted, "actor": " "}).failures["release_batch"]
        assert start(world, "contracts_release", **wanted).success
        [batch] = world.ledger().batches(asset="feed")
        assert (batch.status, batch.released.actor if batch.released else None) == ("published", "ann")
        assert list(value_of(world, "feed", day(2))["risk"]) == ["7", "8"]
        again = start(world, "contracts_release", **wanted)
        assert "feed [2026-01-02] has no quarantined or held batch" in again.failures["release_batch"]


@pytest.mark.parametrize("first", ["job", "sensor"])
def test_what_the_job_and_the_sensor_both_publish_is_published_once_and_neither_run_fails(tmp_path: Path, first: str) -> None:
    with refused(tmp_path, Vendor({day(2)})) as world:
        world.run("feed", partition=day(2))
        gate = site_of(world.defs).gate(world.instance)
        batch = recovery.release(gate, recovery.releasable_batch(gate, "feed", None), actor="ann", reason="known")
        [request] = world.tick("contracts_heal")  # between the word of a person and the run of the person's job
        if first == "job":
            published_by = operations.run_release(world.defs, world.instance, batch)
            assert world.launch(request).failures == {}
        else:
            published_by = world.launch(request).run_id
            assert operations.run_release(world.defs, world.instance, batch) == published_by
        [row] = world.ledger().batches(asset="feed")
        assert (row.status, row.run_id) == ("published", published_by)


def test_a_run_that_is_to_publish_what_another_is_writing_leaves_it_to_that_one(tmp_path: Path) -> None:
    with refused(tmp_path, Vendor({day(2)})) as world:
        world.run("feed", partition=day(2))
        gate = site_of(world.defs).gate(world.instance)
        batch = recovery.release(gate, recovery.releasable_batch(gate, "feed", None), actor="ann", reason="known")
        [request] = world.tick("contracts_heal")
        other = create_run_for_test(world.instance, status=dg.DagsterRunStatus.STARTED)
        stored.publishing(gate, batch, other.run_id)
        assert world.launch(request).failures == {}
        world.instance.report_run_failed(other)
        ran = world.launch(request)
        assert "is publishing and cannot be released any more; run `dagster-contracts reconcile`" in ran.failures["feed"]
        assert world.instance.get_run_by_id(ran.run_id).tags["dagster/max_retries"] == "0"  # type: ignore[union-attr]


def test_a_person_heals_what_the_contract_leaves_to_people(tmp_path: Path) -> None:
    vendor = Vendor({day(2)})
    with refused(tmp_path, vendor, contract_text(policy="heal: ask")) as world:
        world.run("feed", partition=day(1))
        world.run("feed", partition=day(2))
        assert world.run("stale", partition=day(2)).success
        assert value_of(world, "stale", day(2)) == day(1)
        vendor.bad.clear()
        world.at(1, 13)
        world.run("feed", partition=day(2))
        assert world.tick("contracts_heal") == []
        assert start(world, "contracts_heal", asset="stale").success
        assert value_of(world, "stale", day(2)) == day(2)
        assert (
            'no asset "stal" is known here, did you mean "stale"?' in start(world, "contracts_heal", asset="stal").failures["heal_outputs"]
        )


def test_what_was_held_and_passed_is_published_on_its_own_merit(tmp_path: Path) -> None:
    vendor = Vendor({day(2)})
    with refused(tmp_path, vendor, contract_text(policy="heal: ask")) as world:
        for number in (1, 2, 3):
            world.run("feed", partition=day(number))
        assert world.run("stale", partition=day(3)).success  # the third is held: what it reads is the first
        told: list[str] = []
        assert operations.heal(world.defs, world.instance, None, told.append) == []  # the breaker is open
        recovery.reset(Gate(world.ledger(), LocalEngine()), "feed", actor="ann", reason="mended")
        assert start(world, "contracts_heal", asset="feed").success
        [held] = world.ledger().batches(asset="feed", partition=day(3))
        assert (held.status, held.last_good, held.released) == ("published", True, None)
        rows = operations.heal(world.defs, world.instance, None, told.append)
        assert [(row.asset, row.was, row.result) for row in rows] == [("stale", "degraded", "ok")]
        assert value_of(world, "stale", day(3)) == day(3)


def test_an_output_that_cannot_be_made_anew_fails_the_job_and_is_named(tmp_path: Path) -> None:
    vendor, broken = Vendor({day(2)}), []

    def definitions() -> dg.Definitions:
        @dg.asset(partitions_def=a_feed(vendor).partitions_def, metadata={"contracts/accepts": "stale"})
        def stale(feed: Any) -> str:
            if broken:
                raise ValueError("the model is gone")
            return "made"

        return dg.Definitions(assets=[a_feed(vendor), stale])

    with governed(tmp_path, definitions) as world:
        world.run("feed", partition=day(1))
        world.run("feed", partition=day(2))
        world.run("stale", partition=day(2))
        vendor.bad.clear()
        world.at(1, 13)
        world.run("feed", partition=day(2))
        broken.append(True)
        ran = start(world, "contracts_heal")
        assert "1 of 1 due batches and outputs are not healed: stale [2026-01-02]: failed (run " in ran.failures["heal_outputs"]


def test_what_a_renamed_asset_has_left_is_dropped_from_the_list_by_a_person(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor({day(2)})), a_consumer("payouts", "full")])) as world:
        world.run("feed", partition=day(2))
        assert "may not read feed" in world.run("payouts", partition=day(2)).failures["payouts"]
        with pytest.raises(UsageError, match="payouts is made here"):
            operations.dismiss(world.defs, world.instance, "payouts", None, actor="ann", reason="renamed")
        renamed = with_contracts(
            dg.Definitions(assets=[a_feed(Vendor()), a_consumer("payouts2", "full")]),
            contracts=tmp_path / "contracts",
            breakers=BreakerResource(url=f"sqlite:///{tmp_path}/contracts.db"),
            clock=world.clock,
        )
        with pytest.raises(UsageError, match="dagster-contracts dismiss payouts --reason"):
            operations.heal(renamed, world.instance, "payouts", lambda told: None)
        with pytest.raises(UsageError, match=r"payouts \[2026-01-03\] has no degraded, halted or withdrawn output"):
            operations.dismiss(renamed, world.instance, "payouts", day(3), actor="ann", reason="renamed")
        [dropped] = operations.dismiss(renamed, world.instance, "payouts", None, actor="ann", reason="renamed")
        assert (dropped.status, dropped.partition.key) == ("dismissed", day(2))
        assert world.ledger().outputs(statuses=FALLEN) == []
        assert world.ledger().events(limit=100)[-1].message == "ann dismissed payouts [2026-01-02]: renamed"


@pytest.mark.parametrize(
    ("job", "config", "told"),
    [
        ("contracts_review", {"asset": "trage", "decision": "approve", "actor": "ann", "reason": "seen"}, "nothing is recorded of trage"),
        ("contracts_prune", {"older_than": "90 days"}, '"90 days"'),
        ("contracts_release", {"asset": "fed", "actor": "ann", "reason": "seen"}, "fed has no quarantined or held batch"),
    ],
)
def test_what_cannot_be_done_is_told_first_and_not_tried_again(tmp_path: Path, job: str, config: dict[str, str], told: str) -> None:
    with refused(tmp_path, Vendor()) as world:
        ran = start(world, job, **config)
        [reason] = ran.failures.values()
        assert told in reason.splitlines()[0]
        [failed] = [event.step_failure_data for event in ran.result.all_events if event.is_step_failure]
        assert failed.user_failure_data is not None


def test_a_job_that_a_person_starts_is_not_run_again_by_itself(tmp_path: Path) -> None:
    with refused(tmp_path, Vendor()) as world:
        for name in ("contracts_probe", "contracts_release", "contracts_heal", "contracts_review"):
            assert world.defs.resolve_job_def(name).tags["dagster/max_retries"] == "0"


def test_the_guide_names_the_op_of_each_job(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/ui.md").read_text()
    rows = {cells[1].strip(" `"): cells[2].strip(" `") for line in guide.splitlines() if len(cells := line.split("|")) == 6}
    with governed(tmp_path, lambda: dg.Definitions(assets=[dg.AssetSpec("feed")]), readers={"feed": lambda partition: None}) as world:
        for job in world.defs.jobs or []:
            assert isinstance(job, dg.JobDefinition)
            assert rows[job.name] == job.graph.node_defs[0].name


def test_the_launchpad_says_what_each_option_means(tmp_path: Path) -> None:
    with refused(tmp_path, Vendor()) as world:
        jobs = [job for job in world.defs.jobs or [] if isinstance(job, dg.JobDefinition)]
    assert [job.name for job in jobs] == [operating.PROBE, operating.RELEASE, operating.HEAL, "contracts_prune", "contracts_review"]
    for job in jobs:
        [op] = job.graph.node_defs
        assert isinstance(op, dg.OpDefinition)
        fields = op.config_schema.config_type.fields  # type: ignore[union-attr]
        assert fields
        assert all(field.description for field in fields.values())
        assert job.description
        assert job.tags["contracts/job"]
