"""What `--model-info` prints of each kind of model, compared with what the models were made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from make_tiny_clip_models import BIASES, BLOCK, BLOCK_BIAS, KERNEL, KERNEL_BIAS, LABELS, LENGTH, NAME, SIZE, WEIGHTS

from clip_classifier import ClipClassifier
from clip_format import ClipSettings
from compiler.schema import schema
from errors import ModelError
from flatbuffer import Table
from metadata import read_metadata
from model_info import describe
from model_metadata import inner_labels, read_model_metadata
from onnx_header import read_onnx_header

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
has_schema = schema is not None


def rows(text: str) -> dict[str, str]:
    """The rows by their first word; lines that go on are joined."""
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith(" "):
            found[key] += " " + line.strip()
        else:
            key, _, value = line.partition(" ")
            found[key] = value.strip()
    return found


def weights() -> int:
    return sum(each.size for each in (KERNEL, KERNEL_BIAS, BLOCK, BLOCK_BIAS, WEIGHTS, BIASES))


@pytest.mark.parametrize("name", ["clip.tflite", "clip_channels_first.tflite", "clip.onnx"])
def test_a_clip_model(name):
    said = rows(describe(DATA / name, str(DATA / "clip.txt")))
    assert said["model"].startswith(str(DATA / name)) and "kB" in said["model"]
    assert "clip model" in said["kind"]
    assert f"{LENGTH} frames of {SIZE}x{SIZE} pixels" in said["wants"] and "--sample-fps" in said["wants"]
    assert f"every {LENGTH} frames" in said["stride"]
    last = f"[1, {LENGTH}, {SIZE}, {SIZE}, 3]"
    first = f"[1, 3, {LENGTH}, {SIZE}, {SIZE}]"
    assert said["layout"].endswith(last if name == "clip.tflite" else first)
    assert said["pixels"] == "0 to 1, as float32"
    assert said["gives"].startswith("5 classes")
    assert said["labels"].startswith("5, ") and said["labels"].endswith(f"clip.txt: {', '.join(LABELS)}")
    if name.endswith(".onnx"):
        assert said["operators"] == "8: 2 Conv, 2 Relu, 1 Add, 1 AveragePool, 1 Flatten, 1 Gemm"
        assert said["author"] == "the tests"
    elif has_schema:
        assert said["weights"] == f"float32 {weights()}" and "2 CONV_3D" in said["operators"]
    else:
        assert "not known" in said["operators"]


def test_metadata_and_the_labels_inside(tmp_path):
    model = tmp_path / "clip_described.tflite"
    shutil.copy(DATA / model.name, model)
    said = rows(describe(model))
    assert said["labels"] == f"5, inside the model: {', '.join(LABELS)}"
    assert (said["name"], said["version"], said["author"]) == (NAME, "1.2", "The tests")
    assert (said["licence"], said["description"]) == ("Apache License 2.0", "Clips of nothing.")
    assert said["pixels"].startswith("(0..255 - [123, 117, 104]) * [0.01724, 0.01754, 0.01739]")  # 1/58, 1/57, 1/57.5


def test_a_streaming_model():
    said = rows(describe(DATA / "tiny_quantized.tflite", str(DATA / "tiny.txt")))
    assert "streaming" in said["kind"]
    assert said["wants"].startswith("32x32 pixels RGB")
    assert said["pixels"] == "0 to 1, as int8, which hold 0 to 1"  # scale 1/255, zero point -128
    assert said["states"].startswith("5, 0.1 kB")  # 96 bytes, 3 and 5 of 2 bytes, two counts of 4
    assert said["gives"] == "7 classes, int8"
    assert said["pools"].startswith("2 that average over time" if has_schema else "not known")


def test_a_published_model_is_recognized_by_its_name():
    said = rows(describe(ROOT / "models" / "movinet_a0_demo.tflite"))
    assert "172x172 pixels" in said["wants"]
    assert said["labels"].startswith("7, ") and "movinet_a0_demo.txt" in said["labels"]


@pytest.mark.parametrize(
    ("name", "shape"), [("clip_open.onnx", "?, 3, ?, ?, ?"), ("clip_open.tflite", "?, ?, ?, ?, 3")]
)
def test_what_is_open_is_said(name, shape):
    said = rows(describe(DATA / name))
    assert said["wants"].startswith(f"input [{shape}]") and "--clip-length" in said["wants"]
    assert said["labels"].startswith("none: no labels known")


@pytest.mark.parametrize("name", ["clip_open.onnx", "clip_open.tflite"])
def test_flags_fill_what_is_open(name):
    said = rows(describe(DATA / name, clip=ClipSettings(length=LENGTH, size=SIZE, stride=2)))
    assert f"{LENGTH} frames of {SIZE}x{SIZE} pixels" in said["wants"] and "every 2 frames" in said["stride"]


def test_every_line_fits():
    for name in ("clip.tflite", "clip_described.tflite", "clip_open.onnx", "tiny.tflite"):
        assert all(len(line) <= 100 for line in describe(DATA / name).splitlines())


@pytest.mark.parametrize("name", ["clip.txt", "nothing.tflite", "nothing.onnx", "tiny_still.tflite"])
def test_what_is_no_model_ends_in_a_line(name):
    with pytest.raises(ModelError) as caught:
        describe(DATA / name)
    assert name in str(caught.value) and "\n" not in str(caught.value) and caught.value.status == 3


def test_a_damaged_header_ends_in_a_line(tmp_path):
    content, random = (DATA / "clip.onnx").read_bytes(), np.random.default_rng(2)
    damaged = [content[:kept] for kept in range(0, len(content), 61)]
    damaged.append(content + bytes([14 << 3 | 2, 3, 2 << 3 | 2, 1, ord("x")]))  # a note without a name
    for _ in range(200):
        copy = bytearray(content)
        for place in random.integers(0, len(copy), 6):
            copy[place] = random.integers(256)
        damaged.append(bytes(copy))
    for each in damaged:
        (tmp_path / "model.onnx").write_bytes(each)
        try:
            assert read_onnx_header(tmp_path / "model.onnx").inputs
        except ModelError as error:
            assert "\n" not in str(error)


def test_a_model_that_gives_several_tensors_is_no_clip_model(tmp_path):
    second = bytes([7 << 3 | 2, 5, 12 << 3 | 2, 3, 1 << 3 | 2, 1, ord("x")])  # an output of the graph
    (tmp_path / "model.onnx").write_bytes((DATA / "clip.onnx").read_bytes() + second)
    for open_it in (describe, ClipClassifier):
        with pytest.raises(ModelError, match="no clip model: it takes 1 tensors and gives 2, not one each"):
            open_it(tmp_path / "model.onnx", str(DATA / "clip.txt"))


def test_damaged_metadata_is_a_value_error():
    content = (DATA / "clip_described.tflite").read_bytes()
    written = read_metadata(content)["TFLITE_METADATA"]
    start, random = content.index(written), np.random.default_rng(3)
    errors = 0
    for _ in range(300):
        copy = bytearray(content)
        for place in random.integers(start, start + len(written), 5):
            copy[place] = random.integers(256)
        for read in (read_model_metadata, inner_labels):
            try:
                read(bytes(copy))
            except ValueError:
                errors += 1
    assert errors


def test_a_file_without_metadata_says_nothing():
    content = (DATA / "clip.tflite").read_bytes()
    assert read_model_metadata(content).normalization is None and inner_labels(content) is None
    assert Table.root(content).text(3) == "tiny streaming video classifier for tests"  # Model.description


@pytest.mark.skipif(not has_schema, reason="teaching needs ai-edge-litert, or tflite: pip install tflite")
def test_the_labels_that_teaching_packs_are_found():
    from compiler.graph import load, save
    from teaching.tflite_metadata import LABELS as INSIDE
    from teaching.tflite_metadata import METADATA, pack_labels
    from teaching.tflite_metadata import describe as described

    graph = load((DATA / "tiny.tflite").read_bytes())
    graph.metadata[METADATA] = described(graph, "mine", "Seven of them.")
    content = pack_labels(save(graph), (DATA / "tiny.txt").read_bytes())
    found = read_model_metadata(content)
    assert (found.name, found.description, found.labels) == ("mine", "Seven of them.", INSIDE)
    assert (found.normalization.mean, found.normalization.std) == ((0.0,), (255.0,))
    assert inner_labels(content) == (DATA / "tiny.txt").read_text().splitlines()
