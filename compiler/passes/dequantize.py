"""A quantized graph as the float graph that it stands for."""

from __future__ import annotations

import numpy as np

from compiler.constants import dequantized
from compiler.graph import Graph, Operator, Quantization, Tensor
from compiler.operators import BINARY, CONVOLUTIONS, REDUCTIONS, UNARY, operand
from errors import NotUnderstood

# Their quantized forms compute, up to rounding, what their float forms compute from the real values.
_UNDERSTOOD = (
    UNARY - {"CAST"} | BINARY | CONVOLUTIONS | REDUCTIONS
    | frozenset(
        "ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BROADCAST_TO CONCATENATION CONV_3D DEPTH_TO_SPACE EXPAND_DIMS "
        "GATHER LOG_SOFTMAX MAX_POOL_2D MIRROR_PAD PACK PAD PADV2 PRELU RESHAPE RESIZE_BILINEAR "
        "RESIZE_NEAREST_NEIGHBOR SELECT SELECT_V2 SHAPE SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE "
        "STRIDED_SLICE TILE TRANSPOSE UNPACK".split()
    )
)  # fmt: skip
_BIASED = CONVOLUTIONS | {"CONV_3D"}


def dequantize(graph: Graph) -> None:
    """Lets a graph compute with the real values: activations, weights and biases become float32.

    That drops the rounding and the clipping that quantized activations undergo, not the weights' own rounding. Covers
    static quantization, dynamic-range weights and float16 constants. What is quantized at the border of the graph
    (image, states, logits) is float32 afterwards.

    Raises:
        NotUnderstood: A quantized operator isn't one whose real meaning is known.
    """
    for operator in graph.operators:
        _check(operator)
        if operator.kind in _BIASED:
            _dequantize_bias(operator)
    seen = [tensor for operator in graph.operators for tensor in (*operator.inputs, *operator.outputs)]
    # dict, not set: the same order each time.
    for tensor in dict.fromkeys([*seen, *graph.inputs.values(), *graph.outputs.values()]):
        if tensor is not None and _quantized(tensor):
            _make_real(tensor)
    for operator in graph.operators:
        if operator.kind in ("QUANTIZE", "DEQUANTIZE") and _changes_nothing(operator):
            source, result = operand(operator), operator.outputs[0]
            if source.data is None:
                source.grid = source.grid or result.grid
            graph.replace(result, source)
    graph.prune()


def _check(operator: Operator) -> None:
    quantized = any(tensor is not None and _quantized(tensor) for tensor in (*operator.inputs, *operator.outputs))
    if quantized and operator.kind not in _UNDERSTOOD | {"QUANTIZE", "DEQUANTIZE"}:
        raise NotUnderstood(f"it uses the operator {operator.kind} on quantized values")
    if getattr(operator.options, "weightsFormat", 0):
        raise NotUnderstood(f"it has the weights of a {operator.kind} in a shuffled order")
    if getattr(operator.options, "asymmetricQuantizeInputs", False):
        operator.options.asymmetricQuantizeInputs = False  # Of dynamic-range arithmetic only.


def _quantized(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.dtype in (np.int8, np.uint8, np.int16)


def _dequantize_bias(operator: Operator) -> None:
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    if bias is None or bias.data is None or bias.dtype not in (np.int32, np.int64):
        return
    # What the kernels take it by, whatever the bias itself says.
    image, weights = operand(operator, 0).quantization, operand(operator, 1).quantization
    if image is None or weights is None:
        raise NotUnderstood(f"it has a {operator.kind} with an integer bias and no scales")
    scales = (image.scales * weights.scales).astype(np.float32)
    real = (bias.data.astype(np.float64) * scales).astype(np.float32)
    operator.inputs[2] = Tensor(bias.name, bias.shape, np.dtype(np.float32), real)
    if hasattr(operator.options, "quantizedBiasType"):
        operator.options.quantizedBiasType = 0


def _make_real(tensor: Tensor) -> None:
    quantization = tensor.quantization
    assert quantization is not None
    tensor.grid = _int8_grid(tensor)
    if tensor.data is not None:
        tensor.data = dequantized(tensor.data, quantization)
    tensor.dtype, tensor.quantization = np.dtype(np.float32), None


def _int8_grid(tensor: Tensor) -> Quantization | None:
    """The tensor's grid, if the runtimes can unpack a constant from it: 8 bits, symmetric if by channel."""
    quantization = tensor.quantization
    assert quantization is not None
    if tensor.dtype == np.uint8:
        quantization = Quantization(quantization.scales, quantization.zero_points - 128, quantization.axis)
    symmetric = not quantization.zero_points.any()
    return quantization if tensor.dtype != np.int16 and (quantization.scales.size == 1 or symmetric) else None


def _changes_nothing(operator: Operator) -> bool:
    source, result = operand(operator), operator.outputs[0]
    if source.dtype == np.float16 and source.data is not None:
        source.data, source.dtype = source.data.astype(np.float32), np.dtype(np.float32)
    return source.dtype == result.dtype == np.float32
