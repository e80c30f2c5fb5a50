"""How many rows may, or must, be something: what thresholds allow, and of that what is plausible. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import Metric, Missing, Nulls
from dagster_contracts.core.plan import Threshold
from dagster_contracts.core.rules import meets
from dagster_contracts.mocking.wanted import Wanted

_NULLS = Fraction(1, 20)  # of a column that may have some, where no rule says how many
_FAR = 10**9


def nearest(thresholds: Sequence[Threshold], wished: int, rows: int | None = None) -> int | None:
    """The number nearest to `wished` that all thresholds accept, of `rows` rows at most; None where there is none."""
    ends = {0, wished, *(() if rows is None else (rows,))}
    for threshold in thresholds:
        for value in threshold.value if isinstance(threshold.value, tuple) else (threshold.value,):
            edge = int(Fraction(str(value)) * (Fraction(rows or 0, 100) if threshold.percent else 1))
            ends |= {edge - 1, edge, edge + 1}
    most = _FAR if rows is None else rows
    fitting = [count for count in ends if 0 <= count <= most and all(_meets(each, count, rows) for each in thresholds)]
    return min(fitting, key=lambda count: (abs(count - wished), count), default=None)


def _meets(threshold: Threshold, count: int, rows: int | None) -> bool:
    if not threshold.percent:
        return meets(threshold, count)
    return not rows or meets(threshold, Fraction(100 * count, rows))


def nulls(wanted: Wanted, rows: int) -> int | None:
    """How many values are null; None where no number of them keeps all rules."""
    about = [threshold for metric, threshold in wanted.counted if _counts_nulls(metric)]
    return nearest(about, 0 if _rare(about) else round(rows * _NULLS), rows)


def _rare(thresholds: Sequence[Threshold]) -> bool:
    return any(threshold.operator is Operator.MUST_BE and threshold.value == 0 for threshold in thresholds)


def _counts_nulls(metric: Metric) -> bool:
    return isinstance(metric, Nulls) or (isinstance(metric, Missing) and None in metric.values)
