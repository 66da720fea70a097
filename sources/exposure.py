"""Bounds the automatic exposure of a Pi camera, since long exposures blur what moves."""

from __future__ import annotations

from typing import Any

# Frames for which the picture must be too bright before the exposure is let go: a change takes a few frames to be seen.
PATIENCE = 30


class ExposureLimit:
    """Switches between automatic and fixed exposure, by what each frame was taken with.

    libcamera has no control for a longest exposure. It can be fixed, and then amplification alone keeps the picture
    bright: right in dim light, too bright in sunlight. So the exposure is fixed at the limit, let go when no
    amplification is left to take back, and fixed again when it grows beyond the limit.

    Args:
        longest: Seconds.
        least_gain: The sensor's lowest amplification.
    """

    def __init__(self, longest: float, least_gain: float) -> None:
        self._longest = round(longest * 1e6)  # microseconds
        self._least_gain = least_gain * 1.01
        self._fixed = True
        self._bright = 0  # frames in a row

    def start(self) -> dict[str, Any]:
        """Returns the controls to start the camera with."""
        return {"ExposureTime": self._longest}

    def adjust(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Returns the controls to set after a frame, most often none.

        Args:
            metadata: The frame's, with ExposureTime in microseconds and AnalogueGain.
        """
        if not self._fixed:
            if metadata["ExposureTime"] <= self._longest:
                return {}
            self._fixed, self._bright = True, 0
            return {"ExposureTime": self._longest}
        self._bright = self._bright + 1 if metadata["AnalogueGain"] <= self._least_gain else 0
        if self._bright < PATIENCE:
            return {}
        self._fixed = False
        return {"ExposureTime": 0}  # automatic
