"""The gate stands before every consumer, in whatever form it is written; while the breaker is closed, nobody notices it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.core.ledger import Output, OutputStatus, RouteKind
from dagster_contracts.plugin.definitions import RESOURCE
from dagster_contracts.ports import FixedClock
from tests.plugin import forms
from tests.plugin.lab import FIRST, Ran, Vendor, World, a_feed, contract_files, contract_text, dagster_home, day, governed, value_of

D1, D2, D3 = day(1), day(2), day(3)


@dataclass
class Play:
    """One story of all the forms: day 1 ungoverned and governed, a bad day 2 for consumers that accept stale, then for strict ones."""

    original: dg.Definitions
    ungoverned: Ran
    closed: Ran
    stale: Ran
    subset: Ran
    strict: Ran
    strict_tags: dict[str, str]
    removed: Ran
    governed_defs: dg.Definitions
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    outputs: dict[tuple[str, str], Output | None] = field(default_factory=dict)
    lifecycle: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    place = tmp_path_factory.mktemp("forms")
    vendor = Vendor()
    files = str(place / "pickles")
    values: dict[tuple[str, str], Any] = {}
    outputs: dict[tuple[str, str], Output | None] = {}
    loadable = [name for name in forms.READ if name not in forms.VALUELESS]

    with dagster_home(place / "ungoverned") as instance:
        bare = World(forms.forms(vendor, str(place / "bare"), "stale"), instance, FixedClock(FIRST))
        ungoverned = bare.run(partition=D1)
        values.update({("ungoverned", name): value_of(bare, name, D1) for name in loadable})

    original = forms.forms(vendor, files, "stale")
    with governed(place / "governed", lambda: original) as world:
        forms.LIFECYCLE.clear()
        closed = world.run(partition=D1)
        assert closed.failures == {}
        lifecycle = list(forms.LIFECYCLE)
        values.update({("closed", name): value_of(world, name, D1) for name in loadable})

        world.at(2, 6)
        vendor.bad.add(D2)
        stale = world.run(partition=D2)
        values.update({("stale", name): value_of(world, name, D2) for name in loadable})
        outputs.update({("stale", name): world.ledger().output(name, D2) for name in forms.ASSETS})
        subset = world.run("part_a", partition=D2)

        strict_defs = with_contracts(
            forms.forms(vendor, files, "full"),
            contracts=place / "governed" / "contracts",
            breakers=BreakerResource(url=f"sqlite:///{place}/governed/contracts.db"),
            clock=world.clock,
        )
        strict = world.run(*forms.ASSETS, "unrelated", partition=D2, defs=strict_defs)
        strict_run = world.instance.get_run_by_id(strict.run_id)
        assert strict_run is not None
        outputs.update({("strict", name): world.ledger().output(name, D2) for name in forms.ASSETS})

        values.update({("removed", name): value_of(world, name, D1, original) for name in loadable})
        vendor.bad.add(D3)
        removed = world.run("feed", "plain", "deps_only", partition=D3, defs=original)
        governed_defs = world.defs
        yield Play(
            original, ungoverned, closed, stale, subset, strict, dict(strict_run.tags), removed, governed_defs, values, outputs, lifecycle
        )


def _users(mapping: Any) -> dict[str, Any]:
    """Without what we add, where files lie, and what differs from run to run."""
    added = ("contracts/", "dagster/code_version", "dagster/data_version", "dagster/input_", "path")
    return {key: value for key, value in mapping.items() if not key.startswith(added)}


def test_every_form_runs(play: Play) -> None:
    assert play.ungoverned.failures == {}
    assert play.closed.failures == {}


@pytest.mark.parametrize("asset", ["feed", *forms.ASSETS])
def test_closed_is_as_ungoverned(play: Play, asset: str) -> None:
    before, after = play.ungoverned.materialized(asset), play.closed.materialized(asset)
    assert before is not None
    assert after is not None
    assert after.partition == before.partition == D1
    assert _users(after.metadata) == _users(before.metadata)
    assert _users(after.tags or {}) == _users(before.tags or {})
    assert play.values.get(("closed", asset)) == play.values.get(("ungoverned", asset))
    own = {name: passed for name, passed in play.closed.checks(asset).items() if not name.startswith("contract_")}
    assert own == play.ungoverned.checks(asset)


@pytest.mark.parametrize("asset", forms.ASSETS)
def test_closed_says_full(play: Play, asset: str) -> None:
    made = play.closed.materialized(asset)
    assert made is not None
    assert (made.tags or {})["contracts/confidence"] == "full"
    assert "contracts/served_partition" not in made.metadata


@pytest.mark.parametrize("asset", forms.READ)
def test_open_reads_the_last_good(play: Play, asset: str) -> None:
    made, output = play.stale.materialized(asset), play.outputs["stale", asset]
    assert made is not None
    assert (made.tags or {})["contracts/confidence"] == "stale"
    assert made.metadata["contracts/confidence"].value == "stale"
    assert f"[{D1 if 'child' not in asset and asset != 'keyworded' else D2}]" in made.metadata["contracts/served_partition"].value
    assert made.metadata["contracts/breaker"].value == "feed"
    assert output is not None
    assert output.status is OutputStatus.DEGRADED
    assert {route.kind for route in output.inputs} - {RouteKind.FRESH} == {RouteKind.LAST_GOOD}
    if asset in forms.VALUELESS:
        assert made.metadata["read"].value == D1
    else:
        assert play.values["stale", asset] == forms.MAKES.get(asset, "{}").format(D1)


@pytest.mark.parametrize("asset", forms.NOTHING_READ)
def test_open_halts_what_reads_by_itself(play: Play, asset: str) -> None:
    """The live place cannot be swapped under a body that reads it itself."""
    assert play.stale.materialized(asset) is None
    assert any(step.startswith(asset) and f"{asset} may not read feed [{D2}]" in told for step, told in play.stale.failures.items())
    output = play.outputs["stale", asset]
    assert output is not None
    assert output.status is OutputStatus.HALTED


@pytest.mark.parametrize("asset", forms.ASSETS)
def test_open_halts_the_strict(play: Play, asset: str) -> None:
    assert play.strict.materialized(asset) is None
    if asset.startswith("child_of"):
        return  # never started: its upstream has failed
    output = play.outputs["strict", asset]
    assert output is not None
    assert output.status is OutputStatus.HALTED


def test_strict_consumers_say_why_and_nothing_else_fails(play: Play) -> None:
    told = play.strict.failures
    steps = [name for name in forms.ASSETS if not name.startswith("child_of")]
    assert len(told) == len(steps) - 2  # two pairs of assets share a step
    for text in told.values():
        assert text.startswith("Halted: ")
        assert "feed is open since 2026-01-02 06:00Z" in text
        assert "Next probe after 2026-01-02 12:00Z" in text or "frame_copy" in text  # second hand: the first hand has said when
    assert play.strict.materialized("unrelated") is not None
    assert play.strict_tags["dagster/max_retries"] == "0"


def test_the_refused_feed(play: Play) -> None:
    assert play.stale.materialized("feed") is None
    assert play.stale.checks("feed") == {
        "contract_schema": True,
        "contract_semantics": False,
        "contract_completeness": True,
        "contract_uniqueness": True,
        "contract_volume": True,
        "contract_breaker": False,
    }
    assert play.closed.checks("feed") == dict.fromkeys(play.stale.checks("feed"), True)


def test_part_of_a_subsettable_asset(play: Play) -> None:
    assert play.subset.failures == {}
    made = play.subset.materialized("part_a")
    assert made is not None
    assert (made.tags or {})["contracts/confidence"] == "stale"
    assert play.subset.materialized("part_b") is None


def test_what_users_say_of_outputs_survives(play: Play) -> None:
    for ran in (play.closed, play.stale):
        generated, result, itself = (ran.materialized(name) for name in ("generated", "result_with_value", "writes_itself"))
        assert generated is not None
        assert result is not None
        assert itself is not None
        assert generated.metadata["rows"].value == result.metadata["rows"].value == 2
        assert all((made.tags or {})["mine"] == "kept" for made in (generated, result, itself))
        assert (generated.tags or {})["dagster/data_version"] == "v-mine"
        assert (itself.tags or {})["dagster/data_version"] == "v-self"
        plain = ran.materialized("plain")
        assert plain is not None
        assert (plain.tags or {})["dagster/code_version"] == "7"


def test_users_checks_run_on_what_was_made(play: Play) -> None:
    for ran in (play.closed, play.stale):
        assert ran.checks("checked") == {"checked_is_text": True}
        assert ran.checks("inline_checked") == {"inline": True}
        assert ran.checks("writes_itself") == {"inline": True}


def test_resources_live_and_end(play: Play) -> None:
    assert sorted(play.lifecycle) == sorted(
        ["io manager up", "io manager down", "generator up", "generator down", "model down", "book closed"]
    )


# --- definitions ----------------------------------------------------------------------------------------------------


def _by_key(defs: dg.Definitions) -> dict[str, dg.AssetsDefinition]:
    return {key.to_user_string(): item for item in defs.assets or [] if isinstance(item, dg.AssetsDefinition) for key in item.keys}


def test_what_no_contract_concerns_is_the_same_object(play: Play) -> None:
    before, after = _by_key(play.original), _by_key(play.governed_defs)
    untouched = {name for name in before if before[name] is after[name]}
    assert untouched == {"unrelated"}
    assert [item for item in play.governed_defs.assets or [] if isinstance(item, dg.AssetSpec)] == [
        item for item in play.original.assets or [] if isinstance(item, dg.AssetSpec)
    ]


def test_specs_stay_as_they_were(play: Play) -> None:
    before, after = _by_key(play.original), _by_key(play.governed_defs)
    for name, item in before.items():
        key = dg.AssetKey.from_user_string(name)
        # A refused batch makes nothing: to Dagster, a contracted asset is one that a run may skip.
        governed, own = after[name].specs_by_key[key], item.specs_by_key[key]
        if name == "feed":  # what its contract says of it stands beside what its owner says (tests/plugin/test_catalog.py)
            assert (governed.metadata.items(), governed.tags.items()) >= (own.metadata.items(), own.tags.items())
            own = own._replace(skippable=True, metadata=governed.metadata, tags=governed.tags)
        assert governed == own
        assert after[name].op.pool == item.op.pool if isinstance(item.node_def, dg.OpDefinition) else True
        assert after[name].backfill_policy == item.backfill_policy
        if name != "feed":
            assert list(after[name].check_specs) == list(item.check_specs)
            assert after[name].can_subset == item.can_subset


def test_removing_the_call_removes_everything(play: Play) -> None:
    """The definitions given are as they were: they read the same files, and let bad data through as they always did."""
    assert RESOURCE not in (play.original.resources or {})
    assert not [sensor.name for sensor in play.original.sensors or []]
    for (state, name), value in play.values.items():
        if state == "removed":
            assert value == play.values["closed", name]
    assert play.removed.failures == {}
    assert play.removed.checks("feed") == {}
    for name in ("feed", "plain", "deps_only"):
        made = play.removed.materialized(name)
        assert made is not None
        assert not [key for key in {**made.metadata, **(made.tags or {})} if key.startswith("contracts/")]


# --- types ----------------------------------------------------------------------------------------------------------


def test_a_wrong_type_is_still_told(tmp_path: Path) -> None:
    vendor = Vendor()

    @dg.asset
    def wants_number(feed: int) -> int:
        return feed

    def definitions() -> dg.Definitions:
        return dg.Definitions(assets=[a_feed(vendor, partitions=None), wants_number])

    with governed(tmp_path, definitions) as world:
        ran = world.run()
        assert ran.materialized("feed") is not None
        assert "DagsterTypeCheckDidNotPass" in ran.failures["wants_number"]
        assert 'expected type "Int"' in ran.failures["wants_number"]


def test_contracts_given_as_files_folder_and_list(tmp_path: Path) -> None:
    folder = contract_files(tmp_path / "c", contract_text("one"), contract_text("two"))
    assets = [a_feed(Vendor(), name, None) for name in ("one", "two")]
    for contracts in (folder, str(folder), [folder / "0.odcs.yaml", str(folder / "1.odcs.yaml")]):
        site = (with_contracts(dg.Definitions(assets=assets), contracts=contracts).resources or {})[RESOURCE]
        assert sorted(site.terms) == ["one", "two"]
