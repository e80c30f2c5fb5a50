#!/usr/bin/env python
"""Write docs/reference/api.md: what users import, with signatures and docstrings. The sources are read, nothing is imported.

tools/reference.py           write the page
tools/reference.py --check   fail where the page is not what would be written
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/api.md"
WIDTH = 110
HEAD = """# Python API

Written by `python tools/reference.py` from the docstrings. What is not on this page may change in any version.
Names are imported from the module in whose section they stand."""
LISTED = ("__all__",)  # what the module itself lists
PUBLIC = {
    "dagster_contracts": LISTED,
    "dagster_contracts.plugin.resolving": ("Resolved",),
    "dagster_contracts.core.registry": ("Published", "Registered", "Entry", "Use"),
    "dagster_contracts.streaming": LISTED,
    "dagster_contracts.relay": ("Relay",),
    "dagster_contracts.sinks.kafka": ("KafkaEvents",),
    "dagster_contracts.sinks.slack": ("SlackAlerts",),
    "dagster_contracts.telemetry": ("observe_breakers",),
    "dagster_contracts.engines.polars.engine": ("PolarsEngine",),
    "dagster_contracts.store.sql": ("SqlStore",),
    "dagster_contracts.ports": ("Clock", "FixedClock", "EventSink", "MetricEngine"),
    "dagster_contracts.chaos.fault": ("fault", "reading", "Fault", "SHARES"),
    "dagster_contracts.chaos.edit": ("edited", "picked"),
    "dagster_contracts.chaos.shape": ("Reads", "ColumnShape"),
    "dagster_contracts.chaos.elsewhere": ("inject_into_file",),
    "dagster_contracts.core.errors": (
        *("DagsterContractsError", "Problem", "ContractError", "ContractSyntaxError", "ContractInvalid", "IncompatibleChange"),
        *("Unsatisfiable", "MeasurementError", "StoreError", "StoreUnavailable", "LostRace", "SchemaOutOfDate", "StorageError"),
        *("StorageUnreachable", "LostWrite", "DeliveryFailed", "UsageError", "Halted"),
    ),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Defined = Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@cache
def source(module: str) -> tuple[list[str], ast.Module]:
    path = ROOT / module.replace(".", "/")
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    return text.splitlines(), ast.parse(text)


def find(module: str, name: str) -> tuple[str, Defined]:
    """The module in which a name is defined, from where it may have been imported, and its definition."""
    _, tree = source(module)
    for node in tree.body:
        if name in _names(node):
            assert isinstance(node, Defined)
            return module, node
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and any((each.asname or each.name) == name for each in node.names):
            return find(node.module, next(each.name for each in node.names if (each.asname or each.name) == name))
    raise LookupError(f"{module} has no {name}: correct PUBLIC in {Path(__file__).name}")


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [
        each.id for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target]) if isinstance(each, ast.Name)
    ]


def names(module: str) -> list[str]:
    if PUBLIC[module] is not LISTED:
        return list(PUBLIC[module])
    _, listed = find(module, "__all__")
    assert isinstance(listed, ast.Assign)
    return [name for name in ast.literal_eval(listed.value) if not name.startswith("__")]


def signature(module: str, name: str, node: Function, *, bound: bool = False) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    given = list(parameters(module, node.args))[1 if bound else 0 :]
    line = f"{name}({', '.join(given)}){returns}"
    return line if len(line) <= WIDTH else "\n".join([f"{name}(", *(f"    {each}," for each in given), f"){returns}"])


def parameters(module: str, args: ast.arguments) -> Iterator[str]:
    plain = [*args.posonlyargs, *args.args]
    for arg, default in zip(plain, [None] * (len(plain) - len(args.defaults)) + list(args.defaults), strict=True):
        yield _parameter(arg, default and value(module, default))
    if args.vararg:
        yield f"*{_parameter(args.vararg, None)}"
    elif args.kwonlyargs:
        yield "*"
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(arg, default and value(module, default))
    if args.kwarg:
        yield f"**{_parameter(args.kwarg, None)}"


def _parameter(arg: ast.arg, default: str | None) -> str:
    told = f"{arg.arg}: {ast.unparse(arg.annotation)}" if arg.annotation else arg.arg
    return told if default is None else f"{told} = {default}"


def value(module: str, default: ast.expr) -> str:
    """A default as it would be written; a constant of a module as what it holds."""
    if isinstance(default, ast.Name) and default.id.upper() == default.id:
        module, node = find(module, default.id)
        assert isinstance(node, ast.Assign | ast.AnnAssign)
        assert node.value is not None
        several = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
        return value(module, node.value.elts[_names(node).index(default.id)] if several else node.value)
    told = ast.unparse(default)
    return told if '"' in told else told.replace("'", '"')


def methods(node: ast.ClassDef) -> list[Function]:
    """Public ones, and properties. Those without a docstring are not on the page: their protocol, or Dagster, says what they do."""
    return [each for each in node.body if isinstance(each, Function) and not each.name.startswith("_")]


def fields(module: str, node: ast.ClassDef) -> Iterator[str]:
    """Fields and members of enums, as they stand in the source with their comments."""
    lines, _ = source(module)
    for each in node.body:
        if isinstance(each, ast.Assign | ast.AnnAssign) and not _names(each)[0].startswith("_") and _names(each) != ["model_config"]:
            yield from (line[each.col_offset :] for line in lines[each.lineno - 1 : each.end_lineno])


def described(module: str, name: str) -> Iterator[str]:
    defined, node = find(module, name)
    yield f"### {name}"
    if isinstance(node, ast.Assign | ast.AnnAssign):
        yield block("\n".join(source(defined)[0][node.lineno - 1 : node.end_lineno]))
    elif isinstance(node, Function):
        yield from (block(signature(defined, name, node)), prose(node))
    else:
        yield from of_class(defined, name, node)


def of_class(module: str, name: str, node: ast.ClassDef) -> Iterator[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    made = next((each for each in node.body if isinstance(each, Function) and each.name == "__init__"), None)
    head = signature(module, name, made, bound=True) if made else f"class {name}({bases})" if bases else f"class {name}"
    yield block("\n".join([head, *(f"    {line}" for line in fields(module, node))]))
    yield prose(node)
    if made and ast.get_docstring(made):
        yield prose(made)
    for each in methods(node):
        if ast.get_docstring(each):
            yield from (f"#### {name}.{each.name}", block(_told(module, each)), prose(each))


def _told(module: str, method: Function) -> str:
    is_property = any(ast.unparse(decorator).endswith("property") for decorator in method.decorator_list)
    if is_property and method.returns:
        return f"{method.name}: {ast.unparse(method.returns)}"
    return signature(module, method.name, method, bound=True)


def block(text: str) -> str:
    return f"```\n{text}\n```"


def prose(node: Function | ast.ClassDef) -> str:
    """A docstring as Markdown: what looks like a tag is text."""
    parts = (ast.get_docstring(node) or "").split("`")
    return "`".join(part.replace("<", "\\<") if index % 2 == 0 else part for index, part in enumerate(parts))


def page() -> str:
    found = [HEAD]
    for module in PUBLIC:
        found.append(f"## {module}")
        for name in names(module):
            found.extend(described(module, name))
    return "\n\n".join(part for part in found if part) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        sys.exit(f"{PAGE.relative_to(ROOT)} is not what the docstrings say: run tools/reference.py")
