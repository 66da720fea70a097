"""Tensors of five axes as tensors of four: what kernels and XNNPACK are made for.

Every axis pair that lies side by side in memory can be counted as one axis, since a RESHAPE costs nothing there. So an
operator on [1, 1, H, W, C] becomes one on [1, H, W, C], and one on a stream buffer [1, T, H, W, C] (MoViNets, arXiv
2103.11511) one on [1, T*H, W, C], between two RESHAPEs, most of which cancel out with those of its neighbours. An
operator that has no rule, or whose work doesn't allow it, keeps its axes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator

import numpy as np

from compiler.constants import with_data
from compiler.graph import Graph, Operator, Tensor, constant
from compiler.operators import BINARY, REDUCTIONS, UNARY, like, rank, reshape

_MOST = 4
_Shape = tuple  # of int


@dataclass
class _Merged:
    """An operator after two neighbouring axes became one.

    Attributes:
        shapes: Of the operands that change, by their place among the inputs.
        result: Shape of the output; it holds as many elements in the same order as before.
        parameters: New values of constant operands (axes, sizes), by place.
        changes: New values of options.
    """

    shapes: dict[int, _Shape]
    result: _Shape
    parameters: dict[int, np.ndarray] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)


def reduce_rank(graph: Graph) -> None:
    """Brings operators on more than four axes down to four, between RESHAPEs."""
    graph.operators = [new for operator in graph.operators for new in _lowered(operator)]


def _lowered(operator: Operator) -> Iterator[Operator]:
    for first in _pairs(operator):
        merged = _RULES[operator.kind](operator, first)
        if merged is not None:
            before, inner, after = _between_reshapes(operator, merged)
            yield from before
            yield from _lowered(inner)
            yield after
            return
    yield operator


def _pairs(operator: Operator) -> list[int]:
    """Returns the first axes of the pairs to try, best first: two of size 1, then frames with rows, then the others."""
    operands = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None]
    widest = max(operands, key=lambda tensor: (rank(tensor), np.prod(tensor.shape)))
    if operator.kind not in _RULES or rank(widest) <= _MOST or len(operator.outputs) != 1:
        return []
    firsts = range(rank(widest) - 1)
    return sorted(firsts, key=lambda first: (widest.shape[first : first + 2] != (1, 1), first == 0, first))


def _between_reshapes(operator: Operator, merged: _Merged) -> tuple[list[Operator], Operator, Operator]:
    inputs, before = list(operator.inputs), []
    for place, shape in merged.shapes.items():
        tensor = inputs[place]
        assert tensor is not None
        if tensor.shape == shape:
            continue
        if tensor.data is not None:
            inputs[place] = with_data(tensor, tensor.data.reshape(shape))
        else:
            inputs[place] = reshaped = like(tensor, shape)
            before.append(reshape(tensor, reshaped))
    for place, values in merged.parameters.items():
        given = inputs[place]
        assert given is not None
        inputs[place] = constant(values.astype(given.dtype), given.name)
    options = copy.copy(operator.options)
    for name, value in merged.changes.items():
        setattr(options, name, value)
    output = operator.outputs[0]
    inner = Operator(operator.kind, inputs, [like(output, merged.result)], options, operator.version)
    return before, inner, reshape(inner.outputs[0], output)


def _merge(shape: _Shape, first: int) -> _Shape:
    return (*shape[:first], shape[first] * shape[first + 1], *shape[first + 2 :])


def _elementwise(operator: Operator, first: int) -> _Merged | None:
    result = operator.outputs[0].shape
    merged = _merge(result, first)
    shapes = {}
    for place, tensor in enumerate(operator.inputs):
        assert tensor is not None
        padded = (1,) * (len(result) - rank(tensor)) + tensor.shape
        shape = _merge(padded, first)
        if shape[first] not in (1, merged[first]):  # It is broadcast along one axis of the pair.
            return None
        if rank(tensor) > _MOST or _trimmed(shape) != _trimmed(tensor.shape):
            shapes[place] = shape
    return _Merged(shapes, merged)


def _trimmed(shape: _Shape) -> _Shape:
    """A shape as broadcasting sees it: axes of size 1 at its beginning say nothing."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _broadcast_to(operator: Operator, first: int) -> _Merged | None:
    alone = Operator(operator.kind, operator.inputs[:1], operator.outputs)
    merged = _elementwise(alone, first)
    if merged is not None:
        merged.parameters[1] = np.array(merged.result)
    return merged


def _reduction(operator: Operator, first: int) -> _Merged | None:
    tensor, axes = operator.inputs[0], _values(operator.inputs[1])
    if tensor is None or axes is None:
        return None
    reduced = {int(axis) % rank(tensor) for axis in axes.ravel()}
    wide = [axis in reduced for axis in (first, first + 1) if tensor.shape[axis] != 1]
    if len(set(wide)) > 1:
        return None
    left = {axis - (axis > first) for axis in reduced - {first, first + 1}} | ({first} if any(wide) else set())
    if not left:
        return None
    shape = _merge(tensor.shape, first)
    result = tuple(1 if axis in left else size for axis, size in enumerate(shape))
    return _Merged({0: shape}, result, {1: np.array(sorted(left))}, {"keepDims": True})


def _concatenation(operator: Operator, first: int) -> _Merged | None:
    result = operator.outputs[0].shape
    axis = operator.options.axis % len(result)
    if axis == first + 1 and result[first] != 1:
        return None
    shapes = {place: _merge(tensor.shape, first) for place, tensor in enumerate(operator.inputs) if tensor is not None}
    return _Merged(shapes, _merge(result, first), {}, {"axis": axis - (axis > first)})


def _slice(operator: Operator, first: int) -> _Merged | None:
    tensor, begin = operator.inputs[0], _values(operator.inputs[1])
    if tensor is None or begin is None:
        return None
    size, inner = operator.outputs[0].shape, tensor.shape[first + 1]
    if size[first] != 1 and size[first + 1] != inner:  # What is taken doesn't lie side by side.
        return None
    start = [*begin[:first], begin[first] * inner + begin[first + 1], *begin[first + 2 :]]
    result = _merge(size, first)
    return _Merged({0: _merge(tensor.shape, first)}, result, {1: np.array(start), 2: np.array(result)})


def _pad(operator: Operator, first: int) -> _Merged | None:
    tensor, amounts = operator.inputs[0], _values(operator.inputs[1])
    if tensor is None or amounts is None:
        return None
    outer, inner = amounts[first : first + 2]
    if inner.any() and (outer.any() or tensor.shape[first] != 1):
        return None
    together = inner if inner.any() else outer * tensor.shape[first + 1]
    amounts = np.concatenate([amounts[:first], together[None], amounts[first + 2 :]])
    return _Merged({0: _merge(tensor.shape, first)}, _merge(operator.outputs[0].shape, first), {1: amounts})


def _transposition(operator: Operator, first: int) -> _Merged | None:
    tensor, order = operator.inputs[0], _values(operator.inputs[1])
    if tensor is None or order is None:
        return None
    axes = [int(axis) for axis in order]
    if 1 in tensor.shape[first : first + 2]:  # An axis of size 1 can stand anywhere.
        axes.remove(first if tensor.shape[first] == 1 else first + 1)
        axes = [axis - (axis > first) for axis in axes]
    elif axes.index(first + 1) == axes.index(first) + 1:
        axes = [axis - (axis > first) for axis in axes if axis != first + 1]
    else:
        return None
    shape = _merge(tensor.shape, first)
    return _Merged({0: shape}, tuple(shape[axis] for axis in axes), {1: np.array(axes)})


def _by_last_axis(operator: Operator, first: int) -> _Merged | None:
    tensor = operator.inputs[0]
    if tensor is None or first + 1 == rank(tensor) - 1 or operator.outputs[0].shape[:-1] != tensor.shape[:-1]:
        return None
    return _Merged({0: _merge(tensor.shape, first)}, _merge(operator.outputs[0].shape, first))


def _values(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.data


_RULES: dict[str, Callable[[Operator, int], _Merged | None]] = {
    **dict.fromkeys(UNARY | BINARY, _elementwise),
    **dict.fromkeys(REDUCTIONS, _reduction),
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "SLICE": _slice,
    "PAD": _pad,
    "PADV2": _pad,
    "TRANSPOSE": _transposition,
    "FULLY_CONNECTED": _by_last_axis,
    "SOFTMAX": _by_last_axis,
}
