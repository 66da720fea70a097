"""One connection to the socket of a running program: its request is read, worked on and answered, without waiting."""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
import time
from concurrent.futures import Future
from typing import Any, Callable

from errors import UserError

_LONGEST_REQUEST = 64 * 1024  # bytes, with the end of the line
_PATIENCE = 10.0  # seconds for a client to send a whole request, or to take its answer
_WORK_TIMEOUT = 150.0  # seconds for the main loop to do what was asked; more than --live waits

_log = logging.getLogger(__name__)


class Client:
    """One connection: a request is read, worked on and answered before the next one is looked at.

    Args:
        connection: Doesn't block.
        ask: Takes a request's line; returns the result or the future of it, or raises what goes wrong.

    Attributes:
        socket: The connection.
        ready: Set when the socket may have something to read.
        deadline: When, on the monotonic clock, what is being waited for must have come.
    """

    def __init__(self, connection: socket.socket, ask: Callable[[bytes], Any]) -> None:
        self.socket = connection
        self.ready = False
        self.deadline = time.monotonic() + _PATIENCE
        self._ask = ask
        self._received = bytearray()
        self._ended = False  # the client says nothing more
        self._future: Future[Any] | None = None  # being worked on
        self._unsent = memoryview(b"")

    @property
    def events(self) -> int:
        """What to wait for before anything can go on."""
        if self._unsent:
            return selectors.EVENT_WRITE
        return 0 if self._future or self._ended or self.busy else selectors.EVENT_READ

    @property
    def busy(self) -> bool:
        """Whether the next request is here already."""
        return not self._unsent and not self._future and (self._ended or b"\n" in self._received)

    def advance(self) -> bool:
        """Goes on as far as it can without waiting, by one request at most; returns whether it took one.

        Raises:
            OSError: The client has gone, or keeps us waiting for too long.
        """
        if self._unsent:
            self._send()
        elif self._future is None:
            self._receive()
        request = not self._unsent and self._future is None and b"\n" in self._received
        if request:
            line, _, self._received = self._received.partition(b"\n")
            self._answer_with(lambda: self._ask(bytes(line)))
        if self._future is not None:
            self._finish(self._future)
        elif self._ended and not self._unsent and b"\n" not in self._received:
            raise ConnectionError
        if time.monotonic() >= self.deadline:
            raise TimeoutError
        return request

    def say_goodbye(self) -> None:
        """Sends what the socket takes at once: the answer that is ready, or that there will be none."""
        if self._unsent:
            self._send()
        elif self._future is not None and self._future.done():
            self._finish(self._future)
        elif self._future is not None:
            self._answer(_refusal(UserError("the program ends")))

    def _receive(self) -> None:
        if not self.ready or self.busy:
            return
        self.ready = False
        try:
            # No more than a request, so that one that is too long is never held as a whole.
            data = self.socket.recv(_LONGEST_REQUEST - len(self._received))
        except BlockingIOError:
            return
        self._received += data
        self._ended = not data
        if len(self._received) >= _LONGEST_REQUEST and b"\n" not in self._received:
            self._received.clear()
            self._ended = True
            self._answer(_refusal(UserError(f"a request has at most {_LONGEST_REQUEST} bytes")))

    def _answer_with(self, ask: Callable[[], Any]) -> None:
        """Answers with what a call returns or raises; later, if that is a future."""
        try:
            result = ask()
        except Exception as error:
            self._answer(_refusal(error))
            return
        if isinstance(result, Future):
            self._future = result
            self.deadline = time.monotonic() + _WORK_TIMEOUT
        else:
            self._answer({"ok": True, "result": result})

    def _finish(self, future: Future[Any]) -> None:
        if future.done():
            self._future = None
            self._answer_with(future.result)
        elif time.monotonic() >= self.deadline:  # cancelling it would disturb who works on it
            self._future, self._ended = None, True
            self._answer(_refusal(UserError("the program doesn't answer")))

    def _answer(self, answer: dict[str, Any]) -> None:
        try:
            text = json.dumps(answer, allow_nan=False)
        except (TypeError, ValueError) as error:  # a result that has no form in JSON
            text = json.dumps(_refusal(error))
        self._unsent = memoryview(text.encode() + b"\n")
        self.deadline = time.monotonic() + _PATIENCE
        self._send()

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        if not self._unsent:
            self.deadline = time.monotonic() + _PATIENCE


def _refusal(error: BaseException) -> dict[str, Any]:
    if isinstance(error, UserError):
        return {"ok": False, "error": str(error), "status": error.status}
    _log.error("--live: a command failed", exc_info=error)
    return {"ok": False, "error": "the program failed to do that; its messages say why", "status": 1}
