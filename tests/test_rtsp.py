"""RTSP cameras through PyAV, against a real server; what fails in them is in test_streams and test_reconnecting."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest
from camera_process import RTSP_CAMERA, Server

from errors import SourceError
from sources import open_source
from sources.opencv import LiveCapture
from sources.rtsp import RtspStream

LIMIT = 30  # seconds; against hanging only


@pytest.fixture
def camera():
    """Starts a camera with the given fps, codec, frames from key frame to key frame, and login."""
    started = []

    def start(*options):
        started.append(Server(RTSP_CAMERA, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
@pytest.mark.parametrize("package", ["av", "cv2"])
def test_frames_of_every_codec_with_and_without_pyav(camera, codec, package, monkeypatch):
    pytest.importorskip("av")
    if package == "cv2":
        monkeypatch.setitem(sys.modules, "av", None)
    source = open_source(camera("30", codec).url, read_timeout=5)
    assert isinstance(source, RtspStream if package == "av" else LiveCapture)

    begun = time.monotonic()
    frames = [source.read() for _ in range(40)]
    source.close()

    assert source.read() is None and source.live
    assert source.fps is None or source.fps == pytest.approx(30)
    assert [frame.index for frame in frames] == list(range(40))
    times = [frame.timestamp for frame in frames]
    assert times == sorted(times) and begun - LIMIT < times[0] and times[-1] <= time.monotonic()
    # SMPTE bars: yellow is the second from the left, blue the last, in blue, green, red.
    image = frames[-1].image
    assert image.shape == (240, 320, 3) and image.flags.writeable and image.flags.c_contiguous
    assert (image[60, 68] > 150).tolist() == [False, True, True]
    assert (image[60, 297] > 150).tolist() == [True, False, False]


def test_a_slow_camera_with_rare_key_frames_is_seen_at_once(camera):
    """Thirty frames would take 15 s, the next key frame 50 s: neither is waited for."""
    pytest.importorskip("av")
    server = camera("2", "h264", "100")
    begun = time.monotonic()
    source = open_source(server.url)
    assert source.read() is not None
    source.close()
    assert time.monotonic() - begun < 8  # about 2 s


def test_user_and_password_are_used_and_never_shown(camera, capfd, caplog):
    server = camera("30", "h264", "15", "user:secret")
    source = open_source(server.url, read_timeout=5)
    assert source.read() is not None and "secret" not in source.name
    source.close()

    with pytest.raises(SourceError, match="check path, user and password") as error:
        open_source(server.url.replace("secret", "secret2"), read_timeout=5)
    with pytest.raises(SourceError) as other:
        open_source(server.url.replace("/cam", "/nothing"), read_timeout=5)
    texts = [str(error.value), str(other.value), caplog.text, *capfd.readouterr()]
    assert not any("secret" in text for text in texts)
    assert error.value.__cause__ is None and error.value.__suppress_context__
    assert texts[2:] == ["", "", ""]  # nor does FFmpeg say anything else


def test_special_characters_of_a_password_are_written_as_the_hint_says(camera):
    server = camera("30", "h264", "15", "user:se/cr#et")
    with pytest.raises(SourceError, match=r"as %2F \(/\), %3F \(\?\), %23 \(#\)") as error:
        open_source(server.url.replace("secret", "se/cr#et"), read_timeout=5)
    assert "cr" not in str(error.value).split(" can't be opened")[0]

    source = open_source(server.url.replace("secret", "se%2Fcr%23et"), read_timeout=5)
    assert source.read() is not None
    source.close()


def test_a_camera_that_hangs_up_is_not_said_to_have_been_silent_for_no_time(camera):
    server = camera("30")
    source = open_source(server.url, read_timeout=5)
    source.read()
    server.kill()
    time.sleep(1)  # what it had sent before is read at once then, and so is the end

    with pytest.raises(SourceError, match="no frame from .* any more; check its cable or network"):
        while source.read() is not None:
            pass
    source.close()


def test_a_read_that_blocks_ends_at_the_read_timeout_and_closes_what_was_closed_meanwhile(camera):
    server = camera("30")
    source = open_source(server.url, read_timeout=1)
    for _ in range(5):
        source.read()
    server.send(signal.SIGSTOP)
    ended = []

    def read_to_the_end():
        while (frame := source.read()) is not None:
            ended.append(frame)
        ended.append(None)

    reader = threading.Thread(target=read_to_the_end)
    reader.start()
    time.sleep(0.5)
    source.close()
    reader.join(LIMIT)
    assert not reader.is_alive() and ended[-1] is None
