"""The cumulative pools of a streaming graph: found by what the graph does, and read at two horizons by its head.

A pool adds something computed from each frame to one state, counts frames in another, and goes on with sum / count (the
causal global average pooling of MoViNets, arXiv 2103.11511). memory.py bounds them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

from compiler.graph import Graph, Operator, Tensor, constant
from compiler.operators import BINARY, CONVOLUTIONS, UNARY, has_activation, operand, reshape
from compiler.schema import schema
from compiler.unknown import known_classes
from errors import HeadNotUnderstood
from memory import Pool

# What only changes how the same numbers are stored.
_STORAGE = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE", "CAST", "SLICE", "STRIDED_SLICE"}
# What treats the rows of a batch alike, each for itself.
_ROWWISE = UNARY | BINARY | CONVOLUTIONS | {"RESHAPE", "QUANTIZE", "DEQUANTIZE"}
_AFFINE = {"CONV_2D", "FULLY_CONNECTED", "RESHAPE", "ADD", "SUB", "MUL"}


@dataclass(frozen=True, eq=False)
class _Found:
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

    A pool is a short one if another one before it adds the same: that is what add_horizons makes.
    """
    return [found.pool for found in _find(graph)]


def add_horizons(graph: Graph) -> None:
    """Lets the head read its pool at two horizons: a copy of the pool, which may forget faster, gets states of its own.

    The head's pool is the last one that everything on its way to the logits passes through. The logits become the
    mean of what the head says to both. That is the geometric mean of the probabilities, renormalized: with
    p = softmax(a) and q = softmax(b), sqrt(p_i q_i) = exp((a_i + b_i) / 2) / c, where c doesn't depend on i, and
    softmax((a + b) / 2) is these numbers scaled to the sum 1. While neither pool forgets, both are equal, and the
    logits are what they were.

    The body runs once, and so does the affine end of the head, where f((x + y) / 2) = (f(x) + f(y)) / 2. Only what
    stands between, up to the last activation, runs twice, as two rows of a batch, so that its weights are read once:
    1.0 million multiply-accumulates of the official A0's 49.5 million, 2 %. The class "unknown" of a taught model isn't
    affine in what the others are computed from; it is computed from the mean of that, as it was taught.

    To be done last: a pass that takes equal frame counts for one would undo it.

    Raises:
        HeadNotUnderstood: The logits aren't read from one float pool, or the head isn't understood; the graph is
            unchanged.
    """
    found, logits = _head_pool(graph)
    mean = found.mean.outputs[0]
    varying = _dependents(graph, [mean])
    rows = _start_of_affine_end(graph, mean, known_classes(graph, logits))
    doubled = [operator for operator in _needed(graph, rows) if not varying.isdisjoint(operator.inputs)]
    _check_rowwise(mean, doubled, varying)
    _check_passage(graph, rows, doubled, varying)

    copies = _copy_pool(graph, found)
    both, stack = _stack(mean, copies[found.mean].outputs[0])
    graph.replace(mean, both)
    for operator in doubled:
        _double(operator)
    rows = both if rows is mean else rows
    averaged, average = _average(rows)
    graph.replace(rows, averaged)

    operators = []
    for operator in graph.operators:
        operators.append(operator)
        if operator in copies:
            operators.append(copies[operator])
        if operator is found.mean:
            operators.append(stack)
        if operator is (doubled[-1] if doubled else found.mean):
            operators += average
    graph.operators = operators


def _find(graph: Graph) -> list[_Found]:
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
    found: list[_Found] = []
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
                found.append(_Found(pool, operator, buffer.added, members))
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


def _head_pool(graph: Graph) -> tuple[_Found, Tensor]:
    """Returns the pool that all of the logits are read from, the last if there are several, and the logits."""
    rest = [tensor for name, tensor in graph.outputs.items() if name not in graph.inputs]
    if len(rest) != 1 or rest[0].dtype != np.float32:
        raise HeadNotUnderstood("it gives not only float logits beside its states")
    logits = rest[0]
    given = _dependents(graph, graph.inputs.values())
    for found in reversed(_find(graph)):
        beyond = _dependents(graph, found.mean.outputs)
        head = [operator for operator in graph.operators if not beyond.isdisjoint(operator.inputs)]
        read = {tensor for operator in head for tensor in operator.inputs if tensor in given}
        if logits in beyond and read <= beyond:
            if found.pool.scale:
                raise HeadNotUnderstood(f"{found.pool.buffer} is quantized")
            if any(graph.outputs[name] in beyond for name in graph.states()):
                raise HeadNotUnderstood("a state is computed from the head's pool")
            return found, logits
    raise HeadNotUnderstood("no pool is what all of the logits are read from")


def _start_of_affine_end(graph: Graph, mean: Tensor, logits: Tensor) -> Tensor:
    """Returns the first float tensor, on the way from the mean to the logits, from which on all is affine."""
    producers, varying = graph.producers(), _dependents(graph, [mean])
    tensor = logits
    while tensor is not mean:
        operator = producers[tensor]
        inputs = [each for each in operator.inputs if each in varying]
        affine = operator.kind in _AFFINE and not has_activation(operator)
        if not affine or len(inputs) != 1 or inputs[0].dtype != np.float32:
            break
        tensor = inputs[0]
    return tensor


def _dependents(graph: Graph, tensors: Iterable[Tensor]) -> set[Tensor]:
    """Returns the tensors and all that is computed from them."""
    found = set(tensors)
    for operator in graph.operators:
        if not found.isdisjoint(operator.inputs):
            found.update(operator.outputs)
    return found


def _needed(graph: Graph, tensor: Tensor) -> list[Operator]:
    """Returns the operators that a tensor is computed by, in their order."""
    part = Graph(graph.key, graph.inputs, {"": tensor}, list(graph.operators))
    part.prune()
    return part.operators


def _sources(graph: Graph, tensor: Tensor) -> set[Tensor | None]:
    """Returns the tensor and all that it is computed from."""
    return {tensor, *(each for operator in _needed(graph, tensor) for each in operator.inputs)}


def _check_rowwise(mean: Tensor, operators: list[Operator], varying: set[Tensor]) -> None:
    """Raises HeadNotUnderstood unless these operators can be given two rows in place of one."""
    for operator in operators:
        if operator.kind not in _ROWWISE:
            raise HeadNotUnderstood(f"the head has an operator {operator.kind}")
    for tensor in [mean, *(tensor for operator in operators for tensor in (*operator.inputs, *operator.outputs))]:
        # What varies must have its one row in front; what doesn't only needs to fit any number of rows.
        if tensor in varying and (len(tensor.shape) < 2 or tensor.shape[0] != 1):
            raise HeadNotUnderstood(f"the head computes {tensor.name!r} {list(tensor.shape)}, not [1, ...]")


def _check_passage(graph: Graph, rows: Tensor, doubled: list[Operator], varying: set[Tensor]) -> None:
    """Raises HeadNotUnderstood unless all that varies behind these operators is computed from their rows."""
    beyond = _dependents(graph, [rows])
    for operator in graph.operators:
        if operator not in doubled and any(tensor in varying and tensor not in beyond for tensor in operator.inputs):
            raise HeadNotUnderstood("the head is read beside its end, too")


def _copy_pool(graph: Graph, found: _Found) -> dict[Operator, Operator]:
    """Adds the states of the short pool; returns the operators that compute it by those of the long one."""
    buffer, count = found.pool.buffer, found.pool.count
    stem = buffer[: -len("_pool_buffer")] if buffer.endswith("_pool_buffer") else buffer
    names = {buffer: f"{stem}_short_pool_buffer", count: f"{stem}_short_pool_frame_count"}
    if not graph.inputs.keys().isdisjoint(names.values()):
        raise HeadNotUnderstood(f"it has a state {names[buffer]} already")
    copied = {}
    for name, short in names.items():
        copied[graph.inputs[name]] = graph.inputs[short] = copy.copy(graph.inputs[name])
        graph.inputs[short].name = short
    copies = {}
    for operator in graph.operators:
        if operator in found.operators:
            outputs = [copy.copy(tensor) for tensor in operator.outputs]
            copied.update(zip(operator.outputs, outputs))
            inputs = [tensor and copied.get(tensor, tensor) for tensor in operator.inputs]
            copies[operator] = Operator(operator.kind, inputs, outputs, operator.options, operator.version)
    for name, short in names.items():
        graph.outputs[short] = copied[graph.outputs[name]]
    return copies


def _stack(first: Tensor, second: Tensor) -> tuple[Tensor, Operator]:
    """Returns [1, ...] and [1, ...] as [2, ...]."""
    options = schema.ConcatenationOptionsT()
    options.axis = 0
    both = Tensor("horizons", (2, *first.shape[1:]), first.dtype)
    return both, Operator("CONCATENATION", [first, second], [both], options)


def _double(operator: Operator) -> None:
    """Lets an operator of the head give two rows."""
    for tensor in operator.outputs:
        tensor.shape = (2, *tensor.shape[1:])
    if operator.kind == "RESHAPE":
        doubled = reshape(operand(operator), operator.outputs[0])
        operator.inputs, operator.options = doubled.inputs, doubled.options


def _average(rows: Tensor) -> tuple[Tensor, list[Operator]]:
    """Returns the mean of [2, ...] over its rows as [1, ...].

    As a mean over height and width: that is the one that XNNPACK takes in all its versions.
    """
    size = int(np.prod(rows.shape[1:]))
    picture = Tensor("rows", (1, 2, 1, size), rows.dtype)
    row = Tensor("row", (1, 1, 1, size), rows.dtype)
    options = schema.ReducerOptionsT()
    options.keepDims = True
    mean = Operator("MEAN", [picture, constant(np.array([1, 2], np.int32))], [row], options)
    operators = [reshape(rows, picture), mean]
    if (1, *rows.shape[1:]) == row.shape:
        return row, operators
    averaged = Tensor("average", (1, *rows.shape[1:]), rows.dtype)
    return averaged, [*operators, reshape(row, averaged)]
