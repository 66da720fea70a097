"""Who may come in: the token, the names under which the server may be called, and requests that other pages make."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections import deque
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import UserError
from web import is_loopback

_OPEN = ("/healthz", "/style.css", "/icon.svg", "/favicon.ico")  # tell nothing about the program
_PAGES = ("/", "/docs")  # may be the target of a link elsewhere
_READING = ("GET", "HEAD", "OPTIONS")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,200}")
_COOKIE_AGE = 400 * 86400  # seconds; browsers allow no more
_FAILURES = 20  # wrong tokens a minute from one address
_DELAY = 0.5  # seconds by which the answer to a wrong token is late

_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]

_WELCOME = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Action recognition</title><link rel="stylesheet" href="/style.css">
<body class="plain"><p>Welcome. <a href="/">Go on to the picture.</a></p></body></html>
"""
_SIGN_IN = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Action recognition</title><link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg">
<body class="plain"><form class="card" action="/"><h1>Action recognition</h1>
{problem}<p>Open the address that the program printed when it started, or type the token from its end.</p>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" autocapitalize="off" required>
<button>Show the picture</button></form></body></html>
"""
_WRONG = '<p class="wrong" role="alert">That is not the token.</p>\n'


def check_token(token: str) -> None:
    """Checks a token that the user chose.

    Raises:
        UserError: It is too short, or needs escapes in an address.
    """
    if not _TOKEN.fullmatch(token):
        raise UserError("--token must be 8 to 200 letters, digits or . _ ~ -; or leave it out and one is made")


class Guard:
    """ASGI middleware that lets nobody in who shouldn't be, and adds the headers that browsers protect the page by.

    Without a token only this machine can reach the server, but any page in a browser here could ask it something: so
    it must be called by a name that means this machine, and not from elsewhere.

    Args:
        app: What is guarded.
        token: The secret; None on a loopback address without one.
        port: Of the server; cookies are shared by all ports of a machine.
    """

    def __init__(self, app: ASGIApp, token: str | None, port: int) -> None:
        self._app = app
        self._token = token
        self._cookie = f"movinet_{port}"
        self._failures: deque[tuple[float, str]] = deque(maxlen=1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in _HEADERS if header[0] not in names)]
            await send(message)

        answer = await self._stop(Request(scope)) or self._app
        await answer(scope, receive, send_protected)

    async def _stop(self, request: Request) -> Response | None:
        """Returns the answer to a request that goes no further."""
        path = request.scope["path"]
        if path in _OPEN:
            return None
        if self._token is None and not is_loopback(_host_name(request)):
            return _refusal(403, "called by a foreign name; open it as http://127.0.0.1 or http://localhost")
        if path not in _PAGES and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _refusal(403, "asked for by another site's page")
        if request.method not in _READING and not _same_origin(request):
            return _refusal(403, "asked for by another site's page")
        return await self._stop_stranger(request) if self._token is not None else None

    async def _stop_stranger(self, request: Request) -> Response | None:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        offered = bearer.strip() if scheme.lower() == "bearer" else None
        query = request.query_params.get("token") if request.scope["path"] == "/" else None
        cookie = request.cookies.get(self._cookie)
        if offered is None and query is None and cookie is None:
            return _unknown(request, "needs the token")
        # Who is signed in is let in whatever others do: behind a proxy all have one address. No guess makes a cookie.
        signed_in = _same(cookie, self._session())
        if not signed_in and self._blocked(request):
            return _refusal(429, "too many wrong tokens; try again in a minute", {"retry-after": "60"})
        token = self._token or ""
        if _same(query, token):
            return self._welcome()
        if signed_in or _same(offered, token):
            return None
        self._failures.append((time.monotonic(), _client(request)))
        await asyncio.sleep(_DELAY)
        return _unknown(request, "wrong token", _WRONG if query is not None else "")  # a cookie is old: not typed

    def _welcome(self) -> Response:
        # Not a redirect: to a visitor from another site's link the browser would not give the cookie back on one.
        response = HTMLResponse(_WELCOME, headers={"refresh": "0; url=/"})
        response.set_cookie(self._cookie, self._session(), _COOKIE_AGE, httponly=True, samesite="strict", path="/")
        return response

    def _session(self) -> str:
        """Returns the cookie's value: made of the token, so that it outlives the program but doesn't tell it."""
        return hmac.new((self._token or "").encode(), b"session", hashlib.sha256).hexdigest()

    def _blocked(self, request: Request) -> bool:
        since, client = time.monotonic() - 60, _client(request)
        return sum(1 for at, who in list(self._failures) if at > since and who == client) >= _FAILURES


def _same(given: str | None, secret: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _same_origin(request: Request) -> bool:
    """Returns whether a request comes from our page, or from a program that isn't a browser."""
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _refusal(status: int, line: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": line}, status, headers)


def _unknown(request: Request, line: str, problem: str = "") -> Response:
    """Returns a refusal as JSON, or as the page that asks for the token, with what was wrong with the one given."""
    headers = {"www-authenticate": "Bearer"}
    if request.scope["path"] != "/":
        return _refusal(401, line, headers)
    return HTMLResponse(_SIGN_IN.format(problem=problem), 401, headers)
