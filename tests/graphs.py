"""Small streaming video classifiers, written the way that published MoViNet files are, as many as a test wants.

make() builds the file that a Recipe describes, make_float() the same network in float, run() runs either, and recipes()
draws recipes for hypothesis. Needs a runtime, which calibrates.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Iterator, Sequence

import graph_storage
import numpy as np
from graph_network import ACTIVATIONS, GATES, Layer, Network, Recipe
from hypothesis import strategies as st

from compiler.graph import Graph, Tensor, save
from runtime import choose_runtime

STORAGES = ("float32", "float16", "dynamic", "int8")
BORDERS = ("float", "states", "all")
STEPS = 8  # Frames that ranges are calibrated on.


def make(recipe: Recipe, seed: int) -> bytes:
    """Returns a .tflite file with random weights."""
    return _make(recipe, seed)[0]


def make_float(recipe: Recipe, seed: int) -> bytes:
    """Returns the same network all in float32, with exactly the weights that make()'s file stands for."""
    return _make(recipe, seed)[1]


def unused_states(recipe: Recipe) -> set[str]:
    """Returns the names of the states that pass through the file's graph."""
    idle = [number for number, layer in enumerate(recipe.layers) if not layer.squeeze]
    return {f"state_block{number}_layer0_pool_{part}" for number in idle for part in ("buffer", "frame_count")}


def random_frames(size: int, count: int, seed: int) -> np.ndarray:
    """Returns float32 [count, size, size, 3] in steps of 1/255: noise on a colour of each frame's own."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 160, (count, 1, 1, 3))
    noise = rng.integers(0, 96, (count, size, size, 3))
    return (colours + noise).astype(np.float32) / np.float32(255)


def run(content: bytes, frames: np.ndarray, runtime: str) -> np.ndarray:
    """Runs a fresh stream with the signature runner, states carried by name.

    Args:
        content: A .tflite file.
        frames: float32 [n, H, W, 3], 0..1.
        runtime: One of runtime.RUNTIMES.

    Returns:
        float32 [n, classes], the logits after each frame.
    """
    outputs = []
    for given, left in steps(content, frames, runtime):
        (logits,) = (value for name, value in left.items() if name not in given)
        outputs.append(logits[0])
    return np.array(outputs)


def steps(
    content: bytes, frames: np.ndarray, runtime: str
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Runs a fresh stream; yields what entered and what left at each step, as real numbers by name."""
    interpreter = choose_runtime(runtime).interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()  # tflite-runtime's signature runner alone wouldn't apply XNNPACK.
    (key,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(key)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    (image,) = (name for name in inputs if name not in outputs)
    real = {name: np.zeros(detail["shape"], np.float32) for name, detail in inputs.items()}
    for frame in frames:
        real[image] = frame.reshape(inputs[image]["shape"])
        left = runner(**{name: _to_raw(real[name], detail) for name, detail in inputs.items()})
        left = {name: _to_real(value, outputs[name]) for name, value in left.items()}
        yield dict(real), left
        real.update((name, value) for name, value in left.items() if name in inputs)


def _to_raw(real: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return real.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def _to_real(raw: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    return raw.astype(np.float32) if scale == 0 else (raw.astype(np.float32) - zero_point) * np.float32(scale)


@st.composite
def recipes(draw: st.DrawFn, storages: Sequence[str] = STORAGES) -> Recipe:
    """Draws any recipe without an odd operation."""
    widths = st.integers(3, 12)
    layer = st.builds(
        Layer, widths, widths, st.sampled_from((1, 3, 5)), st.sampled_from((1, 3, 5)), st.integers(1, 2), st.booleans()
    )
    storage = draw(st.sampled_from(storages))
    return Recipe(
        layers=tuple(draw(st.lists(layer, min_size=1, max_size=4))),
        size=draw(st.integers(16, 32)),
        stem=draw(widths),
        head=draw(st.integers(6, 24)),
        hidden=draw(st.integers(8, 32)),
        classes=draw(st.sampled_from((2, 3, 5, 7, 60, 600, 1000))),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        gate=draw(st.sampled_from(GATES)),
        dense=draw(st.booleans()),
        storage=storage,
        border=draw(st.sampled_from(BORDERS)) if storage == "int8" else "float",
        key=draw(st.sampled_from(("serving_default", "call"))),
    )


def stored(graph: Graph, recipe: Recipe) -> Graph:
    """Returns a float graph as the recipe wants it stored; the graph itself gets the weights that stand for it."""
    if recipe.storage == "float16":
        return graph_storage.half(graph)
    if recipe.storage == "dynamic":
        return graph_storage.dynamic(graph)
    if recipe.storage == "int8":
        return graph_storage.whole(graph, _ranges(graph, recipe.size), recipe.border)
    return graph


@functools.lru_cache(maxsize=256)
def _make(recipe: Recipe, seed: int) -> tuple[bytes, bytes]:
    if recipe.border != "float" and recipe.storage != "int8":
        raise ValueError("only an int8 file has int8 borders")
    graph = Network(recipe, seed).build()
    return save(stored(graph, recipe)), save(graph)


def _ranges(graph: Graph, size: int) -> dict[Tensor, tuple[float, float]]:
    """Returns the least and the greatest value of every float tensor on some random frames."""
    computed = [tensor for operator in graph.operators for tensor in operator.outputs if tensor.dtype == np.float32]
    every = {f"{number}": tensor for number, tensor in enumerate(computed)}
    limits: dict[Tensor, tuple[float, float]] = {}
    watched = replace(graph, outputs={**graph.outputs, **every})
    for given, left in steps(save(watched), random_frames(size, STEPS, seed=0), "auto"):
        seen = [(graph.inputs[name], value) for name, value in given.items()]
        seen += [(tensor, left[name]) for name, tensor in every.items()]
        for tensor, value in seen:
            low, high = limits.get(tensor, (0.0, 0.0))
            limits[tensor] = min(low, float(value.min())), max(high, float(value.max()))
    limits[graph.inputs["image"]] = 0.0, 1.0
    return limits
