"""The customProperty `circuitBreaker` of a contract -> BreakerPolicy. Every key is optional; an unknown one, at any depth, is a flaw.

Decisions where the block leaves something open: without `window`, the last `failures` batches count; without `backoff.maximum`, the
cooldown grows up to 12 hours, or stays at a longer `cooldown`; `failureRateThreshold` and `minimumBatches` stand inside `window`;
`onFailure: quarantine_rows` needs `maximumFailingShare`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from dagster_contracts.core.contract import BreakerPolicy, Fallback, Severity, Window
from dagster_contracts.core.durations import format_duration, parse_duration
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.flaws import Flaw, Path, maps, shown

_Word = TypeVar("_Word", bound=StrEnum)
_DEFAULT = BreakerPolicy()
_KEYS = ["fallback", "maxStaleness", "tripOn", "failures", "window", "cooldown", "backoff", "halfOpen", "scope"]
_KEYS += ["onFailure", "maximumFailingShare", "onInconclusive", "onStoreUnavailable", "heal", "consumers"]


def read_policy(value: object, path: Path) -> tuple[BreakerPolicy, list[Flaw]]:
    """The policy that the block at `path` states, and everything wrong with it. With flaws the policy is not to be used."""
    flaws: list[Flaw] = []
    block = _Block(value, path, _KEYS, flaws)
    cooldown = block.duration("cooldown", _DEFAULT.cooldown)
    multiplier, maximum = _backoff(block.block("backoff", ["multiplier", "maximum"]), cooldown)
    half_open = block.block("halfOpen", ["probes", "lease", "sample"])
    failures, rate, minimum_batches, window = _counting(block)
    policy = BreakerPolicy(
        fallback=block.word("fallback", Fallback, _DEFAULT.fallback),
        max_staleness=block.duration("maxStaleness", None),
        trip_on=_trip_on(block),
        failures=failures,
        failure_rate_threshold=rate,
        minimum_batches=minimum_batches,
        window=window,
        cooldown=cooldown,
        backoff_multiplier=multiplier,
        backoff_maximum=maximum,
        probes=half_open.whole("probes", _DEFAULT.probes),
        lease=half_open.duration("lease", _DEFAULT.lease),
        sample_rows=half_open.block("sample", ["rows"]).whole("rows", _DEFAULT.sample_rows),
        scope=block.text("scope", _DEFAULT.scope),
        maximum_failing_share=_failing_share(block),
        admit_inconclusive=block.choice("onInconclusive", ["hold", "admit"]) == "admit",
        admit_when_unavailable=block.choice("onStoreUnavailable", ["halt", "admit"]) == "admit",
        heal=block.choice("heal", ["auto", "ask"]) == "auto",
        consumers=(consumers := _consumers(block)),
        reads=_reads(block, consumers),
    )
    return policy, flaws


class _Block:
    """One mapping of the policy, with readers that record what is wrong and return the default in its place."""

    def __init__(self, value: object, path: Path, known: Iterable[str], flaws: list[Flaw]):
        self.path = path
        self.flaws = flaws
        self.values: dict[str, object] = value if isinstance(value, dict) else {}
        known = list(known)
        if not isinstance(value, dict):
            self.wrong((), f"expected a mapping with the keys {', '.join(known)}, found {shown(value)}")
        for key in self.values:
            if key not in known:
                near = did_you_mean(key[:80], known) or _elsewhere(key)
                self.wrong((key,), f'unknown key "{key[:60]}"{near}; known here: {", ".join(known)}')

    def wrong(self, at: Path, message: str) -> None:
        self.flaws.append(Flaw((*self.path, *at), message))

    def block(self, key: str, known: Iterable[str]) -> _Block:
        return _Block(self.values.get(key, {}), (*self.path, key), known, self.flaws)

    def duration(self, key: str, default: timedelta | None) -> timedelta:
        """A duration above zero. The default may be None, where the absence of a limit is what the key's absence means."""
        if key not in self.values:
            return default  # type: ignore[return-value]
        found = self.values[key]
        if not isinstance(found, str):
            self.wrong((key,), f"expected an ISO 8601 duration such as PT30M, found {shown(found)}")
            return timedelta(1)
        try:
            duration = parse_duration(found)
        except ValueError as reason:
            self.wrong((key,), str(reason))
            return timedelta(1)
        if not duration:
            self.wrong((key,), f"expected a duration above zero, found {found}")
        return duration

    def whole(self, key: str, default: int) -> int:
        found = self.values.get(key, default)
        if isinstance(found, int) and not isinstance(found, bool) and found >= 1:
            return found
        self.wrong((key,), f"expected a whole number of at least 1, found {shown(found)}")
        return default

    def text(self, key: str, default: str) -> str:
        found = self.values.get(key, default)
        if isinstance(found, str) and found.strip():
            return found
        self.wrong((key,), f"expected text, found {shown(found)}")
        return default

    def word(self, key: str, words: type[_Word], default: _Word) -> _Word:
        return words(self.choice(key, [default, *(word for word in words if word is not default)]))

    def choice(self, key: str, words: list[str]) -> str:
        """One of `words`, the first of which is the default."""
        return one_of(self.values.get(key, words[0]), words, (*self.path, key), self.flaws)


def one_of(found: object, words: list[str], path: Path, flaws: list[Flaw]) -> str:
    """`found` if it is one of `words`, else the first of them and a flaw that names the nearest."""
    if isinstance(found, str) and found in words:
        return str(found)
    near = did_you_mean(found[:80], words) if isinstance(found, str) else ""
    flaws.append(Flaw(path, f"expected one of {', '.join(words)}, found {shown(found)}{near}"))
    return str(words[0])


def _elsewhere(key: str) -> str:
    return ", it stands inside window" if key in ("failureRateThreshold", "minimumBatches") else ""


def _backoff(block: _Block, cooldown: timedelta) -> tuple[float, timedelta]:
    multiplier = block.values.get("multiplier", _DEFAULT.backoff_multiplier)
    if not isinstance(multiplier, int | float) or isinstance(multiplier, bool) or not 1 <= multiplier <= 1000:
        block.wrong(("multiplier",), f"expected a number from 1 to 1000, found {shown(multiplier)}")
        multiplier = _DEFAULT.backoff_multiplier
    maximum = block.duration("maximum", max(_DEFAULT.backoff_maximum, cooldown))
    if maximum < cooldown:
        block.wrong(("maximum",), f"expected at least the cooldown, {format_duration(cooldown)}, found {format_duration(maximum)}")
    return float(multiplier), maximum


def _counting(block: _Block) -> tuple[int, float | None, int, Window]:
    """(failures, failure rate threshold, minimum batches, window)."""
    failures = block.whole("failures", _DEFAULT.failures)
    if "window" not in block.values:
        return failures, None, 1, Window(batches=failures)
    inner = block.block("window", ["batches", "duration", "failureRateThreshold", "minimumBatches"])
    both, none = {"batches", "duration"} <= inner.values.keys(), not {"batches", "duration"} & inner.values.keys()
    if both or none:
        inner.wrong((), f"expected exactly one of batches and duration, found {'both' if both else 'neither'}")
    batches = inner.whole("batches", failures) if "batches" in inner.values else None
    duration = inner.duration("duration", None) if "duration" in inner.values else None
    window = Window(batches=batches if duration is None else None, duration=duration)
    rate, minimum = _rate(inner), inner.whole("minimumBatches", 1)
    if rate is not None and "failures" in block.values:
        block.wrong(("failures",), "failures and window.failureRateThreshold exclude each other; keep one of them")
    if rate is None and "minimumBatches" in inner.values and "failureRateThreshold" not in inner.values:
        inner.wrong(("minimumBatches",), "minimumBatches goes with failureRateThreshold, which is missing")
    if batches is not None and rate is None and failures > batches:
        block.wrong(("failures",), f"{failures} failures cannot occur in a window of {batches} batches")
    if batches is not None and minimum > batches:
        inner.wrong(("minimumBatches",), f"{minimum} batches cannot occur in a window of {batches} batches")
    return failures, rate, minimum, window


def _rate(block: _Block) -> float | None:
    return _share(block, "failureRateThreshold") if "failureRateThreshold" in block.values else None


def _share(block: _Block, key: str) -> float | None:
    found = block.values.get(key)
    if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and 0 < found <= 1:
        return float(found)
    block.wrong((key,), f"expected a share above 0 and up to 1, found {shown(found)}")
    return None


def _failing_share(block: _Block) -> float | None:
    """The limit has no default: how many rows may be left out of what consumers read is for the contract to say."""
    by_rows = block.choice("onFailure", ["quarantine", "quarantine_rows"]) == "quarantine_rows"
    if by_rows != ("maximumFailingShare" in block.values):
        missing, there = (
            ("maximumFailingShare", "onFailure: quarantine_rows") if by_rows else ("onFailure: quarantine_rows", "maximumFailingShare")
        )
        block.wrong((), f"{there} goes with {missing}, which is missing")
        return None
    return _share(block, "maximumFailingShare") if by_rows else None


def _trip_on(block: _Block) -> frozenset[Severity]:
    found = block.values.get("tripOn")
    if "tripOn" not in block.values:
        return _DEFAULT.trip_on
    if not isinstance(found, list):
        block.wrong(("tripOn",), f"expected a list of severities ({', '.join(Severity)}), found {shown(found)}")
        return _DEFAULT.trip_on
    path = (*block.path, "tripOn")
    return frozenset(Severity(one_of(item, list(Severity), (*path, index), block.flaws)) for index, item in enumerate(found))


def _consumers(block: _Block) -> dict[str, Fallback]:
    found = block.values.get("consumers", [])
    if not isinstance(found, list):
        block.wrong(("consumers",), f"expected a list of {{asset, fallback}}, found {shown(found)}")
        return {}
    consumers: dict[str, Fallback] = {}
    for index, item in enumerate(found):
        entry = _Block(item, (*block.path, "consumers", index), ["asset", "fallback", "properties"], block.flaws)
        if not isinstance(item, dict):
            continue
        for key in ("asset", "fallback"):
            if key not in item:
                entry.wrong((), f'the key "{key}" is missing')
        asset = entry.text("asset", "(missing)")
        if asset in consumers and asset != "(missing)":
            entry.wrong(("asset",), f'the consumer "{asset}" stands twice; keep one of the entries')
        consumers[asset] = entry.word("fallback", Fallback, _DEFAULT.fallback)
    return consumers


def _reads(block: _Block, consumers: dict[str, Fallback]) -> dict[str, tuple[str, ...]]:
    reads: dict[str, tuple[str, ...]] = {}
    for index, entry in maps(block.values.get("consumers")):
        asset, given = entry.get("asset"), entry.get("properties", [])
        if not isinstance(given, list) or not all(isinstance(each, str) and each for each in given):
            block.wrong(("consumers", index, "properties"), f"expected a list of properties that it reads, found {shown(given)}")
        elif given and isinstance(asset, str) and asset in consumers:
            reads[asset] = tuple(dict.fromkeys(map(str, given)))
    return reads
