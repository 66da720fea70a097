"""Cameras that are killed, stopped or pulled out, that hang or freeze: real servers, and a stand-in for V4L2."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
import time

import cv2
import numpy as np
import pytest
from camera_process import HTTP_CAMERA, RTSP_CAMERA, Server
from http_camera import Camera, address, serving

import sources.opencv
import sources.reconnecting
from errors import SourceError
from sources import Frame, open_source
from sources.link import Link, link_to
from sources.reconnecting import keep_open

LIMIT = 40  # seconds; against hanging only


@pytest.fixture(params=["rtsp", "http"])
def server(request):
    camera = Server(RTSP_CAMERA if request.param == "rtsp" else HTTP_CAMERA)
    yield camera
    camera.kill()


@pytest.fixture
def http_server():
    camera = Server(HTTP_CAMERA)
    yield camera
    camera.kill()


class Viewer:
    """Reads a source as the program does, in a thread, and keeps what came."""

    def __init__(self, source):
        self.source, self.frames, self.error = source, [], None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while (frame := self.source.read()) is not None:
                self.frames.append(frame)
        except SourceError as error:
            self.error = error

    def wait_for_frames(self, number=1):
        """Waits for so many more frames."""
        wanted = len(self.frames) + number
        wait_until(lambda: len(self.frames) >= wanted or self.error)
        assert self.error is None

    def wait_for_outage(self, seconds=0.0):
        wait_until(lambda: self.source.outage(time.monotonic()) > seconds)

    def finish(self):
        """Closes the source; returns how many seconds it took until the read had returned."""
        begun = time.monotonic()
        self.source.close()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        return time.monotonic() - begun


def wait_until(condition, within=LIMIT):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def camera_threads():
    return [thread for thread in threading.enumerate() if "camera" in thread.name]


@pytest.fixture
def view():
    """Opens a camera that reconnects, and watches it; closes it at the end, whatever it is doing."""
    viewers = []

    def open_and_watch(uri, **options):
        read_timeout = options.setdefault("read_timeout", 1.5)
        source = keep_open(lambda: open_source(uri, read_timeout=read_timeout), link_to(uri), **options)
        viewers.append(Viewer(source))
        return viewers[-1]

    yield open_and_watch
    for viewer in viewers:
        viewer.finish()


# Cameras on the network


def test_a_killed_camera_is_seen_again_when_it_is_back(server, view, caplog):
    viewer = view(server.url)
    viewer.wait_for_frames(5)
    assert viewer.source.outage(time.monotonic()) == 0

    server.kill()
    viewer.wait_for_outage(2)
    server.start()
    begun = time.monotonic()
    viewer.wait_for_frames(5)

    assert time.monotonic() - begun < 6  # about 1.5 s on a machine that has nothing else to do
    assert viewer.source.outage(time.monotonic()) == 0
    assert [frame.index for frame in viewer.frames] == list(range(len(viewer.frames)))
    times = [frame.timestamp for frame in viewer.frames]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert min(gaps) > 0 and max(gaps) > 2  # by which the model's memory is cleared
    # Two lines an outage, however many openings failed meanwhile, and no password in them.
    assert ["trying again" in line for line in caplog.messages] == [True, False]
    assert "is back after" in caplog.messages[1]
    assert "secret" not in caplog.text + viewer.source.name


def test_a_frozen_server_is_noticed_and_seen_again_when_it_goes_on(server, view):
    viewer = view(server.url)
    viewer.wait_for_frames(5)

    server.send(signal.SIGSTOP)
    viewer.wait_for_outage(2)
    server.send(signal.SIGCONT)
    begun = time.monotonic()
    viewer.wait_for_frames(5)

    assert time.monotonic() - begun < 6
    assert viewer.source.outage(time.monotonic()) == 0


def test_an_outage_is_told_after_some_seconds_however_long_the_read_timeout(http_server, view):
    viewer = view(http_server.url, read_timeout=600)
    viewer.wait_for_frames(5)

    http_server.send(signal.SIGSTOP)
    viewer.wait_for_outage()
    assert viewer.error is None


@pytest.mark.parametrize("state", ["delivers", "killed", "stopped", "stopped for long"])
def test_closing_takes_less_than_two_seconds_and_leaves_no_thread(server, view, state):
    """A stopped server holds one thread in a read, a server stopped for long in an opening, 30 s and 10 s by itself."""
    viewer = view(server.url, read_timeout=30 if state == "stopped" else 0.5)
    viewer.wait_for_frames(5)
    if state == "killed":
        server.kill()
        viewer.wait_for_outage(1)
    elif state != "delivers":
        server.send(signal.SIGSTOP)
        time.sleep(3.5 if state == "stopped for long" else 0.5)

    begun = time.monotonic()
    assert viewer.finish() < 2
    while camera_threads():
        assert time.monotonic() - begun < 2
        time.sleep(0.01)


def test_a_camera_that_hangs_up_now_and_then(view, http_server):
    viewer = view(http_server.url.replace("/cam", "/close"))

    viewer.wait_for_frames(30)


def test_a_frozen_picture_from_the_network(view, http_server):
    """The line is fine and frames come in time, but they are all the same."""
    viewer = view(http_server.url.replace("/cam", "/freeze"), frozen_after=1)

    viewer.wait_for_frames(60)

    levels = [round(float(np.median(frame.image[:, 4:28])) / 10) for frame in viewer.frames]
    assert any(later < earlier for earlier, later in zip(levels, levels[1:]))  # the server has begun anew


def test_retries_bound_the_openings_in_a_row(server, view):
    viewer = view(server.url, retries=2)
    viewer.wait_for_frames(5)

    server.kill()
    wait_until(lambda: viewer.error)

    assert "secret" not in str(viewer.error) and "refused" in str(viewer.error)


class RefusingCamera(Camera):
    """Shows a moment of /close, then says that it is busy, until the server is `willing`."""

    shown, refused, willing = False, 0, False

    def do_GET(self):  # noqa: N802
        kind = type(self)
        if kind.willing or not kind.shown:
            self.path = "/cam" if kind.willing else "/close"
            kind.shown = True
            super().do_GET()
        else:
            kind.refused += 1
            self.send_error(503)


def test_a_camera_that_refuses_for_long_is_seen_as_soon_as_it_is_willing(view):
    kind = type("Kind", (RefusingCamera,), {})
    with serving() as server:
        server.RequestHandlerClass = kind
        viewer = view(address(server, "/cam"))
        viewer.wait_for_frames(5)

        wait_until(lambda: kind.refused == 5)
        kind.willing = True
        begun = time.monotonic()
        viewer.wait_for_frames(1)

        assert time.monotonic() - begun < 4  # 1 s of pause and 0.3 s to open; the fifth growing pause would be 8 s
        viewer.finish()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


def test_the_first_opening_fails_at_once(view):
    begun = time.monotonic()
    with pytest.raises(SourceError, match="refused"):
        view(f"rtsp://127.0.0.1:{free_port()}/cam")
    assert time.monotonic() - begun < 5


def test_with_retries_the_first_opening_waits_for_the_camera(view, http_server):
    http_server.kill()
    timer = threading.Timer(2, http_server.start)
    timer.start()
    viewer = view(http_server.url, retries=1000)
    timer.join()

    viewer.wait_for_frames(5)


def test_each_reason_that_the_first_opening_waits_for_is_told_once(caplog):
    errors = iter(["refused", "refused", "wrong password", "refused"])

    def open_camera():
        for error in errors:
            raise SourceError(error)
        return SlowCamera()

    keep_open(open_camera, Link(), retries=1000).close()

    assert caplog.messages == ["refused; trying again", "wrong password; trying again"]


def test_a_video_file_over_http_is_not_opened_again(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (20, 90, 160):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    with serving(path.read_bytes()) as server:
        url = address(server, "/file.avi")
        source = keep_open(lambda: open_source(url), link_to(url))
        assert not source.live
        assert [source.read() is not None for _ in range(4)] == [True, True, True, False]


def try_to_open(url):
    with contextlib.suppress(SourceError):
        open_source(url)


def test_a_camera_that_does_not_answer_keeps_no_other_waiting(tmp_path):
    path = tmp_path / "a.mjpeg"
    path.write_bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes() * 5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        link = link_to(url)
        link.prepare()
        opening = threading.Thread(target=try_to_open, args=(url,))
        opening.start()
        accepted, _ = silent.accept()
        accepted.recv(1)  # FFmpeg has asked, and waits now

        assert open_source(str(path)).read() is not None
        assert opening.is_alive()
        link.cut()
        accepted.close()
        opening.join(LIMIT)


# Pauses


class Clock:
    """Time that passes only in pauses."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(sources.reconnecting.time, "monotonic", lambda: self.now)

    def wait(self, seconds):
        self.now += seconds
        return False


class FakeLink(Link):
    def __init__(self, answers=lambda: False):
        self.answers = answers


def pause_lengths(clock, link, number):
    pauses = sources.reconnecting._Pauses(link, clock)
    lengths = []
    for _ in range(number):
        begun = clock.now
        pauses.wait()
        lengths.append(clock.now - begun)
    return lengths


def test_pauses_grow_from_half_a_second_to_ten(monkeypatch):
    clock = Clock(monkeypatch)
    assert pause_lengths(clock, FakeLink(), 7) == pytest.approx([0.5, 1, 2, 4, 8, 10, 10])


def test_while_a_camera_answers_and_yet_refuses_no_pause_is_longer_than_a_second(monkeypatch):
    clock = Clock(monkeypatch)
    assert pause_lengths(clock, FakeLink(lambda: True), 5) == pytest.approx([0.5, 1, 1, 1, 1])


def test_they_grow_when_a_camera_that_refused_is_gone_altogether(monkeypatch):
    clock = Clock(monkeypatch)
    assert pause_lengths(clock, FakeLink(lambda: clock.now < 3), 6) == pytest.approx([0.5, 1, 1, 1, 2, 4])


def test_a_camera_that_begins_to_answer_ends_a_pause_and_they_grow_anew(monkeypatch):
    clock = Clock(monkeypatch)
    link = FakeLink(lambda: clock.now > 20)
    assert pause_lengths(clock, link, 8) == pytest.approx([0.5, 1, 2, 4, 8, 5, 0.5, 1])  # the sixth ends at 20.5 s


# USB cameras


class Usb:
    """Stands for a camera as OpenCV gives it: pulled out, it stays "open" and every read fails at once.

    A test sets `behaviour` to what the camera is to do from now on: "deliver"; "still", which is one and the same
    picture; "freeze" and "hang", which last until it is opened again; and `device` if it isn't to be /dev/video0.
    """

    def __init__(self, monkeypatch):
        self.plugged, self.behaviour, self.device = True, "deliver", "/dev/video0"
        self.numbers = []  # of the devices that were opened
        self.openings, self.released, self.at_once = 0, 0, 0
        self.wake = threading.Event()
        exists, access = os.path.exists, os.access
        monkeypatch.setattr(
            sources.opencv.os.path, "exists", lambda path: self.plugged if path == self.device else exists(path)
        )
        monkeypatch.setattr(sources.opencv.os, "access", lambda path, mode: path == self.device or access(path, mode))
        monkeypatch.setattr(sources.opencv.cv2, "VideoCapture", self.open)

    def open(self, number, backend):
        self.numbers.append(number)
        return UsbCapture(self)


class UsbCapture:
    numbers = itertools.count()

    def __init__(self, usb):
        self.usb, self.held, self.present = usb, True, usb.plugged
        usb.openings += 1
        self.first = usb.openings == 1
        usb.at_once = max(usb.at_once, usb.openings - usb.released)

    def isOpened(self):  # noqa: N802
        return self.held

    def get(self, key):
        return {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480, cv2.CAP_PROP_FPS: 100}.get(key, 0)

    def set(self, key, value):
        return True

    def read(self):
        if self.usb.behaviour == "hang" and self.first:
            self.usb.wake.wait(LIMIT)
        time.sleep(0.01 if self.present and self.usb.plugged else 0)
        self.present = self.present and self.usb.plugged  # plugged in again, it is another device
        if not self.present:
            return False, None
        still = self.usb.behaviour == "still" or self.usb.behaviour == "freeze" and self.first
        return True, np.full((48, 64, 3), 7 if still else next(self.numbers) % 256, np.uint8)

    def release(self):
        self.usb.released += self.held
        self.held = False


@pytest.fixture
def usb(monkeypatch):
    camera = Usb(monkeypatch)
    yield camera
    camera.wake.set()


def test_a_usb_camera_that_is_pulled_out_and_plugged_in_again(usb, view):
    viewer = view("usb:0", read_timeout=5)
    viewer.wait_for_frames(5)
    begun = time.monotonic()
    usb.plugged = False
    viewer.wait_for_outage(1)
    assert time.monotonic() - begun < 4  # noticed before the read timeout
    time.sleep(1)
    usb.plugged = True
    begun = time.monotonic()
    viewer.wait_for_frames(5)

    assert time.monotonic() - begun < 4
    assert (usb.openings, usb.at_once) == (2, 1)  # the old one was let go before: Linux gives a camera to one only


def test_a_link_leads_to_whichever_device_the_camera_is_now(usb, view, tmp_path):
    """The system's /dev/v4l/by-id is full of such links; plugged in again, a camera may have another number."""
    link = tmp_path / "front door"
    link.symlink_to("/dev/video0")
    viewer = view(str(link), read_timeout=5)
    viewer.wait_for_frames(5)
    usb.plugged = False
    link.unlink()
    viewer.wait_for_outage(1)
    link.symlink_to("/dev/video7")
    usb.plugged, usb.device = True, "/dev/video7"
    viewer.wait_for_frames(5)

    assert usb.numbers == [0, 7]


def test_a_usb_camera_whose_driver_hangs_is_left_to_its_thread(usb, view):
    viewer = view("usb:0", read_timeout=0.5)
    viewer.wait_for_frames(5)

    usb.behaviour = "hang"
    viewer.wait_for_outage(0.4)
    viewer.wait_for_frames(5)

    assert usb.openings == 2
    assert viewer.finish() < 2
    usb.wake.set()
    wait_until(lambda: not camera_threads())
    assert usb.released == 2


def test_a_driver_that_swallows_every_thread_ends_it(usb, view, monkeypatch):
    monkeypatch.setattr(sources.reconnecting, "OPEN_TIMEOUT", 0.2)
    monkeypatch.setattr(sources.reconnecting, "CLOSE_TIMEOUT", 0.05)
    monkeypatch.setattr(sources.reconnecting, "FIRST_PAUSE", 0.05)
    viewer = view("usb:0", read_timeout=0.2)
    viewer.wait_for_frames(5)

    monkeypatch.setattr(UsbCapture, "read", lambda capture: (usb.wake.wait(LIMIT), None))
    wait_until(lambda: viewer.error)

    assert "driver of USB camera 0" in str(viewer.error)
    assert len(camera_threads()) <= sources.reconnecting.MOST_STUCK + 1


def test_a_usb_camera_that_repeats_one_picture_is_opened_again(usb, view):
    usb.behaviour = "freeze"
    viewer = view("usb:0", frozen_after=0.5)

    wait_until(lambda: usb.openings == 2)
    viewer.wait_for_frames(5)

    assert viewer.frames[-1].image[0, 0, 0] != viewer.frames[-2].image[0, 0, 0]


def test_a_dark_room_is_not_a_reason_to_open_it_again_and_again(usb, view):
    usb.behaviour = "still"
    viewer = view("usb:0", frozen_after=0.1)

    time.sleep(3)

    # After 0.1, 0.2, 0.4 and 0.8 s of it, each with a pause of 0.5 s; at a constant time it would be seven.
    assert 2 <= usb.openings <= 5
    assert viewer.error is None


def test_a_driver_that_raises_is_a_camera_that_fails(usb, view, caplog):
    viewer = view("usb:0")
    viewer.wait_for_frames(5)

    def fail(capture):
        UsbCapture.read = read
        raise RuntimeError("rtsp://user:secret@host")

    read, UsbCapture.read = UsbCapture.read, fail
    wait_until(lambda: usb.openings == 2)
    viewer.wait_for_frames(5)

    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


class SlowCamera:
    """Gives a picture each 3 s."""

    name, live, fps = "camera", True, 0.3

    def __init__(self):
        self.closed = threading.Event()

    def read(self):
        self.closed.wait(3)
        return None if self.closed.is_set() else Frame(np.zeros((8, 8, 3), np.uint8), time.monotonic(), 0)

    def close(self):
        self.closed.set()


def test_a_slow_camera_is_not_away_between_two_pictures():
    viewer = Viewer(keep_open(SlowCamera, Link(), read_timeout=60))
    viewer.wait_for_frames(2)
    outages = []
    for wanted in (3, 4):
        while len(viewer.frames) < wanted:
            outages.append(viewer.source.outage(time.monotonic()))
            time.sleep(0.05)
    viewer.finish()
    assert max(outages) == 0


class HangingCamera:
    """Never returns from a read, whatever is done to it."""

    name, live, fps = "camera", True, 30.0

    def __init__(self, release):
        self.read = lambda: release.wait(LIMIT) and None

    def close(self):
        pass


def test_many_drivers_that_hang_are_waited_for_at_the_same_time():
    release = threading.Event()
    cameras = [keep_open(lambda: HangingCamera(release), Link()) for _ in range(8)]
    begun = time.monotonic()
    for camera in cameras:
        camera.interrupt()
    for camera in cameras:
        camera.close()
    assert time.monotonic() - begun < 5  # one after the other it would be 8
    release.set()
    wait_until(lambda: not camera_threads())


def test_frames_are_handed_on_whole():
    """The small picture for the model and the camera's own timestamp are kept."""

    class Camera:
        name, live, fps = "camera", True, 30.0

        def read(self):
            time.sleep(0.01)
            image = np.full((48, 64, 3), next(count) % 256, np.uint8)
            return Frame(image, 12.5, 77, lores=image[:8, :8])

        def close(self):
            pass

    count = itertools.count()
    source = keep_open(Camera, Link())
    frame = source.read()
    source.close()
    assert (frame.timestamp, frame.index, frame.lores.shape) == (12.5, 0, (8, 8, 3))
    assert (source.name, source.live, source.fps) == ("camera", True, 30.0)
