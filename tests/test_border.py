"""The form of a model that only the engine runs: other things cross its border, and it says the same."""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import pytest
from conftest import ROOT, skip_without_schema
from graph_network import Recipe
from graphs import make, random_frames, recipes, run
from hypothesis import given
from test_compiler import FIXED, HERE, SEEDS, assert_close
from test_passes import FLOAT, Net, ints, kinds

import compiled
from compiled import Prepared, prepare
from compiler.build import compile_model
from compiler.graph import Graph, load, save
from compiler.passes.border import give_newest, give_probabilities, take_bytes
from engine import Engine
from errors import ModelError
from runtime import choose_runtime, load_content
from signature import NEWEST, read_signature
from user_cache import cache_folder, prune
from video_classifier import VideoClassifier

skip_without_schema()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; its folder for compiled models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder() / "compiled"


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


# --- memory and the cache


def test_what_was_proved_is_not_tried_again(
    cache: Path, tiny_model: Path, tiny_labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = np.full((32, 32, 3), (255, 0, 0), np.uint8)
    with VideoClassifier(tiny_model, tiny_labels, precision="float") as classifier:
        first = classifier.step(red).logits
    monkeypatch.setattr("runtime.try_in_child", lambda *_, **__: "must not be asked")
    with VideoClassifier(tiny_model, tiny_labels, precision="float") as classifier:
        np.testing.assert_array_equal(classifier.step(red).logits, first)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100] + b"?" + b[101:], lambda b: b""])
def test_a_damaged_cache_is_mended(
    cache: Path, tiny_model: Path, tiny_labels: Path, damage: Callable[[bytes], bytes]
) -> None:
    def notes() -> list[str]:
        with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
            assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"
            return classifier.notes

    assert notes()[0].startswith("compiled to float")
    (remembered,) = cache.iterdir()
    remembered.write_bytes(damage(remembered.read_bytes()))
    assert notes()[0].startswith("compiled to float")
    assert notes() == []


def test_what_nobody_used_for_long_leaves_the_cache(cache: Path, tiny_model: Path, tiny_labels: Path) -> None:
    """Each model takes megabytes there, and each update of the program makes them anew."""

    def load(precision: str) -> None:
        VideoClassifier(tiny_model, tiny_labels, precision=precision).close()

    load("float")
    (used,) = cache.iterdir()
    unused = cache / "of an earlier version"
    unused.write_bytes(b"anything")
    for file in (used, unused):
        os.utime(file, (time.time() - 100 * 24 * 3600,) * 2)
    load("float")
    assert unused.exists()  # Nothing was compiled.
    load("auto")
    assert used.exists() and not unused.exists()


def test_the_number_of_threads_is_measured_once(
    tiny_model: Path, tiny_labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not again at the second start, when the compiled file comes from the cache."""
    measured = []
    monkeypatch.setattr("tuning.available_cores", lambda: 2)
    monkeypatch.setattr("video_classifier.time_runs", lambda _: measured.append(1) or 1.0)
    for _ in range(3):
        VideoClassifier(tiny_model, tiny_labels, precision="float", threads="auto").close()
    assert len(measured) == 2  # with one thread and with two


def test_a_cache_that_the_runtime_cannot_name(
    tiny_model: Path, tiny_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system has no such names")
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    for _ in range(2):
        with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
            assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"


@pytest.mark.parametrize("file", ["signature.py", "compiler/passes/border.py", "memory.py"])
def test_what_other_versions_compiled_is_not_used(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(root: Path) -> bytes:
        monkeypatch.setattr(compiled, "_ROOT", root)
        compiled._compiler_version.cache_clear()
        return compiled._compiler_version()

    before = version(ROOT)
    for path in (*ROOT.glob("*.py"), *ROOT.glob("compiler/**/*.py")):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    assert version(tmp_path) == before
    with open(tmp_path / file, "a") as source:
        source.write("# another version\n")
    assert version(tmp_path) != before
    compiled._compiler_version.cache_clear()


def test_the_longest_unused_leave_a_full_cache(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "older"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (time.time() - age * 3600,) * 2)
    prune(tmp_path, most_bytes=200)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


def test_without_a_cache_it_runs_all_the_same(tiny_model: Path, tiny_labels: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
        assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="this system doesn't tell what is in memory")
def test_the_mapped_weights_take_no_memory(cache: Path, demo_model: Path, demo_labels: Path, runtime: str) -> None:
    """The kernels have copied them. Nor is a second copy of the file kept elsewhere: it is 10 MB."""
    frames = np.random.default_rng(1).integers(0, 256, (3, 172, 172, 3), np.uint8)

    def logits() -> list[np.ndarray]:
        with VideoClassifier(demo_model, demo_labels, precision="float", runtime=runtime) as classifier:
            steps = [classifier.step(frame).logits for frame in frames]
            (file,) = cache.iterdir()
            mapped, resident = memory_of(file)
            assert mapped >= file.stat().st_size > 9e6
            assert resident < mapped / 10
            return steps

    np.testing.assert_array_equal(logits(), logits())


def memory_of(file: Path) -> tuple[int, int]:
    """Returns how many bytes of a file this process has mapped, and how many of them are in memory."""
    mapped = resident = 0
    counts = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Size" and counts:
            mapped += int(rest.split()[0]) * 1024
        elif name == "Rss" and counts:
            resident += int(rest.split()[0]) * 1024
        elif "-" in line.split(" ")[0]:
            counts = line.endswith(str(file))
    return mapped, resident


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


@pytest.mark.parametrize("kind", ["CONCATENATION", "STRIDED_SLICE", "SUM"])
def test_an_operator_without_its_options_is_run_as_it_is(kind: str, movinet_se_model: Path) -> None:
    """The runtime takes zeros for them; the compiler may stumble."""
    graph = load(movinet_se_model.read_bytes())
    next(operator for operator in graph.operators if operator.kind == kind).options = None
    check_one_line(save(graph))


def test_what_the_compiler_stumbles_over_is_run_as_it_is(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise IndexError("of a kind\nthat nobody thought of")

    monkeypatch.setattr("compiler.build.compile_graph", stumble)
    prepared = check_one_line(tiny_model.read_bytes())
    assert not prepared.compiled and "IndexError" in str(prepared.note)


def check_one_line(content: bytes) -> Prepared:
    """Checks that a file that runs is compiled, or left as it is with one line that says why."""
    prepared = prepare("odd", content, choose_runtime(), for_engine=True)
    assert prepared.note is not None and len(prepared.note.splitlines()) == 1
    if not prepared.compiled:
        assert prepared.content == content and prepared.note.startswith("not compiled, so slower: ")
    return prepared


@pytest.mark.parametrize(("second", "classes"), [("probabilities", 2), ("features", 3)])
def test_other_outputs_are_refused(runtime: str, second: str, classes: int) -> None:
    with pytest.raises(ModelError, match=second):
        engine_of(named("logits", second, classes), runtime)
