"""The web application: the page with its files, the API, and the guard in front of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from remote.instance import Instance
from utils import say
from web.api import Api
from web.auth import Guard
from web.docs import page
from web.openapi import describe

_STILL = 10.0  # seconds without a sign of life of the main loop after which it is taken to hang
_STATIC = Path(__file__).resolve().parent / "static"
_FILES = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/settings.js": ("settings.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),  # asked for where a page names no other
}


def build_app(api: Api, instance: Instance, token: str | None, port: int) -> ASGIApp:
    """Returns the application.

    Args:
        api: The handlers of the API.
        instance: The running program.
        token: See `auth.Guard`.
        port: That it is served at.
    """
    document = describe(instance.flags, secret=token is not None)
    routes = [
        *(_file(path, name, media_type) for path, (name, media_type) in _FILES.items()),
        *api.routes(),
        _answer("/openapi.json", JSONResponse(document)),
        _answer("/docs", HTMLResponse(page(document))),
        Route("/healthz", partial(_health, instance)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail})
    app.router.redirect_slashes = False
    return Guard(app, token, port)


def _file(path: str, name: str, media_type: str) -> Route:
    return _answer(path, Response((_STATIC / name).read_bytes(), media_type=media_type))


def _answer(path: str, response: Response) -> Route:
    """Returns a route that always answers the same."""

    async def answer(request: Request) -> Response:
        return response

    return Route(path, answer)


async def _health(instance: Instance, request: Request) -> Response:
    seconds = instance.silence()
    if seconds > _STILL:
        return PlainTextResponse(f"the program has stood still for {seconds:.0f} s\n", 503)
    return PlainTextResponse("ok\n")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    say(f"web: {request.method} {request.scope['path']}: {type(error).__name__}: {error}")
    return JSONResponse({"error": "internal error"}, 500)
