"""What the passes know about operators: families that behave alike, their activations, and how to make some."""

from __future__ import annotations

from typing import Iterable

import numpy as np

from compiler.graph import Operator, Tensor, constant
from compiler.schema import schema

# One output element from one input element, whatever the shape.
UNARY = frozenset(
    "ABS CAST CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 "
    "ROUND RSQRT SIGN SIN SQRT SQUARE TANH".split()
)
# One output element from one element of each operand, after numpy's broadcasting.
BINARY = frozenset("ADD DIV MAXIMUM MINIMUM MUL SQUARED_DIFFERENCE SUB".split())
REDUCTIONS = frozenset("MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM".split())
# Their input 1 is a constant of weights, input 2 a bias for each output channel.
CONVOLUTIONS = frozenset("CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED".split())
OUTPUT_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
CHANCE = ("RANDOM", "MULTINOMIAL")  # Kinds that begin so give other values each time.


def operand(operator: Operator, place: int = 0) -> Tensor:
    """Returns one of an operator's inputs that can't be left out."""
    tensor = operator.inputs[place]
    assert tensor is not None
    return tensor


def reshape(tensor: Tensor, result: Tensor) -> Operator:
    """Returns the operator that gives `tensor` the shape of `result`."""
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(result.shape, np.int32)
    return Operator("RESHAPE", [tensor, constant(options.newShape, "shape")], [result], options)


def slice_of(tensor: Tensor, begin: Iterable[int], result: Tensor) -> Operator:
    """Returns the operator that cuts `result`, of its shape, out of `tensor` from `begin` on."""
    start, size = np.array(list(begin), np.int32), np.array(result.shape, np.int32)
    operands: list[Tensor | None] = [tensor, constant(start, "begin"), constant(size, "size")]
    return Operator("SLICE", operands, [result], schema.SliceOptionsT())


def like(tensor: Tensor, shape: Iterable[int]) -> Tensor:
    """Returns a tensor yet to be computed: the values of `tensor`, or some of them, in another shape."""
    return Tensor(tensor.name, tuple(shape), tensor.dtype, None, tensor.quantization, tensor.grid)


def has_activation(operator: Operator) -> bool:
    """Whether a fused activation follows the operator's own work."""
    return bool(getattr(operator.options, "fusedActivationFunction", 0))


def rank(tensor: Tensor) -> int:
    return len(tensor.shape)
