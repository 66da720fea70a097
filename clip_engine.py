"""A loaded .tflite model of clips: a window of frames in, logits out."""

from __future__ import annotations

import os
import struct
from typing import Any, Callable

import numpy as np

from clip_format import ClipSettings, clip_shape, input_shapes
from errors import ModelError
from flatbuffer import Table
from pixel_range import range_inside
from runtime import Runtime, load_content
from signature import Tensor

_SUBGRAPHS, _OPERATOR_CODES, _OPERATORS = 2, 1, 3  # of TensorFlow Lite's schema: Model, Model, SubGraph
_OPCODE, _OLD_CODE, _CODE = 0, 0, 3  # Operator, OperatorCode
_SOFTMAX = 25  # of BuiltinOperator


class ClipEngine:
    """Runs a .tflite model of clips. Not for several threads at once.

    Args:
        model: The file's name, for messages.
        content: Of the file.
        settings: What the user or the registry says of it.
        runtime: Runs it.
        threads: Threads for the kernels.

    Attributes:
        shape: Of the input.
        classes: How many logits there are.
        dtype: numpy type of the raw values that the input takes.
        settings: As given, with the range that the file's metadata asks for where they leave it open.

    Raises:
        ModelError: It is damaged, beyond this runtime, or no model of clips.
    """

    def __init__(
        self, model: str | os.PathLike[str], content: bytes, settings: ClipSettings, runtime: Runtime, threads: int
    ) -> None:
        self._interpreter = load_clip_model(model, content, settings, runtime, threads)
        inputs = [_tensor(detail) for detail in self._interpreter.get_input_details()]
        outputs = [_tensor(detail) for detail in self._interpreter.get_output_details()]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"model {model} is no clip model: it takes {len(inputs)} tensors and gives {len(outputs)}, not one each"
            )
        self._image, self._logits = inputs[0], outputs[0]
        self.shape = clip_shape(model, self._image.shape, settings)
        mean, scale = range_inside(content)
        self.settings = settings.over(ClipSettings(mean=mean, scale=scale))
        self.dtype = self._image.dtype
        self.classes = int(np.prod(self._logits.shape))
        if self._logits.shape[0] != 1 or not self.classes or self._logits.shape[-1] != self.classes:
            raise ModelError(f"model {model} is no clip model: output {self._logits} is not [1, classes]")
        for tensor in (self._image, self._logits):
            if not (tensor.dtype is np.float32 or tensor.quantized and tensor.convertible):
                raise ModelError(f"model {model}: {tensor} is neither float32 nor quantized with a known scale")
        self._probable = _ends_in_softmax(content)

    def raw(self, real: np.ndarray) -> np.ndarray:
        """Returns the input's raw values for real ones, float32."""
        return self._image.from_real(real)

    def run(self, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        """Runs the model.

        Args:
            fill: Writes the window of frames, raw values, into the array of the input's shape that it is given.

        Returns:
            The logits, float32 [classes].
        """
        # The view is gone before the run: the runtime refuses to run while one is held.
        fill(self._interpreter.tensor(self._image.index)())
        self._interpreter.invoke()
        output = self._logits.to_real(self._interpreter.get_tensor(self._logits.index)).reshape(-1)
        return logits_of(output) if self._probable else output


def load_clip_model(
    model: str | os.PathLike[str], content: bytes, settings: ClipSettings, runtime: Runtime, threads: int
) -> Any:
    """Loads a model of clips; sizes that the file leaves open are those of the settings."""
    try:
        shapes = input_shapes(content)
    except ValueError:  # load_content says so
        shapes = []
    open_sizes = len(shapes) == 1 and None in shapes[0]
    axes = clip_shape(model, shapes[0], settings).axes if open_sizes else None
    return load_content(model, content, runtime, threads, axes)


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Returns logits whose softmax is what a model that ends in a softmax gives."""
    return np.log(np.maximum(probabilities, np.float32(1e-30)))


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(size) for size in detail["shape"])
    return Tensor(detail["name"], int(detail["index"]), shape, detail["dtype"], float(scale), int(zero_point))


def _ends_in_softmax(content: bytes) -> bool:
    """Says whether a softmax is among the last two operators: a DEQUANTIZE or RESHAPE may follow it."""
    try:
        model = Table.root(content)
        codes = [max(code.number(_OLD_CODE, "b"), code.number(_CODE, "i")) for code in model.tables(_OPERATOR_CODES)]
        operators = model.tables(_SUBGRAPHS)[0].tables(_OPERATORS)[-2:]
        return _SOFTMAX in [codes[operator.number(_OPCODE)] for operator in operators]
    except (struct.error, IndexError):
        return False
