"""A stand-in for picamera2 and libcamera, held to what the real ones are documented to do.

"manual" is Raspberry Pi's Picamera2 manual, "source" picamera2's own docstrings and code (version 0.3.38).
"""

from __future__ import annotations

import os
import threading
import time
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

CSI = {"Model": "imx219", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux/i2c@1/imx219@10"}
CSI_2 = {"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux/i2c@0/imx708@1a"}
USB = {"Model": "HD Webcam", "Location": 2, "Id": "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1:1.0-046d:0825"}

# What each sensor can be read out as: size, and the width of the part of the sensor that it shows (manual, appendix of
# sensor modes; Raspberry Pi's table of camera hardware).
SENSORS = {
    "imx219": {(640, 480): 1280, (1640, 1232): 3280, (1920, 1080): 1920, (3280, 2464): 3280},
    "imx708": {(1536, 864): 3072, (2304, 1296): 4608, (4608, 2592): 4608},
    "imx477": {(1332, 990): 2664, (2028, 1080): 4056, (2028, 1520): 4056, (4056, 3040): 4056},
    "ov5647": {(640, 480): 2560, (1296, 972): 2592, (1920, 1080): 1920, (2592, 1944): 2592},
    "imx296": {(1456, 1088): 1456},
}
BYTES = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4, "YUV420": 1, "NV12": 1}


@dataclass(frozen=True)
class Transform:
    """Stands for libcamera.Transform."""

    hflip: int = 0
    vflip: int = 0


class Smpte170m:
    """Stands for libcamera.ColorSpace.Smpte170m: BT.601, luminance from 16 to 235."""

    red, blue = 0.299, 0.114  # shares of luminance


class Rec709:
    """Stands for libcamera.ColorSpace.Rec709."""

    red, blue = 0.2126, 0.0722


libcamera = types.ModuleType("libcamera")
libcamera.Transform = Transform
libcamera.ColorSpace = types.SimpleNamespace(Smpte170m=Smpte170m, Rec709=Rec709)
libcamera.controls = types.SimpleNamespace(AfModeEnum=types.SimpleNamespace(Manual=0, Auto=1, Continuous=2))


def scene(width: int, height: int) -> np.ndarray:
    """Returns what the camera sees, uint8 [height, width, 3] BGR: a colour in each quarter."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = TOP_LEFT
    picture[: height // 2, width // 2 :] = TOP_RIGHT
    picture[height // 2 :, : width // 2] = BOTTOM_LEFT
    picture[height // 2 :, width // 2 :] = BOTTOM_RIGHT
    return picture


TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = (200, 90, 20), (40, 40, 220), (30, 200, 60), (128, 128, 128)


def encode(picture: np.ndarray, pixel_format: str, stride: int, colour_space: Any = Smpte170m) -> np.ndarray:
    """Returns a picture as a camera leaves it in memory, the padding filled with noise.

    Format names count from the highest byte, so that memory holds them backwards (manual, image formats). Luminance and
    colour are computed by their definition, colour as the mean of 2x2 pixels.

    Args:
        picture: uint8 [height, width, 3] BGR.
        pixel_format: One of BYTES.
        stride: Bytes from one row of the first plane to the next.
        colour_space: Smpte170m or Rec709.
    """
    height, width = picture.shape[:2]
    if BYTES[pixel_format] > 1:
        opaque = np.full((height, width, 1), 255, np.uint8)
        colours = {"B": picture[..., 0:1], "G": picture[..., 1:2], "R": picture[..., 2:3], "X": opaque}
        letters = [letter for letter in reversed(pixel_format) if letter in colours]
        packed = np.concatenate([colours[letter] for letter in letters], axis=2)
        return _pad(packed.reshape(height, -1), stride).ravel()
    blue, green, red = np.moveaxis(picture / 255.0, 2, 0)
    shares = colour_space.red, colour_space.blue
    light = shares[0] * red + (1 - sum(shares)) * green + shares[1] * blue
    luminance = 16 + 219 * light
    reds, blues = (
        (128 + 224 * (colour - light) / (2 * (1 - share))).reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        for colour, share in zip((red, blue), shares)
    )
    if pixel_format == "YUV420":
        planes = [_pad(luminance, stride), _pad(blues, stride // 2), _pad(reds, stride // 2)]
    else:
        planes = [_pad(luminance, stride), _pad(np.stack([blues, reds], axis=2).reshape(height // 2, width), stride)]
    return np.concatenate([plane.ravel() for plane in planes])


def _pad(plane: np.ndarray, stride: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (len(plane), stride - plane.shape[1]), np.uint8)
    return np.concatenate([np.round(plane).astype(np.uint8), noise], axis=1)


class FakePicamera2:
    """Stands for picamera2.Picamera2. A test changes the attributes of a subclass; see `fresh`."""

    attached: list[dict] = []
    opened: list[FakePicamera2] = []
    busy = False  # another program has the camera
    fails_at = ""  # a method that raises what the real one does
    pisp = False  # a Pi 5's image processor, rather than that of earlier ones
    streams = 2  # pictures of different size that the camera can scale at once
    given: dict = {}  # what the camera makes of a stream's configuration, whatever was asked
    alignment = 1  # of the rows, in bytes
    turns = True
    controls_known = {
        "FrameDurationLimits": (10_000, 10_000_000, 33_333),
        "ExposureTime": (75, 66_666, 20_000),
        "AnalogueGain": (1.0, 10.7, 1.0),
    }
    unplugged = False  # no frame comes
    stuck = False  # closing never returns
    interval = 0.002  # seconds between two frames

    @staticmethod
    def fresh() -> type[FakePicamera2]:
        """Returns a class whose attributes can be changed, with one camera attached."""

        class Picamera2(FakePicamera2):
            attached = [CSI]
            opened: list[FakePicamera2] = []

            @staticmethod
            def global_camera_info():
                """One dict a camera: Model, Location, Rotation and Id, USB ones included (manual, multiple cameras)."""
                return list(Picamera2.attached)

        return Picamera2

    def __init__(self, camera_num=0):
        read, self.notifyme_w = os.pipe()
        os.close(read)
        self.is_open = False
        if self.busy:
            try:
                raise RuntimeError("Failed to acquire camera: Device or resource busy")
            except RuntimeError as error:
                raise RuntimeError("Camera __init__ sequence did not complete.") from error
        self.is_open = True
        self.camera_num = camera_num
        self.modes = SENSORS[self.attached[camera_num]["Model"]]
        self.sensor_resolution = max(self.modes)
        self.camera_controls = dict(self.controls_known)
        self.config: dict = {}
        self.set: dict = {}
        self.started = self.closed = False
        self.pre_callback = None
        self.delivering = threading.Lock()
        self.stamps: list[int] = []
        self.metadata = {"ExposureTime": 10_000, "AnalogueGain": 1.0}
        self.error = None
        self.opened.append(self)

    def create_video_configuration(self, main=None, lores=None, raw=None, transform=None, colour_space=None):
        """Defaults: XBGR8888, 1280x720; lores YUV420 (manual, configurations).

        Sizes are made even; from 1280x720 on the colours are by default Rec. 709's (source).
        """
        config = {"transform": transform or Transform(), "colour_space": colour_space, "lores": None}
        config["main"] = {"format": "XBGR8888", "size": (1280, 720), **(main or {})}
        config["raw"] = {"format": "SBGGR10", "size": config["main"]["size"], **(raw or {})}
        if colour_space is None:
            width, height = config["main"]["size"]
            config["colour_space"] = Smpte170m() if width < 1280 or height < 720 else Rec709()
        if lores is not None:
            config["lores"] = {"format": "YUV420", "size": config["main"]["size"], **lores}
        for name in ("main", "lores"):
            if config[name] is not None:
                config[name]["size"] = tuple(side - side % 2 for side in config[name]["size"])
        return config

    def configure(self, config):
        """May adjust what was asked for; camera_configuration tells (manual, configurations)."""
        self._fail("configure")
        assert not self.started
        main, lores = config["main"], config["lores"]
        if lores is not None:
            if lores["size"][0] > main["size"][0] or lores["size"][1] > main["size"][1]:
                raise RuntimeError("lores stream dimensions may not exceed main stream")
            if not self.pisp and BYTES[lores["format"]] > 1:
                raise RuntimeError("lores stream must be YUV")
            if self.streams < 2:
                raise RuntimeError("Invalid camera configuration")
        for name in ("main", "lores"):
            if config[name] is not None:
                config[name].update(self.given.get(name, {}))
                row = config[name]["size"][0] * BYTES.get(config[name]["format"], 1)
                config[name]["stride"] = -(-row // self.alignment) * self.alignment
        if not self.turns:
            config["transform"] = Transform()
        self.mode = min(self.modes, key=lambda mode: _distance(mode, config["raw"]["size"]))
        self.config = config

    def camera_configuration(self):
        return self.config

    def set_controls(self, controls):
        """Raises for a control that the camera doesn't have (source: Controls)."""
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.set.update(controls)

    def start(self):
        self._fail("start")
        self.started = True
        threading.Thread(target=self._deliver_all, daemon=True).start()

    def _deliver_all(self):
        """The event loop: an exception of the callback ends it (source: NullPreview)."""
        try:
            while self.started:
                if not self.unplugged:
                    self.deliver()
                time.sleep(self.interval)
        except Exception as error:
            self.error = error

    def deliver(self):
        """One frame, in a request that belongs to the callback until it returns (source: process_requests)."""
        with self.delivering:
            self.stamps.append(time.monotonic_ns())
            request = FakeRequest(self, self.stamps[-1] - 40_000_000)
            self.pre_callback(request)
            request.camera = None

    def close(self):
        """Stops and releases the camera; does nothing the second time (source)."""
        while self.stuck:
            time.sleep(0.01)
        if self.is_open:
            os.close(self.notifyme_w)
        self.is_open = self.started = False
        self.closed = True

    def _fail(self, method):
        if self.fails_at == method:
            raise RuntimeError(f"{method} failed")


def _distance(mode, wanted):
    """How badly a sensor mode suits: too small is worse than too large, another shape worst (source: score_mode)."""

    def score(asked, offered):
        return 2 * (asked - offered) if asked > offered else (offered - asked) / 4

    shape = score(wanted[0] / wanted[1], mode[0] / mode[1])
    return score(wanted[0], mode[0]) + score(wanted[1], mode[1]) + 1500 * shape


class FakeRequest:
    """Stands for picamera2's CompletedRequest."""

    def __init__(self, camera, stamp):
        self.camera = camera
        self.stamp = stamp

    def make_buffer(self, name):
        """A copy of the stream's memory, rows padded to the configured stride (manual, requests)."""
        stream = self.camera.config[name]
        picture = scene(*stream["size"])
        if self.camera.config["transform"] == Transform(hflip=1, vflip=1):
            picture = picture[::-1, ::-1]
        return encode(picture, stream["format"], stream["stride"], self.camera.config["colour_space"])

    def get_metadata(self):
        """SensorTimestamp: nanoseconds, when the first row began to be exposed (libcamera's control of that name)."""
        return {"SensorTimestamp": self.stamp, **self.camera.metadata}
