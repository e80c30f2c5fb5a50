"""What some rows can say of the whole of them: that a rule is broken, never that it is kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.contract import Clause, Operator, Severity
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import Among, Duplicates, Newest, Nulls, Oldest, RowCount
from dagster_contracts.core.plan import Check, Fresh, Plan, Present, Retained, Rule, Threshold, Within
from dagster_contracts.core.sampling import OfSample
from dagster_contracts.core.verdict import Column, Count, Measurement, Outcome, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Limit = int | tuple[int, int]


def plan(**checks: Check) -> Plan:
    return Plan("c", "1.0.0", "feed", tuple(Rule(name, Clause.VALIDITY, Severity.ERROR, check, "a") for name, check in checks.items()))


def verdict(of: Plan, rows: int, **values: int) -> Verdict:
    found = {rule.check.metric: Count(values[rule.id]) for rule in of.rules if isinstance(rule.check, Within) and rule.id in values}
    return judge(of, Measurement(rows, (Column("a", "str"),), found), {}, as_of=NOW, head=True)


def test_what_only_the_whole_can_tell_is_left_out() -> None:
    several: dict[str, Check] = {
        "here": Present("a"),
        "old": Retained(Oldest("a"), DAY),
        "nulls": Within(Nulls("a")),
        "keys": Within(Duplicates(("a",))),
        "enough": Within(RowCount(), Threshold(Operator.GREATER_THAN, 5)),
        "few": Within(RowCount(), Threshold(Operator.LESS_THAN, 5)),
        "present": Within(Nulls("a"), Threshold(Operator.GREATER_THAN, 5)),
        "share": Within(Among("a", ("x",)), Threshold(Operator.LESS_THAN, 5)),
        "fresh": Fresh(Newest("a"), DAY),
    }
    kept = OfSample(plan(**several), 10, 100, 10).refutable()
    assert [rule.id for rule in kept.rules] == ["here", "old", "nulls", "keys"]


def test_the_verdict_says_that_it_is_of_a_sample_and_what_was_promised() -> None:
    own = plan(nulls=Within(Nulls("a"), Threshold(Operator.LESS_THAN, 2, percent=True)), keys=Within(Duplicates(("a",))))
    of = OfSample(own, 1000, 5_000_000, 1000)
    (nulls, keys) = of.told(verdict(of.refutable(), 1000, nulls=100, keys=0)).findings
    assert (nulls.outcome, nulls.expected) == (Outcome.FAIL, "less than 2% of rows null")
    assert nulls.observed.endswith("in a sample of 1,000 of 5,000,000 rows")
    assert "sample" not in keys.observed


def test_a_share_is_broken_only_where_chance_does_not_explain_it() -> None:
    of = OfSample(plan(nulls=Within(Nulls("a"), Threshold(Operator.LESS_OR_EQUAL, 1, percent=True))), 10_000, 10**7, 10_000)
    outcome = {count: verdict(of.refutable(), 10_000, nulls=count).outcome for count in (100, 129, 130, 1200)}
    assert outcome == {100: Outcome.PASS, 129: Outcome.PASS, 130: Outcome.FAIL, 1200: Outcome.FAIL}
    alike = replace(of, draws=20)
    assert [verdict(alike.refutable(), 10_000, nulls=count).outcome for count in (760, 770)] == [Outcome.PASS, Outcome.FAIL]
    none = OfSample(plan(nulls=Within(Nulls("a"), Threshold(Operator.MUST_BE, 0, percent=True))), 10_000, 10**7, 20)
    assert verdict(none.refutable(), 10_000, nulls=1).outcome is Outcome.FAIL


LIMITS: Mapping[Operator, Callable[[int, int], Limit]] = {  # what a count keeps, with room above it
    Operator.MUST_BE: lambda count, room: count,
    Operator.LESS_THAN: lambda count, room: count + room + 1,
    Operator.LESS_OR_EQUAL: lambda count, room: count + room,
    Operator.BETWEEN: lambda count, room: (count, count + room),
    Operator.GREATER_OR_EQUAL: lambda count, room: count,
}


@given(
    values=st.lists(st.sampled_from([None, "x", "y", "z"]), min_size=2, max_size=30),
    share=st.floats(0.1, 1),
    operator=st.sampled_from(list(LIMITS)),
    room=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_no_sample_breaks_a_count_that_the_whole_keeps(
    values: list[str | None], share: float, operator: Operator, room: int, seed: int
) -> None:
    def counted(rows: list[str | None]) -> dict[str, int]:
        present = [value for value in rows if value is not None]
        return {"nulls": len(rows) - len(present), "keys": len(present) - len(set(present))}

    whole = counted(values)
    limits = {name: Threshold(operator, LIMITS[operator](count, room)) for name, count in whole.items()}
    own = plan(nulls=Within(Nulls("a"), limits["nulls"]), keys=Within(Duplicates(("a",)), limits["keys"]))
    assert verdict(own, len(values), **whole).outcome is Outcome.PASS
    chosen = random.Random(seed).sample(values, max(1, int(share * len(values))))
    of = OfSample(own, len(chosen), len(values), len(chosen))
    assert verdict(of.refutable(), len(chosen), **counted(chosen)).outcome is Outcome.PASS
