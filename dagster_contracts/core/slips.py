"""What a valid contract says and can hardly mean: `lint` tells it as a problem; a deployment reads the contract all the same. Pure.

What has no near name or other reading is left to the lists of what is not executed: engines, formats and service levels of one's own are
legal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Operator, Property, QualityRule, SchemaObject
from dagster_contracts.core.draft import SEVERITIES
from dagster_contracts.core.errors import Problem, did_you_mean
from dagster_contracts.core.metrics import Among, Expectation, Kind, Query, RowCount, Statistic
from dagster_contracts.core.misnamed import misnamed
from dagster_contracts.core.odcs_quality import OURS, is_great_expectations
from dagster_contracts.core.options import foreign_format
from dagster_contracts.core.plan import Check, Drifted, DriftKind, Threshold, Within
from dagster_contracts.core.service_levels import slips_of
from dagster_contracts.core.time_text import Written, read_format

_ENGINES = {"dagstercontracts": OURS, "greatexpectations": "greatExpectations", "ge": "greatExpectations"}
_FOREIGN = re.compile(r"[bCfgiIjJloPrRtU%{}#]")  # no letters of DateTimeFormatter, and what it reserves
_QUOTED = re.compile(r"'[^']*'")
_STRFTIME = {"%Y": "yyyy", "%y": "yy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%j": "DDD", "%b": "MMM", "%B": "MMMM"}
_SHARES = (
    DriftKind.JENSEN_SHANNON,
    DriftKind.KOLMOGOROV_SMIRNOV,
    DriftKind.KOLMOGOROV_SMIRNOV_P,
    DriftKind.CHI_SQUARE_P,
    DriftKind.TOTAL_VARIATION,
    DriftKind.BELOW_REFERENCE,
)
_MOST = float("inf")


def slips(contract: Contract) -> Iterator[Problem]:
    """Every slip of a contract, with the place where it stands."""
    for level in contract.service_levels:
        for key, message in slips_of(level, contract):
            yield Problem(f"{level.path}.{key}", message, source=contract.source)
    yield from strange_reads(contract)
    for place, message in (*_engines(contract), *_formats(contract), *_thresholds(contract), *misnamed(contract)):
        yield Problem(place, message, source=contract.source)


def severity_notes(contract: Contract) -> Iterator[str]:
    """Words of severity that are nearly one that is known. The standard leaves the words free, so that this is no problem."""
    for rule in _rules(contract):
        word = (rule.severity or "").strip().lower()
        if word and word not in SEVERITIES and (near := get_close_matches(word[:80], SEVERITIES, n=1, cutoff=0.75)):
            yield f'{rule.path}.severity: "{rule.severity}" is not known and judged as error, did you mean "{near[0]}"?'


def consumer_slips(contract: Contract, known: Iterable[str]) -> Iterator[Problem]:
    """Consumers of the policy that are none of the `known` assets, and nearly one: what they accept would be the contract's `fallback`.

    Nearer than for a name that must be known: a consumer may stand in another code location, and "payouts" is no slip of "payments".
    """
    assets = sorted(known)
    for consumer in contract.policy.consumers:
        if consumer not in assets and (near := get_close_matches(consumer[:80], assets, n=1, cutoff=0.8)):
            message = f'the consumer "{consumer[:80]}" is no asset that is known here, did you mean "{near[0]}"?'
            yield Problem("customProperties.circuitBreaker.consumers", message, source=contract.source)


def governed_twice(contracts: Iterable[Contract], *, certain: bool) -> Iterator[Problem]:
    """Objects that share their asset with an object before them, of which one deployment takes one alone.

    `certain`: both say `dagsterAsset`; else those that share a name, which may be of two code locations. Versions of one contract that lie
    side by side are no two contracts.
    """
    first: dict[str, tuple[Contract, SchemaObject]] = {}
    for contract, obj in [(each, obj) for each in contracts for obj in each.objects]:
        asset = obj.asset or obj.name
        of, other = first.setdefault(asset, (contract, obj))
        if other is obj or (of is not contract and of.id == contract.id) or certain is not (None not in (obj.asset, other.asset)):
            continue
        told = f'asset "{asset}" is governed twice' if certain else f'asset "{asset}" would be governed twice in one code location'
        message = f'{told}, also by object "{other.name}" of contract {of.id} {of.version} ({of.source}); '
        message += "keep one of them" if certain else "give each its own customProperty dagsterAsset, or keep one of them"
        yield Problem(obj.path, message, source=contract.source)


def deprecations(contract: Contract) -> Iterator[str]:
    """Deprecated columns that consumers say they read."""
    for obj in contract.objects:
        for prop in obj.properties:
            readers = contract.policy.readers(prop.name) if prop.deprecated else ()
            if readers:
                until = f"until {prop.deprecated_until}" if prop.deprecated_until else "without a last day"
                instead = f" ({' and '.join(prop.replaced_by)} instead)" if prop.replaced_by else ""
                yield f"{obj.name}.{prop.name} is deprecated {until}{instead}, and still read by {', '.join(readers)}"


def strange_reads(contract: Contract) -> Iterator[Problem]:
    """Columns that a consumer says to read, and that the contract does not have."""
    known = {name for obj in contract.objects for prop in obj.properties for name in (prop.name,)}
    for consumer, columns in contract.policy.reads.items():
        for column in columns:
            if column not in known:
                near = did_you_mean(column[:80], known).rstrip(",")
                message = f'the consumer "{consumer[:80]}" reads "{column[:80]}", which the contract does not have{near}'
                yield Problem("customProperties.circuitBreaker.consumers", message, source=contract.source)


# --- quality rules -------------------------------------------------------------------------------------------------


def _rules(contract: Contract) -> Iterator[QualityRule]:
    for obj in contract.objects:
        yield from obj.quality
    for prop in _properties(contract):
        yield from prop.quality


def _engines(contract: Contract) -> Iterator[tuple[str, str]]:
    for rule in _rules(contract):
        if rule.type != "custom" or not rule.engine or rule.engine == OURS or is_great_expectations(rule.engine):
            continue
        folded = re.sub(r"[\s_-]", "", rule.engine).lower()[:80]
        if near := get_close_matches(folded, _ENGINES, n=1, cutoff=0.8):
            yield f"{rule.path}.engine", f'there is no engine "{rule.engine}", did you mean "{_ENGINES[near[0]]}"?'


def _thresholds(contract: Contract) -> Iterator[tuple[str, str]]:
    """Of counts, shares and distances, which have a least value and some of them a greatest."""
    for obj in contract.objects:
        for rule in compile_plan(contract, obj).rules:
            if (bounds := _bounds(rule.check)) is None or not isinstance(rule.check, Within | Drifted):
                continue
            threshold = rule.check.threshold
            if isinstance(rule.check, Drifted) and rule.check.kind is DriftKind.MEAN_CHANGE:
                if why := _meant_in_percent(threshold):
                    yield f"{obj.name}: {rule.id}", why
                continue
            low, high = (0, 100) if threshold.percent else bounds
            counted = isinstance(rule.check, Within) and isinstance(rule.check.metric, RowCount)
            if (word := _settled(threshold, low, high)) and not (counted and word == "always"):  # that is how empty batches are let pass
                yield f"{obj.name}: {rule.id}", _told(threshold, word, low, high)


def _meant_in_percent(threshold: Threshold) -> str:
    """Of a change of the mean, which has a sign and no bounds: a whole number without a unit is hundreds of percent. Else nothing."""
    if threshold.percent or max(map(abs, _pair(threshold))) < 1:
        return ""
    written, meaning = _listed(threshold), _listed(threshold.as_percent())
    return (
        f"{threshold.operator} {written} without a unit is {meaning}, since a change of the mean is told as a part of it; "
        f"add `unit: percent` if {_listed(replace(threshold, percent=True))} is meant, "
        f"else write {_listed(replace(threshold.as_percent(), percent=False))} with `unit: percent`"
    )


def _told(threshold: Threshold, word: str, low: float, high: float) -> str:
    span = f"is never below {low:g}" if high == _MOST else f"is always from {low:g} to {high:g}"
    return f"{threshold.operator} {_listed(threshold)} {word} holds: what is measured {span}"


def _listed(threshold: Threshold) -> str:
    return " and ".join(f"{part:g}{'%' if threshold.percent else ''}" for part in _pair(threshold))


def _pair(threshold: Threshold) -> tuple[float, ...]:
    return threshold.value if isinstance(threshold.value, tuple) else (threshold.value,)


def _bounds(check: Check) -> tuple[float, float] | None:
    """What a check can measure at least and at most; None where nothing is known of it, or it has no threshold."""
    if isinstance(check, Drifted):
        return (0, 1) if check.kind in _SHARES else (0, _MOST)
    if not isinstance(check, Within) or isinstance(check.metric, Query | Expectation):
        return None
    if not isinstance(check.metric, Statistic):
        return (0, 100) if isinstance(check.metric, Among) and check.threshold.percent else (0, _MOST)
    of_kind = {Kind.STANDARD_DEVIATION: _MOST, Kind.DISTINCT_COUNT: _MOST, Kind.DISTINCT_SHARE: 1.0}
    return (0, of_kind[check.metric.kind]) if check.metric.kind in of_kind else None


def _settled(threshold: Threshold, low: float, high: float) -> str:
    """ "never" or "always" where no value from `low` to `high` decides; else nothing."""
    first, last = _pair(threshold)[0], _pair(threshold)[-1]
    never, always = {
        Operator.MUST_BE: (first < low or first > high, False),
        Operator.MUST_NOT_BE: (False, first < low or first > high),
        Operator.GREATER_THAN: (first >= high, first < low),
        Operator.GREATER_OR_EQUAL: (first > high, first <= low),
        Operator.LESS_THAN: (first <= low, first > high),
        Operator.LESS_OR_EQUAL: (first < low, first >= high),
        Operator.BETWEEN: (last < low or first > high, first <= low and last >= high),
        Operator.NOT_BETWEEN: (first < low and last > high, last <= low or first >= high),
    }[threshold.operator]
    return "never" if never else "always" if always else ""


# --- formats of dates ----------------------------------------------------------------------------------------------


def _properties(contract: Contract) -> Iterator[Property]:
    stack = [prop for obj in reversed(contract.objects) for prop in reversed(obj.properties)]
    while stack:
        prop = stack.pop()
        yield prop
        stack.extend(reversed([*prop.properties, *(part for part in (prop.items, prop.keys, prop.values) if part is not None)]))


def _formats(contract: Contract) -> Iterator[tuple[str, str]]:
    for prop in _properties(contract):
        form = foreign_format(prop)
        if form is not None and (problem := _format_problem(form, str(prop.logical_type))):
            yield f"{prop.path}.logicalTypeOptions.format", problem


def _format_problem(form: str, logical_type: str) -> str:
    """Why nobody can read it, or what it should be; nothing for what DateTimeFormatter knows, read here or not."""
    written, problem = _read(form)
    if written is not None and written.directives(logical_type) is not None:
        return ""
    if (meant := _meant(form, logical_type)) is not None:
        return f'{problem or f"""format "{form}" names no whole {logical_type}"""}, did you mean "{meant}"?'
    return problem if problem and _FOREIGN.search(_QUOTED.sub("", form)) else ""


def _meant(form: str, logical_type: str) -> str | None:
    """The format with the letters that are often taken for others: those of strftime, Y and D, minutes for months."""
    plain = re.sub(r"%[a-zA-Z]", lambda found: _STRFTIME.get(found[0], found[0]), form)
    lower = re.sub("Y+", lambda found: found[0].lower(), re.sub("D{1,2}(?!D)", lambda found: found[0].lower(), plain))
    months = lower.replace("mm", "MM", 1) if "M" not in lower else lower
    for candidate in (plain, lower, months):
        written, _ = _read(candidate)
        if candidate != form and written is not None and written.directives(logical_type) is not None:
            return candidate
    return None


def _read(form: str) -> tuple[Written | None, str]:
    try:
        return read_format(form), ""
    except ValueError as why:
        return None, str(why)
