"""How far one distribution is from another, of profiles. Pure Python, each distance as its users know it:

    bins          of numbers: the deciles of the reference (numpy.quantile, linear; other numbers of bins likewise), each edge once, the
                  outer edges infinite, a bin holds its left edge (numpy.histogram); nulls and NaN are left out. Infinite values are
                  in the outer bins, and no edge between them: a quantile between a number and an infinity is the number. Categories
                  are bins of their own; null is the category <null>, and 1.0 in a column of numbers is the category 1
    psi           population stability index: sum((q - p) * ln(q / p)) over the bins, p and q the shares in reference and batch, each at
                  least 1e-4 and not renormalised (Siddiqi, Credit Risk Scorecards, 2006)
    jensenShannon the distance, to base 2: the square root of the Jensen-Shannon divergence of the shares, 0..1
                  (Endres and Schindelin, 2003; scipy.spatial.distance.jensenshannon)
    chiSquare     Pearson's statistic of the 2 x k table of counts, without a correction for continuity; chiSquarePValue its upper tail
                  with k - 1 degrees of freedom (scipy.stats.chi2_contingency with correction=False)
    totalVariation  half the sum of the absolute differences of the shares, 0..1
    kolmogorovSmirnov  the largest difference between the shares of values at or below a number, 0..1; kolmogorovSmirnovPValue how
                  likely one as large is by chance (scipy.stats.ks_2samp, method asymp)
    wasserstein   the area between the two distribution functions, in the unit of the column (scipy.stats.wasserstein_distance)
    newValues     categories of the batch that the reference does not hold; in percent: the rows that hold one. Null is no value
    belowReference  share of the values that are less than `factor` times the median of the reference, 0..1

Of profiles that are not exact, shares are off by at most the rank error of the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from dagster_contracts.core import tails
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, binned, equal_edges, quantile, veiled

NULL = "<null>"
OTHERS = "<others>"
_LEAST_SHARE = 1e-4


# --- bins ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A bin or a category, and how many values of reference and batch are in it. A bin is from `low` to less than `high`."""

    reference: int
    batch: int
    category: str = ""
    low: float = -math.inf
    high: float = math.inf


def bins_of(reference: NumericProfile, batch: NumericProfile, bins: int) -> list[Cell]:
    """Cells of `bins` bins that are equally frequent in the reference."""
    edges = equal_edges(reference, bins)
    return cells_between(edges, binned(reference, edges), binned(batch, edges))


def cells_between(edges: Sequence[float], reference: Sequence[int], batch: Sequence[int]) -> list[Cell]:
    """Cells of counted bins; those that are empty on both sides are left out."""
    bounds = pairwise((-math.inf, *edges, math.inf))
    found = [Cell(n, m, low=low, high=high) for n, m, (low, high) in zip(reference, batch, bounds, strict=True)]
    return [cell for cell in found if cell.reference or cell.batch]


def categories_of(reference: CategoryProfile, batch: CategoryProfile) -> list[Cell]:
    """A cell for each category. One whose count a side does not know (it is among the others there) is among the others on both."""
    if reference.veiled != batch.veiled:
        reference, batch = veiled(reference), veiled(batch)
    before, now = dict(reference.categories), dict(batch.categories)
    known = [name for name in before | now if (name in before or not reference.others) and (name in now or not batch.others)]
    found = [Cell(before.get(name, 0), now.get(name, 0), name) for name in known]
    rest = Cell(
        sum(before.values()) + reference.others - sum(cell.reference for cell in found),
        sum(now.values()) + batch.others - sum(cell.batch for cell in found),
        OTHERS,
    )
    return [cell for cell in (*found, Cell(reference.nulls, batch.nulls, NULL), rest) if cell.reference or cell.batch]


def sizes(cells: Sequence[Cell]) -> tuple[int, int]:
    """Values of reference and batch in all cells."""
    return sum(cell.reference for cell in cells), sum(cell.batch for cell in cells)


def _shares(cells: Sequence[Cell]) -> list[tuple[float, float]]:
    n, m = sizes(cells)
    return [(cell.reference / n, cell.batch / m) for cell in cells]


def psi(cells: Sequence[Cell]) -> float:
    floored = ((max(p, _LEAST_SHARE), max(q, _LEAST_SHARE)) for p, q in _shares(cells))
    return math.fsum((q - p) * math.log(q / p) for p, q in floored)


def jensen_shannon(cells: Sequence[Cell]) -> float:
    parts = (side * math.log2(2 * side / (p + q)) for p, q in _shares(cells) for side in (p, q) if side)
    return math.sqrt(max(0.0, math.fsum(parts) / 2))


def total_variation(cells: Sequence[Cell]) -> float:
    return math.fsum(abs(q - p) for p, q in _shares(cells)) / 2


def chi_square(cells: Sequence[Cell]) -> float:
    n, m = sizes(cells)
    terms = []
    for cell in cells:
        for count, whole in ((cell.reference, n), (cell.batch, m)):
            wanted = (cell.reference + cell.batch) * whole / (n + m)
            terms.append((count - wanted) ** 2 / wanted)
    return math.fsum(terms)


def chi_square_p(cells: Sequence[Cell]) -> float:
    return tails.chi_square(chi_square(cells), len(cells) - 1)


# --- distribution functions ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gap:
    """Where two distribution functions differ most: the shares of values of at most `at`, in reference and batch."""

    at: float
    reference: Fraction
    batch: Fraction

    @property
    def distance(self) -> Fraction:
        """The Kolmogorov-Smirnov statistic."""
        return abs(self.batch - self.reference)


def largest_gap(reference: NumericProfile, batch: NumericProfile) -> Gap:
    n, m = reference.total, batch.total
    before = now = most = 0
    found = Gap(0.0, Fraction(0), Fraction(0))
    for value, more_before, more_now in _steps(reference, batch):
        before, now = before + more_before, now + more_now
        if abs(before * m - now * n) > most:
            most = abs(before * m - now * n)
            found = Gap(value, Fraction(before, n), Fraction(now, m))
    return found


def kolmogorov_smirnov_p(gap: Gap, n: int, m: int) -> float:
    return tails.kolmogorov_smirnov(float(gap.distance), round(n * m / (n + m)))


def wasserstein(reference: NumericProfile, batch: NumericProfile) -> float:
    """NaN where a value is infinite."""
    n, m = reference.total, batch.total
    before = now = 0
    areas = []
    for (value, more_before, more_now), (following, _, _) in pairwise(_steps(reference, batch)):
        before, now = before + more_before, now + more_now
        areas.append(abs(before * m - now * n) / (n * m) * (following - value))
    return math.fsum(areas) if all(map(math.isfinite, areas)) else math.nan


def _steps(reference: NumericProfile, batch: NumericProfile) -> list[tuple[float, int, int]]:
    """Every value of either, ascending, with how often it stands in each."""
    before, now = (dict(zip(profile.values, profile.counts, strict=True)) for profile in (reference, batch))
    return [(value, before.get(value, 0), now.get(value, 0)) for value in sorted(before | now)]


def below_limit(reference: NumericProfile, factor: float) -> float | None:
    """The number that belowReference counts below. None where the median of the reference is no finite number above 0."""
    median = quantile(reference, 0.5)
    return median * factor if median is not None and 0 < median < math.inf else None
