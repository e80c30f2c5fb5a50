"""What people see on the asset page: routes, verdicts and refusals as Dagster metadata, tags and sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import dagster as dg

from dagster_contracts.core.breaker import enforced_open
from dagster_contracts.core.contract import least
from dagster_contracts.core.inert import LINE, shown
from dagster_contracts.core.ledger import IN_PLACE, Partition, Route, RouteKind, Status
from dagster_contracts.core.route import is_left_out, misaligned
from dagster_contracts.core.state import failures
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.judgement import Judgement, Terms
from dagster_contracts.ports import Division

CONFIDENCE = "contracts/confidence"
Behind = Mapping[Route, frozenset[Partition]]  # what was served, with the partitions that it was made from in its turn
OutputT = TypeVar("OutputT", dg.Output[Any], dg.MaterializeResult[Any])


def with_routes(event: OutputT, routes: Sequence[Route], behind: Behind = MappingProxyType({})) -> OutputT:
    """The output, marked with the confidence of what it was made from. Unmarked where no contract had a say."""
    if not routes:
        return event
    confidence = least(route.confidence for route in routes if route.confidence is not None)
    metadata: dict[str, Any] = {CONFIDENCE: str(confidence), "contracts/served": _table_of_routes(routes)}
    fallback: list[Route] = [route for route in routes if route.kind not in (RouteKind.FRESH, RouteKind.UNJUDGED)]
    if fallback:
        metadata["contracts/served_partition"] = ", ".join(map(_read, fallback))
        metadata["contracts/breaker"] = ", ".join(dict.fromkeys(route.breaker_key for route in fallback if route.breaker_key))
        metadata["contracts/contract_version"] = ", ".join(dict.fromkeys(r.contract_version for r in fallback if r.contract_version))
    if apart := misaligned(routes, behind):
        told = {place: ", ".join(_read(route) + _made_from(route, behind) for route in several) for place, several in apart.items()}
        metadata["contracts/misaligned"] = "; ".join(f"[{place}]: {several}" for place, several in told.items())
    if why := next((route.reason for route in [*fallback, *routes] if route.reason), ""):
        metadata["contracts/why"] = why  # of a fallback; or, of fresh data, who released it despite its verdict
    tags = {CONFIDENCE: str(confidence)}
    if any(route.kind is not RouteKind.FRESH for route in routes):
        tags["contracts/route"] = "-".join(sorted({str(route.kind) for route in routes}))
    return _extended(event, inert(metadata), tags)


def _read(route: Route) -> str:
    return f"{route.upstream} without [{route.requested}]" if is_left_out(route) else f"{route.upstream} [{route.served}]"


def _made_from(route: Route, behind: Behind) -> str:
    places = behind.get(route, frozenset())
    return "" if not places or places == {route.served} else f" made from {', '.join(f'[{place}]' for place in sorted(map(str, places)))}"


def fallback_of(routes: Sequence[Route]) -> tuple[str, ...]:
    """The breakers whose fallback data a step was given."""
    kinds = (RouteKind.FRESH, RouteKind.UNJUDGED)
    return tuple(dict.fromkeys(route.breaker_key for route in routes if route.kind not in kinds and route.breaker_key is not None))


def with_told(event: OutputT, told: Mapping[str, Any]) -> OutputT:
    return _extended(event, told, {})


def with_rows_set_aside(event: dg.Output[Any], division: Division, place: dg.AssetKey) -> dg.Output[Any]:
    """The output without the rows that were set aside, with their number and where they are."""
    told = {"contracts/quarantined_rows": division.rows, "contracts/quarantined_rows_location": "/".join(place.path)}
    return _extended(with_value(event, division.kept), told, {})


def with_value(event: dg.Output[Any], value: object) -> dg.Output[Any]:
    return dg.Output(value, output_name=event.output_name, metadata=event.metadata, data_version=event.data_version, tags=event.tags)


def inert(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with every text made so that a page takes none of it for markup. Tables are made so where they are made."""
    return {name: shown(value) if isinstance(value, str) else value for name, value in metadata.items()}


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """A table of strangers' texts; `columns` are names with their types."""
    records = [dg.TableRecord({name: shown(cell, LINE) if isinstance(cell, str) else cell for name, cell in row.items()}) for row in rows]
    return dg.TableMetadataValue(records, dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()]))


def of_judgement(judgement: Judgement) -> dict[str, Any]:
    verdict = judgement.verdict
    told = {
        "contracts/outcome": str(verdict.outcome),
        "contracts/contract": f"{verdict.contract_id} {verdict.contract_version}",
        "contracts/rows": verdict.rows if verdict.rows is not None else "not measured",
        "contracts/rules_failed": sum(finding.outcome is Outcome.FAIL for finding in verdict.findings),
        "contracts/rules_executed": len(verdict.findings),
        "contracts/rules_not_executed": len(verdict.not_executed),
        "contracts/location": _location(judgement),
        **{f"contracts/failing_percent/{clause}": share for clause, share in verdict.failing_percent.items()},
        "contracts/findings": table_of_findings(verdict),
    }
    if failing := table_of_failing_rows(verdict.findings):
        told["contracts/failing_rows"] = failing
    return inert(told)


def of_halt(routes: Sequence[Route]) -> dict[str, Any]:
    worst = next((route for route in routes if route.kind is RouteKind.HALTED), None)
    told: dict[str, Any] = {"contracts/halted": True, "contracts/why": worst.reason if worst else ""}
    if worst is not None and worst.breaker_key:
        told["contracts/breaker"] = worst.breaker_key
    if worst is not None and worst.since:
        told["contracts/since"] = dg.MetadataValue.timestamp(worst.since)
    if worst is not None and worst.retry_at:
        told["contracts/next_probe_after"] = dg.MetadataValue.timestamp(worst.retry_at)
    return inert({**told, "contracts/served": _table_of_routes(routes)})


def halt(consumers: Sequence[str], worst: Route) -> str:
    """Why a step was halted. The first line says it all: what, since when, until when, and what was found; the second explains."""
    what = f"Halted: {', '.join(consumers)} may not read {worst.upstream} [{worst.requested}]"
    if worst.since is None:
        return f"{what}. {worst.reason}"
    until = f", next probe after {worst.retry_at:%Y-%m-%d %H:%MZ}" if worst.retry_at else ""
    found = f": {worst.findings[0]}" if worst.findings else ""
    return f"{what}. {worst.breaker_key or worst.upstream} is open since {worst.since:%Y-%m-%d %H:%MZ}{until}{found}\n{worst.reason}"


def kept_back(refused: Sequence[Judgement]) -> str:
    """How many of a range were refused, and how many did not go on for other reasons, with the first of each."""
    words = {Status.QUARANTINED: "refused", Status.PUBLISHED: "published before"}
    places: dict[str, list[Partition]] = {}
    for judgement in refused:
        unknown = judgement.batch.outcome is Outcome.INCONCLUSIVE
        word = "held, as it could not be judged" if unknown else words.get(judgement.batch.status, "held")
        places.setdefault(word, []).append(judgement.batch.partition)
    return ", ".join(
        f"{len(found)} {'was' if len(found) == 1 else 'were'} {word} ({'' if len(found) == 1 else 'first '}{found[0]})"
        for word, found in places.items()
    )


def refusal(terms: Terms, judgement: Judgement) -> str:
    """Why a batch was not published, where it is, and what happens next, as one paragraph."""
    batch, breaker = judgement.batch, judgement.breaker
    place = f"{batch.asset} [{batch.partition}]"
    failed = failures(judgement.verdict)
    found = batch.staged == IN_PLACE
    told = "; ".join(failed[:3]) + (f"; and {len(failed) - 3} more" if len(failed) > 3 else "")
    state = f"The breaker {breaker.key} is {breaker.state}" + (
        f" until a probe passes, next after {breaker.retry_at:%Y-%m-%d %H:%MZ}" if breaker.retry_at else ""
    )
    if batch.status is Status.PUBLISHED:
        stands = "was written again and measures" if found else "was not written again: it measures"
        other = "" if found else " If its values are others, run it again once the breaker is closed, or give the output a DataVersion."
        return f"{place} {stands} as the batch that is published{f', though {told}' if told else ''}.{other} {state}."
    if batch.status is Status.QUARANTINED:
        whole = f" Rows were not set aside: {judgement.undivided}." if judgement.undivided else ""
        where = "It stands where it was found; no gated consumer is given it as fresh." if found else "Nothing of it was published."
        return f"{place} was refused and quarantined: {told} (contract {terms.version}). {where}{whole} {state}."
    if batch.outcome is Outcome.INCONCLUSIVE:
        why = next(
            (f"{f.rule}: {f.observed}" for f in judgement.verdict.findings if f.outcome is Outcome.INCONCLUSIVE), "nothing was measured"
        )
        again = f"Run it again, or `dagster-contracts batch rejudge {batch.asset}`"
        return f"{place} could not be judged and is held: {why} (contract {terms.version}). {again}. {state}."
    if enforced_open(breaker, batch.updated_at):
        return f"{place} passed and is held: it arrived while the breaker was {breaker.state}. {state}."
    return f"{place} is held."


def table_of_findings(verdict: Verdict) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int]] = [
        {
            "rule": finding.rule,
            "outcome": str(finding.outcome),
            "severity": str(finding.severity),
            "observed": finding.observed,
            "expected": finding.expected,
            "failing_rows": finding.failing_rows if finding.failing_rows is not None else 0,
        }
        for finding in sorted(verdict.findings, key=lambda finding: _ORDER[finding.outcome])
    ]
    texts = ("rule", "outcome", "severity", "observed", "expected")
    return table(rows, {**dict.fromkeys(texts, "string"), "failing_rows": "int"})


def table_of_failing_rows(findings: Iterable[Finding]) -> dg.TableMetadataValue | None:
    """Some of the rows that broke rules, as the verdict shows them: classified columns are masked there. None where it shows none."""
    rows = [{"rule": finding.rule, **row} for finding in findings for row in finding.sample[:_ROWS_OF_A_RULE]][:_FAILING_ROWS]
    columns = list(dict.fromkeys(name for row in rows for name in row))[:_FAILING_COLUMNS]
    if not rows:
        return None
    names = {name: shown(name, LINE) for name in columns}
    return table([{names[name]: _cell(row.get(name)) for name in columns} for row in rows], dict.fromkeys(names.values(), "string"))


def _cell(value: object) -> str:
    return "null" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_ROWS_OF_A_RULE, _FAILING_ROWS, _FAILING_COLUMNS = 3, 20, 30

_ORDER = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.WARN: 2, Outcome.PASS: 3}


def _table_of_routes(routes: Sequence[Route]) -> dg.TableMetadataValue:
    rows = [
        {
            "upstream": route.upstream,
            "requested": str(route.requested),
            "served": str(route.served) if route.served is not None else "nothing",
            "route": f"{route.kind} ({route.confidence})" if route.confidence else str(route.kind),
        }
        for route in routes
    ]
    return table(rows, dict.fromkeys(("upstream", "requested", "served", "route"), "string"))


def _location(judgement: Judgement) -> str:
    if judgement.publish or judgement.batch.status is Status.PUBLISHED:
        return "live"
    if judgement.batch.staged == IN_PLACE:
        return f"where it was found: {judgement.batch.status}, batch {judgement.batch.id}; no gated consumer is given it as fresh"
    return f"set aside: {judgement.batch.status}, batch {judgement.batch.id}"


def _extended(event: OutputT, metadata: Mapping[str, Any], tags: Mapping[str, str]) -> OutputT:
    if isinstance(event, dg.MaterializeResult):
        return event._replace(metadata={**(event.metadata or {}), **metadata}, tags={**(event.tags or {}), **tags})
    return dg.Output(
        event.value,
        output_name=event.output_name,
        metadata={**event.metadata, **metadata},
        data_version=event.data_version,
        tags={**(event.tags or {}), **tags},
    )
