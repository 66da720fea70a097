"""Writes the tiny clip models that the tests run: `.venv/bin/python tests/make_tiny_clip_models.py [FOLDER]`.

A 3-D network in its smallest form, with weights from a seed, as .tflite and as .onnx: clips of 8 frames of 12x12
pixels, a convolution over time and space, ReLU, a residual block with another one, ReLU, the mean over all that is
left, a dense layer of 5 classes.

Needs ai-edge-litert or tflite, for the format's schema; the .onnx files, which are Protocol Buffers messages, are put
together here byte by byte.
"""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, Sequence

import numpy as np

LENGTH, SIZE, FILTERS = 8, 12, 4
LABELS = ("up", "down", "left", "right", "still")

_random = np.random.default_rng(8)
KERNEL = _random.normal(0, 0.6, (FILTERS, 3, 3, 3, 3)).astype(np.float32)  # [filter, channel, time, row, column]
KERNEL_BIAS = _random.normal(0, 0.3, FILTERS).astype(np.float32)
BLOCK = _random.normal(0, 0.2, (FILTERS, FILTERS, 3, 3, 3)).astype(np.float32)  # of the residual block, likewise
BLOCK_BIAS = _random.normal(0, 0.3, FILTERS).astype(np.float32)
WEIGHTS = _random.normal(0, 1, (len(LABELS), FILTERS)).astype(np.float32)
BIASES = _random.normal(0, 1, len(LABELS)).astype(np.float32)

# Storage of the quantized models' images: type, scale, zero point.
BYTES = ("UINT8", 1 / 255, 0)
SIGNED = ("INT8", 2.1 / 255, -3)  # no pixel lies halfway between two steps

# What the metadata of the described model says.
NAME, MEAN, STD = "Tiny clips", (123.0, 117.0, 104.0), (58.0, 57.0, 57.5)


def tflite_model(
    layout: str = "nthwc",
    storage: tuple[str, float, int] | None = None,
    softmax: bool = False,
    metadata: bytes | None = None,
    open_axes: Sequence[int] = (),
) -> bytes:
    """Returns the network as a .tflite file whose input is in this layout, stored as this says, else in float32."""
    from make_tiny_models import Graph, schema

    graph = Graph()
    shape = (1, LENGTH, SIZE, SIZE, 3) if layout == "nthwc" else (1, 3, LENGTH, SIZE, SIZE)
    clip = graph.take("clip", shape, {} if storage is None else {"clip": storage})
    if open_axes:
        sizes = np.array(shape, np.int32)
        sizes[list(open_axes)] = -1
        graph.graph.tensors[clip].shapeSignature = sizes
        graph.graph.tensors[clip].shape = np.where(sizes < 0, 1, sizes).astype(np.int32)
    if layout == "ncthw":
        clip = graph.add(
            "TRANSPOSE", [clip, graph.constant([0, 2, 3, 4, 1])], graph.tensor((1, LENGTH, SIZE, SIZE, 3)),
            schema.TransposeOptionsT(),
        )  # fmt: skip
    inner = (1, LENGTH - 2, 5, 5, FILTERS)
    first = _conv3d(graph, clip, KERNEL, KERNEL_BIAS, (1, 2, 2), "VALID", inner)
    first = graph.add("RELU", [first], graph.tensor(inner))
    second = _conv3d(graph, first, BLOCK, BLOCK_BIAS, (1, 1, 1), "SAME", inner)
    value = graph.add("ADD", [first, second], graph.tensor(inner), schema.AddOptionsT())
    value = graph.add("RELU", [value], graph.tensor(inner))
    value = graph.mean(value, [1, 2, 3], (1, FILTERS))
    dense = [value, graph.constant(WEIGHTS), graph.constant(BIASES)]
    value = graph.add("FULLY_CONNECTED", dense, graph.tensor((1, len(LABELS))), schema.FullyConnectedOptionsT())
    if softmax:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        value = graph.add("SOFTMAX", [value], graph.tensor((1, len(LABELS))), options)
    graph.give("logits", value, {})
    if metadata is not None:
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = "TFLITE_METADATA", len(graph.model.buffers)
        buffer.data = np.frombuffer(metadata, np.uint8)
        graph.model.buffers.append(buffer)
        graph.model.metadata = [entry]
    for code in graph.model.operatorCodes:  # The byte that old files had it in takes no more.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return graph.file(["serving_default"])


def _conv3d(
    graph: Any, value: int, kernel: np.ndarray, bias: np.ndarray, strides: Sequence[int], padding: str, shape: tuple
) -> int:
    from make_tiny_models import schema

    options = schema.Conv3DOptionsT()
    options.padding = getattr(schema.Padding, padding)
    options.strideD, options.strideH, options.strideW = strides
    options.dilationDFactor = options.dilationHFactor = options.dilationWFactor = 1
    # TensorFlow's order: time, row, column, channel, filter.
    kernel = np.ascontiguousarray(kernel.transpose(2, 3, 4, 1, 0))
    inputs = [value, graph.constant(kernel), graph.constant(bias)]
    return graph.add("CONV_3D", inputs, graph.tensor(shape), options)


def onnx_model(
    shape: Sequence[int | str] | None = None, softmax: bool = False, old: bool = False, flat: bool = False
) -> bytes:
    """Returns the network as an .onnx file.

    Args:
        shape: Of its input; a text stands for a size that is open.
        softmax: Whether it gives probabilities.
        old: Whether the weights stand among the inputs, as the first exporters wrote them.
        flat: Whether an operator that changes nothing but the shape stands behind the last one.
    """
    weights = {
        "kernel": KERNEL, "kernel_bias": KERNEL_BIAS, "block": BLOCK, "block_bias": BLOCK_BIAS, "weights": WEIGHTS,
        "biases": BIASES,
    }  # fmt: skip
    left = (LENGTH - 2, 5, 5)
    nodes = [
        _node("Conv", ["clip", "kernel", "kernel_bias"], "a", kernel_shape=(3, 3, 3), strides=(1, 2, 2), pads=(0,) * 6),
        _node("Relu", ["a"], "b"),
        _node("Conv", ["b", "block", "block_bias"], "r", kernel_shape=(3, 3, 3), strides=(1, 1, 1), pads=(1,) * 6),
        _node("Add", ["r", "b"], "s"),
        _node("Relu", ["s"], "t"),
        _node("AveragePool", ["t"], "c", kernel_shape=left, strides=(1, 1, 1), pads=(0,) * 6),
        _node("Flatten", ["c"], "d"),
        _node("Gemm", ["d", "weights", "biases"], "e" if softmax else "logits", transB=1),
    ]
    if softmax:
        nodes.append(_node("Softmax", ["e"], "f" if flat else "logits", axis=1))
    if flat:
        nodes.append(_node("Flatten", ["f"], "logits"))
    inputs = {"clip": shape or (1, 3, LENGTH, SIZE, SIZE)}
    if old:
        inputs.update({name: value.shape for name, value in weights.items()})
    graph = b"".join(_message(1, node) for node in nodes) + _message(2, b"tiny")
    graph += b"".join(_message(5, _weight(name, value)) for name, value in weights.items())
    graph += b"".join(_message(11, _value(name, sizes)) for name, sizes in inputs.items())
    graph += _message(12, _value("logits", (1, len(LABELS))))
    opset = _message(8, _message(1, b"") + _integer(2, 11))
    author = _message(14, _message(1, b"author") + _message(2, b"the tests"))
    return _integer(1, 6) + _message(2, b"make_tiny_clip_models") + _message(7, graph) + opset + author


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    node = b"".join(_message(1, name.encode()) for name in inputs) + _message(2, output.encode())
    node += _message(3, output.encode()) + _message(4, kind.encode())
    for name, value in attributes.items():
        if isinstance(value, int):
            content = _integer(3, value) + _integer(20, 2)
        else:
            content = b"".join(_integer(8, each) for each in value) + _integer(20, 7)
        node += _message(5, _message(1, name.encode()) + content)
    return node


def _weight(name: str, value: np.ndarray) -> bytes:
    sizes = b"".join(_integer(1, size) for size in value.shape)
    return sizes + _integer(2, 1) + _message(8, name.encode()) + _message(9, value.astype("<f4").tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        _message(1, _integer(1, size) if isinstance(size, int) else _message(2, size.encode())) for size in shape
    )
    return _message(1, name.encode()) + _message(2, _message(1, _integer(1, 1) + _message(2, sizes)))


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return out + struct.pack("B", value)


def described_model() -> bytes:
    """Returns the .tflite file with metadata, and with its labels inside, in German too."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    normalization = _table(builder, 2, {0: _floats(builder, MEAN), 1: _floats(builder, STD)})
    image = _table(builder, 2, {1: _table(builder, 2, {})}, {0: 2})  # ImageProperties
    unit = _table(builder, 2, {1: normalization}, {0: 1})
    given = _table(builder, 7, {0: builder.CreateString("clip"), 3: image, 4: _vector(builder, [unit])})
    german = {0: builder.CreateString("labels_de.txt"), 3: builder.CreateString("de")}
    label_files = [
        _table(builder, 5, german, {2: 2}),
        _table(builder, 5, {0: builder.CreateString("labels.txt")}, {2: 2}),
    ]
    left = _table(builder, 7, {0: builder.CreateString("logits"), 6: _vector(builder, label_files)})
    graph = _table(builder, 7, {2: _vector(builder, [given]), 3: _vector(builder, [left])})
    texts = {
        number: builder.CreateString(text)
        for number, text in {
            0: NAME,
            1: "Clips of\nnothing.",
            2: "1.2",
            4: "The tests",
            5: "Apache License 2.0",
        }.items()
    }
    builder.Finish(_table(builder, 8, {**texts, 3: _vector(builder, [graph])}), file_identifier=b"M001")
    file = io.BytesIO(tflite_model(metadata=bytes(builder.Output())))
    with zipfile.ZipFile(file, "a") as archive:
        for name, labels in (("labels_de.txt", "auf ab links rechts still".split()), ("labels.txt", LABELS)):
            archive.writestr(zipfile.ZipInfo(name), "\n".join(labels) + "\n")
    return file.getvalue()


def _table(builder: Any, fields: int, places: dict[int, int], numbers: dict[int, int] | None = None) -> int:
    builder.StartObject(fields)
    for number, place in places.items():
        builder.PrependUOffsetTRelativeSlot(number, place, 0)
    for number, value in (numbers or {}).items():
        builder.PrependUint8Slot(number, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, places: Sequence[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def files() -> dict[str, bytes]:
    """Returns every file by name."""
    return {
        "clip.tflite": tflite_model(),
        "clip_channels_first.tflite": tflite_model("ncthw"),
        "clip_bytes.tflite": tflite_model(storage=BYTES),
        "clip_signed.tflite": tflite_model("ncthw", storage=SIGNED),
        "clip_softmax.tflite": tflite_model(softmax=True),
        "clip_described.tflite": described_model(),
        "clip_open.tflite": tflite_model(open_axes=(0, 1, 2, 3)),
        "clip_open_length.tflite": tflite_model(open_axes=(0, 1)),
        "clip.onnx": onnx_model(),
        "clip_old.onnx": onnx_model(old=True),
        "clip_softmax.onnx": onnx_model(softmax=True),
        "clip_open.onnx": onnx_model(("batch", 3, "frames", "rows", "columns")),
        "clip.txt": "".join(f"{label}\n" for label in LABELS).encode(),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)
        print(f"{folder / name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
