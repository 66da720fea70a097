"""Operands as small as broadcasting lets them be."""

from __future__ import annotations

import numpy as np

from compiler.constants import with_data
from compiler.graph import Graph, Operator, Tensor
from compiler.operators import BINARY


def drop_broadcasts(graph: Graph) -> None:
    """Lets operators that broadcast do so themselves, instead of a BROADCAST_TO before them."""
    producers = graph.producers()
    for operator in graph.operators:
        if operator.kind != "BROADCAST_TO" and operator.kind not in BINARY:
            continue
        for place, tensor in enumerate(operator.inputs):
            before = producers.get(tensor) if tensor is not None else None
            if before is not None and before.kind == "BROADCAST_TO" and _fits(operator, place, before.inputs[0]):
                operator.inputs[place] = before.inputs[0]
    graph.prune()


def shrink_constants(graph: Graph) -> None:
    """Keeps one value of a constant operand along each axis that it doesn't vary along, if broadcasting repeats it."""
    for operator in graph.operators:
        if operator.kind not in BINARY:
            continue
        for place, tensor in enumerate(operator.inputs):
            if tensor is not None and tensor.data is not None:
                operator.inputs[place] = _smallest(operator, place, tensor)


def _smallest(operator: Operator, place: int, tensor: Tensor) -> Tensor:
    for axis in range(len(tensor.shape)):
        assert tensor.data is not None
        first = tensor.data.take([0], axis)
        if tensor.shape[axis] > 1 and (tensor.data == first).all():
            smaller = with_data(tensor, first)
            tensor = smaller if _fits(operator, place, smaller) else tensor
    while len(tensor.shape) > 1 and tensor.shape[0] == 1:
        assert tensor.data is not None
        smaller = with_data(tensor, tensor.data[0])
        if not _fits(operator, place, smaller):
            break
        tensor = smaller
    return tensor


def _fits(operator: Operator, place: int, tensor: Tensor | None) -> bool:
    """Whether the result has the same shape with another operand at this place."""
    if operator.kind == "BROADCAST_TO":
        return place == 0
    inputs = [*operator.inputs]
    inputs[place] = tensor
    try:
        shape = np.broadcast_shapes(*(each.shape for each in inputs if each is not None))
    except ValueError:
        return False
    return shape == operator.outputs[0].shape
