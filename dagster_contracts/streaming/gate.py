"""`StreamGate`: contracts, a store and an engine, put together without Dagster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_contracts.core.breaker import enforced_open, probe_due
from dagster_contracts.core.contract import Contract, attach
from dagster_contracts.core.durations import parse_duration
from dagster_contracts.core.errors import StoreUnavailable, UsageError, did_you_mean
from dagster_contracts.core.ledger import Partition, Status, batch_id
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.verdict import Finding, Unmeasured
from dagster_contracts.core.windows import STREAM, WINDOW, Part, incomplete, split, window_ending, window_of
from dagster_contracts.core.wording import counted
from dagster_contracts.gate import Gate
from dagster_contracts.governing import TermsInForce
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.ports import MetricEngine, Store
from dagster_contracts.store.in_force import DEFAULT_SECONDS, InForce
from dagster_contracts.streaming.answers import Action, StreamVerdict, answer, when_open
from dagster_contracts.streaming.merging import MergingEngine

if TYPE_CHECKING:
    from dagster_contracts.registry import Registry

logger = logging.getLogger("dagster_contracts.streaming")
_ANSWERS = (Action.HOLD, Action.DIVERT, Action.HALT)
_LONGEST_NAME = 1000
Dimensions = Mapping[str, str]
_NONE: Dimensions = {}


@dataclass(frozen=True, slots=True)
class MicroFrame:
    """A micro-batch as `StreamGate.judge` takes it."""

    name: str
    frame: object
    findings: tuple[Finding, ...] = ()


class StreamGate:
    """Judges micro-batches. What must outlive the process is in the store, unless that is out of reach. May be shared by threads.

    `contracts` is a folder, a file, or several of them, or parsed contracts. Each schema object governs the asset that its customProperty
    `dagsterAsset` names, else the one of `assets` whose last key part is its name; without `assets` an object's name is its asset.
    `store` is a url (`postgresql://...`, migrated by `dagster-contracts db upgrade`, or `sqlite:///...`) or a Store.

    `window` (a timedelta, or text such as PT5M): rules that speak of many rows are judged of all micro-batches of a time window together,
    once it is over; without it, every rule is judged of each micro-batch. All that judge one asset must use the same.
    `when_open`: "hold", "divert" or "halt" while the breaker is open; without it, what the contract says of `consumer`: see answers.py.

    `environment` is which of the contracts' `environments` this is.

    `registry` is a url or a Registry: what is judged is judged by the version that is in force there then, asked once in `ttl_seconds` for
    each contract; while the registry is out of reach by the last known, and by `contracts` where none was ever in force. Without it,
    `contracts` count. Nothing is asked before the first micro-batch.

    Raises ContractError where a contract is wrong or matches no asset, StoreError where the url is malformed, UsageError or ValueError for
    other arguments.
    """

    def __init__(
        self,
        contracts: str | Path | Contract | Sequence[str | Path | Contract],
        store: str | Store,
        *,
        assets: Iterable[str] | None = None,
        window: timedelta | str | None = None,
        when_open: str | None = None,
        consumer: str | None = None,
        engine: MetricEngine | None = None,
        environment: str | None = None,
        registry: Registry | str | None = None,
        ttl_seconds: float = DEFAULT_SECONDS,
    ):
        loaded = _loaded(contracts)
        known = list(assets) if assets is not None else [obj.asset or obj.name for contract in loaded for obj in contract.objects]
        if when_open is not None and when_open not in _ANSWERS:
            raise UsageError(f'when_open is "{when_open}", expected one of {", ".join(_ANSWERS)}{did_you_mean(when_open, _ANSWERS)}')
        self.window = parse_duration(window) if isinstance(window, str) else window
        if self.window is not None and self.window <= timedelta(0):
            raise UsageError(f"the window is {window}, expected a duration above zero such as PT5M")
        self.store = _opened(store)
        self._when_open = when_open
        self._consumer = consumer
        self._gate = Gate(self.store, engine or _default_engine())
        self._windows = Gate(self.store, MergingEngine())
        self._terms = {key: Terms.of(each, environment) for key, each in attach(loaded, known).items()}
        self._in_force = None if registry is None else _in_force(registry, ttl_seconds, self._terms, environment)
        self._parted: dict[str, _Parted] = {}
        self._told: dict[str, str] = {}
        self._unrecorded: set[str] = set()  # breakers of whose open windows we let something in that no store could record
        self._marking = threading.Lock()

    def terms(self, asset: str) -> Terms:
        """What the contract says of each micro-batch of an asset: now, where there is a registry.

        Raises UsageError where none governs it, StoreError for what is wrong with the registry and trying again does not mend.
        """
        return self._parts(asset).early

    def _parts(self, asset: str) -> _Parted:
        if (whole := self._terms.get(asset)) is None:
            near = did_you_mean(asset, self._terms)
            raise UsageError(f'no contract governs "{asset}"{near or ";"} governed are: {", ".join(sorted(self._terms))}')
        if self._in_force is not None:
            whole = self._in_force.of([asset], partial(self._tell, asset))[asset]
        found = self._parted.get(asset)
        if found is None or found.whole is not whole:
            found = self._parted[asset] = _Parted.of(whole, self.window)
        return found

    def _tell(self, asset: str, why: str) -> None:
        """Once, and not with each micro-batch."""
        if self._told.get(asset) != why:
            self._told[asset] = why
            logger.warning("%s", why)

    # --- micro-batches ---------------------------------------------------------------------------------------------

    def judge(
        self,
        frame: object,
        *,
        asset: str,
        batch: str,
        dimensions: Dimensions = _NONE,
        findings: tuple[Finding, ...] = (),
        divisible: bool = True,
        unless: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> StreamVerdict:
        """Judge one micro-batch, record the verdict, and say what to do with the data.

        `frame` is a pandas, Polars or Arrow frame. `batch` is the stable name of the micro-batch: redelivered under its name it is the same
        one, judged again and counted once. `dimensions` choose the breaker where the contract scopes it. `findings` are what the caller
        found out already; `divisible`: the caller can forward a part of the frame; `unless` raises where nothing may be recorded.

        After a `forward` verdict and once the data has gone on, call `confirm`. Raises StoreUnavailable where the verdict cannot be
        recorded (unless the contract says onStoreUnavailable: admit).
        """
        if not _is_name(batch):
            raise UsageError(
                f"the name of the micro-batch is {batch!r:.80}, expected a text of 1 to {_LONGEST_NAME} characters without NUL and lone "
                "surrogates that is the same when it is delivered again, such as its topic, partition and offsets"
            )
        terms = self.terms(asset)
        place = Partition(batch, dimensions=tuple(sorted(dimensions.items())))
        if self.window is not None:
            self._close_before(asset, dimensions)
        delivery = Delivery(place, batch, batch, data_version=STREAM, findings=findings, window=self.window)
        judgement = self._gate.judge(terms, delivery, frame, divisible=divisible, unless=unless)
        self._remember(judgement)
        return answer(judgement, frame, self.when_open(asset), terms.plan.elsewhere)

    def judge_new(
        self, given: Sequence[MicroFrame], *, asset: str, unless: Callable[[Snapshot], None], terms: Terms | None = None
    ) -> list[StreamVerdict]:
        """Judge micro-batches in their order, and record their verdicts in one transaction: for a caller that knows, and makes `unless`
        raise where it is not so, that none but the first was ever judged. `terms` are those that the frames were made for.

        It ends with the one after which the breaker is open, or that is held: what comes after it is not judged yet, and has no verdict.
        At least one has. Everything else is as in `judge`.
        """
        terms = terms or self.terms(asset)
        if terms.plan.promised:
            given = given[:1]  # its rules ask when the one before came, which the ledger tells once it is recorded
        if self.window is not None:
            self._close_before(asset, _NONE)
        named = [
            Delivery(Partition(each.name), each.name, each.name, data_version=STREAM, findings=each.findings, window=self.window)
            for each in given
        ]
        deliveries = [(delivery, each.frame) for delivery, each in zip(named, given, strict=True)]
        judged = self._gate.judge_several(terms, deliveries, unless=unless)
        self._remember(*judged)
        opened = self.when_open(asset)
        return [answer(judgement, each.frame, opened, terms.plan.elsewhere) for judgement, each in zip(judged, given, strict=False)]

    def _close_before(self, asset: str, dimensions: Dimensions) -> None:
        try:
            self.close_windows(asset, dimensions)
        except StoreUnavailable as error:  # the verdict meets the same store, and knows what the contract says of that
            logger.warning("%s: windows that are over are judged later: %s", asset, error)

    def confirm(self, *verdicts: StreamVerdict) -> tuple[str, ...]:
        """The data of these has gone on. One transaction; those whose verdict is not `forward` are left as they are.

        Returns the ids of those that went on and are not published for all that, and warns of them: they were judged again and refused
        meanwhile, dismissed by a person, or let in while no store could record it.

        Raises StoreUnavailable where the store is out of reach and the contract of one of them says onStoreUnavailable: halt. Confirm them
        again later, or have them delivered again: neither counts twice.
        """
        gone = [each for each in verdicts if each.action is Action.FORWARD]
        recorded = [each for each in gone if each.judgement.recorded]
        try:
            published = self._published([each.batch_id for each in recorded])
        except StoreUnavailable:
            if not all(each.judgement.breaker.policy.admit_when_unavailable for each in recorded):
                raise
            published = set()
        return _left([each.batch_id for each in gone], published)

    def confirm_names(self, asset: str, names: Sequence[str]) -> tuple[str, ...]:
        """As `confirm`, of micro-batches that an earlier process judged and was killed before it could say so."""
        gone = [batch_id(asset, Partition(name), "", STREAM) for name in names]
        return _left(gone, self._published(gone))

    def _published(self, gone: Sequence[str]) -> set[str]:
        return set(self.store.confirm(gone)) if gone else set()

    def with_engine(self, around: Callable[[MetricEngine], MetricEngine]) -> StreamGate:
        """The same gate, with another engine around its own."""
        made = copy(self)
        made._gate = Gate(self.store, around(self._gate.engine))
        return made

    def when_open(self, asset: str) -> Action:
        """What an open breaker means for the stream of an asset: hold, divert or halt. Raises UsageError where no contract governs it."""
        return Action(self._when_open) if self._when_open is not None else when_open(self.terms(asset).policy, self._consumer)

    def may_pass(self, asset: str, dimensions: Dimensions = _NONE) -> bool:
        """Whether judging a held micro-batch again can help: the breaker is not open any more, or a probe is due."""
        terms = self.terms(asset)
        key = terms.breaker_key(Partition(dimensions=tuple(sorted(dimensions.items()))))
        found = next(iter(self.store.breakers([key])), None)
        if found is None or found.contract_version != terms.version:
            return True
        now = self.store.now()
        return not enforced_open(found, now) or probe_due(found, now)

    # --- windows ---------------------------------------------------------------------------------------------------

    def close_windows(self, asset: str, dimensions: Dimensions = _NONE) -> list[Judgement]:
        """Judge the time windows that are over. `judge` does so before each micro-batch; call it where a stream may fall silent.

        A window in which nothing arrived has no verdict: that deliveries do not come is for the service level `frequency` to tell.
        """
        if self.window is None:
            return []
        terms = self._parts(asset).late
        fixed = tuple(sorted(dimensions.items()))
        key = terms.breaker_key(Partition(dimensions=fixed))
        self._mark(key, terms.version)
        due = [ends_at for ends_at, _ in groupby(self.store.parts(key), key=lambda part: part.ends_at)]
        closed = (self._close(terms, fixed, key, ends_at) for ends_at in due)
        return [judgement for judgement in closed if judgement is not None]

    def _close(self, terms: Terms, dimensions: tuple[tuple[str, str], ...], key: str, ends_at: datetime) -> Judgement | None:
        assert self.window is not None
        place = window_ending(ends_at, self.window, dimensions)
        delivery = Delivery(place, WINDOW, WINDOW, data_version=STREAM)
        while (found := self._collected(key, ends_at)) is not None:
            try:
                judgement = self._windows.judge(terms, delivery, found, divisible=False, unless=self._unless_more(key, ends_at, found))
            except _OneMore:
                self._mark(key, terms.version)
                continue
            self._settle(judgement)
            self.store.drop_parts(key, ends_at)
            return judgement
        return None  # another process was first

    def _remember(self, *judgements: Judgement) -> None:
        if self.window is not None:
            self._unrecorded.update(each.batch.breaker_key for each in judgements if not each.recorded)

    def _mark(self, key: str, version: str) -> None:
        """Say of the windows that are not judged yet that they are incomplete, where we let something in unrecorded.

        Of all of them: without the store there was no time to tell in which it came. Raises StoreUnavailable, and it is said later.
        """
        assert self.window is not None
        with self._marking:
            if key not in self._unrecorded:
                return
            current = window_of(self.store.now(), self.window).end
            assert current is not None
            ends = {part.ends_at for part in self.store.parts(key, current)} | {current}
            self._unrecorded.discard(key)
            try:
                self.store.save(Change(parts=tuple(incomplete(key, each, version) for each in sorted(ends))))
            except BaseException:
                self._unrecorded.add(key)
                raise

    def _collected(self, key: str, ends_at: datetime) -> list[Part] | Unmeasured | None:
        """The parts of a window, if there are any, and if the breaker let everything in while it lasted."""
        assert self.window is not None
        parts = [part for part in self.store.parts(key, ends_at) if part.ends_at == ends_at]
        since = next((breaker.since for breaker in self.store.breakers([key])), None)
        if parts and since is not None and ends_at - self.window < since < ends_at:
            return Unmeasured(f"the breaker changed within the window, at {since:%Y-%m-%d %H:%M:%SZ}: not all that arrived was let in")
        return parts or None

    def _unless_more(self, key: str, ends_at: datetime, found: list[Part] | Unmeasured) -> Callable[[Snapshot], None]:
        """A micro-batch of the window may be recorded while it is merged. Asked after the breaker was read: what comes later loses."""

        def check(snapshot: Snapshot) -> None:
            if key in self._unrecorded or self._collected(key, ends_at) != found:
                raise _OneMore

        return check

    def _settle(self, judgement: Judgement) -> None:
        """Its rows have gone on already, or were held one by one: there is nothing to publish or to release as a whole."""
        if judgement.publish:
            self._windows.published(judgement.batch, None)
        elif judgement.batch.status is Status.HELD:
            note = "a time window: its micro-batches were held one by one"
            self._windows.update(judgement.batch, lambda row, now: replace(row, status=Status.DISCARDED, note=note, updated_at=now))


@dataclass(frozen=True, slots=True)
class _Parted:
    """What a contract says of each micro-batch, and of a time window. Without windows, all of it is judged of each micro-batch."""

    whole: Terms
    early: Terms
    late: Terms

    @classmethod
    def of(cls, whole: Terms, window: timedelta | None) -> _Parted:
        if window is None:
            return cls(whole, whole, whole)
        early, late = split(whole.plan, window)
        return cls(whole, replace(whole, plan=early), replace(whole, plan=late))


class _OneMore(Exception):
    """Something of a window changed while it was being judged."""


def _is_name(batch: object) -> bool:
    """Spark counts epochs: a number is none."""
    texts = isinstance(batch, str) and 1 <= len(batch) <= _LONGEST_NAME
    return texts and not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in str(batch))


def _left(gone: Sequence[str], published: set[str]) -> tuple[str, ...]:
    """Those that went on, and that the ledger does not have as published."""
    if left := tuple(each for each in gone if each not in published):
        shown = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        them = "it" if len(left) == 1 else "them"
        many = counted(len(left), "micro-batch", "es")
        logger.warning("%s went on and the ledger does not hold %s as let in: %s", many, them, shown)
    return left


def _loaded(contracts: str | Path | Contract | Sequence[str | Path | Contract]) -> list[Contract]:
    from dagster_contracts.store.files import load_contracts

    given = [contracts] if isinstance(contracts, str | Path | Contract) else list(contracts)
    paths = [item for item in given if not isinstance(item, Contract)]
    return [item for item in given if isinstance(item, Contract)] + (load_contracts(*paths) if paths else [])


def _in_force(registry: Registry | str, seconds: float, loaded: Mapping[str, Terms], environment: str | None) -> TermsInForce:
    from dagster_contracts.registry import Registry

    asked = Registry(registry) if isinstance(registry, str) else registry
    return TermsInForce(InForce(asked.contracts, seconds), loaded, environment)


def _opened(store: str | Store) -> Store:
    if not isinstance(store, str):
        return store
    from dagster_contracts.store.sql import SqlStore

    return SqlStore(store)


def _default_engine() -> MetricEngine:
    from dagster_contracts.engines.local import default_engine

    return default_engine()
