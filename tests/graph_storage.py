"""How converters store a float graph: float16, dynamic range int8, full int8.

Each function returns the graph as stored and leaves, in the float graph given to it, exactly the weights that the
stored ones stand for: run in float it is what the stored file means.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.graph import Graph, Operator, Quantization, Tensor

_CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_WEIGHTED = (*_CHANNEL_AXES, "FULLY_CONNECTED")
# Operators that move numbers without changing them: what enters and what leaves has one scale.
_MOVING = ("RESHAPE", "CONCATENATION", "STRIDED_SLICE", "BROADCAST_TO", "AVERAGE_POOL_2D")


def half(graph: Graph) -> Graph:
    """Every float constant in float16, with a DEQUANTIZE each."""
    stored: dict[Tensor, Tensor] = {}
    operators = []
    for operator in graph.operators:
        for tensor in operator.inputs:
            if tensor not in stored and _is_float_constant(tensor):
                raw = Tensor(tensor.name, tensor.shape, np.dtype(np.float16), tensor.data.astype(np.float16))
                stored[tensor] = Tensor(tensor.name, tensor.shape, tensor.dtype)
                operators.append(Operator("DEQUANTIZE", [raw], [stored[tensor]], version=3))
                tensor.data = raw.data.astype(np.float32)
    moved = [replace(each, inputs=[stored.get(tensor, tensor) for tensor in each.inputs]) for each in graph.operators]
    return replace(graph, operators=operators + moved)


def dynamic(graph: Graph) -> Graph:
    """Weights of convolutions in int8, biases and activations in float."""
    operators = []
    for operator in graph.operators:
        inputs = list(operator.inputs)
        if operator.kind in _WEIGHTED:
            inputs[1] = _quantize_weights(inputs[1], _CHANNEL_AXES.get(operator.kind))
        operators.append(replace(operator, inputs=inputs))
    return replace(graph, operators=operators)


def whole(graph: Graph, ranges: dict[Tensor, tuple[float, float]], border: str) -> Graph:
    """Weights and activations in int8, biases in int32.

    Args:
        graph: The float graph.
        ranges: The least and greatest value of each of its float tensors.
        border: What is int8 in the signature: "float" (nothing), "states", or "all".
    """
    return _Whole(graph, ranges).write(border)


def _is_float_constant(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.data is not None and tensor.dtype == np.float32


def _quantize_weights(tensor: Tensor, axis: int | None) -> Tensor:
    """Symmetric int8; a scale for each channel along the axis, or one for all. Rounds the tensor's own values too."""
    others = None if axis is None else tuple(each for each in range(tensor.data.ndim) if each != axis)
    scale = (np.abs(tensor.data).max(axis=others, keepdims=True) / 127).astype(np.float32)
    scale[scale == 0] = 1
    raw = np.rint(tensor.data / scale).astype(np.int8)
    tensor.data = raw.astype(np.float32) * scale
    zeros = np.zeros(scale.size, np.int64)
    return Tensor(tensor.name, tensor.shape, raw.dtype, raw, Quantization(scale.ravel(), zeros, axis or 0))


def _quantize_biases(tensor: Tensor, scales: np.ndarray) -> Tensor:
    raw = np.rint(tensor.data / scales).astype(np.int32)
    tensor.data = raw.astype(np.float32) * scales
    return Tensor(tensor.name, tensor.shape, raw.dtype, raw, Quantization(scales, np.zeros(len(scales), np.int64)))


def _fit(low: float, high: float) -> Quantization:
    """int8 for a range that includes 0."""
    scale = np.float32((high - low) / 255 or 1)
    zero_point = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    return Quantization(np.array([scale], np.float32), np.array([zero_point]))


class _Whole:
    """Writes the int8 graph operator by operator; a value is converted where a reader wants the other type."""

    def __init__(self, graph: Graph, ranges: dict[Tensor, tuple[float, float]]) -> None:
        self.graph = graph
        self.scales = _scales(graph, ranges)
        self.operators: list[Operator] = []
        self.floats: dict[Tensor, Tensor] = {}
        self.integers: dict[Tensor, Tensor] = {}

    def write(self, border: str) -> Graph:
        inputs = {name: self.input(name, tensor, border) for name, tensor in self.graph.inputs.items()}
        for operator in self.graph.operators:
            self.operator(operator)
        outputs = {name: self.output(name, tensor, border) for name, tensor in self.graph.outputs.items()}
        return replace(self.graph, inputs=inputs, outputs=outputs, operators=self.operators)

    def input(self, name: str, tensor: Tensor, border: str) -> Tensor:
        if self.is_int8(name, tensor, border):
            self.integers[tensor] = self.integer(tensor)
            return self.integers[tensor]
        self.floats[tensor] = tensor
        return tensor

    def output(self, name: str, tensor: Tensor, border: str) -> Tensor:
        return self.as_integer(tensor) if self.is_int8(name, tensor, border) else self.as_float(tensor)

    @staticmethod
    def is_int8(name: str, tensor: Tensor, border: str) -> bool:
        return tensor.dtype == np.float32 and (border == "all" or border == "states" and name.startswith("state"))

    def integer(self, tensor: Tensor) -> Tensor:
        return Tensor(tensor.name, tensor.shape, np.dtype(np.int8), None, self.scales[tensor])

    def as_integer(self, tensor: Tensor) -> Tensor:
        if tensor.dtype != np.float32:
            return tensor
        if tensor not in self.integers:
            self.integers[tensor] = self.constant(tensor) if tensor.data is not None else self.integer(tensor)
            if tensor.data is None:
                self.operators.append(Operator("QUANTIZE", [self.floats[tensor]], [self.integers[tensor]]))
        return self.integers[tensor]

    def as_float(self, tensor: Tensor) -> Tensor:
        if tensor.dtype != np.float32:
            return tensor
        if tensor not in self.floats:
            self.floats[tensor] = tensor
            self.operators.append(Operator("DEQUANTIZE", [self.integers[tensor]], [tensor], version=2))
        return self.floats[tensor]

    def constant(self, tensor: Tensor) -> Tensor:
        fitted = _fit(min(0.0, float(tensor.data.min())), max(0.0, float(tensor.data.max())))
        raw = np.clip(np.rint(tensor.data / fitted.scales[0]) + fitted.zero_points[0], -128, 127).astype(np.int8)
        tensor.data = (raw.astype(np.float32) - np.float32(fitted.zero_points[0])) * fitted.scales[0]
        return Tensor(tensor.name, tensor.shape, raw.dtype, raw, fitted)

    def operator(self, operator: Operator) -> None:
        (result,) = operator.outputs
        if result.dtype != np.float32:
            inputs = [self.integers.get(tensor, tensor) for tensor in operator.inputs]  # SHAPE takes either.
            self.operators.append(replace(operator, inputs=inputs))
        elif _stays_float(operator):
            self.floats[result] = result
            self.operators.append(replace(operator, inputs=[self.as_float(tensor) for tensor in operator.inputs]))
        else:
            inputs = self.weighted(operator) if operator.kind in _WEIGHTED else map(self.as_integer, operator.inputs)
            inputs = list(inputs)
            self.integers[result] = self.integer(result)
            self.operators.append(replace(operator, inputs=inputs, outputs=[self.integers[result]]))

    def weighted(self, operator: Operator) -> list[Tensor]:
        value, weights, biases = operator.inputs
        value, weights = self.as_integer(value), _quantize_weights(weights, _CHANNEL_AXES.get(operator.kind))
        return [value, weights, _quantize_biases(biases, value.quantization.scales * weights.quantization.scales)]


def _stays_float(operator: Operator) -> bool:
    """Published files divide pools by their counts, and join the results, in float."""
    return operator.kind in ("DIV", "CAST") or operator.kind == "CONCATENATION" and operator.options.axis == -1


def _scales(graph: Graph, ranges: dict[Tensor, tuple[float, float]]) -> dict[Tensor, Quantization]:
    """Fits each tensor; those that share numbers share a scale."""
    groups = {tensor: {tensor} for tensor in ranges}
    for operator in graph.operators:
        if operator.kind in _MOVING and operator.outputs[0].dtype == np.float32 and not _stays_float(operator):
            shared = [*operator.outputs, *(tensor for tensor in operator.inputs if tensor in groups)]
            group = set().union(*(groups[tensor] for tensor in shared))
            groups.update((tensor, group) for tensor in group)
    scales = {}
    for tensor, group in groups.items():
        scales[tensor] = _fit(min(ranges[each][0] for each in group), max(ranges[each][1] for each in group))
    logistic = Quantization(np.array([1 / 256], np.float32), np.array([-128]))  # Its kernel knows no other scale.
    for operator in graph.operators:
        if operator.kind == "LOGISTIC":
            scales.update((tensor, logistic) for tensor in groups[operator.outputs[0]])
    return scales
