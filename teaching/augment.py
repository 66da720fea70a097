"""Further views of a clip that show the same action: mirrored, nearer, begun later, faster, brighter."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Iterable

import cv2
import numpy as np

LEAST_SCALE = 0.85
MOST_START = 0.5  # seconds
SPEEDS = 0.8, 1.25
BRIGHTNESS = 0.85, 1.18

# What a mirror turns into its opposite, in the six languages whose words for it are here. A word too many costs little.
_SIDES = frozenset(
    "left leftward leftwards right rightward rightwards clockwise anticlockwise counterclockwise "
    "links linke linker linken linkes rechts rechte rechter rechten rechtes "
    "gauche droite droit izquierda izquierdo derecha derecho "
    "sinistra sinistro destra destro esquerda esquerdo direita direito".split()
)


@dataclass(frozen=True)
class View:
    """How a clip is looked at.

    Attributes:
        mirror: Left and right are exchanged.
        scale: Share of the frame's height and width that is seen.
        left: Where that part is: 0 at the left edge, 1 at the right one.
        top: Likewise, 0 at the upper edge.
        start: Seconds of the clip that are left out at its beginning.
        speed: How many times as fast it plays.
        brightness: What all values are multiplied by.
        warm: Whether the model has just seen another clip.
    """

    mirror: bool = False
    scale: float = 1.0
    left: float = 0.5
    top: float = 0.5
    start: float = 0.0
    speed: float = 1.0
    brightness: float = 1.0
    warm: bool = False

    @property
    def plain(self) -> bool:
        """Whether this is what the program sees of a clip that it is started with."""
        return self == View()

    def picture(self, image: np.ndarray) -> np.ndarray:
        """Returns what is seen of a frame.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            uint8 [h, w, 3], of the same aspect; may share the frame's memory.
        """
        height, width = (max(1, round(side * self.scale)) for side in image.shape[:2])
        top, left = round((image.shape[0] - height) * self.top), round((image.shape[1] - width) * self.left)
        seen = image[top : top + height, left : left + width]
        if self.mirror:
            seen = cv2.flip(seen, 1)
        if self.brightness != 1:
            seen = cv2.convertScaleAbs(seen, alpha=self.brightness)
        return seen


def make_views(augment: int, *, mirror: bool, seed: bytes) -> list[View]:
    """Returns the views of one clip: the plain one, the same after another clip, and as many more as are wanted.

    The first ones are the same however many are wanted.

    Args:
        augment: How many more.
        mirror: Whether every other one of those may be mirrored.
        seed: What they depend on.
    """
    more = [
        _random_view(seed + bytes(f"/{number}", "ascii"), mirror=mirror and number % 2 == 0, warm=number // 2 % 2 == 1)
        for number in range(augment)
    ]
    return [View(), View(warm=True), *more]


def may_mirror(labels: Iterable[str]) -> bool:
    """Says whether no label speaks of a side: mirrored, clips of "walking left" would show another action."""
    return not any(_words(label) & _SIDES for label in labels)


def _words(label: str) -> set[str]:
    """Returns a label's words in lower case; "waveLeft" and "wave_left" have two."""
    parted = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", label)
    return {word.casefold() for word in re.findall(r"[^\W\d_]+", parted)}


def _random_view(seed: bytes, mirror: bool, warm: bool) -> View:
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest(), "big"))
    scale, left, top, start, speed, brightness = random.random(6).tolist()
    return View(
        mirror,
        LEAST_SCALE + (1 - LEAST_SCALE) * scale,
        left,
        top,
        MOST_START * start,
        _between(SPEEDS, speed),
        _between(BRIGHTNESS, brightness),
        warm,
    )


def _between(bounds: tuple[float, float], share: float) -> float:
    """Returns the factor that lies there between two, with doubling as far from 1 as halving."""
    return math.exp(math.log(bounds[0]) + share * math.log(bounds[1] / bounds[0]))
