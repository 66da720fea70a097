"""A real HTTP server on 127.0.0.1 that misbehaves as told, and remembers what it was asked and how much it sent."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Exchange:
    """One request, and the bytes of body that were sent for it."""

    path: str
    headers: dict[str, str]
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    server: HostileServer

    def do_GET(self) -> None:
        self.exchange = Exchange(self.path, {name.lower(): value for name, value in self.headers.items()})
        with self.server.lock:
            self.server.exchanges.append(self.exchange)
            answers = self.server.answers[self.path]
            # The last answer is repeated.
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except OSError:
            pass  # the client has gone, as it may
        self.close_connection = True

    def begin(self, status: int, headers: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.exchange.sent += len(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


Answer = Callable[[_Handler], None]


@dataclass
class HostileServer(ThreadingHTTPServer):
    """Answers by path; a list of answers is used up one a request, its last one again and again.

    Attributes:
        exchanges: What was asked, in order.
        read: Set by the client, to say that it has received the first bytes of a body.
        ending: Set when the server is being closed.
    """

    answers: dict[str, list[Answer]]
    exchanges: list[Exchange] = field(default_factory=list)
    read: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def url(self, path: str) -> str:
        return f"{'https' if hasattr(self.socket, 'context') else 'http'}://127.0.0.1:{self.server_port}{path}"

    def __enter__(self) -> HostileServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def whole(data: bytes, etag: str | None = '"1"', ranges: bool = True, check: bool = True, **headers: object) -> Answer:
    """An honest answer: with `ranges` it continues a download if If-Range is right (or, without `check`, always)."""

    def answer(handler: _Handler) -> None:
        asked = handler.exchange.headers
        extra = {**({"ETag": etag} if etag else {}), **headers}
        start = int(asked["range"][len("bytes=") : -1]) if ranges and "range" in asked else 0
        if check and asked.get("if-range") != etag:
            start = 0
        if start and start >= len(data):
            handler.begin(416, {"Content-Range": f"bytes */{len(data)}", **extra})
        elif start:
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            handler.begin(206, {"Content-Length": len(data) - start, "Content-Range": span, **extra})
            handler.send(data[start:])
        else:
            handler.begin(200, {"Content-Length": len(data), **extra})
            handler.send(data)

    return answer


def part(data: bytes, count: int, length: int | None = None, etag: str | None = '"1"', then: str = "close") -> Answer:
    """Promises `length` bytes, sends `count`, then closes, resets the connection, or falls silent."""

    def answer(handler: _Handler) -> None:
        headers: dict[str, object] = {"Content-Length": len(data) if length is None else length}
        handler.begin(200, {**headers, **({"ETag": etag} if etag else {})})
        handler.send(data[:count])
        if then == "reset":
            # The client must have read something, or the reset would overtake the answer.
            handler.server.read.wait(10)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The socket lives until its files are closed too.
            handler.rfile.close()
            handler.wfile = io.BytesIO()  # type: ignore[assignment]
            handler.connection.close()
        elif then == "silence":
            handler.server.ending.wait(30)

    return answer


def chunked(data: bytes, complete: bool = True) -> Answer:
    """Sends the length of each piece instead of the whole; unless complete, the end mark is missing."""

    def answer(handler: _Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.begin(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(data), 40_000):
            piece = data[start : start + 40_000]
            handler.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.send(b"0\r\n\r\n" if complete else b"")

    return answer


def unsized(data: bytes, repeat: int = 1, pause: float = 0.0) -> Answer:
    """Sends without a length, `repeat` times, `pause` seconds apart."""

    def answer(handler: _Handler) -> None:
        handler.begin(200, {})
        for _ in range(repeat):
            if handler.server.ending.is_set():
                break
            handler.send(data)
            time.sleep(pause)

    return answer


def status(code: int) -> Answer:
    """Refuses with a page that must not be taken for the model."""

    def answer(handler: _Handler) -> None:
        handler.begin(code, {"Content-Length": 4})
        handler.send(b"no\r\n")

    return answer


def redirect(url: str) -> Answer:
    return lambda handler: handler.begin(302, {"Location": url, "Content-Length": 0})


def silence(handler: _Handler) -> None:
    """Accepts the request and never answers."""
    handler.server.ending.wait(30)


def garbage(handler: _Handler) -> None:
    """Answers in no known protocol."""
    handler.wfile.write(b"\x00\xff what?\r\n\r\n")


def hang_up(handler: _Handler) -> None:
    """Closes without an answer."""
