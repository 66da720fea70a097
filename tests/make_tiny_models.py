"""Writes the tiny streaming models that the tests run: `.venv/bin/python tests/make_tiny_models.py [FOLDER]`.

They have the contract of the published MoViNet files (one signature, an image, states that are inputs and outputs by
the same name, logits) in a few kB, with weights set by hand so that a person can tell what they must answer:

    red, green, blue    which primary colour the stream has had on average
    dark, bright        its average brightness
    moving              the picture differs from the one two frames ago (needs the stream buffer)
    flickering          the colour differs from the average so far (needs the block's pool)

The answer is read from a running mean over all frames (the head's pool), as in a MoViNet.

Needs ai-edge-litert or tflite, for the format's schema.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Sequence

import flatbuffers
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from compiler.schema import schema  # noqa: E402

SIZE = 32  # Pixels a side of the image.
GRID = 4  # Cells a side that it is averaged into.
LABELS = ("red", "green", "blue", "dark", "bright", "moving", "flickering")
# Logits from the means of (red, green, blue, motion, flicker), each 0..1.
WEIGHTS = np.array(
    [
        [12, -6, -6, 0, 0],
        [-6, 12, -6, 0, 0],
        [-6, -6, 12, 0, 0],
        [-4, -4, -4, 0, 0],
        [4, 4, 4, 0, 0],
        [0, 0, 0, 150, 0],
        [0, 0, 0, 0, 30],
    ],
    np.float32,
)
BIASES = np.array([0, 0, 0, 6, -6, -2, -2], np.float32)

BLOCK, HEAD = "state_block0_layer0", "state_head"
STATES = {
    f"{BLOCK}_stream_buffer": (1, 2, GRID, GRID, 3),
    f"{BLOCK}_pool_buffer": (1, 1, 1, 1, 3),
    f"{BLOCK}_pool_frame_count": (1,),
    f"{HEAD}_pool_buffer": (1, 1, 1, 1, 5),
    f"{HEAD}_pool_frame_count": (1,),
}
# Storage of the quantized model's interface: type, scale, zero point. The head's pool leaves on another scale than it
# enters with, which a converter may well choose.
QUANTIZED_INPUTS = {
    "image": ("INT8", 1 / 255, -128),
    f"{BLOCK}_stream_buffer": ("UINT8", 1 / 200, 20),
    f"{BLOCK}_pool_buffer": ("INT16", 1 / 256, 0),
    f"{HEAD}_pool_buffer": ("INT16", 1 / 512, 0),
}
QUANTIZED_OUTPUTS = {**QUANTIZED_INPUTS, f"{HEAD}_pool_buffer": ("INT16", 1 / 400, 0), "logits": ("INT8", 0.25, -10)}


class Graph:
    """A flatbuffer in the making: tensors and operators are added in the order that they run.

    Tensors are known by their index.
    """

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "tiny streaming video classifier for tests"
        self.model.buffers = [schema.BufferT()]  # By convention the first one is empty.
        self.model.operatorCodes = []
        self.model.signatureDefs = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.model.subgraphs = [self.graph]
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}

    def tensor(
        self, shape: Sequence[int], kind: str = "FLOAT32", scale: float | None = None, zero_point: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = getattr(schema.TensorType, kind)
        tensor.name = f"t{len(self.graph.tensors)}"
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values: np.ndarray | Sequence[int]) -> int:
        values = np.asarray(values, None if isinstance(values, np.ndarray) else np.int32)
        index = self.tensor(values.shape, {"f": "FLOAT32", "i": "INT32"}[values.dtype.kind])
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return index

    def add(self, operator: str, inputs: Sequence[int], output: int, options: object = None) -> int:
        """Adds an operator such as "RESHAPE" and returns its output."""
        code = getattr(schema.BuiltinOperator, operator)
        known = [each.builtinCode for each in self.model.operatorCodes]
        if code not in known:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = 1
            self.model.operatorCodes.append(entry)
            known.append(code)
        node = schema.OperatorT()
        node.opcodeIndex = known.index(code)
        node.inputs, node.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if options is not None:
            node.builtinOptions = options
            name = type(options).__name__[:-1]
            node.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self.graph.operators.append(node)
        return output

    def reshape(self, value: int, shape: Sequence[int]) -> int:
        return self.add("RESHAPE", [value, self.constant(shape)], self.tensor(shape))

    def mean(self, value: int, axes: Sequence[int], shape: Sequence[int]) -> int:
        return self.add("MEAN", [value, self.constant(axes)], self.tensor(shape), schema.ReducerOptionsT())

    def distance(self, first: int, second: int, shape: Sequence[int]) -> int:
        """Absolute difference, element by element."""
        difference = self.add("SUB", [first, second], self.tensor(shape), schema.SubOptionsT())
        return self.add("ABS", [difference], self.tensor(shape), schema.AbsOptionsT())

    def concatenate(self, values: Sequence[int], axis: int, shape: Sequence[int]) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        return self.add("CONCATENATION", values, self.tensor(shape), options)

    def take(self, input_name: str, shape: Sequence[int], storage: dict[str, tuple[str, float, int]]) -> int:
        """Adds an input of the signature; returns it as real numbers (frame counts: int32)."""
        if input_name.endswith("frame_count"):
            self.inputs[input_name] = self.tensor(shape, "INT32")
            return self.inputs[input_name]
        self.inputs[input_name] = raw = self.tensor(shape, *storage.get(input_name, ("FLOAT32",)))
        if input_name not in storage:
            return raw
        return self.add("DEQUANTIZE", [raw], self.tensor(shape), schema.DequantizeOptionsT())

    def give(self, output_name: str, value: int, storage: dict[str, tuple[str, float, int]]) -> None:
        """Adds an output of the signature."""
        if output_name in storage:
            raw = self.tensor(self.graph.tensors[value].shape, *storage[output_name])
            value = self.add("QUANTIZE", [value], raw, schema.QuantizeOptionsT())
        self.outputs[output_name] = value

    def file(self, keys: Sequence[str]) -> bytes:
        """Returns the .tflite file, with the same inputs and outputs under each signature key."""
        for key in keys:
            signature = schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex = key, 0
            signature.inputs, signature.outputs = _tensor_maps(self.inputs), _tensor_maps(self.outputs)
            self.model.signatureDefs.append(signature)
        self.graph.inputs = np.array(list(self.inputs.values()), np.int32)
        self.graph.outputs = np.array(list(self.outputs.values()), np.int32)
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _tensor_maps(tensors: dict[str, int]) -> list[schema.TensorMapT]:
    maps = []
    for name, index in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        maps.append(entry)
    return maps


def streaming_model(keys: Sequence[str] = ("serving_default",), quantized: bool = False) -> bytes:
    """Returns the streaming model; quantized: with image, states and logits stored as in QUANTIZED_INPUTS."""
    storage_in, storage_out = (QUANTIZED_INPUTS, QUANTIZED_OUTPUTS) if quantized else ({}, {})
    graph = Graph()
    # Not first and not last, as in real files: inputs must be told apart by name.
    stream_name, *pool_names = STATES
    stream = graph.take(stream_name, STATES[stream_name], storage_in)
    cells = _cells(graph, graph.take("image", (1, 1, SIZE, SIZE, 3), storage_in))
    pools = {name: graph.take(name, STATES[name], storage_in) for name in pool_names}

    block_count = _count(graph, pools, BLOCK, storage_out)
    motion = _motion(graph, stream, cells, block_count, storage_out)
    colour = graph.mean(cells, [1, 2], (1, 3))
    average = _running_mean(graph, colour, 3, pools, BLOCK, block_count, storage_out)
    flicker = graph.mean(graph.distance(colour, average, (1, 3)), [1], (1,))
    flicker = graph.reshape(flicker, (1, 1))

    features = graph.concatenate([colour, motion, flicker], 1, (1, 5))
    pooled = _running_mean(graph, features, 5, pools, HEAD, _count(graph, pools, HEAD, storage_out), storage_out)
    graph.give("logits", _dense(graph, pooled, WEIGHTS, BIASES), storage_out)
    return graph.file(keys)


def still_model() -> bytes:
    """Returns a model without states, as one for single pictures is: the streaming model's colour classes."""
    graph = Graph()
    cells = _cells(graph, graph.take("image", (1, 1, SIZE, SIZE, 3), {}))
    graph.give("logits", _dense(graph, graph.mean(cells, [1, 2], (1, 3)), WEIGHTS[:5, :3], BIASES[:5]), {})
    return graph.file(["serving_default"])


def _cells(graph: Graph, image: int) -> int:
    """The image averaged into [1, GRID, GRID, 3]."""
    options = schema.Pool2DOptionsT()
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = SIZE // GRID
    options.padding = schema.Padding.VALID
    image = graph.reshape(image, (1, SIZE, SIZE, 3))
    return graph.add("AVERAGE_POOL_2D", [image], graph.tensor((1, GRID, GRID, 3)), options)


def _count(graph: Graph, pools: dict[str, int], prefix: str, storage: dict) -> int:
    """Counts this frame; returns the count as float [1]."""
    name = f"{prefix}_pool_frame_count"
    one = graph.constant([1])
    count = graph.add("ADD", [pools[name], one], graph.tensor((1,), "INT32"), schema.AddOptionsT())
    graph.give(name, count, storage)
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.INT32, schema.TensorType.FLOAT32
    return graph.add("CAST", [count], graph.tensor((1,)), cast)


def _running_mean(
    graph: Graph, value: int, channels: int, pools: dict[str, int], prefix: str, count: int, storage: dict
) -> int:
    """Adds [1, channels] to the pool; returns the mean over all frames since the start."""
    name, shape = f"{prefix}_pool_buffer", (1, channels)
    before = graph.reshape(pools[name], shape)
    total = graph.add("ADD", [before, value], graph.tensor(shape), schema.AddOptionsT())
    graph.give(name, graph.reshape(total, STATES[name]), storage)
    return graph.add("DIV", [total, count], graph.tensor(shape), schema.DivOptionsT())


def _motion(graph: Graph, stream: int, cells: int, count: int, storage: dict) -> int:
    """Mean difference from the cells two frames ago as [1, 1]; 0 for the first two frames."""
    name = f"{BLOCK}_stream_buffer"
    buffer = graph.reshape(stream, (2, GRID, GRID, 3))
    one_cell_map = (1, GRID, GRID, 3)
    older, newer = (
        graph.add(
            "SLICE",
            [buffer, graph.constant([place, 0, 0, 0]), graph.constant(one_cell_map)],
            graph.tensor(one_cell_map),
            schema.SliceOptionsT(),
        )
        for place in (0, 1)
    )
    after = graph.concatenate([newer, cells], 0, (2, GRID, GRID, 3))
    graph.give(name, graph.reshape(after, STATES[name]), storage)
    difference = graph.mean(graph.distance(cells, older, one_cell_map), [1, 2, 3], (1,))

    two, zero, one = (graph.constant(np.array([value], np.float32)) for value in (2, 0, 1))
    beyond = graph.add("SUB", [count, two], graph.tensor((1,)), schema.SubOptionsT())
    options = schema.MaximumMinimumOptionsT()
    beyond = graph.add("MAXIMUM", [beyond, zero], graph.tensor((1,)), options)
    ready = graph.add("MINIMUM", [beyond, one], graph.tensor((1,)), options)
    motion = graph.add("MUL", [difference, ready], graph.tensor((1,)), schema.MulOptionsT())
    return graph.reshape(motion, (1, 1))


def _dense(graph: Graph, value: int, weights: np.ndarray, biases: np.ndarray) -> int:
    inputs = [value, graph.constant(weights), graph.constant(biases)]
    return graph.add("FULLY_CONNECTED", inputs, graph.tensor((1, len(biases))), schema.FullyConnectedOptionsT())


def files() -> dict[str, bytes]:
    """Returns every file by name."""
    return {
        "tiny.tflite": streaming_model(),
        "tiny_quantized.tflite": streaming_model(["call"], quantized=True),
        "tiny_still.tflite": still_model(),
        "tiny_two_signatures.tflite": streaming_model(["call", "serving_default"]),
        "tiny.txt": "".join(f"{label}\n" for label in LABELS).encode(),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)
        print(f"{folder / name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
