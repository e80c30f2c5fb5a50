"""What governs each asset while a process runs: the contract in force in a registry, or what it was started with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dagster_contracts.core.contract import Attached
from dagster_contracts.judgement import Terms
from dagster_contracts.store.in_force import InForce


class TermsInForce:
    """What governs each asset at the time of asking. `loaded` is what the process was started with. May be shared by threads."""

    def __init__(self, known: InForce, loaded: Mapping[str, Terms], environment: str | None):
        self._known = known
        self._loaded = loaded
        self._environment = environment
        self._made: dict[tuple[str, str], Terms] = {}  # (asset, content of its contract)
        self._last: dict[str, Terms] = {}

    def of(self, assets: Iterable[str], tell: Callable[[str], None]) -> dict[str, Terms]:
        """The terms of those of `assets` that are governed; `tell` is told where they may not be what is in force."""
        return {asset: self._of(asset, self._loaded[asset], tell) for asset in assets if asset in self._loaded}

    def _of(self, asset: str, loaded: Terms, tell: Callable[[str], None]) -> Terms:
        contract = loaded.attached.contract
        last = self._last.get(asset, loaded)
        found = self._known.contract(contract.id)
        if found.unreachable:
            tell(f"{found.unreachable}; {asset} is judged by {contract.id} {last.version}, the last known")
        if found.registered is None:
            if not found.unreachable:
                tell(f"no version of contract {contract.id} is in force in the registry; {asset} is judged by {loaded.version}, as loaded")
            return last if found.unreachable else loaded
        present = found.registered.contract
        obj = next((each for each in present.objects if asset in (each.asset, each.name) or each.name == loaded.attached.object.name), None)
        if obj is None:
            tell(f"{present.id} {present.version}, in force, says nothing of {asset}; it is judged by {last.version}")
            return last
        key = (asset, present.content_hash)
        if key not in self._made:
            self._made[key] = Terms.of(Attached(asset, present, obj), self._environment)
        self._last[asset] = self._made[key]
        return self._made[key]
