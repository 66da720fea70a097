"""The network cut at its classifier, and the file that gets another one: both are what the live program runs."""

from __future__ import annotations

import dataclasses
import functools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import DATA, INSTALLED, ROOT, SHARED, skip_without_schema
from graph_network import Layer, Recipe
from graphs import make, make_float, random_frames, run

from compiled import prepare
from compiler.build import compile_model
from compiler.graph import Graph, Operator, Tensor, constant, load, save
from compiler.pools import find_pools
from compiler.schema import schema
from errors import ModelError, NotUnderstood, OutputError, UserError
from memory import read_pools
from models import LABELS, find_labels
from runtime import choose_runtime
from sources.play import Play
from teaching.classifier import cut, find_classifier, replace_classifier
from teaching.description import read_teaching
from teaching.files import write_model_files
from teaching.network import Backbone, write_model
from utils import read_labels
from video_classifier import VideoClassifier

skip_without_schema()

REAL = [SHARED / "models" / name for name in ("movinet_a0_int8.tflite", "movinet_a0_se_int8.tflite")]
HERE = [ROOT / "models" / "movinet_a0_demo.tflite", DATA / "tiny.tflite", DATA / "tiny_quantized.tflite"]
BASES = [
    *HERE,
    *(pytest.param(path, marks=pytest.mark.skipif(not path.exists(), reason=f"needs {path.name}")) for path in REAL),
]
INT8 = Recipe((Layer(temporal=5, stride=2), Layer(squeeze=True)), storage="int8")
NAMES = ["waving", "Grüße / 挨拶", "nobody", "jumping"]
TEACHING = {"unknown": {"label": "nobody", "threshold": 0.4}, "temperature": 1.5, "base": "a name with an ö"}
STEPS = 24  # More than the memory of both horizons.


@functools.lru_cache(maxsize=None)
def film() -> list[np.ndarray]:
    """Frames uint8 [240, 320, 3] BGR."""
    play = Play(3)
    return [play.draw(number / 5, 320, 240) for number in range(STEPS)]


@functools.lru_cache(maxsize=None)
def features(base: Path, memory: int | None) -> np.ndarray:
    """Returns float32 [STEPS, features]."""
    backbone = Backbone(base, memory=memory)
    return np.array([backbone.step(frame) for frame in film()])


def new_head(count: int, classes: int = len(NAMES)) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a size that spreads the logits of any model."""
    random = np.random.default_rng(1)
    weights = random.normal(0, 3 / np.sqrt(count), (classes, count)).astype(np.float32)
    return weights, random.normal(0, 1, classes).astype(np.float32)


def plain_softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="session")
def teach(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Writes a model taught on a base, once."""

    @functools.lru_cache(maxsize=None)
    def written(base: Path) -> Path:
        path = tmp_path_factory.mktemp("taught") / "mine.tflite"
        weights, bias = new_head(features(base, None).shape[1])
        return write_model(base, weights, bias, NAMES, path, description=TEACHING)

    return written


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[[Recipe], Path]:
    def written(recipe: Recipe) -> Path:
        path = tmp_path / "recipe.tflite"
        path.write_bytes(make(recipe, seed=0))
        return path

    return written


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("memory", [None, 12])
def test_features_and_classifier_give_the_live_programs_logits(base: Path, memory: int | None) -> None:
    backbone = Backbone(base, memory=memory)
    classes = len(backbone.classifier[1])
    names = [str(number) for number in range(classes)]
    live = VideoClassifier(base, names, memory=memory, precision="float", channel_order="bgr", threads=1)
    assert backbone.input_size == live.input_size and backbone.classifier[0].shape == (classes, backbone.features)
    expected = np.array([live.step(frame).logits for frame in film()])
    given = backbone.logits(features(base, memory))
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.abs(expected[-1] - expected[0]).max() > 1e-2 * np.abs(expected).max()  # Else nothing was asked of it.


@pytest.mark.parametrize("storage, dense", [("float32", False), ("float16", True), ("dynamic", False), ("int8", True)])
def test_features_are_those_of_the_float_network_however_it_is_stored(
    storage: str, dense: bool, recipe_file: Callable[[Recipe], Path]
) -> None:
    recipe = Recipe((Layer(), Layer(squeeze=True)), activation="swish", storage=storage, dense=dense)
    backbone = Backbone(recipe_file(recipe), memory=None)
    frames = random_frames(recipe.size, 8, 2)
    expected = run(make_float(recipe, seed=0), frames, "auto")
    pictures = np.rint(frames[..., ::-1] * 255).astype(np.uint8)
    given = backbone.logits(np.array([backbone.step(picture) for picture in pictures]))
    assert backbone.features == recipe.hidden
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_features_of_a_colour_are_that_colour(tiny_model: Path) -> None:
    """The tiny model's head reads the means of red, green, blue, motion and flicker."""
    backbone = Backbone(tiny_model, memory=4)
    for _ in range(2):
        orange = [backbone.step(np.full((50, 40, 3), (0, 127, 255), np.uint8)) for _ in range(3)][-1]
        np.testing.assert_allclose(orange, [1, 127 / 255, 0, 0, 0], atol=1e-6)
        blue = [backbone.step(np.full((50, 40, 3), (255, 0, 0), np.uint8)) for _ in range(60)][-1]
        np.testing.assert_allclose(blue[:3], [0, 0, 1], atol=0.02)  # What was before has been forgotten.
        backbone.reset()


def test_the_fit_decides_what_is_seen(tiny_model: Path) -> None:
    frame = np.zeros((40, 120, 3), np.uint8)
    frame[:, 40:80] = 255  # The centre square is white.
    seen = {fit: Backbone(tiny_model, memory=None, fit=fit).step(frame)[0] for fit in ("crop", "stretch", "pad")}
    np.testing.assert_allclose([seen["crop"], seen["stretch"], seen["pad"]], [1, 1 / 3, 1 / 9], atol=0.04)


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_the_program_says_what_was_taught(base: Path, teach: Callable[[Path], Path], runtime: str) -> None:
    path = teach(base)
    live = VideoClassifier(
        path, find_labels(path), memory=12, precision="auto", runtime=runtime, channel_order="bgr", threads=1
    )
    assert live.labels == NAMES and not any("not" in note for note in live.notes)
    seen = features(base, 12)
    weights, bias = new_head(seen.shape[1])
    expected = plain_softmax(seen @ weights.T + bias)
    given = np.array([live.step(frame).probabilities for frame in film()])
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert np.ptp(expected, axis=1).min() > 0.05


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_a_plain_signature_runner_runs_it(base: Path, teach: Callable[[Path], Path], runtime: str) -> None:
    """All inputs zeros, outputs carried back by name: the example that comes with the published models."""
    interpreter = choose_runtime(runtime).interpreter(model_path=str(teach(base)), num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    inputs = {name: np.zeros(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()}
    height, width = inputs["image"].shape[2:4]
    pictures = random_frames(height, 5, 4)[:, :, :width]
    backbone = Backbone(base, memory=None)
    weights, bias = new_head(backbone.features)
    for picture in pictures:
        inputs["image"] = picture[np.newaxis, np.newaxis]
        outputs = runner(**inputs)
        logits = outputs.pop("logits")
        inputs.update(outputs)
        expected = weights @ backbone.step(np.rint(picture[..., ::-1] * 255).astype(np.uint8)) + bias
        np.testing.assert_allclose(logits, expected[np.newaxis], atol=1e-4 * np.abs(expected).max())


def test_a_file_with_the_old_classifier_is_the_old_model(demo_model: Path, tmp_path: Path) -> None:
    """Also where nothing is compiled, and one pool remembers."""
    memory = 5
    backbone = Backbone(demo_model, memory=memory)
    names = [f"class {number}" for number in range(len(backbone.classifier[1]))]
    path = write_model(demo_model, *backbone.classifier, names, tmp_path / "again.tflite", description={})
    old, new = (
        VideoClassifier(model, names, memory=memory, precision="source", channel_order="bgr", threads=1)
        for model in (demo_model, path)
    )
    for frame in film():
        expected = old.step(frame).logits
        np.testing.assert_allclose(new.step(frame).logits, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_compiling_it_again_changes_nothing(base: Path, teach: Callable[[Path], Path]) -> None:
    content = teach(base).read_bytes()
    assert content.startswith(compile_model(content, "float", horizons=False))  # Behind that only the labels stand.


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_load_and_save_keep_what_it_says_about_itself(base: Path, teach: Callable[[Path], Path]) -> None:
    graph = load(teach(base).read_bytes())
    again = load(save(graph))
    assert again.metadata == graph.metadata and {"pools", "teaching", "TFLITE_METADATA"} <= graph.metadata.keys()
    pools = read_pools(graph.metadata["pools"])
    assert pools == find_pools(again) and pools and all(pool.buffer in again.inputs for pool in pools)


@pytest.mark.parametrize("base", [HERE[0], *BASES[3:]], ids=lambda path: path.stem)
def test_it_is_no_larger_than_the_base_and_the_new_classifier(base: Path, teach: Callable[[Path], Path]) -> None:
    head = 4 * (features(base, None).shape[1] + 1) * len(NAMES)
    assert teach(base).stat().st_size <= base.stat().st_size + head


def test_a_taught_model_can_be_taught(demo_model: Path, teach: Callable[[Path], Path], tmp_path: Path) -> None:
    taught = Backbone(teach(demo_model), memory=12)
    weights, bias = new_head(taught.features)
    np.testing.assert_array_equal(taught.classifier[0], weights)
    np.testing.assert_array_equal(taught.classifier[1], bias)
    assert taught.key == Backbone(demo_model, memory=12).key
    np.testing.assert_allclose([taught.step(frame) for frame in film()], features(demo_model, 12), atol=1e-5)

    other = new_head(taught.features, 2)
    path = write_model(teach(demo_model), *other, ["one", "two"], tmp_path / "two.tflite", description={"round": 2})
    np.testing.assert_array_equal(find_classifier(load(path.read_bytes())).weights, other[0])
    assert read_teaching(path) == {"round": 2}


def test_the_key_is_of_all_that_features_depend_on(tiny_model: Path, recipe_file: Callable[[Recipe], Path]) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = [
        (tiny_model, {"memory": 12}),
        (tiny_model, {"memory": 13}),
        (tiny_model, {"memory": None}),
        (tiny_model, {"memory": 12, "fit": "pad"}),
        (recipe_file(Recipe()), {"memory": 12}),
    ]
    keys = [Backbone(model, **options).key for model, options in asked]
    assert len(set(keys)) == len(keys)
    assert keys == [Backbone(model, **options).key for model, options in asked]


def test_an_integer_base_may_stay_one(recipe_file: Callable[[Recipe], Path], tmp_path: Path) -> None:
    base = recipe_file(dataclasses.replace(INT8, classes=5, hidden=32))
    backbone = Backbone(base, memory=None)
    weights, bias = (np.float32(0.5) * (each[:4] - each[:4].mean(axis=0)) for each in backbone.classifier)
    paths = {
        precision: write_model(
            base, weights, bias, NAMES, tmp_path / f"{precision}.tflite", precision=precision, description=TEACHING
        )
        for precision in ("float", "int8")
    }
    graphs = {precision: load(path.read_bytes()) for precision, path in paths.items()}
    assert all(pool.scale == 0 for graph in graphs.values() for pool in find_pools(graph))
    integer = {
        precision: sum(op.kind == "CONV_2D" and op.inputs[0].dtype == np.int8 for op in graph.operators)
        for precision, graph in graphs.items()
    }
    assert integer["float"] == 0 < integer["int8"]

    pictures = np.rint(random_frames(INT8.size, 30, 5) * 255).astype(np.uint8)
    expected = np.array([weights @ backbone.step(picture) + bias for picture in pictures])
    # In the program the float form of an int8 file is the float file.
    for name, precision, tolerance in (("float", "float", 1e-4), ("int8", "float", 1e-3), ("int8", "int8", 0.05)):
        live = VideoClassifier(paths[name], NAMES, precision=precision, channel_order="bgr", threads=1)
        assert not any("not" in note for note in live.notes)
        given = np.array([live.step(picture).logits for picture in pictures])
        assert np.abs(given - expected).max() <= tolerance * np.ptp(expected)
    (note,) = VideoClassifier(paths["int8"], NAMES, precision="int8", memory=6).notes
    assert note.startswith("compiled to int8")  # Integers take a second horizon, too.


def test_integers_that_would_change_the_answers_are_refused(
    recipe_file: Callable[[Recipe], Path], tmp_path: Path
) -> None:
    """A classifier that lives on differences that rounding loses."""
    base = recipe_file(dataclasses.replace(INT8, classes=5, hidden=32))
    pictures = np.rint(random_frames(INT8.size, 30, 5) * 255).astype(np.uint8)
    backbone = Backbone(base, memory=None)
    seen = np.array([backbone.step(picture) for picture in pictures])
    least = np.linalg.svd(seen - seen.mean(axis=0))[2][12:14].astype(np.float32)  # Where the features hardly vary.
    weights = 1000 * np.array([*least, *-least])
    bias = -weights @ seen.mean(axis=0)
    write_model(base, weights, bias, NAMES, tmp_path / "float.tflite", description={})
    with pytest.raises(ModelError, match="write it as float$"):
        write_model(base, weights, bias, NAMES, tmp_path / "int8.tflite", precision="int8", description={})
    assert not (tmp_path / "int8.tflite").exists()


def test_a_float_base_has_no_integer_form(demo_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="in int8: its activations are not 8-bit integers$"):
        write_model(demo_model, *new_head(2048), NAMES, tmp_path / "m.tflite", precision="int8", description={})
    assert not list(tmp_path.iterdir())


# Where the classifier is.


def after_the_logits(graph: Graph, kind: str, options: Any) -> None:
    (name,) = graph.outputs.keys() - graph.inputs.keys()
    before = graph.outputs[name]
    graph.outputs[name] = Tensor(kind, before.shape, before.dtype)
    graph.operators.append(Operator(kind, [before], [graph.outputs[name]], options))


def with_softmax(graph: Graph) -> None:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    after_the_logits(graph, "SOFTMAX", options)


def with_activation(graph: Graph) -> None:
    after_the_logits(graph, "RELU", None)


def with_two_readers(graph: Graph) -> None:
    """A state that is computed from the logits, too."""
    (name,) = graph.outputs.keys() - graph.inputs.keys()
    logits = graph.outputs[name]
    graph.inputs["state_old"] = Tensor("old", logits.shape, logits.dtype)
    graph.outputs["state_old"] = Tensor("new", logits.shape, logits.dtype)
    added: list[Tensor | None] = [logits, graph.inputs["state_old"]]
    graph.operators.append(Operator("ADD", added, [graph.outputs["state_old"]], schema.AddOptionsT()))


@pytest.mark.parametrize(
    "spoil, reason",
    [(with_softmax, "SOFTMAX"), (with_activation, "activation"), (with_two_readers, "read by something else")],
)
def test_what_has_no_linear_end_is_refused(
    spoil: Callable[[Graph], None], reason: str, tiny_model: Path, tmp_path: Path
) -> None:
    graph = load(tiny_model.read_bytes())
    spoil(graph)
    path = tmp_path / "odd.tflite"
    path.write_bytes(save(graph))
    for use in (
        lambda: Backbone(path, memory=None),
        lambda: write_model(path, *new_head(5), NAMES, tmp_path / "m.tflite", description={}),
    ):
        with pytest.raises(ModelError, match=f"^can't teach model .*odd.tflite: .*{reason}") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, reason",
    [
        (lambda: (DATA / "tiny_still.tflite").read_bytes(), "no states"),
        (lambda: (DATA / "tiny_two_signatures.tflite").read_bytes(), "signatures"),
        (lambda: (DATA / "tiny.tflite").read_bytes()[:3000], "can't be run"),
        (lambda: b"", "is empty"),
    ],
)
def test_other_files_are_refused_in_one_line(content: Callable[[], bytes], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(content())
    with pytest.raises(ModelError, match=reason) as caught:
        Backbone(path, memory=12)
    assert "\n" not in str(caught.value)


def averaging_graph(keep: bool, classes: int = 5) -> Graph:
    """A 1x1 convolution at each of 4 x 4 places, whose results are averaged."""
    random = np.random.default_rng(0)
    image = Tensor("image", (1, 1, 4, 4, 3), np.dtype(np.float32))
    flat, places = (Tensor(name, (1, 4, 4, size), image.dtype) for name, size in (("flat", 3), ("places", classes)))
    averaged = Tensor("averaged", (1, 1, 1, classes) if keep else (1, classes), image.dtype)
    logits = Tensor("logits", (1, classes), image.dtype)
    convolution, mean = schema.Conv2DOptionsT(), schema.ReducerOptionsT()
    convolution.strideH = convolution.strideW = convolution.dilationHFactor = convolution.dilationWFactor = 1
    mean.keepDims = keep
    weights = constant(random.normal(size=(classes, 1, 1, 3)).astype(np.float32))
    bias = constant(random.normal(size=classes).astype(np.float32))
    sizes = [constant(np.array(shape, np.int32)) for shape in (flat.shape, logits.shape)]
    operators = [
        Operator("RESHAPE", [image, sizes[0]], [flat], schema.ReshapeOptionsT()),
        Operator("CONV_2D", [flat, weights, bias], [places], convolution),
        Operator("MEAN", [places, constant(np.array([1, 2], np.int32))], [averaged], mean),
        Operator("RESHAPE", [averaged, sizes[1]], [logits], schema.ReshapeOptionsT()),
    ]
    return Graph("serving_default", {"image": image}, {"logits": logits}, operators)


@pytest.mark.parametrize("keep", [False, True])
def test_averages_behind_the_classifier_stay(keep: bool, runtime: str) -> None:
    frames = random_frames(4, 3, 6)
    means = frames.reshape(3, 16, 3).mean(axis=1)
    graph = averaging_graph(keep)
    found = find_classifier(graph)
    np.testing.assert_allclose(run(save(graph), frames, runtime), means @ found.weights.T + found.bias, atol=1e-5)
    cut(graph, found)
    np.testing.assert_allclose(run(save(graph), frames, runtime), means, atol=1e-5)

    graph = averaging_graph(keep)
    weights, bias = new_head(3, 7)
    replace_classifier(graph, find_classifier(graph), weights, bias)
    np.testing.assert_allclose(run(save(graph), frames, runtime), means @ weights.T + bias, atol=1e-5)


def test_what_mixes_places_or_classes_is_no_classifier() -> None:
    graph = averaging_graph(True)
    convolution = graph.operators[1]
    convolution.inputs[1] = constant(np.zeros((5, 3, 3, 3), np.float32))
    with pytest.raises(NotUnderstood, match="more than one pixel"):
        find_classifier(graph)
    mixing = averaging_graph(True)
    mixing.operators[2].inputs[1] = constant(np.array([1, 3], np.int32))  # Averages over the classes.
    with pytest.raises(NotUnderstood, match="MEAN"):
        find_classifier(mixing)
    strung = averaging_graph(True)
    places = strung.operators[1].outputs[0]
    strung.operators[2:] = [Operator("RESHAPE", [places], [Tensor("logits", (1, 80), places.dtype)])]
    strung.outputs["logits"] = strung.operators[2].outputs[0]  # 16 times 5 classes.
    with pytest.raises(NotUnderstood, match="RESHAPE"):
        find_classifier(strung)


# The files.


def test_its_labels_and_its_teaching_are_found(tiny_model: Path, teach: Callable[[Path], Path]) -> None:
    path = teach(tiny_model)
    assert find_labels(path) == path.with_suffix(".txt")
    assert read_labels(find_labels(path)) == NAMES
    assert read_teaching(path) == TEACHING
    assert read_teaching(tiny_model) is None
    compiled = prepare(path, path.read_bytes(), choose_runtime(), "float", horizons=True).content
    compiled_path = path.with_name("compiled.tflite")
    compiled_path.write_bytes(compiled)
    assert read_teaching(compiled_path) == TEACHING


def test_a_damaged_description_is_one_line(tiny_model: Path, teach: Callable[[Path], Path], tmp_path: Path) -> None:
    content = teach(tiny_model).read_bytes()
    spoilt = tmp_path / "spoilt.tflite"
    for old, new in ((b'{"unknown"', b'?"unknown"'), (b"}", b"{")):
        spoilt.write_bytes(content.replace(old, new))
        with pytest.raises(ModelError, match="teach it again$"):
            read_teaching(spoilt)
    with pytest.raises(ModelError):
        read_teaching(tmp_path / "none.tflite")


def test_nothing_is_replaced_unless_forced(tiny_model: Path, tmp_path: Path) -> None:
    path, head = tmp_path / "mine.tflite", new_head(5)
    for name in ("mine.tflite", "mine.txt"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(OutputError, match=f"{name} exists.*--force$"):
            write_model(tiny_model, *head, NAMES, path, description={})
        assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]
        (tmp_path / name).unlink()
    first = write_model(tiny_model, *head, NAMES, path, description={}).read_bytes()
    with pytest.raises(OutputError):
        write_model(tiny_model, *head, NAMES, path, description={})
    write_model(tiny_model, *head, NAMES, path, description={}, force=True)
    assert path.read_bytes() == first  # The same model is the same file.
    write_model(tiny_model, *new_head(5, 2), ["one", "two"], path, description={}, force=True)
    assert read_labels(find_labels(path)) == ["one", "two"]
    assert {file.name for file in tmp_path.iterdir()} == {"mine.tflite", "mine.txt"}


def test_a_full_disk_leaves_the_old_pair(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing fails half way."""
    path = tmp_path / "mine.tflite"
    write_model_files(path, b"old model", b"old labels")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        with pytest.raises(OutputError, match="can't write .*mine.tflite: "):
            write_model_files(path, bytes(2**17), b"new labels")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "mine.tflite": b"old model",
        "mine.txt": b"old labels",
    }


@pytest.mark.parametrize(
    "name, reason",
    [
        ("mine.txt", "let it end in .tflite"),
        ("none/mine.tflite", "no folder"),
        ("movinet_a0_int8.tflite", "would be read with the labels"),
        ("movinet_a0_demo.tflite", "would be read with the labels"),
    ],
)
def test_names_that_would_not_work_are_refused(name: str, reason: str, tiny_model: Path, tmp_path: Path) -> None:
    assert (LABELS / "kinetics600.txt").is_file() and (LABELS / "movinet_a0_demo.txt").is_file()
    with pytest.raises(OutputError, match=reason):
        write_model(tiny_model, *new_head(5), NAMES, tmp_path / name, description={}, force=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", ["", " ", "two\nlines", "a\u2028b", "end ", "\ufeffmark", "half \ud83d"])
def test_labels_that_no_file_can_hold_are_refused(label: str, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="label .* can't be a line") as caught:
        write_model(tiny_model, *new_head(5), [*NAMES[:3], label], tmp_path / "m.tflite", description={})
    assert str(caught.value).isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("labels", [["x"] * 300, ["a/b", "c\\d", "한국어", "'quoted'", "#1", "tab\tinside"]])
def test_any_other_labels_come_back(labels: list[str], tiny_model: Path, tmp_path: Path) -> None:
    path = write_model(tiny_model, *new_head(5, len(labels)), labels, tmp_path / "m.tflite", description={})
    assert VideoClassifier(path, find_labels(path)).labels == labels


def test_what_does_not_belong_together_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    weights, bias = new_head(5)
    wrong: list[tuple[np.ndarray, np.ndarray, list[str]]] = [
        (weights[:3], bias, NAMES),
        (weights[:, :4], bias, NAMES),
        (weights, bias[:3], NAMES),
        (weights, bias, NAMES[:3]),
        (weights * np.float32(np.nan), bias, NAMES),
        (weights[:0], bias[:0], []),
    ]
    for each in wrong:
        with pytest.raises(ValueError):
            write_model(tiny_model, *each, tmp_path / "m.tflite", description={})
    with pytest.raises(ValueError):
        write_model(tiny_model, weights, bias, NAMES, tmp_path / "m.tflite", description={"threshold": float("nan")})
    for options in ({"memory": 0}, {"memory": 3, "fit": "squeeze"}, {"memory": 3, "runtime": "none"}):
        with pytest.raises(UserError):
            Backbone(tiny_model, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("tflite" not in INSTALLED, reason="without ai-edge-litert, needs tflite-runtime")
def test_without_the_compilers_package_one_line_says_so(tiny_model: Path) -> None:
    program = (
        "import sys; sys.modules['ai_edge_litert'] = sys.modules['tflite'] = None\n"
        "from errors import PackageError\n"
        "from teaching.network import Backbone\n"
        f"try: Backbone({str(tiny_model)!r}, memory=12)\n"
        "except PackageError as error: print(error)"
    )
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, env=dict(os.environ)
    )
    assert child.stdout.count("\n") == 1 and "ai-edge-litert or" in child.stdout, child.stderr
    assert " tflite; run ./setup.sh" in child.stdout
