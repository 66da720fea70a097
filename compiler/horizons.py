"""A head that reads its pool at two horizons of memory, a short and a long one; see compiler/pools.py and memory.py."""

from __future__ import annotations

import copy
from typing import Iterable

import numpy as np

from compiler.graph import Graph, Operator, Tensor, constant
from compiler.operators import BINARY, CONVOLUTIONS, UNARY, has_activation, operand, reshape
from compiler.pools import FoundPool, locate_pools, needed
from compiler.schema import schema
from compiler.unknown import known_classes
from errors import HeadNotUnderstood

# What treats the rows of a batch alike, each for itself.
_ROWWISE = UNARY | BINARY | CONVOLUTIONS | {"RESHAPE", "QUANTIZE", "DEQUANTIZE"}
_AFFINE = {"CONV_2D", "FULLY_CONNECTED", "RESHAPE", "ADD", "SUB", "MUL"}


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
    doubled = [operator for operator in needed(graph, rows) if not varying.isdisjoint(operator.inputs)]
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


def _head_pool(graph: Graph) -> tuple[FoundPool, Tensor]:
    """Returns the pool that all of the logits are read from, the last if there are several, and the logits."""
    rest = [tensor for name, tensor in graph.outputs.items() if name not in graph.inputs]
    if len(rest) != 1 or rest[0].dtype != np.float32:
        raise HeadNotUnderstood("it gives not only float logits beside its states")
    logits = rest[0]
    given = _dependents(graph, graph.inputs.values())
    for found in reversed(locate_pools(graph)):
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


def _copy_pool(graph: Graph, found: FoundPool) -> dict[Operator, Operator]:
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
