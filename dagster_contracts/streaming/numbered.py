"""An engine around another that tells which rows of a Polars frame were set aside: messages have to be told apart as their rows were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dagster_contracts.core.metrics import Metric
from dagster_contracts.core.verdict import Measurement, Sample, Unmeasured
from dagster_contracts.ports import NO_OTHERS, Division, MetricEngine, Related

_ROW = "\x00message"


class NumberedEngine:
    """Rows get their number only where a frame is divided, and it is never measured."""

    def __init__(self, engine: MetricEngine):
        self._engine = engine

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        return self._engine.measure(_plain(data), metrics, related)

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return self._engine.samples(_plain(data), metrics, limit, related)

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        import polars as pl

        return self._engine.divide(data.with_row_index(_ROW) if isinstance(data, pl.DataFrame) else data, rules, related)


def places(set_aside: object | None, reasons: str) -> Iterator[tuple[int, str]]:
    """Number and reasons of the rows of a divided frame that were set aside; nothing where none were."""
    import polars as pl

    if isinstance(set_aside, pl.DataFrame) and _ROW in set_aside.columns:
        yield from zip(set_aside[_ROW].to_list(), set_aside[reasons].to_list(), strict=True)


def _plain(data: object) -> object:
    import polars as pl

    return data.drop(_ROW) if isinstance(data, pl.DataFrame) and _ROW in data.columns else data
