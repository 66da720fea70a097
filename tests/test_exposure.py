"""The bound on a Pi camera's exposure, against a simulated automatic exposure."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from sources.exposure import ExposureLimit

LIMIT = 0.008  # seconds
# Raspberry Pi's tuning of the imx219, exposure mode "normal": microseconds, and the gain up to which each is used. At
# 30 frames a second no exposure is longer than a frame.
LADDER = [(100, 1.0), (10_000, 2.0), (30_000, 4.0), (33_333, 10.7)]
DELAY = 3  # frames from a control to the first frame taken with it


class Camera:
    """Takes frames as a Pi camera does: exposure times gain is what the light needs, within its ladder.

    Attributes:
        frames: (exposure in microseconds, exposure times gain over what the light needs), of each frame.
    """

    def __init__(self, limit: ExposureLimit) -> None:
        self.limit = limit
        self.frames: list[tuple[float, float]] = []
        self.changes = 0
        self.pipe = deque([limit.start()["ExposureTime"]] * DELAY)

    def see(self, needed: float) -> None:
        """One frame in a light that needs so much exposure times gain, in microseconds."""
        fixed = self.pipe.popleft()
        exposure, gain = (fixed, float(np.clip(needed / fixed, 1.0, 10.7))) if fixed else automatic(needed)
        self.frames.append((exposure, exposure * gain / needed))
        controls = self.limit.adjust({"ExposureTime": round(exposure), "AnalogueGain": gain})
        self.changes += bool(controls)
        self.pipe.append(controls.get("ExposureTime", self.pipe[-1]))


def automatic(needed: float) -> tuple[float, float]:
    """Climbs the ladder, exposure first and gain then, until both make up for the light."""
    gain = 1.0
    for exposure, most in LADDER:
        if exposure * gain >= needed:
            return needed / gain, gain
        gain = min(most, needed / exposure)
        if exposure * gain >= needed:
            return exposure, gain
    return exposure, gain


@pytest.mark.parametrize("needed", [9_000, 20_000, 60_000, 1_000_000])
def test_in_dim_light_no_frame_is_exposed_longer(needed):
    camera = Camera(ExposureLimit(LIMIT, 1.0))
    for _ in range(300):
        camera.see(needed)
    assert max(exposure for exposure, _ in camera.frames) <= 8_000
    # As bright as the sensor's gain of 10.7 can make it.
    assert camera.frames[-1][1] == pytest.approx(min(1.0, 8_000 * 10.7 / needed))


@pytest.mark.parametrize("needed", [200, 2_000, 7_900])
def test_in_bright_light_the_exposure_is_automatic(needed):
    camera = Camera(ExposureLimit(LIMIT, 1.0))
    for _ in range(300):
        camera.see(needed)
    assert all(brightness == pytest.approx(1.0) for _, brightness in camera.frames[60:])
    assert camera.changes == 1


def test_clouds_come_and_go():
    camera = Camera(ExposureLimit(LIMIT, 1.0))
    light = np.exp(np.linspace(np.log(500), np.log(80_000), 900))  # half a minute
    for needed in [*light, *light[::-1], *light, *light[::-1]]:
        camera.see(needed)
    too_long = sum(exposure > 8_000 for exposure, _ in camera.frames)
    # While the bound takes hold again, each of the two times that it grows dark.
    assert 0 < too_long <= 2 * (DELAY + 1)
    assert camera.changes <= 6
    assert max(brightness for _, brightness in camera.frames[60:]) < 1.3


def test_light_that_wavers_about_the_limit_is_not_chased():
    camera = Camera(ExposureLimit(LIMIT, 1.0))
    random = np.random.default_rng(0)
    for _ in range(900):
        camera.see(8_000 * random.normal(1.0, 0.02))
    assert camera.changes <= 60  # twice a second at most, over half a minute
    assert sum(exposure > 8_000 for exposure, _ in camera.frames) < 90


def test_the_lowest_gain_is_the_sensors_own():
    limit = ExposureLimit(LIMIT, 1.12)  # imx708
    changes = [limit.adjust({"ExposureTime": 8_000, "AnalogueGain": 1.1228}) for _ in range(100)]
    assert {"ExposureTime": 0} in changes
