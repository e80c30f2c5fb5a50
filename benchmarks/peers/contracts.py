"""Loading contracts: every file of a folder read, validated and compiled to its plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

VERSIONS = ("dagster-contracts",)
UNEQUAL: dict[str, str] = {}


def load(form: str, path: str) -> Callable[[], list[str]]:
    from dagster_contracts.core.compile import compile_plan
    from dagster_contracts.core.odcs import parse

    def run() -> list[str]:
        for file in sorted(Path(path).glob("*.odcs.yaml")):
            contract = parse(file.read_text(), source=str(file))
            for found in contract.objects:
                compile_plan(contract, found)
        return []

    return run
