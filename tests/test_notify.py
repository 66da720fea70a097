"""What systemd hears: from the Notifier alone, and from the whole program, through a socket of the test's own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from camera_process import HTTP_CAMERA, Server
from conftest import DATA, ROOT
from http_camera import address, serving

from notify import Notifier

LIMIT = 60  # seconds; against hanging only


class Manager:
    """The end of the socket where systemd sits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def hear(self, seconds: float) -> dict[str, str] | None:
        """Returns the next message as a dictionary; None if none comes in time."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def heard(self) -> list[dict[str, str]]:
        """Returns what has come already."""
        return list(iter(lambda: self.hear(0), None))

    def wait_for(self, key: str, value: str) -> dict[str, str]:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            message = self.hear(1) or {}
            if message.get(key, "").startswith(value):
                return message
        raise AssertionError(f"no {key}={value} came in {LIMIT} s")


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    manager = Manager(f"@{tmp_path}/abstract" if request.param == "abstract" else str(tmp_path / "a socket"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    yield manager
    manager.socket.close()


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


# The Notifier alone, with a clock that the test turns


def test_it_is_ready_with_the_first_step_and_not_before(manager):
    clock = Time()
    notifier = Notifier(clock)
    for _ in range(100):
        clock.now += 1
        notifier.beat(0, "starting")
    assert manager.heard() == []

    notifier.beat(1, "at work")

    assert manager.heard() == [{"READY": "1", "STATUS": "at work"}]


def test_a_working_program_is_heard_at_least_every_half_interval(manager):
    clock = Time()
    notifier = Notifier(clock)
    times = []
    for turn in range(3000):  # a minute of turns of 20 ms, with a step every 200 ms
        clock.now += 0.02
        notifier.beat(1 + turn // 10, "at work")
        times += [clock.now for message in manager.heard() if "WATCHDOG" in message]

    gaps = [after - before for before, after in zip(times, times[1:])]
    assert max(gaps) <= 4 + 0.25  # half of 8 s, then at most a step later
    assert min(gaps) > 3  # and no flood of messages


def test_hanging_inference_falls_silent_however_busy_the_loop_is(manager):
    clock = Time()
    notifier = Notifier(clock)
    notifier.beat(1, "at work")
    clock.now += 5
    notifier.beat(7, "at work")
    assert [sorted(message) for message in manager.heard()] == [["READY", "STATUS"], ["STATUS", "WATCHDOG"]]

    for _ in range(1000):
        clock.now += 0.1
        notifier.beat(7, "at work")
    assert manager.heard() == []

    notifier.beat(8, "at work")
    assert manager.heard() == [{"WATCHDOG": "1", "STATUS": "at work"}]


def test_a_count_that_begins_anew_is_a_sign_of_life_too(manager):
    """With other sources, the turns of their threads are counted from 0."""
    clock = Time()
    notifier = Notifier(clock)
    notifier.beat(1000, "at work")
    manager.heard()

    for turns in range(20):
        clock.now += 1
        notifier.beat(turns, "at work")

    assert len([message for message in manager.heard() if "WATCHDOG" in message]) >= 20 // 4 - 1


def test_loading_is_given_minutes_once(manager):
    clock = Time()
    notifier = Notifier(clock)
    notifier.begin("loading")
    for _ in range(100):
        clock.now += 1
        notifier.beat(0, "no news")

    (message,) = manager.heard()
    assert message["STATUS"] == "loading" and 60e6 < int(message["EXTEND_TIMEOUT_USEC"]) <= 300e6


def test_waiting_for_a_camera_is_no_hang(manager):
    clock = Time()
    notifier = Notifier(clock)
    notifier.beat(1, "at work")
    manager.heard()

    messages = []
    for second in range(60):
        clock.now += 1
        notifier.beat(1, f"no signal for {second} s", waiting=True)
        messages += manager.heard()

    assert len(messages) >= 60 // 4 - 1
    assert all(message["WATCHDOG"] == "1" for message in messages)
    assert messages[-1]["STATUS"].startswith("no signal for 5")


def test_a_start_that_waits_for_a_camera_asks_for_more_time(manager):
    clock = Time()
    notifier = Notifier(clock)
    messages = []
    for _ in range(100):
        clock.now += 1
        notifier.beat(0, "no signal", waiting=True)
        messages += manager.heard()
    assert len(messages) >= 100 // 4 - 1
    # Each asks for more microseconds than pass until the next.
    assert all(int(message["EXTEND_TIMEOUT_USEC"]) > 2 * 4e6 for message in messages)
    assert not any("READY" in message or "WATCHDOG" in message for message in messages)

    clock.now += 10
    notifier.beat(1, "at work")

    assert manager.heard() == [{"READY": "1", "STATUS": "at work"}]


def test_the_end_is_told_once(manager):
    notifier = Notifier()
    notifier.stop()
    notifier.stop()
    notifier.beat(1, "too late")

    assert [message["STOPPING"] for message in manager.heard()] == ["1"]


def test_child_processes_do_not_report_in_its_name(manager):
    Notifier()
    child = subprocess.run([sys.executable, "-c", "import os; print(os.environ)"], capture_output=True, text=True)
    assert "NOTIFY_SOCKET" not in child.stdout and "WATCHDOG" not in child.stdout


def test_a_manager_that_does_not_read_holds_nobody_up_and_hears_ready_later(manager):
    stuffed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stuffed.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            stuffed.sendto(b"X=1", "\0" + manager.name[1:] if manager.name.startswith("@") else manager.name)
    stuffed.close()
    clock = Time()
    notifier = Notifier(clock)
    start = time.monotonic()
    notifier.beat(1, "at work")
    assert time.monotonic() - start < 5
    assert not any("READY" in message for message in manager.heard())

    clock.now += 10
    notifier.beat(2, "at work")
    assert manager.heard() == [{"READY": "1", "STATUS": "at work"}]


def test_a_manager_that_is_gone_is_no_reason_to_end(manager):
    notifier = Notifier()
    manager.socket.close()
    notifier.beat(1, "at work")
    notifier.stop()


def test_without_a_manager_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.beat(1, "at work")
    notifier.stop()


# The whole program


@pytest.fixture
def start(tmp_path, tiny_model, tiny_labels):
    """Starts the program, or what wraps it, under a manager with a watchdog of one second."""
    started = []
    tmp_path.chmod(0o700)
    manager = Manager(str(tmp_path / "manager"))

    def run(*flags: object, program: Path = ROOT / "classify.py", first: tuple[object, ...] = ()):
        model = () if "--model" in flags else ("--model", tiny_model, "--labels", tiny_labels)
        command = [sys.executable, program, *first, *model, *flags]
        process = subprocess.Popen(
            [str(word) for word in [*command, "--display", "none", "--jsonl", tmp_path / "predictions.jsonl"]],
            cwd=tmp_path,
            env={
                **os.environ,
                "NOTIFY_SOCKET": manager.name,
                "WATCHDOG_USEC": "1000000",
                "XDG_RUNTIME_DIR": str(tmp_path),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, manager

    yield run
    for process in started:
        process.kill()
        process.communicate()
    manager.socket.close()


def test_the_program_reports_ready_alive_and_stopping(start, tmp_path):
    process, manager = start("--source", "demo")
    manager.wait_for("READY", "1")
    assert manager.wait_for("WATCHDOG", "1")["STATUS"]
    manager.wait_for("WATCHDOG", "1")
    assert (tmp_path / "predictions.jsonl").read_text().count("\n") >= 2  # it was at work when it said so

    process.send_signal(signal.SIGTERM)

    manager.wait_for("STOPPING", "1")
    assert process.wait(LIMIT) == 143
    assert manager.heard() == []


def test_a_program_whose_inference_hangs_falls_silent(start, tmp_path):
    hang = tmp_path / "hang"
    process, manager = start("--source", "demo", program=ROOT / "tests" / "hanging_classifier.py", first=(hang,))
    manager.wait_for("READY", "1")
    manager.wait_for("WATCHDOG", "1")

    hang.touch()
    time.sleep(1)
    manager.heard()  # of steps made before it hung
    assert manager.hear(3) is None  # for which systemd would have killed it three times over
    assert process.poll() is None

    hang.unlink()
    manager.wait_for("WATCHDOG", "1")


def test_a_program_whose_camera_is_away_does_not(start):
    with serving() as camera:
        process, manager = start("--source", address(camera, "/cam"), "--read-timeout", "1")
        manager.wait_for("READY", "1")
    manager.wait_for("STATUS", "no signal for 3 s")

    times = []
    for _ in range(4):
        assert "WATCHDOG" in manager.wait_for("STATUS", "no signal")
        times.append(time.monotonic())
    assert max(after - before for before, after in zip(times, times[1:])) < 1  # the watchdog's interval
    assert process.poll() is None


def test_a_program_that_is_started_before_its_camera_waits_for_it(start):
    with serving() as camera:
        port = camera.server_address[1]
    _, manager = start("--source", address(camera, "/cam"), "--retry", "1000")
    manager.wait_for("EXTEND_TIMEOUT_USEC", "")
    manager.wait_for("EXTEND_TIMEOUT_USEC", "")

    with serving(port=port):
        manager.wait_for("READY", "1")
        manager.wait_for("WATCHDOG", "1")


def count_lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def test_it_is_heard_between_two_steps_however_far_apart_they_are(start, tmp_path):
    _, manager = start("--source", "demo", "--sample-fps", "0.1")
    manager.wait_for("READY", "1")

    heard = []
    while count_lines(tmp_path / "predictions.jsonl") < 2:  # ten seconds
        message = manager.hear(1) or {}
        heard += [time.monotonic()] if "WATCHDOG" in message else []

    assert len(heard) >= 5


def test_it_is_ready_before_the_first_clip_is_whole(start, tmp_path):
    model = ("--model", DATA / "clip.tflite", "--labels", DATA / "clip.txt")
    _, manager = start("--source", "demo", *model, "--sample-fps", "0.5")

    manager.wait_for("READY", "1")
    manager.wait_for("WATCHDOG", "1")
    manager.wait_for("WATCHDOG", "1")

    assert count_lines(tmp_path / "predictions.jsonl") == 0


def test_it_is_heard_with_another_source_as_soon_as_with_the_first(start, tmp_path):
    predictions = tmp_path / "predictions.jsonl"
    _, manager = start("--source", "demo", "--instance", "test")
    manager.wait_for("READY", "1")
    while count_lines(predictions) < 40:
        assert manager.hear(LIMIT)

    with serving() as camera:
        url = address(camera, "/cam")
        live = [sys.executable, ROOT / "classify.py", "--live", "--instance", "test", "--source", url]
        subprocess.run(live, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, check=True, capture_output=True)
        manager.heard()
        before = count_lines(predictions)
        manager.wait_for("WATCHDOG", "1")
        manager.wait_for("WATCHDOG", "1")

        assert count_lines(predictions) - before < 30  # not only when the old source's steps are caught up with


def test_a_frozen_camera_is_told_long_before_a_long_read_timeout_is_over(start):
    camera = Server(HTTP_CAMERA)
    try:
        process, manager = start("--source", camera.url, "--read-timeout", "600")
        manager.wait_for("READY", "1")
        camera.send(signal.SIGSTOP)

        assert "WATCHDOG" in manager.wait_for("STATUS", "no signal for")
        assert "WATCHDOG" in manager.wait_for("STATUS", "no signal for")
        assert process.poll() is None
    finally:
        camera.kill()


def test_the_status_says_what_the_start_waits_for(start):
    _, manager = start("--source", "demo")
    statuses = []
    while "READY" not in (message := manager.hear(LIMIT)):
        statuses.append(message["STATUS"])
    assert statuses == ["loading the model"]


def test_a_camera_that_is_away_at_the_start_is_waited_for_once_the_model_is_there(start):
    with serving() as camera:
        url = address(camera, "/cam")
    _, manager = start("--source", url, "--retry", "1000")

    assert manager.hear(LIMIT)["STATUS"] == "loading the model"
    for _ in range(3):
        message = manager.hear(LIMIT)
        assert message["STATUS"] == "waiting for the camera" and "EXTEND_TIMEOUT_USEC" in message
