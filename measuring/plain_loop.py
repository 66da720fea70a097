"""The usual way to run a streaming model, as examples do it: the yardstick of the table."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np


class PlainLoop:
    """A signature runner called with the frame and a dictionary of the states; softmax, and a sort of all classes.

    Args:
        interpreter: With its tensors allocated.
        labels: The class names.
    """

    def __init__(self, interpreter: Any, labels: list[str]) -> None:
        self._labels = labels
        self._runner = interpreter.get_signature_runner()
        details = self._runner.get_input_details()
        self._image = details.pop("image")
        self._states = {
            name: np.full(each["shape"], each["quantization"][1], each["dtype"]) for name, each in details.items()
        }

    def step(self, frame: np.ndarray) -> list[tuple[str, float]]:
        """Takes a BGR frame, uint8 [H, W, 3]; returns the three best classes with their probabilities."""
        _, _, height, width, _ = self._image["shape"]
        picture = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (int(width), int(height)))
        image = picture[None, None].astype(np.float32) / 255
        scale, zero = self._image["quantization"]
        if scale:
            image = np.round(image / scale + zero).astype(self._image["dtype"])
        self._states = self._runner(**self._states, image=image)
        exponentials = np.exp(np.squeeze(self._states.pop("logits")).astype(np.float32))
        probabilities = exponentials / exponentials.sum()
        pairs = [(label, float(probability)) for label, probability in zip(self._labels, probabilities)]
        return sorted(pairs, key=lambda pair: pair[1], reverse=True)[:3]
