"""Noise, light and codecs are not motion; a hand is."""

from __future__ import annotations

import io
from fractions import Fraction

import cv2
import numpy as np
import pytest

from motion import Motion

FPS = 10
SETTLING = 8  # seconds that a test gives the background


@pytest.fixture(scope="module")
def room():
    """A room: light wall, dark furniture, a gradient, edges."""
    image = np.empty((240, 320, 3), np.uint8)
    image[:] = np.linspace(70, 190, 320)[None, :, None]
    cv2.rectangle(image, (20, 125), (130, 235), (40, 60, 90), -1)
    cv2.circle(image, (240, 70), 35, (210, 220, 235), -1)
    image[190:] //= 2
    return image


class Sensor:
    """Adds noise of `sigma` grey levels a pixel, another each time."""

    def __init__(self, sigma):
        self.sigma, self.random = sigma, np.random.default_rng(7)
        self.noise = self.random.standard_normal((480, 320, 3), np.float32)

    def __call__(self, image, gain=1.0):
        first = self.random.integers(240)
        return np.clip(image * np.float32(gain) + self.sigma * self.noise[first : first + 240], 0, 255).astype(np.uint8)


def watch(pictures, fps=FPS):
    """Returns the moments at which something changed, in seconds."""
    motion = Motion()
    return [index / fps for index, image in enumerate(pictures) if motion.changed(image, index / fps)]


@pytest.mark.parametrize("sigma", [0, 2, 5, 10, 20])
def test_a_still_room_is_still_however_noisy_the_sensor(room, sigma):
    sensor = Sensor(sigma)

    assert watch(sensor(room) for _ in range(30 * FPS)) == [0.0]


@pytest.mark.parametrize("change", [-0.01, 0.01])  # of its brightness a second: a day breaks in minutes
def test_slow_light_is_not_motion(room, change):
    sensor = Sensor(5)

    assert watch(sensor(room, 0.8 + change * index / FPS) for index in range(30 * FPS)) == [0.0]


def test_a_camera_that_hunts_for_its_exposure_is_not_motion(room):
    sensor = Sensor(4)

    assert watch(sensor(room, 0.9 + 0.04 * np.sin(2 * index / FPS)) for index in range(30 * FPS)) == [0.0]


def test_lamps_that_flicker_with_the_mains_are_not_motion(room):
    sensor, rows = Sensor(4), np.arange(240)[:, None, None]
    # A rolling shutter turns it into bands that wander.
    bands = [room * (0.9 + 0.03 * np.sin(rows / 20 + 1.3 * index)) for index in range(30 * FPS)]

    assert watch(sensor(image) for image in bands) == [0.0]


@pytest.mark.parametrize("bit_rate", [50_000, 1_000_000])
def test_a_codec_that_repaints_a_still_picture_is_not_motion(room, bit_rate):
    av = pytest.importorskip("av", reason="a codec is needed to see what one does")
    sensor, file = Sensor(8), io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, 240, "yuv420p", bit_rate
        stream.gop_size, stream.options = 2 * FPS, {"preset": "ultrafast", "tune": "zerolatency"}
        for _ in range(20 * FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(sensor(room), format="bgr24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        moments = watch(frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))

    assert [moment for moment in moments if moment > SETTLING] == []


def test_a_blinking_lamp_is_not_motion(room):
    sensor, lit = Sensor(5), room.copy()
    cv2.circle(lit, (162, 162), 2, (255, 255, 255), -1)

    assert watch(sensor(lit if index % FPS < FPS / 2 else room) for index in range(20 * FPS)) == [0.0]


@pytest.mark.parametrize("sigma", [0, 5, 10])
@pytest.mark.parametrize("place", [(0, 0), (167, 109), (300, 220)])
def test_a_hand_is_motion_on_its_first_frame(room, sigma, place):
    sensor, (x, y) = Sensor(sigma), place
    hand = room.copy()
    hand[y : y + 20, x : x + 20] += 45
    pictures = [sensor(room) for _ in range(SETTLING * FPS)] + [sensor(hand)]

    assert watch(pictures) == [0.0, SETTLING]


@pytest.mark.parametrize("gain", [0.1, 0.6, 1.6])
def test_switching_the_light_is_motion(room, gain):
    sensor = Sensor(5)
    pictures = [sensor(room) for _ in range(SETTLING * FPS)] + [sensor(room, gain)]

    assert watch(pictures) == [0.0, SETTLING]


def test_a_camera_that_is_turned_sees_motion_all_the_while(room):
    sensor = Sensor(5)
    pictures = [sensor(np.roll(room, 6 * index, axis=1)) for index in range(10 * FPS)]

    assert len(watch(pictures)) > 0.95 * len(pictures)


def test_what_is_put_down_becomes_part_of_the_room(room):
    sensor, chair = Sensor(5), room.copy()
    cv2.rectangle(chair, (150, 100), (210, 200), (20, 20, 160), -1)
    moments = watch(sensor(chair if index >= SETTLING * FPS else room) for index in range((SETTLING + 20) * FPS))

    assert SETTLING in moments
    assert max(moments) < SETTLING + 10


def test_somebody_who_moves_slowly_is_seen_again_and_again(room):
    sensor = Sensor(5)

    def picture(seconds):  # a head, 5 pixels a second
        image = room.copy()
        cv2.circle(image, (125 + round(5 * seconds), 100), 15, (60, 90, 140), -1)
        return sensor(image)

    moments = np.array(watch(picture(index / FPS) for index in range(20 * FPS)))

    assert np.diff(moments).max() < 2


@pytest.mark.parametrize("size", [(172, 172), (320, 240), (1920, 1080), (1080, 1920), (24, 24)])
def test_pictures_of_any_size_will_do(room, size):
    still = cv2.resize(room, size)
    other = still.copy()
    other[: size[1] // 4, : size[0] // 4] = 255 - other[: size[1] // 4, : size[0] // 4]
    pictures = [still] * (SETTLING * FPS) + [other]

    assert watch(pictures) == [0.0, SETTLING]


def test_the_size_may_change_on_the_way(room):
    """A camera that is plugged in again may choose another one."""
    pictures = [room] * (SETTLING * FPS) + [cv2.resize(room, (640, 480))] * FPS + [255 - room]

    assert watch(pictures)[-1] == SETTLING + 1
