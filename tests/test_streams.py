"""RTSP and HTTP sources against real servers on this machine, which also stall, die, lie and stay silent."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from http_camera import address, serving

import sources.opencv
from errors import SourceError
from sources import identity, open_source

RTSP_CAMERA = Path(__file__).with_name("rtsp_camera.py")
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def server(tmp_path):
    path = str(tmp_path / "a.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (20, 90, 160):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    with serving(Path(path).read_bytes()) as server:
        yield server


def read_until_error(source, within):
    """Reads until the source gives up; returns the error's text. Fails if that takes longer than `within` seconds."""
    deadline = time.monotonic() + within
    with pytest.raises(SourceError) as error:
        while time.monotonic() < deadline:
            source.read()
    assert time.monotonic() < deadline
    assert "\n" not in str(error.value)
    return str(error.value)


def test_http_camera(server):
    source = open_source(address(server, "/cam?user=me&pwd=secret"), read_timeout=3)
    assert (source.name, source.live) == (address(server, "/cam"), True)
    before = time.monotonic()
    frames = [source.read() for _ in range(30)]
    after = time.monotonic()
    source.close()
    source.close()
    assert [frame.index for frame in frames] == list(range(30))
    assert all(frame.image.shape == (48, 64, 3) for frame in frames)
    times = [frame.timestamp for frame in frames]
    assert times == sorted(times) and before <= times[0] and times[-1] <= after
    counts = [round(float(np.median(frame.image[:, 4:28])) / 10) for frame in frames]
    assert all((later - earlier) % 20 == 1 for earlier, later in zip(counts, counts[1:]))


def test_an_address_may_begin_with_a_capital(server):
    """As a phone's keyboard writes it; FFmpeg knows no Http://."""
    url = address(server, "/cam")
    with contextlib.closing(open_source(f"Http{url[4:]}", read_timeout=2)) as source:
        assert source.read() is not None
    assert identity(f"Http{url[4:]}") == identity(url)


@pytest.mark.parametrize("path", ["/stall", "/close"])
def test_http_camera_that_stops_is_given_up(server, path):
    source = open_source(address(server, path), read_timeout=1)
    assert "no frame from" in read_until_error(source, within=6)
    source.close()


def test_video_file_over_http_plays_whole(server):
    source = open_source(address(server, "/file.avi"))
    assert not source.live
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [np.median(frame.image) for frame in frames] == pytest.approx([20, 90, 160], abs=6)
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.1, 0.2])


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_refused_connection_is_told_without_the_password(scheme):
    port = refused_port()
    with pytest.raises(SourceError) as error:
        open_source(f"{scheme}://user:secret@127.0.0.1:{port}/cam?token=secret")
    text = str(error.value)
    assert "\n" not in text and "secret" not in text
    assert f"127.0.0.1:{port}" in text and "refused" in text


def test_a_refused_password_is_hinted_at(server):
    with pytest.raises(SourceError) as error:
        open_source(address(server, "/private"))
    assert "password" in str(error.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_stays_silent_is_given_up(scheme, monkeypatch):
    monkeypatch.setattr(sources.opencv, "OPEN_TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(SourceError):
            open_source(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/cam", read_timeout=1)
        assert time.monotonic() - begin < 5


@pytest.fixture
def rtsp():
    process = subprocess.Popen([SYSTEM_PYTHON, RTSP_CAMERA], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = process.stdout.readline().strip()
    if not port:
        reason = (process.stderr.read().strip().splitlines() or ["no output"])[-1]
        process.wait()
        pytest.skip(f"no RTSP server here ({reason}); see the packages in {RTSP_CAMERA.name}")
    process.address = f"rtsp://user:secret@127.0.0.1:{port}/cam"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def test_rtsp_camera_that_is_killed(rtsp):
    source = open_source(rtsp.address, read_timeout=1.5)
    assert source.live and "secret" not in source.name
    frames = [source.read() for _ in range(40)]
    assert all(frame.image.shape == (240, 320, 3) for frame in frames)
    # The frames that were buffered while it opened come at once; then one every 1/15 s, stamped with its arrival.
    assert frames[-1].timestamp - frames[-6].timestamp == pytest.approx(5 / 15, abs=0.2)
    assert time.monotonic() - frames[-1].timestamp < 0.5
    # SMPTE bars: yellow is the second from the left, blue the last.
    blue, green, red = frames[-1].image[60, 68].tolist()
    assert blue < 90 and green > 150 and red > 150
    blue, green, red = frames[-1].image[60, 297].tolist()
    assert blue > 150 and green < 90 and red < 90
    rtsp.kill()
    assert "secret" not in read_until_error(source, within=8)
    source.close()


def test_rtsp_camera_that_freezes(rtsp):
    source = open_source(rtsp.address, read_timeout=1.5)
    for _ in range(35):
        source.read()
    rtsp.send_signal(signal.SIGSTOP)
    assert "no frame from" in read_until_error(source, within=8)
    source.close()


def test_rtsp_camera_without_such_a_path(rtsp):
    with pytest.raises(SourceError, match="check path, user and password"):
        open_source(rtsp.address + "era", read_timeout=3)
