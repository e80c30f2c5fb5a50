"""Every built-in fault, on typed columns and on text: the same for the same seed, truly told, and never done to the clean batch."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.fault import DoesNotFit, Fault, Group, generator
from dagster_contracts.chaos.faults import FAULTS
from tests.chaos.feeds import batches


@cache
def feed(text: bool) -> Batch:
    return batches(2, text=text)[-1]


def cells(text: bool) -> list[tuple[Fault, str | None]]:
    return [(fault, column) for fault in FAULTS for column in fault.fits(feed(text).shape)]


CELLS = [(text, fault, column) for text in (False, True) for fault, column in cells(text)]


def named(cell: tuple[bool, Fault, str | None]) -> str:
    text, fault, column = cell
    return f"{fault.name}-{column}-{'text' if text else 'typed'}"


def injected(text: bool, fault: Fault, column: str | None, dose: float, seed: int = 0) -> Injected:
    return fault.inject(feed(text), column, dose, generator(seed, fault.name, column))


def equal(one: Batch | None, other: Batch | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.frame.equals(other.frame) and one.frame.schema == other.frame.schema and one.arrived_at == other.arrived_at


def differing_rows(old: pl.DataFrame, new: pl.DataFrame) -> set[int]:
    """Written anew, value by value: places at which the rows differ, those that only one frame has included."""
    common = min(old.height, new.height)
    found = set(range(common, max(old.height, new.height)))
    if set(old.columns) != set(new.columns):
        return set(range(max(old.height, new.height)))
    for name in old.columns:
        alike = old[name].dtype == new[name].dtype or (old[name].dtype.is_numeric() and new[name].dtype.is_numeric())
        for place, (before, after) in enumerate(zip(old[name].to_list()[:common], new[name].to_list()[:common], strict=True)):
            if before is None and after is None:
                continue
            if not alike or before != after:
                found.add(place)
    return found


def test_there_are_at_least_thirty_kinds_of_every_group_and_all_are_described() -> None:
    assert len(FAULTS) >= 30
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {fault.group for fault in FAULTS} == set(Group)
    assert all(fault.description.endswith((".", "?")) or ":" in fault.description for fault in FAULTS)


def test_every_fault_fits_somewhere() -> None:
    assert {fault.name for _, fault, _ in CELLS} == {fault.name for fault in FAULTS}


@pytest.mark.parametrize("cell", CELLS, ids=map(named, CELLS))
def test_a_fault_is_repeatable_and_truly_told(cell: tuple[bool, Fault, str | None]) -> None:
    text, fault, column = cell
    clean = feed(text).frame.clone()
    for dose in fault.doses:
        try:
            once = injected(text, fault, column, dose)
        except DoesNotFit:
            assert fault.name in ("out_of_order",)
            continue
        again = injected(text, fault, column, dose)
        assert equal(once.batch, again.batch)
        assert once.description == again.description
        assert feed(text).frame.equals(clean), "the clean batch has changed"
        if once.batch is None or once.batch.written is not None or once.also:
            continue
        changed = {name for name in {*clean.columns, *once.batch.columns} if _changed(clean, once.batch.frame, name)}
        if fault.name == "reorder_columns":
            changed = set(clean.columns)
        assert set(once.columns) == changed
        if fault.name != "reorder_columns":
            assert set(once.rows.to_list()) == differing_rows(clean, once.batch.frame)
            assert once.rows.is_sorted()


def _changed(old: pl.DataFrame, new: pl.DataFrame, name: str) -> bool:
    if name not in old.columns or name not in new.columns or old.height != new.height:
        return True
    return old[name].dtype != new[name].dtype or not old[name].equals(new[name], null_equal=True)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.monotone], ids=lambda fault: fault.name)
@given(seed=st.integers(0, 2**32), doses=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)))
@settings(max_examples=8, deadline=None)
def test_a_higher_dose_hits_the_same_rows_and_more(fault: Fault, seed: int, doses: tuple[float, float]) -> None:
    low, high = sorted(doses)
    for column in list(fault.fits(feed(False).shape))[:2]:
        few, many = (set(injected(False, fault, column, dose, seed).rows.to_list()) for dose in (low, high))
        assert few <= many


def test_another_seed_hits_other_rows() -> None:
    fault = next(fault for fault in FAULTS if fault.name == "null_rate")
    one, other = (injected(False, fault, "amount", 0.2, seed).rows.to_list() for seed in (1, 2))
    assert one != other


def test_doses_stand_in_order() -> None:
    with pytest.raises(ValueError, match="expected one or more numbers above 0, ascending"):
        Fault("wild", Group.NULLS, FAULTS[0].clause, (0.5, 0.1), FAULTS[0].fits, FAULTS[0].inject)


def values(name: str, column: str, *, text: bool, dose: float = 1.0) -> list[object]:
    fault = next(fault for fault in FAULTS if fault.name == name)
    found = injected(text, fault, column, dose).batch
    assert found is not None
    return found.frame[column].to_list()


def test_times_that_are_moved_keep_their_form() -> None:
    before = feed(True).frame["at"].to_list()
    after = values("timezone_shift", "at", text=True)
    moved = [str(value) for value in after]
    assert all(len(one) == len(other) and other.endswith("Z") and "T" in other for one, other in zip(before, moved, strict=True))
    assert before != moved


def test_numbers_of_a_csv_stay_text_and_whole_ones_stay_whole() -> None:
    assert all(isinstance(value, str) and "." not in value for value in values("unit_change", "score", text=True))
    assert all(value is None or float(str(value)) >= 0 for value in values("unit_change", "amount", text=True))


def test_a_whole_number_that_no_longer_fits_its_type_comes_in_a_wider_one() -> None:
    assert max(value for value in values("outliers_out_of_range", "score", text=False) if isinstance(value, int)) > 2**12
    assert values("unit_change", "score", text=False) == [value * 100 for value in feed(False).frame["score"].cast(pl.Int64)]


def test_epoch_milliseconds_are_those_of_the_time() -> None:
    first = feed(False).frame["at"][0]
    assert values("iso_to_epoch", "at", text=False)[0] == int(first.timestamp() * 1000)
    assert values("iso_to_epoch", "at", text=True)[0] == str(int(first.timestamp() * 1000))
