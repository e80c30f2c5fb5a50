"""Data Docs of Great Expectations for a contract: its suite, and what one batch makes of it, as HTML."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.core.metrics import ColumnType
from dagster_contracts.core.plan import NotExecuted, Plan
from dagster_contracts.engines.gx.arguments import problem_of
from dagster_contracts.engines.gx.engine import CONFUSED, whole_table
from dagster_contracts.engines.gx.suite import Suite, suite_of
from dagster_contracts.engines.polars.frames import FAILURES

_SITE = "contract"


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the pages begin, the page of the batch, how many expectations it shows and how many were met, and the rules left out.

    The index lists its pages by a script from the network: without one, the page itself is the way in.
    """

    index: Path
    page: Path
    expectations: int
    met: int
    left_out: tuple[NotExecuted, ...]


def build_docs(plan: Plan, types: Mapping[str, ColumnType], data: object, batch: str, folder: Path) -> Pages:
    """Write the pages of a plan and of `data` (a frame; called `batch`) into `folder`, beside what is there.

    Text columns are read as what they stand for in `types`. Where the contract has classified columns or wants no samples, the pages say
    whether an expectation is met, and quote nothing. Raises MeasurementError where GX does not get to the end.
    """
    suite = suite_of(plan)
    try:
        expectations, left_out = _shown(suite)
        told = _run(suite, expectations, whole_table(data, types), batch, folder, quoting=not plan.masked and plan.samples)
    except FAILURES as error:
        words = " ".join(str(error).split())
        raise MeasurementError(f"Great Expectations could not make the pages ({type(error).__name__}): {words}") from error
    page = max(folder.glob("validations/**/*.html"), key=lambda path: path.stat().st_mtime_ns)
    met = sum(bool(result.success) for result in told)
    return Pages(folder / "index.html", page, len(told), met, (*suite.left_out, *left_out))


def _shown(suite: Suite) -> tuple[list[Any], list[NotExecuted]]:
    """The expectations as GX takes them, and those that it does not."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    taken: list[Any] = []
    left_out: list[NotExecuted] = []
    confused: set[object] = set()
    for entry in suite.expectations:
        problem = problem_of(entry["kwargs"])
        if entry["type"] in CONFUSED and (column := entry["kwargs"].get("column")) in confused:
            problem = f"Great Expectations mixes up several {entry['type']} of one column"
        elif entry["type"] in CONFUSED:
            confused.add(column)
        if problem is None:
            try:
                taken.append(ExpectationConfiguration(**entry).to_domain_obj())
                continue
            except FAILURES as error:
                problem = f"Great Expectations does not take it: {' '.join(str(error).split())}"
        meta = entry["meta"]
        left_out.append(NotExecuted(meta["rule"], problem, Severity(meta["severity"]), Clause(meta["dimension"])))
    return taken, left_out


def _run(suite: Suite, expectations: list[Any], table: Any, batch: str, folder: Path, *, quoting: bool) -> list[Any]:
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    _only_site(context, folder)
    named = _plain(suite.document["name"])
    made = context.suites.add(gx.ExpectationSuite(name=named, expectations=expectations, meta=dict(suite.document["meta"])))
    asset = context.data_sources.add_pandas("contract").add_dataframe_asset(_plain(batch))
    asked = gx.ValidationDefinition(name=named, data=asset.add_batch_definition_whole_dataframe("whole"), suite=made)
    form = {"result_format": "SUMMARY" if quoting else "BOOLEAN_ONLY"}
    found = context.validation_definitions.add(asked).run(batch_parameters={"dataframe": table}, result_format=form)
    context.build_data_docs(site_names=[_SITE])
    return list(found.results)


def _only_site(context: Any, folder: Path) -> None:
    """The pages go to `folder`, and not to the temporary folder that a new context makes for them."""
    for name, site in dict(context.list_data_docs_sites()).items():
        context.delete_data_docs_site(name)
        with contextlib.suppress(OSError):
            Path(site["store_backend"]["base_directory"]).rmdir()
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
    context.add_data_docs_site(_SITE, {**site, "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}})


def _plain(name: str) -> str:
    """A name that becomes no folders: GX splits names at dots, and takes them as paths."""
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "contract"
