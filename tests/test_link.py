"""What can be told of a camera without opening it, and how a blocked connection is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest
from camera_process import HTTP_CAMERA, RTSP_CAMERA, Server

from errors import SourceError
from sources import identity, open_source
from sources.link import DeviceLink, Link, NetworkLink, link_to


@pytest.fixture(params=[RTSP_CAMERA, HTTP_CAMERA], ids=["rtsp", "http"])
def server(request):
    camera = Server(request.param)
    yield camera
    camera.kill()


def test_a_server_answers_unless_it_is_stopped_or_dead(server):
    link = link_to(server.url)
    assert not link.answers()  # nobody has looked the address up yet
    link.prepare()
    assert link.answers()
    server.send(signal.SIGSTOP)
    assert not link.answers()
    server.send(signal.SIGCONT)
    assert link.answers()
    server.kill()
    assert not link.answers()


def test_cutting_a_link_leaves_other_connections_alone():
    with socket.create_server(("127.0.0.1", 0)) as camera, socket.create_server(("127.0.0.1", 0)) as other:
        link = NetworkLink(f"http://127.0.0.1:{camera.getsockname()[1]}/")
        link.prepare()
        with contextlib.ExitStack() as stack:
            ours = [stack.enter_context(socket.create_connection(end.getsockname())) for end in (camera, other)]
            for connection in ours:
                connection.settimeout(0.2)
            before = set(os.listdir("/proc/self/fd"))
            link.cut()
            assert set(os.listdir("/proc/self/fd")) == before
            assert ours[0].recv(1) == b""
            with pytest.raises(socket.timeout):
                ours[1].recv(1)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("csi", Link),
        ("csi:1", Link),
        ("usb:0", DeviceLink),
        ("usb", DeviceLink),
        ("/dev/video3", DeviceLink),
        ("/dev/v4l/by-id/usb-046d_C920-video-index0", DeviceLink),  # also while it isn't plugged in
        ("rtsp://host/cam", NetworkLink),
        ("HTTPS://host/cam", NetworkLink),
        ("film.mp4", type(None)),
        ("demo", type(None)),
    ],
)
def test_every_kind_of_camera_has_its_link(uri, kind):
    assert type(link_to(uri)) is kind


def test_a_link_to_a_device_is_a_camera_and_one_to_a_file_is_not(tmp_path):
    (tmp_path / "camera").symlink_to("/dev/video3")
    (tmp_path / "film").symlink_to("film.mp4")
    assert isinstance(link_to(str(tmp_path / "camera")), DeviceLink)
    assert link_to(str(tmp_path / "film")) is None and link_to("\0") is None


@pytest.mark.parametrize("url", ["rtsp://[::1/cam", "http://host:port/", "rtsp:///cam"])
def test_a_malformed_url_has_a_link_that_never_answers(url):
    link = link_to(url)
    link.prepare()
    assert not link.answers()
    link.cut()


def test_a_working_folder_that_was_deleted_keeps_no_camera_from_being_named(tmp_path, monkeypatch):
    """As by an update of the program while it runs."""
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    (tmp_path / "old").rmdir()
    assert isinstance(link_to("usb:0"), DeviceLink) and link_to("demo") is None
    assert identity("demo") == identity("demo") != identity("rtsp://10.0.0.7/cam")
    with pytest.raises(SourceError, match="party.mp4: No such file"):
        open_source("party.mp4")
