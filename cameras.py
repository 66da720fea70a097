"""What `classify.py --list-cameras` prints: the cameras of this machine, what each offers, and what to type for it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from checks.board import is_raspberry_pi
from errors import PackageError, SourceError
from sources.opencv import list_usb_cameras
from sources.picamera import list_pi_cameras
from sources.v4l2 import Mode, read_modes

_WIDTH = 80  # columns
_INDENT = " " * 8


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        source: What --source calls it: "csi", "usb:0".
        name: As its maker calls it.
        modes: What it offers. Empty for a Pi camera, whose pictures are scaled to the size that is asked for.
        trouble: Why a USB camera's modes aren't known, and what to do; else "".
    """

    source: str
    name: str
    modes: tuple[Mode, ...] = ()
    trouble: str = ""


def table() -> str:
    """Returns the cameras that are here as lines of at most 80 columns.

    Raises:
        SourceError: There is none; the text says what was looked for.
    """
    without = ""
    try:
        cameras = pi_cameras()
        if not cameras:
            without = "no Pi camera is attached (check its ribbon cable, then reboot)"
    except PackageError as error:
        cameras, without = [], str(error) if is_raspberry_pi() else "no picamera2, which only a Pi camera needs"
    cameras += usb_cameras()
    if not cameras:
        raise SourceError(
            f"no camera found: {without}; no USB camera is plugged in (lsusb lists what is); without a camera, "
            "take --source video.mp4, rtsp://... or demo"
        )
    blocks = [_describe(camera) for camera in cameras]
    if without and is_raspberry_pi():
        blocks.append(_wrap("csi".ljust(len(_INDENT)), without))
    return "\n\n".join(blocks)


def pi_cameras() -> list[Camera]:
    """Returns the cameras on the ribbon cables.

    Raises:
        PackageError: picamera2 is missing.
    """
    models = [model for _, model in list_pi_cameras()]
    return [Camera(f"csi:{index}" if index else "csi", f"Pi camera {model}") for index, model in enumerate(models)]


def usb_cameras(system: str = "/sys/class/video4linux", devices: str = "/dev") -> list[Camera]:
    """Returns the USB cameras, with their modes.

    Args:
        system: Where the kernel lists video devices.
        devices: Where their device nodes are.
    """
    return [_usb_camera(number, name, Path(devices) / f"video{number}") for number, name in list_usb_cameras(system)]


def _usb_camera(number: int, name: str, device: Path) -> Camera:
    source = f"usb:{number}"
    try:
        # Opening it disturbs no program that is showing its pictures. Unbuffered, since nothing is read from it.
        with open(device, "r+b", buffering=0) as node:
            return Camera(source, name, tuple(read_modes(node)))
    except PermissionError:
        remedy = "permission denied; type: sudo usermod -aG video $USER, then log in again"
    except OSError as error:
        remedy = f"{error.strerror}; close other programs that use it, or plug it in again"
    return Camera(source, name, trouble=f"{device}: {remedy}")


def _describe(camera: Camera) -> str:
    lines = [camera.source.ljust(len(_INDENT)) + camera.name]
    if camera.trouble:
        lines.append(_wrap(_INDENT, camera.trouble))
    for pixel_format in dict.fromkeys(mode.pixel_format for mode in camera.modes):
        sizes: dict[str, list[str]] = {}  # by the rates that they have in common
        for mode in camera.modes:
            if mode.pixel_format == pixel_format:
                sizes.setdefault(_rates(mode), []).append(_size(mode))
        text = "; ".join(", ".join(group) + rates for rates, group in sizes.items())
        lines.append(_wrap(f"{_INDENT}{pixel_format:<6}", text))
    lines.append(f"{_INDENT}python classify.py --source {camera.source}")
    return "\n".join(lines)


def _size(mode: Mode) -> str:
    largest = f"{mode.size[0]}x{mode.size[1]}"
    return largest if mode.smallest is None else f"{mode.smallest[0]}x{mode.smallest[1]} to {largest}"


def _rates(mode: Mode) -> str:
    if not mode.rates:
        return ""
    slowest, fastest = f"{min(mode.rates):.3g}", f"{max(mode.rates):.3g}"
    return f" at {fastest} fps" if slowest == fastest else f" at {slowest} to {fastest} fps"


def _wrap(head: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
