"""STRIDED_SLICE as SLICE, and slices that take everything as nothing."""

from __future__ import annotations

from compiler.graph import Graph, Operator
from compiler.operators import like, operand, rank, reshape, slice_of


def simplify_slices(graph: Graph) -> None:
    """Turns each STRIDED_SLICE that takes a box out of its operand into SLICE, and drops those that take all of it.

    One with another step, backwards, or with new axes stays as it is.
    """
    operators = []
    for operator in graph.operators:
        begin = _box(operator)
        if begin is None:
            operators.append(operator)
            continue
        source, result = operand(operator), operator.outputs[0]
        removed = operator.options.shrinkAxisMask if operator.kind == "STRIDED_SLICE" else 0
        kept = iter(result.shape)
        shape = tuple(1 if removed >> axis & 1 else next(kept) for axis in range(rank(source)))
        if shape != source.shape:
            piece = like(result, shape) if removed else result
            operators.append(slice_of(source, begin, piece))
            source = piece
        if source is not result:
            operators.append(reshape(source, result))  # Of the same shape where nothing was removed.
    graph.operators = operators


def _box(operator: Operator) -> list[int] | None:
    """Returns where the box begins that the operator takes, by axis; None if it takes something else."""
    if operator.kind not in ("SLICE", "STRIDED_SLICE"):
        return None
    source, parameters = operand(operator), [tensor.data for tensor in operator.inputs[1:] if tensor is not None]
    known = [values for values in parameters if values is not None]
    if len(known) != len(operator.inputs) - 1:
        return None
    if operator.kind == "SLICE":
        return [int(value) for value in known[0]]
    options = operator.options
    if options.ellipsisMask or options.newAxisMask or options.offset or len(known[0]) != rank(source):
        return None
    begins, kept = [], list(operator.outputs[0].shape)
    for axis, length in enumerate(source.shape):
        begin, _, step = (int(values[axis]) for values in known)
        removed = options.shrinkAxisMask >> axis & 1
        masked = options.beginMask >> axis & 1
        first = 0 if masked else begin + length if begin < 0 else begin
        size = 1 if removed else kept.pop(0)
        if masked and removed or step < 1 or step > 1 and size != 1 or first < 0 or first + size > length:
            return None
        begins.append(first)
    return begins
