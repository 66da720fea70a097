"""The first command on a fresh machine, without a fetched model: `python classify.py` shows the demo, in a window."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import cv2
import numpy as np
import pytest
from conftest import ROOT
from demo_program import ONE_THREAD, find_moment, finish, start, stop
from desktop import environment, managed_desktop, needs_desktop, wait_for

from errors import SourceError
from options import DEFAULT_MODEL
from sources import find_camera
from sources.play import Play

TITLE = "Action recognition"
FILM = 30.0  # seconds of the film in which a picture is looked for


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as it comes: without what setup.sh installs and fetches."""
    folder = tmp_path_factory.mktemp("fresh") / "repository"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "training", "docs", "*.tflite", "*.pt")
    shutil.copytree(ROOT, folder, ignore=ignored)
    shutil.copy(ROOT / "models" / "movinet_a0_demo.tflite", folder / "models")
    return folder


@pytest.fixture
def begin(repository: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the fresh machine's program in an empty folder; ends what a test leaves running."""
    programs = []

    def run(*flags: object, **options: Any) -> Any:
        programs.append(start(*flags, folder=tmp_path, repository=repository, **options))
        return programs[-1]

    yield run
    for program in programs:
        stop(program)


def told(errors: str) -> list[str]:
    """Returns the lines that say what the demo is."""
    return [line for line in errors.splitlines() if line.startswith("demo: a drawn figure")]


def test_one_line_says_that_it_is_the_demo_and_how_to_get_more(begin: Callable[..., Any]) -> None:
    status, output, errors = finish(begin("--display", "none", "--duration", 4, *ONE_THREAD))

    assert status == 0, errors
    (line,) = told(errors)
    assert line.endswith(f"python classify.py --model {DEFAULT_MODEL}")
    assert "source: demo\n" in errors and "model: movinet_a0_demo.tflite on " in errors
    assert f"{Play(0).action(3.0)}  " in output.splitlines()[-1]


def test_with_a_model_but_no_camera_the_line_says_so(begin: Callable[..., Any], repository: Path) -> None:
    try:
        camera = find_camera()
    except SourceError:
        pass
    else:
        pytest.skip(f"needs a machine without a camera; this one has {camera}")
    fetched = repository / "models" / DEFAULT_MODEL
    fetched.touch()
    try:
        status, _, errors = finish(begin("--display", "none", "--duration", 1))
    finally:
        fetched.unlink()

    assert status == 0
    (line,) = told(errors)
    assert "no camera" in line and "--source" in line
    assert "source: demo\n" in errors and "model: movinet_a0_demo.tflite on " in errors


@needs_desktop[0]
@needs_desktop[1]
def test_the_window_shows_film_labels_and_truth(begin: Callable[..., Any], screen: dict[str, str]) -> None:
    program = begin(env=screen)
    window = wait_for_film(screen)
    time.sleep(2)  # the first second is marked as warming up
    first = picture_of(window, screen)
    time.sleep(0.4)
    second = picture_of(window, screen)
    program.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    status, output, errors = finish(program)

    assert status == 143 and time.monotonic() - sent < 2
    assert len(told(errors)) == 1 and "display: " in errors and "score: " in errors
    assert output == ""  # the window shows it all
    moment = find_moment(first, 0, FILM)
    assert moment is not None
    height, width = first.shape[:2]
    middle = np.s_[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    assert (first[middle] != second[middle]).any(axis=2).mean() > 0.01  # it moves

    clean = cv2.resize(Play(0).draw(moment, 640, 480), (width, height), interpolation=cv2.INTER_AREA)
    labels = np.s_[int(0.85 * height) : int(0.97 * height), int(0.02 * width) : int(0.65 * width)]
    truth = np.s_[int(0.955 * height) : int(0.98 * height), int(0.87 * width) : int(0.98 * width)]
    for panel in (labels, truth):
        assert np.median(first[panel]) < 0.5 * np.median(clean[panel])  # dark, to be read on
        assert white(first[panel]) > white(clean[panel])
    assert bar(first[labels]) > 100 > bar(clean[labels])


@pytest.fixture(scope="module")
def screen() -> Iterator[dict[str, str]]:
    with managed_desktop() as name:
        yield environment(DISPLAY=name)


def wait_for_film(screen: dict[str, str]) -> str:
    """Waits until the film is seen; returns the window's number."""
    window = str(wait_for(lambda: find_window(screen), "a window"))

    def seen() -> bool:
        return find_moment(picture_of(window, screen), 0, FILM) is not None

    try:
        wait_for(seen, "the film")
    except AssertionError:  # on a busy machine a new window may stay blank, see sinks/window.py
        for change in ("windowminimize", "windowmap"):
            subprocess.run(["xdotool", change, "--sync", window], env=screen, check=True)
        wait_for(seen, "the film")
    return window


def find_window(screen: dict[str, str]) -> str:
    """Returns the window's number, or "" if there is none yet."""
    command = ["xdotool", "search", "--onlyvisible", "--name", TITLE]
    return (subprocess.run(command, env=screen, capture_output=True, text=True).stdout.split() or [""])[0]


def picture_of(window: str, screen: dict[str, str]) -> np.ndarray:
    """Returns what a window shows, uint8 [H, W, 3] BGR."""
    command = ["import", "-silent", "-window", window, "png:-"]
    png = subprocess.run(command, env=screen, stdout=subprocess.PIPE, check=True).stdout
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def white(picture: np.ndarray) -> int:
    """Returns the number of pixels as bright as letters, of a region that has none."""
    return int((picture.min(axis=2) > 200).sum())


def bar(picture: np.ndarray) -> int:
    """Returns the number of pixels in the best label's orange."""
    return int((np.abs(picture.astype(int) - (0, 159, 230)).max(axis=2) < 12).sum())
