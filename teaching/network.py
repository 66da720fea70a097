"""The network that is taught: its body, up to what enters the classifier, and the file that gets another classifier.

Features are always read from the compiled float graph, the one that the live program runs: on an int8 one, teaching
fails (rounded activations lose what tells the owner's actions apart).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Mapping, Sequence

import cv2
import numpy as np

from compiled import prepare
from compiler.graph import Graph, load, save
from compiler.precision import agree
from compiler.rewrite import compile_graph
from compiler.unknown import drop_unknown
from compiler.verify import real_form, sampled_logits
from engine import Engine
from errors import ModelError, NotUnderstood, UserError
from memory import METADATA as POOLS
from memory import Memory, read_pools
from runtime import Runtime, choose_runtime, load_content, read_model
from signature import read_signature
from teaching.classifier import Classifier, cut, find_classifier, replace_by_unknown, replace_classifier
from teaching.description import METADATA as TEACHING
from teaching.description import write_description
from teaching.familiar import Familiar
from teaching.files import check_model_path, label_lines, write_model_files
from teaching.tflite_metadata import METADATA as TFLITE
from teaching.tflite_metadata import describe, pack_labels
from utils import FITS, fit_frame

PRECISIONS = ("float", "int8")


class Backbone:
    """A streaming model up to its classifier. Not for use by several threads at once.

    Args:
        model: A .tflite file.
        memory: About how many frames it remembers, as in VideoClassifier; None to remember all.
        threads: Threads for the kernels.
        fit: How a frame becomes the model's square: "crop", "stretch" or "pad".
        runtime: One of runtime.RUNTIMES.

    Attributes:
        features: How many numbers a step gives.
        input_size: The model's (height, width) in pixels.
        fit: As given.
        classifier: The model's own, float32 weights [classes, features] and bias [classes]; without "unknown".
        unknown: Whether it was taught to say "unknown", which is then one label more.
        key: A hash of all that the features depend on beside the frames: the body as it was compiled (so the compiler's
            version, too), memory and fit. Models that differ in the classifier only have the same.

    Raises:
        ModelError: The model can't be used, or has no classifier that can be told from its body.
        PackageError: No such runtime works here, or the compiler doesn't.
        UserError: Another argument is out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        memory: int | None,
        threads: int = 1,
        fit: str = "crop",
        runtime: str = "auto",
    ) -> None:
        if fit not in FITS:
            raise UserError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
        if memory is not None and memory < 1:
            raise UserError(f"memory is {memory!r}; it must be 1 frame or more")
        chosen = choose_runtime(runtime)
        graph, classifier, self.unknown = _compiled(model, chosen, "float", horizons=memory is not None)
        cut(graph, classifier)
        graph.metadata, graph.description = {POOLS: graph.metadata[POOLS]}, ""
        content = save(graph)
        self.classifier = classifier.weights, classifier.bias
        self.features: int = classifier.weights.shape[1]
        self.key = hashlib.sha256(hashlib.sha256(content).digest() + f"{memory}, {fit}".encode()).hexdigest()
        interpreter = load_content(model, content, chosen, threads)
        self._engine = Engine(interpreter, read_signature(interpreter, model))
        self._memory = None if memory is None else Memory(read_pools(graph.metadata[POOLS]), memory)
        self._image = self._engine.signature.image
        self.input_size: tuple[int, int] = (self._image.shape[2], self._image.shape[3])
        self.fit = fit
        self._model = model

    def reset(self) -> None:
        """Forgets the stream: the next frame is the first."""
        self._engine.reset()
        if self._memory is not None:
            self._memory.reset()

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Takes the next frame of the stream, of 5 a second.

        Args:
            frame: uint8 [H, W, 3] BGR, of any size.

        Returns:
            float32 [features], of the stream so far.

        Raises:
            ModelError: They are not numbers.
        """
        picture = cv2.cvtColor(fit_frame(frame, *self.input_size, self.fit), cv2.COLOR_BGR2RGB)
        self._engine.image[0, 0] = self._image.from_real(picture.astype(np.float32) / np.float32(255))
        if self._memory is not None:
            self._memory.bound(self._engine.states)
        features = self._engine.step()
        if not np.isfinite(features).all():
            raise ModelError(f"model {self._model} gives features that are not numbers; is it damaged?")
        return features

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Returns what the model's own classifier says: float32 [..., classes] of float32 [..., features]."""
        weights, bias = self.classifier
        return features @ weights.T + bias


def write_model(
    base: str | os.PathLike[str],
    weights: np.ndarray,
    bias: np.ndarray,
    labels: Sequence[str],
    path: str | os.PathLike[str],
    *,
    precision: str = "float",
    description: Mapping[str, Any],
    familiar: Familiar | None = None,
    force: bool = False,
    runtime: str = "auto",
) -> Path:
    """Writes a model file that is another one with a new classifier, and its labels beside it, both or neither.

    It holds the compiled graph as it is without a second horizon of memory: compiling it again changes nothing, and
    the program adds that horizon to it as to any other model.

    Args:
        base: The model whose body it gets.
        weights: float32 [classes, features], for a Backbone's features.
        bias: float32 [classes].
        labels: One name a class; the last is "unknown" where there is `familiar`.
        path: The file to write, NAME.tflite; the labels become NAME.txt.
        precision: "float", or "int8" for bases with 8-bit activations: their integer arithmetic stays in the file, for
            the program to choose. The classifier is float in both. Refused where rounding would change the answers.
        description: What the file is to say about its teaching, see description.py; JSON must be able to hold it.
        familiar: Adds the class "unknown" for what is unlike it.
        force: Whether files that exist may be replaced.
        runtime: What the new file is tried with, one of runtime.RUNTIMES.

    Returns:
        The path.

    Raises:
        ModelError: The base can't be used, or has no such form.
        OutputError: The files exist, can't be written, or would be taken for another model's.
        UserError: A label can't be a line of a text file, or another argument is out of range.
        ValueError: Weights, bias and labels don't belong together, or are not numbers.
        PackageError: No such runtime works here, or the compiler doesn't.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
    lines = label_lines(labels)
    check_model_path(path, force)
    chosen = choose_runtime(runtime)
    graph, classifier, _ = _compiled(base, chosen, precision, horizons=False)
    classes = len(labels) - (familiar is not None)
    shapes, wanted = (np.shape(weights), np.shape(bias)), (classes, classifier.weights.shape[1])
    if shapes != (wanted, wanted[:1]) or not classes:
        raise ValueError(f"{len(labels)} labels need weights {wanted} and bias {wanted[:1]}, not {shapes}")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError("weights or bias are not finite")
    if familiar is None:
        replace_classifier(graph, classifier, weights, bias)
    else:
        replace_by_unknown(graph, classifier, weights, bias, familiar)
        compile_graph(graph, precision)
    summary = f"Streaming video classifier of {len(labels)} actions, taught on the body of {Path(base).name}."
    graph.description = summary
    graph.metadata[TEACHING] = write_description(description)
    graph.metadata[TFLITE] = describe(graph, path.stem, summary)
    content = pack_labels(save(graph), lines)
    load_content(path, content, chosen, threads=1)  # Nothing is replaced by a file that doesn't run.
    if precision == "int8":
        rounded, real = sampled_logits(content, chosen), sampled_logits(real_form(content), chosen)
        # The taught classes by themselves, too: the samples are noise, far from all clips, and "unknown" far above all.
        if not (agree(rounded, real) and agree(rounded[:, :classes], real[:, :classes])):
            raise ModelError("taught in int8, it would say something else than what was fitted; write it as float")
    write_model_files(path, content, lines)
    return path


def _compiled(
    model: str | os.PathLike[str], runtime: Runtime, precision: str, horizons: bool
) -> tuple[Graph, Classifier, bool]:
    """Returns the graph that the live program would run, without a class "unknown", its classifier, and if it had one.

    Raises:
        ModelError: There is none.
        PackageError: The compiler doesn't work here.
    """
    source = read_model(model)
    read_signature(load_content(model, source, runtime, threads=1), model)
    prepared = prepare(model, source, runtime, precision, horizons)
    try:
        graph = load(bytes(prepared.content))
        if not prepared.compiled:
            raise NotUnderstood(str(prepared.note).partition(": ")[2])
        unknown = drop_unknown(graph)
        return graph, find_classifier(graph), unknown
    except NotUnderstood as reason:
        form = " in int8" if precision == "int8" else ""
        raise ModelError(f"can't teach model {model}{form}: {reason}") from None
