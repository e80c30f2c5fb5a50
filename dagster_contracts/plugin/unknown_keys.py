"""`contracts/...` keys in the metadata of a project: one that nobody reads would be silent, and its asset on other terms than it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from dagster_contracts.core.errors import ContractError, did_you_mean
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.catalog import SAID, TAGGED
from dagster_contracts.plugin.site import ACCEPTS, RESOLVES

PREFIX = "contracts/"
ASKED = (ACCEPTS, RESOLVES)  # what a project says itself


def refuse_unknown_keys(assets: Sequence[object], specs: Sequence[dg.AssetSpec]) -> None:
    """Raises ContractError, for all of them at once, where `contracts/...` stands where nobody reads it. What this package puts on the
    page of an asset is known: such assets may be given again."""
    if problems := [*_of_specs(specs), *_of_inputs(assets)]:
        more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        raise ContractError(
            f"{'; '.join(problems[:_TOLD])}{more}. The metadata of an asset may have {ACCEPTS} (full, stale or low: what it accepts of "
            f"what it reads) and {RESOLVES} (true: its body asks what to read)"
        )


def _of_specs(specs: Iterable[dg.AssetSpec]) -> Iterator[str]:
    for spec in specs:
        name = spec.key.to_user_string()
        for key in _ours(spec.metadata):
            if key not in (*ASKED, *SAID):
                yield f'asset "{name}": nobody reads its metadata {key}{_near(key, (*ASKED, *SAID))}'
        for key in _ours(spec.tags):
            if key not in TAGGED:
                yield f'asset "{name}": nobody reads its tag {key}{_elsewhere(key)}'
        for dep in spec.deps:
            on = dep.asset_key.to_user_string()
            for key in _ours(dep.metadata):
                yield f'asset "{name}": nobody reads the metadata {key} of its dependency on "{on}"{_elsewhere(key)}'


def _of_inputs(assets: Iterable[object]) -> Iterator[str]:
    for item in iterate_assets(assets):
        for name, key in item.node_keys_by_input_name.items() if item.is_executable else ():
            for unread in _ours(item.node_def.input_dict[name].metadata or {}):
                asset = ", ".join(sorted(each.to_user_string() for each in item.keys))
                yield f'asset "{asset}": nobody reads the metadata {unread} of its input "{key.to_user_string()}"{_elsewhere(unread)}'


def _ours(keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(PREFIX))


def _near(key: str, known: Iterable[str]) -> str:
    return did_you_mean(key, known).rstrip(",")


def _elsewhere(key: str) -> str:
    return ", say it in the metadata of the asset itself" if key in ASKED else _near(key, ASKED)


_TOLD = 10
