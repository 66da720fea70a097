"""Responses that go on for as long as the viewer stays: the moving picture, and what is new."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, AsyncIterator, Callable

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from remote.instance import Instance
from web.history import EventList
from web.pictures import Channel
from web.sources import Sources

BOUNDARY = "picture"
_REPEAT = 5.0  # seconds after which an unchanged picture is sent again: shows whether the viewer is still there
_LOOK = 0.2  # seconds between two looks for news
_STATUS = 1.0  # seconds between two sendings of the statistics, and two looks at the settings


class Crowd:
    """Those who watch something live.

    Args:
        limit: How many may, at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._leaving)

    def full(self) -> bool:
        """Returns whether nobody else may join."""
        return len(self) >= self.limit

    def join(self, leaving: asyncio.Task[None]) -> None:
        """Counts a viewer in, until the task ends."""
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def dismiss(self) -> None:
        """Sends all of them away."""
        for leaving in list(self._leaving):
            leaving.cancel()


class Live:
    """An ASGI response that goes on until the viewer leaves.

    A viewer who reads slowly is waited for before the next chunk is made: an empty chunk makes nothing but the wait.

    Args:
        chunks: Makes the body; its end is the response's.
        media_type: Of the body.
        crowd: Whom the viewer belongs to; when it is full, the response is 503.
    """

    def __init__(self, chunks: Callable[[], AsyncIterator[bytes]], media_type: str, crowd: Crowd) -> None:
        self._chunks = chunks
        self._media_type = media_type
        self._crowd = crowd

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._crowd.full():
            line = f"{self._crowd.limit} viewers are watching, no more can; try again later"
            await JSONResponse({"error": line}, 503, {"retry-after": "10"})(scope, receive, send)
            return
        leaving = asyncio.ensure_future(_leave(receive))
        self._crowd.join(leaving)
        sending = asyncio.ensure_future(self._send(scope, send))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)
        if not sending.cancelled():
            sending.result()

    async def _send(self, scope: Scope, send: Send) -> None:
        headers = [(b"content-type", self._media_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        chunks = self._chunks()
        try:
            if scope["method"] != "HEAD":
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]


async def _leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def moving_picture(channel: Channel) -> AsyncIterator[bytes]:
    """Makes the parts of a multipart/x-mixed-replace body: always the newest picture, never a backlog."""
    # Each part ends with the next one's boundary: browsers show a picture when they have seen that.
    yield f"--{BOUNDARY}\r\n".encode()
    number = 0
    with channel.viewer():
        while not channel.closed:
            yield b""
            number = await channel.newer(number, _REPEAT)
            if channel.jpeg:
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(channel.jpeg)}\r\n\r\n"
                yield head.encode() + channel.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()


async def updates(instance: Instance, sources: Sources, events: EventList) -> AsyncIterator[bytes]:
    """Makes server-sent events: "settings", "status", "prediction" and "event", each when there is a new one.

    A viewer who reads slowly is given the newest of each, and every event.
    """
    settings: dict[str, Any] | None = None
    steps: dict[str, Any] = {}
    told, _ = events.since(0)
    status_at = 0.0
    while True:
        yield b""
        news = []
        told, changed = events.since(told)
        news += [_message("event", events.record(event)) for event in changed]
        if time.monotonic() >= status_at:
            status_at = time.monotonic() + _STATUS
            news.append(_message("status", instance.status()))
            if settings != instance.settings():
                settings = instance.settings()
                news.append(_message("settings", settings))
        for name, latest in sources.latest().items():
            if latest is not None and steps.get(name) is not latest:
                steps[name] = latest
                news.append(_message("prediction", {"source": name, **latest}))
        if news:
            yield "".join(news).encode()
        await asyncio.sleep(_LOOK)


def _message(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n"
