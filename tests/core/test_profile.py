"""Profiles: what they tell, and that they are read back as they were written."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core import distances, profile_files
from dagster_contracts.core.profile import (
    CategoryProfile,
    NotAProfile,
    NumericProfile,
    Profile,
    binned,
    digest,
    equal_edges,
    pooled,
    profile_from_json,
    profile_to_json,
    quantile,
    ranked,
    veiled,
)

numbers = st.dictionaries(st.floats(allow_nan=False), st.integers(1, 10**9), max_size=20)
numeric = st.builds(
    lambda counted, nulls, error: NumericProfile(tuple(sorted(counted)), tuple(counted[v] for v in sorted(counted)), nulls, error),
    numbers,
    st.integers(0, 100),
    st.floats(0, 1),
)
few = st.integers(0, 9)
categorical = st.builds(ranked, st.dictionaries(st.text(), st.integers(1, 99), max_size=9), few, few, st.booleans())
profiles: st.SearchStrategy[Profile] = numeric | categorical


@given(profiles)
def test_what_is_written_is_read_back(profile: Profile) -> None:
    assert profile_from_json(json.loads(json.dumps(profile_to_json(profile), allow_nan=False))) == profile


@given(st.dictionaries(st.text(), st.tuples(numeric, categorical), max_size=4))
def test_a_file_of_profiles_is_read_back(columns: dict[str, tuple[NumericProfile, CategoryProfile]]) -> None:
    written = {(column, kind == 1): pair[kind] for column, pair in columns.items() for kind in (0, 1)}
    assert profile_files.from_text(profile_files.to_text("trips", 7, written)) == written


def changed(**fields: object) -> dict[str, Any]:
    return {**profile_to_json(NumericProfile((1.0, 2.0), (3, 4), 5)), **fields}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected a profile"),
        (changed(version=2), "version 2; this release reads version 1"),
        (changed(kind="vector"), "kind 'vector'"),
        (changed(counts=[3]), "one count each"),
        (changed(values=[2.0, 1.0]), "must ascend"),
        (changed(values=[1.0, 1.0]), "must ascend"),
        (changed(values=[1.0, "nan"]), "must ascend"),
        (changed(values=None), "damaged"),
        (changed(counts=[3, -4]), "a count is -4"),
        (changed(counts=[3, True]), "a count is True"),
        (changed(nulls=0.5), "a count is 0.5"),
        (changed(rankError=2), "from 0 to 1"),
        ({**profile_to_json(CategoryProfile(())), "categories": [["a", 1], ["a", 2]]}, "stands twice"),
        ({"version": 1, "kind": "categorical"}, "damaged"),
    ],
)
def test_what_is_no_profile_is_refused(document: object, message: str) -> None:
    with pytest.raises(NotAProfile, match=message):
        profile_from_json(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[1]", 'the key "profiles" is missing'),
        ('{"profiles": [], "version": 9}', "version 9"),
        ('{"profiles": {}, "version": 1}', "profiles is no list"),
        ('{"profiles": [1], "version": 1}', "names no column"),
        ('{"profiles": [{"column": "fare", "version": 1, "kind": "numeric"}], "version": 1}', "damaged at column fare"),
    ],
)
def test_what_is_no_file_of_profiles_is_refused(text: str, message: str) -> None:
    with pytest.raises(NotAProfile, match=message):
        profile_files.from_text(text)


# --- what they tell ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 2) + 0.0), min_size=1, max_size=60), st.floats(0, 1), st.integers(2, 12))
def test_quantiles_edges_and_bins_are_those_of_numpy(values: list[float], at: float, bins: int) -> None:
    counted = {value: values.count(value) for value in sorted(values)}
    profile = NumericProfile(tuple(counted), tuple(counted.values()))
    assert quantile(profile, at) == pytest.approx(np.quantile(values, at), rel=1e-12, abs=1e-9)
    edges = equal_edges(profile, bins)
    assert list(edges) == sorted(set(np.quantile(values, np.linspace(0, 1, bins + 1))[1:-1].tolist()))
    assert list(binned(profile, edges)) == np.histogram(values, [-np.inf, *edges, np.inf])[0].tolist()


def test_nothing_has_no_quantile() -> None:
    nothing = NumericProfile((), ())
    assert (quantile(nothing, 0.5), equal_edges(nothing, 10), binned(nothing, ())) == (None, (), (0,))


def test_a_veil_leaves_nothing_but_what_differs() -> None:
    profile = CategoryProfile((("ana", 3), ("bo", 1)), 2, 1)
    hidden = veiled(profile)
    assert hidden == CategoryProfile(((digest("ana"), 3), (digest("bo"), 1)), 2, 1, veiled=True)
    assert veiled(hidden) is hidden
    assert "ana" not in json.dumps(profile_to_json(hidden))
    assert pooled([profile, hidden]) == CategoryProfile(((digest("ana"), 6), (digest("bo"), 2)), 4, 2, veiled=True)


# --- infinities ----------------------------------------------------------------------------------------------------


def counted(*values: float) -> NumericProfile:
    return NumericProfile(tuple(sorted(set(values))), tuple(values.count(value) for value in sorted(set(values))))


@pytest.mark.parametrize(
    ("values", "at", "expected"),
    [
        ((1.0, 2.0, math.inf), 0.5, 2.0),
        ((1.0, 2.0, math.inf), 0.9, 2.0),
        ((1.0, 2.0, math.inf), 1.0, math.inf),
        ((-math.inf, 1.0, 2.0), 0.1, 1.0),
        ((-math.inf, 1.0, 2.0), 0.0, -math.inf),
        ((-math.inf, math.inf), 0.5, -math.inf),
        ((-math.inf, math.inf), 0.6, math.inf),
        ((-1.7e308, 1.7e308), 0.5, 0.0),
    ],
)
def test_nothing_lies_between_a_number_and_an_infinity(values: tuple[float, ...], at: float, expected: float) -> None:
    assert quantile(counted(*values), at) == expected


extremes = st.lists(
    st.sampled_from([-math.inf, math.inf, 0.0, 1.0, 2.0, -1e308, 1e308]) | st.floats(allow_nan=False), min_size=1, max_size=30
)
OF_CELLS = [distances.psi, distances.jensen_shannon, distances.chi_square, distances.chi_square_p, distances.total_variation]


@given(extremes, extremes, st.integers(2, 12))
def test_distances_stay_distances_with_infinities(before: list[float], now: list[float], bins: int) -> None:
    reference, batch = counted(*before), counted(*now)
    edges = equal_edges(reference, bins)
    assert all(map(math.isfinite, edges))
    cells = distances.bins_of(reference, batch, bins)
    assert distances.sizes(cells) == (len(before), len(now))
    values = [distance(cells) for distance in OF_CELLS]
    assert all(math.isfinite(value) and value >= 0 for value in values)
    same = distances.bins_of(reference, reference, bins)
    assert [distance(same) for distance in OF_CELLS] == [0, 0, 0, 1, 0]
    assert distances.largest_gap(reference, reference).distance == 0
    assert not math.isnan(quantile(reference, 0.3) or 0)
