"""Integer arithmetic where the source had it: the last word of the int8 target, after the passes on real values.

Every float tensor remembers the 8-bit grid that the source rounded it to (Tensor.grid). So the other passes needn't
know of scales: what they fold, drop and move, they do to real values, and here an operator becomes an integer one if
all that it reads and writes has a grid and the grids suit it.
"""

from __future__ import annotations

import numpy as np

from compiler.constants import is_float, on_grid
from compiler.graph import Graph, Operator, Quantization, Tensor
from compiler.operators import CONVOLUTIONS, OUTPUT_CHANNEL_AXIS, operand
from compiler.schema import schema
from errors import NotUnderstood

# They move numbers without changing them: what enters and what leaves must lie on one grid.
_MOVING = frozenset("CONCATENATION RESHAPE SLICE STRIDED_SLICE TRANSPOSE".split())
_ARITHMETIC = frozenset("ADD SUB MUL".split())
# The first versions that take int8.
_VERSIONS = {
    "ADD": 2, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "MUL": 2, "SLICE": 2,
    "STRIDED_SLICE": 2, "SUB": 2, "TRANSPOSE": 2,
}  # fmt: skip
_LEAST = 1 / 8  # of a step of the result: less than its own rounding, 1/2, by far
_INT8, _INT32 = np.dtype(np.int8), np.dtype(np.int32)


def quantize(graph: Graph) -> None:
    """Lets convolutions, and what lies between them, compute with 8-bit integers, and shifted states be 8-bit integers.

    A state that the graph only shifts along (a stream buffer) holds rounded values anyway: as int8 it loses nothing and
    takes a quarter. One that accumulates (a pool) stays float, and so does what is added to it: rounded at each step it
    would drift. The logits aren't rounded either. Where integers end and real numbers begin, QUANTIZE and DEQUANTIZE
    are put in.

    Raises:
        NotUnderstood: The source's activations aren't 8-bit integers.
    """
    shifted, producers = _shifted_states(graph), graph.producers()
    given: dict[bool, set[Tensor]] = {True: set(), False: set()}
    for name, leaving in graph.outputs.items():
        given[name in shifted] |= _origins(leaving, producers)
    for tensor in given[False] - given[True]:
        tensor.grid = None
    writer = _Writer()
    for name in graph.inputs:
        if name in shifted:
            graph.inputs[name] = writer.new_integer(graph.inputs[name])
    for operator in graph.operators:
        writer.write(operator)
    if not writer.convolutions:
        raise NotUnderstood("its activations are not 8-bit integers")
    for name, leaving in graph.outputs.items():
        graph.outputs[name] = writer.as_integer(leaving) if name in shifted else writer.as_real(leaving)
    graph.operators = writer.operators
    graph.prune()


def _shifted_states(graph: Graph) -> set[str]:
    """Returns the names of the states that leave as some of what entered and something new, all on one grid."""
    producers = graph.producers()
    shifted = set()
    for name, (entering, leaving) in graph.states().items():
        origins = _origins(leaving, producers)
        new = Graph(graph.key, {}, {str(number): each for number, each in enumerate(origins)}, list(graph.operators))
        new.prune()
        accumulates = any(entering in operator.inputs for operator in new.operators)
        if entering is not leaving and entering.grid is not None and entering in origins and not accumulates:
            shifted.add(name)
    return shifted


def _origins(tensor: Tensor, producers: dict[Tensor, Operator]) -> set[Tensor]:
    """Returns what a tensor's values were moved from within one grid."""
    operator = producers.get(tensor)
    if operator is None or operator.kind not in _MOVING or not _one_grid(operator):
        return {tensor}
    return {origin for source in _values(operator) for origin in _origins(source, producers)}


def _values(operator: Operator) -> list[Tensor]:
    """Returns the operands that hold real numbers, not sizes and places."""
    return [tensor for tensor in operator.inputs if tensor is not None and tensor.dtype == np.float32]


def _one_grid(operator: Operator) -> bool:
    result = operator.outputs[0]
    return all(_same(source.grid, result.grid) for source in _values(operator))


def _same(first: Quantization | None, second: Quantization | None) -> bool:
    if first is None or second is None:
        return False
    return np.array_equal(first.scales, second.scales) and np.array_equal(first.zero_points, second.zero_points)


class _Writer:
    """Writes the graph operator by operator, and converts a value where its reader wants the other kind of number."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.convolutions = 0
        self._integers: dict[Tensor, Tensor] = {}  # by the real tensor
        self._real: set[Tensor] = set()  # those that were computed from integers as real ones, too

    def new_integer(self, tensor: Tensor) -> Tensor:
        """Returns the integers that are from now on to be read in place of a real tensor."""
        self._integers[tensor] = Tensor(tensor.name, tensor.shape, _INT8, None, tensor.grid)
        return self._integers[tensor]

    def write(self, operator: Operator) -> None:
        if not self._suits(operator):
            operator.inputs = [tensor and self.as_real(tensor) for tensor in operator.inputs]
            self.operators.append(operator)
            return
        if operator.kind in CONVOLUTIONS:
            self.convolutions += 1
            operator.inputs = self._convolved(operator)
        else:
            values = _values(operator)
            operator.inputs = [self.as_integer(tensor) if tensor in values else tensor for tensor in operator.inputs]
        operator.outputs = [self.new_integer(operator.outputs[0])]
        operator.version = max(operator.version, _VERSIONS.get(operator.kind, 1))
        self.operators.append(operator)

    def as_integer(self, tensor: Tensor) -> Tensor:
        if tensor in self._integers or tensor.grid is None:
            return self._integers.get(tensor, tensor)
        integers = self.new_integer(tensor)
        if tensor.data is not None:
            integers.data = on_grid(tensor.data, tensor.grid)
        else:
            self._real.add(tensor)
            self.operators.append(Operator("QUANTIZE", [tensor], [integers], schema.QuantizeOptionsT()))
        return integers

    def as_real(self, tensor: Tensor) -> Tensor:
        if tensor in self._integers and tensor.data is None and tensor not in self._real:
            self._real.add(tensor)
            options = schema.DequantizeOptionsT()
            self.operators.append(Operator("DEQUANTIZE", [self._integers[tensor]], [tensor], options, 2))
        return tensor

    def _suits(self, operator: Operator) -> bool:
        """Whether to compute this with integers."""
        if len(operator.outputs) != 1 or not _has_grid(operator.outputs[0]):
            return False
        values = _values(operator)
        if operator.kind in CONVOLUTIONS:
            return _has_grid(operand(operator)) and _weights_suit(operator)
        if operator.kind in _MOVING:
            return _one_grid(operator) and any(tensor in self._integers for tensor in values)
        if operator.kind in _ARITHMETIC:
            return all(tensor in self._integers or tensor.data is not None and _has_grid(tensor) for tensor in values)
        return False

    def _convolved(self, operator: Operator) -> list[Tensor | None]:
        scales = _bias_scales(operator)
        quantization = Quantization(scales.astype(np.float32), np.zeros(scales.shape, np.int64))
        raw = _raw_bias(operator).astype(np.int32)  # The runtimes refuse an integer convolution that has none.
        bias = Tensor("bias", raw.shape, _INT32, raw, quantization)
        return [self.as_integer(operand(operator)), self.as_integer(operand(operator, 1)), bias]


def _has_grid(tensor: Tensor) -> bool:
    return tensor.dtype == np.float32 and tensor.grid is not None and tensor.grid.scales.size == 1


def _weights_suit(operator: Operator) -> bool:
    weights = operand(operator, 1)
    if weights.grid is None or not is_float(weights) or weights.grid.zero_points.any():
        return False
    by_channel = weights.grid.scales.size > 1
    if by_channel and (operator.kind == "FULLY_CONNECTED" or weights.grid.axis != OUTPUT_CHANNEL_AXIS[operator.kind]):
        return False
    bias, result = _bias(operator), operator.outputs[0].grid
    if bias is None or result is None:
        return False
    raw = _raw_bias(operator)
    if not np.isfinite(raw).all():
        return False
    lost = np.abs(raw * _bias_scales(operator) - bias)
    return bool((np.abs(raw) < 2**31).all() and (lost <= _LEAST * result.scales).all())


def _bias(operator: Operator) -> np.ndarray | None:
    """Returns the bias, zeros where it is left out, float32 [channels]; None if it isn't constant."""
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    if bias is None:
        return np.zeros(operator.outputs[0].shape[-1], np.float32)
    return bias.data if is_float(bias) else None


def _bias_scales(operator: Operator) -> np.ndarray:
    """Returns the step of the sums of products, float64 [1] or [channels]."""
    value, weights = operand(operator).grid, operand(operator, 1).grid
    assert value is not None and weights is not None
    return value.scales.astype(np.float64) * weights.scales


def _raw_bias(operator: Operator) -> np.ndarray:
    """Returns a constant bias in that step, rounded, float64 [channels]; not finite where the step is 0."""
    bias = _bias(operator)
    assert bias is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.rint(bias / _bias_scales(operator))
