"""A change that is judged safe for consumers lets nothing through that the old contract refused: on data made for the new one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.compat import compare
from dagster_contracts.core.compat_kinds import Impact
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Property
from dagster_contracts.core.errors import Unsatisfiable
from dagster_contracts.core.judge import judge
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.local import default_engine
from dagster_contracts.mocking.making import make
from tests.core.test_compat import one_rule, pairs
from tests.mocking.test_mock import NOW, columns, contract

_FIELDS = ("options", "enum", "required", "unique", "quality", "logical_type", "items", "properties")


@st.composite
def evolved(draw: st.DrawFn) -> tuple[Contract, Contract]:
    """A contract, and the same with some parts of another one in place of its own."""
    kept = draw(st.sets(st.sampled_from("abc"), min_size=1))
    old = {name: draw(columns(name)) for name in sorted(kept)}
    new = {name: _mixed(prop, draw(columns(name)), draw(st.sets(st.sampled_from(_FIELDS), max_size=2))) for name, prop in old.items()}
    more = {"d": draw(columns("d"))} if draw(st.booleans()) else {}
    closed = draw(st.booleans())
    return contract(*old.values(), closed=closed and draw(st.booleans())), contract(
        *new.values(), *more.values(), closed=closed and not more
    )


def _mixed(one: Property, other: Property, taken: set[str]) -> Property:
    return replace(one, **{name: getattr(other, name) for name in taken})


def _one_column(pair: tuple[Property, Property]) -> tuple[Contract, Contract]:
    return contract(pair[0]), contract(pair[1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(evolved(), pairs(), one_rule().map(_one_column)), st.integers(1, 30))
def test_what_is_safe_for_consumers_passes_under_the_old_contract_too(pair: tuple[Contract, Contract], rows: int) -> None:
    old, new = (replace(each, version=version, content_hash=version) for each, version in zip(pair, ("1.0.0", "2.0.0"), strict=True))
    changes = compare(old, new).changes
    if any(change.consumer is not Impact.SAFE for change in changes):
        event("not safe")
        return
    try:
        made = make(new, rows=rows, seed=rows, now=NOW)["feed"]
    except Unsatisfiable:
        event("nothing keeps the new one")
        return
    plan = compile_plan(old, old.objects[0])
    before = judge(plan, default_engine().measure(made.frame, plan.metrics), {}, as_of=NOW, head=True)
    event(f"safe: {len(changes)} changes, {before.outcome} before, {made.verdict.outcome} now")
    if made.verdict.outcome in (Outcome.PASS, Outcome.WARN):
        assert before.outcome is not Outcome.FAIL, [(change.kind.name, change.place) for change in changes]
