"""Where frames come from: one file a kind, opened by one URI."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import stat
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

import numpy as np

from credentials import public_name
from errors import PackageError, SourceError
from sources.link import is_device

# What opens each kind of source: called with the address (a path, a number or a URL) and the Options. Imported only
# when it is wanted, so that a PC needs no picamera2. A new kind of camera is one new file and one line here.
_OPENERS = {
    "csi": "sources.picamera:PiCamera",
    "usb": "sources.opencv:open_usb",
    "rtsp": "sources.rtsp:open_rtsp",
    "rtsps": "sources.rtsp:open_rtsp",
    "http": "sources.opencv:open_stream",
    "https": "sources.opencv:open_stream",
    "file": "sources.opencv:open_video",
    "folder": "sources.images:open_folder",
    "demo": "sources.demo:Demo",
}
_CAMERA = re.compile(r"(csi|usb)(?::(\d+))?")
_DEVICE = re.compile(r"/dev/video(\d+)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class Frame:
    """One image and when it was taken.

    Attributes:
        image: uint8 [H, W, 3], blue, green, red (OpenCV's order).
        timestamp: Seconds. Files count from their own start; live sources use the monotonic clock.
        index: Frames delivered before this one.
        lores: uint8 [h, w, 3] BGR, the same view at about the model's size, where the camera scales one itself.
    """

    image: np.ndarray
    timestamp: float
    index: int
    lores: np.ndarray | None = None


class Source(Protocol):
    """What every kind of source offers.

    Attributes:
        name: What the user sees, without credentials: "video.mp4", "USB camera 0".
        live: True if frames come at the camera's own pace, so that a slow reader must drop them; False if every
            frame waits to be read.
        fps: Frames a second as far as the source knows, else None.
    """

    name: str
    live: bool
    fps: float | None

    def read(self) -> Frame | None:
        """Blocks for the next frame; None at the end.

        Raises:
            SourceError: The source broke.
        """

    def close(self) -> None:
        """Releases the device or file; may be called twice."""


@dataclass(frozen=True)
class Options:
    """How a source is to be opened; each kind takes what applies to it.

    Attributes:
        loop: Start a file or folder again at its end.
        width: Columns asked of a camera, in pixels.
        height: Rows asked of a camera, in pixels.
        fps: Frames a second asked of a camera, or at which a folder of images plays.
        read_timeout: Seconds without a frame after which a live source is given up.
        demo_seed: Which film the demo shows, 0 or more.
        rotate: Degrees clockwise by which the picture is turned: 0, 90, 180 or 270.
        lores: (width, height) in pixels of a second, small picture for the model, if the camera can scale one.
        max_exposure: Longest exposure in seconds, for a camera that can be told.
    """

    loop: bool = False
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    read_timeout: float = 5.0
    demo_seed: int = 0
    rotate: int = 0
    lores: tuple[int, int] | None = None
    max_exposure: float | None = None

    @property
    def camera_size(self) -> tuple[int, int]:
        """(width, height) in pixels to ask of a camera: 640x480 unless said otherwise; half a size is made 4:3."""
        width = self.width or (self.height * 4 // 3 if self.height else 640)
        return width, self.height or width * 3 // 4


def open_source(
    uri: str,
    *,
    loop: bool = False,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    read_timeout: float = 5.0,
    demo_seed: int = 0,
    rotate: int = 0,
    lores: tuple[int, int] | None = None,
    max_exposure: float | None = None,
) -> Source:
    """Opens what frames are to come from.

    Args:
        uri: csi, csi:1, usb:0, /dev/video0 or a link to it, a video file or GIF, a folder of images, file://,
            rtsp://, http(s)://, demo.
        loop: Start a file or folder again at its end; its timestamps go on rising.
        width: Columns asked of a camera, in pixels.
        height: Rows asked of a camera, in pixels.
        fps: Frames a second asked of a camera, or at which a folder of images plays.
        read_timeout: Seconds without a frame after which a live source is given up.
        demo_seed: Which film the demo shows, 0 or more.
        rotate: Degrees clockwise by which the picture is turned: 0, 90, 180 or 270.
        lores: (width, height) in pixels of a second, small picture for the model, if the camera can scale one.
        max_exposure: Longest exposure in seconds, for a camera that can be told.

    Returns:
        The source, from which at least one frame can be read.

    Raises:
        SourceError: There is no such source, or it gives no frame.
        PackageError: The source needs a Python package that isn't installed.
    """
    from sources.turned import turn  # here, since it imports from this file

    try:
        uri.encode()
    except UnicodeEncodeError:  # OpenCV would crash
        raise SourceError(f"source {uri!r}: its name is not UTF-8; rename it") from None
    kind, address = _parse(uri)
    module, _, opener = _OPENERS[kind].partition(":")
    options = Options(loop, width, height, fps, read_timeout, demo_seed, rotate, lores, max_exposure)
    return turn(getattr(importlib.import_module(module), opener)(address, options), rotate)


def identity(uri: str) -> tuple[str, str]:
    """Returns what is equal for two URIs of one source: usb:0 and /dev/video0, a path and its absolute form.

    A link to a device is equal to itself only: where it leads changes while the camera stays the same.

    Raises:
        SourceError: No source is called so, or there is no such file.
    """
    kind, address = _parse(uri)
    return kind, os.path.abspath(address) if kind in ("file", "folder") else address


def find_camera() -> str:
    """Returns the URI of the camera to use when none is named: the Pi camera, else the first USB camera that works.

    Raises:
        SourceError: There is none; the message lists what was looked for.
    """
    from sources.opencv import list_usb_cameras
    from sources.picamera import list_pi_cameras

    missing = []
    try:
        if list_pi_cameras():
            return "csi"
        missing.append("no Pi camera is attached")
    except PackageError:
        missing.append("picamera2 is not installed (on a Raspberry Pi, run ./setup.sh)")
    for number, _ in list_usb_cameras():
        try:
            open_source(f"usb:{number}").close()
            return f"usb:{number}"
        except SourceError as error:
            missing.append(str(error))
    if len(missing) == 1:
        missing.append("no USB camera is plugged in")
    raise SourceError(f"no camera found: {'; '.join(missing)}; or give --source video.mp4 or --source rtsp://...")


def _parse(uri: str) -> tuple[str, str]:
    """Splits a URI into a key of _OPENERS and the address for that opener."""
    camera, device, scheme = _CAMERA.fullmatch(uri), _DEVICE.fullmatch(uri), _SCHEME.match(uri)
    if camera:
        return camera.group(1), camera.group(2) or "0"
    if device:
        return "usb", device.group(1)
    if is_device(uri):
        return "usb", uri
    if uri == "demo":
        return "demo", uri
    if scheme and scheme.group(1).lower() != "file":
        kind = scheme.group(1).lower()
        if kind not in _OPENERS:
            raise SourceError(f"{public_name(uri)} is not supported; use rtsp://, http://, https:// or file://")
        return kind, f"{kind}://{uri[scheme.end() :]}"  # FFmpeg knows no HTTP://
    if not uri.strip():
        raise SourceError("the source is empty; give a camera (csi, usb:0), a video file, a folder, a URL or demo")
    try:
        path = os.path.expanduser(unquote(urlsplit(uri).path) if scheme else uri)
        folder = stat.S_ISDIR(os.stat(path).st_mode)
    except ValueError:
        raise SourceError(f"{uri!r} can't be a path; write /folder/video.mp4 or file:///folder/video.mp4") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}{_meant(uri)}; check the path") from None
    return ("folder" if folder else "file"), path


def _meant(uri: str) -> str:
    """Returns a hint for what is no file, but may have been meant as a camera or the demo."""
    near = [] if "." in uri or "/" in uri else difflib.get_close_matches(uri.lower(), ("csi", "usb:0", "demo"), 1)
    film = " with --demo-seed N" * (near == ["demo"] and ":" in uri)
    return f", did you mean {near[0]}{film}?" if near else ""
