"""The messages of a micro-batch and the rows that they are: which message each row came from, and what is said of those that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.judgement import Terms
from dagster_contracts.ports import REASONS
from dagster_contracts.streaming.answers import StreamVerdict
from dagster_contracts.streaming.cutting import Cutter, MicroBatch
from dagster_contracts.streaming.decoding import Decoded
from dagster_contracts.streaming.numbered import places
from dagster_contracts.streaming.sending import UNDECODABLE


@dataclass(frozen=True, slots=True)
class Rows:
    """A micro-batch, and which of its messages have a value: `places[n]` is where the message of `values[n]` stands."""

    cutter: Cutter
    batch: MicroBatch
    places: Sequence[int]
    values: Sequence[bytes]

    @classmethod
    def of(cls, cutter: Cutter, batch: MicroBatch) -> Rows:
        from confluent_kafka import Message

        values: list[Any] = list(map(Message.value, batch.messages))
        if None not in values:
            return cls(cutter, batch, range(len(values)), values)
        places = [place for place, value in enumerate(values) if value is not None]
        return cls(cutter, batch, places, [values[place] for place in places])

    def undecodable(self, found: Decoded) -> set[int]:
        return {self.places[row] for row in found.broken}

    def aside(self, found: Decoded, verdict: StreamVerdict) -> dict[int, tuple[str, str]]:
        """Place -> (reason, rules) of the messages that do not go on with the others."""
        aside = dict.fromkeys(self.undecodable(found), ("undecodable", UNDECODABLE))
        for row, broken in places(verdict.set_aside, REASONS):
            aside[self.places[found.rows[row]]] = ("row", broken)
        return aside


def decodable(found: Decoded, terms: Terms) -> Finding:
    """A message that is no row is a critical breach of the schema; it is set aside alone where the contract lets failing rows be."""
    broken, total = len(found.broken), len(found.rows) + len(found.broken)
    share = terms.policy.maximum_failing_share
    alone = share is not None and broken <= share * total
    outcome = Outcome.PASS if not broken else Outcome.WARN if alone else Outcome.FAIL
    example = f": {next(iter(found.broken.values()))[:200]}" if broken and not terms.plan.masked else ""  # an error may quote a value
    observed = f"{broken:,} of {total:,} messages cannot be decoded{example}"
    return Finding(UNDECODABLE, Clause.SCHEMA, None, Severity.CRITICAL, outcome, observed, "0 messages", broken)
