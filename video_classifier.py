"""The streaming video classifier: one frame in, the class probabilities of the stream so far out.

MoViNets (Kondratyuk et al., CVPR 2021, arXiv 2103.11511) classify a video frame by frame: instead of a clip, each step
is given one frame and the states left by the step before: stream buffers (the last activations of every causal
temporal convolution) and cumulative pools (a running sum of features with the number of frames in it). So a step costs
the same however long the stream is.
"""

from __future__ import annotations

import os
import time
from typing import Sequence

import cv2
import numpy as np

from classifier import Category, Classifier, Prediction, Selection, check, softmax, top_indices
from compiled import Prepared, pools_of, prepare
from engine import Engine
from errors import NotUnderstood, PackageError
from memory import Memory, Pool
from pixel_range import range_inside, real_levels
from release import release_heap
from runtime import choose_runtime, read_model
from signature import Signature, read_signature
from teaching.answer import read_unknown
from tuning import choose_threads, time_runs

__all__ = ["PRECISIONS", "Category", "Prediction", "Selection", "VideoClassifier", "softmax", "top_indices"]

PRECISIONS = ("source", "auto", "float", "int8")


class VideoClassifier(Classifier):
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
        threads: Threads for the kernels; None for one a core, at most 4; "auto" for the number that is fastest here,
            measured when the model is new to this machine, see tuning.py.
        runtime: One of runtime.RUNTIMES.
        top_k: How many classes Prediction.top holds at most.
        threshold: Least probability of a class in Prediction.top, 0..1.
        allow: Names of the only classes that may be in Prediction.top, regardless of case; None for all.
        deny: Names of classes that may not.
        memory: About how many frames the model remembers, see memory.py; None to remember all, as published.
        precision: "source" to run the file as it is; "float" or "int8" to run its compiled form, see compiler/; "auto"
            for float unless int8 is clearly faster here and says the same.
        fit: How a frame becomes the model's square: "crop", "stretch" or "pad".
        channel_order: "rgb" or "bgr", of the frames given to step().

    Attributes:
        labels: The class names, in the order of the logits.
        input_size: The model's (height, width) in pixels.
        runtime: The Runtime in use.
        threads: Threads for the kernels.
        fit: As given. Like the next two, it may be replaced between steps, by another thread too.
        selection: Which classes are in Prediction.top; made by select().
        memory: What bounds the model's memory, made by bounded_memory(); None without.
        compiled: Whether its compiled form runs.
        notes: Lines that tell what was done with the model, for the user.
        engine: What runs the model and holds its states; None once closed.

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
        threads: int | str | None = None,
        runtime: str = "auto",
        top_k: int = 3,
        threshold: float = 0.0,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        memory: int | None = None,
        precision: str = "source",
        fit: str = "crop",
        channel_order: str = "rgb",
    ) -> None:
        super().__init__(model, labels, threads=threads, fit=fit, channel_order=channel_order)
        check("precision", precision in PRECISIONS, precision, f"one of {', '.join(PRECISIONS)}")
        self.runtime = choose_runtime(runtime)
        source = read_model(model)
        levels = real_levels(*range_inside(source))
        prepared = Prepared(model, self.runtime, source)
        if precision != "source":
            horizons = memory is not None
            prepared = prepare(model, source, self.runtime, precision, horizons, for_engine=True)
        del source
        self.compiled = prepared.compiled
        self.notes += [prepared.note] if prepared.note else []
        if isinstance(threads, str):  # "auto"
            threads = choose_threads(
                prepared.content, self.runtime, measure=lambda number: time_runs(self._run(prepared, number).invoke)
            )
        self.threads = threads or min(4, os.cpu_count() or 1)
        self.engine: Engine | None = self._run(prepared, self.threads)
        self._pools = [] if memory is None else self._find_pools(prepared.content, self.engine.signature)
        self.unknown = read_unknown(model, self.labels)
        self.memory = None if memory is None else self.bounded_memory(memory)
        signature = self.engine.signature
        self.input_size = (signature.image.shape[2], signature.image.shape[3])
        self._check_classes(signature.logits.shape[1])
        self.selection = self.select(top_k=top_k, threshold=threshold, allow=allow, deny=deny)
        # What each value of a byte becomes at the model's input, quantized if that is; None if it stays as it is.
        self._levels: np.ndarray | None = signature.image.from_real(levels)
        if signature.image.dtype is np.uint8 and (self._levels == np.arange(256)[:, None]).all():
            self._levels = None
        release_heap()  # Compiling and loading took more.

    def reset(self) -> None:
        """Forgets the stream: the next frame is the first."""
        with self._busy:
            self._open().reset()
            self._steps = 0
            if self.memory is not None:
                self.memory.reset()

    def bounded_memory(self, frames: int) -> Memory | None:
        """Returns what bounds the memory to about so many frames, to be set as `memory`; None where nothing can.

        Raises:
            UserError: Fewer than 1.
        """
        check("memory", frames >= 1, frames, "1 frame or more")
        return Memory(self._pools, frames) if self._pools is not None else None

    def resume(self, other: Classifier) -> None:
        """Goes on with the stream of another one, where both run one model in the same form; else starts anew."""
        if not isinstance(other, VideoClassifier):
            return
        mine, theirs = self._open().states, other._open().states
        form = [[(name, each.shape, each.dtype) for name, each in states.items()] for states in (mine, theirs)]
        if self._model == other._model and form[0] == form[1]:
            for name, state in mine.items():
                state[...] = theirs[name]
            self._steps = other._steps

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
        with self._busy:
            engine, memory = self._open(), self.memory
            if self._levels is None:
                self._picture(frame, out=engine.image[0, 0])
            else:
                cv2.LUT(self._picture(frame), self._levels, dst=engine.image[0, 0])
            if memory is not None:
                memory.bound(engine.states)
            logits = engine.step()
            return self._predict(logits, timestamp, start, probabilities=engine.probabilities())

    def _run(self, prepared: Prepared, threads: int) -> Engine:
        interpreter = prepared.load(threads)
        return Engine(interpreter, read_signature(interpreter, self._model))

    def _find_pools(self, content: bytes | memoryview, signature: Signature) -> list[Pool] | None:
        try:
            pools = pools_of(content)
        except (NotUnderstood, PackageError) as reason:
            self.notes.append(f"memory is not bounded: {reason}")
            return None
        names = {entering.name for entering, _ in signature.states}
        if not names.issuperset(name for pool in pools for name in (pool.buffer, pool.count)):
            self.notes.append("memory is not bounded: the file lists pools that are not among its states")
            return None
        lone = sorted({count.name for count in signature.counts} - {pool.count for pool in pools})
        if lone:
            several = f" and {len(lone) - 1} more" if len(lone) > 1 else ""
            self.notes.append(f"memory is not bounded throughout: no known pool goes with {lone[0]}{several}")
        return pools
