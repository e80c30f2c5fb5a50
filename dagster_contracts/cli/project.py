"""The Dagster side of a command: the user's definitions, the instance, and the operations of `plugin` on them.

All of it is imported on use: Dagster takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dagster_contracts.cli.printing import say
from dagster_contracts.core.errors import UsageError

CUSTOMARY = "definitions.py"


@dataclass(frozen=True, slots=True)
class Project:
    """`operations` is the module of that name in `plugin`; the others are Dagster's, which only `plugin` looks into."""

    operations: ModuleType
    definitions: Any
    instance: Any


def is_given(file: str | None, module: str | None) -> bool:
    """Whether definitions were named, or lie where they customarily do."""
    return file is not None or module is not None or Path(CUSTOMARY).is_file()


def asset_keys(file: str | None, module: str | None) -> list[str]:
    """The assets of the definitions that are named, none where none are. No instance is opened."""
    if file is None and module is None:
        return []
    _once(file, module)
    import dagster_contracts.plugin.operations as operations

    return operations.asset_keys(operations.load_definitions(file, module))


def _once(file: str | None, module: str | None) -> None:
    if file is not None and module is not None:
        raise UsageError("--file and --module are both given; name the definitions once")


def load(file: str | None, module: str | None) -> Project:
    """The definitions in `file`, in `module`, or in ./definitions.py, and the instance of DAGSTER_HOME.

    Raises UsageError where none or both are named, and whatever the user's own code raises.
    """
    _once(file, module)
    if not is_given(file, module):
        raise UsageError(f"no definitions: name them with --file or --module, or run this where {CUSTOMARY} lies ({Path.cwd()} has none)")
    if file is None and module is None:
        file = CUSTOMARY
        say(f"reading ./{CUSTOMARY}")
    import dagster_contracts.plugin.operations as operations

    return Project(operations, operations.load_definitions(file, module), operations.open_instance())
