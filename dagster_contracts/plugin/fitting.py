"""Whether what a policy names is there: the partition dimension of its `scope`, the assets of its `consumers`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from dagster_contracts.core.contract import Attached
from dagster_contracts.core.errors import ContractInvalid, Problem, did_you_mean
from dagster_contracts.core.slips import consumer_slips

logger = logging.getLogger("dagster_contracts.plugin")


def terms_fit(attached: Mapping[str, Attached], specs: Sequence[dg.AssetSpec]) -> None:
    """Raises ContractInvalid where a `scope` names no dimension of its asset's partitions; warns of consumers that are likely misspelt.

    A consumer that is near no asset may stand in another code location: nothing is said of it.
    """
    partitions = {spec.key.to_user_string(): spec.partitions_def for spec in specs}
    wrong = [problem for asset, item in attached.items() for problem in _scope(item, partitions[asset])]
    if wrong:
        raise ContractInvalid(list(dict.fromkeys(wrong)))
    contracts = {item.contract.id: item.contract for item in attached.values()}
    for contract in contracts.values():
        for slip in consumer_slips(contract, partitions):
            logger.warning("%s", slip)


def _scope(item: Attached, partitions: dg.PartitionsDefinition | None) -> Iterator[Problem]:
    scope = item.contract.policy.scope
    known = _dimensions(partitions)
    if scope == "asset" or scope in known:
        return
    if not known:
        why = f'asset "{item.asset}" has no partition dimension to have breakers for; write scope: asset, or leave it out'
    elif isinstance(partitions, dg.MultiPartitionsDefinition) and scope in {each.name for each in partitions.partitions_defs}:
        why = f'it is the time dimension of asset "{item.asset}"; its breakers can be by {_quoted(known)}, or by asset'
    else:
        why = f'asset "{item.asset}" has no such partition dimension{did_you_mean(scope, known) or ";"} it has: {_quoted(known)}'
    yield Problem("customProperties.circuitBreaker.scope", f'"{scope}": {why}', source=item.contract.source)


def _dimensions(partitions: dg.PartitionsDefinition | None) -> list[str]:
    """Those that are not time."""
    if not isinstance(partitions, dg.MultiPartitionsDefinition):
        return []
    timed = dg.TimeWindowPartitionsDefinition
    return [each.name for each in partitions.partitions_defs if not isinstance(each.partitions_def, timed)]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
