"""The Unix socket by which --live reaches a running program."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import struct
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from errors import UserError
from remote.connection import Client
from remote.instance import Instance
from remote.paths import listen
from remote.request import obey

_MOST_CLIENTS = 32  # served at once; more wait until one has gone
_PAUSE = 0.005  # seconds after each request
_CHECK_PERIOD = 5.0  # seconds between looks whether the socket's file is still there
_CLOSE_TIMEOUT = 1.0  # seconds

_log = logging.getLogger(__name__)


class SocketServer:
    """Lets programs of the same user, and root's, ask an instance and command it, until close().

    One thread serves all of them. It never waits for one, nor for the main loop, and holds at most one request and one
    answer for each.

    Args:
        instance: Whom to ask. Its name becomes the socket's.

    Attributes:
        path: Of the socket. Another one if the folder vanished meanwhile, as /run/user/1000 does with a log-out.

    Raises:
        UserError: An instance of that name runs already, or it is no name.
        OutputError: The socket can't be made.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._listener, self.path = listen(instance.name)
        self._file = _identity(self.path)
        self._check_at = time.monotonic() + _CHECK_PERIOD
        self._accept_at = 0.0
        self._closing = threading.Event()
        self._clients: set[Client] = set()
        self._selector = selectors.DefaultSelector()
        self._alarm, self._bell = socket.socketpair()
        self._alarm.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="live socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sends the answers that are ready, hangs up and removes the socket, all within a second; may be called twice.

        Whoever waits for something that isn't done is told that the program ends.
        """
        self._closing.set()
        self._wake()
        self._thread.join(_CLOSE_TIMEOUT)
        self._bell.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                # The pause keeps a client in a hurry from taking the processor away from the model.
                self._closing.wait(self._serve() * _PAUSE)
            except Exception:  # a fault of ours must cost neither the program nor the next client
                _log.exception("--live: the socket's thread failed, and goes on")
                self._closing.wait(1.0)
        if self._in_place():
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.say_goodbye()
            client.socket.close()
        self._selector.close()
        self._alarm.close()

    def _serve(self) -> int:
        """Waits for something to do and does it; returns how many requests it took."""
        accepting = len(self._clients) < _MOST_CLIENTS and time.monotonic() >= self._accept_at
        self._watch(self._listener, selectors.EVENT_READ if accepting else 0)
        for key, _ in self._selector.select(self._time_left()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._alarm:
                with contextlib.suppress(BlockingIOError):
                    self._alarm.recv(4096)
            else:
                key.data.ready = True
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + _CHECK_PERIOD
            self._return_to_place()
        return sum(self._advance(client) for client in list(self._clients))

    def _time_left(self) -> float:
        """Returns the seconds until something must be done even if nobody says a word."""
        moments = [self._check_at] + [client.deadline for client in self._clients]
        if self._accept_at > time.monotonic():
            moments.append(self._accept_at)
        return 0.0 if any(client.busy for client in self._clients) else max(0.0, min(moments) - time.monotonic())

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the client has gone, or there are no file descriptors left: try again, but not at once
            self._accept_at = time.monotonic() + 0.5
            return
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] not in (0, os.geteuid()):
            connection.close()
            return
        connection.setblocking(False)
        self._clients.add(Client(connection, self._ask))

    def _advance(self, client: Client) -> bool:
        """Goes on with a client as far as it can without waiting; returns whether it took a request."""
        try:
            answered = client.advance()
        except Exception as error:
            if not isinstance(error, OSError):
                _log.exception("--live: a client's request failed")
            self._watch(client.socket, 0)
            self._clients.remove(client)
            client.socket.close()
            return False
        self._watch(client.socket, client.events, client)
        return answered

    def _watch(self, connection: socket.socket, events: int, data: Any = None) -> None:
        """Has the selector wait for these events of a socket, and for no others."""
        key = self._selector.get_map().get(connection)
        if key is not None and key.events != events:
            self._selector.unregister(connection)
        if events and (key is None or key.events != events):
            self._selector.register(connection, events, data)

    def _ask(self, line: bytes) -> Any:
        """Returns what a request asks for, or the future of it."""
        answer = obey(self._instance, line)
        if isinstance(answer, Future):
            answer.add_done_callback(lambda _: self._wake())
        return answer

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it rings already, or nobody is there any more
            self._bell.send(b"!")

    def _in_place(self) -> bool:
        return self._file is not None and _identity(self.path) == self._file

    def _return_to_place(self) -> None:
        """Makes the socket again if its file is gone."""
        if self._in_place():
            return
        with contextlib.suppress(UserError, OSError):  # the next time, perhaps
            listener, path = listen(self._instance.name)
            self._watch(self._listener, 0)
            self._listener.close()
            self._listener, self.path, self._file = listener, path, _identity(path)


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns what tells a file from another one that takes its name later; None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
