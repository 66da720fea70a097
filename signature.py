"""What a streaming model takes and gives: an image, logits, and states that are both, told apart by name."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from errors import ModelError

PROBABILITIES = "probabilities"
"""Name of an output beside the logits, their softmax, which the compiler adds for engine.py."""

NEWEST = "/newest"
"""Stands behind a state's name where only its newest part leaves the graph, likewise; see Signature.states."""


@dataclass(frozen=True)
class Tensor:
    """A tensor at the model's border. Where it is quantized, real value = scale * (raw value - zero point).

    Attributes:
        name: In the signature.
        index: The interpreter's number for it.
        shape: Its shape.
        dtype: numpy type of the raw values.
        scale: Real size of one raw unit; 0 if not quantized.
        zero_point: The raw value that stands for real zero.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: type
    scale: float
    zero_point: int

    def __str__(self) -> str:
        return f"{self.name} ({np.dtype(self.dtype).name} {list(self.shape)})"

    @property
    def size(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)

    @property
    def storage(self) -> tuple[type, float, int]:
        """Tensors of equal storage mean the same real numbers by the same raw ones."""
        return self.dtype, self.scale, self.zero_point

    @property
    def quantized(self) -> bool:
        """Whether raw values aren't the real ones. A frame count, int32, is what it says."""
        return self.dtype in (np.int8, np.uint8, np.int16)

    @property
    def zero(self) -> int:
        """The raw value of real zero."""
        return self.zero_point if self.quantized else 0

    @property
    def convertible(self) -> bool:
        """Whether the real numbers behind the raw ones are known."""
        return not self.quantized or self.scale > 0

    def to_real(self, raw: np.ndarray) -> np.ndarray:
        """Returns raw values as float32."""
        real = raw.astype(np.float32)
        return (real - self.zero_point) * np.float32(self.scale) if self.quantized else real

    def from_real(self, real: np.ndarray) -> np.ndarray:
        """Returns the raw values nearest to float32 numbers."""
        if not self.quantized:
            return real.astype(self.dtype)
        limits: np.iinfo = np.iinfo(self.dtype)
        return np.clip(np.rint(real / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)


@dataclass(frozen=True)
class Signature:
    """The border of a streaming model.

    Attributes:
        image: Input, float32 or quantized [1, 1, H, W, 3].
        logits: Output, float32 or quantized [1, classes].
        states: Each state as it enters and as it leaves; both are one tensor where the graph passes it through. One
            that leaves under its name and NEWEST is to be made whole: all moves towards the front of the memory by the
            size of what left, which is then put at the end.
        probabilities: Output, float32 [1, classes], the softmax of the logits; None in files of others.
        fixed: Whether all sizes are known before the graph runs; else its tensors may move whenever it does.
    """

    image: Tensor
    logits: Tensor
    states: list[tuple[Tensor, Tensor]]
    probabilities: Tensor | None = None
    fixed: bool = True

    @property
    def counts(self) -> list[Tensor]:
        """States of a whole number that changes, as frame counts are."""
        changing = [entering for entering, leaving in self.states if entering.index != leaving.index]
        return [state for state in changing if state.dtype in (np.int32, np.int64) and state.size == 1]


def read_signature(interpreter: Any, model: str | os.PathLike[str]) -> Signature:
    """Reads the only signature of a model, whatever its key; a tensor's position means nothing.

    The model is run once, on zeros: till then, sizes that are found as it runs are those that the file says.

    Args:
        interpreter: With its tensors allocated, fresh.
        model: The file's name, for messages.

    Raises:
        ModelError: The model isn't a streaming video classifier.
    """
    refusal = f"model {model} is not a streaming video classifier:"
    keys = list(interpreter.get_signature_list())
    if len(keys) != 1:
        raise ModelError(f"{refusal} it has {len(keys)} signatures, not one")
    fixed = run_on_zeros(interpreter)
    runner = interpreter.get_signature_runner(keys[0])
    inputs, outputs = _tensors(runner.get_input_details()), _tensors(runner.get_output_details())

    leaving = {
        name[: -len(NEWEST)] if name.endswith(NEWEST) and name not in inputs else name: tensor
        for name, tensor in outputs.items()
    }
    states = [(tensor, leaving[name]) for name, tensor in inputs.items() if name in leaving]
    images = [tensor for name, tensor in inputs.items() if name not in leaving]
    given = {name: tensor for name, tensor in leaving.items() if name not in inputs}
    probabilities = given.pop(PROBABILITIES, None) if len(given) > 1 else None
    logits = list(given.values())
    if not states:
        if len(images) == 1 and len(images[0].shape) == 5 and images[0].shape[1] > 1:
            raise ModelError(
                f"{refusal} it looks at clips, {images[0]}, which only classify.py runs (as a library: ClipClassifier)"
            )
        raise ModelError(f"{refusal} it has no states (inputs that are outputs too); get the 'stream' variant of it")
    if len(images) != 1:
        raise ModelError(f"{refusal} beside states it takes {_listed(images)}, not one image")
    if len(logits) != 1:
        raise ModelError(f"{refusal} beside states it gives {_listed(logits)}, not only logits")
    signature = Signature(images[0], logits[0], states, probabilities, fixed)
    complaint = _complaint(signature)
    if complaint:
        raise ModelError(f"{refusal} {complaint}")
    if -1 in runner.get_input_details()[images[0].name]["shape_signature"][2:4]:  # Its shape has 1 there.
        raise ModelError(f"{refusal} input {images[0]} leaves the size of its picture open; export it with a fixed one")
    return signature


def run_on_zeros(interpreter: Any) -> bool:
    """Runs a fresh graph once; returns whether all sizes were known before, so that its tensors never move."""
    before = _places(interpreter)
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    return None not in before and before == _places(interpreter)


def _places(interpreter: Any) -> list[tuple[int, tuple[int, ...]] | None]:
    """Returns address and shape of each output, None for one that has no memory before the first run.

    Where XNNPACK takes the rest of a graph, ai-edge-litert gives one memory at once, and other memory as it runs.
    """
    places: list[tuple[int, tuple[int, ...]] | None] = []
    for output in interpreter.get_output_details():
        try:
            view = interpreter.tensor(output["index"])()
            places.append((view.ctypes.data if np.ndim(view) else 0, view.shape))  # 0: lent as a number, not a view
        except ValueError:
            places.append(None)
    return places


def _complaint(signature: Signature) -> str | None:
    image, logits, probabilities = signature.image, signature.logits, signature.probabilities
    if len(image.shape) != 5 or image.shape[:2] != (1, 1) or image.shape[4] != 3 or 0 in image.shape:
        return f"input {image} is not [1, 1, height, width, 3]"
    if len(logits.shape) != 2 or logits.shape[0] != 1 or 0 in logits.shape:
        return f"output {logits} is not [1, classes]"
    for tensor in (image, logits):
        if not (tensor.dtype is np.float32 or tensor.quantized and tensor.convertible):
            return f"{tensor} is neither float32 nor quantized with a known scale"
    if probabilities is not None and (probabilities.shape, probabilities.dtype) != (logits.shape, np.float32):
        return f"output {probabilities} is not the probabilities of {logits}"
    for given, left in signature.states:
        if () in (given.shape, left.shape):  # The runtimes lend no view of such a tensor.
            return f"state {given} has no dimensions; a frame count must be [1]"
        newest = left.name == given.name + NEWEST and left.size < given.size
        if given.shape != left.shape and not newest:
            return f"state {given} leaves with another shape, {list(left.shape)}"
        if given.storage != left.storage and not (given.convertible and left.convertible):
            return f"state {given} leaves as {np.dtype(left.dtype).name}, on an unknown scale"
    return None


def _tensors(details: dict[str, dict[str, Any]]) -> dict[str, Tensor]:
    tensors = {}
    for name, each in details.items():
        scale, zero_point = each["quantization"]
        shape = tuple(int(size) for size in each["shape"])
        tensors[name] = Tensor(name, int(each["index"]), shape, each["dtype"], float(scale), int(zero_point))
    return tensors


def _listed(tensors: list[Tensor]) -> str:
    return ", ".join(sorted(str(tensor) for tensor in tensors)) or "nothing"
