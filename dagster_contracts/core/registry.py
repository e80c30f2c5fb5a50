"""What the registry holds, and what may be added to it. Pure.

A version is registered once and never changed. What is submitted together is registered together, or nothing is: `admit` finds everything
that is wrong with it, measured by what is registered already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dagster_contracts.core.compat import Comparison, compare
from dagster_contracts.core.contract import Contract, Fallback
from dagster_contracts.core.errors import ContractError, ContractInvalid, Problem, did_you_mean
from dagster_contracts.core.versions import Step, read_version, step
from dagster_contracts.core.waiving import long_waivers, waiver_problems

NOT_BINDING = ("draft", "proposed")  # of `status`: registered, and never in force


@dataclass(frozen=True, slots=True)
class Submission:
    """A contract to be registered: as it was read, its text, and the texts of the profile files that it names."""

    contract: Contract
    text: str
    profiles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered version. Times are aware UTC; `accepted` is why its version number was let say too little, None where it says enough.

    `number` counts all versions of all contracts in the order of their registration.
    """

    contract_id: str
    version: str
    number: int
    content_hash: str
    status: str
    binding: bool
    producer: str
    author: str
    published_at: datetime
    valid_from: datetime
    accepted: str | None = None

    @property
    def name(self) -> str:
        """As `Registry.get` takes it: "orders@1.2.0"."""
        return f"{self.contract_id}@{self.version}"


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered version with the contract that it is, its text, and those of the profile files that it names."""

    entry: Entry
    contract: Contract
    text: str
    profiles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """A contract says of an asset that it consumes its data: what it gets while the breaker is open, and which columns it is known to read
    (none: not said)."""

    contract_id: str
    version: str
    consumer: str
    fallback: Fallback
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing: new versions in the order of their registration, and those that were registered already, as they are."""

    new: tuple[Entry, ...]
    unchanged: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """A version to be registered; `accepted` is why, where its number says too little of what it changes."""

    submission: Submission
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered that bears on a submission, at the time `now`: all versions of its contracts, oldest first, with the content of
    the latest of each; by name, what was registered under a version that has another content now; and every name that a consumer may
    have."""

    now: datetime

    entries: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    latest: Mapping[str, Contract] = field(default_factory=dict)
    former: Mapping[str, Registered] = field(default_factory=dict)
    consumers: frozenset[str] = frozenset()


def binding(contract: Contract) -> bool:
    """Whether it is ever in force."""
    return contract.status.strip().lower() not in NOT_BINDING


def producer_of(contract: Contract) -> str:
    """Who answers for the data: the team, else the owner; empty where the contract does not say."""
    contact = contract.policy.contact
    return contact.team or contact.owner or contract.owner or ""


def uses_of(contract: Contract) -> tuple[Use, ...]:
    policy = contract.policy
    return tuple(
        Use(contract.id, contract.version, name, fallback, policy.reads.get(name, ())) for name, fallback in policy.consumers.items()
    )


def assets_of(contract: Contract) -> tuple[str, ...]:
    """What its objects are called, as assets."""
    return tuple(found.asset or found.name for found in contract.objects)


def admit(submissions: Sequence[Submission], known: Known, *, accepted: str | None = None) -> tuple[Admission, ...]:
    """The versions to be registered, of each contract in their order; those that are registered already with the same content are left out.

    `accepted` is why versions that say too little (as `dagster-contracts diff` finds) are let in all the same. Raises
    ContractInvalid with everything that is wrong.
    """
    problems: list[Problem] = []
    new: list[Admission] = []
    names = known.consumers | {name for each in submissions for name in assets_of(each.contract)}
    for several in _by_contract(submissions, problems).values():
        fresh = [each for each in several if not _is_registered(each, known, problems)]
        problems += (problem for each in fresh for problem in _strangers(each.contract, names))
        problems += (problem for each in fresh for problem in waiver_problems(each.contract))
        problems += (problem for each in fresh for problem in long_waivers(each.contract, known.now.date()))
        if (backwards := _backwards(fresh, known)) is not None:
            problems.append(backwards)
            continue
        for each, told in _steps(fresh, known.latest.get(fresh[0].contract.id) if fresh else None):
            problems += told if accepted is None else ()
            new.append(Admission(each, accepted if told else None))
    if problems:
        raise ContractInvalid(problems)
    return tuple(new)


def _by_contract(submissions: Sequence[Submission], problems: list[Problem]) -> dict[str, list[Submission]]:
    """By contract, in the order of their versions."""
    found: dict[str, list[tuple[tuple[int, int, int], Submission]]] = {}
    for each in submissions:
        contract = each.contract
        try:
            place = read_version(contract.version)
        except ContractError as error:
            problems.append(Problem("version", str(error), source=contract.source))
            continue
        several = found.setdefault(contract.id, [])
        if other := next((known.contract for at, known in several if at == place), None):
            message = (
                f'contract "{contract.id}" {contract.version} stands in {other.source} too (as {other.version}); a version is '
                "registered once: raise one of them, or remove a file"
            )
            problems.append(Problem("version", message, source=contract.source))
        else:
            several.append((place, each))
    return {name: [each for _, each in sorted(several, key=lambda entry: entry[0])] for name, several in found.items()}


def _is_registered(each: Submission, known: Known, problems: list[Problem]) -> bool:
    contract = each.contract
    for entry in known.entries.get(contract.id, ()):
        if step(entry.version, contract.version) is not Step.NONE:
            continue
        if (entry.version, entry.content_hash) != (contract.version, contract.content_hash):
            problems.append(Problem("version", _changed(entry, each, known.former.get(entry.name)), source=contract.source))
        return True
    return False


def edited(submissions: Sequence[Submission], known: Known) -> list[Problem]:
    """Versions that are registered with another content, or written in another way: `admit` would refuse them."""
    problems: list[Problem] = []
    for several in _by_contract(submissions, []).values():
        for each in several:
            _is_registered(each, known, problems)
    return problems


def _changed(entry: Entry, each: Submission, former: Registered | None) -> str:
    contract = each.contract
    when = f"{entry.published_at:%Y-%m-%d %H:%MZ}"
    if entry.version != contract.version:
        return f'"{contract.version}" is the version {entry.version} of contract "{contract.id}", registered on {when}; write it the same'
    told = f'contract "{contract.id}" {entry.version} was registered on {when} by {entry.author}'
    hashes = f"(sha256 {entry.content_hash[:12]}, now {contract.content_hash[:12]})"
    if former is not None and _means_the_same(former, each):
        return (
            f"{told}, and only comments and layout differ {hashes}; a registered version is never changed: raise the version, or take "
            f"the registered text with `dagster-contracts registry get {entry.name} --output FILE`"
        )
    return f"{told} with another content {hashes}; a registered version is never changed: raise the version"


def _means_the_same(former: Registered, each: Submission) -> bool:
    from dagster_contracts.core.document import read  # here and not above: it loads YAML, which most commands do without

    return read(former.text).value == read(each.text).value and dict(former.profiles) == dict(each.profiles)


def _backwards(fresh: Sequence[Submission], known: Known) -> Problem | None:
    for each in fresh[:1]:
        newest = max(known.entries.get(each.contract.id, ()), key=lambda entry: read_version(entry.version), default=None)
        if newest is not None and step(newest.version, each.contract.version) is Step.BACKWARDS:
            message = (
                f'contract "{each.contract.id}" {each.contract.version} comes after {newest.version}, which is registered: versions do not '
                f"go backwards; give it a later one than {newest.version}"
            )
            return Problem("version", message, source=each.contract.source)
    return None


def _steps(fresh: Sequence[Submission], before: Contract | None) -> Iterator[tuple[Submission, list[Problem]]]:
    """Each with what its version number leaves unsaid of the step from the one before."""
    for each in fresh:
        compared = compare(before, each.contract) if before is not None else None
        told = compared.problems if compared is not None else ()
        yield each, [Problem("version", _too_little(one, compared), source=each.contract.source) for one in told if compared is not None]
        before = each.contract


def _too_little(told: str, compared: Comparison) -> str:
    worst = sorted(compared.changes, key=lambda change: (-compared.mode.impact(change), change.place))
    places = "; ".join(f"{change.place}: {change.kind.reason}" for change in worst[:3] if compared.mode.impact(change))
    more = len([change for change in worst if compared.mode.impact(change)]) - 3
    listed = f" ({places}{f'; and {more} more' if more > 0 else ''})" if places else ""
    return f"{told}{listed}. `dagster-contracts diff` tells all; --accept-incompatible REASON registers it as it is"


def _strangers(contract: Contract, names: frozenset[str]) -> Iterator[Problem]:
    for consumer in contract.policy.consumers:
        if consumer not in names:
            message = (
                f'the consumer "{consumer[:80]}" is not known{did_you_mean(consumer[:80], names) or ":"} it is no asset of a contract, '
                "none of the definitions (--file, --module) and not registered; correct it, or `dagster-contracts registry add-consumer`"
            )
            yield Problem("customProperties.circuitBreaker.consumers", message, source=contract.source)
