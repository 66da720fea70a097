"""The Raspberry Pi's own camera, through picamera2."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import time
from typing import Any

import cv2

from errors import PackageError, SourceError
from sources import Frame, Options

# What makes BGR of each format that picamera2 may settle on, or None. Its names are libcamera's, which count from the
# highest byte: "RGB888" lies in memory as blue, green, red.
_CONVERSIONS = {
    "RGB888": None,
    "BGR888": cv2.COLOR_RGB2BGR,
    "XRGB8888": cv2.COLOR_BGRA2BGR,
    "XBGR8888": cv2.COLOR_RGBA2BGR,
}
DEFAULT_FPS = 30.0


class PiCamera:
    """A Source over a camera on the ribbon cable.

    Args:
        number: Which of the cameras, counted from 0.
        options: Size and rate to ask for.

    Raises:
        SourceError: There is no such camera, it is in use, or it gives pictures of an unknown format.
        PackageError: picamera2 is missing.
    """

    live = True

    def __init__(self, number: str, options: Options) -> None:
        cameras = list_pi_cameras()
        if int(number) >= len(cameras):
            here = ", ".join(f"csi:{index} ({model})" for index, (_, model) in enumerate(cameras)) or "none"
            raise SourceError(f"there is no Pi camera {number} (found: {here}); check the ribbon cable, then reboot")
        self.name = f"Pi camera {number}"
        self.fps: float | None = options.fps or DEFAULT_FPS
        self._read_timeout = options.read_timeout
        self._index = 0
        try:
            self._camera = _import_picamera2()(cameras[int(number)][0])
        except (RuntimeError, IndexError) as error:
            # picamera2 raises a general error over the telling one.
            reason = error.__context__ or error
            raise SourceError(f"{self.name} can't be opened ({reason}); close other programs that use it") from None
        try:
            self._start(options)
        except BaseException:
            self.close()
            raise

    def _start(self, options: Options) -> None:
        duration = round(1e6 / (options.fps or DEFAULT_FPS))  # Microseconds, both shortest and longest.
        try:
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": options.camera_size, "format": "RGB888"},
                    controls={"FrameDurationLimits": (duration, duration)},
                )
            )
            given = self._camera.camera_configuration()["main"]["format"]
            if given not in _CONVERSIONS:
                raise SourceError(f"{self.name} gives {given} pictures, which are not supported; it needs RGB888")
            self._conversion = _CONVERSIONS[given]
            self._camera.start()
        except RuntimeError as error:
            raise SourceError(f"{self.name} can't be started: {error}; try another --width and --height") from None

    def read(self) -> Frame:
        """Blocks for the next frame.

        Without capture_request's flush, which waits for a frame whose exposure begins after the call: to a reader that
        always waits that means every second frame. What may be waiting here is one frame, with its true timestamp.

        Raises:
            SourceError: Nothing came for the read timeout.
        """
        try:
            request = self._camera.capture_request(wait=self._read_timeout)
        except concurrent.futures.TimeoutError:
            # The request would stay first in picamera2's queue, and closing would wait behind it for ever.
            self._camera.cancel_all_and_flush()
            raise SourceError(f"no frame from {self.name} for {self._read_timeout:g} s; check its cable") from None
        try:
            image = request.make_array("main")
            # Nanoseconds on the clock that picamera2 itself compares with time.monotonic_ns().
            timestamp = request.get_metadata().get("SensorTimestamp", time.monotonic_ns()) / 1e9
        finally:
            request.release()
        if self._conversion is not None:
            image = cv2.cvtColor(image, self._conversion)
        self._index += 1
        return Frame(image, timestamp, self._index - 1)

    def close(self) -> None:
        """Stops and releases the camera; may be called twice."""
        self._camera.close()


def list_pi_cameras() -> list[tuple[int, str]]:
    """Returns (number for picamera2, model) of the attached Pi cameras.

    libcamera lists USB cameras, too; these are left to OpenCV, which gets them to their full rate.

    Raises:
        PackageError: picamera2 is missing.
    """
    cameras = _import_picamera2().global_camera_info()
    return [(number, info["Model"]) for number, info in enumerate(cameras) if "/usb" not in info["Id"]]


def _import_picamera2() -> Any:
    """Returns the class Picamera2."""
    # libcamera reads this when it is loaded; it would report every start and every failure on stderr.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    try:
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:  # ValueError: compiled against another numpy.
        raise PackageError(
            f"a Pi camera needs picamera2 ({error}); type: sudo apt install python3-picamera2, then ./setup.sh, "
            "which makes a venv with --system-site-packages"
        ) from None
    logging.getLogger("picamera2").setLevel(logging.CRITICAL)  # The errors raised here say it in one line.
    return Picamera2
