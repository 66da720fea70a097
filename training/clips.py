"""Labelled clips of the drawn world that `--source demo` shows: what the demo model is trained and tested on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from errors import UserError
from sources.play import ACTIONS, Play
from utils import fit_frame

FPS = 5.0
"""Frames a second that the published models were trained at."""

MEMORY = 12
"""Frames that the program remembers by default: --memory 2.4 at 5 fps."""

MIRRORED = tuple(
    ACTIONS.index({"walking left": "walking right", "walking right": "walking left"}.get(action, action))
    for action in ACTIONS
)
"""What each of ACTIONS becomes, as an index, when left and right are swapped."""

HELD_OUT = 1_000_000_000
"""What the model is measured on is drawn from this seed on; what it is trained on, from seeds below."""

_CLIPS = 10_000_000  # seeds that a training has for its clips; it draws 15,600
_LAST_SEED = HELD_OUT // _CLIPS - 2
_CAMERA_HEIGHT = 480  # pixels of the pictures that --source demo gives
_SHORT = (1.6, 4.0)  # seconds an action of a training clip lasts, so that most clips show a change


@dataclass(frozen=True)
class Clip:
    """A run of frames with its truth.

    Attributes:
        frames: uint8 [T, S, S, 3] RGB.
        labels: int64 [T], indices into ACTIONS.
        ages: int64 [T], frames of the same action before this one, within the clip.
    """

    frames: np.ndarray
    labels: np.ndarray
    ages: np.ndarray


def first_clip(seed: int) -> int:
    """Returns the seed of the first clip of a training; those of its other clips follow.

    Args:
        seed: The training's.

    Raises:
        UserError: There is none: its clips would be among those that the model is measured on.
    """
    if not 0 <= seed <= _LAST_SEED:
        raise UserError(
            f"--seed {seed} is not between 0 and {_LAST_SEED}; others' clips are what the model is measured on"
        )
    return (seed + 1) * _CLIPS


def draw_clip(seed: int, frames: int, size: int) -> Clip:
    """Draws one training clip: a few seconds from anywhere in a play of short actions.

    The picture is drawn at a random size between the model's and the camera's, then made the model's as the program
    does it, so that the model knows both smooth and jagged edges.
    """
    random = np.random.default_rng(seed)
    play = Play(seed, seconds=_SHORT)
    start = random.uniform(0, 20)
    side = int(random.integers(size, max(size, round(_CAMERA_HEIGHT * size / 172)) + 1))
    times = start + np.arange(frames) / FPS
    labels = np.array([ACTIONS.index(play.action(t)) for t in times], np.int64)
    pictures = [fit_frame(play.draw(t, side, side), size, size, "crop") for t in times]
    return Clip(np.stack([cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in pictures]), labels, ages_of(labels))


def ages_of(labels: np.ndarray) -> np.ndarray:
    """Returns for each frame how many of the same action, int64 [T], stand right before it.

    Example:
        ages_of(np.array([3, 3, 3, 5, 5]))  # 0, 1, 2, 0, 1
    """
    places = np.arange(len(labels))
    changed = np.concatenate(([True], labels[1:] != labels[:-1]))
    return places - np.maximum.accumulate(np.where(changed, places, 0))


class Clips:
    """Training clips numbered by seed, drawn when they are asked for: a data set for torch's DataLoader.

    Args:
        first_seed: The seed of clip 0.
        count: How many there are.
        frames: T of each.
        size: S of each, in pixels.
    """

    def __init__(self, first_seed: int, count: int, frames: int, size: int) -> None:
        self._first_seed = first_seed
        self._count = count
        self._frames = frames
        self._size = size

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clip = draw_clip(self._first_seed + index, self._frames, self._size)
        return clip.frames, clip.labels, clip.ages
