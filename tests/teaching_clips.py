"""Clips of actions that the demo model never saw, for teaching it: one person, one room, one camera, as on a shelf."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2

from sources.play import TEACHING_ACTIONS, Play

BACKGROUND = "standing still"
"""What is taught as nothing happening; the only one of these that the demo model knows."""

_FPS = 15.0
_WIDTH, _HEIGHT = 320, 240
_SECONDS = 3.0


def write_clips(folder: Path, clips: int, seed: int = 0) -> None:
    """Writes folder/LABEL/NN.avi: for each of TEACHING_ACTIONS and BACKGROUND that many clips of three seconds.

    Other seeds are other people in other rooms.
    """
    labels = (*TEACHING_ACTIONS, BACKGROUND)
    play = Play(seed, labels, seconds=(_SECONDS + 0.5, _SECONDS + 0.5), acts=(8 * clips, 8 * clips))
    written: Counter[str] = Counter()
    start = 0.0
    while any(written[label] < clips for label in labels):
        label = play.action(start)
        if written[label] < clips:
            _write(folder / label / f"{written[label]:02d}.avi", play, start + 0.5)  # the pose before has faded by then
            written[label] += 1
        start += _SECONDS + 0.5


def _write(path: Path, play: Play, start: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), _FPS, (_WIDTH, _HEIGHT))
    for frame in range(round(_SECONDS * _FPS)):
        video.write(play.draw(start + frame / _FPS, _WIDTH, _HEIGHT))
    video.release()
