"""Great Expectations: one suite of all rules, result format BOOLEAN_ONLY, on pandas. The batch definition is made once.

Two forms are offered, and the benchmark reports the faster: `batch.validate(suite)` and a `ValidationDefinition` that is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rules import (
    ALLOWED,
    COLUMNS,
    COMPOSITE,
    COUNTRY_LENGTH,
    DECILES,
    DEVIATION,
    EMAIL,
    KEY,
    MEAN,
    MEDIAN,
    NAMES,
    NEWEST_AT_LEAST,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    ROWS,
)

VERSIONS = ("great-expectations", "pandas")
FORMS = ("pandas", "parquet")
UNEQUAL = {
    "psi.f8": "Kullback-Leibler divergence against the same deciles: Great Expectations has no PSI",
    "psi.f9": "Kullback-Leibler divergence against the same deciles: Great Expectations has no PSI",
    "unique.customer_id": "counts all rows of a repeated value, not those beyond the first",
    "parquet": "reads the file into pandas first",
}
_TYPES = {"string": "str", "number": "float64", "integer": "int64", "date": "datetime64[ms]", "timestamp": "datetime64[us]"}


def load(form: str, path: str, way: str = "batch") -> Callable[[], list[str]]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pyarrow.parquet as pq

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("customers")
    definition = asset.add_batch_definition_whole_dataframe("whole")
    suite = context.suites.add(gx.ExpectationSuite(name="customers", expectations=_expectations(gx.expectations)))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="customers", data=definition, suite=suite))

    def read() -> Any:
        return pq.read_table(path).to_pandas(date_as_object=False)

    held = read() if form == "pandas" else None

    def run() -> list[str]:
        frame = read() if held is None else held
        given = {"dataframe": frame}
        if way == "batch":
            result = definition.get_batch(given).validate(suite, result_format="BOOLEAN_ONLY")
        else:
            result = validation.run(batch_parameters=given, result_format="BOOLEAN_ONLY")
        return [each.expectation_config.meta["rule"] for each in result.results if not each.success]

    return run


def _expectations(gx: Any) -> list[Any]:
    def rule(kind: str, name: str, **given: Any) -> Any:
        return getattr(gx, f"Expect{kind}")(meta={"rule": name}, **given)

    found = [rule("TableColumnsToMatchSet", "schema", column_set=list(NAMES), exact_match=True)]
    found += [rule("ColumnValuesToBeOfType", "schema", column=name, type_=_TYPES[logical]) for name, logical in COLUMNS]
    found += [rule("ColumnValuesToNotBeNull", f"nulls.{name}", column=name, mostly=1 - share) for name, share in NULL_SHARES.items()]
    found += [rule("ColumnValuesToBeInSet", f"allowed.{name}", column=name, value_set=list(values)) for name, values in ALLOWED.items()]
    found += [
        rule("ColumnValuesToBeBetween", f"range.{name}", column=name, min_value=low, max_value=high) for name, (low, high) in RANGES.items()
    ]
    found += [
        rule("ColumnValuesToBeUnique", "unique.customer_id", column=KEY),
        rule("CompoundColumnsToBeUnique", "unique.composite", column_list=list(COMPOSITE)),
        rule("ColumnValuesToMatchRegex", "pattern.email", column="email", regex=EMAIL),
        rule("TableRowCountToBeBetween", "rows", min_value=ROWS[0], max_value=ROWS[1]),
        rule("ColumnMaxToBeBetween", "newest.updated_at", column="updated_at", min_value=NEWEST_AT_LEAST),
        rule("ColumnPairValuesAToBeGreaterThanB", "ordered.opened_updated", column_A="updated_at", column_B="opened_at", or_equal=True),
        rule("ColumnMeanToBeBetween", "mean.f5", column="f5", min_value=MEAN["f5"][0], max_value=MEAN["f5"][1]),
        rule("ColumnStdevToBeBetween", "deviation.f6", column="f6", min_value=DEVIATION["f6"][0], max_value=DEVIATION["f6"][1]),
        rule("ColumnMedianToBeBetween", "median.f7", column="f7", min_value=MEDIAN["f7"][0], max_value=MEDIAN["f7"][1]),
        *(_divergence(rule, name) for name in DECILES),
        rule("ColumnValueLengthsToEqual", "length.country", column="country", value=COUNTRY_LENGTH),
    ]
    return found


def _divergence(rule: Callable[..., Any], name: str) -> Any:
    outer = {"bins": list(DECILES[name]), "weights": [0.1] * 8, "tail_weights": [0.1, 0.1]}
    return rule("ColumnKLDivergenceToBeLessThan", f"psi.{name}", column=name, partition_object=outer, threshold=PSI_AT_MOST)
