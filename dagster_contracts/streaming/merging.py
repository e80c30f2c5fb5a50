"""A MetricEngine whose data are measurements: of the micro-batches of a time window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster_contracts.core.merge import merged, parts_of
from dagster_contracts.core.metrics import Metric
from dagster_contracts.core.verdict import Measurement, Sample, Unmeasured
from dagster_contracts.core.windows import Part, from_document
from dagster_contracts.ports import NO_OTHERS, Division, Related


class MergingEngine:
    """`data` is a list of Parts of one window, or why they cannot be put together. Their rows are gone: no samples, nothing to divide."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        if isinstance(data, Unmeasured):
            return data
        assert isinstance(data, list)
        parts: list[Part] = data
        versions = sorted({part.contract_version for part in parts})
        if len(versions) > 1:
            return Unmeasured(f"the contract changed within the window: {', '.join(versions)}")
        needed = parts_of(metrics)
        return merged(metrics, [from_document(part.document, needed) for part in parts])

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return {}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return None
