"""A loaded .onnx model of clips, run by OpenCV's DNN module: a window of frames in, logits out.

OpenCV raises an error for most files that it can't use, and crashes over some (5.0 does, where a pooling kernel is
larger than its input). So each file is first run in a child process. Neither 4.11 nor 5.0 has GlobalAveragePool for
clips; files with an AveragePool of the whole size run.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Callable

import cv2
import numpy as np

from clip_engine import logits_of
from clip_format import ClipSettings, clip_shape
from errors import ModelError
from onnx_header import read_onnx_header
from runtime import Runtime
from trial import try_in_child

_MOST_NUMBERS = 1e9  # of an input; 4 GB

_sound: set[str] = set()  # path, length, time of writing and input of what ran in a child of this process


class OnnxClipEngine:
    """Runs an .onnx model of clips. Not for several threads at once.

    Args:
        model: The file.
        settings: What the user or the registry says of it.

    Attributes:
        shape: Of the input.
        classes: How many logits there are.
        dtype: numpy type of the values that the input takes.
        settings: As given.

    Raises:
        ModelError: It is missing, damaged, beyond OpenCV, or no model of clips.
    """

    def __init__(self, model: str | os.PathLike[str], settings: ClipSettings) -> None:
        header = read_onnx_header(model)
        self.shape = clip_shape(model, header.inputs[0][1], settings)
        if np.prod(self.shape.axes, dtype=float) > _MOST_NUMBERS:
            raise ModelError(f"model {model} takes {list(self.shape.axes)}, more than fits into memory; is it damaged?")
        self.settings = settings
        self.dtype = np.float32
        self._probable = header.last_operators[0] == "Softmax"
        self._blob = np.zeros(self.shape.axes, np.float32)
        problem = _try(model, self.shape.axes)
        if problem is None:
            try:
                self._net = _read(str(model))
                self.classes = len(self.run(lambda blob: None))
                return
            except cv2.error as error:
                problem = str(error)
        raise ModelError(f"model {model} can't be run by OpenCV {cv2.__version__} (damaged, or beyond it?): {problem}")

    def raw(self, real: np.ndarray) -> np.ndarray:
        """Returns the input's values for real ones, float32."""
        return real

    def run(self, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        """Runs the model.

        Args:
            fill: Writes the window of frames into the array of the input's shape that it is given.

        Returns:
            The logits, float32 [classes].
        """
        fill(self._blob)
        self._net.setInput(self._blob)
        output = self._net.forward().reshape(-1).astype(np.float32)
        return logits_of(output) if self._probable else output


def opencv_runtime() -> Runtime:
    """Returns OpenCV's DNN module as a Runtime."""
    return Runtime("opencv", "OpenCV DNN", cv2.__version__, cv2.dnn.readNetFromONNX)


def _try(model: str | os.PathLike[str], shape: tuple[int, ...]) -> str | None:
    """Returns what went wrong when another process ran the model, in a line, or None if nothing did."""
    path = Path(model).resolve()
    state = path.stat()
    trial = f"{path} {state.st_size} {state.st_mtime_ns} {shape}"
    if trial in _sound:
        return None
    problem = try_in_child(__file__, str(path), *map(str, shape))
    if problem is None:
        _sound.add(trial)
        return None
    # OpenCV's messages begin with places in its sources.
    text = re.sub(r"OpenCV\([\d.]+\S*\) \S+: error: \([^)]*\) ?", "", " ".join(problem.split()))
    return textwrap.shorten(text or problem, 160, placeholder=" ...")


def _read(model: str) -> cv2.dnn.Net:
    net = cv2.dnn.readNetFromONNX(model)
    # OpenCV 4 fuses a residual block's addition with a convolution over time, which it then refuses to run. OpenCV 5
    # has another engine, whose network is empty after this call.
    if cv2.__version__.startswith("4."):
        net.enableFusion(False)
    return net


def _trial(model: str, shape: list[int]) -> None:
    """The child's part."""
    try:
        net = _read(model)
        net.setInput(np.zeros(shape, np.float32))
        output = net.forward()
    except cv2.error as error:
        sys.exit(_say(str(error)))
    if output.ndim < 1 or output.size != max(output.shape):
        sys.exit(_say(f"its output {list(output.shape)} is not [1, classes]"))


def _say(problem: str) -> int:
    sys.stdout.write(problem)
    return 1


if __name__ == "__main__":
    _trial(sys.argv[1], [int(size) for size in sys.argv[2:]])
