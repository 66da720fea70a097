"""Small helpers that several rooms share: labels, the rate meter, fitting a frame, writing a file whole."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import cv2
import numpy as np

from errors import ModelError, OutputError

FITS = ("crop", "stretch", "pad")


def say(text: str) -> None:
    """Prints one line for the person at the terminal; standard output is for results."""
    print(" ".join(text.splitlines()), file=sys.stderr, flush=True)  # names of files may hold newlines


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Reads class names, one a line, in the order of the model's logits.

    Accepts LF and CRLF, a UTF-8 byte order mark, and blank lines at the end.

    Raises:
        ModelError: The file is missing, unreadable, empty, not UTF-8, or has a blank line between names.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ModelError(f"label file {path}: {error.strerror}; name another with --labels FILE") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"label file {path}: byte {error.start} is not UTF-8; save it as UTF-8 text") from None
    labels = [line.strip() for line in text.rstrip().splitlines()]
    if not labels:
        raise ModelError(f"label file {path} is empty; it needs one class name a line")
    if "" in labels:
        raise ModelError(f"label file {path}: line {labels.index('') + 1} is blank; it needs one class name a line")
    return labels


def printable(text: str) -> str:
    """Returns a text that can do nothing to a terminal, for names that come from elsewhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class RateMeter:
    """Events a second over a sliding window, on the monotonic clock.

    Args:
        window: Seconds of history that count.
    """

    def __init__(self, window: float = 2.0) -> None:
        self._window = window
        self._times: deque[float] = deque()

    def tick(self, now: float | None = None) -> None:
        """Counts one event, at `now` seconds of the monotonic clock."""
        self._times.append(time.monotonic() if now is None else now)

    def rate(self, now: float | None = None) -> float:
        """Returns events a second; 0 until two events lie in the window."""
        now = time.monotonic() if now is None else now
        while self._times and self._times[0] < now - self._window:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        # Intervals, not events: n ticks span n - 1 of them. A source that stopped is seen to slow down, since the
        # time since its last tick counts as soon as it is longer than the usual interval.
        mean_interval = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        overdue = max(0.0, now - self._times[-1] - mean_interval)
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0] + overdue, 1e-9)


def fit_box(height: int, width: int, fit: str) -> tuple[int, int, int, int]:
    """Returns the part of a frame that the model sees, as (left, top, width, height) in pixels.

    The centre square for "crop"; the whole frame for "stretch" and "pad".
    """
    if fit != "crop":
        return 0, 0, width, height
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side, side


def fit_frame(frame: np.ndarray, height: int, width: int, fit: str, out: np.ndarray | None = None) -> np.ndarray:
    """Makes a frame the size that a model wants.

    Args:
        frame: uint8 [H, W] or [H, W, C].
        height: Rows wanted.
        width: Columns wanted.
        fit: "crop" takes the centre square, "stretch" ignores the aspect, "pad" keeps it between black borders.
        out: Memory that the result may be written to, of its shape: new memory for each frame takes time.

    Returns:
        uint8 [height, width] or [height, width, C].
    """
    left, top, box_width, box_height = fit_box(frame.shape[0], frame.shape[1], fit)
    seen = frame[top : top + box_height, left : left + box_width]
    if fit != "pad":
        return _resize(seen, height, width, out)
    scale = min(height / box_height, width / box_width)
    inner_height, inner_width = max(1, round(box_height * scale)), max(1, round(box_width * scale))
    padded = np.zeros((height, width) + frame.shape[2:], frame.dtype)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    padded[top : top + inner_height, left : left + inner_width] = _resize(seen, inner_height, inner_width)
    return padded


def _resize(frame: np.ndarray, height: int, width: int, out: np.ndarray | None = None) -> np.ndarray:
    if frame.shape[:2] == (height, width):
        return frame
    # Bilinear is what the published models were evaluated with; area averaging costs a Pi 4 eight times as much.
    return cv2.resize(frame, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Finds out before the work whether write_whole will find its folder willing.

    Raises:
        OutputError: It won't.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"can't write {path}: it is a folder; name a file")
    try:
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.").close()
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(f"can't write {path}: there is no such folder; make it first") from None
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; check the folder and the free space") from None


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file so that its name never stands for half of it: temporary name, fsync, rename.

    What stands there and is no file, such as /dev/null, is written to as it is: a rename would replace it.

    Raises:
        OutputError: The folder or the file can't be written.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; check the folder and the free space") from None
