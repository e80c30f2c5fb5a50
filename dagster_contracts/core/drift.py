"""What a drift rule says of a batch: how far it is from its reference (see distances.py), what moved most, compared with what. Pure."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import assert_never

from dagster_contracts.core import distances
from dagster_contracts.core.distances import Cell
from dagster_contracts.core.metrics import Histogram, ProfileOf
from dagster_contracts.core.plan import Drifted, DriftKind, GoodPartition, LastGood, Reference, StoredProfile
from dagster_contracts.core.profile import (
    CategoryProfile,
    NotAProfile,
    NumericProfile,
    Profile,
    binned,
    mean,
    profile_from_json,
    quantile,
    spelled,
    veiled,
)
from dagster_contracts.core.verdict import Bins, Measured, Past, Remembered, Unmeasured
from dagster_contracts.core.wording import bounds, clipped, figure, number, percent, plain

_MOVED = 3  # bins told of
_NEW = 5  # new values told of
_NAMES = {
    DriftKind.PSI: "PSI",
    DriftKind.JENSEN_SHANNON: "Jensen-Shannon distance",
    DriftKind.CHI_SQUARE: "chi-square statistic",
    DriftKind.CHI_SQUARE_P: "chi-square p-value",
    DriftKind.TOTAL_VARIATION: "total variation",
    DriftKind.KOLMOGOROV_SMIRNOV: "Kolmogorov-Smirnov statistic",
    DriftKind.KOLMOGOROV_SMIRNOV_P: "Kolmogorov-Smirnov p-value",
    DriftKind.WASSERSTEIN: "Wasserstein distance",
}
_OF_CELLS = {
    DriftKind.PSI: distances.psi,
    DriftKind.JENSEN_SHANNON: distances.jensen_shannon,
    DriftKind.CHI_SQUARE: distances.chi_square,
    DriftKind.CHI_SQUARE_P: distances.chi_square_p,
    DriftKind.TOTAL_VARIATION: distances.total_variation,
}


@dataclass(frozen=True, slots=True)
class Told:
    """`value` is what the threshold is compared with: in percent where the threshold is."""

    value: float | Fraction
    observed: str


def observed(check: Drifted, measured: Measured, past: Past) -> Told | Unmeasured | str:
    """The distance and what to say of it; or why it could not be measured; or, as text, why the rule does not apply."""
    reference = _reference(check, past)
    if not isinstance(reference, Remembered):
        return reference
    if isinstance(measured, Unmeasured):
        return measured
    if (problem := _unlike(check, measured, reference.profile)) is not None:
        return Unmeasured(problem)
    if not _values(measured):
        return "the batch holds no values to compare"
    if not _values(reference.profile):
        return "the reference holds no values to compare with"
    if _values(reference.profile) < check.samples:
        return f"the reference holds {_values(reference.profile):,} values, and the rule asks for at least {check.samples:,}"
    told = _compared(check, measured, reference.profile)
    if not isinstance(told, Told):
        return told
    source = "" if isinstance(check.reference, StoredProfile) else f"; compared with {reference.told}"
    return Told(told.value, f"{told.observed}{source}{_error(measured, reference.profile)}")


def expected(check: Drifted) -> str:
    """What the rule asks for: "PSI at most 0.1 from the last 7 good batches"."""
    reference = _words(check.reference)
    if check.kind is DriftKind.NEW_VALUES:
        return f"{bounds(check.threshold)} {'of rows with ' if check.threshold.percent else ''}values that are not in {reference}"
    if check.kind is DriftKind.BELOW_REFERENCE:
        return f"share of values less than {number(check.factor or 0)} of the median {bounds(check.threshold)}, from {reference}"
    if check.kind is DriftKind.MEAN_CHANGE:
        told = check.threshold if check.threshold.percent else check.threshold.as_percent()  # as what is observed is told
        return f"change of the mean {bounds(told)}, from {reference}"
    return f"{_NAMES[check.kind]} {bounds(check.threshold)} from {reference}"


def _words(reference: Reference) -> str:
    match reference:
        case LastGood(batches=1):
            return "the last good batch"
        case LastGood(batches):
            return f"the last {batches:,} good batches"
        case GoodPartition(partition):
            return f"the good batch of partition {clipped(partition)}"
        case StoredProfile(file):
            return f"the profile {clipped(file)}"
        case _:
            assert_never(reference)


# --- what is compared ----------------------------------------------------------------------------------------------


def _reference(check: Drifted, past: Past) -> Remembered | Unmeasured | str:
    reference = check.reference
    if isinstance(reference, StoredProfile):
        try:
            return Remembered(_spelled(check, stored(reference)), _words(reference))
        except NotAProfile as problem:
            return Unmeasured(f"{reference.file}: {problem}")
    found = past.profiles.get((reference, check.metric)) if isinstance(check.metric, ProfileOf) else None
    if found is not None:
        return replace(found, profile=_spelled(check, found.profile))
    of = f" of partition {clipped(reference.partition)}" if isinstance(reference, GoodPartition) else ""
    return f"no good batch{of} is known to compare with: not executed until one is published"


def _spelled(check: Drifted, profile: Profile) -> Profile:
    """Profiles of text that were made before text was read as what it stands for have "4.0" beside "4"."""
    logical = check.metric.logical if isinstance(check.metric, ProfileOf) else None
    return spelled(profile, logical) if isinstance(profile, CategoryProfile) else profile


def stored(reference: StoredProfile) -> Profile:
    """The profile that came with the contract. Raises NotAProfile."""
    return _parsed(reference.profile)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Profile:
    try:
        document = json.loads(text)
    except ValueError as broken:
        raise NotAProfile("no JSON") from broken
    return profile_from_json(document)


def _unlike(check: Drifted, measured: Measured, reference: Profile) -> str | None:
    """Why the two cannot be compared. None: they can."""
    metric = check.metric
    categorical = isinstance(metric, ProfileOf) and metric.categorical
    if isinstance(reference, CategoryProfile) != categorical:
        wanted, found = ("categories", "numbers") if categorical else ("numbers", "categories")
        return f"the reference is a profile of {found}, not of {wanted}"
    if isinstance(metric, Histogram):
        fits = isinstance(measured, Bins) and len(measured.counts) == len(metric.edges) + 1
    else:
        fits = isinstance(measured, CategoryProfile if categorical else NumericProfile)
    return None if fits else f"the engine gave {type(measured).__name__} for {type(metric).__name__}"


def _values(measured: Measured) -> int:
    if isinstance(measured, Bins):
        return sum(measured.counts)
    return measured.total if isinstance(measured, NumericProfile | CategoryProfile) else 0


def _error(*profiles: Measured) -> str:
    error = sum(profile.rank_error for profile in profiles if isinstance(profile, NumericProfile))
    return f" (shares to within {figure(100 * error)}%)" if error else ""


# --- distances, in words -------------------------------------------------------------------------------------------


def _compared(check: Drifted, measured: Measured, reference: Profile) -> Told | Unmeasured | str:
    if isinstance(reference, CategoryProfile):
        assert isinstance(measured, CategoryProfile)
        if check.kind is DriftKind.NEW_VALUES:
            return _new_values(check, measured, reference)
        return _of_cells(check.kind, distances.categories_of(reference, measured))
    if check.kind is DriftKind.BELOW_REFERENCE:
        return _below(check, measured, reference)
    if isinstance(measured, Bins):
        assert isinstance(check.metric, Histogram)
        edges = check.metric.edges
        return _of_cells(check.kind, distances.cells_between(edges, binned(reference, edges), measured.counts))
    assert isinstance(measured, NumericProfile)
    if check.kind is DriftKind.MEAN_CHANGE:
        return _mean_change(check, measured, reference)
    if check.kind in _OF_CELLS:
        return _of_cells(check.kind, distances.bins_of(reference, measured, check.bins))
    return _of_functions(check.kind, reference, measured)


def _of_cells(kind: DriftKind, cells: Sequence[Cell]) -> Told:
    value = _OF_CELLS[kind](cells)
    n, m = distances.sizes(cells)
    changed = [cell for cell in cells if cell.reference * m != cell.batch * n]
    changed.sort(key=lambda cell: -abs(cell.reference * m - cell.batch * n))
    moved = ", ".join(f"{_name(cell)} ({percent(cell.reference, n)} -> {percent(cell.batch, m)})" for cell in changed[:_MOVED])
    return Told(value, f"{_NAMES[kind]} {figure(value)}" + (f": {moved}" if moved else ""))


def _name(cell: Cell) -> str:
    if cell.category:
        return clipped(plain(cell.category))
    if not math.isfinite(cell.low):
        return f"below {figure(cell.high)}" if math.isfinite(cell.high) else "all"
    return f"{figure(cell.low)} to {figure(cell.high)}" if math.isfinite(cell.high) else f"from {figure(cell.low)}"


def _of_functions(kind: DriftKind, reference: NumericProfile, batch: NumericProfile) -> Told | str:
    if kind is DriftKind.WASSERSTEIN:
        area = distances.wasserstein(reference, batch)
        if math.isnan(area):
            return "values are infinite: the distance to them has no measure"
        medians = " -> ".join(figure(quantile(profile, 0.5) or 0.0) for profile in (reference, batch))
        return Told(area, f"{_NAMES[kind]} {figure(area)}: median {medians}")
    gap = distances.largest_gap(reference, batch)
    value: float | Fraction = gap.distance
    if kind is DriftKind.KOLMOGOROV_SMIRNOV_P:
        value = distances.kolmogorov_smirnov_p(gap, reference.total, batch.total)
    shares = " -> ".join(percent(share.numerator, share.denominator) for share in (gap.reference, gap.batch))
    return Told(value, f"{_NAMES[kind]} {figure(float(value))}" + (f": at most {figure(gap.at)} ({shares})" if gap.distance else ""))


def _new_values(check: Drifted, batch: CategoryProfile, reference: CategoryProfile) -> Told | Unmeasured:
    if batch.others or reference.others:
        which = "batch" if batch.others else "reference"
        return Unmeasured(f"the {which} holds more different values than a profile keeps, so that new ones cannot be told")
    seen = veiled(batch) if reference.veiled else batch
    known = dict(reference.categories)
    new = [entry for entry in seen.categories if entry[0] not in known]
    rows = sum(count for _, count in new)
    value = Fraction(100 * rows, batch.total) if check.threshold.percent else len(new)
    told = f"{len(new):,} new value{'' if len(new) == 1 else 's'}"
    if not new:
        return Told(value, told)
    shown = ", ".join(f"{clipped(plain(text))} ({count:,})" for text, count in new[:_NEW])
    more = ", ..." if len(new) > _NEW else ""
    return Told(value, f"{told} in {rows:,} of {batch.total:,} rows ({percent(rows, batch.total)}): {shown}{more}")


def _below(check: Drifted, measured: Measured, reference: NumericProfile) -> Told | str:
    limit = distances.below_limit(reference, check.factor or 0)
    if limit is None:
        return "the median of the reference is not a finite number above 0: a part of it says nothing"
    if isinstance(measured, Bins):
        count, whole = measured.counts[0], sum(measured.counts)
    else:
        assert isinstance(measured, NumericProfile)
        count, whole = sum(measured.counts[: bisect_left(measured.values, limit)]), measured.total
    value = Fraction(100 * count if check.threshold.percent else count, whole)
    return Told(value, f"{count:,} of {whole:,} values ({percent(count, whole)}) less than {figure(limit)}")


def _mean_change(check: Drifted, measured: NumericProfile, reference: NumericProfile) -> Told | str:
    before, after = mean(reference), mean(measured)
    if not before or not math.isfinite(before) or not math.isfinite(after):
        return "the mean of the reference is 0, or one of the two is no finite number: there is no change in parts of it"
    change = (after - before) / abs(before)
    value = 100 * change if check.threshold.percent else change
    sign = "+" if change > 0 else ""
    return Told(value, f"mean {figure(before)} -> {figure(after)} ({sign}{100 * change:.3g}%), of {measured.total:,} values")
