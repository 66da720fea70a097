"""Proves on this machine that a compiled model is the function that its source is, by running both side by side."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from compiler.graph import load, refuse_odd_graphs, save
from compiler.passes.dequantize import dequantize
from engine import Engine
from runtime import Runtime, load_content
from signature import read_signature

TOLERANCE = 1e-4  # of the largest logit; float sums in another order differ by some 1e-6
_STEPS = 104
_COMPARED = (*range(4), *range(_STEPS - 4, _STEPS))  # a fresh stream, and one of 100 steps


def difference(source: bytes, compiled: bytes, runtime: Runtime) -> float:
    """Returns the largest difference between the logits of two models, as a share of the largest logit.

    The same stream of frames runs through both: noise, still pictures, and a moving edge. Where the source is
    quantized, the compiled model is held to the float graph that the source stands for.

    Args:
        source: A .tflite file.
        compiled: What was made of it.
        runtime: To run both with.

    Raises:
        ModelError: One of them can't be run.
        NotUnderstood: The source is quantized in a way that is not understood.
    """
    expected, given = (sampled_logits(content, runtime) for content in (real_form(source), compiled))
    return float(np.abs(expected - given).max() / max(np.abs(expected).max(), 1e-6))


@refuse_odd_graphs()
def real_form(source: bytes) -> bytes:
    """Returns the float model that a quantized one stands for, otherwise as it was.

    Raises:
        NotUnderstood: The source is quantized in a way that is not understood.
    """
    graph = load(source)
    dequantize(graph)
    return save(graph)


def sampled_logits(content: bytes, runtime: Runtime) -> np.ndarray:
    """Returns the logits after the steps that are compared, float32 [steps, classes]."""
    interpreter = load_content("to be verified", content, runtime, threads=1)
    engine = Engine(interpreter, read_signature(interpreter, "to be verified"))
    image = engine.signature.image
    logits = []
    for frame in _frames(*image.shape[2:4]):
        engine.image[0, 0] = image.from_real(frame)
        logits.append(engine.step())
    return np.array([logits[step] for step in _COMPARED])


def _frames(height: int, width: int) -> Iterator[np.ndarray]:
    """Yields float32 [height, width, 3] frames, 0..1, the same ones each time; each value that of a byte."""
    random = np.random.default_rng(0)
    still = _noise(random, height, width)
    for step in range(_STEPS):
        if step % 3 == 0:
            yield _noise(random, height, width)
        elif step % 3 == 1:
            yield still
        else:
            frame = np.zeros((height, width, 3), np.float32)
            frame[:, : (step * 5) % width, step % 3] = 1.0
            yield frame


def _noise(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.rint(random.random((height, width, 3), np.float32) * 255) / np.float32(255)
