"""The compiled graph is the same function, for networks that hypothesis draws and for ones made to trip a compiler."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from conftest import skip_without_schema
from graph_network import Layer, Recipe
from graph_oddities import ODDITIES
from graphs import STORAGES, make, make_float, random_frames, recipes, run, unused_states
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from compiler.graph import load, save
from compiler.horizons import add_horizons
from compiler.rewrite import compile_graph
from compiler.schema import schema
from errors import NotUnderstood, PackageError
from runtime import RUNTIMES, choose_runtime
from sources.play import Play
from video_classifier import VideoClassifier

skip_without_schema()

FRAMES = 8
SEEDS = st.integers(0, 999)
# Without shrinking, which would outlast pytest's own timeout.
FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=25, phases=[Phase.generate])
TWO_LAYERS = (Layer(temporal=5, stride=2), Layer(squeeze=True))


def _works_here(name: str) -> bool:
    try:
        choose_runtime(name)
    except PackageError:
        return False
    return True


HERE = [name for name in RUNTIMES[1:] if _works_here(name)]


@functools.lru_cache(maxsize=64)
def compiled(content: bytes) -> bytes:
    return save(compile_graph(load(content)))


def some_frames(size: int, seed: int) -> np.ndarray:
    """Random frames, the second black and the fifth white."""
    frames = random_frames(size, FRAMES, seed)
    frames[1], frames[4] = 0, 1
    return frames


def assert_close(logits: np.ndarray, expected: np.ndarray, share: float = 1e-4) -> None:
    """Both are float [frames, classes]; compared with the greatest logit of each frame."""
    assert logits.shape == expected.shape
    error = np.abs(logits - expected).max(axis=1) / np.abs(expected).max(axis=1)
    assert error.max() < share, f"relative errors by frame: {error}"


@pytest.mark.parametrize("storage, border", [*((name, "float") for name in STORAGES), ("int8", "all")])
@pytest.mark.parametrize("key", ["serving_default", "call"])
def test_generated_models_are_streaming_classifiers(
    storage: str, border: str, key: str, runtime: str, tmp_path: Path
) -> None:
    recipe = Recipe(TWO_LAYERS, storage=storage, border=border, key=key, activation="hard_swish")
    content = make(recipe, 1)
    (tmp_path / "model.tflite").write_bytes(content)
    frames = some_frames(recipe.size, 2)
    with VideoClassifier(tmp_path / "model.tflite", list("abcde"), runtime=runtime, threads=1) as classifier:
        logits = [classifier.step(np.rint(frame * 255).astype(np.uint8)).logits for frame in frames]
    assert_close(np.array(logits), run(content, frames, runtime), share=1e-6)


@FIXED
@given(recipes(), SEEDS)
def test_generated_logits_depend_on_the_past(recipe: Recipe, seed: int) -> None:
    content = make(recipe, seed)
    frames = random_frames(recipe.size, 2, seed)
    after_another, fresh = run(content, frames, "auto")[1], run(content, frames[1:], "auto")[0]
    assert np.abs(after_another - fresh).max() > 1e-3 * np.abs(fresh).max()


@FIXED
@given(recipes(["float16", "dynamic", "int8"]), SEEDS)
def test_generated_float_twin_is_the_same_network(recipe: Recipe, seed: int) -> None:
    """What compiled graphs are held against must itself be what the stored file says, up to rounding."""
    frames = random_frames(recipe.size, FRAMES, seed)
    stored, twin = run(make(recipe, seed), frames, "auto"), run(make_float(recipe, seed), frames, "auto")
    assert_close(stored, twin, share={"float16": 1e-5, "dynamic": 0.1, "int8": 0.6}[recipe.storage])


@pytest.mark.parametrize("storage", STORAGES)
def test_compiled_graph_is_the_same_function(storage: str) -> None:
    """For stored weights: the same as the network in float with exactly those weights."""

    @FIXED
    @given(recipes([storage]), SEEDS)
    def check(recipe: Recipe, seed: int) -> None:
        frames = some_frames(recipe.size, seed)
        expected = run(make_float(recipe, seed), frames, "auto")
        for name in HERE:
            assert_close(run(compiled(make(recipe, seed)), frames, name), expected)

    check()


@FIXED
@given(recipes(), SEEDS)
def test_compiled_signature_keeps_the_names_of_what_it_still_needs(recipe: Recipe, seed: int) -> None:
    """States that pass through leave it, and so do all but one of the counts, which are always equal."""
    source, result = load(make(recipe, seed)), load(compiled(make(recipe, seed)))
    counts = {name for name in source.inputs if name.endswith("frame_count")}
    for before, after in ((source.inputs, result.inputs), (source.outputs, result.outputs)):
        assert set(after) - counts == set(before) - counts - unused_states(recipe)
    (count,) = counts & set(result.inputs)
    assert counts & set(result.outputs) == {count} and count not in unused_states(recipe)
    assert result.key == recipe.key
    assert result.inputs["image"].shape == source.inputs["image"].shape
    assert result.outputs["logits"].shape == source.outputs["logits"].shape


@FIXED
@given(recipes(), SEEDS)
def test_compiled_file_is_no_larger(recipe: Recipe, seed: int) -> None:
    assert len(compiled(make(recipe, seed))) <= len(make(recipe, seed))


@settings(FIXED, max_examples=10)
@given(recipes(), SEEDS)
def test_compiled_file_can_be_compiled_again(recipe: Recipe, seed: int) -> None:
    once = compiled(make(recipe, seed))
    frames = some_frames(recipe.size, seed)
    assert_close(run(compiled(once), frames, "auto"), run(once, frames, "auto"))


@FIXED
@given(recipes(), SEEDS)
def test_saving_what_was_loaded_changes_nothing(recipe: Recipe, seed: int) -> None:
    content = make(recipe, seed)
    frames = some_frames(recipe.size, seed)
    for name in HERE:
        assert np.array_equal(run(save(load(content)), frames, name), run(content, frames, name))


@pytest.mark.parametrize("activation, storage", [("relu6", "float32"), ("hard_swish", "dynamic")])
@pytest.mark.parametrize("odd", ODDITIES)
def test_odd_operations_are_compiled_right_or_refused(odd: str, activation: str, storage: str) -> None:
    recipe = Recipe(TWO_LAYERS, size=20, odd=odd, activation=activation, storage=storage)
    frames = some_frames(recipe.size, 4)
    expected = run(make_float(recipe, 3), frames, "auto")
    try:
        result = compiled(make(recipe, 3))
    except NotUnderstood:
        return
    for name in HERE:
        assert_close(run(result, frames, name), expected)


@pytest.mark.parametrize("model, meant", [("tiny", "tiny"), ("tiny_still", "tiny_still"), ("tiny_quantized", "tiny")])
def test_other_networks_are_compiled_right_or_refused(model: str, meant: str) -> None:
    """Not MoViNets: one without states, one on quantized borders whose scales differ between input and output."""
    data = Path(__file__).parent / "data"
    frames = some_frames(32, 5)
    try:
        result = compiled((data / f"{model}.tflite").read_bytes())
    except NotUnderstood:
        return
    for name in HERE:
        assert_close(run(result, frames, name), run((data / f"{meant}.tflite").read_bytes(), frames, "auto"))


@pytest.mark.parametrize("horizons", [False, True])
def test_the_demo_model_says_the_same_of_its_film(demo_model: Path, runtime: str, horizons: bool) -> None:
    """Weights of 8 bits, borders of five dimensions; fresh, and after 100 steps of changing actions."""
    source = demo_model.read_bytes()
    graph = compile_graph(load(source))
    if horizons:
        add_horizons(graph)
    result = save(graph)
    play = Play(2, seconds=(2.0, 3.0))
    pictures = [play.draw(number / 5, 172, 172)[..., ::-1] for number in range(110)]
    frames = np.array(pictures, np.float32) / 255

    expected = run(source, frames, runtime)
    assert expected.std(axis=0).min() > 0.1  # not for ever the same
    assert_close(run(result, frames, runtime), expected)
    assert len(result) <= len(source)


def test_two_signatures_are_refused() -> None:
    content = (Path(__file__).parent / "data" / "tiny_two_signatures.tflite").read_bytes()
    with pytest.raises(NotUnderstood):
        compiled(content)


def test_constants_may_stand_behind_the_flatbuffer() -> None:
    """As ai_edge_quantizer writes them, and as files of more than 2 GB must have them."""
    content = make(Recipe(TWO_LAYERS), 1)
    moved = _with_constants_behind(content)
    frames = random_frames(Recipe(TWO_LAYERS).size, FRAMES, 2)

    expected = run(content, frames, "auto")
    assert_close(run(moved, frames, "auto"), expected, share=1e-6)  # the file that the test made is right
    assert_close(run(compiled(moved), frames, "auto"), expected)


def _with_constants_behind(content: bytes) -> bytes:
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    moved = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 16]
    blobs = [bytes(buffer.data) for buffer in moved]
    padded = [blob + bytes(-len(blob) % 16) for blob in blobs]

    def pack(place: int) -> bytes:
        for buffer, blob, whole in zip(moved, blobs, padded):
            buffer.data, buffer.offset, buffer.size = None, place, len(blob)
            place += len(whole)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        output = bytes(builder.Output())
        return output + bytes(-len(output) % 16)

    return pack(len(pack(16))) + b"".join(padded)
