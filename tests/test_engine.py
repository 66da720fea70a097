"""The engine: states carried like the runtime's own runner does it, whatever the graph does with its memory."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import skip_without_schema

from engine import Engine
from runtime import choose_runtime, load_interpreter
from signature import read_signature

DATA = Path(__file__).resolve().parent / "data"


def engine_of(model: Path, runtime: str) -> Engine:
    interpreter = load_interpreter(model, choose_runtime(runtime), 1)
    return Engine(interpreter, read_signature(interpreter, model))


def random_images(engine: Engine, number: int) -> list[np.ndarray]:
    source = np.random.default_rng(11)
    shape, dtype = engine.image.shape, engine.image.dtype
    if dtype == np.float32:
        return [source.random(shape, np.float32) for _ in range(number)]
    return [source.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype) for _ in range(number)]


def run(engine: Engine, images: list[np.ndarray]) -> list[np.ndarray]:
    logits = []
    for image in images:
        engine.image[...] = image
        logits.append(engine.step())
    return logits


def states_by_runner(model: Path, runtime: str, images: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The states after a stream, by the runtime's signature runner."""
    interpreter = choose_runtime(runtime).interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    (key,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(key)
    inputs = runner.get_input_details()
    states = {name: np.zeros(each["shape"], each["dtype"]) for name, each in inputs.items() if name != "image"}
    for image in images:
        states = runner(image=image, **states)
        del states["logits"]
    return states


def test_states_stand_ready_for_the_next_step(tiny_model: Path, runtime: str) -> None:
    engine = engine_of(tiny_model, runtime)
    images = random_images(engine, 5)
    run(engine, images)
    want = states_by_runner(tiny_model, runtime, images)
    assert set(engine.states) == set(want)
    for name, state in want.items():
        np.testing.assert_array_equal(engine.states[name], state, err_msg=name)


def test_published_states_stand_ready(movinet_se_model: Path, runtime: str) -> None:
    """Of 43 states, each changes."""
    engine = engine_of(movinet_se_model, runtime)
    images = random_images(engine, 3)
    run(engine, images)
    for name, state in states_by_runner(movinet_se_model, runtime, images).items():
        np.testing.assert_array_equal(engine.states[name], state, err_msg=name)


def test_written_states_count(tiny_model: Path, runtime: str) -> None:
    """Halving a pool's sum and its count leaves its mean: that is how a memory is bounded from outside."""
    engine = engine_of(tiny_model, runtime)
    image = random_images(engine, 1) * 8
    before = run(engine, image)[-1]
    for name in ("state_block0_layer0", "state_head"):
        assert engine.states[f"{name}_pool_frame_count"].tolist() == [8]
        engine.states[f"{name}_pool_buffer"] *= 0.5
        engine.states[f"{name}_pool_frame_count"][...] = 4
    np.testing.assert_allclose(run(engine, image[:1])[0], before, rtol=1e-5, atol=1e-4)
    engine.states["state_head_pool_buffer"][...] = 0
    assert not np.allclose(run(engine, image[:1])[0], before, atol=0.1)


@pytest.mark.parametrize("file", ["tiny.tflite", "tiny_quantized.tflite"])
def test_reset_writes_real_zero(runtime: str, file: str) -> None:
    engine = engine_of(DATA / file, runtime)
    images = random_images(engine, 4)
    first = run(engine, images)
    engine.reset()
    for entering, _ in engine.signature.states:
        assert np.all(entering.to_real(engine.states[entering.name]) == 0), entering.name
    np.testing.assert_array_equal(run(engine, images), first)


def test_invoke_alone_carries_nothing(tiny_model: Path, runtime: str) -> None:
    engine = engine_of(tiny_model, runtime)
    images = random_images(engine, 3)
    want = run(engine, images)
    engine.reset()
    got = []
    for image in images:
        engine.image[...] = image
        engine.invoke()
        engine.invoke()
        got.append(engine.step())
    np.testing.assert_array_equal(got, want)


def test_views_outlive_the_engine(tiny_model: Path, runtime: str) -> None:
    engine = engine_of(tiny_model, runtime)
    run(engine, random_images(engine, 2))
    state = engine.states["state_head_pool_frame_count"]
    del engine
    gc.collect()
    assert state.tolist() == [2]


def test_graph_whose_sizes_are_found_while_it_runs(tmp_path: Path, runtime: str) -> None:
    """Its tensors have no memory before the first run and may move: views must be made anew."""
    skip_without_schema()
    model = tmp_path / "dynamic.tflite"
    model.write_bytes(_dynamic_model())
    engine = engine_of(model, runtime)
    assert not engine.signature.fixed  # Else this tests nothing.
    images = [np.full((1, 1, 8, 8, 3), value, np.float32) for value in (1, 2, 4, 8)]
    assert [each.tolist() for each in run(engine, images)] == [[1] * 3, [3] * 3, [7] * 3, [15] * 3]
    engine.reset()
    assert run(engine, images[:1])[0].tolist() == [1] * 3


def _dynamic_model() -> bytes:
    """Adds up the images' colours; the sum is given a shape that is computed from a state which is always zero."""
    import make_tiny_models as tiny

    graph = tiny.Graph()
    image = graph.take("image", (1, 1, 8, 8, 3), {})
    total = graph.take("sum", (1, 3), {})
    zero = graph.inputs["zero_frame_count"] = graph.tensor((2,), "INT32")
    graph.outputs["zero_frame_count"] = zero
    colour = graph.mean(graph.reshape(image, (1, 8, 8, 3)), [1, 2], (1, 3))
    shape = graph.add("ADD", [zero, graph.constant([1, 3])], graph.tensor((2,), "INT32"), _options("Add"))
    colour = graph.add("RESHAPE", [colour, shape], graph.tensor((1, 3)))
    graph.outputs["sum"] = graph.add("ADD", [total, colour], graph.tensor((1, 3)), _options("Add"))
    graph.outputs["logits"] = graph.add("RESHAPE", [graph.outputs["sum"], shape], graph.tensor((1, 3)))
    return graph.file(["serving_default"])


def _options(name: str) -> Any:
    from compiler.schema import schema

    return getattr(schema, f"{name}OptionsT")()
