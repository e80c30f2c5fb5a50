"""What the command line asks of Dagster: judge what is stored, settle what was cut off, judge again, publish a released batch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from dagster_contracts import recovery, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import MeasurementError, UsageError, did_you_mean
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import IN_PLACE, UNPARTITIONED, Batch, Output, Partition, Status
from dagster_contracts.core.state import asset_of
from dagster_contracts.core.verdict import Outcome, Verdict
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.plugin.assets import iterate_assets, made_together
from dagster_contracts.plugin.checks import is_ours
from dagster_contracts.plugin.frames import as_polars
from dagster_contracts.plugin.metadata import CONFIDENCE
from dagster_contracts.plugin.partitions import alone, partition_of
from dagster_contracts.plugin.private import instances, io_managers, rebuilding
from dagster_contracts.plugin.routing import RELEASE, RoutingIOManager, staging_key
from dagster_contracts.plugin.site import RESOURCE, Site
from dagster_contracts.plugin.sources import released

_FALLBACK = (Confidence.STALE, Confidence.LOW)

# --- the user's definitions ----------------------------------------------------------------------------------------


def load_definitions(file: str | None, module: str | None) -> dg.Definitions:
    """The one Definitions object of a Python file or module. Raises UsageError where there is none, or several."""
    source = _module(file, module)
    found = {id(value): value for value in vars(source).values() if isinstance(value, dg.Definitions)}
    if len(found) != 1:
        raise UsageError(f"{file or module}: expected one dagster.Definitions object at the top level, found {len(found)}")
    return next(iter(found.values()))


def _module(file: str | None, module: str | None) -> ModuleType:
    if module is not None:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UsageError(f"--module {module}: {error}") from error
    path = Path(file or "definitions.py")
    if not path.is_file():
        raise UsageError(f"--file {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--file {path}: not a Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(loaded)
    finally:
        sys.path.remove(str(path.parent.absolute()))
    return loaded


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME. Raises UsageError where that is not set."""
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterError as error:
        raise UsageError(f"no Dagster instance: {error}") from error


def asset_keys(defs: dg.Definitions) -> list[str]:
    """Every asset of the definitions, those of other code locations that they name too."""
    specs = [spec for item in iterate_assets(defs.assets) for spec in item.specs]
    specs += [item for item in defs.assets or [] if isinstance(item, dg.AssetSpec)]
    return sorted({spec.key.to_user_string() for spec in specs})


def site_of(defs: dg.Definitions) -> Site:
    """What `with_contracts` knows of these definitions."""
    site = (defs.resources or {}).get(RESOURCE)
    if not isinstance(site, Site):
        raise UsageError("these definitions are not governed: wrap them in dagster_contracts.with_contracts(...)")
    return site


def _terms(site: Site, instance: dg.DagsterInstance, asset: str) -> Terms:
    if asset not in site.terms:
        governed = sorted(site.terms)
        near = did_you_mean(asset, governed) or ";"
        raise UsageError(f'no contract governs "{asset}"{near} governed assets: {", ".join(governed) or "(none)"}')
    return site.in_force(instance, [asset])[asset]


def _assets_def(defs: dg.Definitions, asset: str) -> dg.AssetsDefinition:
    key = dg.AssetKey.from_user_string(asset)
    return next(item for item in iterate_assets(defs.assets) if key in item.keys)


# --- what is stored ------------------------------------------------------------------------------------------------


@contextmanager
def _storage(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str) -> Iterator[Callable[[dg.AssetKey, str | None], Any]]:
    """A reader of an asset's storage: (key, partition) -> value, through the user's own IO manager."""
    key = dg.AssetKey.from_user_string(asset)
    site = (defs.resources or {}).get(RESOURCE)
    if isinstance(site, Site) and (asset in site.live_readers or asset in site.sources):
        yield lambda place, partition: site.standing(key, instance, partition)
        return
    assets = _assets_def(defs, asset)
    name = assets.get_io_manager_key_for_asset_key(key)
    resources = {"io_manager": io_managers.DEFAULT_IO_MANAGER, **(defs.resources or {}), **assets.resource_defs}
    needed = {each: value for each, value in resources.items() if not isinstance(value, Site)}
    with dg.build_resources(needed, instance=instance) as built:
        manager = getattr(built, name)
        config = io_managers.config_of(name, needed[name])
        wrapped = manager.wrapped if isinstance(manager, RoutingIOManager) else manager

        def read(place: dg.AssetKey, partition: str | None) -> Any:
            return alone(wrapped.load_input(io_managers.storage_context(assets, key, place, partition, instance, config)), partition)

        yield read


def ungoverned_assets(defs: dg.Definitions, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """The assets that are made here and have no contract, and those that have one; `wanted` alone, where it names some. Raises UsageError
    for one that is none."""
    site = (defs.resources or {}).get(RESOURCE)
    governed = site.terms.keys() if isinstance(site, Site) else set()
    made = {key.to_user_string() for item in iterate_assets(defs.assets) if item.is_executable for key in item.keys}
    if unknown := next((key for key in wanted if key not in made), None):
        near = did_you_mean(unknown, sorted(made)) or ";"
        raise UsageError(f'no asset "{unknown}" is made here{near} assets: {", ".join(sorted(made)) or "none"}')
    here = [key for key in sorted(made) if not wanted or key in wanted]
    return [key for key in here if key not in governed], [key for key in here if key in governed]


def stored_frames(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int, told: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, Any]]:
    """The newest `last` stored partitions as polars frames, the oldest first: (partition key or "", frame).

    What was made from fallback data is left out, and `told` how many are. Raises UsageError where nothing else is stored, or what is
    stored is no table or cannot be read.
    """
    key = dg.AssetKey.from_user_string(asset)
    if instance.get_latest_materialization_event(key) is None:
        raise UsageError("it was never materialized on this instance")
    places, left_out = _made_from_fresh(instance, key, _stored_partitions(defs, instance, asset, None), last)
    if left_out:
        told(f"{asset}: {left_out} stored {'partition is' if left_out == 1 else 'partitions are'} left out: made from fallback data")
    if left_out and not places:
        raise UsageError("all that is stored of it was made from fallback data: materialize it again once its inputs are fresh")
    with _storage(defs, instance, asset) as read:
        for place in places:
            try:
                value = read(key, place.key)
            except Exception as error:  # whatever a user's IO manager raises
                raise UsageError(f"[{place}] could not be read: {type(error).__name__}: {error}") from error
            yield place.key or "", as_polars(value)


def _made_from_fresh(instance: dg.DagsterInstance, key: dg.AssetKey, stored: list[Partition], last: int) -> tuple[list[Partition], int]:
    """The newest `last` that were last made from no fallback, oldest first; and how many were passed over. Each costs a question."""
    chosen: list[Partition] = []
    left_out = 0
    for place in reversed(stored):
        if len(chosen) == last:
            break
        wanted = key if place.key is None else dg.AssetRecordsFilter(key, asset_partitions=[place.key])
        made = [record.asset_materialization for record in instance.fetch_materializations(wanted, limit=1).records]
        if any(each is not None and (each.tags or {}).get(CONFIDENCE) in _FALLBACK for each in made):
            left_out += 1
        else:
            chosen.append(place)
    return chosen[::-1], left_out


def good_batches(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, last: int) -> list[tuple[Batch, Any]]:
    """The newest `last` batches that may be served as last good, of the scope of the newest, and what they hold; oldest first.

    Those that do not stand any more as they were written are left out. Raises UsageError where one cannot be read.
    """
    found: list[tuple[Batch, Any]] = []
    with _storage(defs, instance, asset) as read:
        for batch in _newest_good(site_of(defs).gate(instance), asset, last):
            try:
                found.append((batch, read(dg.AssetKey.from_user_string(asset), batch.partition.key)))
            except Exception as error:  # whatever a user's IO manager raises
                raise UsageError(f"{asset} [{batch.partition}] could not be read: {type(error).__name__}: {error}") from error
    return found


def _newest_good(gate: Gate, asset: str, last: int) -> list[Batch]:
    """Oldest first. Whether a batch is intact is asked of the storage, so no more are asked about than are needed."""
    known = [batch for batch in gate.store.batches(asset=asset, statuses=(Status.PUBLISHED,)) if batch.last_good]
    known.sort(key=lambda batch: (batch.partition.end or batch.arrived_at, batch.sequence), reverse=True)
    chosen: list[Batch] = []
    for batch in known:
        if len(chosen) == last:
            break
        if all(batch.breaker_key == other.breaker_key for other in chosen[:1]) and gate.is_intact(batch):
            chosen.append(batch)
    return chosen[::-1]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One stored partition, and what the contract says of it. `outcome` "skipped": judged good before; "unreadable": no verdict."""

    partition: str
    outcome: str
    summary: str


def baseline(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, partitions: str | None, on_progress: Callable[[str], None]
) -> list[BaselineRow]:
    """Judge what is stored, so that adoption day has a last good. Moves no breaker; partitions judged good before are skipped.

    `partitions` is "A..B" (both included), one key, or None for everything that was materialized.
    """
    site = site_of(defs)
    terms = _terms(site, instance, asset)
    gate = site.gate(instance)
    rows: list[BaselineRow] = []
    with _storage(defs, instance, asset) as read:
        for place in _stored_partitions(defs, instance, asset, partitions):
            row = _baseline_row(gate, terms, place, read)
            on_progress(f"{asset} [{place}]: {row.outcome} {row.summary}".rstrip())
            rows.append(row)
    return rows


def _baseline_row(gate: Any, terms: Terms, place: Partition, read: Callable[[dg.AssetKey, str | None], Any]) -> BaselineRow:
    known = gate.store.batches(asset=terms.asset, partition=place.key, statuses=(Status.PUBLISHED,), limit=1)
    if known and known[0].contract_version == terms.version:
        return BaselineRow(str(place), "skipped", f"published already ({known[0].outcome})")
    try:
        value = read(dg.AssetKey.from_user_string(terms.asset), place.key)
    except Exception as error:  # noqa: BLE001 - whatever a user's IO manager raises: this partition has no verdict
        return BaselineRow(str(place), "unreadable", f"{type(error).__name__}: {error}")
    judgement = stored.baseline(gate, terms, Delivery(place, "baseline", "baseline"), value)
    return BaselineRow(str(place), str(judgement.verdict.outcome), summary_of(judgement.verdict))


def summary_of(verdict: Verdict) -> str:
    """The broken rules of a verdict in a line."""
    broken = [finding for finding in verdict.findings if finding.outcome is not Outcome.PASS]
    return "; ".join(f"{finding.rule}: {finding.observed}" for finding in broken[:3]) + (
        f" (+{len(broken) - 3} more)" if len(broken) > 3 else ""
    )


def _stored_partitions(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, wanted: str | None) -> list[Partition]:
    key = dg.AssetKey.from_user_string(asset)
    assets = _assets_def(defs, asset)
    definition = assets.specs_by_key[key].partitions_def
    if definition is None:
        if wanted is not None:
            raise UsageError(f"--partitions {wanted}: {asset} is not partitioned")
        return [UNPARTITIONED]
    known = definition.get_partition_keys(dynamic_partitions_store=instance)
    stored = instance.get_materialized_partitions(key) if assets.is_materializable else set(known)  # of what others make all may be there
    ordered = [each for each in known if each in stored]
    return [partition_of(each, definition) for each in _within(ordered, wanted, asset)]


def _within(ordered: list[str], wanted: str | None, asset: str) -> list[str]:
    if wanted is None:
        return ordered
    first, _, last = wanted.partition("..")
    last = last or first
    unknown = [each for each in (first, last) if each not in ordered]
    if unknown:
        known = f"stored are {ordered[0]}..{ordered[-1]} ({len(ordered)})" if ordered else "nothing is stored"
        raise UsageError(f"--partitions {wanted}: {', '.join(unknown)} is not a stored partition of {asset}; {known}")
    chosen = ordered[ordered.index(first) : ordered.index(last) + 1]
    if not chosen:
        raise UsageError(f"--partitions {wanted}: {first} comes after {last}")
    return chosen


# --- batches -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReconciledRow:
    """A batch whose writer died, and what it was found to be."""

    asset: str
    partition: str
    batch: str
    status: str
    note: str


def reconcile(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[ReconciledRow]:
    """Settle batches that stayed `publishing`: what stands in the live place is measured, and is the batch, or is not."""
    site = site_of(defs)
    gate = site.gate(instance)
    rows: list[ReconciledRow] = []
    for batch in gate.store.batches(statuses=(Status.PUBLISHING,)):
        if batch.asset not in site.terms:
            continue
        try:
            with _storage(defs, instance, batch.asset) as read:
                value = _or_none(read, dg.AssetKey.from_user_string(batch.asset), batch.partition.key)
        except Exception as error:  # noqa: BLE001 - whatever a user's IO manager raises: cut off in the middle, or out of reach for now
            told = f"what stands there cannot be read ({type(error).__name__}: {shown(str(error))}); run its partition again, or try later"
            rows.append(ReconciledRow(batch.asset, str(batch.partition), batch.id, str(batch.status), told))
            continue
        settled = stored.settle_publishing(gate, _terms(site, instance, batch.asset), batch, value)
        rows.append(ReconciledRow(batch.asset, str(batch.partition), batch.id, str(settled.status), settled.note))
    return rows


def _or_none(read: Callable[[dg.AssetKey, str | None], Any], key: dg.AssetKey, partition: str | None) -> Any:
    try:
        return read(key, partition)
    except FileNotFoundError:
        return None


def rejudge(defs: dg.Definitions, instance: dg.DagsterInstance, batch_id: str, *, actor: str, reason: str) -> Judgement:
    """Judge a quarantined or held batch again, under the present contract. Who asked for it, and why, is noted on the batch."""
    site = site_of(defs)
    gate = site.gate(instance)
    batch = gate.store.batch(batch_id)
    if batch is None:
        raise UsageError(f"{batch_id} is not in the ledger")
    if batch.staged is None:
        raise MeasurementError(recovery.not_stored(batch))
    terms = _terms(site, instance, batch.asset)
    with _storage(defs, instance, batch.asset) as read:
        value = read(_place_of(batch), batch.partition.key)
    return stored.rejudge(gate, terms, batch, value, actor=actor, reason=reason)


@dataclass(frozen=True, slots=True)
class ProbedRow:
    """A breaker that was to be probed, and what came of it; not `probed`: why not."""

    breaker: str
    probed: bool
    told: str


def probe(defs: dg.Definitions, instance: dg.DagsterInstance, key: str | None, *, holder: str) -> list[ProbedRow]:
    """Probe a breaker, or (`key` None) every one that is due, in this process, from where its batches lie.

    Raises UsageError where no breaker of that key is known, or its asset is not governed here.
    """
    site = site_of(defs)
    gate = site.gate(instance)
    if key is not None:
        keys = [recovery.known_breaker(gate, key).key]
    else:
        keys = [due.breaker.key for due in recovery.due_probes(gate, site.in_force(instance))]
    return [_probed(defs, instance, each, holder) for each in keys]


def _probed(defs: dg.Definitions, instance: dg.DagsterInstance, key: str, holder: str) -> ProbedRow:
    asset, site = asset_of(key), site_of(defs)
    terms = _terms(site, instance, asset)
    with _storage(defs, instance, asset) as read:

        def of(batch: Batch) -> Any:
            return read(_place_of(batch), batch.partition.key)

        came = stored.probe(site.gate(instance), terms, key, holder=holder, read=of)
    if isinstance(came, Refused):
        return ProbedRow(key, False, came.reason)
    return ProbedRow(key, True, f"{came.batch.id}: {came.verdict.outcome}; the breaker is {came.breaker.state}")


def _place_of(batch: Batch) -> dg.AssetKey:
    """Where the data of a batch lies that was set aside."""
    assert batch.staged is not None
    return dg.AssetKey.from_user_string(batch.asset) if batch.staged == IN_PLACE else staging_key(batch.asset, batch.staged)


@dataclass(frozen=True, slots=True)
class HealedRow:
    """What waited and what became of it. An output that was made anew is ok, degraded, halted, or failed where its run was none of
    these; a held batch that was let through is published, or failed where its run has not done it."""

    asset: str
    partition: str
    was: str
    run: str
    result: str


def heal(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str | None, on_progress: Callable[[str], None]) -> list[HealedRow]:
    """Publish held batches that passed and whose breaker is closed, then make degraded and halted outputs anew whose inputs are fresh
    now: each once, in this process; those that become due by it too.

    A person says so: outputs are made anew where the policy says `heal: ask` as well. `asset` None: all that are defined here.
    """
    site = site_of(defs)
    gate = site.gate(instance)
    here = {key.to_user_string() for item in iterate_assets(defs.assets) if item.is_executable for key in item.keys}
    here |= set(site.sources)
    if asset is not None and asset not in here:
        listed = ", ".join(sorted(here)[:10])
        raise UsageError(f'no asset "{asset}" is known here{did_you_mean(asset, here) or ";"} assets: {listed}')
    wanted = [asset] if asset is not None else sorted(here)
    rows: dict[str, HealedRow] = {}
    while due := _due(site, gate, wanted, rows):
        for each in due:
            row = _healed(defs, instance, gate, each) if isinstance(each, Output) else _let_through(defs, instance, gate, each)
            rows[each.id] = row
            on_progress(f"{row.asset} [{row.partition}]: {row.was} -> {row.result}")
    return list(rows.values())


def _due(site: Site, gate: Gate, assets: Sequence[str], done: Mapping[str, HealedRow]) -> list[Batch] | list[Output]:
    """Batches first: what is made of them is due once they are published."""
    if batches := [each.batch for each in recovery.due_releases(gate, assets) if each.batch.id not in done]:
        return batches
    due = recovery.first_due(recovery.due_healings(gate, assets), site.ancestors)
    return [each.output for each in due if each.output.id not in done]


def _let_through(defs: dg.Definitions, instance: dg.DagsterInstance, gate: Gate, batch: Batch) -> HealedRow:
    try:
        run = run_release(defs, instance, batch)
    except UsageError as error:
        return HealedRow(batch.asset, str(batch.partition), str(batch.status), str(error), "failed")
    now = gate.store.batch(batch.id)
    return HealedRow(batch.asset, str(batch.partition), str(batch.status), run, str(now.status) if now is not None else "failed")


def _healed(defs: dg.Definitions, instance: dg.DagsterInstance, gate: Any, output: Output) -> HealedRow:
    key = dg.AssetKey.from_user_string(output.asset)
    job = rebuilding.job_of(defs, {*made_together(defs.assets).get(key, [key])})
    tags = {"contracts/heal": output.id}
    ran = _run_quietly(job, defs, instance, output.partition.key, tags)
    present = gate.store.output(output.asset, output.partition.key)
    result = str(present.status) if present is not None and present.run_id == ran.run_id else "failed"
    return HealedRow(output.asset, str(output.partition), str(output.status), str(ran.run_id), result if ran.success else "failed")


OUTSIDE_RUNS = "none"  # for a run id: nothing had to be written


@dataclass(frozen=True, slots=True)
class ObservedRow:
    """A source that was looked at in a run of its own, and what was found: the outcome of what stands there now, or that it failed."""

    asset: str
    run: str
    result: str


def observe(defs: dg.Definitions, instance: dg.DagsterInstance, asset: str | None, partition: str | None) -> list[ObservedRow]:
    """Judge what stands in the governed assets that are not made here (`asset` None: in all of them), each in a run in this process.

    `partition` None: an observable source observes itself; of other time windows the newest that is over is looked at, else all partitions.
    Raises UsageError where no such asset is governed here.
    """
    site = site_of(defs)
    if asset is not None and asset not in site.sources:
        known = sorted(site.sources)
        listed = ", ".join(known[:10]) or "none"
        raise UsageError(f'"{asset}" is no source with a contract here{did_you_mean(asset, known) or ";"} sources: {listed}')
    if asset is None and partition is not None:
        raise UsageError("a partition is that of one asset: name the asset too")
    return [_looked_at(defs, instance, site, each, partition) for each in ([asset] if asset is not None else sorted(site.sources))]


def _looked_at(defs: dg.Definitions, instance: dg.DagsterInstance, site: Site, asset: str, partition: str | None) -> ObservedRow:
    key = dg.AssetKey.from_user_string(asset)
    observes = [item for item in iterate_assets(defs.assets) if key in item.keys and item.is_observable]
    checked = {check for item in iterate_assets(defs.assets) for check in item.check_keys if check.asset_key == key}
    if observes and partition is None:
        job = rebuilding.job_of(defs, set(observes[0].keys) if not observes[0].can_subset else {key})
    else:
        job = rebuilding.job_of(defs, set(), {check for check in checked if is_ours(check, site.terms)})
    tags = {} if partition is None else {instances.PARTITION: partition}
    ran = _run_quietly(job, defs, instance, None, tags)
    newest = next(iter(site.gate(instance).store.batches(asset=asset, partition=partition, limit=1)), None)
    found = "nothing is there" if newest is None else f"[{newest.partition}] {newest.outcome}, {newest.status}"
    return ObservedRow(asset, str(ran.run_id), found if ran.success else "failed")


def run_release(defs: dg.Definitions, instance: dg.DagsterInstance, batch: Batch) -> str:
    """Publish a released batch in a run of its own, in this process. Returns the id of the run that published it, which is another where
    the sensor was faster; raises UsageError where the run failed."""
    key = dg.AssetKey.from_user_string(batch.asset)
    site = site_of(defs)
    gate = site.gate(instance)
    if batch.asset in site.sources:
        released(gate, batch, OUTSIDE_RUNS)
        return OUTSIDE_RUNS
    job = rebuilding.job_of(defs, {key})
    result = _run_quietly(job, defs, instance, batch.partition.key, {RELEASE: batch.id})
    if not result.success:
        raise UsageError(f"the release run {result.run_id} failed; see it in Dagster")
    now = gate.store.batch(batch.id)
    return str(result.run_id) if now is None else now.run_id


_ERRORS = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def _run_quietly(
    job: dg.JobDefinition, defs: dg.Definitions, instance: dg.DagsterInstance, partition: str | None, tags: Mapping[str, str]
) -> dg.ExecuteInProcessResult:
    """A run in this process, of which the console is told errors alone. Where a project has loggers of its own, those say what they say."""
    config = {} if defs.loggers else _ERRORS
    return job.execute_in_process(instance=instance, partition_key=partition, tags=tags, raise_on_error=False, run_config=config)
