"""Clips of events: numbered pictures go in; their numbers and times are read back out of real files."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import events.clips
from errors import UserError
from events import Event
from events.clip_file import ClipFile
from events.clips import ClipRecorder
from events.clips_folder import ClipsFolder
from events.pre_roll import PreRoll
from sinks import video_file

ROOT = Path(__file__).resolve().parent.parent
BITS = 11
EVENT = Event("8f3a", "playing guitar", "camera", 1_700_000_000.0, 0.0, 0.0, 0.9, 0.8, True)


def numbered(number, height=96, width=BITS * 16):
    """A picture with a number in it: a grey bar for each of its bits."""
    picture = np.full((height, width, 3), 50, np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            picture[:, bit * width // BITS : (bit + 1) * width // BITS] = 200
    return picture


def number_of(picture):
    height, width = picture.shape[:2]
    middles = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, column in enumerate(middles) if picture[height // 2, column].mean() > 125)


def play(path):
    """Returns the numbers in a video's pictures, and their times in seconds, as OpenCV decodes them."""
    capture = cv2.VideoCapture(str(path))
    numbers, times = [], []
    while True:
        read, picture = capture.read()
        if not read:
            break
        numbers.append(number_of(picture))
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return numbers, times


def between(start, duration=0.0, **changes):
    """An event by its start and duration on the source's clock."""
    return replace(EVENT, position=start, duration=duration, **changes)


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def run_child(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def folder(tmp_path):
    return ClipsFolder(tmp_path / "clips", 100_000_000)


@pytest.fixture
def recorder(folder):
    """One that skips no picture, so that what a clip must hold is known."""
    recorder = ClipRecorder(folder, patient=True)
    yield recorder
    recorder.close()


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_a_clip_shows_what_led_to_its_event(tmp_path, monkeypatch, encoder):
    """10 pictures a second of a clock far from zero; the event from 6.0 to 8.0 s is announced 1.5 s after its start."""
    if encoder not in video_file._ENCODERS:
        pytest.skip(f"no {encoder}")
    monkeypatch.setattr(video_file, "_ENCODERS", {encoder: video_file._ENCODERS[encoder]})
    folder = ClipsFolder(tmp_path, 10**8)
    recorder = ClipRecorder(folder, patient=True)
    names = []
    for i in range(150):
        recorder.write(numbered(i), 5000 + i / 10, [])
        if i == 75:
            names.append(recorder.begin(between(5006.0, 1.5)))
        if i == 82:
            recorder.end(between(5006.0, 2.0))
    # Finished long before the recorder is closed: as soon as the next picture was seen.
    wait_until(lambda: folder.list_clips() == names)
    numbers, times = play(folder.find(names[0]))
    recorder.close()
    assert numbers == list(range(30, 91))  # from 3 s before its start to 1 s after its end
    assert times == pytest.approx([i / 10 for i in range(61)], abs=0.002)
    assert names_in(tmp_path) == names


def test_a_late_end_keeps_what_was_seen(folder, recorder):
    """An end that is told two seconds after it came: the clip stops there and waits for nothing more."""
    for i in range(100):
        recorder.write(numbered(i), i / 10, [])
        if i == 40:
            name = recorder.begin(between(3.5))
        if i == 80:
            recorder.end(between(3.5, 2.5))
    wait_until(lambda: folder.find(name))
    assert play(folder.find(name))[0] == list(range(5, 81))


@pytest.mark.parametrize("pre_roll", [0.0, 8.0])
def test_pre_roll_is_what_was_asked_for(folder, pre_roll):
    recorder = ClipRecorder(folder, pre_roll=pre_roll, notice=2.0, patient=True)
    for i in range(121):
        recorder.write(numbered(i), i / 10, [])
    name = recorder.begin(between(10.0, 2.0))
    recorder.close()
    assert play(folder.find(name))[0] == list(range(round(100 - 10 * pre_roll), 121))


def test_an_event_that_begins_with_the_source(folder, recorder):
    recorder.write(numbered(1), 0.0, [])
    name = recorder.begin(between(0.0))
    recorder.write(numbered(2), 0.5, [])
    recorder.close()
    assert play(folder.find(name)) == ([1, 2], pytest.approx([0.0, 0.5], abs=0.002))


@pytest.mark.parametrize("fps", [60, 30, 25, 12])
def test_at_most_15_pictures_a_second(folder, recorder, fps):
    """A camera's times are not exact; nor are the pictures kept to drift from them."""
    jitter = np.random.default_rng(fps).uniform(-0.003, 0.003, fps * 5)
    stamps = [i / fps + jitter[i] for i in range(fps * 5)]
    for i, stamp in enumerate(stamps):
        recorder.write(numbered(i), stamp, [])
    name = recorder.begin(between(2.9))
    recorder.close()
    numbers, times = play(folder.find(name))
    assert len(numbers) == pytest.approx(1 + min(fps, 15) * (times[-1] - times[0]), abs=1.5)
    assert times == pytest.approx([stamps[i] - stamps[numbers[0]] for i in numbers], abs=0.002)


def test_browsers_find_the_index_in_front(folder, recorder):
    for i in range(30):
        recorder.write(numbered(i), i / 10, [])
    name = recorder.begin(between(1.0))
    recorder.close()
    data, boxes, at = folder.find(name).read_bytes(), [], 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        boxes.append(kind.decode())
        at += size
    assert at == len(data) and [box for box in boxes if box != "free"] == ["ftyp", "moov", "mdat"]


def test_chromium_plays_it(folder, recorder, tmp_path):
    """It knows the length at once, and jumps to the right picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    if "libx264" != video_file.find_encoder(video_file.import_av())[0]:
        pytest.skip("this PyAV has no H.264 encoder")
    for i in range(100):
        recorder.write(numbered(i), i / 10, [])
    name = recorder.begin(between(8.0))
    recorder.close()
    page = """
        <video id="video" muted src="NAME"></video><pre id="said"></pre><script>
        const video = document.getElementById("video"), said = document.getElementById("said");
        video.onloadedmetadata = () => { said.textContent = video.duration; video.currentTime = 3.05; };
        video.onerror = () => { said.textContent = "error " + video.error.message; };
        video.onseeked = () => {
          const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
          canvas.width = video.videoWidth; canvas.height = video.videoHeight;
          context.drawImage(video, 0, 0);
          let number = 0;
          for (let bit = 0; bit < BITS; bit++)
            if (context.getImageData((bit + 0.5) * canvas.width / BITS, 48, 1, 1).data[0] > 125) number += 1 << bit;
          said.textContent += " " + number;
        };
        </script>"""
    html = tmp_path / "clips" / "page.html"
    html.write_text(page.replace("NAME", name).replace("BITS", str(BITS)))
    shown = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        + [f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=10000", "--dump-dom", html.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
    ).stdout
    duration, number = re.search(r'<pre id="said">([\d.]+) (\d+)</pre>', shown).groups()
    assert float(duration) == pytest.approx(5.0, abs=0.1) and int(number) == 80


def test_a_clip_ends_after_a_minute(folder, recorder):
    for i in range(80 * 5):
        recorder.write(numbered(i), i / 5, [])
        if i == 50:
            name = recorder.begin(between(10.0))
    wait_until(lambda: folder.find(name))
    recorder.end(between(10.0, 69.0))  # too late to matter
    assert play(folder.find(name))[0] == list(range(35, 351))


def test_overlapping_events_have_a_clip_each(folder, recorder):
    """Four at once; the fifth gets none, and one that comes after another has ended gets one again."""
    ids = [f"id{n}" for n in range(6)]
    names = {}
    for i in range(120):
        recorder.write(numbered(i), i / 10, [])
        for n in range(5):
            if i == 40 + 5 * n:
                names[n] = recorder.begin(between(i / 10, id=ids[n], label=f"action {n}"))
        if i == 80:
            recorder.end(between(4.5, 3.5, id=ids[1]))
        if i == 100:
            wait_until(lambda: folder.find(names[1]))
            wait_until(lambda: recorder.begin(between(10.0, id=ids[5])))
    assert names[4] is None
    recorder.end(between(6.0, 1.0, id=ids[4]))  # of which there is no clip: nothing happens
    recorder.close()
    assert len(folder.list_clips()) == 5
    assert play(folder.find(names[1]))[0] == list(range(15, 91))
    for n in (0, 2, 3):
        assert play(folder.find(names[n]))[0] == list(range(10 + 5 * n, 120))


def test_the_same_event_twice_is_one_clip(folder, recorder):
    recorder.write(numbered(1), 1.0, [])
    assert recorder.begin(between(1.0)) == recorder.begin(between(1.0))
    recorder.close()
    assert len(folder.list_clips()) == 1


def test_a_camera_that_falls_silent(folder, recorder):
    """No picture follows that would tell that the post-roll is over."""
    for i in range(20):
        recorder.write(numbered(i), i / 10, [])
    name = recorder.begin(between(1.5))
    recorder.end(between(1.5, 0.4))
    wait_until(lambda: folder.find(name))
    assert play(folder.find(name))[0] == list(range(20))


def test_a_clock_that_goes_back(folder, recorder):
    """A looped file: the clip goes on, in order."""
    for i in range(100):
        recorder.write(numbered(i), (i % 50) / 10, [])
        if i == 48:
            name = recorder.begin(between(4.5))
        if i == 69:
            recorder.end(between(4.5, 2.4))
    recorder.write(numbered(100), float("nan"), [])
    wait_until(lambda: folder.find(name))
    numbers, times = play(folder.find(name))
    # The first picture after the leap has no moment of its own.
    assert numbers == [*range(15, 50), *range(51, 81)]
    assert all(later > earlier for earlier, later in zip(times, times[1:])) and times[-1] < 8


@pytest.mark.parametrize(("height", "width"), [(97, BITS * 16 + 1), (33, 177)])
def test_odd_and_changing_sizes(folder, recorder, height, width):
    for i in range(10):
        recorder.write(numbered(i, height, width), i / 10, [])
    for i in range(10, 20):
        recorder.write(numbered(i, height * 2, width * 2), i / 10, [])
    name = recorder.begin(between(1.0))
    recorder.close()
    assert play(folder.find(name))[0] == list(range(20))


def test_closing_keeps_what_was_recorded(folder):
    recorder = ClipRecorder(folder, patient=True)
    for i in range(40):
        recorder.write(numbered(i), i / 10, [])
    name = recorder.begin(between(3.5))
    recorder.close()
    recorder.close()
    assert play(folder.find(name))[0] == list(range(5, 40))
    recorder.write(numbered(1), 9.0, [])
    assert recorder.begin(between(9.0, id="other")) is None
    assert "clips" not in [thread.name for thread in threading.enumerate()]


def test_closing_in_time_with_fewer_pictures(folder, monkeypatch):
    """450 pictures wait for an encoder that needs 50 ms for each: the clip still shows all 30 s."""
    recorder = ClipRecorder(folder, pre_roll=30.0, patient=True)
    for i in range(450):
        recorder.write(numbered(i), i / 15, [])
    write = ClipFile.write
    monkeypatch.setattr(ClipFile, "write", lambda *given: time.sleep(0.05) or write(*given))
    name = recorder.begin(between(29.9))
    start = time.monotonic()
    recorder.close()
    assert time.monotonic() - start < 10  # all of them would take 22 s
    wait_until(lambda: folder.find(name))
    numbers, times = play(folder.find(name))
    assert numbers[0] == 0 and numbers[-1] > 400 and 3 <= len(numbers) < 225
    assert numbers == sorted(set(numbers))
    assert times == pytest.approx([i / 15 for i in numbers], abs=0.002)


def test_a_stalled_encoder_holds_nobody_up(folder, monkeypatch):
    """While it stands still, pictures are dropped, not queued."""
    compress, going, pictures = events.clips.compress, threading.Event(), []
    monkeypatch.setattr(events.clips, "compress", lambda picture: going.wait(60) and compress(picture))
    recorder = ClipRecorder(folder)
    for i in range(500):
        recorder.write(numbered(i), i / 10, [])
        pictures.append(recorder.begin(between(2.0)) if i == 20 else None)
    going.set()
    recorder.close()
    numbers, _ = play(folder.find(pictures[20]))
    assert 1 <= len(numbers) <= 2 and numbers[-1] == 499


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 400), st.integers(0, 30)), max_size=60),
    st.floats(0, 5),
    st.integers(0, 2000),
)
def test_memory_is_bounded(pictures, seconds, limit):
    """What is kept are the newest pictures, within the bytes; none that is young or needed is lost without need."""
    kept, given, needed = PreRoll(seconds, limit), [], 0
    for number, (step, size, behind) in enumerate(pictures):
        now = step + (given[-1][0] if given else 0.0)
        needed = max(needed, number + 1 - behind)
        given.append((now, size))
        kept.append(now, bytes(size), needed)
        first = kept.since(-1.0)
        assert kept.bytes == sum(size for _, size in given[first:]) <= limit
        assert kept.count(0) == len(given) - first and kept.at(len(given)) is None
        assert [kept.at(n).timestamp for n in range(first, len(given))] == [when for when, _ in given[first:]]
        for lost in range(first):
            no_longer_wanted = lost < needed and given[lost][0] < now - seconds
            assert no_longer_wanted or sum(size for _, size in given[lost:]) > limit
        assert first == len(given) or first >= needed or given[first][0] >= now - seconds


def test_large_pictures_stay_within_memory(folder, monkeypatch):
    """Noise compresses badly: as much of it is kept as memory allows, and the clip begins there."""
    monkeypatch.setattr(events.clips, "_MEMORY", 1_000_000)
    recorder = ClipRecorder(folder, patient=True)
    noise = np.random.default_rng(1).integers(0, 256, (200, 352, 3), np.uint8)
    for i in range(60):
        picture = noise.copy()
        picture[60:140] = numbered(i, 80, 352)
        recorder.write(picture, i / 10, [])
    name = recorder.begin(between(5.9))
    recorder.close()
    numbers, _ = play(folder.find(name))
    assert numbers == list(range(numbers[0], 60)) and 29 < numbers[0] < 59


def test_the_limit_cuts_a_clip_short(tmp_path, capsys):
    """What is there plays; the clip of a folder with less room than that is dropped; each says so in a line."""
    path = tmp_path / "clips"
    folder = ClipsFolder(path, 400_000)
    recorder = ClipRecorder(folder, patient=True)
    rng = np.random.default_rng(2)
    for i in range(60):
        picture = rng.integers(0, 256, (200, 352, 3), np.uint8)
        picture[60:140] = numbered(i, 80, 352)
        recorder.write(picture, i / 10, [])
        if i == 10:
            name = recorder.begin(between(1.0))
        assert sum(file.stat().st_size for file in path.iterdir()) <= 400_000
    recorder.close()
    numbers, _ = play(folder.find(name))
    assert numbers == list(range(len(numbers))) and 3 < len(numbers) < 50
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{name}: cut short after {len(numbers)} pictures" in said

    small = ClipsFolder(tmp_path / "small", 20_000)
    recorder = ClipRecorder(small, patient=True)
    recorder.write(numbered(1), 0.0, [])
    recorder.begin(between(0.0))
    recorder.close()
    assert "dropped" in capsys.readouterr().err and list((tmp_path / "small").iterdir()) == []


def test_a_full_disk_costs_clips_and_one_line(folder, recorder, monkeypatch, capsys):
    """Then the disk is mended, and clips come again."""
    usage, clock, announced = shutil.disk_usage, itertools.count(), []

    def event():
        number = next(clock)
        for i in range(10):
            recorder.write(numbered(i), number * 10 + i / 10, [])
        announced.append(recorder.begin(between(number * 10 + 0.5, id=f"id{number}")))
        recorder.end(between(number * 10 + 0.5, 0.1, id=f"id{number}"))
        recorder.write(numbered(10), number * 10 + 3.0, [])
        wait_until(lambda: not recorder._clips)

    event()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))
    event()
    event()
    assert len(names_in(folder.path)) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(folder.path) in said and "No space left" in said
    monkeypatch.setattr(shutil, "disk_usage", usage)
    event()
    assert folder.list_clips() == [announced[3], announced[0]]
    assert capsys.readouterr().err == ""


def test_a_write_that_fails_halfway(tmp_path):
    """The system refuses a file beyond 100 kB: no part stays, and the recorder goes on."""
    child = run_child(
        """
        import resource, signal, sys
        import numpy as np
        sys.path.insert(0, "tests")
        from test_clips import ClipsFolder, ClipRecorder, between
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        folder = ClipsFolder(sys.argv[1], 10**8)
        recorder = ClipRecorder(folder, patient=True)
        rng = np.random.default_rng(3)
        for i in range(40):
            recorder.write(rng.integers(0, 256, (120, 160, 3), np.uint8), i / 10, [])
            if i == 10:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
                recorder.begin(between(1.0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        name = recorder.begin(between(3.5, id="second"))
        recorder.close()
        print(folder.list_clips() == [name])
        """,
        tmp_path / "clips",
    )
    output, errors = child.communicate(timeout=60)
    assert output == "True\n", errors
    assert errors.count("\n") == 1 and "File too large" in errors
    assert len(names_in(tmp_path / "clips")) == 1


def test_a_folder_that_is_taken_away(folder, recorder, capsys):
    recorder.write(numbered(1), 1.0, [])
    shutil.rmtree(folder.path)
    recorder.begin(between(1.0))
    recorder.begin(between(1.0, id="other"))
    wait_until(lambda: not recorder._clips)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "No such file" in said
    assert folder.list_clips() == []


WRITER = """
    import sys, time
    sys.path.insert(0, "tests")
    from test_clips import ClipsFolder, ClipRecorder, between, numbered
    recorder = ClipRecorder(ClipsFolder(sys.argv[1], 10**8), patient=True)
    for i in range(10**6):
        recorder.write(numbered(i % 2000, 480, 640), i / 10, [])
        if i == 40:
            print(recorder.begin(between(2.0)), flush=True)
        if i > 300:
            time.sleep(0.05)
"""


def test_a_kill_leaves_no_half_clip(tmp_path):
    path = tmp_path / "clips"
    child = run_child(WRITER, path)
    try:
        name = child.stdout.readline().strip()
        wait_until(lambda: any(part.stat().st_size > 40_000 for part in path.glob(".*")))
        # Another process begins with the same folder: what a living one writes is left alone.
        assert ClipsFolder(path, 10**8).list_clips() == []
        assert names_in(path) == [f".{name}.part"]
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    assert names_in(path) == [f".{name}.part"]
    (path / ".notes.part").write_text("not ours")
    folder = ClipsFolder(path, 10**8)
    assert names_in(path) == [".notes.part"] and folder.find(name) is None


def test_a_program_that_ends_without_closing(tmp_path):
    """As a script does that uses this as a library: no crash, and the clip is there."""
    child = run_child(
        """
        import sys
        sys.path.insert(0, "tests")
        from test_clips import ClipsFolder, ClipRecorder, between, numbered
        recorder = ClipRecorder(ClipsFolder(sys.argv[1], 10**8), patient=True)
        for i in range(30):
            recorder.write(numbered(i), i / 10, [])
        print(recorder.begin(between(2.0)))
        """,
        tmp_path / "clips",
    )
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    assert play(tmp_path / "clips" / output.strip())[0] == list(range(30))


def test_without_pyav_one_line_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    with pytest.raises(UserError, match="needs the package av; run ./setup.sh") as caught:
        ClipRecorder(folder)
    assert "\n" not in str(caught.value)
    assert os.listdir(folder.path) == []
