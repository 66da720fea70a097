"""The clips for teaching are what they should be: new actions, all in one room."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from teaching_clips import BACKGROUND, write_clips

from sources import open_source
from sources.play import ACTIONS, TEACHING_ACTIONS


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, clips=2, seed=3)
    return folder


def frames(path: Path) -> list[np.ndarray]:
    source = open_source(str(path))
    found = list(iter(source.read, None))
    source.close()
    return [frame.image for frame in found]


def test_the_demo_model_never_saw_them():
    assert not set(TEACHING_ACTIONS) & set(ACTIONS)
    assert BACKGROUND in ACTIONS


def test_every_label_has_its_clips(clips):
    assert {path.name for path in clips.iterdir()} == {*TEACHING_ACTIONS, BACKGROUND}
    for label in clips.iterdir():
        assert len(list(label.iterdir())) == 2
        for path in label.iterdir():
            assert len(frames(path)) == 45  # three seconds at 15 frames a second


def test_all_are_taken_in_one_room(clips):
    """Its top corners, which nobody reaches, look the same in all clips but for the hand that may hold the camera."""
    corners = [frames(path)[0][:30, :30].astype(float) for path in sorted(clips.glob("*/*.avi"))]
    for corner in corners[1:]:
        assert np.abs(corner.mean(axis=(0, 1)) - corners[0].mean(axis=(0, 1))).max() < 12


def test_the_new_actions_move_and_the_background_hardly_does(clips):
    def motion(label: str) -> float:
        grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(float) for image in frames(clips / label / "00.avi")]
        return float(np.mean([np.abs(one - other).mean() for one, other in zip(grey, grey[5:])]))

    assert all(motion(label) > 2 * motion(BACKGROUND) for label in TEACHING_ACTIONS)
