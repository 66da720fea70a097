"""The API for programs, and for our own page: what /openapi.json describes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sqlite3
import stat
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from credentials import public_text
from errors import UserError
from remote.instance import Instance, NotNow
from web.archive import Archive
from web.history import MINUTES, EventList
from web.live import BOUNDARY, Crowd, Live, moving_picture, updates
from web.metrics import exposition
from web.sources import Sources, SourceSink

BODY_LIMIT = 64 * 1024  # bytes
VIEWERS = 64  # of the picture, and of the updates
_BODY_TIME = 10.0  # seconds for a body to arrive
_ANSWER_TIME = 60.0  # seconds for the main loop to obey; another model takes its time
_PICTURE_TIME = 5.0  # seconds for a picture to come

T = TypeVar("T")


class Clips(Protocol):
    """Where the videos of events are."""

    def find(self, name: str) -> Path | None:
        """Returns the file of a clip; None where there is none of this name. Called from any thread."""


class Api:
    """The handlers.

    Args:
        instance: The running program.
        sources: What there is to see.
        events: The newest ones.
        clips: Where their videos are.
        archive: Where older ones are.
    """

    def __init__(
        self, instance: Instance, sources: Sources, events: EventList, clips: Clips | None, archive: Archive | None
    ) -> None:
        self.watchers = Crowd(VIEWERS)
        self.listeners = Crowd(VIEWERS)
        self._instance = instance
        self._sources = sources
        self._events = events
        self._clips = clips
        self._archive = archive

    def routes(self) -> list[Route]:
        """Returns where the handlers are found."""
        return [
            Route("/api/settings", self.settings, methods=["GET", "PATCH"]),
            Route("/api/flags", self.flags),
            Route("/api/status", self.status),
            Route("/api/predictions", self.predictions),
            Route("/api/history", self.history),
            Route("/api/events", self.events),
            Route("/api/clips/{name}", self.clip),
            Route("/api/reset", self.reset, methods=["POST"]),
            Route("/api/picture.jpg", self.picture),
            Route("/api/stream.mjpg", self.stream),
            Route("/api/updates", self.updates),
            Route("/metrics", self.metrics),
        ]

    async def settings(self, request: Request) -> Response:
        if request.method == "PATCH":
            return await self._change(request)
        return JSONResponse(self._instance.settings())

    async def _change(self, request: Request) -> Response:
        settings = await _json_body(request)
        if not settings:
            raise HTTPException(422, "no settings given; name at least one flag")
        for text in _texts(settings):
            if len(text) > 4096 or any(ord(character) < 32 for character in text):
                raise HTTPException(422, "a text holds control characters or is longer than 4096 characters")
        return JSONResponse(await _obeyed(self._instance.change(self._whole(settings))))

    def _whole(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Makes 5.0 where a flag wants a whole number 5, as JSON makes no difference."""
        whole = {flag.name for flag in self._instance.flags if flag.kind == "integer"}
        return {
            name: int(value) if name in whole and isinstance(value, float) and value.is_integer() else value
            for name, value in settings.items()
        }

    async def flags(self, request: Request) -> Response:
        return JSONResponse([asdict(flag) for flag in self._instance.flags])

    async def status(self, request: Request) -> Response:
        return JSONResponse(self._instance.status())

    async def predictions(self, request: Request) -> Response:
        return JSONResponse(self._sources.latest())

    async def history(self, request: Request) -> Response:
        source = self._source(request)
        points = source.history.points(_integer(request, "seconds", MINUTES * 60, MINUTES * 60))
        return JSONResponse({"source": source.name, "points": points})

    async def events(self, request: Request) -> Response:
        limit, before = _integer(request, "limit", 50, 200), request.query_params.get("before")
        if before is not None and len(before) > 200:
            raise HTTPException(422, "before must be the id of an event")
        kept = []
        if self._archive is not None:
            try:
                kept = await run_in_threadpool(self._archive.newest, limit, before)
            except sqlite3.Error as error:
                raise HTTPException(503, f"the database of events can't be read: {error}") from None
        # Those in memory are newer than the same ones on the disk.
        events = {event.id: event for event in [*kept, *self._events.newest(limit, before)]}
        return JSONResponse([self._events.record(events[id]) for id in sorted(events, reverse=True)[:limit]])

    async def clip(self, request: Request) -> Response:
        found = await run_in_threadpool(self._find_clip, request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such clip; it may be unfinished, or deleted by --clips-limit")
        return FileResponse(found[0], media_type="video/mp4", stat_result=found[1])

    async def reset(self, request: Request) -> Response:
        if await _json_body(request):
            raise HTTPException(422, "nothing can be given here; send {}")
        await _obeyed(self._instance.reset())
        return JSONResponse({})

    async def picture(self, request: Request) -> Response:
        channel = self._source(request).channel
        if self.watchers.full():
            raise HTTPException(503, f"{VIEWERS} viewers are watching, no more can; try again later")
        with channel.viewer():
            await channel.newer(channel.number, _PICTURE_TIME)
            jpeg = channel.jpeg
        if not jpeg:
            raise HTTPException(503, "no picture at the moment")
        return Response(jpeg, media_type="image/jpeg")

    async def stream(self, request: Request) -> Live:
        channel = self._source(request).channel
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return Live(lambda: moving_picture(channel), media_type, self.watchers)

    async def updates(self, request: Request) -> Live:
        return Live(lambda: updates(self._instance, self._sources, self._events), "text/event-stream", self.listeners)

    async def metrics(self, request: Request) -> Response:
        viewers = {"picture": len(self.watchers), "updates": len(self.listeners)}
        text = exposition(self._instance.status(), self._events.ended(), viewers)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _source(self, request: Request) -> SourceSink:
        source = self._sources.find(request.query_params.get("source"))
        if source is None:
            raise HTTPException(404, "no such source; /api/predictions lists them")
        return source

    def _find_clip(self, name: str) -> tuple[Path, os.stat_result] | None:
        # Whatever the folder's owner checks: nothing that is more than a name gets there.
        if self._clips is None or not name.isprintable() or name.startswith(".") or set(name) & set("/\\"):
            return None
        with contextlib.suppress(OSError, ValueError):
            path = self._clips.find(name)
            if path is not None and path.name == name and stat.S_ISREG((status := os.lstat(path)).st_mode):
                return path, status
        return None


def _integer(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise HTTPException(422, f"{name} must be a whole number from 1 to {most}")
    return int(text)


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        body = await asyncio.wait_for(_body(request), _BODY_TIME)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the body did not come within {_BODY_TIME:g} s") from None
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_finite, parse_int=_whole_number)
        json.dumps(value, ensure_ascii=False).encode()  # half a character can't be written
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON, or holds a number that is too large") from None
    if not isinstance(value, dict):
        raise HTTPException(422, "the body must be a JSON object")
    return value


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT} bytes", {"connection": "close"})
    return bytes(body)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("JSON has finite numbers only")
    return value


def _whole_number(text: str) -> int:
    if len(text) > 18:
        raise ValueError("as large as no setting can be")
    return int(text)


def _texts(value: Any) -> list[str]:
    """Returns all texts within a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for one in inner for text in _texts(one)]


async def _obeyed(answer: Future[T]) -> T:
    """Waits until the main loop has done what it was asked."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(done.set)

    answer.add_done_callback(tell)  # asyncio's own wrapper would cancel the answer, which is the main loop's to give
    try:
        await asyncio.wait_for(done.wait(), _ANSWER_TIME)
        return answer.result()
    except asyncio.TimeoutError:
        raise HTTPException(504, f"not done within {_ANSWER_TIME:g} s; it may still come into force") from None
    except NotNow as error:
        raise HTTPException(503, str(error)) from None
    except UserError as error:
        raise HTTPException(422, public_text(str(error))) from None
