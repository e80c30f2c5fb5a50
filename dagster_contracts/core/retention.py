"""How long what is over is kept. What is still needed is kept whatever its age: `ports.Ledger.prune` says what that is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta

_DAY = timedelta(days=1)
SHORTEST = _DAY  # a run that is retried must find its batch and its decisions
LONGEST = 36_500 * _DAY


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages after which rows may go, by kind; each from one day to 36,500, else ValueError.

    `batches`: discarded ones, and micro-batches of streams, whatever became of them; the same delivery, come again after that long, is
    judged as a new one. `verdicts`: the findings of batches that are published or discarded; the batch itself stays. `transitions`,
    `decisions`, `outputs` (ended ones) and `reviews` (decided ones) answer what happened. `events`: those that every sink has been told.
    `threads`: where sinks spoke of incidents that are over.
    """

    batches: timedelta = 90 * _DAY
    verdicts: timedelta = 180 * _DAY
    transitions: timedelta = 365 * _DAY
    decisions: timedelta = 365 * _DAY
    outputs: timedelta = 365 * _DAY
    reviews: timedelta = 365 * _DAY
    events: timedelta = 90 * _DAY
    threads: timedelta = 90 * _DAY

    def __post_init__(self) -> None:
        for field in fields(self):
            if not SHORTEST <= getattr(self, field.name) <= LONGEST:
                raise ValueError(
                    f"{field.name} would be kept for {getattr(self, field.name)}; from 1 to {LONGEST.days:,} days are possible"
                )

    @classmethod
    def of(cls, age: timedelta) -> Retention:
        """The same age for all kinds."""
        return cls(**{field.name: age for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows of each kind went (or would go); of `verdicts`, how many batches lost their findings."""

    batches: int = 0
    verdicts: int = 0
    transitions: int = 0
    decisions: int = 0
    outputs: int = 0
    reviews: int = 0
    events: int = 0
    threads: int = 0
