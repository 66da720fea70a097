"""The program showing the demo, for the tests: starting it, reading what it wrote, finding a picture in the film."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence

import av
import cv2
import numpy as np
from conftest import ROOT

from sources.play import Play

LIMIT = 60  # seconds; against hanging only
# On a machine that others use too, a step of two threads takes seconds now and then: each waits for the other.
ONE_THREAD = ("--threads", 1)
_SMALL = (160, 120)
_CLEAR = slice(15, 80)  # rows of a small picture on which no overlay lies
_MOST = 12.0  # mean difference, of 255, of pictures of the same moment: lines, compression


def start(
    *flags: object, folder: Path, repository: Path = ROOT, wrapper: Sequence[object] = (), **options: Any
) -> subprocess.Popen:
    """Starts classify.py of a repository in a folder, as if typed there by somebody without a desktop.

    A wrapper, a script with its own arguments, is started in its place.
    """
    hidden = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY")
    return subprocess.Popen(
        [sys.executable, *map(str, (*(wrapper or [repository / "classify.py"]), *flags))],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"env": {name: value for name, value in os.environ.items() if name not in hidden}, **options},
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Waits for the end; returns exit status, standard output and standard error."""
    output, errors = process.communicate(timeout=LIMIT)
    return process.returncode, output, errors


def stop(process: subprocess.Popen) -> None:
    """Ends what a failed test has left running."""
    process.kill()
    process.communicate()


def predictions(text: str) -> list[dict[str, Any]]:
    """Reads JSON Lines; a last line that was cut off by a kill is left out."""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def recorded(path: Path) -> list[tuple[float, np.ndarray]]:
    """Returns the pictures of a recording, uint8 [H, W, 3] BGR, each with its time in seconds."""
    with av.open(str(path)) as file:
        return [(frame.time, frame.to_ndarray(format="bgr24")) for frame in file.decode(video=0)]


def find_moment(picture: np.ndarray, seed: int, last: float, first: float = 0.0) -> float | None:
    """Returns the moment of a film, `first` to `last` seconds in, that a picture shows; None if it shows none."""
    times = np.arange(first, last, 1 / 30)
    seen = _shrink(picture)
    differences = [np.abs(small - seen).mean() for small in _film(seed, tuple(times))]
    return float(times[np.argmin(differences)]) if min(differences) < _MOST else None


@functools.lru_cache(maxsize=4)
def _film(seed: int, times: tuple[float, ...]) -> list[np.ndarray]:
    play = Play(seed)
    return [_shrink(play.draw(t, 640, 480)) for t in times]


def _shrink(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, _SMALL, interpolation=cv2.INTER_AREA)[_CLEAR].astype(np.float32)
