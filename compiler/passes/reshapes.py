"""Reshapes that needn't be: SQUEEZE and EXPAND_DIMS are reshapes, and most reshapes undo each other."""

from __future__ import annotations

from compiler.graph import Graph
from compiler.operators import UNARY, like, operand, reshape


def unify_reshapes(graph: Graph) -> None:
    """Turns SQUEEZE, EXPAND_DIMS and RESHAPE to a computed or partly unknown shape into RESHAPE to a known one."""
    for place, operator in enumerate(graph.operators):
        if operator.kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
            graph.operators[place] = reshape(operand(operator), operator.outputs[0])


def merge_reshapes(graph: Graph) -> None:
    """Drops reshapes that change nothing and lets each other one read what was there before any reshape."""
    producers = graph.producers()
    for operator in graph.operators:
        if operator.kind != "RESHAPE":
            continue
        source, result = operand(operator), operator.outputs[0]
        while source in producers and producers[source].kind == "RESHAPE":
            source = operand(producers[source])
        operator.inputs[0] = source
        if source.shape == result.shape:
            graph.replace(result, source)
    graph.prune()


def sink_reshapes(graph: Graph) -> None:
    """Moves reshapes behind elementwise operators on one operand, to where they may meet others."""
    uses, producers = graph.uses(), graph.producers()
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        if operator.kind not in UNARY:
            continue
        source, result = operand(operator), operator.outputs[0]
        before = producers.get(source)
        if before is not None and before.kind == "RESHAPE" and uses[source] == 1:
            origin = operand(before)
            inner = like(result, origin.shape)
            operator.inputs[0], operator.outputs[0] = origin, inner
            producers[inner] = operator
            operators.append(reshape(inner, result))
            producers[result] = operators[-1]
    graph.operators = operators
    graph.prune()
