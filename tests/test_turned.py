"""Turned pictures, of any kind of source."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sources import Frame, open_source
from sources.turned import turn


class Two:
    """A source of two frames that don't look the same turned."""

    name, live, fps = "two", True, 12.5

    def __init__(self):
        image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
        self.frames = [Frame(image, 1.5, 0, image[::2, ::2]), Frame(image, 2.5, 1)]
        self.closed = 0

    def read(self):
        return self.frames.pop(0) if self.frames else None

    def close(self):
        self.closed += 1

    def truth(self, timestamp):
        return f"waving at {timestamp}"


@pytest.mark.parametrize("degrees, quarters", [(90, -1), (180, 2), (270, 1)])  # np.rot90 turns anticlockwise
def test_image_and_small_image_are_turned_clockwise(degrees, quarters):
    original = Two().frames[0]
    source = turn(Two(), degrees)
    frame = source.read()
    assert np.array_equal(frame.image, np.rot90(original.image, quarters))
    assert np.array_equal(frame.lores, np.rot90(original.lores, quarters))
    assert (frame.timestamp, frame.index) == (1.5, 0)
    assert source.read().lores is None
    assert source.read() is None


def test_everything_else_is_the_sources_own():
    two = Two()
    source = turn(two, 90)
    assert (source.name, source.live, source.fps) == ("two", True, 12.5)
    assert source.truth(3) == "waving at 3"
    assert not hasattr(source, "nothing of that name")
    source.close()
    assert two.closed == 1


def test_what_needs_no_turning_is_left_as_it_is():
    two = Two()
    assert turn(two, 0) is two
    two.rotation = 180  # turned by the camera
    assert turn(two, 180) is two
    assert np.array_equal(turn(two, 0).read().image, np.rot90(Two().frames[0].image, 2))


@pytest.mark.parametrize("kind", ["video", "folder", "demo"])
def test_real_sources(tmp_path, kind):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    uri = {"video": str(tmp_path / "a.avi"), "folder": str(tmp_path), "demo": "demo"}[kind]
    if kind == "video":
        writer = cv2.VideoWriter(uri, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        writer.write(image)
        writer.release()
    else:
        cv2.imwrite(str(tmp_path / "a.png"), image)
    source = turn(open_source(uri, width=64, height=48), 90)
    turned = source.read().image
    source.close()
    assert turned.shape == (64, 48, 3) and turned.flags.c_contiguous
    if kind != "demo":
        assert turned[5, 43].min() > 240 and turned[5, 5].max() < 15 and turned[60, 43].max() < 15
