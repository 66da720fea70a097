"""Pools are found by what a graph does; the head reads its pool at two horizons."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Sequence

import cv2
import numpy as np
import pytest
from conftest import skip_without_schema
from graph_network import Layer, Network, Recipe, integers, number
from graphs import make, make_float, random_frames, recipes, run
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from compiled import pools_of
from compiler.build import compile_model
from compiler.graph import Graph, Operator, Tensor, constant, load, save
from compiler.horizons import add_horizons
from compiler.pools import find_pools
from compiler.rewrite import compile_graph
from compiler.schema import schema
from errors import NotUnderstood
from memory import Memory, Pool
from runtime import choose_runtime
from utils import fit_frame
from video_classifier import VideoClassifier, softmax

skip_without_schema()

SQUEEZING = Recipe(layers=(Layer(squeeze=True), Layer(), Layer(squeeze=True)), activation="hard_swish")
FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=15, phases=[Phase.generate])


def with_horizons(content: bytes, compiled: bool = True) -> bytes:
    graph = load(content)
    if compiled:
        compile_graph(graph)
    add_horizons(graph)
    return save(graph)


def walk(content: bytes, frames: np.ndarray, bound: Callable[[dict[str, np.ndarray]], None]) -> np.ndarray:
    """Runs a stream of float32 [n, H, W, 3] frames, states handed to `bound` before each step; returns [n, classes]."""
    interpreter = choose_runtime().interpreter(model_content=content, num_threads=1)
    runner = interpreter.get_signature_runner()
    states = {name: np.zeros(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()}
    image = states.pop("image")
    logits = []
    for frame in frames:
        bound(states)
        states = dict(runner(image=frame.reshape(image.shape), **states))
        logits.append(states.pop("logits")[0])
    return np.array(logits)


def forget_by_hand(limits: dict[str, int]) -> Callable[[dict[str, np.ndarray]], None]:
    """Decay of published pools, whose counts are named like their buffers: an oracle without Memory and Pool."""

    def bound(states: dict[str, np.ndarray]) -> None:
        for stem, limit in limits.items():
            count = states[f"{stem}_pool_frame_count"]
            if count[0] == limit:
                states[f"{stem}_pool_buffer"] = states[f"{stem}_pool_buffer"] * np.float32(1 - 1 / limit)
                states[f"{stem}_pool_frame_count"] = count - 1

    return bound


def test_the_tiny_models_pools_are_found(tiny_model: Path, tiny_quantized_model: Path) -> None:
    found = [find_pools(load(path.read_bytes())) for path in (tiny_model, tiny_quantized_model)]
    for pools in found:
        assert {(pool.buffer, pool.count) for pool in pools} == {
            (f"{stem}_pool_buffer", f"{stem}_pool_frame_count") for stem in ("state_block0_layer0", "state_head")
        }
        assert not any(pool.short for pool in pools)
    assert [pool.scale for pool in found[0]] == [0, 0]
    assert [pool.scale for pool in found[1]] == [1 / 256, 1 / 512]


@pytest.mark.parametrize("storage", ["float32", "float16", "dynamic", "int8"])
@pytest.mark.parametrize("dense", [False, True])
def test_pools_are_found_however_a_model_is_stored_and_named(storage: str, dense: bool) -> None:
    graph = load(make(Recipe(SQUEEZING.layers, storage=storage, dense=dense), 1))
    expected = {
        (f"{stem}_pool_buffer", f"{stem}_pool_frame_count")
        for stem in ("state_block0_layer0", "state_block2_layer0", "state_head")
    }
    assert {(pool.buffer, pool.count) for pool in find_pools(graph)} == expected

    names = {name: f"{number:03}" for number, name in enumerate(graph.inputs)}
    graph.inputs = {names[name]: tensor for name, tensor in graph.inputs.items()}
    graph.outputs = {names.get(name, "out"): tensor for name, tensor in graph.outputs.items()}
    assert {(pool.buffer, pool.count) for pool in find_pools(graph)} == {(names[a], names[b]) for a, b in expected}


def test_compiled_pools_may_share_a_count() -> None:
    pools = find_pools(compile_graph(load(make(SQUEEZING, 1))))
    assert len(pools) == 3
    assert len({pool.buffer for pool in pools}) == 3


@pytest.mark.parametrize(
    ("fixture", "pools", "rounded"),
    [("movinet_model", 1, True), ("movinet_se_model", 16, True), ("demo_model", 16, False)],
)
def test_pools_of_real_files_are_found(fixture: str, pools: int, rounded: bool, request: pytest.FixtureRequest) -> None:
    content = request.getfixturevalue(fixture).read_bytes()
    published, compiled = find_pools(load(content)), find_pools(compile_graph(load(content)))
    assert len(published) == len(compiled) == pools
    assert all((pool.scale > 0) == rounded for pool in published)
    assert all(pool.scale == 0 for pool in compiled)


def _accumulating(change: str) -> Graph:
    """A pool [1, 4], or what only looks like one."""
    floats, number = np.dtype(np.float32), np.dtype(np.int32)
    image, buffer = Tensor("image", (1, 4), floats), Tensor("buffer", (1, 4), floats)
    count = Tensor("count", (1,), number)
    added, total = Tensor("added", (1, 4), floats), Tensor("total", (1, 4), floats)
    counted, frames = Tensor("counted", (1,), number), Tensor("frames", (1,), floats)
    mean = Tensor("mean", (1, 4), floats)
    other = {"constant": constant(np.ones((1, 4), np.float32)), "itself": added}.get(change, image)
    addition = schema.AddOptionsT()
    addition.fusedActivationFunction = int(change == "activation")
    operators = [
        Operator("SUB", [image, buffer], [added], schema.SubOptionsT()),
        Operator("ADD", [buffer, other], [total], addition),
        Operator("ADD", [count, constant(np.array([2 if change == "two" else 1], np.int32))], [counted]),
        Operator("CAST", [counted], [frames]),
        Operator("DIV", [total, image if change == "divisor" else frames], [mean], schema.DivOptionsT()),
    ]
    return Graph("", {"image": image, "s": buffer, "n": count}, {"s": total, "n": counted, "out": mean}, operators)


def test_only_what_sums_and_divides_by_a_count_is_a_pool() -> None:
    assert find_pools(_accumulating("")) == [Pool("s", "n")]
    for change in ("constant", "itself", "activation", "two", "divisor"):
        assert find_pools(_accumulating(change)) == [], change


class _CountsTwice(Network):
    """The mean divides by a sum of its own, not by the count as it leaves."""

    def count(self, prefix: str) -> Tensor:
        super().count(prefix)
        entering = self.graph.inputs[f"{prefix}_pool_frame_count"]
        return self.add("ADD", [entering, constant(np.array([1], np.int32))], (1,), np.int32)


class _CountsInFloat(Network):
    """Likewise, and adds the one to a real number."""

    def count(self, prefix: str) -> Tensor:
        super().count(prefix)
        entering = self.add("CAST", [self.graph.inputs[f"{prefix}_pool_frame_count"]], (1,))
        return self.add("ADD", [entering, number(1)], (1,))

    def add(self, kind: str, inputs: Sequence[Tensor], shape: Sequence[int], *rest: Any, **options: Any) -> Tensor:
        done = kind == "CAST" and inputs[0].dtype == np.float32
        return inputs[0] if done else super().add(kind, inputs, shape, *rest, **options)


class _CountsTheFramesGiven(Network):
    """What is added is the length of the image's axis of time, as in files whose sizes were left open."""

    def count(self, prefix: str) -> Tensor:
        name = f"{prefix}_pool_frame_count"
        sizes = self.add("SHAPE", [self.graph.inputs["image"]], (5,), np.int32, outType=schema.TensorType.INT32)
        given = self.add("STRIDED_SLICE", [sizes, *(integers([place]) for place in (1, 2, 1))], (1,), np.int32)
        entering = self.input(name, (1,), np.int32)
        self.graph.outputs[name] = self.add("ADD", [entering, given], (1,), np.int32)
        return self.graph.outputs[name]


@pytest.mark.parametrize("network", [_CountsTwice, _CountsInFloat, _CountsTheFramesGiven])
def test_pools_are_found_however_their_frames_are_counted(network: type[Network]) -> None:
    frames = random_frames(SQUEEZING.size, 20, 3)
    limits = {"state_block0_layer0": 4, "state_block2_layer0": 4, "state_head": 4}
    expected = walk(make(SQUEEZING, 3), frames, forget_by_hand(limits))
    content = save(network(SQUEEZING, 3).build())
    for form in (content, compile_model(content, "float", horizons=False)):
        pools = pools_of(form)
        assert len(pools) == 3
        np.testing.assert_allclose(walk(form, frames, Memory(pools, 4).bound), expected, rtol=1e-3, atol=1e-4)


class _MeanAsState(Network):
    """The head keeps the mean, not the sum, and counts in the first block's count."""

    def head_pool(self, value: Tensor) -> Tensor:
        shape = (1, 1, 1, 1, value.shape[-1])
        mean = self.add("MEAN", [value, integers((1, 2, 3))], shape, keepDims=True)
        before = self.add("CAST", [self.graph.inputs["state_block0_layer0_pool_frame_count"]], (1,))
        after = self.add("CAST", [self.graph.outputs["state_block0_layer0_pool_frame_count"]], (1,))
        old = self.add("MUL", [self.input("state_head_pool_buffer", shape), before], shape)
        new = self.add("DIV", [self.add("ADD", [old, mean], shape), after], shape)
        self.graph.outputs["state_head_pool_buffer"] = new
        return self.flat(new)


class _CountsForOthers(Network):
    """A count of no pool, which must not be taken for one of a pool because both are always equal."""

    def head_pool(self, value: Tensor) -> Tensor:
        mean, count = super().head_pool(value), self.add("CAST", [self.count("place")], (1,))
        return self.add("ADD", [mean, self.add("SIN", [count], (1,))], mean.shape)


@pytest.mark.parametrize(("network", "bounded"), [(_MeanAsState, 1), (_CountsForOthers, 3)])
def test_what_else_counts_frames_is_not_bounded(
    network: type[Network], bounded: int, cache: Path, tmp_path: Path
) -> None:
    frames = random_frames(SQUEEZING.size, 20, 3)
    content = save(network(SQUEEZING, 3).build())
    compiled = compile_model(content, "float", horizons=False)
    assert len(pools_of(content)) == len(pools_of(compiled)) == bounded
    source, result = (walk(form, frames, Memory(pools_of(form), 4).bound) for form in (content, compiled))
    np.testing.assert_allclose(result, source, rtol=1e-3, atol=1e-4)

    (tmp_path / "model.tflite").write_bytes(content)
    for precision in ("source", "float"):
        with VideoClassifier(tmp_path / "model.tflite", list("abcde"), precision=precision, memory=4) as classifier:
            assert classifier.notes[-1].startswith("memory is not bounded throughout: no known pool goes with ")


@given(recipe=recipes(), seed=st.integers(0, 999))
@FIXED
def test_without_forgetting_the_logits_stay_what_they_were(recipe: Recipe, seed: int) -> None:
    graph = load(make(recipe, seed))
    try:
        compiled = save(compile_graph(graph))
    except NotUnderstood:
        return  # test_compiler.py sees to it that these are few.
    frames = random_frames(recipe.size, 6, seed)
    before, after = (run(content, frames, "auto") for content in (compiled, with_horizons(compiled, compiled=False)))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_logits_are_the_mean_of_both_horizons(dense: bool, compiled: bool) -> None:
    recipe = Recipe(SQUEEZING.layers, activation="swish", dense=dense)
    content = make_float(recipe, 3)
    frames = random_frames(recipe.size, 40, 3)
    blocks = {"state_block0_layer0": 16, "state_block2_layer0": 16}
    short, long = (walk(content, frames, forget_by_hand({**blocks, "state_head": limit})) for limit in (4, 16))
    assert np.abs(short - long).max() > 1e-3  # Else the test would prove nothing.

    both = with_horizons(content, compiled)
    pools = find_pools(load(both))
    assert [pool.short for pool in pools].count(True) == 1
    got = walk(both, frames, Memory(pools, 12).bound)
    np.testing.assert_allclose(got, (short + long) / 2, rtol=2e-3, atol=1e-4 * np.abs(short).max())


def test_no_horizons_where_the_head_is_not_understood(tiny_model: Path, movinet_model: Path) -> None:
    int8, pool_less, twice = (load(path.read_bytes()) for path in (movinet_model, tiny_model, tiny_model))
    image = pool_less.inputs["image"]
    mean = Tensor("mean", (1, 3), np.dtype(np.float32))
    operator = Operator("MEAN", [image, constant(np.array([1, 2, 3], np.int32))], [mean], schema.ReducerOptionsT())
    pool_less.operators.append(operator)
    pool_less.outputs["logits"] = mean
    add_horizons(twice)
    for graph in (int8, pool_less, twice):
        before = save(graph)
        with pytest.raises(NotUnderstood):
            add_horizons(graph)
        assert save(graph) == before


def _multiplications(graph: Graph) -> int:
    """Multiply-accumulates of the convolutions: every output is a sum over the kernel."""
    total = 0
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
            kernel, outputs = operator.inputs[1].shape, operator.outputs[0].shape
            inner = kernel[1:3] if operator.kind == "DEPTHWISE_CONV_2D" else kernel[1:]
            total += int(np.prod(outputs) * np.prod(inner))
    return total


@pytest.mark.parametrize("fixture", ["movinet_model", "movinet_se_model", "demo_model"])
def test_the_second_horizon_is_cheap(fixture: str, request: pytest.FixtureRequest) -> None:
    graph = compile_graph(load(request.getfixturevalue(fixture).read_bytes()))
    before = _multiplications(graph)
    add_horizons(graph)
    assert before < _multiplications(graph) < 1.04 * before
    assert [pool.short for pool in find_pools(graph)].count(True) == 1


def _disc(number: int, size: int) -> np.ndarray:
    """A red disc circling on green."""
    picture = np.full((size, size, 3), (0.2, 0.5, 0.2), np.float32)
    centre = (int(86 + 50 * np.cos(number / 2)), int(86 + 50 * np.sin(number / 2)))
    return cv2.circle(picture, centre, 30, (0.9, 0.2, 0.1), -1)


def test_the_published_int8_file_forgets_only_with_random_rounding(
    movinet_model: Path, carving_ice_video: Path, kinetics_labels: Path
) -> None:
    capture = cv2.VideoCapture(str(carving_ice_video))
    clip = [capture.read()[1] for _ in range(126)][::6]  # 29.6 frames a second: about 5
    capture.release()
    ice = [fit_frame(image, 172, 172, "crop")[..., ::-1].astype(np.float32) / 255 for image in clip]
    discs = [_disc(number, 172) for number in range(150)]
    after_ice = np.array([*(ice[number % len(ice)] for number in range(100)), *discs])
    label = kinetics_labels.read_text().splitlines().index("carving ice")
    content = movinet_model.read_bytes()
    pools = find_pools(load(content))

    def trace_of_ice(pools: list[Pool]) -> float:
        """How many times more probable the old action is, 30 s after it ended, than if it had never been."""
        ends = [walk(content, frames, Memory(pools, 12).bound)[-1] for frames in (after_ice, np.array(discs))]
        after, without = (softmax(logits)[label] for logits in ends)
        return float(after / without)

    assert trace_of_ice(pools) < 3
    # What the random rounding is for: to nearest, the old action stays.
    assert trace_of_ice([Pool(pool.buffer, pool.count) for pool in pools]) > 100
