"""Labels files, fitting a frame, the rate meter, writing a file whole."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import as_nobody
from hypothesis import given
from hypothesis import strategies as st

from errors import ModelError, OutputError
from utils import FITS, RateMeter, check_writable, fit_box, fit_frame, read_labels, write_whole

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "content",
    [
        b"walking\nrunning\ncaf\xc3\xa9\n",
        b"walking\nrunning\ncaf\xc3\xa9",
        b"walking\r\nrunning\r\ncaf\xc3\xa9\r\n",
        b"\xef\xbb\xbfwalking\nrunning\ncaf\xc3\xa9\n",
        b"\xef\xbb\xbfwalking\r\nrunning \r\ncaf\xc3\xa9\r\n\r\n\n",
    ],
    ids=["unix", "no newline at the end", "windows", "byte order mark", "all at once"],
)
def test_labels_of_every_editor_read_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    assert read_labels(path) == ["walking", "running", "café"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"\n\r\n  \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"walking\n\nrunning\n", "line 2 is blank"),
        (b"\nwalking\n", "line 1 is blank"),
        (b"walking\ncaf\xe9\n", "byte 11 is not UTF-8"),
        ("walking\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_bad_labels_are_refused_in_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_labels(path)
    text = str(caught.value)
    assert complaint in text and str(path) in text and len(text.splitlines()) == 1


def test_labels_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_labels(tmp_path / "missing.txt")
    with pytest.raises(ModelError, match="directory"):
        read_labels(tmp_path)


def test_kinetics_labels_are_the_600_classes(kinetics_labels: Path) -> None:
    labels = read_labels(kinetics_labels)
    assert len(labels) == len(set(labels)) == 600
    assert labels == sorted(labels)
    assert labels[72] == "carving ice"


def ramp(height: int, width: int) -> np.ndarray:
    """A frame whose red tells the column and whose green tells the row, each from 0 to 250."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(0, 250, width).astype(np.uint8)
    frame[..., 1] = np.linspace(0, 250, height).astype(np.uint8)[:, None]
    return frame


def test_crop_takes_the_centre_square() -> None:
    small = fit_frame(ramp(100, 300), 50, 50, "crop").astype(int)
    # Columns 100 to 200 of 300: from a third of the ramp to two thirds.
    assert abs(small[25, 0, 0] - 83) < 4 and abs(small[25, -1, 0] - 167) < 4
    assert small[0, 25, 1] < 4 and small[-1, 25, 1] > 246


def test_stretch_shows_everything() -> None:
    small = fit_frame(ramp(100, 300), 50, 50, "stretch")
    assert small[25, 0, 0] < 4 and small[25, -1, 0] > 246
    assert small[0, 25, 1] < 4 and small[-1, 25, 1] > 246


def test_pad_shows_everything_between_black_borders() -> None:
    small = fit_frame(np.full((100, 300, 3), 200, np.uint8), 60, 60, "pad")
    seen = np.flatnonzero(small.any(axis=(1, 2)))
    assert (seen.min(), seen.max()) == (20, 39)  # A third of the height, in the middle.
    assert (small[20:40] == 200).all()


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40),
    st.sampled_from(FITS), st.sampled_from([(), (3,), (4,)]),
)  # fmt: skip
def test_any_frame_fits(height: int, width: int, rows: int, columns: int, fit: str, channels: tuple[int, ...]) -> None:
    fitted = fit_frame(np.full((height, width) + channels, 9, np.uint8), rows, columns, fit)
    assert fitted.shape == (rows, columns) + channels
    assert fitted.max() == 9 and (fit == "pad" or fitted.min() == 9)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(FITS))
def test_fit_box_lies_in_the_frame(height: int, width: int, fit: str) -> None:
    left, top, box_width, box_height = fit_box(height, width, fit)
    right_gap, bottom_gap = width - left - box_width, height - top - box_height
    assert min(left, top, right_gap, bottom_gap) >= 0
    assert abs(left - right_gap) <= 1 and abs(top - bottom_gap) <= 1
    assert box_width == box_height if fit == "crop" else (box_width, box_height) == (width, height)


def test_rate_of_a_steady_camera() -> None:
    meter = RateMeter(window=2.0)
    assert meter.rate(now=0.0) == 0
    for tick in range(200):
        meter.tick(now=tick / 25)
    assert meter.rate(now=199 / 25) == pytest.approx(25)


def test_rate_follows_a_change_within_the_window() -> None:
    meter = RateMeter(window=1.0)
    for tick in range(100):
        meter.tick(now=tick / 50)
    for tick in range(20):
        meter.tick(now=2 + tick / 10)
    assert meter.rate(now=3.9) == pytest.approx(10)


def test_rate_of_a_camera_that_stopped_falls_to_nothing() -> None:
    meter = RateMeter(window=2.0)
    for tick in range(51):
        meter.tick(now=tick / 25)
    rates = [meter.rate(now=2 + late) for late in (0, 0.5, 1, 1.5, 2.5)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == len(rates)
    assert rates[-1] == 0


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_whole(path, b"old")
    write_whole(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["result.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    """Such as /dev/null, which root could lose."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    write_whole(path, b"new")
    assert reader.communicate(timeout=60)[0] == b"new"
    assert path.is_fifo() and os.listdir(tmp_path) == ["pipe"]


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_whole(tmp_path / "missing" / "result.json", b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="directory"):
        write_whole(tmp_path / "folder", b"new")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    "name, reason",
    [
        ("closed/out.json", "Permission denied"),
        ("closed/folder/out.json", "Permission denied"),
        ("missing/out.json", "no such folder"),
        ("file/out.json", "no such folder"),
        ("closed", "it is a folder"),
        (300 * "x", "File name too long"),
        (250 * "x", "File name too long"),  # with what write_whole adds to it
    ],
)
def test_unwritable_places_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "closed" / "folder").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    monkeypatch.chdir(tmp_path)
    closed = as_nobody(tmp_path) if reason == "Permission denied" else contextlib.nullcontext()
    with closed, pytest.raises(OutputError, match=f"{name}: .*{reason}"):
        check_writable(name)
    assert sorted(os.listdir(tmp_path)) == ["closed", "file"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """A process that may write no more than 1000 bytes a file stands for a full disk."""
    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    program = (
        f"import resource, signal, sys; sys.path.insert(0, {str(ROOT)!r}); from utils import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"write_whole({str(path)!r}, bytes(100_000))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "OutputError" in done.stderr and "File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.json"]
