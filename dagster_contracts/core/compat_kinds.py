"""Every kind of change, what it means to consumers and to the producer, and why: the table of docs/reference/compatibility.md. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Impact(IntEnum):
    """What a change does to one side. SAFE: nothing. RISKY: perhaps something, or nobody can say. BREAKING: something."""

    SAFE = 0
    RISKY = 1
    BREAKING = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change. `consumer`: new data, read by who knows the old version; `producer`: old data, judged by the new version."""

    name: str
    consumer: Impact
    producer: Impact
    reason: str


_SAFE, _RISKY, _BREAKING = Impact.SAFE, Impact.RISKY, Impact.BREAKING

KINDS = {
    kind.name: kind
    for kind in (
        Kind("object.added", _SAFE, _BREAKING, "A new object must be delivered; nobody reads it yet."),
        Kind("object.removed", _BREAKING, _SAFE, "Who reads the object finds nothing."),
        Kind("object.moved", _BREAKING, _RISKY, "Another asset is governed; the breaker and last good data of the old one stay behind."),
        Kind("object.stored", _RISKY, _RISKY, "Who reads it by its physical name or type reads something else."),
        Kind("property.added", _SAFE, _BREAKING, "A listed column must be there: batches without it are refused."),
        Kind("property.introduced", _SAFE, _SAFE, "A deprecated column may be delivered in place of the new one until its last day."),
        Kind("property.removed", _BREAKING, _SAFE, "Who reads the column finds nothing, and nothing of it is judged any more."),
        Kind("property.deprecated", _RISKY, _SAFE, "The column may be missing from now on: move its readers before its last day."),
        Kind("property.restored", _SAFE, _BREAKING, "The column is no longer deprecated, and must be there again."),
        Kind("property.deprecatedUntil", _RISKY, _RISKY, "The last day of a deprecated column has moved."),
        Kind("property.replacedBy", _RISKY, _RISKY, "Which columns a deprecated one stands in for has changed."),
        Kind("property.classification", _RISKY, _RISKY, "Who may see the values has changed; findings hide what is not public."),
        Kind("property.computed", _RISKY, _RISKY, "It was a column and is computed now, or the other way round."),
        Kind("property.option", _RISKY, _RISKY, "An option that no rule judges has changed; what it asks cannot be compared."),
        Kind("rule.tightened", _SAFE, _BREAKING, "Less is let through: what the producer delivers now may be refused."),
        Kind("rule.loosened", _BREAKING, _SAFE, "Values are let through that the old version refused."),
        Kind("rule.moved", _BREAKING, _BREAKING, "Some values pass that were refused, and others are refused that passed."),
        Kind("rule.incomparable", _RISKY, _RISKY, "A pattern, SQL, custom rule or physical type differs: which is stricter is not known."),
        Kind(
            "rule.partlyLoosened",
            _BREAKING,
            _RISKY,
            "Values pass that were refused; whether others are refused is not known.",
        ),
        Kind(
            "rule.partlyTightened",
            _RISKY,
            _BREAKING,
            "Values are refused that passed; whether others pass is not known.",
        ),
        Kind("rule.mayLoosen", _RISKY, _SAFE, "What passed still passes; whether more does is not known."),
        Kind("rule.mayTighten", _SAFE, _RISKY, "Whatever passes now passed before; whether less does is not known."),
        Kind("rule.rewritten", _SAFE, _SAFE, "Written otherwise; another rule asks for the same."),
        Kind("severity.lowered", _RISKY, _SAFE, "The rule still refuses, and may open the breaker later than it did."),
        Kind("severity.raised", _SAFE, _RISKY, "The rule refuses as before, and may open the breaker sooner."),
        Kind(
            "warning.changed",
            _RISKY,
            _RISKY,
            "A rule that only warns has come, gone or changed: other things are reported.",
        ),
        Kind("unjudged.changed", _RISKY, _RISKY, "A promise that is not executed has come, gone or changed: it cannot be compared."),
        Kind("waiver.granted", _RISKY, _SAFE, "A rule that fails is a warning until a day: what it refuses is let through."),
        Kind("waiver.ended", _SAFE, _RISKY, "A rule that was waived refuses again, or sooner."),
        Kind("environment.changed", _RISKY, _RISKY, "What broken rules do in an environment has changed."),
        Kind("policy.weakened", _RISKY, _SAFE, "The breaker protects less than it did."),
        Kind("policy.strengthened", _SAFE, _RISKY, "The breaker protects more than it did: batches may be refused or held that were not."),
        Kind("policy.changed", _RISKY, _RISKY, "When the breaker opens, probes or closes, or what consumers get meanwhile, has changed."),
        Kind("contact.changed", _SAFE, _SAFE, "Other people answer for the data, or alerts go elsewhere."),
        Kind("status.changed", _RISKY, _SAFE, "The standing of the contract has changed."),
        Kind("server.changed", _RISKY, _RISKY, "Where the data lies, or how it is reached, has changed."),
        Kind("role.changed", _RISKY, _SAFE, "Who may read the data has changed."),
        Kind("text.changed", _SAFE, _SAFE, "It is for people, or for other tools: descriptions, names, tags, prices, support."),
    )
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions, at `place` ("orders.amount.maximum"); `old` and `new` are None where there is nothing."""

    kind: Kind
    place: str
    old: str | None = None
    new: str | None = None
    hint: str | None = None

    @property
    def consumer(self) -> Impact:
        return self.kind.consumer

    @property
    def producer(self) -> Impact:
        return self.kind.producer
