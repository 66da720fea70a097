"""The cumulative pools of a streaming graph, found by what the graph does.

A pool adds something computed from each frame to one state, counts frames in another, and goes on with sum / count (the
causal global average pooling of MoViNets, arXiv 2103.11511). memory.py bounds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

from compiler.graph import Graph, Operator, Tensor
from compiler.operators import has_activation, operand
from memory import Pool

# What only changes how the same numbers are stored.
_STORAGE = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE", "CAST", "SLICE", "STRIDED_SLICE"}


@dataclass(frozen=True, eq=False)
class FoundPool:
    """A pool and what it is made of.

    Attributes:
        pool: Its states.
        mean: The operator that computes sum / count.
        added: What is added for each frame.
        operators: All from the states, as they enter, to the mean and to the states, as they leave.
    """

    pool: Pool
    mean: Operator
    added: Tensor
    operators: frozenset[Operator]


@dataclass(frozen=True, eq=False)
class _Accumulator:
    """A state that leaves the graph as what it was and something more.

    Attributes:
        name: The state's.
        added: That something.
        operators: All from the state, as it enters, to the state, as it leaves.
    """

    name: str
    added: Tensor
    operators: frozenset[Operator]


def find_pools(graph: Graph) -> list[Pool]:
    """Returns the pools in the order in which the graph computes their means.

    A pool is a short one if another one before it adds the same: that is what compiler/horizons.py makes.
    """
    return [found.pool for found in locate_pools(graph)]


def locate_pools(graph: Graph) -> list[FoundPool]:
    """Returns the pools as find_pools does, with what they are made of."""
    producers = graph.producers()
    counts, sums = [], {}
    for name, (enters, leaves) in graph.states().items():
        total, storing = _origin(leaves, producers)
        for added, operators in _addends(total, enters, producers):
            accumulator = _Accumulator(name, added, frozenset([*operators, *storing]))
            if _is_one(added, producers):
                counts.append(accumulator)
            elif _origin(added, producers)[0].data is None and enters not in _sources(graph, added):
                sums[total] = accumulator
    found: list[FoundPool] = []
    unknown = set()  # Counts that something else is divided by, too, which might be a sum of all frames.
    for operator in graph.operators:
        if operator.kind == "DIV" and not has_activation(operator):
            (total, above), (frames, below) = (_origin(operand(operator, place), producers) for place in (0, 1))
            counted = next(_counted(graph, frames, counts, producers), None)
            if total in sums and counted is not None:
                buffer, (count, counting) = sums[total], counted
                short = any(other.added is buffer.added for other in found)
                pool = Pool(buffer.name, count.name, short, *_grid(graph, buffer.name))
                members = frozenset([operator, *above, *below, *counting]) | buffer.operators | count.operators
                found.append(FoundPool(pool, operator, buffer.added, members))
            elif counted is not None:
                unknown.add(counted[0].name)
    return [each for each in found if each.pool.count not in unknown]


def _counted(
    graph: Graph, frames: Tensor, counts: Iterable[_Accumulator], producers: dict[Tensor, Operator]
) -> Iterator[tuple[_Accumulator, list[Operator]]]:
    """Yields the count, as it enters, that a tensor is one more than, and the operators that add the one.

    They need not be those that compute the count as it leaves: some graphs add a second time, or to float numbers.
    """
    for count in counts:
        for added, operators in _addends(frames, graph.inputs[count.name], producers):
            if _is_one(added, producers):
                yield count, operators


def _is_one(tensor: Tensor, producers: dict[Tensor, Operator]) -> bool:
    values = _origin(tensor, producers)[0].data
    return values is not None and values.size == 1 and values.item() == 1


def _addends(
    total: Tensor, enters: Tensor, producers: dict[Tensor, Operator]
) -> Iterable[tuple[Tensor, list[Operator]]]:
    """Yields what is added to a state as it enters, if that is what makes the total, and the operators that do it."""
    operator = producers.get(total)
    if operator is not None and operator.kind == "ADD" and not has_activation(operator):
        first, second = operand(operator, 0), operand(operator, 1)
        for state, added in ((first, second), (second, first)):
            origin, storing = _origin(state, producers)
            if origin is enters:
                yield added, [operator, *storing]


def _origin(tensor: Tensor, producers: dict[Tensor, Operator]) -> tuple[Tensor, list[Operator]]:
    """Follows a tensor back to where its numbers come from; returns that and the operators that only stored them."""
    passed = []
    while tensor in producers and _only_stores(producers[tensor]):
        passed.append(producers[tensor])
        tensor = operand(producers[tensor])
    return tensor, passed


def _only_stores(operator: Operator) -> bool:
    before, after = operand(operator), operator.outputs[0]
    if operator.kind not in _STORAGE or np.prod(before.shape) != np.prod(after.shape):
        return False
    if operator.kind == "STRIDED_SLICE":  # It may run backwards.
        strides = operand(operator, 3).data
        return strides is not None and bool((strides == 1).all())
    return operator.kind != "CAST" or after.dtype.kind == "f" or before.dtype.kind != "f"


def _grid(graph: Graph, name: str) -> tuple[float, int]:
    """Returns scale and zero point of the grid that a state is quantized to as it enters; 0 and 0 if it is float.

    The zero point is that of the state's own integers; a float state has none.
    """
    state = graph.inputs[name]
    if state.quantization is not None:
        return float(state.quantization.scales[0]), int(state.quantization.zero_points[0])
    readers = [operator for operator in graph.operators if state in operator.inputs]
    scales = [
        operator.outputs[0].quantization.scales[0]
        for operator in readers
        if operator.kind == "QUANTIZE" and operator.outputs[0].quantization is not None
    ]
    return (float(scales[0]), 0) if scales else (0.0, 0)


def needed(graph: Graph, tensor: Tensor) -> list[Operator]:
    """Returns the operators that a tensor is computed by, in their order."""
    part = Graph(graph.key, graph.inputs, {"": tensor}, list(graph.operators))
    part.prune()
    return part.operators


def _sources(graph: Graph, tensor: Tensor) -> set[Tensor | None]:
    """Returns the tensor and all that it is computed from."""
    return {tensor, *(each for operator in needed(graph, tensor) for each in operator.inputs)}
