"""The Raspberry Pi's own camera, through picamera2."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import math
import os
import threading
import time
from fractions import Fraction
from typing import Any, Iterator

from errors import PackageError, SourceError
from sources import Frame, Options
from sources.exposure import ExposureLimit
from sources.handover import LatestFrame
from sources.pixels import FORMATS, to_bgr

DEFAULT_FPS = 30.0
# Seconds that closing may take; then it is left to go on in its own thread, or to hang there.
CLOSE_LIMIT = 1.0
# Columns that every sensor Raspberry Pi sells reads out DEFAULT_FPS times a second.
SENSOR_WIDTH = 2400


class PiCamera:
    """A live Source over a camera on the ribbon cable: who reads slowly gets the newest frame.

    picamera2 hands over each frame in a thread of its own, so that no call that could hang stands between a reader and
    its time limit.

    Args:
        number: Which of the cameras, counted from 0.
        options: Size, rate, rotation and exposure to ask for, and the small picture for the model.

    Attributes:
        rotation: Degrees by which the camera itself turns the picture: 180 if that was asked for, else 0.

    Raises:
        SourceError: There is no such camera, it is in use, or it gives no picture.
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
        self.rotation = 0
        self._read_timeout = options.read_timeout
        self._latest = LatestFrame()
        self._taken = 0  # frames that the camera gave
        self._delivered = 0  # of these, frames that were read
        self._seen = -1
        self._failure: Exception | None = None
        self._closed = False
        self._exposure: ExposureLimit | None = None
        self._camera = self._open(cameras[int(number)][0])
        try:
            self._start(options)
            self._newest()
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        """Blocks for the next frame; None once closed.

        Raises:
            SourceError: Nothing came for the read timeout.
        """
        frame = self._newest()
        if frame is None:
            return None
        self._seen = frame.index
        self._delivered += 1
        return dataclasses.replace(frame, index=self._delivered - 1)

    def close(self) -> None:
        """Stops and releases the camera; may be called twice, and while another thread reads."""
        if self._closed:
            return
        self._closed = True
        self._latest.close()
        # A camera that hangs would hold whoever closes it for ever.
        closing = threading.Thread(target=self._release, name="camera close", daemon=True)
        closing.start()
        closing.join(CLOSE_LIMIT)

    def _release(self) -> None:
        with contextlib.suppress(Exception):  # of a camera that was pulled out; there is nothing left to be done
            self._camera.close()

    def _open(self, number: int) -> Any:
        """Returns a Picamera2 of picamera2's camera `number`."""
        picamera2 = _import_picamera2()
        camera = picamera2.__new__(picamera2)
        try:
            camera.__init__(number)
            return camera
        except (RuntimeError, IndexError) as error:
            reason = str(error.__context__ or error)  # picamera2 raises a general error over the telling one
            if not camera.is_open:
                os.close(camera.notifyme_w)  # which it forgets
        # While what is left of it lives, in reference cycles, the next camera to be opened gets no frames (seen with
        # libcamera 0.4). The error would keep it alive, too, if it were raised above.
        del camera
        gc.collect()
        raise SourceError(f"{self.name} can't be opened ({reason}); close other programs that use it")

    def _start(self, options: Options) -> None:
        try:
            self._configure(options)
            given = self._camera.camera_configuration()
            self._main, self._lores = given["main"], given["lores"]
            if self._main["format"] not in FORMATS:
                raise SourceError(f"{self.name} gives {self._main['format']} pictures, which are not supported")
            self._control(options)
            self._camera.pre_callback = self._take
            self._camera.start()
        except (RuntimeError, OSError) as error:
            raise SourceError(f"{self.name} can't be started: {error}; try another --width and --height") from None

    def _configure(self, options: Options) -> None:
        """Asks for the streams. What the camera makes of that stands in its camera_configuration() then."""
        import libcamera

        turned = libcamera.Transform(hflip=1, vflip=1)
        for lores in _lores_streams(options):
            try:
                self._camera.configure(
                    self._camera.create_video_configuration(
                        main={"size": options.camera_size, "format": "RGB888"},
                        lores=lores,
                        raw=_whole_view(self._camera.sensor_resolution, options),
                        transform=turned if options.rotate == 180 else libcamera.Transform(),
                        colour_space=libcamera.ColorSpace.Smpte170m(),  # BT.601, at any size
                    )
                )
            except (RuntimeError, OSError):
                if lores is None:
                    raise
                continue
            given = self._camera.camera_configuration()
            if lores is None or _is_smaller(given["lores"], given["main"]):
                self.rotation = 180 if given["transform"] == turned else 0
                return

    def _control(self, options: Options) -> None:
        """Sets frame rate, focus and exposure, as far as this camera can; an unknown control would be an error."""
        from libcamera import controls

        known = self._camera.camera_controls
        if "FrameDurationLimits" in known:
            shortest, longest = known["FrameDurationLimits"][:2]  # microseconds
            fps = min(max(options.fps or DEFAULT_FPS, 1e6 / longest), 1e6 / shortest)
            self.fps = round(fps, 2)
            self._camera.set_controls({"FrameDurationLimits": (round(1e6 / fps),) * 2})
        if "AfMode" in known:
            self._camera.set_controls({"AfMode": controls.AfModeEnum.Continuous})
        if options.max_exposure is not None:
            if not {"ExposureTime", "AnalogueGain"} <= set(known):
                raise SourceError(f"{self.name} can't limit its exposure; leave out --max-exposure")
            self._exposure = ExposureLimit(options.max_exposure, known["AnalogueGain"][0])
            self._camera.set_controls(self._exposure.start())

    def _take(self, request: Any) -> None:
        """Keeps a frame; called by picamera2's thread, which an exception would end in silence."""
        try:
            metadata = request.get_metadata()
            # Nanoseconds on the clock that picamera2 itself compares with time.monotonic_ns().
            timestamp = metadata.get("SensorTimestamp", time.monotonic_ns()) / 1e9
            image = _image(request, "main", self._main)
            lores = None if self._lores is None else _image(request, "lores", self._lores)
            self._latest.put(Frame(image, timestamp, self._taken, lores))
            self._taken += 1
            changes = self._exposure.adjust(metadata) if self._exposure is not None else {}
            if changes:
                self._camera.set_controls(changes)
        except Exception as error:
            self._failure = error
            self._latest.close()

    def _newest(self) -> Frame | None:
        """Waits for a frame that wasn't read yet; None once closed."""
        frame = self._latest.get(self._seen, self._read_timeout)
        if self._closed:
            return None
        if self._failure is not None:
            raise SourceError(f"{self.name} broke: {self._failure!r}")
        if frame is None:
            raise SourceError(f"no frame from {self.name} for {self._read_timeout:g} s; check its cable")
        return frame


def list_pi_cameras() -> list[tuple[int, str]]:
    """Returns (number for picamera2, model) of the attached Pi cameras.

    libcamera lists USB cameras, too; these are left to OpenCV, which gets them to their full rate.

    Raises:
        PackageError: picamera2 is missing.
    """
    cameras = _import_picamera2().global_camera_info()
    return [(number, info["Model"]) for number, info in enumerate(cameras) if "/usb" not in info["Id"]]


def _image(request: Any, name: str, stream: dict[str, Any]) -> Any:
    return to_bgr(request.make_buffer(name), stream["format"], stream["size"], stream["stride"])


def _lores_streams(options: Options) -> Iterator[dict[str, Any] | None]:
    """Yields what to ask for as the small picture, the best first: RGB is a Pi 5's, YUV420 any Pi's, None nobody's."""
    width, height = options.camera_size
    if options.lores is not None:
        scale = max(Fraction(options.lores[0], width), Fraction(options.lores[1], height))
        size = 2 * math.ceil(width * scale / 2), 2 * math.ceil(height * scale / 2)
        if size[0] < width and size[1] < height:
            yield {"size": size, "format": "RGB888"}
            yield {"size": size, "format": "YUV420"}
    yield None


def _is_smaller(lores: dict[str, Any], main: dict[str, Any]) -> bool:
    """Says whether the streams that the camera gives are what `lores` is for: the same view, smaller."""
    (width, height), (main_width, main_height) = lores["size"], main["size"]
    same_view = abs(width / height * main_height / main_width - 1) < 0.02  # rounding a side to even numbers
    return lores["format"] in FORMATS and width < main_width and height < main_height and same_view


def _whole_view(resolution: tuple[int, int], options: Options) -> dict[str, Any]:
    """Returns the raw stream to ask for, so that the picture shows all that the lens sees.

    picamera2 takes the sensor's mode that is nearest to the picture in size, and small modes are cut out of the middle:
    at 640x480 a Camera Module 2 would show two fifths of the width. But each sensor can read its whole width at its
    resolution, a half or a quarter of it. Larger and faster pictures are left to picamera2.
    """
    width, height = resolution
    while width > SENSOR_WIDTH:
        width, height = width // 2, height // 2
    suits = options.camera_size[0] <= width and (options.fps or DEFAULT_FPS) <= DEFAULT_FPS
    return {"size": (width, height)} if suits else {}


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
