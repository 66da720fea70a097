"""The range that a model wants its pixels in: 0..1, unless the file, the registry or a flag says otherwise."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from model_metadata import Normalization, read_model_metadata

Numbers = Optional[Tuple[float, ...]]  # one for all channels or three, red first; None if not given


def mean_and_scale(normalization: Normalization | None) -> tuple[Numbers, Numbers]:
    """Returns what a file's metadata asks for, as the mean and scale of real_levels()."""
    if normalization is None:
        return None, None
    return normalization.mean, tuple(1 / std for std in normalization.std)


def range_inside(content: bytes) -> tuple[Numbers, Numbers]:
    """Returns mean and scale that a .tflite file's metadata asks for; None for both if it doesn't or is damaged."""
    try:
        return mean_and_scale(read_model_metadata(content).normalization)
    except ValueError:
        return None, None


def real_levels(mean: Numbers, scale: Numbers) -> np.ndarray:
    """Returns (value - mean) * scale of each value of a byte: float32 [1, 256, 1], or [1, 256, 3] for three channels.

    Without a mean it is 0; without a scale it is 1 if there is a mean, else 1/255.
    """
    middle = np.asarray(mean or (0,), np.float32)
    # Divided rather than multiplied: 1/255 can't be held exactly.
    divisor = np.asarray([1 / each for each in scale] if scale else (1,) if mean else (255,), np.float32)
    return ((np.arange(256, dtype=np.float32)[:, None] - middle) / divisor)[None]
