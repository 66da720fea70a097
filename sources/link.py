"""What lies between the program and a camera: does something answer there, and how to end it from this side."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
from urllib.parse import urlsplit

# Those below v4l are udev's links, named after the camera or the port that it is plugged into.
_DEVICE = re.compile(r"/dev/(video\d+|v4l/.+)")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_CONNECT_TIMEOUT = 0.5  # seconds
_ANSWER_TIMEOUT = 1.0  # seconds
# Questions that any server answers, if only with a refusal. A frozen one doesn't, though its system still takes
# connections. TLS would need a handshake first; there a connection must do.
_QUESTIONS = {
    "rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "http": b"HEAD / HTTP/1.0\r\n\r\n",
}


class Link:
    """The link to a camera of which nothing can be asked: the one on the ribbon cable."""

    def prepare(self) -> None:
        """Called before each opening of the camera, by the thread that opens it; may block in the resolver."""

    def answers(self) -> bool:
        """Says within about a second whether the camera is there, as far as can be told without opening it."""
        return False

    def cut(self) -> None:
        """Ends what blocks a thread in opening or reading the camera."""


class DeviceLink(Link):
    """The link to a USB camera: its device file is there while it is plugged in.

    Args:
        path: /dev/videoN, or a link to it.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def answers(self) -> bool:
        return os.path.exists(self._path)


class NetworkLink(Link):
    """The link to a camera behind a URL.

    Args:
        url: rtsp://, rtsps://, http:// or https://; user and password in it are never sent from here.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._addresses: set[tuple[str, int]] = set()

    def prepare(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # The opening fails for the same reason, and tells it.
            parts = urlsplit(self._url)
            port = parts.port or DEFAULT_PORTS[parts.scheme]
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
            self._addresses = {(str(address[0]), int(address[1])) for *_, address in found}

    def answers(self) -> bool:
        return any(self._answers(address) for address in list(self._addresses))

    def _answers(self, address: tuple[str, int]) -> bool:
        question = _QUESTIONS.get(urlsplit(self._url).scheme)
        try:
            with socket.create_connection(address, _CONNECT_TIMEOUT) as connection:
                if question is None:
                    return True
                connection.settimeout(_ANSWER_TIMEOUT)
                connection.sendall(question)
                return bool(connection.recv(1))
        except OSError:
            return False

    def cut(self) -> None:
        """Shuts down this process's connections to the camera, which FFmpeg keeps to itself and offers no way to end.

        Two streams from one address and port end together, and who wants the other one has to open it again.
        """
        for entry in glob.glob("/proc/self/fd/*"):
            with contextlib.suppress(OSError):  # Closed meanwhile, or not connected.
                if os.readlink(entry).startswith("socket:"):
                    with socket.socket(fileno=os.dup(int(os.path.basename(entry)))) as connection:
                        if connection.family in (socket.AF_INET, socket.AF_INET6):
                            if connection.getpeername()[:2] in self._addresses:
                                connection.shutdown(socket.SHUT_RDWR)


def is_device(uri: str) -> bool:
    """Says whether a source's URI is the file of a USB camera: /dev/video0, a link to it, or what udev would make one.

    A link that udev makes is known by its name also while the camera isn't plugged in.
    """
    with contextlib.suppress(ValueError, OSError):  # no file has such a name; the working folder was deleted
        return any(_DEVICE.fullmatch(path) for path in (uri, os.path.realpath(uri)))
    return False


def link_to(uri: str) -> Link | None:
    """Returns the link to the camera behind a source's URI; None for what is no camera (a file, the demo)."""
    if re.match(r"(rtsps?|https?)://", uri, re.IGNORECASE):
        return NetworkLink(uri)
    if is_device(uri):
        return DeviceLink(uri)
    usb = re.fullmatch(r"usb(?::(\d+))?", uri)
    if usb:
        return DeviceLink(f"/dev/video{usb.group(1) or 0}")
    return Link() if re.fullmatch(r"csi(:\d+)?", uri) else None
