"""TFLite metadata: what a model's inputs and outputs mean, and its labels, inside the file, for other programs.

A flatbuffer "TFLITE_METADATA" among the file's metadata names the tensors; the files that it refers to stand in a ZIP
behind the model. Format: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata and the schema
https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
"""

from __future__ import annotations

import io
import zipfile
from typing import Any, Callable, Iterable, Mapping, Sequence

from compiler.graph import Graph, Tensor

METADATA = "TFLITE_METADATA"
LABELS = "labels.txt"
"""Name of the label file inside the model."""

_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # The first version of the schema has all that is used here.
# Members of the schema's unions and enumerations.
_FEATURE, _IMAGE, _NORMALIZATION, _RGB, _AXIS_LABELS = 1, 2, 1, 1, 2
_FIELDS = {
    "ModelMetadata": 8, "SubGraphMetadata": 7, "TensorMetadata": 7, "Content": 3, "ImageProperties": 2,
    "FeatureProperties": 0, "ValueRange": 2, "ProcessUnit": 2, "NormalizationOptions": 2, "Stats": 2,
    "AssociatedFile": 4,
}  # fmt: skip


def describe(graph: Graph, name: str, description: str) -> bytes:
    """Returns the metadata of a streaming classifier, whose labels are packed with it.

    Args:
        graph: With its final inputs and outputs.
        name: Of the model.
        description: Of the model, for people.
    """
    import flatbuffers  # Where it is missing, a graph can't have been loaded either.

    writer = _Writer(flatbuffers.Builder(4096))
    subgraph = writer.table("SubGraphMetadata", {
        2: writer.tables(_input(writer, graph, *each) for each in graph.inputs.items()),
        3: writer.tables(_output(writer, graph, *each) for each in graph.outputs.items()),
    })  # fmt: skip
    model = writer.table("ModelMetadata", {
        0: writer.text(name),
        1: writer.text(description),
        3: writer.tables([subgraph]),
        7: writer.text(_PARSER),
    })  # fmt: skip
    writer.builder.Finish(model, file_identifier=_IDENTIFIER)
    return bytes(writer.builder.Output())


def pack_labels(model: bytes, labels: bytes) -> bytes:
    """Returns a .tflite file with a label file in a ZIP behind it, stored as it is, not compressed."""
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), labels)  # Dated 1980: the same model, the same file.
    return file.getvalue()


def _input(writer: _Writer, graph: Graph, name: str, tensor: Tensor) -> int:
    if name in graph.outputs:
        return _state(writer, name)
    # From bytes to 0..1: (x - 0) / 255.
    normalization = writer.table("NormalizationOptions", {0: writer.floats([0.0]), 1: writer.floats([255.0])})
    unit = writer.table("ProcessUnit", {1: normalization}, bytes_={0: _NORMALIZATION})
    properties = writer.table("ImageProperties", bytes_={0: _RGB})
    # The picture is axes 2 to 4; before them stand batch and time.
    axes = writer.table("ValueRange", integers={0: 2, 1: len(tensor.shape) - 1})
    return writer.table("TensorMetadata", {
        0: writer.text(name),
        1: writer.text("The next frame: RGB, 0 to 1. The model expects 5 frames a second."),
        2: writer.texts(("batch", "time", "height", "width", "channel")),
        3: writer.table("Content", {1: properties, 2: axes}, bytes_={0: _IMAGE}),
        4: writer.tables([unit]),
        5: writer.table("Stats", {0: writer.floats([1.0]), 1: writer.floats([0.0])}),
    })  # fmt: skip


def _output(writer: _Writer, graph: Graph, name: str, tensor: Tensor) -> int:
    if name in graph.inputs:
        return _state(writer, name)
    labels = writer.table(
        "AssociatedFile",
        {0: writer.text(LABELS), 1: writer.text("One class name a line, in the order of the logits.")},
        bytes_={2: _AXIS_LABELS},
    )
    return writer.table("TensorMetadata", {
        0: writer.text(name),
        1: writer.text("Logits of the stream so far; their softmax is the probability of each class."),
        2: writer.texts(("batch", "class")),
        3: _features(writer),
        6: writer.tables([labels]),
    })  # fmt: skip


def _state(writer: _Writer, name: str) -> int:
    description = writer.text("State: zeros before the first frame, then what the step before gave by this name.")
    return writer.table("TensorMetadata", {0: writer.text(name), 1: description, 3: _features(writer)})


def _features(writer: _Writer) -> int:
    return writer.table("Content", {1: writer.table("FeatureProperties")}, bytes_={0: _FEATURE})


class _Writer:
    """Writes tables of the schema into a flatbuffers.Builder; each is known by its place there."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def text(self, text: str) -> int:
        return int(self.builder.CreateString(text))

    def texts(self, texts: Sequence[str]) -> int:
        return self.tables([self.text(text) for text in texts])

    def tables(self, places: Iterable[int]) -> int:
        return self._vector(list(places), self.builder.PrependUOffsetTRelative)

    def floats(self, values: Sequence[float]) -> int:
        return self._vector(values, self.builder.PrependFloat32)

    def table(
        self,
        kind: str,
        places: Mapping[int, int] | None = None,
        *,
        bytes_: Mapping[int, int] | None = None,
        integers: Mapping[int, int] | None = None,
    ) -> int:
        """Writes a table.

        Args:
            kind: Its name in the schema.
            places: Where the strings, vectors and tables stand that it holds, by number of the field.
            bytes_: One-byte values by number of the field.
            integers: Four-byte values likewise.
        """
        self.builder.StartObject(_FIELDS[kind])
        for number, place in (places or {}).items():
            self.builder.PrependUOffsetTRelativeSlot(number, place, 0)
        for number, value in (integers or {}).items():
            self.builder.PrependInt32Slot(number, value, 0)
        for number, value in (bytes_ or {}).items():
            self.builder.PrependInt8Slot(number, value, 0)
        return int(self.builder.EndObject())

    def _vector(self, values: Sequence[Any], prepend: Callable[[Any], None]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            prepend(value)
        return int(self.builder.EndVector())
