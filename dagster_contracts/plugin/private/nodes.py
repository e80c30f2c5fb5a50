"""Ops and graphs around other compute functions, and ops that stand aside."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dagster as dg
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.execution.plan.compute_generator import create_op_compute_wrapper
from dagster_shared.record import replace as replace_record

Compute = Callable[[Any, Mapping[str, Any]], Iterator[Any]]
WrapOp = Callable[[dg.OpDefinition], dg.OpDefinition]
MoreOutputs = Mapping[str, Sequence[str]]  # output of a graph -> names of outputs to be added, from the op that makes it


def inner_compute(op: dg.OpDefinition) -> Compute:
    """The op's own compute function, as Dagster would call it."""
    return create_op_compute_wrapper(op) if isinstance(op.compute_fn, DecoratedOpFunction) else op.compute_fn


def rebuilt_op(
    op: dg.OpDefinition,
    compute: Compute,
    *,
    ins: Mapping[str, dg.In],
    outs: Mapping[str, dg.Out],
    tags: Mapping[str, str],
    resources: Iterable[str] = (),
) -> dg.OpDefinition:
    """The same op around another compute function."""
    compute.__annotations__.pop("context", None)
    decorated = op.compute_fn if isinstance(op.compute_fn, DecoratedOpFunction) else DecoratedOpFunction(op.compute_fn)
    if decorated.has_context_arg():
        annotation = decorated.get_context_arg().annotation
        if annotation is not inspect.Parameter.empty:
            compute.__annotations__["context"] = annotation  # Dagster picks the context class by it
    compute.__name__ = op.name
    return dg.OpDefinition.dagster_internal_init(
        compute_fn=compute,
        name=op.name,
        ins=dict(ins),
        outs=dict(outs),
        description=op.description,
        config_schema=op.config_schema,
        required_resource_keys={*op.required_resource_keys, *resources},
        tags=tags,
        version=None,
        retry_policy=op.retry_policy,
        code_version=op._version,
        pool=op.pool,
    )


def rebuilt_node(node: Any, wrap: WrapOp, seen: dict[object, Any], more: MoreOutputs = MappingProxyType({})) -> Any:
    """A node with every op in it wrapped; an op that stands in several places is wrapped once. The wrapped ops have the outputs `more`."""
    if not isinstance(node, dg.GraphDefinition):
        return seen[id(node)] if id(node) in seen else seen.setdefault(id(node), wrap(node))
    name = (id(node), tuple(sorted((output, tuple(added)) for output, added in more.items())))
    if name not in seen:
        seen[name] = _rebuilt_graph(node, wrap, seen, more)
    return seen[name]


def _rebuilt_graph(graph: dg.GraphDefinition, wrap: WrapOp, seen: dict[object, Any], more: MoreOutputs) -> dg.GraphDefinition:
    inner: dict[int, dict[str, Sequence[str]]] = {}
    added_mappings: list[dg.OutputMapping] = []
    for output, added in more.items():
        source = graph.get_output_mapping(output).maps_from
        definition = graph.node_named(source.node_name).definition
        inner.setdefault(id(definition), {})[source.output_name] = added
        added_mappings += [
            dg.OutputMapping(graph_output_name=name, mapped_node_name=source.node_name, mapped_node_output_name=name) for name in added
        ]
    nodes = {id(node): rebuilt_node(node, wrap, seen, inner.get(id(node), {})) for node in graph.node_defs}

    def retyped(mapping: dg.OutputMapping) -> dg.OutputMapping:
        """Dagster wants both ends of one type; without one it takes that of the op."""
        made = nodes[id(graph.node_named(mapping.maps_from.node_name).definition)].output_def_named(mapping.maps_from.output_name)
        return mapping if made.dagster_type is mapping.dagster_type else mapping._replace(dagster_type=None)

    return dg.GraphDefinition(
        name=graph.name,
        description=graph.description,
        node_defs=list(nodes.values()),
        dependencies=graph.dependencies,
        input_mappings=graph.input_mappings,
        output_mappings=[*map(retyped, graph.output_mappings), *added_mappings],
        config=graph.config_mapping,
        tags=graph.tags,
        input_assets=graph._input_assets,
        composition_fn=graph._composition_fn,
    )


def op_that_makes(node: Any, output_name: str) -> dg.OpDefinition:
    """The op behind an output of a node, through nested graphs."""
    while isinstance(node, dg.GraphDefinition):
        source = node.get_output_mapping(output_name).maps_from
        node, output_name = node.node_named(source.node_name).definition, source.output_name
    op: dg.OpDefinition = node
    return op


def ops_of(node: Any) -> list[dg.OpDefinition]:
    """Every op of a node."""
    return [op for inner in node.node_defs for op in ops_of(inner)] if isinstance(node, dg.GraphDefinition) else [node]


def lazy_input(given: dg.In) -> dg.In:
    """The same input, of which Dagster is not told the type."""
    return replace_record(given, dagster_type=dg.Any)


def optional(out: dg.Out) -> dg.Out:
    """The same output, which need not be yielded. Without values a dynamic one stays: what collects it is then run with none."""
    return out if isinstance(out, dg.DynamicOut) else out._replace(is_required=False)


class NotRun:
    """What inner ops of a graph hand on in a run that reads what is stored, and makes nothing."""


NOT_RUN = NotRun()


class _OrNotRun(dg.DagsterType):
    """A type of which NOT_RUN is a value too."""

    def __init__(self, declared: dg.DagsterType):
        self._declared = declared
        super().__init__(
            type_check_fn=lambda context, value: value is NOT_RUN or declared.type_check(context, value),
            key=f"{declared.key}_or_not_run",
            description=declared.description,
            typing_type=declared.typing_type,
            required_resource_keys=set(declared.required_resource_keys),
        )

    @property
    def display_name(self) -> str:
        return self._declared.display_name


def nothing_run(op: dg.OpDefinition) -> Iterator[Any]:
    """What an op yields that stands aside: nothing that would be stored. Dynamic outputs have no values then."""
    for name, out in op.output_dict.items():
        if not out.is_dynamic:
            yield dg.Output(None if out.dagster_type.is_nothing else NOT_RUN, output_name=name)


def or_not_run(op: dg.OpDefinition) -> dict[str, dg.Out]:
    """The outputs of an op, of which NOT_RUN is a value too."""
    types = {name: out.dagster_type for name, out in op.output_dict.items()}
    return {n: out if types[n].is_nothing else out._replace(dagster_type=_OrNotRun(types[n])) for n, out in op.outs.items()}
