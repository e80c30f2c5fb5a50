"""Faults of one's own: every `Fault` in a Python file, and those that installed packages offer.

A package offers them as entry points of the group `dagster_contracts.faults`: each names a Fault, or a function without arguments that
gives several.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from dagster_contracts.chaos.fault import Fault
from dagster_contracts.core.errors import UsageError

GROUP = "dagster_contracts.faults"


def faults_in(path: Path) -> list[Fault]:
    """Every Fault at the top level of a Python file, in the order of their names. Raises UsageError where it cannot be run, or has none."""
    spec = importlib.util.spec_from_file_location(f"faults_of_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is no Python file; give one that defines faults with `dagster_contracts.chaos.fault.fault`")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    found = [value for name, value in sorted(vars(module).items()) if isinstance(value, Fault)]
    if not found:
        raise UsageError(f"{path} defines no fault; make one with the decorator `dagster_contracts.chaos.fault.fault`")
    return list({fault.name: fault for fault in found}.values())


def installed() -> list[Fault]:
    """Those of packages. Raises UsageError for an entry point that cannot be loaded, or is no fault."""
    found: list[Fault] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            value = point.load()
            several: Iterable[object] = value() if callable(value) and not isinstance(value, Fault) else [value]
        except Exception as error:
            raise UsageError(f"entry point {point.name} of {GROUP} ({point.value}): {type(error).__name__}: {error}") from error
        for each in several:
            if not isinstance(each, Fault):
                raise UsageError(f"entry point {point.name} of {GROUP} ({point.value}) gives {type(each).__name__}; expected Fault")
            found.append(each)
    return found
