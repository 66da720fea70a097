"""Collecting clips: the whole command on a video, the demo and a camera that dies; killed, and on a full disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime

import cv2
import numpy as np
import pytest
from camera_process import HTTP_CAMERA, Server
from conftest import ROOT, as_nobody
from desktop import wait_for

from evaluation.grid import columns_of
from teaching.clip_recording import Recording, settle
from teaching.clip_store import ClipStore
from teaching.clips import read_clip
from teaching.collect import Collector
from teaching.collect_command import run
from teaching.collect_loop import _Terminal, fit_clip
from teaching.collect_options import parse_collect, wants_background

# Ends as train.py does: a driver's thread may still be in a camera that died.
COMMAND = [sys.executable, str(ROOT / "train.py"), "collect"]
HEADLESS = ["--display", "none", "--no-background"]
DEMO = ["--source", "demo", "--camera-fps", "10", "--width", "160", "--height", "120", "--pause", "0"]
BITS = 8


@pytest.fixture(autouse=True)
def restored_signals():
    """`run` takes the signals over, as a program's main function does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def numbered(number, width=320, height=240):
    """Returns a picture that tells its number: a column for each bit, white for 1."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    return cv2.resize(
        np.array([[[bit] * 3 for bit in bits]], np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )


def number_of(image):
    height, width = image.shape[:2]
    columns = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(image[height // 2, column].mean() > 127) << bit for bit, column in enumerate(columns))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """14 s at 10 fps whose frames tell their number."""
    path = tmp_path_factory.mktemp("video") / "numbers.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for number in range(140):
        writer.write(numbered(number))
    writer.release()
    return path


def numbers_in(path):
    """Reads a clip with OpenCV alone."""
    capture = cv2.VideoCapture(str(path))
    numbers = []
    while True:
        delivered, image = capture.read()
        if not delivered:
            return numbers
        numbers.append(number_of(image))


def times_in(path):
    with contextlib.closing(read_clip(path)) as frames:
        return [frame.timestamp for frame in frames]


def clips_of(folder):
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def part_of(folder):
    """Returns the clip that is being recorded, if it has its first second on the disk."""
    parts = list(folder.rglob(".*.part*.mp4"))
    return parts[0] if parts and parts[0].stat().st_size > 2000 else None


@contextlib.contextmanager
def collecting(*arguments):
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# A video file


def test_clips_of_a_file_show_exactly_the_frames_after_each_countdown(video, tmp_path, capsys):
    data = tmp_path / "clips"
    flags = ["--seconds", "2", "--countdown", "1", "--clips", "2", "--data", str(data)]
    status = run(["--label", "waving", "--label", "on/off", "--source", str(video), *flags, *HEADLESS])
    output, errors = capsys.readouterr()

    assert status == 0
    found = [numbers_in(path) for name in ("waving", "on%2Foff") for path in clips_of(data / name)]
    assert [len(numbers) for numbers in found] == [20] * 4
    assert found[0][0] == 10  # after a countdown of 1 s
    assert all(np.diff(numbers).tolist() == [1] * 19 for numbers in found)
    # Between the end of a clip and the next one lies a countdown of 10 frames.
    gaps = [after[0] - before[-1] - 1 for before, after in zip(found, found[1:])]
    assert all(10 <= gap <= 12 for gap in gaps)
    path = clips_of(data / "waving")[0]
    assert np.diff(times_in(path)) == pytest.approx(0.1, abs=0.002)
    assert f"kept waving/{path.name}" in errors
    assert output.count("2 clips") == 2
    assert f"python train.py fit --data {data}" in output


def test_a_file_that_ends_gives_what_it_has(video, tmp_path, capsys):
    flags = ["--seconds", "5", "--countdown", "0", "--data", str(tmp_path), "--source", str(video), *HEADLESS]
    assert run(["--label", "a", *flags]) == 0
    found = [numbers_in(path) for path in clips_of(tmp_path / "a")]

    assert [len(numbers) for numbers in found] == [50, 50, pytest.approx(38, abs=2)]
    assert found[2][-1] == 139
    assert files(tmp_path) == [f"a/{path.name}" for path in clips_of(tmp_path / "a")]
    assert "has ended" in capsys.readouterr().err

    # What is there counts, and the next run goes on from it.
    assert run(["--label", "a", "--clips", "4", *flags]) == 0
    assert len(clips_of(tmp_path / "a")) == 4
    assert run(["--label", "a", "--clips", "4", *flags]) == 0
    assert len(clips_of(tmp_path / "a")) == 4
    assert "each label has 4 clips" in capsys.readouterr().err


def test_a_film_of_one_action_becomes_clips_of_that_action_only(video, tmp_path, capsys):
    flags = ["--seconds", "2", "--countdown", "0", "--clips", "3", "--data", str(tmp_path), "--display", "none"]
    assert run(["--label", "waving", "--source", str(video), *flags]) == 0

    output, errors = capsys.readouterr()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["waving"]
    kept = [f"kept waving/{path.name}" for path in clips_of(tmp_path / "waving")]
    assert [line for line in errors.splitlines() if line.startswith("kept")] == kept and len(kept) == 3
    assert "--label background" in output  # which is still missing


@pytest.mark.parametrize(
    "source, expected",
    [(None, True), ("csi", True), ("usb:1", True), ("rtsp://camera/1", True), ("demo", True), ("film.mp4", False)],
)
def test_background_is_wanted_of_cameras(source, expected):
    given = [] if source is None else ["--source", source]
    assert wants_background(parse_collect(given)) is expected
    assert wants_background(parse_collect(["--background", *given]))
    assert not wants_background(parse_collect(["--no-background", *given]))


def test_a_file_that_is_too_short_is_one_line(video, tmp_path, capsys):
    status = run(["--label", "a", "--countdown", "30", "--data", str(tmp_path), "--source", str(video), *HEADLESS])
    errors = capsys.readouterr().err

    assert status == 4
    assert "too short" in errors.splitlines()[-1]


def test_clips_are_turned_like_the_camera_and_never_mirrored(video, tmp_path):
    flags = ["--seconds", "1", "--countdown", "0", "--clips", "1", "--data", str(tmp_path), "--source", str(video)]
    assert run(["--label", "a", "--rotate", "180", "--mirror", *flags, *HEADLESS]) == 0
    capture = cv2.VideoCapture(str(clips_of(tmp_path / "a")[0]))
    numbers = []
    for _ in range(10):
        numbers.append(number_of(cv2.rotate(capture.read()[1], cv2.ROTATE_180)))

    assert numbers == list(range(10))


@pytest.mark.parametrize(
    "given, wanted",
    [((480, 640), (480, 640)), ((720, 1280), (360, 640)), ((1280, 720), (640, 360)), ((99, 121), (99, 121))],
)
def test_large_pictures_are_made_smaller_and_no_other(given, wanted):
    assert fit_clip(np.zeros((*given, 3), np.uint8)).shape[:2] == wanted


def test_a_clip_keeps_the_cameras_own_times(tmp_path):
    times = 100 + np.cumsum([0.0, 0.033, 0.034, 0.2, 0.01, 0.5, 0.033])
    recording = Recording(tmp_path, 30)
    for number, timestamp in enumerate(times):
        recording.add(numbered(number), timestamp)
    path = recording.keep()

    assert times_in(path) == pytest.approx(times - times[0], abs=0.001)
    assert numbers_in(path) == list(range(7))


# What nothing may cost


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links, as on a USB stick"])
def test_no_clip_replaces_another(tmp_path, monkeypatch, links):
    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 21, 14, 15, 30, 123456)

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("teaching.clip_recording.datetime", Stopped)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    recordings = [Recording(tmp_path, 10) for _ in range(3)]
    for number, recording in enumerate(recordings):
        for _ in range(3):
            recording.add(numbered(number), 0.0)
    kept = [recording.keep() for recording in recordings]

    assert [numbers_in(path) for path in kept] == [[0] * 3, [1] * 3, [2] * 3]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert kept[0].name == "20261121-141530.123.mp4"


def test_a_killed_run_leaves_no_half_clip_and_the_next_one_recovers_it(tmp_path, capsys):
    arguments = ["--label", "waving", "--data", tmp_path, "--seconds", "60", "--countdown", "0", *DEMO, *HEADLESS]
    with collecting(*arguments) as process:
        wait_for(lambda: part_of(tmp_path) and part_of(tmp_path).stat().st_size > 20_000, "some seconds of a clip")
        process.kill()
        process.wait()
    assert not clips_of(tmp_path / "waving")
    assert run(["--list", "--data", str(tmp_path)]) == 0
    assert "0 clips" in capsys.readouterr().out

    assert run(["--label", "waving", "--data", str(tmp_path), "--clips", "1", *HEADLESS]) == 0
    path = clips_of(tmp_path / "waving")[0]
    assert f"{path}" in capsys.readouterr().err
    assert files(tmp_path) == [f"waving/{path.name}"]
    times = times_in(path)
    assert times[-1] >= 0.85
    assert len(times) > 5


def record(folder, seconds, rate=10):
    """Records without finishing; returns the part as a kill would leave it."""
    recording = Recording(folder, rate)
    rng = np.random.default_rng(0)
    for number in range(seconds * rate):
        picture = numbered(number)
        picture[:20] = rng.integers(0, 255, (20, 320, 3))
        recording.add(picture, number / rate)
    part = next(folder.glob(".*.part.mp4"))
    content = part.read_bytes()
    recording.drop()
    assert not list(folder.iterdir())
    part.write_bytes(content)
    return part


def test_wherever_a_kill_cuts_a_clip_off_what_is_kept_is_whole_seconds(tmp_path):
    content = record(tmp_path, 4).read_bytes()
    part = next(tmp_path.iterdir())
    lengths = []
    for end in (0, 5, 600, len(content) // 3, len(content) // 2, len(content) - 700, len(content) - 1, len(content)):
        part.write_bytes(content[:end])
        kept = settle(part)
        numbers = [] if kept is None else numbers_in(kept)
        assert numbers == list(range(len(numbers)))
        assert len(numbers) % 10 == 0
        lengths.append(len(numbers))
        assert [path for path in tmp_path.iterdir()] == ([] if kept is None else [kept])
        if kept is not None:
            kept.unlink()

    assert lengths == sorted(lengths)
    assert lengths[0] == lengths[1] == lengths[2] == 0
    assert lengths[-1] == 30  # the fourth second was not on the disk yet


def test_what_cannot_be_played_is_removed_with_a_line_and_nothing_else_is(tmp_path):
    folder = tmp_path / "waving"
    folder.mkdir()
    (folder / ".20261121-141530.123.part.mp4").write_bytes(b"not a video")
    for name in (".notes.mp4", "1.mp4", ".20261121-141530.mp4"):
        (folder / name).write_bytes(b"not a video")
    with ClipStore(tmp_path) as store:
        lines = store.open()

    assert len(lines) == 1 and "removed" in lines[0]
    assert sorted(os.listdir(folder)) == sorted([".notes.mp4", "1.mp4", ".20261121-141530.mp4"])


def test_a_clip_that_another_process_records_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    script = (
        "import sys; from teaching.clip_store import ClipStore\n"
        f"with ClipStore({str(tmp_path)!r}) as store: store.open(); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        record(tmp_path / "a", 3)
        with ClipStore(tmp_path) as store:
            assert store.open() == []
        assert not clips_of(tmp_path / "a")
    finally:
        other.communicate()
    with ClipStore(tmp_path) as store:
        assert len(store.open()) == 1
    assert len(clips_of(tmp_path / "a")) == 1


def test_two_that_open_a_folder_at_once_both_hold_it(tmp_path):
    """Or a third one would take what one of them records for a crash's leftovers."""
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)  # it is just settling what was left
    with ClipStore(tmp_path) as store:
        opening = threading.Thread(target=store.open, daemon=True)
        opening.start()
        opening.join(0.5)
        fcntl.flock(other, fcntl.LOCK_UN)
        opening.join(60)
        assert not opening.is_alive()
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_keeps_the_clip_so_far(tmp_path, number):
    arguments = ["--label", "a", "--data", tmp_path, "--seconds", "60", "--countdown", "0", *DEMO, *HEADLESS]
    with collecting(*arguments) as process:
        wait_for(lambda: part_of(tmp_path), "a second of a clip")
        begun = time.monotonic()
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
        took = time.monotonic() - begun

    assert process.returncode == 128 + number
    assert took < 10  # 2 s on a machine that has nothing else to do
    assert "Traceback" not in errors
    (path,) = clips_of(tmp_path / "a")
    assert times_in(path)[-1] >= 0.85
    assert files(tmp_path) == [f"a/{path.name}"]
    assert "1 clip" in output


def test_a_signal_before_the_first_clip_leaves_nothing(tmp_path):
    with collecting("--label", "a", "--data", tmp_path, "--countdown", "60", *DEMO, *HEADLESS) as process:
        errors = ""
        while not errors.endswith("clip 1 of 10: 60"):
            errors += process.stderr.read(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 143
    assert files(tmp_path) == []


def test_a_full_disk_is_one_line_and_costs_no_clip(video, tmp_path):
    """Files may not grow over 40 kB, as on a full disk."""
    flags = ["--seconds", "2", "--countdown", "0", "--clips", "2", "--data", str(tmp_path), "--source", str(video)]
    assert run(["--label", "a", *flags, *HEADLESS]) == 0
    before = [path.read_bytes() for path in clips_of(tmp_path / "a")]
    size = len(before[0])
    process = subprocess.run(
        [*COMMAND, "--label", "b", *flags, "--seconds", "10", *HEADLESS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )

    assert process.returncode == 5
    assert "Traceback" not in process.stderr
    assert "recording ended" in process.stderr.splitlines()[-1]
    assert [path.read_bytes() for path in clips_of(tmp_path / "a")] == before
    assert "fit --data" in process.stdout or "another label" in process.stdout
    for path in clips_of(tmp_path / "b"):  # what was on the disk: whole seconds
        assert numbers_in(path) == list(range(len(numbers_in(path)) // 10 * 10))
    assert not list(tmp_path.rglob(".*.part*"))


def test_a_disk_without_room_is_one_line(tmp_path, capsys, monkeypatch, video):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    status = run(["--label", "a", "--countdown", "0", "--data", str(tmp_path), "--source", str(video), *HEADLESS])

    assert status == 5
    assert "disk is full" in capsys.readouterr().err.splitlines()[-1]


# Live sources


def test_the_demo_is_recorded_at_its_own_size_and_rate(tmp_path, capsys):
    flags = ["--seconds", "1", "--countdown", "1", "--clips", "1", "--data", str(tmp_path)]
    begun = time.monotonic()
    status = run(["--label", "moving", *flags, *DEMO, *HEADLESS])

    assert status == 0
    assert time.monotonic() - begun > 2  # the countdown, then the clip
    (path,) = clips_of(tmp_path / "moving")
    times = times_in(path)
    assert cv2.VideoCapture(str(path)).read()[1].shape == (120, 160, 3)
    assert 3 <= len(times) <= 11  # ten; fewer on a machine that is too busy to draw them
    assert times[-1] < 1.01
    errors = capsys.readouterr().err
    assert f"moving, clip 1 of 1: 1 recording ... kept moving/{path.name}" in errors


def test_a_camera_that_dies_while_recording_costs_that_clip_only(tmp_path):
    camera = Server(HTTP_CAMERA)
    flags = ["--seconds", "2", "--countdown", "0", "--pause", "0", "--clips", "2", "--data", tmp_path]
    try:
        with collecting("--label", "a", *flags, "--source", camera.url, *HEADLESS) as process:
            wait_for(lambda: clips_of(tmp_path / "a") and list(tmp_path.rglob(".*.part.mp4")), "the second clip")
            camera.kill()
            wait_for(lambda: not list(tmp_path.rglob(".*.part.mp4")), "the clip is thrown away")
            camera.start()
            output, errors = process.communicate(timeout=60)
    finally:
        camera.kill()

    assert process.returncode == 0, errors
    assert errors.count("thrown away: the camera was away") == 1
    assert "secret" not in output + errors
    found = clips_of(tmp_path / "a")
    assert len(found) == 2
    for path in found:
        times = times_in(path)
        assert 1.2 < times[-1] < 2.2
        assert np.diff(times).max() < 1.1


# Looking at what there is


@pytest.fixture
def data(tmp_path):
    for name in ("waving/1.mp4", "waving/2.gif", "on%2Foff/1.mp4", "background/1.avi", "waving/.3.mp4", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def test_list_counts(data, capsys):
    assert run(["--list", "--data", str(data)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]

    assert lines == [["background", "1", "clip"], ["on/off", "1", "clip"], ["waving", "2", "clips"]]


@pytest.mark.parametrize("redirection, status, lines", [("| true", 0, 0), ("> /dev/full", 5, 1)])
def test_a_list_that_nobody_can_read(data, redirection, status, lines):
    shell = f'set -o pipefail; "$@" --list {redirection}'
    done = subprocess.run(["bash", "-c", shell, "bash", *COMMAND, "--data", str(data)], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (status, lines), done.stderr


def test_list_of_nothing(tmp_path, capsys):
    assert run(["--list", "--data", str(tmp_path / "none")]) == 0
    assert "no clips" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_discard_moves_and_deletes_nothing(data, capsys):
    path = data / "on%2Foff" / "1.mp4"
    for _ in range(2):
        assert run(["--discard", str(path), "--data", str(data)]) == 0
        path.write_bytes(b"another")

    discarded = data / ".discarded" / "on%2Foff"
    assert (discarded / "1.mp4").read_bytes() == b"on%2Foff/1.mp4"
    assert (discarded / "1_1.mp4").read_bytes() == b"another"
    run(["--list", "--data", str(data)])
    assert "2 clips discarded" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../secret.mp4", "waving/none.mp4", "waving", "waving/../../secret.mp4", "notes.txt"])
def test_discard_takes_clips_of_the_folder_only(data, name, capsys):
    secret = data.parent / "secret.mp4"
    secret.write_bytes(b"")
    before = files(data)
    assert run(["--discard", str(data / name), "--data", str(data)]) == 2

    assert len(capsys.readouterr().err.splitlines()) == 1
    assert files(data) == before
    assert secret.exists()


@pytest.mark.parametrize(
    "arguments, words, status",
    [
        (["--label", " "], "empty", 2),
        (["--label", "a\nb"], "line break", 2),
        (["--label", "a", "--seconds", "0.2"], "seconds", 2),
        (["--label", "a", "--lable", "b"], "--label", 2),
        (["--label", "WAVING"], "'waving'", 2),
        (["--label", "a", "--source", "none.mp4", "--display", "none"], "none.mp4", 4),
    ],
)
def test_a_mistake_is_one_line(data, arguments, words, status, capsys):
    assert run([*arguments, "--data", str(data)]) == status
    line = capsys.readouterr().err.splitlines()[-1]

    assert line.startswith("train.py collect: ")
    assert words in line


def test_a_background_in_capitals_is_the_background(tmp_path):
    flags = ["--seconds", "1", "--countdown", "0", "--clips", "1", "--data", str(tmp_path), "--display", "none", *DEMO]
    assert run(["--label", "Background", "--label", "wave", *flags]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Background", "wave"]


def test_a_second_round_finds_the_background_whatever_its_case(data, video, capsys):
    (data / "background").rename(data / "Background")
    flags = ["--seconds", "1", "--countdown", "0", "--clips", "1", "--source", str(video), "--display", "none"]
    assert run(["--background", "--data", str(data), *flags]) == 0
    assert "no background" not in capsys.readouterr().out
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == ["Background", "on%2Foff", "waving"]


def test_the_advice_for_a_second_round_works_as_typed(data, video, tmp_path, capsys, monkeypatch):
    flags = ["--seconds", "1", "--countdown", "0", "--clips", "1", "--source", str(video), "--display", "none"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for begin, end in (("next: ", ""), ("next (replaces models/mine.tflite): ", " --force")):
        assert run(["--data", str(data), *flags]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line == f"{begin}python train.py fit --data {data} --out models/mine.tflite{end}"
        (tmp_path / "models" / "mine.tflite").touch()


def test_a_list_has_a_line_for_each_label_however_odd(data, capsys):
    for name in ("a\nb", "a\x1b[2Jc", "手を振る"):
        (data / name).mkdir()
    assert run(["--list", "--data", str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("  ")[1] for line in lines] == ["a b", "a?[2Jc", "background", "on/off", "waving", "手を振る"]
    assert len({columns_of(line.partition("clip")[0]) for line in lines}) == 1


def test_a_countdown_on_the_terminal_counts_whole_seconds(capsys):
    collector = Collector({"a": 0}, clips=2, seconds=2, countdown=3)
    terminal = _Terminal(live=True)
    for frame in range(100):
        collector.update(frame / 30)
        terminal.follow(collector, frame / 30 + 0.04)  # the picture's time, and ours when it is drawn
    assert capsys.readouterr().err == "a, clip 1 of 2: 3 2 1 recording ... "


def test_without_any_label_it_says_what_to_type(tmp_path, capsys):
    assert run(["--data", str(tmp_path / "clips")]) == 2
    assert "--label waving" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_one_line(data, capsys):
    assert run(["--label", "a", "--data", str(data / "notes.txt"), "--source", "demo", *HEADLESS]) == 4
    assert "notes.txt" in capsys.readouterr().err


def test_a_folder_whose_names_alone_can_be_read_is_one_line(data, capsys):
    data.chmod(0o444)
    with as_nobody(data.parent):
        assert run(["--list", "--data", data.name]) == 4
    assert "Permission denied" in capsys.readouterr().err


def test_labels_that_have_clips_are_the_default_and_a_missing_background_is_told(data, video, capsys):
    flags = ["--seconds", "1", "--countdown", "0", "--clips", "2", "--source", str(video), "--display", "none"]
    shutil.rmtree(data / "background")
    assert run(["--data", str(data), "--no-background", *flags]) == 0
    assert [len(clips_of(data / name)) for name in ("waving", "on%2Foff")] == [2, 2]

    assert run(["--list", "--data", str(data)]) == 0
    capsys.readouterr()
    assert run(["--data", str(data), *flags, "--background", "--countdown", "60"]) == 4
    assert "--label background" in capsys.readouterr().out

    assert run(["--data", str(data), "--background", *flags]) == 0
    assert len(clips_of(data / "background")) == 2
    assert "--label background" not in capsys.readouterr().out
