"""What other programs read of a taught file: its TFLite metadata and the labels inside, by a reader of our own.

The reader knows flatbuffers (https://flatbuffers.dev/internals/) and the fields' numbers in the published schemas of
TensorFlow Lite models and metadata, nothing of the code under test.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import skip_without_schema

from runtime import choose_runtime
from teaching.network import write_model

skip_without_schema()

NAMES = ["waving", "sitting / Füße", "nobody"]


class Table:
    """A flatbuffer's table: fields by number, each read as what the schema says it is."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place

    @classmethod
    def root(cls, content: bytes) -> Table:
        return cls(content, struct.unpack_from("<I", content)[0])

    def number(self, field: int, form: str) -> Any:
        place = self._field(field)
        return struct.unpack_from(f"<{form}", self._content, place)[0] if place else 0

    def table(self, field: int) -> Table:
        place = self._field(field)
        assert place, f"field {field} is missing"
        return Table(self._content, self._follow(place))

    def text(self, field: int) -> str:
        return self._text(self._follow(self._field(field)))

    def raw(self, field: int) -> bytes:
        start, length = self._vector(field)
        return self._content[start : start + length]

    def tables(self, field: int) -> list[Table]:
        return [Table(self._content, place) for place in self._pointed(field)]

    def texts(self, field: int) -> list[str]:
        return [self._text(place) for place in self._pointed(field)]

    def array(self, field: int, form: str) -> list[Any]:
        start, length = self._vector(field)
        return list(struct.unpack_from(f"<{length}{form}", self._content, start)) if length else []

    def _field(self, field: int) -> int:
        layout = self._place - struct.unpack_from("<i", self._content, self._place)[0]
        size = struct.unpack_from("<H", self._content, layout)[0]
        offset = struct.unpack_from("<H", self._content, layout + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
        return self._place + offset if offset else 0

    def _follow(self, place: int) -> int:
        return place + struct.unpack_from("<I", self._content, place)[0]

    def _text(self, place: int) -> str:
        length = struct.unpack_from("<I", self._content, place)[0]
        assert self._content[place + 4 + length] == 0
        return self._content[place + 4 : place + 4 + length].decode()

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._field(field)
        if not place:
            return 0, 0
        vector = self._follow(place)
        return vector + 4, struct.unpack_from("<I", self._content, vector)[0]

    def _pointed(self, field: int) -> list[int]:
        start, length = self._vector(field)
        return [self._follow(start + 4 * number) for number in range(length)]


@pytest.fixture(scope="module")
def taught(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = np.random.default_rng(0).normal(0, 0.05, (len(NAMES), 2048)).astype(np.float32)
    path = tmp_path_factory.mktemp("taught") / "gestures.tflite"
    return write_model(demo_model, weights, np.zeros(len(NAMES), np.float32), NAMES, path, description={})


@pytest.fixture(scope="module")
def model(taught: Path) -> Table:
    content = taught.read_bytes()
    assert content[4:8] == b"TFL3"
    return Table.root(content)


@pytest.fixture(scope="module")
def metadata(model: Table) -> Table:
    """Model.metadata is field 6, Model.buffers 4; Metadata has name and buffer, Buffer has data."""
    places = {entry.text(0): entry.number(1, "I") for entry in model.tables(6)}
    content = model.tables(4)[places["TFLITE_METADATA"]].raw(0)
    assert content[4:8] == b"M001"
    return Table.root(content)


def names(model: Table, kind: int) -> list[str]:
    """Returns the signature's names in the order of the graph's inputs (kind 1) or outputs (kind 2).

    Model.subgraphs is field 2, Model.signature_defs 7.
    """
    (subgraph,), (signature,) = model.tables(2), model.tables(7)
    by_tensor = {entry.number(1, "I"): entry.text(0) for entry in signature.tables(kind - 1)}
    return [by_tensor[tensor] for tensor in subgraph.array(kind, "i")]


def test_every_input_and_output_is_described_in_order(model: Table, metadata: Table) -> None:
    assert metadata.text(0) == "gestures"
    assert "3 actions" in metadata.text(1) and "movinet_a0_demo.tflite" in metadata.text(1)
    assert metadata.text(7) == "1.0.0"
    (subgraph,) = metadata.tables(3)
    for kind, field in ((1, 2), (2, 3)):
        described = [tensor.text(0) for tensor in subgraph.tables(field)]
        assert described == names(model, kind) and len(described) > 10
        assert all(tensor.text(1) for tensor in subgraph.tables(field))


def test_the_image_is_described(metadata: Table) -> None:
    (subgraph,) = metadata.tables(3)
    (image,) = (tensor for tensor in subgraph.tables(2) if tensor.text(0) == "image")
    assert len(image.texts(2)) == 5
    content = image.table(3)
    assert content.number(0, "b") == 2  # ContentProperties: ImageProperties
    assert content.table(1).number(0, "b") == 1  # ColorSpaceType: RGB
    assert (content.table(2).number(0, "i"), content.table(2).number(1, "i")) == (2, 4)
    (unit,) = image.tables(4)
    assert unit.number(0, "b") == 1  # ProcessUnitOptions: NormalizationOptions
    (mean,), (deviation,) = (unit.table(1).array(field, "f") for field in (0, 1))
    largest, least = ((255 - mean) / deviation, (0 - mean) / deviation)
    assert (largest, least) == (1, 0) == (image.table(5).array(0, "f")[0], image.table(5).array(1, "f")[0])


def test_the_labels_are_inside_and_belong_to_the_logits(taught: Path, metadata: Table) -> None:
    (subgraph,) = metadata.tables(3)
    with_files = [tensor for tensor in (*subgraph.tables(2), *subgraph.tables(3)) if tensor.tables(6)]
    (logits,) = with_files
    (file,) = logits.tables(6)
    assert logits.text(0) == "logits" and file.number(2, "b") == 2  # AssociatedFileType: TENSOR_AXIS_LABELS
    with zipfile.ZipFile(taught) as archive:
        assert archive.namelist() == [file.text(0)]
        assert archive.testzip() is None
        assert archive.getinfo(file.text(0)).compress_type == zipfile.ZIP_STORED
        assert archive.read(file.text(0)).decode() == "".join(f"{name}\n" for name in NAMES)


def test_the_file_still_runs(taught: Path, runtime: str) -> None:
    interpreter = choose_runtime(runtime).interpreter(model_path=str(taught))
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    inputs = {name: np.zeros(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()}
    assert runner(**inputs)["logits"].shape == (1, len(NAMES))
