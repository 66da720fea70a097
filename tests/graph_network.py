"""A small MoViNet as a float graph: what a Recipe describes, with random weights.

Stem, inverted bottlenecks (expand, spatial and temporal depthwise convolution, squeeze and excitation, project, scaled
residual), head pool, classifier. Written like the published files: tensors of five dimensions reshaped to four around
each convolution, stream buffers concatenated with the new frame and sliced, states that pass through unused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np
from graph_oddities import ODDITIES

from compiler.graph import Graph, Operator, Tensor, constant
from compiler.schema import schema

ACTIVATIONS = ("relu", "relu6", "hard_swish", "hard_sigmoid", "swish")
GATES = ("relu6", "hard_sigmoid", "logistic")


@dataclass(frozen=True)
class Layer:
    """One inverted bottleneck.

    Attributes:
        width: Channels inside.
        out: Channels that leave.
        spatial: Side of the spatial kernel: 1, 3 or 5.
        temporal: Length of the temporal one in frames; 1 for none, and no stream buffer.
        stride: Of the spatial kernel.
        squeeze: With squeeze-and-excitation; else the pool's states pass through unused.
    """

    width: int = 8
    out: int = 4
    spatial: int = 3
    temporal: int = 3
    stride: int = 1
    squeeze: bool = False


@dataclass(frozen=True)
class Recipe:
    """A network and how it is stored.

    Attributes:
        layers: The body.
        size: Pixels a side of the image.
        stem, head, hidden: Channels of the first convolution, of the pooled features, of the classifier.
        classes: Number of logits.
        activation: One of ACTIVATIONS; "relu6" is fused into the convolutions, "hard_sigmoid" is x times ADD, RELU6,
            MUL, and "swish" x times LOGISTIC.
        gate: One of GATES, of squeeze-and-excitation; "relu6" is fused into the convolution, whose bias holds the 3.
        dense: MEAN and FULLY_CONNECTED in the head, instead of SUM, MUL and 1x1 convolutions.
        storage: One of STORAGES.
        border: One of BORDERS: what is int8 in the signature; other than "float" only for storage "int8".
        key: The signature's.
        odd: An operation that no MoViNet has, a key of ODDITIES, put before the last layer; "" for none.
    """

    layers: tuple[Layer, ...] = (Layer(),)
    size: int = 16
    stem: int = 4
    head: int = 12
    hidden: int = 16
    classes: int = 5
    activation: str = "relu6"
    gate: str = "relu6"
    dense: bool = False
    storage: str = "float32"
    border: str = "float"
    key: str = "serving_default"
    odd: str = ""


class Network:
    """A float graph in the making."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.rng = np.random.default_rng(seed)
        self.graph = Graph(recipe.key, {}, {}, [], description="generated for tests")

    def build(self) -> Graph:
        recipe = self.recipe
        image = self.input("image", (1, 1, recipe.size, recipe.size, 3))
        value = self.deep(self.convolve(self.flat(image), recipe.stem, 3, stride=2, active=True))
        for number, layer in enumerate(recipe.layers):
            if recipe.odd and number == len(recipe.layers) - 1:
                value = ODDITIES[recipe.odd](self, value)
            value = self.bottleneck(value, layer, f"state_block{number}_layer0")
        value = self.deep(self.convolve(self.flat(value), recipe.head, active=True))
        self.classify(self.head_pool(value))
        for tensors in (self.graph.inputs, self.graph.outputs):
            for name in sorted(tensors):  # "image" and "logits" come first, as in published files.
                tensors[name] = tensors.pop(name)
        return self.graph

    def input(self, name: str, shape: Sequence[int], dtype: type = np.float32) -> Tensor:
        self.graph.inputs[name] = Tensor(name, tuple(shape), np.dtype(dtype))
        return self.graph.inputs[name]

    def add(
        self, kind: str, inputs: Sequence[Tensor], shape: Sequence[int], dtype: Any = np.float32, **options: Any
    ) -> Tensor:
        """Adds an operator and returns what it computes."""
        given = None
        if kind in _OPTIONS:
            given = getattr(schema, _OPTIONS[kind] + "T")()
            vars(given).update(options)
        result = Tensor(f"{kind.lower()}_{len(self.graph.operators)}", tuple(shape), np.dtype(dtype))
        self.graph.operators.append(Operator(kind, list(inputs), [result], given, _VERSIONS.get(kind, 1)))
        return result

    def weights(self, shape: Sequence[int], inputs: int) -> Tensor:
        """Random, so large that some activations reach 6 but none explode."""
        gain = 2.0 if self.recipe.activation == "relu6" else 1.5
        return constant(self.rng.normal(0, gain / np.sqrt(inputs), shape).astype(np.float32), "weights")

    def biases(self, count: int, mean: float = 0.2) -> Tensor:
        return constant(self.rng.normal(mean, 0.2, count).astype(np.float32), "biases")

    def reshape(self, value: Tensor, shape: Sequence[int], written: Sequence[int] | None = None) -> Tensor:
        return self.add("RESHAPE", [value, integers(written or shape)], shape, value.dtype)

    def flat(self, value: Tensor) -> Tensor:
        """[1, 1, H, W, C] as [1, H, W, C]."""
        return self.reshape(value, value.shape[1:])

    def deep(self, value: Tensor) -> Tensor:
        """[1, H, W, C] as [1, 1, H, W, C]."""
        return self.reshape(value, (1, *value.shape))

    def activate(self, value: Tensor) -> Tensor:
        kind, shape = self.recipe.activation, value.shape
        if kind == "relu":
            return self.add("RELU", [value], shape)
        if kind == "hard_swish":
            return self.add("HARD_SWISH", [value], shape)
        if kind == "hard_sigmoid":
            return self.add("MUL", [value, self.hard_sigmoid(value)], shape)
        if kind == "swish":
            return self.add("MUL", [value, self.add("LOGISTIC", [value], shape)], shape)
        return value

    def hard_sigmoid(self, value: Tensor) -> Tensor:
        shifted = self.add("RELU6", [self.add("ADD", [value, number(3)], value.shape)], value.shape)
        return self.add("MUL", [shifted, number(1 / 6)], value.shape)

    def fused(self, active: bool) -> int:
        """The function inside a convolution that is followed by an activation."""
        functions = schema.ActivationFunctionType
        return functions.RELU6 if active and self.recipe.activation == "relu6" else functions.NONE

    def convolve(self, value: Tensor, out: int, side: int = 1, stride: int = 1, active: bool = False) -> Tensor:
        _, height, width, channels = value.shape
        shape = 1, -(-height // stride), -(-width // stride), out
        inputs = [value, self.weights((out, side, side, channels), side * side * channels), self.biases(out)]
        options = {"strideW": stride, "strideH": stride, "fusedActivationFunction": self.fused(active)}
        result = self.add("CONV_2D", inputs, shape, **options)
        return self.activate(result) if active else result

    def filter(self, value: Tensor, kernel: tuple[int, int], shape: Sequence[int], stride: int, padding: int) -> Tensor:
        """Depthwise convolution and activation."""
        channels = value.shape[-1]
        inputs = [value, self.weights((1, *kernel, channels), kernel[0] * kernel[1]), self.biases(channels)]
        strides = {"strideW": stride, "strideH": stride, "depthMultiplier": 1, "padding": padding}
        result = self.add("DEPTHWISE_CONV_2D", inputs, shape, **strides, fusedActivationFunction=self.fused(True))
        return self.activate(result)

    def bottleneck(self, value: Tensor, layer: Layer, prefix: str) -> Tensor:
        inside = self.convolve(self.flat(value), layer.width, active=True)
        _, height, width, channels = inside.shape
        shape = 1, -(-height // layer.stride), -(-width // layer.stride), channels
        inside = self.filter(inside, (layer.spatial, layer.spatial), shape, layer.stride, schema.Padding.SAME)
        if layer.temporal > 1:
            inside = self.filter_time(self.deep(inside), layer.temporal, f"{prefix}_stream_buffer", shape)
        inside = self.excite(self.deep(inside), prefix) if layer.squeeze else self.skip_pool(inside, prefix)
        projected = self.deep(self.convolve(inside, layer.out))
        scale = constant(np.full(projected.shape, self.rng.choice((0.7, -0.8)), np.float32), "scale")
        scaled = self.add("MUL", [projected, scale], projected.shape)
        return self.add("ADD", [scaled, self.shortcut(value, layer)], projected.shape)

    def filter_time(self, value: Tensor, length: int, name: str, flat_shape: Sequence[int]) -> Tensor:
        _, _, height, width, channels = value.shape
        before = self.input(name, (1, length - 1, height, width, channels))
        frames = self.add("CONCATENATION", [before, value], (1, length, height, width, channels), axis=1)
        self.graph.outputs[name] = self.latest(frames, length - 1)
        rows = self.reshape(frames, (1, length, height * width, channels))
        shape = 1, 1, height * width, channels
        return self.reshape(self.filter(rows, (length, 1), shape, 1, schema.Padding.VALID), flat_shape)

    def latest(self, value: Tensor, count: int) -> Tensor:
        """The last frames of [1, T, H, W, C]."""
        place, end = integers((0, -count, 0, 0, 0)), integers((0, 0, *value.shape[2:]))
        shape = 1, count, *value.shape[2:]
        inputs = [value, place, end, integers((1, 1, 1, 1, 1))]
        return self.add("STRIDED_SLICE", inputs, shape, beginMask=0b11101, endMask=0b11111)

    def excite(self, value: Tensor, prefix: str) -> Tensor:
        """Squeeze-and-excitation by the mean of this frame and of all frames so far; returns [1, H, W, C]."""
        channels = value.shape[-1]
        mean = self.add("MEAN", [value, integers((2, 3))], (1, 1, 1, 1, channels), keepDims=True)
        total = self.add("ADD", [mean, self.input(f"{prefix}_pool_buffer", mean.shape)], mean.shape)
        self.graph.outputs[f"{prefix}_pool_buffer"] = self.latest(total, 1)
        count = self.reshape(self.count(prefix), (1, 1, 1, 1, 1))
        average = self.add("DIV", [total, self.add("CAST", [count], count.shape)], mean.shape)
        both = self.add("CONCATENATION", [average, mean], (1, 1, 1, 1, 2 * channels), axis=-1)
        gate = self.gate(self.convolve(self.flat(both), max(4, channels // 2), active=True), channels)
        wide = self.add("BROADCAST_TO", [self.deep(gate), constant(np.array(value.shape, np.int64))], value.shape)
        return self.flat(self.add("MUL", [wide, value], value.shape))

    def gate(self, value: Tensor, channels: int) -> Tensor:
        result = self.convolve(value, channels)
        if self.recipe.gate == "logistic":
            return self.add("LOGISTIC", [result], result.shape)
        if self.recipe.gate == "hard_sigmoid":
            return self.hard_sigmoid(result)
        convolution = self.graph.operators[-1]
        convolution.options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        convolution.inputs[2] = self.biases(channels, mean=3)
        return self.add("MUL", [result, number(1 / 6)], result.shape)

    def skip_pool(self, value: Tensor, prefix: str) -> Tensor:
        buffer = self.input(f"{prefix}_pool_buffer", (1, 1, 1, 1, value.shape[-1]))
        count = self.input(f"{prefix}_pool_frame_count", (1,), np.int32)
        self.graph.outputs.update({buffer.name: buffer, count.name: count})
        return value

    def shortcut(self, value: Tensor, layer: Layer) -> Tensor:
        _, _, height, width, channels = value.shape
        if layer.stride == 1 and layer.out == channels:
            return value
        value = self.reshape(value, value.shape[1:], written=(-1, height, width, channels))
        if layer.stride > 1:
            shape = 1, -(-height // layer.stride), -(-width // layer.stride), channels
            sides = {"filterWidth": 3, "filterHeight": 3, "strideW": layer.stride, "strideH": layer.stride}
            value = self.add("AVERAGE_POOL_2D", [value], shape, **sides)
        return self.deep(self.convolve(value, layer.out))

    def count(self, prefix: str) -> Tensor:
        name = f"{prefix}_pool_frame_count"
        one = constant(np.array(1, np.int32), "one")
        self.graph.outputs[name] = self.add("ADD", [self.input(name, (1,), np.int32), one], (1,), np.int32)
        return self.graph.outputs[name]

    def head_pool(self, value: Tensor) -> Tensor:
        """The mean of [1, 1, H, W, C] over all frames so far, as [1, 1, 1, C]."""
        _, _, height, width, channels = value.shape
        shape, axes = (1, 1, 1, 1, channels), integers((1, 2, 3))
        if self.recipe.dense:
            mean = self.add("MEAN", [value, axes], shape, keepDims=True)
        else:
            share = constant(np.full(shape, 1 / (height * width), np.float32), "share")
            mean = self.add("MUL", [self.add("SUM", [value, axes], shape, keepDims=True), share], shape)
        total = self.add("ADD", [mean, self.input("state_head_pool_buffer", shape)], shape)
        self.graph.outputs["state_head_pool_buffer"] = total
        count = self.add("CAST", [self.count("state_head")], (1,))
        return self.flat(self.add("DIV", [total, count], shape))

    def classify(self, value: Tensor) -> None:
        recipe = self.recipe
        hidden = self.convolve(value, recipe.hidden, active=True)
        if recipe.dense:
            row = self.reshape(hidden, (1, recipe.hidden))
            weights = self.weights((recipe.classes, recipe.hidden), recipe.hidden)
            inputs = [row, weights, self.biases(recipe.classes)]
            logits = self.add("FULLY_CONNECTED", inputs, (1, recipe.classes))
        else:
            logits = self.reshape(self.convolve(hidden, recipe.classes), (1, recipe.classes))
        self.graph.outputs["logits"] = logits


def integers(values: Sequence[int]) -> Tensor:
    return constant(np.array(values, np.int32), "shape")


def number(value: float) -> Tensor:
    return constant(np.array(value, np.float32), "number")


# Operators whose options are written; and the definitions' versions in published files.
_OPTIONS = {
    "ADD": "AddOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions", "MEAN": "ReducerOptions", "MUL": "MulOptions",
    "PACK": "PackOptions", "SHAPE": "ShapeOptions", "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions", "SUB": "SubOptions", "SUM": "ReducerOptions",
}  # fmt: skip
_VERSIONS = {
    "ADD": 2, "AVERAGE_POOL_2D": 2, "BROADCAST_TO": 3, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3,
    "DIV": 2, "FULLY_CONNECTED": 4, "LOGISTIC": 2, "MEAN": 2, "MUL": 2, "RELU": 2, "RELU6": 2, "STRIDED_SLICE": 4,
    "SUM": 2,
}  # fmt: skip
