"""All of one asset: the campaign that scores its contract, and exercises of some of the faults, at least one of each clause group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dagster_contracts.core.contract import Clause
from dagster_contracts.core.ledger import Partition
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.drill.exercise import Exercise, exercised
from dagster_contracts.plugin.drill.sandbox import sandbox
from dagster_contracts.plugin.drill.subjects import Subject

if TYPE_CHECKING:
    from dagster_contracts.chaos.batch import Injected
    from dagster_contracts.chaos.campaign import Campaign, Cell
    from dagster_contracts.chaos.fault import Fault
    from dagster_contracts.chaos.score import Score

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Orders:
    """What is to be done: `faults` (confined), how many of each clause group are exercised, with which seed; where copies may lie."""

    faults: Sequence[Fault]
    of_each_group: int
    seed: int
    directory: str | None
    now: datetime


@dataclass(frozen=True, eq=False, slots=True)
class Drilled:
    """What came of one asset. `score` None: the contract refuses the good batches, so that there is nothing to score."""

    terms: Terms
    partition: Partition
    rows: int
    seed: int
    campaign: Campaign
    score: Score | None
    exercises: tuple[Exercise, ...] = ()

    @property
    def asset(self) -> str:
        return self.terms.asset

    @property
    def went_wrong(self) -> list[Exercise]:
        """Those that did not end as the policy says."""
        return [each for each in self.exercises if not (each.recovered and each.as_promised)]


def drilled(subject: Subject, orders: Orders, tell: Tell) -> Drilled:
    """Score the contract, and take some of the faults all the way. Raises UsageError where what is stored is no table."""
    from dagster_contracts.chaos.run import run
    from dagster_contracts.chaos.score import score
    from dagster_contracts.engines.local import default_engine

    terms, last = subject.feed.terms, subject.batches[-1]
    campaign = run(
        terms.plan,
        terms.policy,
        default_engine(),
        subject.batches,
        faults=orders.faults,
        seed=orders.seed,
        asset=subject.asset,
        related=subject.related(),
    )
    if campaign.refusals:
        return Drilled(terms, last.partition, last.rows, orders.seed, campaign, None)
    exercises: list[Exercise] = []
    for cell, injected in chosen(campaign, subject, orders):
        with sandbox(subject, orders.directory, orders.now) as box:
            found = exercised(box, cell, injected)
        tell(f"{subject.asset}: {found.damage}: {found.result}; {found.problem or 'recovered'}")
        exercises.append(found)
    return Drilled(terms, last.partition, last.rows, orders.seed, campaign, score(campaign), tuple(exercises))


def chosen(campaign: Campaign, subject: Subject, orders: Orders) -> Iterator[tuple[Cell, Injected]]:
    """Of each clause group some cells, drawn by the seed, with their faults at the highest dose; of different faults where there are."""
    from dagster_contracts.chaos.fault import generator

    for clause in Clause:
        cells = [cell for cell in campaign.cells if cell.clause is clause]
        drawn = [cells[number] for number in generator(orders.seed, f"drill {clause}", subject.asset).permutation(len(cells))]
        taken: list[str] = []
        for cell in drawn:
            if len(taken) == orders.of_each_group:
                break
            if cell.fault not in taken and (injected := _injected(subject, cell, orders)) is not None:
                taken.append(cell.fault)
                yield cell, injected


def _injected(subject: Subject, cell: Cell, orders: Orders) -> Injected | None:
    """None where it does not lie in the rows of one delivery: a copy of what is stored can be no later than it was."""
    from dagster_contracts.chaos.fault import generator

    fault, clean = next(fault for fault in orders.faults if fault.name == cell.fault), subject.batches[-1]
    injected = fault.inject(clean.apart(), cell.column, cell.trials[-1].dose, generator(orders.seed, fault.name, cell.column))
    batch = injected.batch
    if batch is None or batch.written is not None or injected.also or batch.arrived_at != clean.arrived_at:
        return None
    return injected
