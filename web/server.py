"""The web server: a thread of its own, which the main thread gives pictures, predictions and events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
import time
from typing import Any

from errors import OutputError, PackageError
from events import Event
from remote.instance import Instance
from timeline.colours import Looks
from web import DEFAULT_ADDRESS, DEFAULT_PORT, is_loopback

try:
    import uvicorn

    from web.api import Api, Clips
    from web.app import build_app
except ImportError as error:
    raise PackageError(f"{error.name} is not installed; run ./setup.sh --extras remote") from None
from web.archive import Archive
from web.auth import check_token
from web.history import EventList
from web.pictures import Encoder
from web.sources import Sources, SourceSink

_CONNECTIONS = 256
_SEND_BUFFER = 128 * 1024  # bytes; what lies in it is old when a slow viewer gets to see it
_PATIENCE = 10.0  # seconds for a connection to read or ask something
_GRACE = 0.7  # seconds for the connections to end by themselves


class WebServer:
    """Serves until it is closed. Main thread only.

    Args:
        instance: The running program.
        address: Where it can be reached; a name or an IP address.
        port: 0 lets the system choose.
        token: Who wants in must have it; made where it is None and others than this machine can reach the address.
        clips: Where the videos of events are.
        database: File of --events that holds older ones.
        looks: The labels' colours; None for those that follow from their names alone.

    Attributes:
        url: To be opened in a browser; holds the token where there is one.

    Raises:
        OutputError: The address can't be had.
        UserError: The token is too weak.
    """

    def __init__(
        self,
        instance: Instance,
        address: str = DEFAULT_ADDRESS,
        port: int = DEFAULT_PORT,
        *,
        token: str | None = None,
        clips: Clips | None = None,
        database: str | os.PathLike[str] | None = None,
        looks: Looks | None = None,
    ) -> None:
        looks = looks or Looks()
        if token is not None:
            check_token(token)
        elif not is_loopback(address):
            token = secrets.token_urlsafe(24)
        self._socket = _listen(address, port)
        port = self._socket.getsockname()[1]
        self.url = f"http://{_shown(address)}:{port}/" + (f"?token={token}" if token else "")
        self._loop = asyncio.new_event_loop()
        self._encoder = Encoder()
        self._sources = Sources(self._loop, self._encoder, looks)
        self._events = EventList(looks)
        archive = None if database is None else Archive(database)
        self._api = Api(instance, self._sources, self._events, clips, archive)
        config = uvicorn.Config(
            build_app(self._api, instance, token, port),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def sink(self, source_name: str) -> SourceSink:
        """Returns the sink of a source: it shows the pictures and predictions that it is given."""
        return self._sources.open(source_name)

    def event(self, event: Event) -> None:
        """Takes an event that has begun or ended."""
        self._events.add(event)

    def finish(self) -> None:
        """Begins to end; may be called twice."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._end)

    def close(self) -> None:
        """Ends within two seconds, whoever watches; may be called twice."""
        self.finish()
        self._thread.join(2.0)
        self._encoder.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._socket.close()

    async def _serve(self) -> None:
        watch = asyncio.ensure_future(self._watch())
        await self._server.serve(sockets=[self._socket])
        watch.cancel()

    async def _watch(self) -> None:
        """Drops connections that neither read what they were sent nor ask anything."""
        stuck: dict[Any, tuple[Any, float]] = {}  # by connection: what it waits for, and since when
        while True:
            await asyncio.sleep(1.0)
            now, before, stuck = time.monotonic(), stuck, {}
            for connection in list(self._server.server_state.connections):
                waiting = _waiting(connection)
                known, since = before.get(connection, (None, now))
                stuck[connection] = (waiting, since if waiting == known else now)
                if waiting is not None and now - stuck[connection][1] > _PATIENCE:
                    connection.transport.abort()

    def _end(self) -> None:
        self._api.watchers.dismiss()
        self._api.listeners.dismiss()
        self._server.should_exit = True
        self._loop.call_later(_GRACE, self._abort)

    def _abort(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


def _waiting(connection: Any) -> Any:
    """Returns what a connection of uvicorn's waits for its peer to do; None for nothing."""
    unread = connection.transport.get_write_buffer_size()
    if unread:
        return "read", unread
    if connection.cycle is None or connection.cycle.response_complete:
        return "ask", id(connection.cycle)
    return None


def _listen(address: str, port: int) -> socket.socket:
    listener = None
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind(where)
        listener.listen(128)
        return listener
    except (OSError, OverflowError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"can't serve at {address}:{port}: {reason}; give another --serve ADDRESS:PORT") from None


def _shown(address: str) -> str:
    """Returns what others call an address; for all addresses of this machine, the one that reaches farthest."""
    if address in ("", "0.0.0.0", "::"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks the system for the way there only
            return str(probe.getsockname()[0])
        return socket.gethostname()
    return f"[{address}]" if ":" in address else address
