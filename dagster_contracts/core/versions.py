"""Versions of a contract: which of two is later, and by how big a step. Pure.

A version is MAJOR.MINOR.PATCH in whole numbers; what is left out is 0, and a leading "v" is allowed.
"""

from __future__ import annotations

import re
from enum import IntEnum

from dagster_contracts.core.errors import ContractError

_VERSION = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", re.ASCII)


class Step(IntEnum):
    """From one version to a later one; NONE where they are the same, BACKWARDS where the other is earlier."""

    BACKWARDS = -1
    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


def read_version(text: str) -> tuple[int, int, int]:
    """Raises ContractError where `text` is no such version."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise ContractError(f'version "{text[:80]}" cannot be compared; expected MAJOR.MINOR.PATCH, such as 1.4.0')
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


def step(old: str, new: str) -> Step:
    """How far it is from one version to another. Raises ContractError where one of them cannot be read."""
    before, after = read_version(old), read_version(new)
    if after < before:
        return Step.BACKWARDS
    unequal = [place for place in range(3) if before[place] != after[place]]
    return (Step.MAJOR, Step.MINOR, Step.PATCH)[unequal[0]] if unequal else Step.NONE


def following(version: str, by: Step) -> str:
    """The next version that is a major, minor or patch step later. Raises ContractError where `version` cannot be read."""
    major, minor, patch = read_version(version)
    later = {Step.MAJOR: (major + 1, 0, 0), Step.MINOR: (major, minor + 1, 0)}.get(by, (major, minor, patch + 1))
    return ("v" if version.strip().startswith("v") else "") + ".".join(map(str, later))
