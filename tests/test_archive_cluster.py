"""The same archive on a cluster: a real scheduler and real workers, one of which is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from archive_files import BLUE, RED, done, events, run, start, states, write_video
from conftest import ROOT

pytest.importorskip("distributed", reason="dask.distributed isn't installed; ./setup.sh --extras cluster")

COUNT = 18
LIMIT = 60  # seconds; against hanging only


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of videos, one of them broken, and the events that this machine finds by itself."""
    folder = tmp_path_factory.mktemp("cluster")
    for number in range(COUNT):
        write_video(folder / "videos" / f"{number % 3}" / f"{number // 3}.avi", [(RED, 200 + 4 * number), (BLUE, 400)])
    (folder / "videos" / "broken.avi").write_bytes(b"no video")
    precision = () if sys.version_info < (3, 10) else ("--precision", "float")
    status, _, errors = run(folder, "--source", "videos", "--jobs", 2, "--events", "here.db", *precision)
    assert status == 0, errors
    return folder


@pytest.fixture
def cluster(tmp_path):
    """Starts a scheduler; a function starts workers, which find the repository as the README says."""
    without = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = {**without, "PYTHONPATH": str(ROOT)}
    with contextlib.ExitStack() as stack:

        def launch(kind, environment, *flags):
            command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *flags, "--no-dashboard"]
            log = stack.enter_context(open(tmp_path / f"{kind}.log", "ab"))
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        file = tmp_path / "scheduler.json"
        scheduler = launch("scheduler", without, "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        end = time.monotonic() + LIMIT
        while not file.exists() or not file.read_text():
            assert scheduler.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]

        def worker(knows=True):
            flags = ("--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path), "--host", "127.0.0.1")
            return launch("worker", environment if knows else without, address, *flags)

        yield address, scheduler, worker


@pytest.fixture
def stranger():
    """A server of something else: gives what it is to answer to who says anything, and then keeps the line open."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        answers = [b""]

        def serve():
            with contextlib.suppress(OSError):  # closed
                while True:
                    connection = stack.enter_context(server.accept()[0])
                    connection.recv(1)
                    connection.sendall(answers[0])

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}", answers
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\x01" + bytes(7) + b"\xff" * 6 + bytes(2)]
)
def test_a_server_that_is_no_scheduler_is_told_of(stranger, folder, tmp_path, answer):
    address, answers = stranger
    answers[0] = answer

    status, _, errors = run(tmp_path, "--source", folder / "videos", "--cluster", address, "--events", "a.db")

    assert status == 2, errors
    assert "no scheduler answers (something else does); start one: .venv/bin/dask scheduler" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_signal_ends_the_wait_for_a_server_that_is_no_scheduler(stranger, folder, tmp_path):
    with start(tmp_path, "--source", folder / "videos", "--cluster", stranger[0], "--events", "a.db") as program:
        while "model: " not in program.stderr.readline():
            assert program.poll() is None
        time.sleep(2)  # it connects now
        program.send_signal(signal.SIGINT)
        begun = time.monotonic()
        errors = program.stderr.read()
        assert program.wait(LIMIT) == 130
    assert time.monotonic() - begun < 5
    assert "stopped: 0 of 19 files are done" in errors
    assert "Traceback" not in errors


def test_of_two_workers_one_is_killed_and_every_file_is_done_once(cluster, folder, tmp_path):
    address, _, worker = cluster
    workers = [worker(), worker()]
    with start(tmp_path, "--source", folder / "videos", "--cluster", address, "--events", "a.db") as program:
        end = time.monotonic() + LIMIT
        while done(tmp_path / "a.db") < 4:
            assert program.poll() is None and time.monotonic() < end
            time.sleep(0.005)
        program.send_signal(signal.SIGSTOP)  # so that the worker dies with results that nobody has fetched
        at_the_kill = done(tmp_path / "a.db")
        time.sleep(1)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait(LIMIT)
        program.send_signal(signal.SIGCONT)
        _, errors = program.communicate(timeout=LIMIT)

    assert program.returncode == 0, errors
    assert at_the_kill < COUNT
    found = states(tmp_path / "a.db")
    assert found.pop("broken.avi") == "unreadable"
    assert list(found.values()) == ["done"] * COUNT, errors
    assert events(tmp_path / "a.db") == events(folder / "here.db")
    assert "Traceback" not in errors


def test_a_signal_stops_it_within_two_seconds_and_it_goes_on_with_more_workers(cluster, folder, tmp_path):
    address, scheduler, worker = cluster
    flags = ("--source", folder / "videos" / "0", "--cluster", address, "--events", "a.db")
    with start(tmp_path, *flags) as program:
        while "no worker yet" not in program.stderr.readline():
            assert program.poll() is None
        program.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        errors = program.stderr.read()
        assert program.wait(LIMIT) == 143
        assert time.monotonic() - begun < 2
    assert "stopped: 0 of 6" in errors
    worker()

    status, _, errors = run(tmp_path, *flags)

    assert status == 0, errors
    assert list(states(tmp_path / "a.db").values()) == ["done"] * 6


def test_workers_without_the_repository_are_told_of(cluster, folder, tmp_path):
    address, _, worker = cluster
    worker(knows=False)

    status, _, errors = run(tmp_path, "--source", folder / "videos", "--cluster", address, "--events", "a.db")

    assert status == 2
    assert errors.rstrip().splitlines()[-1].startswith("classify.py: --cluster ")
    assert f"PYTHONPATH={ROOT}" in errors
    assert "Traceback" not in errors


def test_a_scheduler_that_goes_away_ends_it_with_a_line(cluster, folder, tmp_path):
    address, scheduler, _ = cluster
    flags = ("--source", folder / "videos", "--cluster", address, "--events", "a.db")
    with start(tmp_path, *flags) as program:
        while "no worker yet" not in program.stderr.readline():
            assert program.poll() is None
        time.sleep(0.5)
        scheduler.kill()
        errors = program.stderr.read()

        assert program.wait(LIMIT) == 5
    assert "lost the scheduler" in errors
    assert "Traceback" not in errors
