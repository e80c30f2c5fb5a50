"""Tails of distributions, against scipy (which the development environment has through Great Expectations) and against what is known."""

from __future__ import annotations

import random

import pytest

from dagster_contracts.core.tails import chi_square, kolmogorov_smirnov


@pytest.mark.parametrize(
    ("statistic", "freedom", "chance"),
    [
        (0, 3, 1),
        (5, 0, 1),
        (3.841458820694124, 1, 0.05),
        (23.209251158954356, 10, 0.01),
        (2000, 1, 0),
        (100, 100, 0.48119168452796),
    ],
)
def test_chi_square(statistic: float, freedom: int, chance: float) -> None:
    assert chi_square(statistic, freedom) == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize(
    ("distance", "values", "chance"),
    [
        (0, 10, 1),
        (0.05, 10, 1),  # no sample of ten comes nearer than a twentieth
        (1, 3, 0),
        (0.9, 3, 2 * 0.1**3),
        (0.40925, 10, 0.05),  # the tables of Massey (1951)
        (0.5, 0, 1),
        (0.05, 1_000_000, 0),
    ],
)
def test_kolmogorov_smirnov(distance: float, values: int, chance: float) -> None:
    assert kolmogorov_smirnov(distance, values) == pytest.approx(chance, abs=2e-5)


def test_both_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    chance = random.Random(3)
    for _ in range(300):
        freedom = chance.randint(1, 300)
        statistic = chance.uniform(0, 2 * freedom)
        assert chi_square(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), abs=1e-10)
    for _ in range(150):
        values = chance.randint(*chance.choice([(1, 20), (1, 300), (140, 3_000), (3_000, 20_000)]))
        distance = min(1.0, chance.uniform(0, 3) / values**0.5)
        assert kolmogorov_smirnov(distance, values) == pytest.approx(stats.kstwo.sf(distance, values), abs=1e-7), (values, distance)
