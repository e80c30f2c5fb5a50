"""What is searched: each scenario is a handful of operations, in every order and overlap, with crashes and passing time in between.

Contract 1 trips on `bad`; contract 3 has nothing against it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dagster_contracts.core.contract import BreakerPolicy, Confidence, Window
from dagster_contracts.core.state import OverrideKind
from tests.model.operations import (
    consume,
    deliver,
    discard,
    miss,
    override,
    place,
    probe,
    publish_due,
    reconcile,
    rejudge,
    relay,
    release,
    reset,
)
from tests.model.search import START, Scenario

MINUTE = timedelta(minutes=1)
POLICY = BreakerPolicy(cooldown=30 * MINUTE, lease=15 * MINUTE)
COUNTING = replace(POLICY, trip_on=frozenset(), failures=2, window=Window(3))
STALE, LOW = Confidence.STALE, Confidence.LOW

LAX = 2  # the version of the contract that lets `bad` pass

SCENARIOS = (
    Scenario(
        "a trip, and the way back by probes",
        (deliver(2, "bad"), deliver(3, "good"), probe(times=2)),
        POLICY,
        begun=(deliver(1, "good"),),
        ticks=2,
        least=8_600,
    ),
    Scenario(
        "three workers: two bring the same bad batch, one brings another",
        (deliver(2, "bad", times=2), deliver(3, "bad")),
        COUNTING,
        begun=(deliver(1, "good"),),
        workers=3,
        ticks=1,
        least=3_500,
    ),
    Scenario(
        "three workers probe",
        (probe(times=3),),
        POLICY,
        begun=(deliver(1, "good"), deliver(2, "bad"), deliver(3, "good")),
        workers=3,
        ticks=3,
        least=9_100,
    ),
    Scenario(
        "what cannot be measured",
        (deliver(2, "unreadable"), deliver(3, "bad"), probe()),
        POLICY,
        begun=(deliver(1, "good"),),
        least=1_200,
    ),
    Scenario(
        "a stored batch that cannot be measured any more is probed",
        (probe(times=2), deliver(4, "good")),
        POLICY,
        begun=(deliver(1, "good"), deliver(2, "bad"), deliver(3, "unreadable")),
        ticks=3,
        least=4_600,
    ),
    Scenario(
        "what cannot be measured is admitted",
        (deliver(3, "unreadable"), deliver(4, "unreadable again"), probe()),
        replace(POLICY, admit_inconclusive=True),
        begun=(deliver(1, "good"), deliver(2, "bad")),
        places=(place(1), place(2), place(3), place(4)),
        least=3_700,
    ),
    Scenario(
        "overrides that end",
        (
            override(OverrideKind.FORCE_CLOSED, lasts=20 * MINUTE),
            override(OverrideKind.FORCE_OPEN, lasts=40 * MINUTE),
            deliver(3, "good"),
        ),
        POLICY,
        begun=(deliver(1, "good"), deliver(2, "bad")),
        least=4_900,
    ),
    Scenario(
        "only observed, and reset",
        (override(OverrideKind.OBSERVE_ONLY, lasts=20 * MINUTE), deliver(2, "bad"), reset(), probe()),
        POLICY,
        begun=(deliver(1, "good"),),
        ticks=1,
        least=5_600,
    ),
    Scenario(
        "forced without an end, and reset",
        (override(OverrideKind.FORCE_OPEN), override(OverrideKind.OBSERVE_ONLY), deliver(2, "bad"), reset()),
        POLICY,
        begun=(deliver(1, "good"),),
        ticks=1,
        least=5_500,
    ),
    Scenario(
        "a new contract version while a probe runs",
        (probe(), probe(version=LAX), deliver(3, "bad", version=LAX)),
        POLICY,
        begun=(deliver(1, "good"), deliver(2, "bad")),
        newest=LAX,
        least=4_100,
    ),
    Scenario(
        "two passing probes close",
        (probe(times=2), deliver(5, "good")),
        replace(POLICY, probes=2),
        begun=(deliver(1, "good"), deliver(2, "bad"), deliver(3, "good"), deliver(4, "good")),
        places=(place(1), place(3), place(4), place(5)),
        least=4_600,
    ),
    Scenario(
        "a delivery that never came",
        (miss(START - MINUTE), deliver(2, "good"), probe(), reset()),
        POLICY,
        begun=(deliver(1, "good"),),
        least=2_400,
    ),
    Scenario(
        "older partitions and fallback data move nothing",
        (deliver(2, "bad"), deliver(4, "good", confidence=LOW), deliver(3, "bad")),
        POLICY,
        begun=(deliver(1, "good"), deliver(3, "good"), deliver(4, "bad", confidence=STALE)),
        places=(place(2), place(3), place(4), place(5)),
        least=2_000,
    ),
    Scenario(
        "an unpartitioned feed",
        (deliver(None, "bad"), deliver(None, "good again"), probe(), publish_due()),
        POLICY,
        begun=(deliver(None, "good"),),
        places=(place(None),),
        ticks=1,
        least=1_600,
    ),
    Scenario(
        "one breaker per vendor",
        (deliver(2, "bad", vendor="a"), deliver(2, "good", vendor="b"), probe(vendor="a")),
        replace(POLICY, scope="vendor"),
        begun=(deliver(1, "good", vendor="a"), deliver(1, "good", vendor="b")),
        places=tuple(place(number, vendor) for vendor in ("a", "b") for number in (1, 2, 3)),
        least=700,
    ),
    Scenario(
        "people release, discard and judge again",
        (release(2), discard(2), rejudge(2, version=LAX), publish_due(version=LAX)),
        POLICY,
        begun=(deliver(1, "good"), deliver(2, "bad")),
        newest=LAX,
        least=2_000,
    ),
    Scenario(
        "writers die, and it is reconciled",
        (deliver(1, "good again"), deliver(2, "bad"), deliver(2, "good"), reconcile()),
        POLICY,
        begun=(deliver(1, "good"),),
        ticks=0,
        crashes=2,
        least=1_800,
    ),
    Scenario(
        "two relays",
        (deliver(2, "bad"), consume(2, STALE), relay(times=2)),
        POLICY,
        begun=(deliver(1, "good"),),
        workers=3,
        ticks=1,
        outbox=True,
        least=6_000,
    ),
    Scenario(
        "failures within a time",
        (deliver(3, "bad"), deliver(4, "good"), override(OverrideKind.FORCE_CLOSED, lasts=60 * MINUTE)),
        replace(COUNTING, window=Window(None, 60 * MINUTE)),
        begun=(deliver(1, "good"), deliver(2, "bad")),
        places=(place(1), place(2), place(3), place(4)),
        least=2_500,
    ),
)
