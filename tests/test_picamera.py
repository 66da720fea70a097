"""The Pi camera, on a stand-in for picamera2 that is held to what the real one is documented to do.

"manual" is Raspberry Pi's Picamera2 manual, "source" picamera2's own docstrings and code (version 0.3.27).
"""

from __future__ import annotations

import concurrent.futures
import sys
import time
import types

import numpy as np
import pytest

from errors import PackageError, SourceError
from sources import open_source

SCENE = (200, 90, 20)  # Blue, green, red of what the camera sees.
CSI = {"Model": "imx219", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux/i2c@1/imx219@10"}
CSI_2 = {"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux/i2c@0/imx708@1a"}
USB = {"Model": "HD Webcam", "Location": 2, "Id": "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1:1.0-046d:0825"}


class FakePicamera2:
    """Stands for picamera2.Picamera2."""

    attached: list[dict] = []
    busy = False
    unplugged = False
    given_format = None  # What the camera makes of the format asked for; None: just that.
    opened: list[FakePicamera2] = []

    @staticmethod
    def global_camera_info():
        """One dict a camera with Model, Location, Rotation and Id, USB cameras included (manual, multiple cameras)."""
        return list(FakePicamera2.attached)

    def __init__(self, camera_num=0):
        if self.busy:
            try:
                raise RuntimeError("Failed to acquire camera: Device or resource busy")
            except RuntimeError:
                raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904  The source does so.
        self.camera_num = camera_num
        self.config = None
        self.started = self.cancelled = self.closed = False
        self.held = 0
        FakePicamera2.opened.append(self)

    def create_video_configuration(self, main=None, controls=None, buffer_count=6, queue=True):
        """Defaults: XBGR8888, 1280x720, 30 frames a second, 6 buffers (manual, configurations)."""
        return {
            "main": {"format": "XBGR8888", "size": (1280, 720), **(main or {})},
            "controls": {"FrameDurationLimits": (33333, 33333), **(controls or {})},
            "buffer_count": buffer_count,
            "queue": queue,
        }

    def configure(self, config):
        """May adjust what was asked for; camera_configuration tells (manual, configurations)."""
        self.config = config
        self.config["main"]["format"] = self.given_format or config["main"]["format"]

    def camera_configuration(self):
        return self.config

    def start(self):
        assert self.config is not None
        self.started = True

    def capture_request(self, wait=None, signal_function=None, flush=None):
        """Blocks for a completed request, `wait` seconds at most, then raises TimeoutError (source: Picamera2.wait).

        The camera stalls when all its buffers are held by requests not released (manual, requests).
        """
        assert self.started and not self.closed
        if self.unplugged or self.held == self.config["buffer_count"]:
            time.sleep(wait)
            raise concurrent.futures.TimeoutError
        self.held += 1
        return FakeRequest(self)

    def cancel_all_and_flush(self):
        """For tidying up after a timeout, so that the camera can be closed (source)."""
        self.cancelled = True

    def close(self):
        """Stops and releases the camera; does nothing the second time (source)."""
        assert self.cancelled or not self.unplugged, "closing waits behind the pending request"
        self.closed = True


class FakeRequest:
    """Stands for picamera2's CompletedRequest."""

    def __init__(self, camera):
        self.camera = camera
        self.released = False

    def make_array(self, name):
        """Format names count from the highest byte, so that memory holds them backwards (manual, image formats)."""
        main = self.camera.config[name]
        blue, green, red = SCENE
        memory = {
            "RGB888": (blue, green, red),
            "BGR888": (red, green, blue),
            "XRGB8888": (blue, green, red, 255),
            "XBGR8888": (red, green, blue, 255),
        }[main["format"]]
        width, height = main["size"]
        return np.full((height, width, len(memory)), memory, np.uint8)

    def get_metadata(self):
        """SensorTimestamp: nanoseconds, when the first row began to be exposed (libcamera's control of that name)."""
        return {"SensorTimestamp": time.monotonic_ns() - 40_000_000, "ExposureTime": 10_000}

    def release(self):
        """To be called exactly once (source: a negative reference count is an error)."""
        assert not self.released
        self.released = True
        self.camera.held -= 1


@pytest.fixture
def picamera2(monkeypatch):
    """The fake class, with one camera attached."""
    for name, value in {"attached": [CSI], "busy": False, "unplugged": False, "given_format": None}.items():
        monkeypatch.setattr(FakePicamera2, name, value)
    monkeypatch.setattr(FakePicamera2, "opened", [])
    module = types.ModuleType("picamera2")
    module.Picamera2 = FakePicamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return FakePicamera2


def test_frames_of_the_pi_camera(picamera2):
    source = open_source("csi")
    assert (source.name, source.live, source.fps) == ("Pi camera 0", True, 30)
    frames = [source.read() for _ in range(20)]
    now = time.monotonic()
    assert [frame.index for frame in frames] == list(range(20))
    assert frames[0].image.shape == (480, 640, 3) and frames[0].image.dtype == np.uint8
    assert frames[0].image[0, 0].tolist() == list(SCENE)
    # The time of the exposure, 40 ms before the picture arrives, on the monotonic clock.
    assert all(now - 1 < frame.timestamp <= now - 0.04 for frame in frames)
    source.close()
    source.close()
    assert picamera2.opened[0].closed and picamera2.opened[0].held == 0


@pytest.mark.parametrize("given", ["RGB888", "BGR888", "XRGB8888", "XBGR8888"])
def test_colours_are_right_whatever_format_the_camera_settles_on(picamera2, given):
    picamera2.given_format = given
    image = open_source("csi").read().image
    assert image.shape == (480, 640, 3)
    assert image[100, 100].tolist() == list(SCENE)


def test_an_unknown_format_is_refused(picamera2):
    picamera2.given_format = "NV12"
    with pytest.raises(SourceError, match="NV12"):
        open_source("csi")
    assert picamera2.opened[0].closed


def test_size_and_rate_are_asked_for(picamera2):
    source = open_source("csi:0", width=800, height=600, fps=50)
    assert source.fps == 50
    assert source.read().image.shape == (600, 800, 3)
    assert picamera2.opened[0].config["controls"]["FrameDurationLimits"] == (20_000, 20_000)


def test_pi_cameras_are_counted_without_the_usb_ones(picamera2):
    picamera2.attached = [USB, CSI, CSI_2]
    assert open_source("csi:1").name == "Pi camera 1"
    assert picamera2.opened[0].camera_num == 2


@pytest.mark.parametrize(
    "attached, uri, expected", [([], "csi", "none"), ([USB], "csi", "none"), ([CSI], "csi:1", "imx219")]
)
def test_a_missing_camera_is_answered_with_those_attached(picamera2, attached, uri, expected):
    picamera2.attached = attached
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_busy_camera_tells_why(picamera2):
    picamera2.busy = True
    with pytest.raises(SourceError, match="Device or resource busy"):
        open_source("csi")


def test_a_camera_that_comes_loose_is_given_up_and_can_be_closed(picamera2):
    source = open_source("csi", read_timeout=0.1)
    source.read()
    picamera2.unplugged = True
    with pytest.raises(SourceError, match="no frame from Pi camera 0 for 0.1 s"):
        source.read()
    source.close()
    assert picamera2.opened[0].closed


def test_a_request_is_released_even_if_its_picture_fails(picamera2, monkeypatch):
    source = open_source("csi")

    def fail(request, name):
        raise MemoryError

    monkeypatch.setattr(FakeRequest, "make_array", fail)
    with pytest.raises(MemoryError):
        source.read()
    assert picamera2.opened[0].held == 0


@pytest.mark.parametrize(
    "module",
    ["raise ImportError(\"No module named 'libcamera'\")", "raise ValueError('numpy.dtype size changed')"],
    ids=["venv without apt's packages", "built for another numpy"],
)
def test_without_picamera2_one_line_says_what_to_type(monkeypatch, tmp_path, module):
    (tmp_path / "picamera2.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(PackageError) as error:
        open_source("csi")
    assert "sudo apt install python3-picamera2" in str(error.value) and "\n" not in str(error.value)
    assert "--system-site-packages" in str(error.value)
