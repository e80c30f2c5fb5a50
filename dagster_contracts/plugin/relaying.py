"""The sensor contracts_relay: a tick of a relay. The log is always told; other sinks are given to `with_contracts`.

That an asset's breaker check shows the present state is a sink too: one of each code location, since each reports the assets it defines.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from dagster_contracts import telemetry
from dagster_contracts.core.events import Event
from dagster_contracts.core.state import Breaker, asset_of
from dagster_contracts.plugin import checks
from dagster_contracts.plugin.site import Site
from dagster_contracts.ports import EventSink, StoreSink
from dagster_contracts.relay import Outage, Relay
from dagster_contracts.sinks.log import LogSink

RELAY = "contracts_relay"
LOG = LogSink()


def relay_sensor(site: Site, sinks: Sequence[EventSink | StoreSink]) -> dg.SensorDefinition:
    outages: dict[str, Outage] = {}  # of this process; a tick has an instance of its own, and so a relay

    @dg.sensor(
        name=RELAY,
        description="Delivers breaker events, and shows the state of each breaker on its asset.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def contracts_relay(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        shown = BreakerChecks(site, context.instance, origin.location_name if origin is not None else "")
        store = site.gate(context.instance).store
        telemetry.observe_breakers(store)
        told = [sink.beside(store, site.readers()) if isinstance(sink, StoreSink) else sink for sink in sinks]
        relay = Relay(store, [LOG, shown, *told], outages=outages)
        news = [done for done in relay.tick() if done.events or done.failure is not None]
        return dg.SkipReason("; ".join(map(str, news)) or "no event is waiting")

    return contracts_relay


class BreakerChecks:
    """Shows the present state of changed breakers on their assets, without a run."""

    def __init__(self, site: Site, instance: dg.DagsterInstance, location: str):
        self.name = f"asset checks of {location}" if location else "asset checks"
        self._site, self._instance = site, instance

    def deliver(self, events: Sequence[Event]) -> None:
        changed = {event.key for event in events if event.type.startswith("breaker.") and asset_of(event.key) in self._site.terms}
        if not changed:
            return
        store = self._site.gate(self._instance).store
        now = store.now()
        by_asset: dict[str, list[Breaker]] = {}
        for breaker in store.breakers(sorted(changed)):
            by_asset.setdefault(asset_of(breaker.key), []).append(breaker)
        for asset, breakers in by_asset.items():
            checks.report_breakers(self._instance, asset, checks.standing(store, self._site.terms[asset], breakers), now)
