"""What OpenTelemetry is told: a span and a duration of each thing the gate does, and counts of what came of it.

Nothing is recorded, and the API is not even loaded, until something in the process has imported it: whoever sets a provider has. Until
then a call costs one look into `sys.modules`.

Attributes are bounded: assets, contracts and words of ours. Never a partition, a batch, a value or a message.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

from dagster_contracts.core.errors import DagsterContractsError, StoreError
from dagster_contracts.core.ledger import Batch, Route
from dagster_contracts.core.state import State, Transition, asset_of
from dagster_contracts.ports import BreakerStore

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import Span

P = ParamSpec("P")
R = TypeVar("R")

SCOPE = "dagster_contracts"  # of instruments, spans and attributes
Attributes = Mapping[str, str | int | bool]


_MUTED: ContextVar[bool] = ContextVar("dagster_contracts_muted", default=False)


def is_active() -> bool:
    """Whether anything can be listening."""
    return ("opentelemetry.metrics" in sys.modules or "opentelemetry.trace" in sys.modules) and not _MUTED.get()


@contextmanager
def muted() -> Iterator[None]:
    """Nothing that is done within is told: it is a drill, and whoever watches would take it for the real thing."""
    token = _MUTED.set(True)
    try:
        yield
    finally:
        _MUTED.reset(token)


# --- what the gate does --------------------------------------------------------------------------------------------


def _nothing(_: object) -> Attributes:
    return {}


@dataclass(frozen=True, slots=True)
class observed:  # a decorator
    """A method in a span `dagster_contracts.<operation>`, its duration measured. `asset` is given its arguments, `told` what it returns
    and counts it; the attributes that come back are the span's."""

    operation: str
    asset: Callable[..., str]
    told: Callable[[Any], Attributes] = _nothing

    def __call__(self, method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            if not is_active():
                return method(*args, **kwargs)
            with _timed(self.operation, self.asset(*args, **kwargs)) as span:
                result = method(*args, **kwargs)
                span.set_attributes(_named(self.told(result)))
                return result

        return inside


@contextmanager
def _timed(operation: str, asset: str) -> Iterator[Span]:
    attributes = {"asset": asset, "operation": operation}
    begun = perf_counter()
    with _span(f"{SCOPE}.{operation}", {"asset": asset}) as span:
        try:
            yield span
        except Exception as error:
            _fail(span, error)
            _instruments().duration.record(perf_counter() - begun, {**_named(attributes), "error.type": type(error).__name__})
            raise
    _instruments().duration.record(perf_counter() - begun, _named(attributes))


def _span(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Messages of errors may quote data: they are not put into spans."""
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # nobody has set one: a span would cost 9 µs and go nowhere
        return nullcontext(trace.INVALID_SPAN)
    tracer = trace.get_tracer(SCOPE)
    return tracer.start_as_current_span(name, attributes=_named(attributes), record_exception=False, set_status_on_exception=False)


def _fail(span: Span, error: Exception) -> None:
    """What belongs to us has a name that tells; of other errors too, nothing but the type is told."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR, "" if isinstance(error, DagsterContractsError) else "unexpected")


# --- what came of it -----------------------------------------------------------------------------------------------


def of_verdict(batch: Batch) -> Attributes:
    """A batch has been judged, and its verdict recorded."""
    told = {"asset": batch.asset, "contract": batch.contract_id, "outcome": str(batch.outcome), "status": str(batch.status)}
    _instruments().verdicts.add(1, _named(told))
    return {**told, "contract_version": batch.contract_version, "run_id": batch.run_id}


def of_probe(batch: Batch, result: str) -> Attributes:
    """A stored batch has been probed."""
    told = {"asset": batch.asset, "contract": batch.contract_id, "result": result}
    _instruments().probes.add(1, _named(told))
    return told


def of_route(consumer: str, route: Route) -> None:
    """It has been decided what a consumer reads. A decision that is recalled later in its step counts once."""
    if not is_active():
        return
    told = {"asset": route.upstream, "consumer": consumer, "route": str(route.kind)}
    _instruments().routes.add(1, _named(told))
    if route.served is not None and route.served.end is not None and route.requested.end is not None:
        _instruments().staleness.record((route.requested.end - route.served.end).total_seconds(), _named(told))


def of_transitions(asset: str, transitions: Iterable[Transition]) -> None:
    """Transitions have been recorded; those from a state to itself (overrides, contract versions) are none."""
    for each in transitions if is_active() else ():
        if each.from_state is not each.to_state:
            told: Attributes = {"asset": asset, "from": str(each.from_state), "to": str(each.to_state), "shadow": each.shadow}
            _instruments().transitions.add(1, _named(told))


def of_lost_race(asset: str) -> None:
    """A decision was made anew, because somebody else changed the breaker first."""
    if is_active():
        _instruments().lost_races.add(1, _named({"asset": asset}))


def of_store_error(error: StoreError) -> None:
    """The breaker store could not do what was asked."""
    if is_active():
        _instruments().store_errors.add(1, {"error.type": type(error).__name__})


def of_lookup(contract: str, result: str) -> None:
    """A contract in force was looked up: hit (known already), miss (the registry was asked), stale (it is out of reach)."""
    if is_active():
        _instruments().lookups.add(1, _named({"contract": contract, "result": result}))


# --- what is ---------------------------------------------------------------------------------------------------------


def observe_breakers(store: BreakerStore) -> None:
    """Report the state of all breakers whenever metrics are collected: the gauge `dagster_contracts.breaker.state`.

    Each collection reads the store, so that it is for one long-lived process. Does nothing where nobody can be listening; calling it
    again for the same store changes nothing.
    """
    if is_active():
        _observed().add(store)


@cache
def _observed() -> WeakSet[BreakerStore]:
    from opentelemetry import metrics

    stores: WeakSet[BreakerStore] = WeakSet()

    def states(_: CallbackOptions) -> Iterable[Observation]:
        breakers = [breaker for store in list(stores) for breaker in store.breakers()]
        counted: dict[tuple[str, State], int] = {(asset_of(each.key), state): 0 for each in breakers for state in State}
        for each in breakers:
            counted[asset_of(each.key), each.state] += 1
        return [metrics.Observation(count, _named({"asset": asset, "state": str(state)})) for (asset, state), count in counted.items()]

    metrics.get_meter(SCOPE).create_observable_gauge(
        f"{SCOPE}.breaker.state", [states], "{breaker}", "Breakers of an asset in a state: 1 or 0, unless there is one per `scope`."
    )
    return stores


# --- instruments -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Instruments:
    duration: Histogram
    staleness: Histogram
    verdicts: Counter
    probes: Counter
    routes: Counter
    transitions: Counter
    lost_races: Counter
    lookups: Counter
    store_errors: Counter


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300)
_STALENESS = tuple(hours * 3600 for hours in (0, 1, 3, 6, 12, 24, 48, 72, 24 * 7, 24 * 14, 24 * 30))


@cache
def _instruments() -> _Instruments:
    """Made once: the API connects them to a provider that is set later."""
    from opentelemetry import metrics

    meter = metrics.get_meter(SCOPE)

    def histogram(name: str, description: str, bounds: tuple[float, ...]) -> Histogram:
        return meter.create_histogram(f"{SCOPE}.{name}", "s", description, explicit_bucket_boundaries_advisory=bounds)

    def counter(name: str, unit: str, description: str) -> Counter:
        return meter.create_counter(f"{SCOPE}.{name}", unit, description)

    return _Instruments(
        duration=histogram("gate.duration", "What the gate takes for one operation.", _SECONDS),
        staleness=histogram("served.staleness", "End of the asked window minus end of the served one.", _STALENESS),
        verdicts=counter("batch.verdicts", "{batch}", "Batches judged."),
        probes=counter("breaker.probes", "{probe}", "Stored batches probed."),
        routes=counter("routes", "{route}", "Routes given to consumers."),
        transitions=counter("breaker.transitions", "{transition}", "Changes of a breaker's state."),
        lost_races=counter("store.lost_races", "{race}", "Decisions made anew because another process was first."),
        lookups=counter("registry.lookups", "{lookup}", "Contracts in force that were looked up."),
        store_errors=counter("store.errors", "{error}", "What the breaker store could not do."),
    )


def _named(attributes: Attributes) -> dict[str, str | int | bool]:
    return {f"{SCOPE}.{name}": value for name, value in attributes.items()}
