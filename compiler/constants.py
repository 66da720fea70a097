"""Arithmetic on constants: real values of raw ones, factors, and operators that read nothing else."""

from __future__ import annotations

import copy

import numpy as np

from compiler.graph import Graph, Operator, Quantization, Tensor, constant, save
from compiler.operators import CHANCE, operand
from runtime import choose_runtime


def along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Returns one value, or n of them, in a shape that broadcasts along `axis` of an array."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def dequantized(raw: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Returns the real values as float32, computed as the runtimes do: the difference is exact, the product rounds."""
    scales = along(quantization.scales, quantization.axis, raw.ndim)
    zero_points = along(quantization.zero_points, quantization.axis, raw.ndim)
    return (raw.astype(np.int64) - zero_points).astype(np.float32) * scales


def on_grid(values: np.ndarray, grid: Quantization) -> np.ndarray:
    """Returns the int8 values that stand for float32 ones that lie on the grid."""
    scales = along(grid.scales, grid.axis, values.ndim).astype(np.float64)
    raw = np.rint(values / np.where(scales == 0, 1, scales)) + along(grid.zero_points, grid.axis, values.ndim)
    return raw.astype(np.int8)


def with_data(tensor: Tensor, data: np.ndarray) -> Tensor:
    """Returns a constant like `tensor` that holds only some of its values, or all in another shape."""
    other = copy.copy(tensor)
    other.data, other.shape = np.array(data), data.shape
    if tensor.grid is not None and tensor.grid.scales.size > 1:  # Its axis may be another one now.
        other.grid = None
    return other


def is_float(tensor: Tensor | None) -> bool:
    """Whether this is a constant of real numbers."""
    return tensor is not None and tensor.data is not None and tensor.dtype == np.float32


def per_channel(tensor: Tensor, channels: int) -> np.ndarray | None:
    """Returns a constant operand as float32 [channels] if broadcasting applies one value to each channel (last axis).

    None if it varies along another axis.
    """
    assert tensor.data is not None
    if tensor.data.size == 1:
        return np.full(channels, tensor.data.reshape(()), np.float32)
    if tensor.shape[-1] != channels or tensor.data.size != channels:
        return None
    return tensor.data.reshape(channels)


def scaled(tensor: Tensor, factors: np.ndarray, axis: int) -> Tensor | None:
    """Multiplies a float32 constant along an axis and keeps the form that it can be stored in.

    Args:
        tensor: The constant.
        factors: float32 [n], n = tensor.shape[axis].
        axis: Of the tensor, along which the factors differ.

    Returns:
        The product; None if it would need more bytes than the factors and `tensor`.
    """
    assert tensor.data is not None
    product = tensor.data * along(factors, axis, tensor.data.ndim)
    if tensor.grid is None:
        grows = is_half(tensor.data) and not is_half(product)
        return None if grows else constant(product, tensor.name)
    grid = tensor.grid
    if grid.scales.size > 1 and grid.axis != axis or grid.zero_points.any():
        return None
    raw = on_grid(tensor.data, grid)
    signs = np.where(factors < 0, -1, 1)
    if raw.min() == -128 and (signs < 0).any():  # Its negative isn't an int8.
        return None
    scales = (grid.scales * np.abs(factors)).astype(np.float32)
    raw[np.broadcast_to(along(scales == 0, axis, raw.ndim), raw.shape)] = 0
    scales[scales == 0] = 1  # A scale must be positive.
    result = constant(raw.astype(np.float32) * along(signs * scales, axis, raw.ndim).astype(np.float32), tensor.name)
    result.grid = Quantization(scales, np.zeros(scales.shape, np.int64), axis)
    return result


def is_half(values: np.ndarray) -> bool:
    """Whether float32 values are all float16 numbers, too."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


def fold_constants(graph: Graph, integers_only: bool = False) -> None:
    """Computes the operators that read constants only, with the runtime itself, and sizes, which are constant here.

    Args:
        graph: To be changed.
        integers_only: Whether those that read other numbers than int32 and int64 are left.
    """
    for operator in list(graph.operators):
        if operator.kind == "SHAPE":
            (sizes,) = operator.outputs
            sizes.data = np.array(operand(operator).shape, sizes.dtype)
            graph.operators.remove(operator)
            continue
        read = [tensor for tensor in operator.inputs if tensor is not None]
        known = all(tensor.data is not None for tensor in read)
        if integers_only and any(tensor.dtype not in (np.int32, np.int64) for tensor in read):
            continue
        if operator.inputs and known and not operator.kind.startswith(CHANCE):
            for tensor, values in zip(operator.outputs, _evaluate(operator)):
                tensor.data, tensor.grid = values, None
            graph.operators.remove(operator)


def _evaluate(operator: Operator) -> list[np.ndarray]:
    outputs = {str(number): tensor for number, tensor in enumerate(operator.outputs)}
    content = save(Graph("constant", {}, outputs, [operator]))
    interpreter = choose_runtime().interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
