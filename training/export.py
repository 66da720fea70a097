"""Writes a trained model as a .tflite file: the published files' signature, weights stored as 8-bit integers.

Arithmetic stays float: the file says how to dequantize each constant, and a runtime does that once, when it loads the
file. So it is a quarter as large, as fast, and no state is rounded.
"""

from __future__ import annotations

import os
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe

from compiler.graph import load, save
from compiler.pools import find_pools
from errors import ModelError
from memory import METADATA, write_pools
from training.movinet import MoViNet
from training.one_frame import OneFrame
from utils import write_whole

_KEY = "call"
_FRAMES = 4  # compared, of noise
_TOLERANCE = 1e-4  # of the largest logit


def export(model: MoViNet, path: str | os.PathLike[str]) -> None:
    """Writes a model as a .tflite file of a stream's one frame. Takes about half a minute.

    Args:
        model: Its weights and batch statistics; it stays as it is.
        path: Where to.

    Raises:
        ModelError: The converted model doesn't say what this one does.
        OutputError: The file can't be written.
    """
    write_whole(Path(path), quantize_weights(convert(OneFrame(model))))


def convert(model: OneFrame) -> bytes:
    """Returns a model as a float .tflite file, its inputs and outputs named as the model's.

    Raises:
        ModelError: The runtime gives other logits for it than PyTorch does.
    """
    states = model.zero_states()
    image = torch.zeros(1, 1, model.size, model.size, 3)
    litert_torch.config.show_progress = False
    converted = litert_torch.signature(_KEY, model, sample_kwargs={"image": image, **states}).convert()
    content = converted.model_content()
    verify(model, content)
    return content


def quantize_weights(content: bytes) -> bytes:
    """Returns a float .tflite file with its weights stored as 8-bit integers, a scale for each output channel."""
    rounding = quantizer.Quantizer(content, recipe.weight_only_wi8_afp32())
    quantized = rounding.quantize(enable_progress_bar=False, enable_progress_report=False).quantized_model
    graph = load(bytes(quantized))  # Constants behind the flatbuffer move into it: old runtimes don't look there.
    # Listed, so that their memory can be bounded where the packages that could find them are not installed.
    graph.metadata[METADATA] = write_pools(find_pools(graph))
    return save(graph)


def verify(model: OneFrame, content: bytes) -> None:
    """Runs a model and what became of it side by side.

    Raises:
        ModelError: Their logits differ.
    """
    interpreter = Interpreter(model_content=content, num_threads=1)
    run = interpreter.get_signature_runner(_KEY)
    states, raw = model.zero_states(), {name: state.numpy() for name, state in model.zero_states().items()}
    noise = torch.Generator().manual_seed(0)
    for _ in range(_FRAMES):
        image = torch.rand(1, 1, model.size, model.size, 3, generator=noise)
        with torch.no_grad():
            states = model(image, **states)
        raw = run(image=image.numpy(), **raw)
        expected, given = states.pop("logits").numpy(), raw.pop("logits")
        error = np.abs(given - expected).max() / np.abs(expected).max()
        if not error <= _TOLERANCE:
            raise ModelError(f"the converted model's logits are {error:.1e} off; try another version of litert-torch")
