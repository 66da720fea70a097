"""--timeline FILE.png and .svg: read back as pixels, and as the text and paths of the SVG."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from conftest import ROOT

from errors import OutputError, PackageError, UserError
from events import Event
from lettering import open_lettering
from sinks.timeline import TimelinePicture, open_timeline
from timeline.colours import GROUND, Looks, bgr, own_colour
from timeline.drawing import Names
from video_classifier import Category, Prediction

LABELS = ["clapping", "jumping", "waving"]  # of three colours
SVG = "{http://www.w3.org/2000/svg}"
NOTHING = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def drawn():
    pytest.importorskip("matplotlib", reason="a timeline as a picture needs matplotlib")


def predict(timestamp, probabilities, labels=LABELS):
    probabilities = np.asarray(probabilities, np.float32)
    best = int(probabilities.argmax())
    top = [Category(labels[best], float(probabilities[best]), best)]
    return Prediction(timestamp, 0.01, 1, top, np.log(probabilities + 1e-9), probabilities)


def event(label, start, duration, source="yard.mp4"):
    return Event(f"{label}{start}", label, source, 0.0, start, duration, 0.9, 0.8, False)


def bump(t, middle, width):
    return float(np.exp(-(((t - middle) / width) ** 2)))


def write_run(path, seconds=100.0, *, live=False, start=0.0, events=(), labels=LABELS, source="yard.mp4"):
    """Writes a run in which jumping peaks at 30 %, and waving at 70 % of the time."""
    sink = open_timeline(str(path), source, live=live, fps=30, looks=Looks())
    sink.follow(labels, np.arange(len(labels)))
    for t in np.linspace(0, seconds, 501):
        jumping, waving = bump(t, 0.3 * seconds, seconds / 20), 0.8 * bump(t, 0.7 * seconds, seconds / 20)
        row = [1 - jumping - waving, jumping, waving]
        sink.write(NOTHING, start + t, [predict(start + t, row, labels)])
    for each in events:
        sink.event(each)
    sink.close()
    return sink.path


def texts(root):
    return ["".join(each.itertext()).strip() for each in root.iter(f"{SVG}text")]


def lines(root, colour):
    """Returns the points of each stroked path of a colour, longest first."""
    found = []
    for path in root.iter(f"{SVG}path"):
        if f"stroke: {colour}" in path.get("style", ""):
            numbers = re.findall(r"([ML]) (-?[\d.]+) (-?[\d.]+)", path.get("d"))
            found.append(np.array([[float(x), float(y)] for _, x, y in numbers]))
    return sorted(found, key=len, reverse=True)


def test_an_svg_names_the_labels_and_peaks_where_the_run_did(tmp_path, drawn):
    root = ElementTree.parse(write_run(tmp_path / "run.svg")).getroot()
    said = texts(root)
    assert {*LABELS, "yard.mp4", "1:40", "100 %", "0 %"} <= set(said)
    grid = [each for each in root.iter(f"{SVG}g") if each.get("id", "").startswith("xtick")]
    places = []
    for tick in grid:
        minutes, seconds = "".join(next(tick.iter(f"{SVG}text")).itertext()).strip().split(":")
        column = re.findall(r"M (-?[\d.]+)", next(tick.iter(f"{SVG}path")).get("d"))[0]
        places.append((60 * int(minutes) + int(seconds), float(column)))
    (first, left), (last, right) = places[0], places[-1]
    for label, peak, height in (("jumping", 30, 1.0), ("waving", 70, 0.8)):
        points = lines(root, own_colour(label))[0]
        top = points[points[:, 1].argmin()]
        seen = first + (top[0] - left) / (right - left) * (last - first)
        assert seen == pytest.approx(peak, abs=1.0)
        base = points[:, 1].max()
        full = lines(root, own_colour("clapping"))[0][:, 1].min()
        assert (base - top[1]) / (base - full) == pytest.approx(height, abs=0.03)


def test_a_png_has_the_labels_colours_and_is_whole_at_its_edges(tmp_path, drawn):
    path = write_run(tmp_path / "run.png", events=[event("jumping", 25.0, 10.0)])
    picture = cv2.imread(str(path))
    assert picture.shape[1] >= 1200 and 400 <= picture.shape[0] <= 900 and path.stat().st_size < 150_000
    for label in LABELS:
        assert (np.abs(picture.astype(int) - bgr(own_colour(label))).max(axis=2) <= 2).sum() > 200
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == bgr(GROUND)).all()


def test_events_are_bars_of_their_length(tmp_path, drawn):
    """An event of the first half, and one of the last tenth; that of another source isn't here."""
    spans = [event("jumping", 0.0, 50.0), event("waving", 90.0, 10.0), event("clapping", 10.0, 50.0, "other.mp4")]
    picture = cv2.imread(str(write_run(tmp_path / "run.png", events=spans)))
    lower = picture[-130:]
    columns = {}
    for label in LABELS:
        marked = (np.abs(lower.astype(int) - bgr(own_colour(label))).max(axis=2) <= 2).sum(axis=0) >= 8
        columns[label] = np.flatnonzero(marked)
    assert not len(columns["clapping"])
    first, last = columns["jumping"], columns["waving"]
    width = last.max() - first.min()
    assert len(first) / width == pytest.approx(0.5, abs=0.01) and len(last) / width == pytest.approx(0.1, abs=0.01)
    assert (first.max() - first.min()) / width == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("seconds, name", [(2, "0:01"), (100, "1:20"), (7200, "1:00:00"), (400_000, "2 d")])
def test_any_length_has_a_readable_axis(tmp_path, drawn, seconds, name):
    root = ElementTree.parse(write_run(tmp_path / "run.svg", seconds)).getroot()
    said = [text for text in texts(root) if re.fullmatch(r"[\d:]+|\d+ d( \d+ h)?", text)]
    assert name in said and 3 <= len(said) <= 13


def test_a_camera_has_the_clocks_time(tmp_path, drawn):
    """Its timestamps count from when the machine started."""
    now = time.time()
    root = ElementTree.parse(write_run(tmp_path / "run.svg", 7200, live=True, start=5000.0)).getroot()
    named = [text for text in texts(root) if re.fullmatch(r"\d\d:\d\d", text)]
    hours = {time.strftime("%H:00", time.localtime(now + later)) for later in (3600, 7200)}
    assert len(named) >= 4 and hours & set(named)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_strange_labels_are_drawn_as_they_are(tmp_path, drawn, suffix):
    labels = ["$a$ <b> & 'c'", "_hidden \\frac", "수영 " * 20]
    path = write_run(tmp_path / f"run{suffix}", labels=labels, source="$x$ <clip>.mp4")
    if suffix == ".svg":
        said = texts(ElementTree.parse(path).getroot())
        assert {"$a$ <b> & 'c'", "_hidden \\frac", "$x$ <clip>.mp4"} <= set(said)
        assert any(text.startswith("수영") and text.endswith("…") for text in said)


def test_names_in_another_language(tmp_path, drawn):
    sink = open_timeline(str(tmp_path / "run.svg"), "x", live=False, fps=30, looks=Looks())
    sink.follow(LABELS, np.arange(3), Names({"waving": "saludar", "jumping": "점프"}))
    for number in range(20):
        sink.write(NOTHING, number / 5, [predict(number / 5, [0.2, 0.3, 0.5])])
    sink.close()
    root = ElementTree.parse(sink.path).getroot()
    assert {"saludar", "점프", "clapping"} <= set(texts(root)) and "waving" not in texts(root)
    assert lines(root, own_colour("waving"))


def test_an_existing_file_is_kept(tmp_path, drawn):
    (tmp_path / "run.png").write_bytes(b"mine")
    assert write_run(tmp_path / "run.png") == tmp_path / "run-1.png"
    assert (tmp_path / "run.png").read_bytes() == b"mine"
    assert cv2.imread(str(tmp_path / "run-1.png")) is not None


def test_several_sources_have_a_file_each(tmp_path, drawn):
    sink = open_timeline(str(tmp_path / "a.b.png"), "rtsp", live=True, fps=None, looks=Looks(), name="cam.local/1")
    assert sink.path == tmp_path / "a.b-cam-local-1.png"


def test_names_in_any_script_stay_apart(tmp_path, drawn):
    paths = [
        open_timeline(str(tmp_path / "two.png"), name, live=False, fps=30, looks=Looks(), name=name).path
        for name in ("비디오.mp4", "영화.mp4")
    ]
    assert paths == [tmp_path / "two-비디오-mp4.png", tmp_path / "two-영화-mp4.png"]


def test_two_runs_at_once_have_a_picture_each(tmp_path, drawn):
    first, second = (open_timeline(str(tmp_path / "day.png"), "x", live=False, fps=1, looks=Looks()) for _ in "ab")
    for sink in (first, second):
        sink.write(NOTHING, 0.0, [predict(0.0, [0.2, 0.3, 0.5])])
        sink.close()
    assert first.path != second.path
    assert all(cv2.imread(str(sink.path)) is not None for sink in (first, second))


def test_a_name_too_long_for_a_file_is_told_at_once(tmp_path, drawn):
    with pytest.raises(OutputError, match="name another file"):
        open_timeline(str(tmp_path / f"{'x' * 300}.png"), "x", live=False, fps=1, looks=Looks())


@pytest.mark.parametrize("moments", [[7.0], [0.0, 3.2, 6.4, 9.6]])
def test_few_predictions_are_seen(tmp_path, drawn, moments):
    """One, or one a clip of 16 frames at 5 frames a second."""
    sink = open_timeline(str(tmp_path / "run.svg"), "x", live=False, fps=30, looks=Looks())
    for moment in moments:
        sink.write(NOTHING, moment, [predict(moment, [0.1, 0.1, 0.8])])
    sink.close()
    root = ElementTree.parse(sink.path).getroot()
    colour = own_colour("waving")
    if len(moments) > 1:
        assert len(lines(root, colour)[0]) == len(moments)
    else:
        assert sum(f"fill: {colour}" in mark.get("style", "") for mark in root.iter(f"{SVG}use")) == 1


def test_a_font_that_is_newer_than_matplotlibs_list_is_found(tmp_path, drawn):
    """As after: sudo apt install fonts-noto-cjk."""
    from matplotlib.font_manager import fontManager

    try:
        lettering = open_lettering("ko", ["점프"])
    except PackageError as error:
        pytest.skip(str(error))
    if isinstance(lettering.regular, int):
        pytest.skip("this OpenCV draws all letters itself")
    known, pictures = fontManager.ttflist, []
    try:
        for listed in (known, [font for font in known if "CJK" not in font.name]):
            fontManager.ttflist = list(listed)
            sink = open_timeline(str(tmp_path / "run.png"), "x", live=False, fps=30, looks=Looks())
            sink.follow(LABELS, np.arange(3), Names({"waving": "점프"}, lettering.regular))
            sink.write(NOTHING, 1.0, [predict(1.0, [0.1, 0.1, 0.8])])
            sink.close()
            pictures.append(cv2.imread(str(sink.path)))
    finally:
        fontManager.ttflist = known
    assert (pictures[0] == pictures[1]).all()


def test_without_predictions_there_is_no_file(tmp_path, drawn, capsys):
    sink = TimelinePicture(tmp_path / "run.png", "x", False, Looks())
    sink.write(NOTHING, 0.0, [])
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == [] and "saw nothing" in capsys.readouterr().err


@pytest.mark.parametrize("path, error", [("run.jpg", UserError), ("run", UserError), ("none/run.png", OutputError)])
def test_what_can_not_be_written_is_told_at_once(tmp_path, drawn, path, error):
    with pytest.raises(error, match="run") as caught:
        open_timeline(str(tmp_path / path), "x", live=False, fps=30, looks=Looks())
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path, drawn):
    (tmp_path / "run.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        open_timeline(str(tmp_path / "run.png"), "x", live=False, fps=30, looks=Looks())


def test_matplotlib_is_missed_before_the_run(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PackageError, match=r"run ./setup.sh --extras timeline$"):
        open_timeline(str(tmp_path / "run.png"), "x", live=False, fps=30, looks=Looks())
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_the_last_picture_whole(tmp_path, drawn):
    """The child writes a picture every 0.1 s and more; it is killed within one of the later ones."""
    code = """
        import sys, time
        import numpy as np
        from pathlib import Path
        import sinks.timeline
        from timeline.colours import Looks
        from video_classifier import Category, Prediction
        sinks.timeline._LONGEST = 0.1
        sink = sinks.timeline.TimelinePicture(Path(sys.argv[1]), "x", False, Looks(), first=0.1)
        for number in range(10**6):
            top = [Category("waving", 0.5 + 0.4 * (number % 2), 0)]
            prediction = Prediction(number / 5, 0.01, number, top, np.zeros(1), np.ones(1))
            sink.write(None, number / 5, [prediction])
            time.sleep(0.001)
    """
    path = tmp_path / "run.png"
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path)], cwd=ROOT)
    try:
        changes, deadline = set(), time.monotonic() + 60
        while len(changes) < 4 and time.monotonic() < deadline:
            if path.exists() and path.stat().st_size:  # empty until it is drawn for the first time
                changes.add(path.stat().st_mtime_ns)
                assert cv2.imread(str(path)) is not None
            time.sleep(0.01)
        assert len(changes) >= 4
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    picture = cv2.imread(str(path))
    assert picture is not None and (picture[-3:] == bgr(GROUND)).all()
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_without_a_folder_for_its_fonts_is_one_line(drawn, tmp_path):
    program = (
        f"import sys, tempfile; sys.path.insert(0, {str(ROOT)!r}); tempfile.tempdir = '/proc/missing'\n"
        "import classify; sys.exit(classify.main(sys.argv[1:]))"
    )
    model = ROOT / "tests" / "data" / "tiny"
    flags = ["--source", "demo", "--display", "none", "--timeline", "run.png"]
    flags += ["--model", f"{model}.tflite", "--labels", f"{model}.txt"]
    done = subprocess.run(
        [sys.executable, "-c", program, *flags],
        cwd=tmp_path,
        env={**os.environ, "MPLCONFIGDIR": "/proc/missing"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 5 and "Traceback" not in done.stderr
    assert "matplotlib finds no folder" in done.stderr.splitlines()[-1]
