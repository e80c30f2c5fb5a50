"""What a sensor asks for of what is due: nothing twice, and in few runs.

What is due by one cause and can share a run is asked for in one, as Dagster's own conditions do it: assets of one partitions definition,
for one partition. So consumers of a refused batch take as many places of a run queue as those of a good one. Their steps run in the order
of their dependencies; one that is halted or fails keeps only what is made of it from running. A run each would spare the others a run that
is red for another's failure, and the loss of run retries that comes with a halt. But a halt is rare here, since only what has a route is
asked for, and fifty runs after one batch are what limits on runs are there to prevent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import dagster as dg

from dagster_contracts.plugin.routing import RELEASE

ROUTED, HEALED = "contracts/route", "contracts/heal"  # tags of runs: by which cause they became due, as RELEASE is
ASKED = "contracts/asked"  # tag of a run: digests of the run keys of what it was asked for
PER_TICK = 25  # of what is due, so that a long outage heals in batches; no run makes more
LOOKED_UP = 200  # of what is due, in one question to Dagster's run storage
Partitions = Mapping[dg.AssetKey, dg.PartitionsDefinition | None]


def in_few_runs(instance: dg.DagsterInstance, due: Iterable[dg.RunRequest], partitions: Partitions) -> list[dg.RunRequest]:
    """The runs of the next `PER_TICK` of what is `due`, each of which has a run key of its own and one of the tags of a cause."""
    groups: dict[Hashable, list[dg.RunRequest]] = {}
    for request in islice(_not_asked_yet(instance, due), PER_TICK):
        of = partitions.get(request.asset_selection[0]) if request.asset_selection else None
        groups.setdefault((request.partition_key, of, *sorted(request.tags.items())), []).append(request)
    return [_in_one(group) for group in groups.values()]


def _in_one(requests: Sequence[dg.RunRequest]) -> dg.RunRequest:
    first, (key, *others) = requests[0], sorted(str(each.run_key) for each in requests)
    wanted = dict.fromkeys(key for each in requests for key in each.asset_selection or ())
    return first.with_replaced_attrs(
        run_key=f"{key}+{_digest('|'.join(others))}" if others else key,
        asset_selection=list(wanted),
        tags={**first.tags, ASKED: " ".join(map(_digest, (key, *others)))},
    )


def _not_asked_yet(instance: dg.DagsterInstance, due: Iterable[dg.RunRequest]) -> Iterator[dg.RunRequest]:
    """Dagster drops a run key that has a run. That of a run of several is another once one of them is not due any more: so each is looked
    for in the runs of its cause. Runs that fail or wait would take the places of a tick for ever, too."""
    left = iter(due)
    while chunk := list(islice(left, LOOKED_UP)):
        asked: set[str] = set()
        for tag in (RELEASE, HEALED, ROUTED):
            if causes := sorted({request.tags[tag] for request in chunk if tag in request.tags}):
                runs = instance.get_runs(dg.RunsFilter(tags={tag: causes}))
                asked.update(digest for run in runs for digest in run.tags.get(ASKED, "").split())
        yield from (request for request in chunk if _digest(str(request.run_key)) not in asked)


def _digest(text: str) -> str:
    """Short: databases index the tags of runs."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
