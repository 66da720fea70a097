"""How a clip model wants its frames: how many, how large, in which order of axes and in which range.

What the file doesn't say comes from the registry, by the file's name, or from flags.
"""

from __future__ import annotations

import os
import struct
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import models
from errors import ModelError, UserError
from flatbuffer import Table
from runtime import read_model

LAYOUTS = ("nthwc", "ncthw")
"""Axes of the input: n is 1, t the frames, c the three channels."""

# Fields of TensorFlow Lite's schema: Model.subgraphs, SubGraph.tensors and inputs, Tensor.shape and shape_signature.
_SUBGRAPHS, _TENSORS, _INPUTS, _SHAPE, _SIGNATURE = 2, 0, 1, 0, 7


@dataclass(frozen=True)
class ClipSettings:
    """What the user or the registry says of a clip model; None where they leave it open.

    Attributes:
        length: Frames of a clip, for a file that doesn't say.
        stride: A new prediction every so many frames; None for one a clip.
        size: Rows and columns of the picture, in pixels, for a file that doesn't say.
        layout: One of LAYOUTS, for a file whose shape leaves it open.
        mean: Of the pixels, 0..255, one number for all channels or three, red first; what the model wants is
            (pixel - mean) * scale.
        scale: Likewise.
    """

    length: int | None = None
    stride: int | None = None
    size: int | None = None
    layout: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("length", "stride", "size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"clip {name} is {value}; it must be 1 or more")
        if self.layout not in (None, *LAYOUTS):
            raise UserError(f"layout is {self.layout!r}; it must be one of {', '.join(LAYOUTS)}")
        for name in ("mean", "scale"):
            value = getattr(self, name)
            if value is not None and len(value) not in (1, 3):
                raise UserError(f"{name} has {len(value)} numbers; it must be one, or three for red, green, blue")
        if self.scale is not None and not all(self.scale):
            raise UserError("scale is 0; pixels times 0 are all alike")

    def over(self, other: ClipSettings) -> ClipSettings:
        """Returns these settings, those of the other where these leave something open."""
        mine, theirs = vars(self), vars(other)
        return ClipSettings(**{name: theirs[name] if mine[name] is None else mine[name] for name in mine})


@dataclass(frozen=True)
class ClipShape:
    """The input of a clip model.

    Attributes:
        length: Frames.
        height: Rows of a frame.
        width: Columns of a frame.
        layout: One of LAYOUTS.
    """

    length: int
    height: int
    width: int
    layout: str

    @property
    def axes(self) -> tuple[int, ...]:
        """The input's shape."""
        if self.layout == "nthwc":
            return 1, self.length, self.height, self.width, 3
        return 1, 3, self.length, self.height, self.width


def clip_shape(model: str | os.PathLike[str], shape: Sequence[int | None], settings: ClipSettings) -> ClipShape:
    """Returns the input of a model.

    Args:
        model: Its name, for messages.
        shape: Of its input, as the file has it; None where that leaves a size open.
        settings: Fill what is open.

    Raises:
        ModelError: It isn't a clip's; or something is open still, or contradicts the file.
    """
    refusal = f"model {model} can't be used for clips:"
    layout = settings.layout or _layout(shape)
    if len(shape) != 5 or layout is None or shape[0] not in (1, None):
        wanted = "[1, frames, height, width, 3] or [1, 3, frames, height, width]"
        raise ModelError(f"{refusal} its input {_written(shape)} is not {wanted}")
    channels = 4 if layout == "nthwc" else 1
    if shape[channels] not in (3, None):
        raise ModelError(f"{refusal} its input {_written(shape)} has not 3 channels where --layout {layout} has them")
    length, height, width = (shape[1:4] if layout == "nthwc" else shape[2:])  # fmt: skip
    if settings.length and length and settings.length != length:
        raise ModelError(f"{refusal} it takes clips of {length} frames, not {settings.length}; leave --clip-length out")
    if settings.size and {height or settings.size, width or settings.size} != {settings.size}:
        raise ModelError(f"{refusal} it takes {width}x{height} pixels, not {settings.size}; leave --clip-size out")
    length, height, width = length or settings.length, height or settings.size, width or settings.size
    if length is None:
        raise ModelError(f"{refusal} the file doesn't say how many frames it takes; give --clip-length")
    if height is None or width is None:
        raise ModelError(f"{refusal} the file doesn't say how large its picture is; give --clip-size")
    return ClipShape(length, height, width, layout)


def clip_settings(model: str | os.PathLike[str], options: Namespace) -> ClipSettings:
    """Returns what the command line says of a clip model, and for the rest the registry."""
    given = ClipSettings(
        options.clip_length, options.stride, options.clip_size, options.layout, options.mean, options.scale
    )
    return given.over(known_settings(model))


def known_settings(model: str | os.PathLike[str]) -> ClipSettings:
    """Returns what the registry says of a clip model of this file name."""
    known = getattr(models.known_model(model), "clip", None) or {}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
    return ClipSettings(**values)


def is_clip_model(model: str | os.PathLike[str]) -> bool:
    """Says whether a file is a model of clips: an .onnx file, or a .tflite file whose only input has several frames,
    or leaves their number open.

    A look at the file, without a runtime; False for a damaged one.

    Raises:
        ModelError: It is missing, unreadable, or no model.
    """
    if Path(model).suffix.lower() == ".onnx":
        return True
    try:
        shapes = input_shapes(read_model(model))
    except ModelError:
        raise
    except ValueError:
        return False
    return len(shapes) == 1 and _frames(shapes[0]) != 1


def input_shapes(content: bytes) -> list[list[int | None]]:
    """Returns the shapes of a .tflite file's inputs; None for a size that is open.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        graph = Table.root(content).tables(_SUBGRAPHS)[0]
        tensors = graph.tables(_TENSORS)
        return [_shape(tensors[index]) for index in graph.array(_INPUTS, "i")]
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a sound .tflite file: {error}") from None


def _shape(tensor: Table) -> list[int | None]:
    # Where a size is open, the shape has 1, and the signature, which other tensors don't have, -1.
    sizes = tensor.array(_SIGNATURE, "i") or tensor.array(_SHAPE, "i")
    return [size if size >= 0 else None for size in sizes]


def _written(shape: Sequence[int | None]) -> str:
    return f"[{', '.join(str(size or '?') for size in shape)}]"


def _layout(shape: Sequence[int | None]) -> str | None:
    """Returns where the three channels stand. A frame 3 pixels wide is no frame, so the last axis is asked first."""
    if len(shape) != 5:
        return None
    return "nthwc" if shape[4] == 3 else "ncthw" if shape[1] == 3 else None


def _frames(shape: Sequence[int | None]) -> int | None:
    """Returns the number of frames, None where it is open, 1 where the input is no clip."""
    layout = _layout(shape)
    return 1 if layout is None else shape[1] if layout == "nthwc" else shape[2]
