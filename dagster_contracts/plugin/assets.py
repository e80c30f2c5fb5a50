"""The assets that stand in a `Definitions`."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def iterate_assets(assets: Iterable[object] | None) -> list[dg.AssetsDefinition]:
    return [item for item in assets or [] if isinstance(item, dg.AssetsDefinition)]


def made_together(assets: Iterable[object] | None) -> dict[dg.AssetKey, list[dg.AssetKey]]:
    """The assets that Dagster makes only together with others, each with all of them."""
    several = [item for item in iterate_assets(assets) if len(item.keys) > 1 and not item.can_subset]
    return {key: sorted(item.keys) for item in several for key in item.keys}
