"""One HTTP download into a partial file: bounded in time and size, continued where it broke off."""

from __future__ import annotations

import base64
import http
import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Optional

from models.partial import Partial

LARGEST = 320 * 2**20  # bytes; somewhat more than the largest published model
_SLOWEST = 1000  # bytes a second, over one timeout
_ATTEMPTS = 4
_CHUNK = 64 * 1024  # bytes

Progress = Callable[[int, Optional[int]], None]


class TransferError(Exception):
    """Why an address did not give the file, in a few words."""


class Interrupted(TransferError):
    """The connection broke: worth another try from where it broke."""


def transfer(url: str, partial: Partial, progress: Progress, timeout: float) -> None:
    """Fetches the file at an address; goes on with `partial` if it is the beginning of the same version of the file.

    Args:
        url: http or https, with user:password@ where the server asks for it. Proxies are taken from the environment.
        partial: Holds the whole file afterwards. What an interrupted transfer leaves in it can be continued.
        progress: Called with the bytes so far and the bytes in all (None if the server doesn't say).
        timeout: Longest silence of the server, in seconds.

    Raises:
        TransferError: The server refused, is not there, is too slow, sends too much, or the connection broke.
        OutputError: The partial file can't be written.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        before = partial.size
        try:
            return _attempt(url, partial, progress, timeout)
        except Interrupted:
            if attempt == _ATTEMPTS or partial.size <= before:
                raise


def _attempt(url: str, partial: Partial, progress: Progress, timeout: float) -> None:
    offset = 0
    try:
        request = _request(url)
        # Without a validator nobody can tell whether the file has changed since, so it is fetched anew.
        if partial.size and partial.url == request.full_url and partial.validator:
            offset = partial.size
            request.add_header("Range", f"bytes={offset}-")
            request.add_header("If-Range", partial.validator)
        response = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
            raise TransferError(_reason(error)) from None
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return None  # it was complete
        partial.clear()
        return _attempt(url, partial, progress, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransferError(_reason(error)) from None
    with response:
        if response.status == http.HTTPStatus.OK:
            length = response.headers.get("Content-Length", "")
            partial.start(request.full_url, _validator(response.headers))
            total = int(length) if length.isdecimal() else None
        else:
            rest = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if not offset or not rest:
                raise TransferError(f"unexpected answer, HTTP {response.status}")
            if int(rest[1]) != offset or _validator(response.headers) not in ("", partial.validator):
                partial.clear()
                return _attempt(url, partial, progress, timeout)
            total = int(rest[2])
        return _receive(response, total, partial, progress, timeout)


def _receive(
    response: http.client.HTTPResponse, total: int | None, partial: Partial, progress: Progress, timeout: float
) -> None:
    if total and total > LARGEST:
        raise TransferError(f"offers {total / 1e6:.0f} MB, too much for a model")
    since, size_then = time.monotonic(), partial.size
    progress(partial.size, total)
    while total is None or partial.size < total:
        try:
            data = response.read1(_CHUNK if total is None else min(_CHUNK, total - partial.size))
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(f"broke off after {partial.size:,} bytes: {_reason(error)}") from None
        if not data:
            break
        partial.append(data)
        progress(partial.size, total)
        if partial.size > LARGEST:
            partial.clear()
            raise TransferError(f"sent more than {LARGEST / 1e6:.0f} MB, too much for a model")
        if time.monotonic() - since > timeout:
            if partial.size - size_then < _SLOWEST * timeout:
                raise TransferError(f"slower than {_SLOWEST:,} bytes a second")
            since, size_then = time.monotonic(), partial.size
    if total is not None and partial.size < total:
        raise Interrupted(f"broke off after {partial.size:,} of {total:,} bytes")


def _request(url: str) -> urllib.request.Request:
    """Returns a request without the address's password, which goes to its server alone: to no redirect, no file."""
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"User-Agent": "movinet-classifier"})
    if user:
        encoded = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def _validator(headers: Any) -> str:
    """Returns what If-Range needs: a strong ETag, else the date of the file, else ""."""
    for name in ("ETag", "Last-Modified"):
        value = headers.get(name, "")
        if value and not value.startswith("W/") and len(value) < 200 and value.isascii() and value.isprintable():
            return value
    return ""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to one that anyone on the way could change."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and not newurl.startswith("https:"):
            raise TransferError("redirects from https to http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Returns an opener for http and https alone: urllib's own one reads file: and ftp: as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


def _reason(error: object) -> str:
    """Says what went wrong in words of our own: an error's text may hold the address, with a password in it."""
    if isinstance(error, urllib.error.HTTPError):
        names = {status.value: status.phrase for status in http.HTTPStatus}
        return f"HTTP {error.code} {names.get(error.code, '')}".rstrip()
    if isinstance(error, urllib.error.URLError):
        return "not an http or https address" if isinstance(error.reason, str) else _reason(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused ({error.verify_message})"
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
        return "connection closed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (ValueError, http.client.InvalidURL)):
        return "not a valid address"
    return f"not a valid answer ({type(error).__name__})"
