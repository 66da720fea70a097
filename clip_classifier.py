"""The clip classifier: a model that looks at a window of frames, fed frame by frame.

Unlike a streaming model it remembers nothing itself, so that every prediction costs a whole window. Either a new window
begins where the last one ended (the batch way, a prediction every 16 frames) or it moves on by a frame or a few (the
rolling way). The frames of the window are kept as the model wants them: none is resized twice.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Sequence, Union

import cv2
import numpy as np

from classifier import Classifier, Prediction
from clip_engine import ClipEngine
from clip_engine_onnx import OnnxClipEngine, opencv_runtime
from clip_format import ClipSettings, ClipShape
from pixel_range import real_levels
from runtime import choose_runtime, read_model
from tuning import MOST_THREADS, available_cores


class ClipClassifier(Classifier):
    """Classifies a stream of frames with a model of clips: a .tflite file, or an .onnx file, which OpenCV runs.

    Not for use by several threads at once.

    Example:
        with ClipClassifier("resnet-34_kinetics.onnx", "kinetics400.txt", clip=settings) as classifier:
            for frame in frames:
                prediction = classifier.step(frame)
                if prediction is not None:
                    print(prediction.top)

    Args:
        model: A .tflite file with one input, [1, T, H, W, 3] or [1, 3, T, H, W], float or quantized, and one output,
            [1, classes]; or an .onnx file with such an input and output.
        labels: A file with one class name a line, or the names, in the order of the logits.
        clip: What the file doesn't say, and the stride. Pixels become 0..1 unless the file's metadata or this says
            otherwise.
        threads: Threads for the kernels; None or "auto" for one a core, at most 4. For an .onnx file they are those of
            all of OpenCV, which None and "auto" leave as they are.
        runtime: One of runtime.RUNTIMES, for a .tflite file.
        top_k: See Classifier.select(), like the next three.
        threshold: ...
        allow: ...
        deny: ...
        fit: How a frame becomes the model's square: "crop", "stretch" or "pad".
        channel_order: "rgb" or "bgr", of the frames given to step(). Models take RGB.

    Attributes:
        shape: Of the model's input.
        stride: Frames from one prediction to the next.
        memory: None: the window is all that the model remembers.

    Raises:
        ModelError: The model or the labels can't be used, or don't belong together.
        PackageError: No such runtime works here.
        UserError: Another argument is out of range, or a name in a list is unknown.
    """

    memory = None

    def __init__(
        self,
        model: str | os.PathLike[str],
        labels: str | os.PathLike[str] | Sequence[str],
        *,
        clip: ClipSettings | None = None,
        threads: int | str | None = None,
        runtime: str = "auto",
        top_k: int = 3,
        threshold: float = 0.0,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        fit: str = "crop",
        channel_order: str = "rgb",
    ) -> None:
        super().__init__(model, labels, threads=threads, fit=fit, channel_order=channel_order)
        settings = clip or ClipSettings()
        self.engine: Union[ClipEngine, OnnxClipEngine, None]
        if Path(model).suffix.lower() == ".onnx":
            if isinstance(threads, int):
                cv2.setNumThreads(threads)
            self.threads, self.runtime = cv2.getNumThreads(), opencv_runtime()
            self.engine = OnnxClipEngine(model, settings)
        else:
            self.threads = threads if isinstance(threads, int) else min(MOST_THREADS, available_cores())
            self.runtime = choose_runtime(runtime)
            self.engine = ClipEngine(model, read_model(model), settings, self.runtime, self.threads)
        self.shape: ClipShape = self.engine.shape
        self.stride: int = settings.stride or self.shape.length
        self.input_size = self.shape.height, self.shape.width
        self._check_classes(self.engine.classes)
        self.selection = self.select(top_k=top_k, threshold=threshold, allow=allow, deny=deny)
        self._levels = self.engine.raw(real_levels(self.engine.settings.mean, self.engine.settings.scale))
        self._values: np.ndarray = np.empty((*self.input_size, 3), self.engine.dtype)
        self._window = Window(self.shape, self.engine.dtype)
        self._left = self.shape.length  # frames until the next prediction
        self._form = (os.fspath(model), self.shape, self.stride, self.engine.settings)
        every = "a prediction every frame" if self.stride == 1 else f"a prediction every {self.stride} frames"
        self.notes.append(f"looks at clips of {self.shape.length} frames, {every}")

    def reset(self) -> None:
        """Forgets the stream: the next frame is the first of a window."""
        with self._busy:
            self._open()
            self._left = self.shape.length
            self._steps = 0

    def bounded_memory(self, frames: int) -> None:
        """Returns None: there is no memory to be bounded."""

    def resume(self, other: Classifier) -> None:
        """Goes on with the stream of another one, where both run one model the same way; else starts anew."""
        if isinstance(other, ClipClassifier) and self._form == other._form:
            self._window, self._left, self._steps = other._window, other._left, other._steps

    def step(self, frame: np.ndarray, timestamp: float | None = None) -> Prediction | None:
        """Takes the next frame of the stream.

        Args:
            frame: uint8 [H, W, 3] of any size, in channel_order; [H, W], [H, W, 1] (grey) and [H, W, 4] too.
            timestamp: Seconds; only handed on.

        Returns:
            What the window says that ends with this frame; None where none ends here.

        Raises:
            TypeError: The frame isn't a uint8 array.
            ValueError: The frame is empty or of another shape.
            ModelError: The model's logits are not numbers.
        """
        start = time.perf_counter()
        with self._busy:
            engine = self._open()
            if self._left > self.shape.length:  # No window has this frame: the stride is longer than the clip.
                self._check_frame(frame)
            else:
                self._window.add(cv2.LUT(self._picture(frame), self._levels, dst=self._values))
            self._left -= 1
            if self._left:
                return None
            self._left = self.stride
            return self._predict(engine.run(self._window.write_to), timestamp, start, whole=True)


class Window:
    """The last frames, as the model wants them; each new one takes the place of the oldest.

    Args:
        shape: Of the model's input.
        dtype: Of its values.
    """

    def __init__(self, shape: ClipShape, dtype: type) -> None:
        self._layout = shape.layout
        self._frames: np.ndarray = np.zeros(shape.axes, dtype)
        self._by_time = _by_time(self._frames, shape.layout)
        self._next = 0

    def add(self, values: np.ndarray) -> None:
        """Takes a frame, [H, W, 3], which is copied."""
        self._by_time[self._next] = values
        self._next = (self._next + 1) % len(self._by_time)

    def write_to(self, target: np.ndarray) -> None:
        """Copies the window, oldest frame first, into an array of the input's shape."""
        by_time, old = _by_time(target, self._layout), len(self._by_time) - self._next
        by_time[:old] = self._by_time[self._next :]
        by_time[old:] = self._by_time[: self._next]


def _by_time(frames: np.ndarray, layout: str) -> np.ndarray:
    """Returns a view of frames in this layout as [T, H, W, 3]."""
    return frames[0] if layout == "nthwc" else frames[0].transpose(1, 2, 3, 0)
