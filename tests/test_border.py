"""The form of a model that only the engine runs: other things cross its border, and it says the same."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pytest
from conftest import skip_without_schema
from graph_network import Recipe
from graphs import make, random_frames, recipes, run
from hypothesis import given
from test_compiler import FIXED, HERE, SEEDS, assert_close
from test_passes import FLOAT, Net, ints, kinds

from compiled import prepare
from compiler.build import compile_model
from compiler.graph import Graph, load, save
from compiler.passes.border import give_newest, give_probabilities, take_bytes
from engine import Engine
from errors import ModelError
from runtime import choose_runtime, load_content
from signature import NEWEST, read_signature
from video_classifier import VideoClassifier

skip_without_schema()


pytestmark = pytest.mark.usefixtures("cache")


def engine_of(content: bytes, runtime: str) -> Engine:
    interpreter = choose_runtime(runtime).interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return Engine(interpreter, read_signature(interpreter, "a test's"))


def by_runner(content: bytes, runtime: str, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """What a plain signature runner says of RGB pictures, states handed on: float32 [steps, classes]."""
    interpreter = choose_runtime(runtime).interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    given = {name: np.zeros(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()}
    logits = []
    for picture in pictures:
        given["image"] = picture[None, None].astype(np.float32) / np.float32(255)
        left = runner(**given)
        logits.append(left.pop("logits")[0])
        given.update(left)
    return np.array(logits)


# --- whole models


@pytest.mark.parametrize(
    "name", ["demo_model", "tiny_model", "tiny_quantized_model", "movinet_model", "movinet_se_model"]
)
def test_it_says_what_the_compiled_file_says(name: str, runtime: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    public = compile_model(path.read_bytes(), "float", horizons=False)
    size = load(public).inputs["image"].shape[2]
    classes = load(public).outputs["logits"].shape[1]
    pictures = np.random.default_rng(5).integers(0, 256, (8, size, size, 3), np.uint8)
    expected = by_runner(public, runtime, pictures)

    labels = [f"class {number}" for number in range(classes)]
    with VideoClassifier(path, labels, precision="float", runtime=runtime) as classifier:
        assert classifier.engine.image.dtype == np.uint8
        got = [classifier.step(picture) for picture in pictures]

    logits, probabilities = np.array([each.logits for each in got]), np.array([each.probabilities for each in got])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(("precision", "storages"), [("float", None), ("int8", ["int8"])])
def test_it_is_the_same_function_for_any_network(precision: str, storages: list[str] | None) -> None:
    @FIXED
    @given(recipes(storages) if storages else recipes(), SEEDS)
    def check(recipe: Recipe, seed: int) -> None:
        source, frames = make(recipe, seed), random_frames(recipe.size, 8, seed)
        for runtime in HERE:
            expected = run(compile_model(source, precision, horizons=False), frames, runtime)
            engine = engine_of(compile_model(source, precision, horizons=False, for_engine=True), runtime)
            logits = []
            for frame in frames:
                engine.image[0, 0] = engine.signature.image.from_real(frame)
                logits.append(engine.step())
            assert_close(np.array(logits), expected, share=1e-5 if precision == "float" else 1e-2)

    check()


def test_a_movinet_is_still_taken_whole_by_xnnpack(demo_model: Path, runtime: str) -> None:
    content = compile_model(demo_model.read_bytes(), "float", horizons=True, for_engine=True)
    graph = load(content)
    assert sum(name.endswith(NEWEST) for name in graph.outputs) == 11  # the A0's stream buffers
    assert graph.inputs["image"].dtype == np.uint8 and "probabilities" in graph.outputs
    interpreter = load_content("demo", content, choose_runtime(runtime), threads=1)
    delegates = [each["op_name"] for each in interpreter._get_ops_details()].count("DELEGATE")
    assert delegates == 1


def test_other_programs_get_the_published_border(demo_model: Path) -> None:
    content = demo_model.read_bytes()
    source, compiled = load(content), load(compile_model(content, "float", horizons=False))
    image, logits = compiled.inputs["image"], compiled.outputs["logits"]
    assert (image.dtype, image.shape) == (np.float32, source.inputs["image"].shape)
    assert set(compiled.outputs) == {"logits", *compiled.states()} and logits.dtype == np.float32


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("shape", [(48, 64, 3), (32, 32, 3), (48, 64), (40, 30, 4)])
def test_every_kind_of_frame(tiny_model: Path, tiny_labels: Path, shape: tuple[int, ...], fit: str, order: str) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (3, *shape), np.uint8)
    options: dict[str, Any] = {"fit": fit, "channel_order": order}
    with VideoClassifier(tiny_model, tiny_labels, **options) as plain:
        expected = [plain.step(frame).logits for frame in frames]
    with VideoClassifier(tiny_model, tiny_labels, precision="float", **options) as classifier:
        assert classifier.compiled
        got = [classifier.step(frame).logits for frame in frames]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_softmax_that_fails_is_done_again(tiny_model: Path, tiny_labels: Path) -> None:
    """XNNPACK's makes infinite logits into nothing but NaN."""
    with VideoClassifier(tiny_model, tiny_labels, precision="float") as classifier:
        classifier.engine.probabilities = lambda: np.full(7, np.nan, np.float32)
        top = classifier.step(np.full((32, 32, 3), (255, 0, 0), np.uint8)).top
    assert top[0].label == "red" and 0.9 < top[0].probability <= 1


# --- the passes


def test_bytes_are_levels(runtime: str) -> None:
    net = Net()
    image, state = net.input("image", 1, 1, 4, 4, 3), net.input("state", 1, 3)
    colour = net.add("MEAN", [net.reshape(image, 1, 4, 4, 3), ints(1, 2)], (1, 3), keepDims=False)
    total = net.add("ADD", [state, colour], (1, 3))
    graph = net.output(state=total, logits=net.add("ABS", [total], (1, 3)))
    take_bytes(graph)
    assert graph.inputs["image"].dtype == np.uint8 and graph.inputs["state"].dtype == np.float32
    engine = engine_of(save(graph), runtime)
    engine.image[...] = (0, 51, 255)
    np.testing.assert_allclose(engine.step(), [0, 0.2, 1], rtol=1e-6)
    np.testing.assert_allclose(engine.step(), [0, 0.4, 2], rtol=1e-6)


Shape = Sequence[int]


def buffered(buffer: Shape, new: Shape, axis: int, begin: Shape, first: bool = True) -> Graph:
    """Of the new frames, put behind the buffer along an axis, the part from `begin` on is the next buffer."""
    net = Net()
    image, state = net.input("image", 1, 1, 2, 2, 3), net.input("state", *buffer)
    brightness = net.add("MEAN", [net.reshape(image, 1, 12), ints(1)], (1, 1), keepDims=True)
    frame = net.add("MUL", [net.weights(*new), net.reshape(brightness, *(1 for _ in new))], new)
    whole = list(buffer)
    whole[axis] += new[axis]
    joined = net.add("CONCATENATION", [state, frame] if first else [frame, state], whole, axis=axis)
    left = net.add("SLICE", [joined, ints(*begin), ints(*buffer)], buffer)
    flat = net.reshape(joined, 1, int(np.prod(whole)))
    return net.output(
        state=left, logits=net.add("FULLY_CONNECTED", [flat, net.weights(3, flat.shape[1]), None], (1, 3))
    )


NEW_ONES_LEAVE = {
    "a frame to three": buffered((1, 3, 4, 2), (1, 1, 4, 2), 1, (0, 1, 0, 0)),
    "two frames to three": buffered((1, 3, 4, 2), (1, 2, 4, 2), 1, (0, 2, 0, 0)),
    "a frame to one more, counted from behind": buffered((1, 2, 2, 5), (1, 1, 2, 5), -3, (0, 1, 0, 0)),
}
ALL_LEAVES = {
    "another part": buffered((1, 3, 4, 2), (1, 1, 4, 2), 1, (0, 0, 0, 0)),
    "the new in front": buffered((1, 3, 4, 2), (1, 1, 4, 2), 1, (0, 1, 0, 0), first=False),
    "not in one piece": buffered((2, 3, 4, 2), (2, 1, 4, 2), 1, (0, 1, 0, 0)),
    "nothing old is left": buffered((1, 2, 4, 2), (1, 2, 4, 2), 1, (0, 2, 0, 0)),
}


@pytest.mark.parametrize("case", [*NEW_ONES_LEAVE, *ALL_LEAVES])
def test_the_newest_frames_make_the_same_stream(case: str, runtime: str) -> None:
    whole = copy.deepcopy({**NEW_ONES_LEAVE, **ALL_LEAVES}[case])
    newest = copy.deepcopy(whole)
    give_newest(newest)
    assert ("state" + NEWEST in newest.outputs) == (case in NEW_ONES_LEAVE)
    assert ("SLICE" in kinds(newest)) == (case in ALL_LEAVES)

    engines = [engine_of(save(graph), runtime) for graph in (whole, newest)]
    random = np.random.default_rng(4)
    for _ in range(7):
        image = random.random((1, 1, 2, 2, 3), np.float32)
        logits = []
        for engine in engines:
            engine.image[...] = image
            logits.append(engine.step())
        np.testing.assert_array_equal(*logits)
        np.testing.assert_array_equal(*(engine.states["state"] for engine in engines))


def test_probabilities_are_the_softmax(runtime: str) -> None:
    net = Net()
    image, state = net.input("image", 1, 1, 1, 1, 3), net.input("state", 1, 3)
    logits = net.add("ADD", [state, net.reshape(image, 1, 3)], (1, 3))
    graph = net.output(state=net.add("ABS", [state], (1, 3)), logits=logits)
    give_probabilities(graph)
    engine = engine_of(save(graph), runtime)
    engine.image[...] = np.log([0.2, 0.5, 0.3])
    engine.step()
    np.testing.assert_allclose(engine.probabilities(), [0.2, 0.5, 0.3], rtol=1e-5)


# --- files of others


def named(first: str, second: str | None, classes: int = 3) -> bytes:
    """A model whose outputs beside its state have these names."""
    net = Net()
    image, state = net.input("image", 1, 1, 1, 1, 3), net.input("state", 1, 3)
    total = net.add("ADD", [state, net.reshape(image, 1, 3)], (1, 3))
    graph = net.output(state=total, **{first: net.add("ABS", [total], (1, 3))})
    if second is not None:
        short = net.add("SLICE", [total, ints(0, 0), ints(1, classes)], (1, classes))
        net.output(**{second: net.add("ABS", [short], (1, classes), dtype=FLOAT)})
    return save(graph)


@pytest.mark.parametrize("name", ["probabilities", "logits/newest"])
def test_logits_may_have_any_name(runtime: str, name: str) -> None:
    """A file whose only answer has one of our own names is run and compiled as ever: what it gives are the logits."""
    source = named(name, None)
    prepared = prepare("a test's", source, choose_runtime(runtime), for_engine=True)
    assert prepared.compiled
    for content in (source, bytes(prepared.content)):
        engine = engine_of(content, runtime)
        engine.image[...] = engine.signature.image.from_real(np.array([0.2, 0.4, 1], np.float32))
        np.testing.assert_allclose(engine.step(), [0.2, 0.4, 1], rtol=1e-6)


def test_a_state_may_be_called_newest(runtime: str) -> None:
    net = Net()
    image, state = net.input("image", 1, 1, 1, 1, 3), net.input("state/newest", 1, 3)
    total = net.add("ADD", [state, net.reshape(image, 1, 3)], (1, 3))
    graph = net.output(**{"state/newest": total, "logits": net.add("ABS", [total], (1, 3))})
    engine = engine_of(save(graph), runtime)
    engine.image[...] = [1, 2, 3]
    assert [engine.step().tolist() for _ in range(2)] == [[1, 2, 3], [2, 4, 6]]


@pytest.mark.parametrize(("second", "classes"), [("probabilities", 2), ("features", 3)])
def test_other_outputs_are_refused(runtime: str, second: str, classes: int) -> None:
    with pytest.raises(ModelError, match=second):
        engine_of(named("logits", second, classes), runtime)
