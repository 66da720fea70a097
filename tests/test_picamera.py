"""The Pi camera, on a stand-in for picamera2; test_picamera_real.py runs the real one."""

from __future__ import annotations

import os
import sys
import threading
import time
import types

import numpy as np
import pytest
from fake_picamera2 import (
    BOTTOM_LEFT,
    BOTTOM_RIGHT,
    CSI,
    CSI_2,
    SENSORS,
    TOP_LEFT,
    TOP_RIGHT,
    USB,
    FakePicamera2,
    FakeRequest,
    libcamera,
)

from errors import PackageError, SourceError
from sources import Options, open_source
from sources.picamera import PiCamera
from sources.turned import turn

CORNERS = [TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT]  # clockwise


@pytest.fixture
def picamera2(monkeypatch):
    """The fake class, with one camera attached."""
    fake = FakePicamera2.fresh()
    module = types.ModuleType("picamera2")
    module.Picamera2 = fake
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    yield fake
    fake.stuck = False
    for camera in fake.opened:
        camera.close()
        assert camera.error is None, "picamera2's event loop was ended by an exception"


def corners(image):
    """The colours of a picture's four corners, clockwise from the top left."""
    return [image[1, 1], image[1, -2], image[-2, -2], image[-2, 1]]


def assert_upright(image, tolerance=0):
    assert np.abs(np.int32(corners(image)) - CORNERS).max() <= tolerance


def test_frames_of_the_pi_camera(picamera2):
    source = open_source("csi")
    assert (source.name, source.live, source.fps) == ("Pi camera 0", True, 30)
    frames = [source.read() for _ in range(10)]
    now = time.monotonic()
    assert [frame.index for frame in frames] == list(range(10))
    assert frames[0].image.shape == (480, 640, 3) and frames[0].image.dtype == np.uint8
    assert_upright(frames[0].image)
    stamps = [frame.timestamp for frame in frames]
    # The time of the exposure, 40 ms before the picture arrives, on the monotonic clock.
    assert all(now - 5 < stamp <= now - 0.04 for stamp in stamps)
    assert stamps == sorted(set(stamps))
    source.close()
    source.close()
    assert picamera2.opened[0].closed
    assert source.read() is None


def test_who_reads_slowly_gets_the_newest_frame(picamera2):
    source = PiCamera("0", Options(read_timeout=0.2))
    camera = picamera2.opened[0]
    with camera.delivering:
        camera.unplugged = True
    for _ in range(5):
        camera.deliver()
    assert source.read().timestamp == pytest.approx(camera.stamps[-1] / 1e9 - 0.04)
    # None twice, and none of those that came before.
    with pytest.raises(SourceError, match="no frame"):
        source.read()


@pytest.mark.parametrize("alignment", [1, 64, 256])
@pytest.mark.parametrize("given", ["RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "NV12"])
def test_colours_are_right_whatever_format_the_camera_settles_on(picamera2, given, alignment):
    picamera2.given, picamera2.alignment = {"main": {"format": given, "size": (328, 246)}}, alignment
    image = PiCamera("0", Options()).read().image
    assert image.shape == (246, 328, 3) and image.flags.c_contiguous
    assert_upright(image, tolerance=2 if given in ("YUV420", "NV12") else 0)


def test_an_unknown_format_is_refused(picamera2):
    picamera2.given = {"main": {"format": "MJPEG"}}
    with pytest.raises(SourceError, match="MJPEG"):
        PiCamera("0", Options())
    assert picamera2.opened[0].closed


def test_size_and_rate_are_asked_for(picamera2):
    source = PiCamera("0", Options(width=800, height=600, fps=50))
    assert source.fps == 50
    assert source.read().image.shape == (600, 800, 3)
    assert picamera2.opened[0].set["FrameDurationLimits"] == (20_000, 20_000)


def test_a_rate_beyond_the_sensor_is_told_as_what_it_becomes(picamera2):
    picamera2.controls_known = {"FrameDurationLimits": (25_000, 1_000_000, 33_333)}
    assert PiCamera("0", Options(fps=120)).fps == 40
    assert picamera2.opened[0].set["FrameDurationLimits"] == (25_000, 25_000)


@pytest.mark.parametrize("model", SENSORS)
def test_the_picture_shows_all_that_the_lens_sees(picamera2, model):
    picamera2.attached = [{**CSI, "Model": model}]
    PiCamera("0", Options())
    modes, mode = SENSORS[model], picamera2.opened[0].mode
    assert modes[mode] == max(modes.values())
    assert mode[0] < 2400  # and not the full resolution, at which most give a few frames a second only


@pytest.mark.parametrize("pisp, asked", [(True, "RGB888"), (False, "YUV420")])
@pytest.mark.parametrize("alignment", [1, 64])
def test_the_camera_scales_the_picture_for_the_model(picamera2, pisp, asked, alignment):
    picamera2.pisp, picamera2.alignment = pisp, alignment
    frame = PiCamera("0", Options(lores=(172, 172))).read()
    assert picamera2.opened[0].config["lores"]["format"] == asked
    assert frame.image.shape == (480, 640, 3)
    # The whole of the main picture, in its shape, and no smaller than the model's square: 172 * 4 / 3 is 229.3.
    assert frame.lores.shape == (172, 230, 3) and frame.lores.flags.c_contiguous
    assert_upright(frame.image)
    assert_upright(frame.lores, tolerance=2)


def test_colours_of_a_large_picture_are_right(picamera2):
    frame = PiCamera("0", Options(width=1280, height=720, lores=(172, 172))).read()
    assert_upright(frame.lores, tolerance=2)


@pytest.mark.parametrize(
    "size, model, expected",
    [((1280, 720), (172, 172), (306, 172)), ((480, 640), (172, 172), (172, 230)), ((640, 480), (300, 150), (300, 226))],
)
def test_the_small_picture_covers_what_the_model_wants(picamera2, size, model, expected):
    PiCamera("0", Options(width=size[0], height=size[1], lores=model))
    assert picamera2.opened[0].config["lores"]["size"] == expected


@pytest.mark.parametrize(
    "lores, given, streams",
    [
        (None, {}, 2),
        ((640, 640), {}, 2),  # larger than the picture
        ((172, 172), {}, 1),  # the camera scales one picture only
        ((172, 172), {"lores": {"size": (320, 180)}}, 2),  # another view
        ((172, 172), {"lores": {"size": (640, 480)}}, 2),  # nothing gained
        ((172, 172), {"lores": {"format": "MJPEG"}}, 2),
    ],
)
def test_without_a_fitting_small_picture_there_is_none(picamera2, lores, given, streams):
    picamera2.given, picamera2.streams = given, streams
    frame = PiCamera("0", Options(lores=lores)).read()
    assert frame.lores is None
    assert picamera2.opened[0].config["lores"] is None
    assert frame.image.shape == (480, 640, 3)


@pytest.mark.parametrize("turns", [True, False], ids=["turning camera", "camera that can't"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation(picamera2, degrees, turns):
    picamera2.turns = turns
    camera = PiCamera("0", Options(rotate=degrees, lores=(172, 172)))
    source = turn(camera, degrees)
    # Half a turn is the camera's own work, if it can.
    assert (source is camera) == (degrees == 0 or (degrees == 180 and turns))
    frame = source.read()
    turned = [CORNERS[(index - degrees // 90) % 4] for index in range(4)]
    for image in (frame.image, frame.lores):
        assert np.abs(np.int32(corners(image)) - turned).max() <= 2
        assert (image.shape[1] > image.shape[0]) == (degrees in (0, 180))


def test_a_camera_with_a_motor_focuses_by_itself(picamera2):
    picamera2.controls_known = {**FakePicamera2.controls_known, "AfMode": (0, 2, 0)}
    PiCamera("0", Options())
    assert picamera2.opened[0].set["AfMode"] == libcamera.controls.AfModeEnum.Continuous


def test_exposure_is_left_alone_unless_bounded(picamera2):
    PiCamera("0", Options()).read()
    assert "ExposureTime" not in picamera2.opened[0].set


def test_a_bounded_exposure_is_let_go_in_sunlight_and_bounded_again(picamera2):
    source = PiCamera("0", Options(max_exposure=0.008))
    camera = picamera2.opened[0]

    def set_by(exposure, gain):
        camera.metadata = {"ExposureTime": exposure, "AnalogueGain": gain}
        before = len(camera.stamps)
        while len(camera.stamps) < before + 60:
            source.read()
        return camera.set["ExposureTime"]

    assert set_by(8000, 3.5) == 8000
    assert set_by(8000, 1.0) == 0  # 0: automatic
    assert set_by(900, 1.0) == 0
    assert set_by(9000, 1.0) == 8000


def test_a_camera_that_cannot_bound_its_exposure_says_so(picamera2):
    picamera2.controls_known = {}
    with pytest.raises(SourceError, match="--max-exposure"):
        PiCamera("0", Options(max_exposure=0.01))
    assert picamera2.opened[0].closed


def test_pi_cameras_are_counted_without_the_usb_ones(picamera2):
    picamera2.attached = [USB, CSI, CSI_2]
    assert open_source("csi:1").name == "Pi camera 1"
    assert picamera2.opened[0].camera_num == 2


@pytest.mark.parametrize(
    "attached, number, expected", [([], "0", "none"), ([USB], "0", "none"), ([CSI], "1", "imx219")]
)
def test_a_missing_camera_is_answered_with_those_attached(picamera2, attached, number, expected):
    picamera2.attached = attached
    with pytest.raises(SourceError) as error:
        PiCamera(number, Options())
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_busy_camera_tells_why(picamera2):
    picamera2.busy = True
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(SourceError, match="Device or resource busy"):
            PiCamera("0", Options())
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("method", ["configure", "start"])
def test_a_camera_that_cannot_start_is_released(picamera2, method):
    picamera2.fails_at = method
    with pytest.raises(SourceError, match=f"can't be started: {method} failed"):
        PiCamera("0", Options(lores=(172, 172)))
    assert picamera2.opened[0].closed


def test_ctrl_c_while_starting_releases_the_camera(picamera2, monkeypatch):
    def interrupted(camera):
        raise KeyboardInterrupt

    monkeypatch.setattr(picamera2, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PiCamera("0", Options())
    assert picamera2.opened[0].closed


def test_a_camera_without_pictures_is_not_open(picamera2):
    picamera2.unplugged = True
    with pytest.raises(SourceError, match="no frame from Pi camera 0 for 0.1 s"):
        PiCamera("0", Options(read_timeout=0.1))
    assert picamera2.opened[0].closed


def test_a_camera_that_comes_loose_is_given_up_and_can_be_closed(picamera2):
    source = PiCamera("0", Options(read_timeout=0.1))
    source.read()
    picamera2.unplugged = True
    with pytest.raises(SourceError, match="no frame from Pi camera 0 for 0.1 s"):
        for _ in range(2):  # one frame may have been under way
            source.read()
    source.close()
    assert picamera2.opened[0].closed


def test_closing_a_camera_that_hangs_takes_two_seconds_at_most(picamera2):
    source = PiCamera("0", Options())
    picamera2.unplugged = picamera2.stuck = True
    before = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - before < 2
    assert not picamera2.opened[0].closed


def test_closing_ends_a_read_in_another_thread(picamera2):
    source = PiCamera("0", Options(read_timeout=60))
    picamera2.unplugged = True
    with picamera2.opened[0].delivering:
        pass  # no frame is under way any more
    ends = []

    def read_to_the_end():
        while source.read() is not None:
            pass
        ends.append(time.monotonic())

    reader = threading.Thread(target=read_to_the_end)
    reader.start()
    source.close()
    reader.join(2)
    assert not reader.is_alive() and ends


def test_a_picture_that_fails_ends_the_source_with_its_reason(picamera2, monkeypatch):
    source = PiCamera("0", Options())

    def fail(request, name):
        raise RuntimeError("failed to find buffer")

    monkeypatch.setattr(FakeRequest, "make_buffer", fail)
    with pytest.raises(SourceError, match="Pi camera 0.*failed to find buffer"):
        for _ in range(3):
            source.read()
    source.close()
    assert picamera2.opened[0].closed


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
        PiCamera("0", Options())
    assert "sudo apt install python3-picamera2" in str(error.value) and "\n" not in str(error.value)
    assert "--system-site-packages" in str(error.value)
