"""Everything that OpenCV can open: video files and GIFs, USB cameras, RTSP and HTTP streams."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from pathlib import Path
from typing import Iterator
from urllib.parse import urlsplit

import cv2
import numpy as np

from errors import SourceError
from sources import Frame, Options, Source, public_name
from sources.link import DEFAULT_PORTS
from sources.recording import Recording

# FFmpeg and OpenCV report every damaged packet and every failed opening on stderr; the errors raised here say it in
# one line. Whoever sets these variables hears the libraries again: FFmpeg's is read when the first video is opened,
# OpenCV's was read when cv2 was imported, so that only its function helps now (OpenCV 5 moved it).
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
if "OPENCV_LOG_LEVEL" not in os.environ:
    _logging = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # type: ignore[attr-defined]
    _logging.setLogLevel(2)  # Errors, but no warnings.
# RTSP over TCP: over UDP lost packets smear the picture, and firewalls drop it. OpenCV has no parameter for this; the
# variable is read at each opening, and what it says doesn't concern files or HTTP. 4.11.0 overlooks it by mistake, but
# tries TCP first anyway (opencv/opencv pull request 26793).
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
# Seconds that a USB camera may hang in one read; OpenCV's 10 would outlast the read timeout, and who closes it waits.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
# Or else OpenCV opens one video at a time, and a camera that doesn't answer keeps the others waiting. Its FFmpeg has
# needed no such lock for years.
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")

# Frames a second where a file doesn't say, or says what can't be: FFmpeg, too, takes 25 for a stream without a rate.
DEFAULT_FPS = 25.0
# Files without a rate often report the ticks of their clock instead: 1000 (Matroska) or 90000 (MPEG).
MAX_FPS = 480.0
# Above this many pixels a USB 2 camera is too slow with raw pictures: 1280x720 YUYV at 30 fps would be 55 MB/s.
MAX_RAW_PIXELS = 640 * 480
# The codec by which FFmpeg plays a text file, as a film of a terminal.
_TEXT = cv2.VideoWriter.fourcc(*"ansi")
# Seconds between two tries at a source that fails at once.
RETRY_PAUSE = 0.02
# Seconds of such failures after which it counts as gone: pulled out, or hung up. A damaged picture is over sooner.
GONE_AFTER = 0.5
# Seconds for opening a stream. FFmpeg watches it for about two of them; cut short there, it is never right again.
OPEN_TIMEOUT = 10.0
# Seconds to find out why a stream can't be opened.
EXPLAIN_TIMEOUT = 1.0


def open_video(path: str, options: Options) -> Source:
    """Opens a video file or GIF: every frame in order, turned upright as the file says.

    Timestamps are the file's own, so that a variable frame rate and the delays of a GIF are kept.

    Raises:
        SourceError: The file is missing, empty, or holds no video.
    """
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; check the path") from None
    if empty:
        raise SourceError(f"{path} is empty; give another file")
    capture = _open_file(path)
    fps = _known_fps(capture) or DEFAULT_FPS
    capture.release()
    play = _play_gif if path.lower().endswith(".gif") else _play
    return Recording(Path(path).name, fps, lambda: play(_open_file(path)), options.loop)


def open_usb(address: str, options: Options) -> Source:
    """Opens a USB camera.

    Args:
        address: The N of /dev/videoN; or that file, or a link to it, which may lead to another one the next time.
        options: Size and rate to ask for.

    Raises:
        SourceError: There is no such camera, it is in use, or it gives no picture.
    """
    named = f"/dev/video{address}" if address.isdigit() else address
    device = os.path.realpath(named)
    number = device[len("/dev/video") :]
    if not os.path.exists(device) or not number.isdigit():
        raise SourceError(f"there is no {named}; {_describe_usb_cameras()}")
    name = f"USB camera {number}"
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(f"{device}: permission denied; type: sudo usermod -aG video $USER, then log in again")
    capture = cv2.VideoCapture(int(number), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceError(f"{device} can't be opened (no camera, or another program has it); {_describe_usb_cameras()}")
    width, height = options.camera_size
    if width * height > MAX_RAW_PIXELS:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if options.fps:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    given = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if given != (width, height):
        logging.getLogger(__name__).warning("%s gives %dx%d instead of %dx%d", name, *given, width, height)
    return LiveCapture(name, capture, options.read_timeout)


def open_stream(url: str, options: Options) -> Source:
    """Opens an RTSP or HTTP stream (MJPEG, or whatever FFmpeg can read), RTSP over TCP.

    A video file behind an HTTP address plays like a file on disk: every frame, by its own timestamps.

    Raises:
        SourceError: Nothing answers, or it gives no picture.
    """
    capture = _open_url(url, options.read_timeout)
    name = public_name(url)
    if url.lower().startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        fps = _known_fps(capture) or DEFAULT_FPS
        capture.release()
        return Recording(name, fps, lambda: _play(_open_url(url, options.read_timeout)), options.loop)
    return LiveCapture(name, capture, options.read_timeout)


class LiveCapture:
    """A Source over a camera or stream that delivers at its own pace.

    Args:
        name: What the user sees.
        capture: Opened; is released by close, or here if it gives no picture.
        read_timeout: Seconds without a frame after which it is given up.

    Raises:
        SourceError: It gives no picture.
    """

    live = True

    def __init__(self, name: str, capture: cv2.VideoCapture, read_timeout: float) -> None:
        self.name = name
        self.fps = _known_fps(capture)
        self._capture = capture
        self._read_timeout = read_timeout
        self._index = 0
        self._reading = threading.Lock()
        self._closed = False
        try:
            self._read_image()
        except SourceError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """Blocks for the next frame, which is stamped with its arrival; None once closed.

        A stream's own clock is of no use: the frames that a server had buffered come all at once.

        Raises:
            SourceError: Nothing came for the read timeout, or every try failed at once for a while.
        """
        image = self._read_image()
        if image is None:
            return None
        self._index += 1
        return Frame(image, time.monotonic(), self._index - 1)

    def close(self) -> None:
        """Releases the camera; may be called twice, and while another thread reads, which then does it."""
        self._closed = True
        self._release_unless_reading()

    def _release_unless_reading(self) -> None:
        if self._reading.acquire(blocking=False):
            self._capture.release()
            self._reading.release()

    def _read_image(self) -> np.ndarray | None:
        begun = failing_since = time.monotonic()
        while not self._closed:
            asked = time.monotonic()
            with self._reading:
                delivered, image = self._capture.read()
            if self._closed:
                self._release_unless_reading()
                return None
            now = time.monotonic()
            # FFmpeg calls a frame delivered that it gave up waiting for: it is an old one.
            if delivered and now - asked < self._read_timeout:
                return image
            if now - asked > RETRY_PAUSE:  # a pause in the stream, not an end
                failing_since = now
            if now - failing_since >= GONE_AFTER or now - begun >= self._read_timeout:
                raise SourceError(f"no frame from {self.name} for {now - begun:.1f} s; check its cable or network")
            time.sleep(RETRY_PAUSE)
        return None


def list_usb_cameras(root: str = "/sys/class/video4linux") -> list[tuple[int, str]]:
    """Returns (N of /dev/videoN, name) of the USB cameras, in order.

    A Raspberry Pi has a dozen more such devices, for its codecs and image processor, which are not on the USB bus; and
    a USB camera has more than one, of which the first gives pictures and the others give metadata.

    Args:
        root: Where the kernel lists video devices.
    """
    cameras = []
    for entry in Path(root).glob("video*"):
        bus = os.path.basename(os.path.realpath(entry / "device" / "subsystem"))
        if bus == "usb" and (entry / "index").read_text().strip() == "0":
            cameras.append((int(entry.name[len("video") :]), (entry / "name").read_text().strip()))
    return sorted(cameras)


def _describe_usb_cameras() -> str:
    cameras = [f"usb:{number} ({name})" for number, name in list_usb_cameras()]
    return f"USB cameras here: {', '.join(cameras)}" if cameras else "no USB camera is plugged in"


def _known_fps(capture: cv2.VideoCapture) -> float | None:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= MAX_FPS else None


def _open_file(path: str) -> cv2.VideoCapture:
    # An absolute path, since FFmpeg takes what stands before a colon for a protocol.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    if not capture.isOpened() or capture.get(cv2.CAP_PROP_FOURCC) == _TEXT:
        raise SourceError(f"{path} holds no video that FFmpeg can read (another kind of file, sound only, or cut off)")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # Some builds start with 0.
    return capture


def _open_url(url: str, read_timeout: float) -> cv2.VideoCapture:
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT * 1000)]
    limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_timeout * 1000)]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise SourceError(f"{public_name(url)} can't be opened: {explain(url)}")
    return capture


def explain(url: str) -> str:
    """Finds out why a URL can't be opened, which FFmpeg doesn't tell."""
    try:
        parts = urlsplit(url)
        address = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        socket.create_connection(address, EXPLAIN_TIMEOUT).close()
    except ValueError:
        return (
            "the address is malformed; write the port as a number, and special characters of a password as %2F (/), "
            "%3F (?), %23 (#), %5B ([)"
        )
    except OSError as error:
        return f"{error.strerror or error}; check the address, and that the camera is on"
    return "something answers there, but sends no video; check path, user and password"


def _play(capture: cv2.VideoCapture) -> Iterator[tuple[np.ndarray, float]]:
    """Plays a video to its end, once."""
    try:
        while True:
            delivered, image = capture.read()
            if not delivered:
                return
            yield image, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    finally:
        capture.release()


def _play_gif(capture: cv2.VideoCapture) -> Iterator[tuple[np.ndarray, float]]:
    """Plays a GIF as browsers do, for which a delay below 20 ms is 100 ms; FFmpeg's versions differ."""
    previous, shift = -math.inf, 0.0
    for image, position in _play(capture):
        if position - previous < 0.019:
            shift += previous + 0.1 - position
        previous = position
        yield image, position + shift
