"""The customProperty circuitBreaker: what is read, and what is said of what cannot be."""

from __future__ import annotations

from datetime import timedelta
from textwrap import dedent, indent

import pytest

from dagster_contracts.core import odcs
from dagster_contracts.core.contract import BreakerPolicy, Window
from dagster_contracts.core.errors import ContractInvalid, Problem

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: feed\nversion: 1.0.0\nstatus: active\n"


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ContractInvalid) as caught:
        odcs.parse(text)
    return caught.value.problems


def with_policy(block: str) -> str:
    return HEAD + "customProperties:\n- property: circuitBreaker\n  value:\n" + indent(dedent(block), "    ") + "\nschema: [{name: feed}]\n"


def policy(block: str) -> BreakerPolicy:
    return odcs.parse(with_policy(block)).policy


def test_without_the_block_the_policy_is_the_default() -> None:
    assert odcs.parse(HEAD + "schema: [{name: feed}]").policy == BreakerPolicy()
    assert policy("{}") == BreakerPolicy()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("failures: 3", {"failures": 3, "window": Window(batches=3)}),
        ("{failures: 2, window: {batches: 5}}", {"failures": 2, "window": Window(batches=5)}),
        ("{failures: 2, window: {duration: P1D}}", {"failures": 2, "window": Window(None, timedelta(days=1))}),
        ("window: {batches: 4, failureRateThreshold: 1}", {"failure_rate_threshold": 1.0, "window": Window(batches=4)}),
        ("cooldown: P2D", {"cooldown": timedelta(days=2), "backoff_maximum": timedelta(days=2)}),
        ("halfOpen: {probes: 3}", {"probes": 3, "sample_rows": 10_000}),
        ("tripOn: []", {"trip_on": frozenset()}),
        ("{onFailure: quarantine_rows, maximumFailingShare: 0.05}", {"maximum_failing_share": 0.05}),
        ("onFailure: quarantine", {"maximum_failing_share": None}),
    ],
)
def test_policy_keys(block: str, expected: dict[str, object]) -> None:
    found = policy(block)
    assert {name: getattr(found, name) for name in expected} == expected


WRONG_POLICY = {
    "cooldwn: PT5M": ("cooldwn", 'unknown key "cooldwn", did you mean "cooldown"?'),
    "halfOpen: {sample: {row: 5}}": ("halfOpen.sample.row", 'did you mean "rows"?'),
    "window: {batch: 5, duration: P1D}": ("window.batch", 'did you mean "batches"?'),
    "failureRateThreshold: 0.5": ("failureRateThreshold", "it stands inside window"),
    "consumers: [{asset: a, falback: halt, fallback: halt}]": ("consumers[0].falback", 'did you mean "fallback"?'),
    "[a]": ("", "expected a mapping with the keys fallback"),
    "fallback: last_god": ("fallback", 'did you mean "last_good"?'),
    "fallback: 5": ("fallback", "expected one of last_good, low_confidence, halt, found 5"),
    "onFailure: quarantine_rows": ("", "onFailure: quarantine_rows goes with maximumFailingShare, which is missing"),
    "maximumFailingShare: 0.1": ("", "goes with onFailure: quarantine_rows, which is missing"),
    "{onFailure: quarantine_rows, maximumFailingShare: 5}": ("maximumFailingShare", "above 0 and up to 1, found 5"),
    "onFailure: quarantine_row": ("onFailure", 'did you mean "quarantine_rows"?'),
    "onInconclusive: admitt": ("onInconclusive", 'did you mean "admit"?'),
    "onStoreUnavailable: hold": ("onStoreUnavailable", "expected one of halt, admit"),
    "heal: true": ("heal", "expected one of auto, ask, found true"),
    "tripOn: critical": ("tripOn", "expected a list of severities"),
    "tripOn: [critcal]": ("tripOn[0]", 'did you mean "critical"?'),
    "failures: 0": ("failures", "at least 1, found 0"),
    "failures: true": ("failures", "at least 1, found true"),
    "{failures: 6, window: {batches: 5}}": ("failures", "6 failures cannot occur in a window of 5 batches"),
    "{failures: 2, window: {duration: P1D, failureRateThreshold: 0.5}}": ("failures", "exclude each other"),
    "window: {}": ("window", "exactly one of batches and duration, found neither"),
    "window: {batches: 2, duration: P1D}": ("window", "found both"),
    "window: {batches: 2, minimumBatches: 2}": ("window.minimumBatches", "goes with failureRateThreshold"),
    "window: {batches: 2, failureRateThreshold: 0.5, minimumBatches: 3}": ("window.minimumBatches", "3 batches cannot occur"),
    "window: {batches: 2, failureRateThreshold: 0}": ("window.failureRateThreshold", "above 0 and up to 1, found 0"),
    "window: {batches: 2, failureRateThreshold: .nan}": ("window.failureRateThreshold", "above 0 and up to 1, found nan"),
    "cooldown: 30": ("cooldown", "ISO 8601 duration such as PT30M, found 30"),
    "cooldown: 30m": ("cooldown", '"30m" is not an ISO 8601 duration'),
    "cooldown: PT0S": ("cooldown", "above zero"),
    "maxStaleness: P1M": ("maxStaleness", "years or months, which have no fixed length"),
    "maxStaleness: P99999999999D": ("maxStaleness", "too long"),
    "backoff: {multiplier: 0.5}": ("backoff.multiplier", "from 1 to 1000, found 0.5"),
    "backoff: {multiplier: .inf}": ("backoff.multiplier", "found inf"),
    "{cooldown: PT2H, backoff: {maximum: PT90M}}": ("backoff.maximum", "at least the cooldown, PT2H, found PT1H30M"),
    "halfOpen: {probes: 0}": ("halfOpen.probes", "at least 1"),
    "halfOpen: 3": ("halfOpen", "expected a mapping with the keys probes, lease, sample, found 3"),
    "scope: 7": ("scope", "expected text, found 7"),
    "consumers: {a: halt}": ("consumers", "expected a list of {asset, fallback}"),
    "consumers: [{asset: a}]": ("consumers[0]", 'the key "fallback" is missing'),
    "consumers: [{asset: a, fallback: halt}, {asset: a, fallback: halt}]": ("consumers[1].asset", '"a" stands twice'),
    "consumers: [{asset: a, fallback: hault}]": ("consumers[0].fallback", 'did you mean "halt"?'),
}


@pytest.mark.parametrize("block", WRONG_POLICY)
def test_a_flawed_policy_is_told_once_with_its_place(block: str) -> None:
    path, said = WRONG_POLICY[block]
    found = problems(with_policy(block))
    assert [problem.path for problem in found] == [f"customProperties[0].value.{path}".removesuffix(".")], found
    assert said in found[0].message
    assert found[0].line == (9 if path else 8)
