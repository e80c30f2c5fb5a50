"""The default engine: what each metric needs, in this process. SQL goes to DuckDB, expectations to Great Expectations, the rest to Polars.

DuckDB and Great Expectations are imported only where a batch has a rule for them. An ibis Table is measured by its own database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.metrics import Expectation, Metric, Query
from dagster_contracts.core.verdict import Measured, Measurement, Sample, Unmeasured
from dagster_contracts.engines.files.engine import FilesEngine
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.engines.polars.frames import FAILURES
from dagster_contracts.ports import NO_OTHERS, Division, MetricEngine, Related

if TYPE_CHECKING:
    from dagster_contracts.engines.pushdown.engine import IbisEngine


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Measures pandas, Polars and Arrow frames, and ibis Tables. Holds no state; one instance may be shared by threads."""

    frames: PolarsEngine = field(default_factory=PolarsEngine)

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """As PolarsEngine, with queries and expectations. What none of them can measure is Unmeasured; never raises for data."""
        if is_database_table(data):
            return _pushdown().measure(data, metrics, related)
        queries = [metric for metric in metrics if isinstance(metric, Query)]
        expectations = [metric for metric in metrics if isinstance(metric, Expectation)]
        if queries or expectations:
            try:
                data = read_once(data)
            except FAILURES as error:
                return Unmeasured(f"the data could not be read ({type(error).__name__})", str(error).strip())
        found = self.frames.measure(data, [metric for metric in metrics if not isinstance(metric, Query | Expectation)], related)
        if isinstance(found, Unmeasured) or not (queries or expectations):
            return found
        values: dict[Metric, Measured] = dict(found.values)
        values.update(_queried(data, queries, related))
        values.update(_expected(data, expectations))
        return replace(found, values={metric: values[metric] for metric in metrics if metric in values})

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return (_pushdown() if is_database_table(data) else self.frames).samples(data, metrics, limit, related)

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return (_pushdown() if is_database_table(data) else self.frames).divide(data, rules, related)


def default_engine() -> MetricEngine:
    """What measures every kind of data that this package reads: frames, paths and addresses of files, ibis Tables."""
    return FilesEngine(LocalEngine())


def is_database_table(data: object) -> bool:
    """Whether it is an ibis Table, told without importing ibis."""
    return any(kind.__module__.startswith("ibis.") and kind.__name__ == "Table" for kind in type(data).__mro__)


def _pushdown() -> IbisEngine:
    from dagster_contracts.engines.pushdown.engine import IbisEngine

    return IbisEngine()


def read_once(data: object) -> object:
    """What can be read only once as something that can be read again."""
    if type(data).__module__.partition(".")[0] != "pyarrow":
        return data
    import pyarrow as pa

    return data.read_all() if isinstance(data, pa.RecordBatchReader) else data


def _queried(data: object, queries: Sequence[Query], related: Related) -> Mapping[Any, Measured]:
    if not queries:
        return {}
    from dagster_contracts.engines.sql.duck import measure_queries

    return measure_queries(data, queries, related)


def _expected(data: object, expectations: Sequence[Expectation]) -> Mapping[Any, Measured]:
    if not expectations:
        return {}
    from dagster_contracts.engines.gx.engine import measure_expectations

    return measure_expectations(data, expectations)
