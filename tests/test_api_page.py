"""docs/reference/api.md: it is what the docstrings say, and everything on it says something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tools import reference

ROOT = Path(__file__).resolve().parents[1]
SAID_ELSEWHERE = {"SqlStore": "ports.Store", "S3ParquetIOManager": "dagster.ConfigurableIOManagerFactory"}  # what their methods do
NAMES = [(module, name) for module in reference.PUBLIC for name in reference.names(module)]


def functions(module: str, name: str) -> Iterator[tuple[str, reference.Function]]:
    _, node = reference.find(module, name)
    if isinstance(node, reference.Function):
        yield name, node
    elif isinstance(node, ast.ClassDef):
        made = [each for each in node.body if isinstance(each, reference.Function) and each.name == "__init__"]
        yield from ((f"{name}.{each.name}", each) for each in (*made, *reference.methods(node)))


def test_the_page_is_what_the_docstrings_say() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run tools/reference.py"


def test_every_public_name_says_what_it_is() -> None:
    silent = []
    for module, name in NAMES:
        _, node = reference.find(module, name)
        if isinstance(node, reference.Function | ast.ClassDef) and not ast.get_docstring(node):
            silent.append(name)
        if name not in SAID_ELSEWHERE:
            own = [(path, each) for path, each in functions(module, name) if each.name != "__init__"]
            silent += [path for path, each in own if not ast.get_docstring(each)]
    assert silent == []


def test_every_public_name_is_typed() -> None:
    untyped = []
    for module, name in NAMES:
        for path, node in functions(module, name):
            given = node.args
            found = [*given.posonlyargs, *given.args, *given.kwonlyargs, *(each for each in (given.vararg, given.kwarg) if each)]
            untyped += [f"{path}({each.arg})" for each in found if each.annotation is None and each.arg not in ("self", "cls")]
            untyped += [path] if node.returns is None and node.name != "__init__" else []
    assert untyped == []


def test_what_the_page_names_can_be_imported() -> None:
    """By someone who has no extra: clients are loaded where they are used."""
    assert [f"{module}.{name}" for module, name in NAMES if not hasattr(import_module(module), name)] == []


def test_the_page_has_every_error() -> None:
    _, tree = reference.source("dagster_contracts.core.errors")
    assert {node.name for node in tree.body if isinstance(node, ast.ClassDef)} == set(reference.PUBLIC["dagster_contracts.core.errors"])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "PUBLIC", {"toy": reference.LISTED})
    reference.source.cache_clear()
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text('from toy.room import Door as Gate, LIMIT\n__all__ = ["Gate", "LIMIT"]\n')
    yield folder
    reference.source.cache_clear()


def test_names_are_followed_to_where_they_are_defined(package: Path) -> None:
    (package / "room.py").write_text(
        '''
LIMIT = 5  # of people
_MOST, _WAIT = 9, 1.5
class Door:
    """A <door>, `<kept>`."""
    wide: int = 2  # metres
    _hinges: int = 3
    def __init__(self, a, *rest: int, b: str = 'x', c: float = _WAIT, **more: str): ...
    @property
    def open(self) -> bool:
        """Whether it is."""
    def silent(self): ...
'''
    )
    assert reference.page().removeprefix(reference.HEAD).strip() == (
        '## toy\n\n### Gate\n\n```\nGate(a, *rest: int, b: str = "x", c: float = 1.5, **more: str)\n    wide: int = 2  # metres\n```\n\n'
        "A \\<door>, `<kept>`.\n\n#### Gate.open\n\n```\nopen: bool\n```\n\nWhether it is.\n\n"
        "### LIMIT\n\n```\nLIMIT = 5  # of people\n```"
    )


def test_a_name_that_is_nowhere_is_an_error(package: Path) -> None:
    (package / "room.py").write_text("LIMIT = 5\n")
    with pytest.raises(LookupError, match=r"toy\.room has no Door: correct PUBLIC"):
        reference.page()
