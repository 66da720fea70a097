"""The streaming video classifier: one frame in, the class probabilities of the stream so far out.

MoViNets (Kondratyuk et al., CVPR 2021, arXiv 2103.11511) classify a video frame by frame: instead of a clip, each step
is given one frame and the states left by the step before: stream buffers (the last activations of every causal
temporal convolution) and cumulative pools (a running sum of features with the number of frames in it). So a step costs
the same however long the stream is.
"""

from __future__ import annotations

import difflib
import os
import time
from dataclasses import dataclass
from typing import Any, Sequence

import cv2
import numpy as np

from errors import ModelError, UserError
from runtime import Runtime, choose_runtime, load_interpreter
from signature import read_signature
from utils import FITS, fit_frame, read_labels

CHANNEL_ORDERS = ("rgb", "bgr")

_TO_RGB = {
    ("rgb", 1): cv2.COLOR_GRAY2RGB,
    ("bgr", 1): cv2.COLOR_GRAY2RGB,
    ("bgr", 3): cv2.COLOR_BGR2RGB,
    ("rgb", 4): cv2.COLOR_RGBA2RGB,
    ("bgr", 4): cv2.COLOR_BGRA2RGB,
}


@dataclass(frozen=True)
class Category:
    """One class and its share of the probability.

    Attributes:
        label: Its name.
        probability: 0..1; over all classes, also where some are filtered out.
        index: Its place among the logits.
    """

    label: str
    probability: float
    index: int


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one step says about the stream so far.

    Attributes:
        timestamp: The frame's, in seconds, as given to step().
        step_time: Seconds that the whole step took.
        step: 1 for the first frame after a reset.
        top: At most top_k classes that pass the threshold and the lists, best first; may be empty.
        logits: float32 [classes].
        probabilities: float32 [classes], the softmax of the logits.
    """

    timestamp: float | None
    step_time: float
    step: int
    top: list[Category]
    logits: np.ndarray
    probabilities: np.ndarray


class VideoClassifier:
    """Classifies a stream of frames with a streaming MoViNet .tflite file.

    Not for use by several threads at once. Several classifiers don't disturb each other.

    Example:
        with VideoClassifier("movinet_a0_int8.tflite", "kinetics600.txt") as classifier:
            for frame in frames:  # 5 a second of the video, the rate that the models were trained at
                print(classifier.step(frame).top)

    Args:
        model: A .tflite file: inputs "image" [1, 1, H, W, 3] and states, outputs logits [1, classes] and the same
            states; float or quantized.
        labels: A file with one class name a line, or the names, in the order of the logits.
        threads: Threads for the kernels; None for one a core, at most 4.
        runtime: One of runtime.RUNTIMES.
        top_k: How many classes Prediction.top holds at most.
        threshold: Least probability of a class in Prediction.top, 0..1.
        allow: Names of the only classes that may be in Prediction.top, regardless of case; None for all.
        deny: Names of classes that may not.
        fit: How a frame becomes the model's square: "crop", "stretch" or "pad".
        channel_order: "rgb" or "bgr", of the frames given to step().

    Attributes:
        labels: The class names, in the order of the logits.
        input_size: The model's (height, width) in pixels.
        runtime: The Runtime in use.
        fit: As given.

    Raises:
        ModelError: The model or the labels can't be used, or don't belong together.
        PackageError: No such runtime works here.
        UserError: Another argument is out of range, or a name in a list is unknown.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        labels: str | os.PathLike[str] | Sequence[str],
        *,
        threads: int | None = None,
        runtime: str = "auto",
        top_k: int = 3,
        threshold: float = 0.0,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        fit: str = "crop",
        channel_order: str = "rgb",
    ) -> None:
        _check("fit", fit in FITS, fit, f"one of {', '.join(FITS)}")
        _check("channel_order", channel_order in CHANNEL_ORDERS, channel_order, f"one of {', '.join(CHANNEL_ORDERS)}")
        _check("top_k", top_k >= 1, top_k, "1 or more")
        _check("threshold", 0 <= threshold <= 1, threshold, "from 0 to 1")
        _check("threads", threads is None or threads >= 1, threads, "1 or more")
        self.fit = fit
        self.labels = list(read_labels(labels) if isinstance(labels, (str, os.PathLike)) else labels)
        self._channel_order = channel_order
        self._threshold = threshold
        self._top_k = top_k

        self.runtime: Runtime = choose_runtime(runtime)
        self._interpreter = load_interpreter(model, self.runtime, threads or min(4, os.cpu_count() or 1))
        signature = read_signature(self._interpreter, model)
        self._image, self._logits, self._states = signature.image, signature.logits, signature.states
        self.input_size: tuple[int, int] = (self._image.shape[2], self._image.shape[3])
        classes = self._logits.shape[1]
        if len(self.labels) != classes:
            given = f"label file {labels}" if isinstance(labels, (str, os.PathLike)) else "the list of labels"
            raise ModelError(
                f"{given} has {len(self.labels)} names, but model {model} has {classes} classes; "
                "give the labels that belong to it with --labels"
            )
        self._candidates = _candidates(self.labels, allow, deny)
        self._model = model
        # What each value of a byte becomes at the model's input: 0..1, quantized if the input is.
        self._levels = self._image.from_real(np.arange(256, dtype=np.float32) / np.float32(255))
        self.reset()

    def __enter__(self) -> VideoClassifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the model; may be called twice. No step can follow."""
        self._interpreter = None

    def reset(self) -> None:
        """Forgets the stream: the next frame is the first."""
        interpreter = self._open()
        self._steps = 0
        for state, _ in self._states:
            interpreter.tensor(state.index)()[...] = state.zero

    def step(self, frame: np.ndarray, timestamp: float | None = None) -> Prediction:
        """Takes the next frame of the stream.

        Args:
            frame: uint8 [H, W, 3] of any size, in channel_order; [H, W], [H, W, 1] (grey) and [H, W, 4] too.
            timestamp: Seconds; only handed on.

        Raises:
            TypeError: The frame isn't a uint8 array.
            ValueError: The frame is empty or of another shape.
            ModelError: The model's logits are not numbers.
        """
        start = time.perf_counter()
        interpreter = self._open()
        picture = self._picture(frame)
        # A view is not kept: the interpreter refuses to run while one exists.
        interpreter.tensor(self._image.index)()[0, 0] = cv2.LUT(picture, self._levels)
        interpreter.invoke()
        logits = self._logits.to_real(interpreter.tensor(self._logits.index)()[0])
        self._carry_states(interpreter)
        self._steps += 1
        if np.isnan(logits).any():
            raise ModelError(f"model {self._model} gives logits that are not numbers; is it damaged?")
        probabilities = softmax(logits)
        top = [
            Category(self.labels[index], float(probabilities[index]), int(index))
            for index in top_indices(probabilities, self._candidates, self._top_k)
            if probabilities[index] >= self._threshold
        ]
        return Prediction(timestamp, time.perf_counter() - start, self._steps, top, logits, probabilities)

    def _open(self) -> Any:
        if self._interpreter is None:
            raise RuntimeError("the classifier is closed")
        return self._interpreter

    def _picture(self, frame: np.ndarray) -> np.ndarray:
        """Returns the frame as uint8 [height, width, 3] RGB of the model's size."""
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            kind = f"{frame.dtype} array" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise TypeError(f"frame must be a uint8 array, not {kind}")
        channels = 1 if frame.ndim == 2 else frame.shape[2] if frame.ndim == 3 else 0
        if channels not in (1, 3, 4) or frame.size == 0:
            raise ValueError(f"frame must be [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], not {list(frame.shape)}")
        if channels == 1:
            frame = frame.reshape(frame.shape[:2])
        # Converted after resizing: there are fewer pixels then.
        picture = fit_frame(frame, *self.input_size, self.fit)
        code = _TO_RGB.get((self._channel_order, channels))
        return picture if code is None else cv2.cvtColor(picture, code)

    def _carry_states(self, interpreter: Any) -> None:
        """Copies each state's output to its input; those that pass through the graph unchanged are the same tensor."""
        inputs = {given.index for given, _ in self._states}
        moves = []
        for given, left in self._states:
            if given.index != left.index:
                raw = interpreter.tensor(left.index)()
                if given.storage != left.storage:
                    raw = given.from_real(left.to_real(raw))
                elif left.index in inputs:  # One state's input is another's output: read all before writing.
                    raw = raw.copy()
                moves.append((interpreter.tensor(given.index)(), raw))
        for target, raw in moves:
            np.copyto(target, raw)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of float32 logits [classes] as float32 [classes]; infinite logits are allowed."""
    finite = np.clip(logits, -1e38, 1e38)
    exponentials = np.exp(finite - finite.max())
    return exponentials / exponentials.sum()


def top_indices(scores: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """Returns the candidates with the k highest scores, best first, equal scores by index.

    Args:
        scores: float [classes].
        candidates: int [n], ascending indices into scores.
        k: At least 1; capped at n.
    """
    values = scores[candidates]
    k = min(k, len(values))
    least = np.partition(values, len(values) - k)[len(values) - k]
    best = np.flatnonzero(values >= least)  # More than k where several equal the least one.
    return candidates[best[np.argsort(-values[best], kind="stable")][:k]]


def _candidates(labels: list[str], allow: Sequence[str] | None, deny: Sequence[str] | None) -> np.ndarray:
    """Returns the indices of the classes that both lists let through, ascending."""
    allowed = set(range(len(labels))) if allow is None else _indices(labels, allow)
    left = sorted(allowed - _indices(labels, deny or ()))
    if not left:
        raise UserError("the allow and deny lists leave no class to show; allow at least one")
    return np.array(left)


def _indices(labels: list[str], names: Sequence[str]) -> set[int]:
    places: dict[str, set[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label.strip().casefold(), set()).add(index)
    found: set[int] = set()
    for name in names:
        key = name.strip().casefold()
        if key not in places:
            near = difflib.get_close_matches(key, places, n=1, cutoff=0.0)
            raise UserError(f"unknown class {name!r}; did you mean {labels[min(places[near[0]])]!r}?")
        found |= places[key]
    return found


def _check(what: str, good: bool, value: object, wanted: str) -> None:
    if not good:
        raise UserError(f"{what} is {value!r}; it must be {wanted}")
