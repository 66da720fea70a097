"""--timeline FILE.mp4 and .gif: read back with PyAV, picture by picture."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from errors import OutputError, PackageError
from sinks import timeline as module
from sinks.timeline import open_timeline
from timeline.colours import PALETTE, Looks, bgr, own_colour
from timeline.drawing import Names
from timeline.gif import GifFile
from video_classifier import Category, Prediction

av = pytest.importorskip("av", reason="films need PyAV")

LABELS = ["clapping", "jumping", "waving"]
COLORS = [(40, 40, 200), (60, 180, 60), (200, 80, 40), (200, 200, 60)]  # BGR


def predict(timestamp, probabilities, labels=LABELS):
    probabilities = np.asarray(probabilities, np.float32)
    best = int(probabilities.argmax())
    top = [Category(labels[best], float(probabilities[best]), best)]
    return Prediction(timestamp, 0.01, 1, top, np.log(probabilities + 1e-9), probabilities)


def plain(color, height=240, width=320):
    return np.full((height, width, 3), color, np.uint8)


def make(path, seconds, fps=10, *, live=False, start=0.0, size=(240, 320), tell=lambda t: [0.1, 0.8, 0.1]):
    """Makes a film of a picture that changes its colour each second, with a prediction every 0.2 s."""
    sink = open_timeline(str(path), "x", live=live, fps=fps, looks=Looks())
    sink.follow(LABELS, np.arange(3))
    step = max(1, round(fps / 5))
    for number in range(round(seconds * fps)):
        t = number / fps
        predictions = [predict(start + t, tell(t))] if number % step == 0 else []
        sink.write(plain(COLORS[int(t) % len(COLORS)], *size), start + t, predictions)
    sink.close()
    return sink.path


def play(path):
    """Returns pictures, uint8 [H, W, 3] BGR, and their times in seconds."""
    with av.open(str(path)) as file:
        frames = [(frame.to_ndarray(format="bgr24"), float(frame.time)) for frame in file.decode(video=0)]
    return [picture for picture, _ in frames], [moment for _, moment in frames]


def pixels_of(picture, colour, tolerance=40):
    return int((np.abs(picture.astype(int) - bgr(colour)).max(axis=2) <= tolerance).sum())


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_the_video_is_left_and_the_chart_grows_at_its_right(tmp_path, suffix):
    pictures, times = play(make(tmp_path / f"out{suffix}", 6, start=812.5))
    assert times == pytest.approx(np.arange(60) / 10, abs=0.011)
    assert all(picture.shape == pictures[0].shape for picture in pictures)
    height, width = pictures[0].shape[:2]
    video = round(height * 320 / 240)
    assert width - video > 150 and width <= 720
    for number, picture in enumerate(pictures):
        left = picture[4:-4, 4 : video - 4].reshape(-1, 3)
        assert np.abs(left.mean(axis=0) - COLORS[number // 10 % len(COLORS)]).max() < 12
    # The line of the leading label grows from picture to picture, and so does what it covers.
    reach = []
    for picture in pictures[4::5]:
        chart = picture[: height // 4, video + 4 :]
        hits = np.nonzero((np.abs(chart.astype(int) - bgr(own_colour("jumping"))).max(axis=2) <= 40))
        reach.append(hits[1].max())
    assert all(later > earlier for earlier, later in zip(reach, reach[1:]))


def test_bars_are_as_long_as_the_probabilities(tmp_path):
    """Clapping's probability falls from 0.9 to 0.2 after 2 s: its bar is the only wide thing of its colour below."""
    pictures, _ = play(make(tmp_path / "out.mp4", 4, tell=lambda t: [0.9, 0.05, 0.05] if t < 2 else [0.2, 0.75, 0.05]))
    lengths = []
    for picture in (pictures[15], pictures[35]):
        lower = picture[round(0.45 * picture.shape[0]) :, -280:]
        marked = np.abs(lower.astype(int) - bgr(own_colour("clapping"))).max(axis=2) <= 60
        lengths.append(marked.sum(axis=1).max())
    assert lengths[1] / lengths[0] == pytest.approx(0.2 / 0.9, abs=0.04)


def test_the_chart_moves_on_after_a_minute(tmp_path):
    """Clapping led until 30 s; at 100 s nothing of it is left."""
    pictures, _ = play(
        make(tmp_path / "out.mp4", 100, fps=2, tell=lambda t: [0.9, 0.1, 0.0] if t < 30 else [0.0, 1, 0])
    )
    right = [picture[:, -280:] for picture in (pictures[40], pictures[100], pictures[-1])]
    counts = [pixels_of(each, own_colour("clapping")) for each in right]
    assert counts[0] > 300 and counts[1] > 300 and counts[2] < 20


@pytest.mark.parametrize("size", [(120, 160), (241, 321), (720, 1280), (640, 360), (1080, 1920)])
@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_any_size_of_video(tmp_path, suffix, size):
    pictures, _ = play(make(tmp_path / f"out{suffix}", 0.5, size=size))
    height, width = pictures[0].shape[:2]
    assert 100 <= height <= 720 and (suffix == ".mp4" or width <= 722)
    video = height * size[1] / size[0]
    left = pictures[-1][4:-4, 4 : round(video) - 6].reshape(-1, 3)
    assert np.abs(left.mean(axis=0) - COLORS[0]).max() < 12 and left.std(axis=0).max() < 12
    assert pixels_of(pictures[-1][:, round(video) :], own_colour("jumping")) > 40


def test_a_gif_has_ten_pictures_a_second_and_repeats_for_ever(tmp_path):
    path = make(tmp_path / "out.gif", 3, fps=30)
    pictures, times = play(path)
    assert 25 <= len(pictures) <= 31 and min(np.diff(times)) > 0.085
    content = path.read_bytes()
    assert content.startswith(b"GIF89a") and content.endswith(b";") and b"NETSCAPE2.0\x03\x01\x00\x00" in content


def test_a_gif_ends_after_two_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr("timeline.gif.LONGEST", 3.0)
    sink = open_timeline(str(tmp_path / "out.gif"), "x", live=False, fps=10, looks=Looks())
    with pytest.raises(OutputError, match="an .mp4 has no limit") as caught:
        for number in range(1000):
            sink.write(plain(COLORS[0]), number / 10, [])
    assert caught.value.status == 0
    sink.close()  # doesn't say it again: the rest of the program goes on
    assert len(play(sink.path)[0]) == 30


def test_a_gif_of_many_colours_needs_no_more_memory_with_time(tmp_path):
    """Pictures are handed to the file in groups; between them nothing is kept."""
    gif = GifFile(tmp_path / "out.gif")
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    sizes = []
    for number in range(60):
        gif.write(np.roll(noise, number, axis=0), number / 10)
        sizes.append(gif.path.stat().st_size)
    assert sizes[30] > 20_000 and sizes[50] > 1.5 * sizes[20]
    gif.close()
    pictures, _ = play(gif.path)
    assert len(pictures) == 60
    assert np.abs(pictures[45].astype(int) - np.roll(noise, 45, axis=0)).mean() < 12


def test_a_camera_is_never_held_up(tmp_path, monkeypatch):
    """The drawing takes 0.2 s a picture; a camera of 30 pictures a second loses pictures, but no prediction."""
    told = []

    def slow(self, picture):
        time.sleep(0.2)
        told.append(len(self.history.line("jumping").times))
        return picture

    monkeypatch.setattr(module.Film, "draw", slow)
    sink = open_timeline(str(tmp_path / "out.mp4"), "x", live=True, fps=30, looks=Looks())
    sink.follow(LABELS, np.arange(3))
    begin = time.monotonic()
    for number in range(60):
        sink.write(plain(COLORS[0]), number * 0.2, [predict(number * 0.2, [0.1, 0.8, 0.1])])
        time.sleep(0.02)
    assert time.monotonic() - begin < 9  # all pictures would take 12 s
    sink.close()
    assert len(told) < 45
    assert told[-1] >= 45 and told == sorted(told)


def test_predictions_that_wait_to_be_drawn_keep_the_labels_that_they_were_made_with(tmp_path, monkeypatch):
    """Models with fewer and more classes take turns, while the drawing lags behind and pictures are left out."""
    drawn, release = [], threading.Event()

    def slow(self, picture):
        release.wait(60)
        drawn.append({label: self.history.latest(label) for label in self.history.leaders(9)})
        return picture

    monkeypatch.setattr(module.Film, "draw", slow)
    sink = open_timeline(str(tmp_path / "out.mp4"), "x", live=True, fps=30, looks=Looks())
    models = [(LABELS, [0.1, 0.8, 0.1]), ([*"abcdefg"], [0.1] * 6 + [0.4]), (["p", "q"], [0.2, 0.8])]
    for number in range(24):
        labels, shares = models[number % 3]
        sink.follow(labels, np.arange(len(labels)))
        sink.write(plain(COLORS[0]), number * 0.02, [predict(number * 0.02, shares, labels)])
    release.set()
    sink.close()

    assert {"jumping", "g", "q"} <= drawn[-1].keys() and sink.path.stat().st_size


def test_a_file_waits_for_every_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAITING", 1)
    pictures, _ = play(make(tmp_path / "out.mp4", 4, fps=30))
    assert len(pictures) == 120


def test_existing_films_are_kept(tmp_path):
    for suffix in (".mp4", ".gif"):
        (tmp_path / f"out{suffix}").write_bytes(b"mine")
        assert make(tmp_path / f"out{suffix}", 0.5) == tmp_path / f"out-1{suffix}"
        assert (tmp_path / f"out{suffix}").read_bytes() == b"mine"


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_without_pictures_there_is_no_file(tmp_path, suffix):
    sink = open_timeline(str(tmp_path / f"out{suffix}"), "x", live=False, fps=10, looks=Looks())
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_full_disk_ends_the_film_and_what_was_written_plays(tmp_path, suffix, monkeypatch):
    from sinks import video_file
    from timeline import gif

    sink = open_timeline(str(tmp_path / f"out{suffix}"), "x", live=False, fps=10, looks=Looks())
    with pytest.raises(OutputError, match="disk is full"):
        for number in range(300):
            if number == 60:
                for where in (video_file, gif):
                    monkeypatch.setattr(where, "is_full", lambda folder: True)
            sink.write(plain(COLORS[number % 4]), number / 10, [])
    assert 20 <= len(play(sink.path)[0]) <= 90
    with pytest.raises(OutputError):
        sink.write(plain(COLORS[0]), 99.0, [])


def test_a_gif_that_is_killed_plays_so_far(tmp_path):
    code = """
import sys, time
import numpy as np
from sinks.timeline import open_timeline
from timeline.colours import Looks
sink = open_timeline(sys.argv[1], "x", live=False, fps=10, looks=Looks())
for number in range(10**6):
    sink.write(np.full((120, 160, 3), number % 200, np.uint8), number / 10, [])
    time.sleep(0.01)
"""
    path = tmp_path / "out.gif"
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=module.__file__.rsplit("sinks", 1)[0])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (path.exists() and path.stat().st_size > 60_000):
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    pictures, times = play(path)
    assert len(pictures) >= 10 and times[9] == pytest.approx(0.9, abs=0.02)
    capture = cv2.VideoCapture(str(path))
    assert capture.read()[0]


def test_pyav_is_missed_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for suffix in (".mp4", ".gif"):
        with pytest.raises(PackageError, match="av"):
            open_timeline(str(tmp_path / f"out{suffix}"), "x", live=False, fps=10, looks=Looks())
    assert list(tmp_path.iterdir()) == []


def test_the_palette_is_what_the_chart_is_drawn_with(tmp_path):
    """Seven labels at once: each has its own colour in the film."""
    assert len(set(PALETTE)) == 7
    pictures, _ = play(make(tmp_path / "out.mp4", 3, tell=lambda t: [0.4, 0.35, 0.25]))
    for label in LABELS:
        assert pixels_of(pictures[-1][:, -280:], own_colour(label)) > 40


def test_names_in_another_language(tmp_path):
    """The face that is given draws them; the colour is still the label's."""

    class Face:
        drawn: list = []

        def width(self, text, scale):
            return 10 * len(text)

        def draw(self, panel, text, left, baseline, scale, colour):
            self.drawn.append(text)

    sink = open_timeline(str(tmp_path / "out.mp4"), "x", live=False, fps=10, looks=Looks())
    sink.follow(LABELS, np.arange(3), Names({"clapping": "박수 치기", "jumping": "y" * 99}, Face()))
    for number in range(10):
        sink.write(plain(COLORS[0]), number / 10, [predict(number / 10, [0.6, 0.3, 0.1])])
    sink.close()
    assert "박수 치기" in Face.drawn and "clapping" not in Face.drawn and "waving" in Face.drawn
    assert any(text.endswith("...") and len(text) < 40 for text in Face.drawn)
    assert pixels_of(play(sink.path)[0][-1][:, -280:], own_colour("clapping")) > 40
