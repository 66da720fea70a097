"""What all classifiers share: frames fitted to the model's size, labels, and which classes a prediction shows."""

from __future__ import annotations

import difflib
import math
import os
import threading
import time
from dataclasses import dataclass
from typing import Any, Sequence

import cv2
import numpy as np

from errors import ModelError, UserError
from memory import Memory
from runtime import Runtime
from teaching.answer import UNKNOWN, UnknownRule
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
        translation: Its name in another language; "" where there is none.
    """

    label: str
    probability: float
    index: int
    translation: str = ""

    @property
    def shown(self) -> str:
        """The name to show to people."""
        return self.translation or self.label


@dataclass(frozen=True, eq=False)
class Selection:
    """Which classes Prediction.top may hold.

    Attributes:
        candidates: int [n], ascending indices of the classes that the lists let through.
        top_k: How many at most.
        threshold: Least probability, 0..1.
    """

    candidates: np.ndarray
    top_k: int
    threshold: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one step says about the stream so far.

    Attributes:
        timestamp: The frame's, in seconds, as given to step().
        step_time: Seconds that the whole step took.
        step: 1 for the first prediction after a reset.
        top: At most top_k classes that pass the threshold and the lists, best first; may be empty.
        logits: float32 [classes].
        probabilities: float32 [classes], the softmax of the logits.
        whole: Whether it rests on as many frames as any later one: on a window, of a clip model.
    """

    timestamp: float | None
    step_time: float
    step: int
    top: list[Category]
    logits: np.ndarray
    probabilities: np.ndarray
    whole: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns what JSON can hold of it; a number that isn't finite is None."""
        return {
            "timestamp": _finite(self.timestamp, 6),
            "step": self.step,
            "step_ms": _finite(self.step_time * 1000, 1),
            "top": [
                {
                    "label": category.label,
                    **({"shown": category.shown} if category.translation else {}),
                    "probability": _finite(category.probability, 6),
                    "index": int(category.index),
                }
                for category in self.top
            ],
        }


class Classifier:
    """The part of a classifier that doesn't depend on how its model sees time; a context manager.

    It is for one thread at a time. A step and a reset wait for each other, so that another thread can take it over.

    Args:
        model: Its file.
        labels: A file with one class name a line, or the names, in the order of the logits.
        threads: Threads for the kernels; None for one a core, at most 4; or "auto".
        fit: How a frame becomes the model's picture: "crop", "stretch" or "pad".
        channel_order: "rgb" or "bgr", of the frames given to step().

    Attributes:
        labels: The class names, in the order of the logits.
        input_size: The model's (height, width) in pixels.
        runtime: What runs the model.
        threads: Threads for the kernels.
        fit: As given. Like the next two, it may be replaced between steps, by another thread too.
        translations: The class names in another language, in the order of the logits; None to show them as they are.
        selection: Which classes are in Prediction.top; made by select().
        memory: What bounds the model's memory, made by bounded_memory(); None without.
        unknown: When the answer is to be "unknown", for a model that was taught so; None for never.
        notes: Lines that tell what was done with the model, for the user.
        engine: What runs the model; None once closed.

    Raises:
        ModelError: The labels can't be used.
        UserError: Another argument is out of range.
    """

    input_size: tuple[int, int]
    runtime: Runtime
    threads: int
    selection: Selection
    memory: Memory | None
    unknown: UnknownRule | None = None
    engine: Any

    def __init__(
        self,
        model: str | os.PathLike[str],
        labels: str | os.PathLike[str] | Sequence[str],
        *,
        threads: int | str | None,
        fit: str,
        channel_order: str,
    ) -> None:
        check("fit", fit in FITS, fit, f"one of {', '.join(FITS)}")
        check("channel_order", channel_order in CHANNEL_ORDERS, channel_order, f"one of {', '.join(CHANNEL_ORDERS)}")
        good = threads >= 1 if isinstance(threads, int) else threads in (None, "auto")
        check("threads", good, threads, "1 or more, or auto")
        self.fit = fit
        self.labels = list(read_labels(labels) if isinstance(labels, (str, os.PathLike)) else labels)
        self.translations: list[str] | None = None
        self.notes: list[str] = []
        self._model = model
        self._labels_named = f"label file {labels}" if isinstance(labels, (str, os.PathLike)) else "its list of labels"
        self._channel_order = channel_order
        self._buffers: dict[tuple[str, int], np.ndarray] = {}
        self._steps = 0
        self._busy = threading.Lock()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the model; may be called twice. No step can follow."""
        self.engine = None

    def select(
        self, *, top_k: int, threshold: float, allow: Sequence[str] | None, deny: Sequence[str] | None
    ) -> Selection:
        """Returns a selection of classes, to be set as `selection`.

        Args:
            top_k: How many classes Prediction.top holds at most.
            threshold: Least probability of a class in Prediction.top, 0..1.
            allow: Names of the only classes that may be in Prediction.top, regardless of case; None for all.
            deny: Names of classes that may not.

        Raises:
            UserError: One is out of range, a name is unknown, or no class is left.
        """
        check("top_k", top_k >= 1, top_k, "1 or more")
        check("threshold", 0 <= threshold <= 1, threshold, "from 0 to 1")
        return Selection(_candidates(self.labels, allow, deny), top_k, threshold)

    def step(self, frame: np.ndarray, timestamp: float | None = None) -> Prediction | None:
        """Takes the next frame of the stream; returns a prediction, or None where the model makes none of it.

        Args:
            frame: uint8 [H, W, 3] of any size, in channel_order; [H, W], [H, W, 1] (grey) and [H, W, 4] too.
            timestamp: Seconds; only handed on.

        Raises:
            TypeError: The frame isn't a uint8 array.
            ValueError: The frame is empty or of another shape.
            ModelError: The model's logits are not numbers.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forgets the stream: the next frame is the first."""
        raise NotImplementedError

    def resume(self, other: Classifier) -> None:
        """Goes on with the stream of another one, where both run one model the same way; else starts anew."""
        raise NotImplementedError

    def bounded_memory(self, frames: int) -> Memory | None:
        """Returns what bounds the memory to about so many frames, to be set as `memory`; None where nothing can."""
        raise NotImplementedError

    def _open(self) -> Any:
        if self.engine is None:
            raise RuntimeError("the classifier is closed")
        return self.engine

    def _check_classes(self, classes: int) -> None:
        if len(self.labels) != classes:
            raise ModelError(
                f"{self._labels_named} has {len(self.labels)} names, but model {self._model} has {classes} classes; "
                "give the labels that belong to it with --labels"
            )

    def _predict(
        self,
        logits: np.ndarray,
        timestamp: float | None,
        start: float,
        *,
        probabilities: np.ndarray | None = None,
        whole: bool = False,
    ) -> Prediction:
        """Returns what the next step says.

        Args:
            logits: float32 [classes].
            timestamp: The frame's.
            start: When the step began, by time.perf_counter().
            probabilities: The softmax of the logits, if the model computed it.
            whole: As in Prediction.
        """
        selection, translations = self.selection, self.translations
        self._steps += 1
        if probabilities is None or math.isnan(probabilities[0]):  # The model's softmax may not bear infinite logits.
            probabilities = softmax(logits)
        if math.isnan(probabilities[0]):  # One logit that is not a number makes all probabilities so.
            raise ModelError(f"model {self._model} gives logits that are not numbers; is it damaged?")
        best = top_indices(probabilities, selection.candidates, selection.top_k)
        top = [
            Category(self.labels[index], probability, index, translations[index] if translations else "")
            for index, probability in zip(best.tolist(), probabilities[best].tolist())
            if probability >= selection.threshold
        ]
        if self.unknown is not None and self.unknown.applies(probabilities):
            top = self._say_unknown(self.unknown.place, 1 - float(probabilities.max()), top)
        return Prediction(timestamp, time.perf_counter() - start, self._steps, top, logits, probabilities, whole)

    def _say_unknown(self, place: int | None, probability: float, top: list[Category]) -> list[Category]:
        """Returns the answers with "unknown" before them: the class of that name, where it is one, unless filtered."""
        selection, translations = self.selection, self.translations
        if place is None:
            unknown = Category(UNKNOWN, probability, -1)
        elif place in selection.candidates:
            unknown = Category(self.labels[place], probability, place, translations[place] if translations else "")
        else:
            return top
        return [unknown, *(each for each in top if each.index != unknown.index)][: selection.top_k]

    def _check_frame(self, frame: np.ndarray) -> int:
        """Returns a frame's number of channels.

        Raises:
            TypeError: The frame isn't a uint8 array.
            ValueError: The frame is empty or of another shape.
        """
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            kind = f"{frame.dtype} array" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise TypeError(f"frame must be a uint8 array, not {kind}")
        channels = 1 if frame.ndim == 2 else frame.shape[2] if frame.ndim == 3 else 0
        if channels not in (1, 3, 4) or frame.size == 0:
            raise ValueError(f"frame must be [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], not {list(frame.shape)}")
        return channels

    def _picture(self, frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns the frame as uint8 [height, width, 3] RGB of the model's size, in `out` if given.

        Raises as _check_frame.
        """
        channels = self._check_frame(frame)
        if channels == 1:
            frame = frame.reshape(frame.shape[:2])
        # Converted after resizing: there are fewer pixels then.
        picture = fit_frame(frame, *self.input_size, self.fit, self._buffer("resized", channels))
        code = _TO_RGB.get((self._channel_order, channels))
        if code is not None:
            return cv2.cvtColor(picture, code, dst=self._buffer("rgb", 3) if out is None else out)
        if out is None:
            return picture
        out[...] = picture
        return out

    def _buffer(self, purpose: str, channels: int) -> np.ndarray:
        """Returns uint8 [height, width] or [height, width, channels], the same each time."""
        key = purpose, channels
        if key not in self._buffers:
            self._buffers[key] = np.empty(self.input_size + (() if channels == 1 else (channels,)), np.uint8)
        return self._buffers[key]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of float32 logits [classes] as float32 [classes]; infinite logits are allowed."""
    largest = logits.max()
    if not -1e38 < largest < 1e38:
        logits = np.clip(logits, -1e38, 1e38)
        largest = logits.max()
    exponentials = np.exp(logits - largest)
    exponentials /= exponentials.sum()
    return exponentials


def top_indices(scores: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """Returns the candidates with the k highest scores, best first, equal scores by index.

    Args:
        scores: float [classes], finite.
        candidates: int [n], ascending indices into scores.
        k: At least 1; capped at n.
    """
    left, best = scores[candidates], []
    for _ in range(min(k, len(left))):  # For a few of some hundred classes this is faster than any sort.
        best.append(int(left.argmax()))
        left[best[-1]] = -np.inf
    return candidates[best]


def check(what: str, good: bool, value: object, wanted: str) -> None:
    """Raises a UserError that says what an argument must be, unless it is good."""
    if not good:
        raise UserError(f"{what} is {value!r}; it must be {wanted}")


def _candidates(labels: list[str], allow: Sequence[str] | None, deny: Sequence[str] | None) -> np.ndarray:
    """Returns the indices of the classes that both lists let through, ascending."""
    allowed = set(range(len(labels))) if allow is None else find_classes(labels, allow)
    left = sorted(allowed - find_classes(labels, deny or ()))
    if not left:
        raise UserError("the allow and deny lists leave no class to show; allow at least one")
    return np.array(left)


def find_classes(labels: Sequence[str], names: Sequence[str]) -> set[int]:
    """Returns the indices of the classes that have one of the names, regardless of case.

    Raises:
        UserError: A name is unknown; the line says which one is like it.
    """
    places: dict[str, set[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label.strip().casefold(), set()).add(index)
    found: set[int] = set()
    for name in names:
        key = name.strip().casefold()
        if key not in places:
            near = difflib.get_close_matches(key, places, n=1, cutoff=0.4)
            hint = f"did you mean {labels[min(places[near[0]])]!r}?" if near else "--model-info FILE lists the names"
            raise UserError(f"unknown class {name!r}; {hint}")
        found |= places[key]
    return found


def _finite(value: float | None, digits: int) -> float | None:
    return round(float(value), digits) if value is not None and math.isfinite(value) else None
