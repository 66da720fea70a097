"""Smooth flat shapes, placed with sub-pixel precision in units of the picture's height."""

from __future__ import annotations

import math
from typing import Tuple

import cv2
import numpy as np

Color = Tuple[float, float, float]

_SHIFT = 4  # fractional bits of a coordinate
_HALF_TURN = np.linspace(-math.pi / 2, math.pi / 2, 10)
_ARC = np.stack([np.cos(_HALF_TURN), np.sin(_HALF_TURN)], axis=1)
_TURN = np.linspace(0.0, 2 * math.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def color(rgb: str) -> Color:
    """Returns (blue, green, red), 0 to 255, of a colour written rrggbb."""
    return float(int(rgb[4:6], 16)), float(int(rgb[2:4], 16)), float(int(rgb[0:2], 16))


def mix(one: Color, other: Color, share: float) -> Color:
    """Returns the colour on the way from `one` (share 0) to `other` (share 1)."""
    return tuple(a + (b - a) * share for a, b in zip(one, other))  # type: ignore[return-value]


def shade(base: Color, amount: float) -> Color:
    """Makes a colour lighter (amount above 0) or darker (below), at most 1."""
    return mix(base, (255.0, 255.0, 255.0) if amount > 0 else (40.0, 20.0, 25.0), abs(amount))


class Canvas:
    """Draws on an image; x goes right, y down, both in units.

    Args:
        image: uint8 [H, W, 3], BGR.
        unit: Pixels of one unit.
        left: x of the image's left border.
        top: y of its upper border.
    """

    def __init__(self, image: np.ndarray, unit: float, left: float, top: float) -> None:
        self.image = image
        self.unit = unit
        self.left = left
        self.top = top
        self._scale = unit * (1 << _SHIFT)
        self._offset = np.array([left, top]) * self._scale + (1 << _SHIFT) / 2 - 0.5

    def polygon(self, points: np.ndarray, fill: Color) -> None:
        """Fills a convex polygon, float [N, 2]."""
        cv2.fillConvexPoly(self.image, self._fixed(points), fill, cv2.LINE_AA, _SHIFT)

    def area(self, points: np.ndarray, fill: Color) -> None:
        """Fills any simple polygon, float [N, 2]."""
        cv2.fillPoly(self.image, [self._fixed(points)], fill, cv2.LINE_AA, _SHIFT)

    def hull(self, points: np.ndarray, fill: Color) -> None:
        """Fills the convex hull of points, float [N, 2]."""
        self.polygon(cv2.convexHull(points.astype(np.float32)).reshape(-1, 2), fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Color) -> None:
        """Fills a rectangle."""
        self.polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), fill)

    def ellipse(self, x: float, y: float, wide: float, high: float, fill: Color, angle: float = 0.0) -> None:
        """Fills an ellipse with these half axes, turned by `angle` radians."""
        self.polygon(ellipse(x, y, wide, high, angle), fill)

    def limb(self, start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float, fill: Color) -> None:
        """Fills the hull of two circles: a round, tapered limb."""
        along = end - start
        length = math.hypot(along[0], along[1])
        ux, uy = (along[0] / length, along[1] / length) if length > 1e-6 else (1.0, 0.0)
        turned = _ARC @ np.array([[ux, uy], [-uy, ux]])
        self.polygon(np.concatenate([end + turned * end_radius, start - turned * start_radius]), fill)

    def line(self, points: np.ndarray, width: float, ink: Color) -> None:
        """Draws an open line through points, float [N, 2]; never thinner than a pixel."""
        thickness = max(1, round(width * self.unit))
        cv2.polylines(self.image, [self._fixed(points)], False, ink, thickness, cv2.LINE_AA, _SHIFT)

    def glow(self, x: float, y: float, wide: float, high: float, light: Color, strength: float) -> None:
        """Blends a soft ellipse over the picture: a shadow, or the light of a lamp."""
        rows, columns = self.image.shape[:2]
        cx, cy = (x - self.left) * self.unit - 0.5, (y - self.top) * self.unit - 0.5
        rx, ry = wide * self.unit, high * self.unit
        x0, x1 = max(0, int(cx - rx)), min(columns, int(cx + rx) + 2)
        y0, y1 = max(0, int(cy - ry)), min(rows, int(cy + ry) + 2)
        if x0 >= x1 or y0 >= y1:
            return
        squared = ((np.arange(x0, x1, dtype=np.float32) - cx) / rx) ** 2
        squared = squared + (((np.arange(y0, y1, dtype=np.float32) - cy) / ry) ** 2)[:, None]
        alpha = (np.clip(1.0 - squared, 0.0, 1.0) * strength).astype(np.float32)[..., None]
        part = self.image[y0:y1, x0:x1]
        part[:] = part + alpha * (np.array(light, np.float32) - part) + 0.5

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return np.rint(points * self._scale - self._offset).astype(np.int32)


def ellipse(x: float, y: float, wide: float, high: float, angle: float = 0.0) -> np.ndarray:
    """Returns points on an ellipse, float [N, 2]."""
    points = _CIRCLE * (wide, high)
    if angle:
        cos, sin = math.cos(angle), math.sin(angle)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    return points + (x, y)
