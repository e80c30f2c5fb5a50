"""A data contract as values: what the producer promises, and how the breaker reacts when the promise is broken.

The words follow the Open Data Contract Standard (ODCS). `odcs.py` builds these from a document; nothing here reads one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from dagster_contracts.core.errors import ContractInvalid, Problem, did_you_mean

Scalar = str | int | float | bool


class Severity(StrEnum):
    """How much a broken rule matters. CRITICAL and ERROR refuse a batch; WARNING and INFO publish and report."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def refuses(self) -> bool:
        return self in (Severity.CRITICAL, Severity.ERROR)


class Clause(StrEnum):
    """The group of a rule: one asset check each, and the `dimension` of its findings."""

    SCHEMA = "schema"
    SEMANTICS = "semantics"
    COMPLETENESS = "completeness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"
    VOLUME = "volume"
    FRESHNESS = "freshness"
    DISTRIBUTION = "distribution"
    CUSTOM = "custom"


class Confidence(StrEnum):
    """How far an output can be trusted. An output is at most as confident as its least confident input."""

    FULL = "full"
    STALE = "stale"
    LOW = "low"

    @property
    def rank(self) -> int:
        return _RANK[self]

    def satisfies(self, accepted: Confidence) -> bool:
        """Whether data of this confidence is good enough for a consumer that accepts down to `accepted`."""
        return self.rank >= accepted.rank


_RANK = {Confidence.FULL: 3, Confidence.STALE: 2, Confidence.LOW: 1}


def least(confidences: Iterable[Confidence]) -> Confidence:
    """The lowest of several confidences; FULL for none (nothing lowers it)."""
    return min(confidences, key=lambda confidence: confidence.rank, default=Confidence.FULL)


class Fallback(StrEnum):
    """What a consumer gets while its upstream is open."""

    LAST_GOOD = "last_good"
    LOW_CONFIDENCE = "low_confidence"
    HALT = "halt"

    @property
    def accepts(self) -> Confidence:
        return {Fallback.HALT: Confidence.FULL, Fallback.LAST_GOOD: Confidence.STALE, Fallback.LOW_CONFIDENCE: Confidence.LOW}[self]


class Operator(StrEnum):
    """ODCS comparison operators, spelled as in the standard. Between is inclusive at both ends."""

    MUST_BE = "mustBe"
    MUST_NOT_BE = "mustNotBe"
    GREATER_THAN = "mustBeGreaterThan"
    GREATER_OR_EQUAL = "mustBeGreaterOrEqualTo"
    LESS_THAN = "mustBeLessThan"
    LESS_OR_EQUAL = "mustBeLessOrEqualTo"
    BETWEEN = "mustBeBetween"
    NOT_BETWEEN = "mustNotBeBetween"


@dataclass(frozen=True, slots=True)
class QualityRule:
    """One entry of an ODCS `quality` list, as written. `operators` keeps every operator given, so that none is dropped silently."""

    type: str  # library | text | sql | custom
    metric: str | None = None
    operators: tuple[tuple[Operator, object], ...] = ()
    unit: str | None = None
    severity: str | None = None
    dimension: str | None = None
    name: str | None = None
    description: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    query: str | None = None
    engine: str | None = None
    implementation: object | None = None
    path: str = ""  # place in the document, for messages


@dataclass(frozen=True, slots=True)
class Relationship:
    """What stands in `columns` stands in the `targets` of the contract's object `object`. Columns are named as the data names them."""

    to: str  # as written
    columns: tuple[str, ...]
    object: str
    targets: tuple[str, ...]
    numbers: tuple[str, ...] = ()  # those of `columns` that hold numbers, as their targets do


@dataclass(frozen=True, slots=True)
class Unrelated:
    """A relationship that cannot be judged, and why; `wrong` where the contract itself is wrong."""

    to: str
    reason: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """A column (or nested field). `name` is the column in the data: `physicalName` where one is given, else the ODCS name."""

    name: str
    logical_type: str | None = None  # string date timestamp time number integer object array boolean map vector
    physical_type: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)  # logicalTypeOptions as written
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    primary_key_position: int = -1
    enum: tuple[Scalar, ...] = ()
    classification: str | None = None
    deprecated: bool = False
    deprecated_until: date | None = None  # customProperty deprecatedUntil: the last day on which the column may be there
    replaced_by: tuple[str, ...] = ()  # customProperty replacedBy: the columns that it stands in for until then, where they have not come
    computed: bool = False  # a measure or dimension (semanticType) without a physicalName: no column of the data
    description: str | None = None
    tags: tuple[str, ...] = ()
    quality: tuple[QualityRule, ...] = ()
    properties: tuple[Property, ...] = ()
    items: Property | None = None  # of an array
    keys: Property | None = None  # of a map
    values: Property | None = None  # of a map
    relationships: tuple[Relationship | Unrelated, ...] = ()
    path: str = ""

    @property
    def numeric(self) -> bool:
        return self.logical_type in ("integer", "number")

    @property
    def within(self) -> tuple[Property, ...]:
        """The properties directly below this one."""
        return (*self.properties, *(part for part in (self.items, self.keys, self.values) if part is not None))


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One table, topic or file set of a contract; it maps to exactly one Dagster asset."""

    name: str
    physical_name: str | None = None
    physical_type: str | None = None  # table, view, topic, files ...
    asset: str | None = None  # customProperty dagsterAsset, as "vendor/feed"
    closed: bool = False  # customProperty closedSchema: columns that are not listed break the schema
    description: str | None = None
    properties: tuple[Property, ...] = ()
    quality: tuple[QualityRule, ...] = ()
    relationships: tuple[Relationship | Unrelated, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)  # text of the profile files that its rules name, by the name written there
    path: str = ""
    line: int = field(default=1, compare=False)  # of its document, 1-based: where the object is stated

    @property
    def table(self) -> str:
        """The last part of its physical name, else its name: what SQL may call it."""
        return (self.physical_name or "").rpartition(".")[2] or self.name

    def may_be_about(self, asset: str) -> bool:
        """Whether it is that asset by its `dagsterAsset`, else by its name, which others may share."""
        return self.asset == asset if self.asset is not None else self.name == asset.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One ODCS `slaProperties` entry, as written."""

    property: str
    value: object | None = None
    value_ext: object | None = None
    unit: str | None = None
    element: str | None = None  # "object.property"
    driver: str | None = None
    schedule: str | None = None
    severity: str | None = None  # customProperty of the entry, as is `tolerance`, an ISO 8601 duration
    tolerance: str | None = None
    description: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """Which past batches count: the last `batches`, or those younger than `duration`. Exactly one is set."""

    batches: int | None = 1
    duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Who answers for the data, and where alerts go; everything None where the contract does not say. Texts of people, cut to a bound.

    `channel` is the name or id of a Slack channel, `runbook` an http(s) address.
    """

    owner: str | None = None
    team: str | None = None
    channel: str | None = None
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """ODCS customProperty `circuitBreaker`. Every key has a default; see docs/reference/contract.md."""

    fallback: Fallback = Fallback.LAST_GOOD
    max_staleness: timedelta | None = None  # None: any age
    trip_on: frozenset[Severity] = frozenset({Severity.CRITICAL})
    failures: int = 1
    failure_rate_threshold: float | None = None  # 0..1; instead of `failures`
    minimum_batches: int = 1  # with failure_rate_threshold
    window: Window = field(default_factory=Window)
    cooldown: timedelta = timedelta(minutes=30)
    backoff_multiplier: float = 2.0
    backoff_maximum: timedelta = timedelta(hours=12)
    probes: int = 1
    lease: timedelta = timedelta(minutes=15)
    sample_rows: int = 10_000
    scope: str = "asset"  # or the name of a partition dimension
    maximum_failing_share: float | None = None  # onFailure: quarantine_rows; None: a batch that fails is refused as a whole
    admit_inconclusive: bool = False  # onInconclusive: admit
    admit_when_unavailable: bool = False  # onStoreUnavailable: admit
    heal: bool = True  # heal: auto
    consumers: Mapping[str, Fallback] = field(default_factory=dict)
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # `properties` of consumers: the columns that they say they read
    contact: Contact = field(default_factory=Contact)  # of the contract; here so that it travels with the breaker to whoever alerts

    def accepts(self, consumer: str) -> Confidence:
        """What `consumer` (asset key string) is taken to accept when it says nothing itself."""
        return self.consumers.get(consumer, self.fallback).accepts

    def readers(self, column: str) -> tuple[str, ...]:
        """The consumers that say they read a column."""
        return tuple(consumer for consumer, columns in self.reads.items() if column in columns)


class Enforcement(StrEnum):
    """What broken rules do in an environment: what their severity says, nothing but be told, or one step more."""

    BLOCK = "block"
    WARN = "warn"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A rule (of one object, where `object` says which) that fails is a warning up to the day `until` (UTC). See core/waivers.py."""

    rule: str
    until: date
    reason: str
    approved_by: str
    object: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """One version of one contract document. `content_hash` is the SHA-256 of its text."""

    id: str
    version: str
    api_version: str
    status: str
    objects: tuple[SchemaObject, ...]
    name: str | None = None
    description: str | None = None
    owner: str | None = None
    domain: str | None = None
    tags: tuple[str, ...] = ()
    service_levels: tuple[ServiceLevel, ...] = ()
    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    samples: bool = True  # customProperty samples: false keeps failing rows out of findings
    waivers: tuple[Waiver, ...] = ()  # customProperty waivers
    environments: Mapping[str, Enforcement] = field(default_factory=dict)  # customProperty environments
    valid_from: datetime | None = None  # customProperty validFrom: in force no earlier, where it comes from a registry; aware UTC
    source: str | None = None  # where the document was read
    content_hash: str = ""
    notes: tuple[str, ...] = ()  # legal, but worth telling: lint prints them
    rest: Mapping[tuple[str, str], str] = field(default_factory=dict)  # what is written and acted on nowhere: see core/odcs_rest.py


@dataclass(frozen=True, slots=True)
class Attached:
    """A schema object of a contract, attached to the asset it governs."""

    asset: str
    contract: Contract
    object: SchemaObject


def attach(contracts: Iterable[Contract], assets: Iterable[str]) -> dict[str, Attached]:
    """Map every schema object to its asset: `dagsterAsset`, else the one asset whose last key part is the object's name.

    Raises ContractInvalid with every object that no or several assets match, and every asset that two objects claim.
    """
    known = sorted(set(assets))
    found: dict[str, Attached] = {}
    problems: list[Problem] = []
    for contract in contracts:
        for obj in contract.objects:
            matches = [key for key in known if obj.may_be_about(key)]
            if len(matches) != 1:
                problems.append(Problem(obj.path, _no_single_match(obj, matches, known), source=contract.source))
            elif (other := found.get(matches[0])) is not None:
                problems.append(
                    Problem(
                        obj.path,
                        f'asset "{matches[0]}" is governed twice: by object "{other.object.name}" of contract {other.contract.id} '
                        f'{other.contract.version} ({other.contract.source}) and by object "{obj.name}" of contract {contract.id} '
                        f"{contract.version}; keep one of them",
                        source=contract.source,
                    )
                )
            else:
                found[matches[0]] = Attached(matches[0], contract, obj)
    if problems:
        raise ContractInvalid(problems)
    return found


def _no_single_match(obj: SchemaObject, matches: list[str], known: list[str]) -> str:
    wanted = f'customProperty dagsterAsset "{obj.asset}"' if obj.asset is not None else f'schema object "{obj.name}"'
    if matches:
        return f"{wanted} matches {len(matches)} assets: {', '.join(matches)}; set the customProperty dagsterAsset to one of them"
    listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    hint = did_you_mean(obj.asset or obj.name, known)
    return f"{wanted} matches no asset{hint or ','} the assets are: {listed or '(none)'}; set the customProperty dagsterAsset"
