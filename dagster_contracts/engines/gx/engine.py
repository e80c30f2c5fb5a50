"""Great Expectations rules: all expectations of a batch in one run of GX, on a pandas frame of the columns they name.

GX takes seconds to import, so that it is imported where a batch is measured by it and nowhere else. No Data Context is made: a context is
a global of the process, which may be the user's, and it brings stores and progress bars that nobody here needs.

What GX raises means that it could not tell, and never that the data is bad.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from dagster_contracts.core.metrics import ColumnType, Expectation
from dagster_contracts.core.verdict import Answer, Measured, NotApplicable, Unmeasured
from dagster_contracts.core.wording import clipped, figure, percent, plain
from dagster_contracts.engines.gx.arguments import problem_of, with_dates, with_instants
from dagster_contracts.engines.polars.frames import FAILURES, Frame, read
from dagster_contracts.engines.typed import typed

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

_SHOWN = 20  # failing rows
_EXAMPLES = 5  # unexpected values in a sentence
_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
_EXACT = 2**53  # integers up to it are floats
_FORM = {"result_format": "SUMMARY", "partial_unexpected_count": _SHOWN}
_ROW_COUNTS = ("expect_table_row_count_to_be_between", "expect_table_row_count_to_equal")
_SHAPES = ("expect_column_to_exist", "expect_table_column")  # they look at the names of all columns, and at no value
# GX 1.24.1 gives all of these on one column of one run the quantiles that the first one asks for.
CONFUSED = ("expect_column_quantile_values_to_be_between",)
_CONDITIONS = ("row_condition", "condition_parser")


def measure_expectations(data: object, expectations: Sequence[Expectation]) -> dict[Expectation, Measured]:
    """What GX says of each expectation, with up to 20 failing rows of those that count rows.

    `data` is a frame that can be read more than once (no RecordBatchReader). An expectation that is unknown, has wrong arguments or
    raises is Unmeasured, alone; one of a column that is not there is NotApplicable. Never raises for data.
    """
    try:
        frame = read(data, ())
        batch, needs = _Batch.of(frame), {each: _need(each) for each in expectations}
        answers: dict[Expectation, Measured] = {each: why for each, need in needs.items() if (why := batch.lacks(need)) is not None}
        left = {each: need for each, need in needs.items() if each not in answers}
        configurations = _configurations(left, answers)
        if configurations:
            table = batch.table(data, [left[each] for each in configurations], dict(expectations[0].types))
            answers.update(_all_asked(table, _fitted(configurations, table), frame))
    except FAILURES as error:
        failed = Unmeasured(f"Great Expectations could not read the data ({type(error).__name__})", str(error).strip())
        return dict.fromkeys(expectations, failed)
    return {each: answers[each] for each in expectations}


def own_types() -> frozenset[str]:
    """The expectations that the installed Great Expectations brings along, read off its files: importing it takes seconds."""
    found = find_spec("great_expectations")
    if found is None or found.origin is None:
        return frozenset()
    return frozenset(path.stem for path in (Path(found.origin).parent / "expectations" / "core").glob("expect_*.py"))


def near_type(kind: str, known: Iterable[str]) -> str | None:
    """The expectation that `kind` is probably meant to be."""
    near = get_close_matches(kind, list(known), n=1, cutoff=0.85)  # names of expectations are much alike
    return near[0] if near else None


def unknown_type(kind: str, known: Iterable[str]) -> str:
    """That GX knows no such expectation, with the one it is probably meant to be."""
    near = near_type(kind, known)
    return f"Great Expectations has no {clipped(kind)}" + (f', did you mean "{near}"?' if near else "")


def whole_table(data: object, types: Mapping[str, ColumnType]) -> pd.DataFrame:
    """All columns of a frame as pandas, text converted to what it stands for in `types`. Raises what reading raises."""
    return _Batch.of(read(data, ())).table(data, [_Need(None, names=True)], types)


# --- what each expectation looks at --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Need:
    """`columns` whose values an expectation looks at (None: it does not say), and whether it looks at the names of all."""

    columns: tuple[str, ...] | None
    names: bool = False


def _need(expectation: Expectation) -> _Need:
    arguments = json.loads(expectation.arguments)
    if expectation.type in _ROW_COUNTS and not any(arguments.get(key) for key in _CONDITIONS):
        return _Need(())
    if expectation.type.startswith(_SHAPES):
        return _Need((), names=True)
    listed = arguments.get("column_list")
    named = [arguments.get("column"), arguments.get("column_A"), arguments.get("column_B"), *(listed if isinstance(listed, list) else ())]
    columns = tuple(dict.fromkeys(name for name in named if isinstance(name, str)))
    if not columns or any(arguments.get(key) for key in _CONDITIONS):
        return _Need(None, names=True)
    return _Need(columns)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The columns of a batch by name, and how often each is there."""

    names: tuple[str, ...]
    times: Mapping[str, int]

    @classmethod
    def of(cls, frame: Frame) -> _Batch:
        names = tuple(column.name for column in frame.columns)
        return cls(names, Counter(names))

    def lacks(self, need: _Need) -> NotApplicable | None:
        for column in need.columns or ():
            if self.times.get(column, 0) != 1:
                found = self.times.get(column, 0)
                return NotApplicable(f"column {column} {f'appears {found} times' if found else 'is missing'}")
        return None

    def table(self, data: object, needs: Iterable[_Need], types: Mapping[str, ColumnType]) -> pd.DataFrame:
        """The columns that are needed as pandas, each at its place among `names` where those are looked at too.

        A pandas column stays as it is, but for text that stands for something else (see typed). Columns of which only the name is
        needed hold zeros. Rows are numbered from 0.
        """
        import pandas as pd

        needs = list(needs)
        whole = any(need.columns is None for need in needs)
        wanted = {name for need in needs for name in need.columns or ()} if not whole else {n for n in self.names if self.times[n] == 1}
        own = data if isinstance(data, pd.DataFrame) else None
        converted = _converted(data, wanted, types, only_text=own is not None)
        rows = len(own) if own is not None else _height(data)
        columns = {}
        for place, name in enumerate(self.names):
            if name in converted:
                columns[place] = converted[name]
            elif own is not None and (name in wanted or whole):
                columns[place] = own.iloc[:, place].reset_index(drop=True)
            elif any(need.names for need in needs):
                columns[place] = pd.Series(0, index=range(rows), dtype="int8")
        table = pd.DataFrame(columns, index=pd.RangeIndex(rows))
        table.columns = pd.Index([self.names[place] for place in columns])
        return table


def _converted(data: object, wanted: set[str], types: Mapping[str, ColumnType], *, only_text: bool) -> dict[str, pd.Series]:
    if only_text:
        wanted = {name for name in wanted if name in types and types[name].logical != "string"}
    frame = read(data, wanted)
    if only_text:
        text = {name for name, dtype in frame.schema.items() if dtype == pl.String and name not in frame.mixed}
        frame = read(data, text & wanted)
    if not frame.schema:
        return {}
    found = typed(frame, types).collect()
    table = found.to_pandas()
    return {str(name): table[name] if own is None else own for name in table.columns for own in [_otherwise(found[str(name)])]}


def _otherwise(column: pl.Series) -> pd.Series | None:
    """What pandas would take amiss, as pandas has it; None of other columns.

    Integers with nulls are its nullable ones: its floats are not exact and read 1 as 1.0. A column without a value says nothing of its
    type: as text, GX could evaluate no figure of it.
    """
    import pandas as pd

    if column.dtype in (pl.String, pl.Null) and column.null_count() == len(column):
        return pd.Series([None] * len(column), dtype=object)
    if column.dtype not in _INTEGERS or not column.null_count():
        return None
    return pd.Series(pd.arrays.IntegerArray(column.fill_null(0).to_numpy(writable=True), column.is_null().to_numpy(writable=True)))


def _height(data: object) -> int:
    found = read(data, ()).lazy
    return int(found.select(pl.len()).collect().item())


# --- the run -------------------------------------------------------------------------------------------------------


def _configurations(
    expectations: Iterable[Expectation], answers: dict[Expectation, Measured]
) -> dict[Expectation, ExpectationConfiguration]:
    """Each expectation as GX takes it. Those it does not know, or not with these arguments, are answered at once."""
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    made: dict[Expectation, ExpectationConfiguration] = {}
    for number, expectation in enumerate(expectations):
        arguments = json.loads(expectation.arguments)
        if (problem := problem_of(arguments)) is not None:
            answers[expectation] = Unmeasured(f"{expectation.type} is not run: {problem}")
            continue
        configuration = ExpectationConfiguration(type=expectation.type, kwargs=arguments, meta={"number": number})
        try:
            configuration.to_domain_obj()
        except ExpectationNotFoundError:
            answers[expectation] = Unmeasured(unknown_type(expectation.type, list_registered_expectation_implementations()))
        except FAILURES as error:
            answers[expectation] = Unmeasured(f"Great Expectations does not take {expectation.type} with these arguments", _brief(error))
        else:
            made[expectation] = configuration
    return made


def _rounds(configurations: Mapping[Expectation, ExpectationConfiguration]) -> list[dict[Expectation, ExpectationConfiguration]]:
    """What may run together: everything, but for a second expectation of CONFUSED on the same column."""
    rounds: list[dict[Expectation, ExpectationConfiguration]] = [{}]
    met: Counter[object] = Counter()
    for expectation, configuration in configurations.items():
        number = 0
        if expectation.type in CONFUSED:
            column = configuration.kwargs.get("column")
            number = met[column]
            met[column] += 1
        rounds.extend({} for _ in range(number + 1 - len(rounds)))
        rounds[number][expectation] = configuration
    return rounds


def _fitted(
    configurations: Mapping[Expectation, ExpectationConfiguration], table: pd.DataFrame
) -> dict[Expectation, ExpectationConfiguration]:
    """The same, with dates and times that are written as text turned into what the values of their column compare with."""
    import pandas as pd

    for configuration in configurations.values():
        column = configuration.kwargs.get("column")
        if column not in table.columns or table.columns.tolist().count(column) != 1:
            continue
        values = table[column]
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            configuration.kwargs = with_instants(configuration.kwargs, getattr(values.dtype, "tz", None))
        elif values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "date":
            configuration.kwargs = with_dates(configuration.kwargs)
    return dict(configurations)


def _all_asked(
    table: pd.DataFrame, configurations: Mapping[Expectation, ExpectationConfiguration], frame: Frame
) -> dict[Expectation, Measured]:
    """What GX cannot evaluate on nullable integers is asked once more of floats, where they are as exact."""
    answers = {each: answer for together in _rounds(configurations) for each, answer in _asked(table, together, frame).items()}
    crashed = {each: configurations[each] for each, answer in answers.items() if isinstance(answer, Unmeasured)}
    if crashed and (floats := _as_floats(table)):
        for together in _rounds(crashed):
            answers.update(_asked(table.assign(**floats), together, frame))
    return answers


def _as_floats(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The nullable integers of the table that are floats exactly. The whole table's columns have names of their own where it has any."""
    import pandas as pd

    nullable = [name for name, dtype in table.dtypes.items() if isinstance(dtype, pd.core.arrays.integer.IntegerDtype)]
    return {str(name): table[name].astype("float64") for name in nullable if table[name].abs().max() <= _EXACT}


def _asked(
    table: pd.DataFrame, configurations: Mapping[Expectation, ExpectationConfiguration], frame: Frame
) -> dict[Expectation, Measured]:
    """One run of all; where GX gives it up as a whole, each expectation by itself."""
    try:
        return _run(table, configurations, frame)
    except FAILURES as error:
        if len(configurations) == 1:
            return dict.fromkeys(configurations, _crashed(next(iter(configurations)), _brief(error)))
    alone = (_asked(table, {expectation: configuration}, frame) for expectation, configuration in configurations.items())
    return {expectation: answer for one in alone for expectation, answer in one.items()}


def _run(table: pd.DataFrame, configurations: Mapping[Expectation, ExpectationConfiguration], frame: Frame) -> dict[Expectation, Measured]:
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    validator = Validator(execution_engine=PandasExecutionEngine(batch_data_dict={"batch": table}))
    validator.metrics_calculator.show_progress_bars = False
    results: list[Any] = list(validator.graph_validate(list(configurations.values()), {"catch_exceptions": True, "result_format": _FORM}))
    told = {result.expectation_config.meta["number"]: result for result in results}
    return {
        expectation: _answer(expectation, told[configuration.meta["number"]], frame)
        for expectation, configuration in configurations.items()
    }


def _answer(expectation: Expectation, told: Any, frame: Frame) -> Measured:
    info = told.exception_info or {}
    raised = [entry for entry in ([info] if "raised_exception" in info else info.values()) if entry["raised_exception"]]
    if raised or told.success is None:
        return _crashed(expectation, str(raised[0]["exception_message"]).strip() if raised else "")
    result = told.result
    positions = [int(place) for place in result.get("partial_unexpected_index_list") or ()][:_SHOWN]
    return Answer(
        met=bool(told.success),
        observed=_observed(result),
        failing_rows=int(result["unexpected_count"]) if "element_count" in result else None,
        sample=() if told.success else _rows(frame, positions),
        examples=_examples(result),
    )


def _rows(frame: Frame, positions: list[int]) -> tuple[Mapping[str, object], ...]:
    try:
        return tuple(frame.rows(positions)) if positions else ()
    except FAILURES:
        return ()  # evidence is a courtesy: the answer stands without it


def _crashed(expectation: Expectation, words: str) -> Unmeasured:
    return Unmeasured(f"Great Expectations could not evaluate {expectation.type}", words)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())


# --- in words ------------------------------------------------------------------------------------------------------


def _observed(result: Mapping[str, Any]) -> str:
    """What was found, without a value of the data that is not a figure."""
    if "element_count" in result:
        count, looked = int(result["unexpected_count"]), int(result["element_count"]) - int(result.get("missing_count") or 0)
        return f"{count:,} of {looked:,} values unexpected" + (f" ({percent(count, looked)})" if looked else "")
    found = _plain(result.get("observed_value"))
    if found is None:
        unexpected = result.get("unexpected_count")
        return f"{unexpected:,} values unexpected" if unexpected is not None else "nothing to observe"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, int | float):
        return figure(found)
    if isinstance(found, Mapping) and {"quantiles", "values"} <= set(found):
        return ", ".join(f"quantile {at}: {figure(value)}" for at, value in zip(found["quantiles"], found["values"], strict=True))
    return f"{len(found):,} found" if isinstance(found, list | tuple | set) else "not a figure"


def _examples(result: Mapping[str, Any]) -> str:
    """Values that were found, the most frequent unexpected ones first."""
    counted = result.get("partial_unexpected_counts") or ()
    if counted:
        ordered = sorted((each for each in counted if "value" in each), key=lambda each: -each["count"])
        shown = [f"{_quoted(each['value'])} ({each['count']:,})" for each in ordered[:_EXAMPLES]]
    else:
        found = result.get("partial_unexpected_list") or result.get("observed_value")
        listed = [found] if isinstance(found, str) else list(found) if isinstance(found, list | tuple | set) else []
        shown = [_quoted(value) for value in listed[:_EXAMPLES]]
    return ", ".join(shown)


def _quoted(value: object) -> str:
    return clipped(plain(_plain(value)))


def _plain(value: Any) -> Any:
    """Numbers of NumPy, also within tuples, as those of Python."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
