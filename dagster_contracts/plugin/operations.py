"""What the command line asks of Dagster: judge what is stored, settle what was cut off, judge again, publish a released batch."""

from __future__ import annotations

import importlib
import importlib.util
import logging
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
from dagster_contracts.core.errors import MeasurementError, UsageError, did_you_mean
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import FALLEN, IN_PLACE, Batch, Output, Partition, Status
from dagster_contracts.core.state import asset_of
from dagster_contracts.core.verdict import Outcome, Verdict
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.plugin.assets import iterate_assets, made_together
from dagster_contracts.plugin.checks import is_ours
from dagster_contracts.plugin.private import instances, rebuilding
from dagster_contracts.plugin.reading import Read, storage_of, stored_partitions
from dagster_contracts.plugin.routing import RELEASE, staging_key
from dagster_contracts.plugin.site import RESOURCE, Site, site_of
from dagster_contracts.plugin.sources import released

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


def _terms(site: Site, instance: dg.DagsterInstance, asset: str) -> Terms:
    if asset not in site.terms:
        governed = sorted(site.terms)
        near = did_you_mean(asset, governed) or ";"
        raise UsageError(f'no contract governs "{asset}"{near} governed assets: {", ".join(governed) or "(none)"}')
    return site.in_force(instance, [asset])[asset]


# --- adoption day ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One stored partition, and what the contract says of it. `outcome` "skipped": judged good before; "unreadable": no verdict."""

    partition: str
    outcome: str
    summary: str


@contextmanager
def _without_debug_lines() -> Iterator[None]:
    """For a command: what is read by `load_asset_value` is told by Dagster's default log, in a line or two for each file."""
    before = logging.root.manager.disable
    logging.disable(logging.DEBUG)
    try:
        yield
    finally:
        logging.disable(before)


@_without_debug_lines()
def baseline(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, partitions: str | None, on_progress: Callable[[str], None]
) -> list[BaselineRow]:
    """Judge what is stored, so that adoption day has a last good. Moves no breaker; partitions judged good before are skipped,
    but for those that were changed since they were written.

    `partitions` is "A..B" (both included), one key, or None for everything that was materialized.
    """
    site = site_of(defs)
    terms = _terms(site, instance, asset)
    rows: list[BaselineRow] = []
    with storage_of(defs, instance, asset) as read:
        gate = site.gate(instance, read.version_at)
        for place in stored_partitions(defs, instance, asset, partitions):
            row = _baseline_row(gate, terms, place, read)
            on_progress(f"{asset} [{place}]: {row.outcome} {row.summary}".rstrip())
            rows.append(row)
    return rows


def _baseline_row(gate: Any, terms: Terms, place: Partition, read: Read) -> BaselineRow:
    known = gate.store.batches(asset=terms.asset, partition=place.key, statuses=(Status.PUBLISHED,), limit=1)
    if known and known[0].contract_version == terms.version and gate.is_intact(known[0]):
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
            with storage_of(defs, instance, batch.asset) as read:
                value = _or_none(read, dg.AssetKey.from_user_string(batch.asset), batch.partition.key)
        except Exception as error:  # noqa: BLE001 - whatever a user's IO manager raises: cut off in the middle, or out of reach for now
            told = f"what stands there cannot be read ({type(error).__name__}: {shown(str(error))}); run its partition again, or try later"
            rows.append(ReconciledRow(batch.asset, str(batch.partition), batch.id, str(batch.status), told))
            continue
        settled = stored.settle_publishing(gate, _terms(site, instance, batch.asset), batch, value)
        rows.append(ReconciledRow(batch.asset, str(batch.partition), batch.id, str(settled.status), settled.note))
    return rows


def _or_none(read: Read, key: dg.AssetKey, partition: str | None) -> Any:
    try:
        return read(key, partition)
    except FileNotFoundError:
        return None


@_without_debug_lines()
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
    with storage_of(defs, instance, batch.asset) as read:
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
    with storage_of(defs, instance, asset) as read:

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
    here = site.parents.keys() | site.sources.keys()
    if asset is not None and asset not in here:
        listed = ", ".join(sorted(here)[:10])
        gone = gate.store.outputs(asset=asset, statuses=FALLEN, limit=1)
        way = f"; if it was renamed or removed: dagster-contracts dismiss {asset} --reason ..." if gone else ""
        raise UsageError(f'no asset "{asset}" is known here{did_you_mean(asset, here) or ";"} assets: {listed}{way}')
    wanted = [asset] if asset is not None else sorted(here)
    rows: dict[str, HealedRow] = {}
    while due := _due(site, gate, wanted, rows):
        for each in due:
            row = _healed(defs, instance, gate, each) if isinstance(each, Output) else _let_through(defs, instance, gate, each)
            rows[each.id] = row
            on_progress(f"{row.asset} [{row.partition}]: {row.was} -> {row.result}")
    return list(rows.values())


def dismiss(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, partition: str | None, *, actor: str, reason: str
) -> list[Output]:
    """Drop what an asset that was renamed or removed has left on the list of degraded, halted and withdrawn outputs.

    Raises UsageError where it is made here, for its readers would take what stands there for fresh, or where it has none.
    """
    site = site_of(defs)
    if asset in site.parents:
        raise UsageError(
            f"{asset} is made here: its readers would take what stands there for fresh. Run it again, or: dagster-contracts heal"
        )
    return recovery.dismiss(site.gate(instance), asset, partition, actor=actor, reason=reason)


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
