"""Recordings: read back with OpenCV's own decoder, killed, limited, and written to a disk that fills up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from errors import OutputError, UserError
from sinks import video_file
from sinks.video_file import LimitReached, VideoFile, parse_limit

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = [".mp4", ".mkv"]
COLORS = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255), (0, 0, 0), (40, 160, 220)]  # BGR


def solid(color, height=96, width=128):
    return np.full((height, width, 3), color, np.uint8)


def noise(seed, height=120, width=160):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def gradient(height, width):
    """A smooth picture, so that compression changes it little."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([columns * 255 / width, rows * 255 / height, np.full((height, width), 90)]).astype(np.uint8)


def play(path):
    """Returns a video's pictures and their times in seconds, as OpenCV decodes them."""
    capture = cv2.VideoCapture(str(path))
    pictures, times = [], []
    while True:
        read, picture = capture.read()
        if not read:
            break
        pictures.append(picture)
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return pictures, times


def record(path, pictures, times, **options):
    recording = VideoFile(path, **options)
    for picture, timestamp in zip(pictures, times):
        recording.write(picture, timestamp, [])
    recording.close()
    return recording


def run_child(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plays_with_its_own_times_and_colors(tmp_path, suffix):
    """A camera's uneven frames, its clock far from zero: the video keeps every one, when and as it was."""
    times = [0, 0.1, 0.25, 0.9, 1.0, 1.4, 3.4, 3.5, 3.6, 3.61, 3.62, 5.0]
    colors = [COLORS[i % len(COLORS)] for i in range(len(times))]
    path = tmp_path / f"out{suffix}"
    record(path, [solid(color) for color in colors], [81234.5 + t for t in times])
    pictures, played_times = play(path)
    assert played_times == pytest.approx(times, abs=0.0015)
    for picture, color in zip(pictures, colors):
        assert picture.shape == (96, 128, 3)
        np.testing.assert_allclose(picture.reshape(-1, 3).mean(axis=0), color, atol=6)


def test_other_programs_see_its_length(tmp_path):
    """90 frames at 30 a second last three seconds, also for a program that doesn't decode them."""
    path = tmp_path / "out.mp4"
    record(path, [noise(i) for i in range(90)], [i / 30 for i in range(90)], fps=30.0)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 90
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(("height", "width"), [(75, 101), (76, 101), (75, 102), (3, 5)])
def test_odd_sizes(tmp_path, height, width):
    path = tmp_path / "out.mp4"
    source = gradient(height, width)
    record(path, [source] * 3, [0, 0.1, 0.2])
    pictures, _ = play(path)
    assert len(pictures) == 3
    assert pictures[0].shape[0] - height in (0, 1) and pictures[0].shape[1] - width in (0, 1)
    # The last rows and columns are the ones that careless padding shifts or blackens.
    if height > 8:
        padding = [(0, pictures[0].shape[0] - height), (0, pictures[0].shape[1] - width), (0, 0)]
        difference = np.abs(pictures[0].astype(int) - np.pad(source, padding, mode="edge"))
        assert difference.mean() < 4 and difference[-1].mean() < 8 and difference[:, -1].mean() < 8


def test_another_size_is_fitted_between_bars(tmp_path):
    path = tmp_path / "out.mp4"
    record(path, [solid((0, 0, 255)), solid((255, 255, 255), 200, 100)], [0, 0.1])
    pictures, _ = play(path)
    assert [picture.shape for picture in pictures] == [(96, 128, 3)] * 2
    # 200 x 100 in 96 rows is 48 columns wide, so the middle 48 of 128.
    assert pictures[1][:, 46:82].mean() > 245 and pictures[1][:, :36].mean() < 10 and pictures[1][:, 92:].mean() < 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_strange_timestamps(tmp_path, suffix):
    """Equal, backward, missing and leaping timestamps: every picture is kept, in order, and the file stays sensible."""
    path = tmp_path / f"out{suffix}"
    times = [5.0, 5.1, 5.1, 5.2, 1.0, 1.1, float("nan"), 1.3, 1e9, 1e9 + 0.1]
    record(path, [solid((i * 25,) * 3) for i in range(10)], times, fps=10.0)
    pictures, played_times = play(path)
    assert [round(float(picture.mean()) / 25) for picture in pictures] == list(range(10))
    assert all(later > earlier for earlier, later in zip(played_times, played_times[1:]))
    assert played_times[5] - played_times[4] == pytest.approx(0.1, abs=0.002)  # goes on from where the clock jumped to
    assert played_times[-1] < 120


def test_the_picture_may_change_after_write(tmp_path):
    """The caller may draw the next frame into the same array."""
    path = tmp_path / "out.mp4"
    recording, picture = VideoFile(path), solid((0, 0, 0))
    for i in range(5):
        picture[:] = i * 50
        recording.write(picture, i / 10, [])
        picture[:] = 255
    recording.close()
    assert [round(float(picture.mean()) / 50) for picture in play(path)[0]] == [0, 1, 2, 3, 4]


def test_existing_files_are_kept(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    first = VideoFile(tmp_path / "out.mp4")
    second = VideoFile(tmp_path / "out.mp4")  # while the first is open, like another process
    for recording in (first, second):
        recording.write(solid((0, 0, 255)), 0.0, [])
        recording.close()
    assert [first.path.name, second.path.name] == ["out-1.mp4", "out-2.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert len(play(first.path)[0]) == len(play(second.path)[0]) == 1


def test_nothing_recorded_leaves_no_file(tmp_path):
    recording = VideoFile(tmp_path / "out.mp4")
    recording.close()
    recording.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoder", list(video_file._ENCODERS))
def test_each_encoder(tmp_path, monkeypatch, encoder):
    """The ones that take over where a build of PyAV lacks the first."""
    av = pytest.importorskip("av")
    if encoder not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {encoder}")
    monkeypatch.setattr(video_file, "_ENCODERS", {"absent": {}, encoder: video_file._ENCODERS[encoder]})
    times = [i / 15 for i in range(50)]
    path = tmp_path / "out.mp4"
    source = gradient(98, 130)
    record(path, [source] * 50, times)
    pictures, played_times = play(path)
    assert played_times == pytest.approx(times, abs=0.002)
    assert np.abs(pictures[-1].astype(int) - source).mean() < 5


RECORD_LIVE = """
    import sys, time
    import numpy as np
    from sinks.video_file import VideoFile
    recordings = [VideoFile(path) for path in sys.argv[1:]]
    # Little changes, so that seconds of it would fit into any buffer on the way to the disk.
    still = np.zeros((48, 64, 3), np.uint8)
    still[:, 32:] = 255
    start = time.monotonic()
    for i in range(100_000):
        picture = np.roll(still, i % 2, axis=1)
        seconds = time.monotonic() - start
        for recording in recordings:
            recording.write(picture, seconds, [])
        print(seconds, flush=True)
        time.sleep(1 / 30)
"""


def test_kill_loses_at_most_two_seconds(tmp_path):
    paths = [tmp_path / f"out{suffix}" for suffix in SUFFIXES]
    child = run_child(RECORD_LIVE, *paths)
    last = 0.0
    while last < 4.3:
        last = float(child.stdout.readline())
    child.kill()
    last = float((child.communicate()[0].split() or [last])[-1])
    assert child.returncode == -signal.SIGKILL
    for path in paths:
        pictures, times = play(path)
        assert times[0] == 0 and times[-1] > last - 2, path
        assert max(np.diff(times)) < 0.5, path  # none is missing before that
        assert pictures[-1].std() > 40, path  # the last one is a picture, not the decoder's grey


def test_a_program_that_forgets_to_close(tmp_path):
    """It must not crash, and its recording is complete."""
    child = run_child(
        """
        import sys
        import numpy as np
        from sinks.video_file import VideoFile
        recording = VideoFile(sys.argv[1])
        for i in range(45):
            recording.write(np.zeros((48, 64, 3), np.uint8), i / 30, [])
        raise SystemExit(3)
        """,
        tmp_path / "out.mp4",
    )
    assert child.communicate(timeout=60) == ("", "") and child.returncode == 3
    assert len(play(tmp_path / "out.mp4")[0]) == 45


def test_write_error_ends_the_recording_with_one_line(tmp_path):
    """The file may not grow over 2 MB, as on a full disk: what is there plays, and one line says so."""
    resource = pytest.importorskip("resource")
    child = run_child(
        """
        import sys
        import numpy as np
        from errors import OutputError
        from sinks.video_file import VideoFile
        recording = VideoFile(sys.argv[1])
        random = np.random.default_rng(0)
        for i in range(10_000):
            try:
                recording.write(random.integers(0, 256, (120, 160, 3), np.uint8), i / 30, [])
            except OutputError as error:
                print(i / 30)
                print(error)
                break
        recording.close()
        """,
        tmp_path / "out.mp4",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)),
    )
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 0 and errors == ""
    last, message, *more = output.splitlines()
    assert more == [] and "out.mp4" in message and "too large" in message
    assert play(tmp_path / "out.mp4")[1][-1] > float(last) - 2


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of its own; the factory takes its size in bytes."""
    mounted = []

    def mount(size):
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except FileNotFoundError:
            pytest.skip("no mount command")
        if result.returncode:
            pytest.skip(f"can't mount a small file system here (needs root): {result.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True, timeout=10)


def fill(recording):
    """Records noise until the disk is full; returns the error and the last picture's time."""
    for i in range(10_000):
        try:
            recording.write(noise(i % 7), i / 30, [])
        except OutputError as error:
            return error, i / 30
    raise AssertionError("the disk never got full")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_disk_full_to_the_last_byte(small_disk, monkeypatch, suffix):
    """Another program takes the last space between two looks at it."""
    monkeypatch.setattr(video_file, "_KEPT_FREE", 0)
    folder = small_disk(2_000_000)
    recording = VideoFile(folder / f"out{suffix}")
    error, last = fill(recording)
    recording.close()
    assert "No space left" in str(error) and "\n" not in str(error) and str(recording.path) in str(error)
    pictures, times = play(recording.path)
    assert last > 3 and times[-1] > last - 2
    assert len(pictures) % 30 == 0  # cut back to whole seconds: no garbled pictures at the end


def test_disk_full_within_the_first_second_leaves_no_file(small_disk, monkeypatch):
    monkeypatch.setattr(video_file, "_KEPT_FREE", 0)
    folder = small_disk(100_000)
    error, _ = fill(VideoFile(folder / "out.mp4"))
    assert "No space left" in str(error)
    assert list(folder.iterdir()) == []


def test_disk_nearly_full_leaves_room_for_others(small_disk):
    folder = small_disk(16_600_000)
    recording = VideoFile(folder / "out.mp4")
    error, last = fill(recording)
    assert "disk is full" in str(error) and "\n" not in str(error)
    usage = os.statvfs(folder)
    assert usage.f_bavail * usage.f_frsize > 15_000_000
    assert len(play(recording.path)[0]) == round(last * 30)  # every picture that write() took
    with pytest.raises(OutputError, match="disk is full"):
        VideoFile(folder / "more.mp4")
    assert not (folder / "more.mp4").exists()


def test_the_folder_is_deleted_meanwhile(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    recording = VideoFile(folder / "out.mp4")
    recording.write(noise(0), 0.0, [])
    recording.path.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="No such file"):
        recording.write(noise(1), 2.0, [])
    recording.close()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_limit_in_bytes(tmp_path, suffix):
    recording = VideoFile(tmp_path / f"out{suffix}", limit=parse_limit("300kB"))
    with pytest.raises(LimitReached, match="300kB") as caught:
        for i in range(10_000):
            recording.write(noise(i % 7), i / 30, [])
    recording.close()
    assert "\n" not in str(caught.value) and caught.value.status == 0
    assert 200_000 < recording.path.stat().st_size <= 300_000
    assert len(play(recording.path)[0]) == i  # all but the one that was too much


def test_limit_in_bytes_holds_for_slow_small_pictures(tmp_path):
    """One picture in two seconds: what surrounds the pictures weighs more than they do."""
    recording = VideoFile(tmp_path / "out.mp4", limit=parse_limit("20kB"))
    with pytest.raises(LimitReached):
        for i in range(10_000):
            recording.write(solid((0, 0, 0), 16, 16), i * 2.0, [])
    assert 5_000 < recording.path.stat().st_size <= 20_000


def test_limit_in_minutes(tmp_path):
    recording = VideoFile(tmp_path / "out.mp4", limit=parse_limit("0.05"))
    with pytest.raises(LimitReached, match="0.05 min"):
        for i in range(10_000):
            recording.write(solid(COLORS[i % 6]), 50 + i / 10, [])
    assert play(recording.path)[1] == pytest.approx([i / 10 for i in range(30)], abs=0.002)


@pytest.mark.parametrize(
    ("text", "seconds", "size"),
    [
        ("10", 600, None),
        ("1.5", 90, None),
        ("90s", 90, None),
        ("10min", 600, None),
        (" 10 MIN ", 600, None),
        ("2h", 7200, None),
        ("500kB", None, 500_000),
        ("500MB", None, 500_000_000),
        ("2 GB", None, 2_000_000_000),
        (".5gb", None, 500_000_000),
    ],
)
def test_parse_limit(text, seconds, size):
    limit = parse_limit(text)
    assert (limit.seconds, limit.bytes) == (seconds or float("inf"), size or float("inf"))


@pytest.mark.parametrize(
    "text", ["", "0", "0MB", "-5", "ten", "10m", "10 20", "1e3", "5 minutes long", "MB", "nan", "inf"]
)
def test_parse_limit_refuses(text):
    with pytest.raises(UserError, match="10min") as caught:
        parse_limit(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.webm", r"\.mp4 or \.mkv"),
        ("out", r"\.mp4 or \.mkv"),
        ("absent/out.mp4", "No such file"),
        ("file.txt/out.mp4", "Not a directory"),
        ("folder.mp4", "is a folder"),
        ("n" * 300 + ".mp4", "too long"),
    ],
)
def test_bad_paths_are_found_at_once(tmp_path, name, says):
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=says) as caught:
        VideoFile(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder.mp4"]


def test_without_pyav_one_line_says_what_to_install(tmp_path):
    child = run_child(
        """
        import sys
        sys.modules["av"] = None  # as if it were not installed
        from errors import PackageError
        from sinks.video_file import VideoFile
        try:
            VideoFile(sys.argv[1])
        except PackageError as error:
            print(error)
        """,
        tmp_path / "out.mp4",
    )
    output, errors = child.communicate(timeout=60)
    assert errors == "" and output.count("\n") == 1 and "needs the package av; run ./setup.sh" in output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def x_display():
    """A display of our own, under a number that nobody uses."""
    reader, writer = os.pipe()
    try:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24"],
            pass_fds=[writer],
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        pytest.skip("Xvfb is not installed")
    finally:
        os.close(writer)
    with os.fdopen(reader) as file:
        number = file.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


def test_window_capture_and_recording_share_a_process(tmp_path, x_display):
    """PyAV and OpenCV both bring FFmpeg and X libraries: a window that opens after a recording began must not hang."""
    record(tmp_path / "in.mp4", [gradient(96, 128)] * 20, [i / 10 for i in range(20)])
    child = run_child(
        """
        import sys
        from sinks.video_file import VideoFile
        recording = VideoFile(sys.argv[2])
        import cv2
        capture = cv2.VideoCapture(sys.argv[1])
        for i in range(20):
            read, picture = capture.read()
            recording.write(picture, i / 10, [])
            cv2.imshow("window", picture)
            cv2.waitKey(1)
        recording.close()
        print("done")
        """,
        tmp_path / "in.mp4",
        tmp_path / "out.mp4",
        env={**os.environ, "DISPLAY": x_display, "QT_QPA_PLATFORM": "xcb"},
    )
    try:
        output, errors = child.communicate(timeout=40)
    finally:
        child.kill()
        child.wait()
    assert output == "done\n", errors
    assert len(play(tmp_path / "out.mp4")[0]) == 20
