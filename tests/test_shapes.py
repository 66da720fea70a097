"""Files that leave sizes open: the shapes inside are wrong there, and each is computed while the model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pytest
from conftest import skip_without_schema
from graph_network import Layer, Network, Recipe, integers
from graphs import make, random_frames, stored

from compiled import pools_of
from compiler.graph import Tensor, constant, save
from compiler.schema import schema
from errors import ModelError
from video_classifier import VideoClassifier

skip_without_schema()

LAYERS = (Layer(temporal=5, stride=2), Layer(squeeze=True))
# Not float16: ai-edge-litert 2.3 itself can't run such a file, its XNNPACK delegate fails at the first run.
STORED = [("float32", "float"), ("dynamic", "float"), ("int8", "states"), ("int8", "all")]


class _Open(Network):
    """As converted with an open batch and an open number of frames: sizes are taken from tensors as they come."""

    def flat(self, value: Tensor) -> Tensor:
        sizes = [self.size(value, axis) for axis in (0, 2, 3)]
        return self.computed(value, [*sizes, value.shape[4]], value.shape[1:])

    def deep(self, value: Tensor) -> Tensor:
        sizes = [self.size(value, axis) for axis in (0, 1, 2)]
        return self.computed(value, [sizes[0], 1, *sizes[1:], value.shape[3]], (1, *value.shape))

    def count(self, prefix: str) -> Tensor:
        """Adds the length of the image's axis of time."""
        name = f"{prefix}_pool_frame_count"
        given = self.size(self.graph.inputs["image"], 1)
        self.graph.outputs[name] = self.add("ADD", [self.input(name, (1,), np.int32), given], (1,), np.int32)
        return self.graph.outputs[name]

    def size(self, value: Tensor, axis: int) -> Tensor:
        sizes = self.add("SHAPE", [value], (len(value.shape),), np.int32, outType=schema.TensorType.INT32)
        places = [integers([place]) for place in (axis, axis + 1, 1)]
        return self.add("STRIDED_SLICE", [sizes, *places], (), np.int32, shrinkAxisMask=1)

    def computed(self, value: Tensor, sizes: Sequence[Any], shape: Sequence[int]) -> Tensor:
        parts = [constant(np.array(size, np.int32)) if isinstance(size, int) else size for size in sizes]
        packed = self.add("PACK", parts, (len(parts),), np.int32, valuesCount=len(parts), axis=0)
        return self.add("RESHAPE", [value, packed], shape)


class _SizedByState(Network):
    """The logits get a shape that is computed from a state. That it is always zero only a run shows."""

    def classify(self, value: Tensor) -> None:
        super().classify(value)
        zero = self.graph.outputs["state_zero"] = self.input("state_zero", (2,), np.int32)
        logits = self.graph.outputs["logits"]
        shape = self.add("ADD", [zero, integers(logits.shape)], (2,), np.int32)
        self.graph.outputs["logits"] = self.add("RESHAPE", [logits, shape], logits.shape)


class _OpenAndSizedByState(_Open, _SizedByState):
    pass


def write(path: Path, network: Network, of_image: int = 2) -> Path:
    """Writes the file as a converter does: an open size is -1 in the signature of shapes, and 1 in the shape.

    The first axes `of_image` are open, the first of states, and of what is computed all but the channels.
    """
    import flatbuffers

    content = save(stored(network.build(), network.recipe))
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    computed = {int(number) for operator in graph.operators for number in operator.outputs}
    for number, tensor in enumerate(graph.tensors):
        shape = [] if tensor.shape is None else list(tensor.shape)
        if number in graph.inputs and len(shape) == 5:
            open_axes = of_image if shape[4] == 3 else 1
        elif number in computed and tensor.type not in (schema.TensorType.INT32, schema.TensorType.INT64):
            open_axes = len(shape) - 1
        else:
            continue
        tensor.shapeSignature = np.array([-1] * open_axes + shape[open_axes:], np.int32)
        tensor.shape = np.array([1] * open_axes + shape[open_axes:], np.int32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def logits_of(path: Path, runtime: str, precision: str, memory: int | None) -> tuple[np.ndarray, VideoClassifier]:
    """Returns the logits after each of some frames, of a stream that follows another one, and what gave them."""
    with VideoClassifier(
        path, list("abcde"), runtime=runtime, threads=1, precision=precision, memory=memory
    ) as classifier:
        frames = np.rint(random_frames(16, 14, 2) * 255).astype(np.uint8)
        classifier.step(frames[3])
        classifier.reset()
        return np.array([classifier.step(frame).logits for frame in frames]), classifier


def assert_same(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("storage, border", STORED)
def test_a_model_whose_sizes_are_open_is_compiled(
    cache: Path, tmp_path: Path, runtime: str, storage: str, border: str
) -> None:
    recipe = Recipe(LAYERS, storage=storage, border=border, activation="hard_swish")
    (tmp_path / "closed.tflite").write_bytes(make(recipe, 3))
    path = write(tmp_path / "open.tflite", _Open(recipe, 3))

    logits, classifier = logits_of(path, runtime, "float", memory=4)

    assert classifier.compiled and "compiled to float in" in classifier.notes[0]
    assert_same(logits, logits_of(tmp_path / "closed.tflite", runtime, "float", memory=4)[0])
    assert pools_of(path.read_bytes()) == pools_of((tmp_path / "closed.tflite").read_bytes()) != []


@pytest.mark.parametrize("memory", [None, 4])
def test_a_model_whose_sizes_are_open_runs_as_it_is(
    cache: Path, tmp_path: Path, runtime: str, memory: int | None
) -> None:
    recipe = Recipe(LAYERS)
    (tmp_path / "closed.tflite").write_bytes(make(recipe, 3))
    path = write(tmp_path / "open.tflite", _Open(recipe, 3))

    logits, classifier = logits_of(path, runtime, "source", memory)

    assert not classifier.compiled
    assert_same(logits, logits_of(tmp_path / "closed.tflite", runtime, "source", memory)[0])


def test_sizes_that_are_computed_from_what_is_given_are_left_to_the_runtime(
    cache: Path, tmp_path: Path, runtime: str
) -> None:
    recipe = Recipe(LAYERS)
    (tmp_path / "closed.tflite").write_bytes(make(recipe, 3))
    path = write(tmp_path / "open.tflite", _OpenAndSizedByState(recipe, 3))

    logits, classifier = logits_of(path, runtime, "float", memory=None)

    assert classifier.notes == ["not compiled, so slower: it computes sizes from what it is given"]
    assert_same(logits, logits_of(tmp_path / "closed.tflite", runtime, "source", memory=None)[0])


def test_logits_that_get_other_memory_at_the_first_run(cache: Path, tmp_path: Path, runtime: str) -> None:
    """As ai-edge-litert does where only their size is found while a graph runs."""
    recipe = Recipe(LAYERS)
    (tmp_path / "closed.tflite").write_bytes(make(recipe, 3))
    (tmp_path / "sized.tflite").write_bytes(save(_SizedByState(recipe, 3).build()))

    logits, _ = logits_of(tmp_path / "sized.tflite", runtime, "source", memory=None)

    assert_same(logits, logits_of(tmp_path / "closed.tflite", runtime, "source", memory=None)[0])


def test_a_picture_whose_size_is_open_is_refused(tmp_path: Path, runtime: str) -> None:
    """Run as the file says, it would see 1x1 pixels."""
    path = write(tmp_path / "model.tflite", Network(Recipe(LAYERS, size=1), 3), of_image=4)
    with pytest.raises(ModelError, match=r"leaves the size of its picture open; export it with a fixed one$"):
        VideoClassifier(path, list("abcde"), runtime=runtime)
