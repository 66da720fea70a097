"""The class "unknown" of a taught model: the last of its logits, which depends on all others (teaching/familiar.py)."""

from __future__ import annotations

from compiler.graph import Graph, Operator, Tensor
from compiler.operators import has_activation, operand


def known_classes(graph: Graph, logits: Tensor) -> Tensor:
    """Returns the logits without that of "unknown"; all of them where there is no such class.

    It is found by what it is: the greatest of the others and something more, set behind them.
    """
    producers = graph.producers()

    def made_by(tensor: Tensor, kind: str) -> Operator | None:
        operator = producers.get(tensor)
        return operator if operator is not None and operator.kind == kind else None

    joined = made_by(logits, "CONCATENATION")
    if joined is None or len(joined.inputs) != 2 or operand(joined, 1).shape != (1, 1):
        return logits
    known, addition = operand(joined), made_by(operand(joined, 1), "ADD")
    for tensor in addition.inputs if addition is not None and not has_activation(addition) else ():
        greatest = made_by(tensor, "REDUCE_MAX") if tensor is not None else None
        if greatest is not None and operand(greatest) is known and known.shape[0] == 1:
            return known
    return logits


def drop_unknown(graph: Graph) -> bool:
    """Takes the class "unknown" from a graph; returns whether there was one."""
    rest = [name for name in graph.outputs if name not in graph.inputs]
    if len(rest) != 1:
        return False
    logits = graph.outputs[rest[0]]
    graph.outputs[rest[0]] = known_classes(graph, logits)
    graph.prune()
    return graph.outputs[rest[0]] is not logits
