"""Keeps user and password out of sight that stand in a URL: in texts, on stderr, in the list of processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from typing import Any

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Up to the last @ of the line, since a password may hold anything, spaces and @ too.
_URL = re.compile(r"(?<![A-Za-z])(?!(?i:file)://)[A-Za-z][A-Za-z0-9+.-]*://(?:.*@)?\S*")
_AFTER = "\"':;,.)"  # with which the sentence around a URL goes on
# What was meant as a URL: its scheme is missing or mistyped.
_LOGIN = re.compile(r"[^\s/:=]+:(?=\S).*@")


def public_name(uri: str) -> str:
    """Returns a URI as it may be shown: without user, password or anything else of a URL that can hold a secret."""
    scheme = _SCHEME.match(uri)
    if not scheme or scheme.group(1).lower() == "file":
        return uri
    if scheme.end() == len(uri):
        return uri  # the kind alone, as messages name it
    authority, path = re.split(r"(?=[/?#]|$)", uri[scheme.end() :], maxsplit=1)
    host = authority.rpartition("@")[2]
    # A password that holds "/", "?" or "#" spreads over the whole URL: then nothing after the scheme is safe to show.
    if "@" in path or not re.fullmatch(r"([\w.-]+|\[[\w:.%]+\])(:\d+)?", host):
        return f"{scheme.group()}..."
    # Some cameras want the password inside the path: /user=admin&password=secret.
    path = re.split(r"[?#]", path)[0]
    return scheme.group() + host + (path if re.fullmatch(r"[\w./-]*", path) else "/...")


def public_text(text: str) -> str:
    """Returns a text with every URL in it as `public_name` shows it."""
    return _LOGIN.sub("...@", _URL.sub(_public_url, text))


def _public_url(match: re.Match[str]) -> str:
    url = match.group().rstrip(_AFTER)
    return public_name(url) + match.group()[len(url) :]


def hide_credentials() -> None:
    """Hides what this process would show of them: its command line, and what it writes on stderr.

    To be called first of all. The real arguments stay in sys.argv, and whoever starts another program with them shows
    them again until that one calls this.
    """
    _hide_arguments()
    if sys.stderr is None:  # the shell's 2>&-; print() would then write on standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")
    sys.stderr = _PublicStream(sys.stderr)


def tell_secret(line: str) -> None:
    """Prints a line on stderr, past what hides secrets there."""
    print(line, file=_BearingStream(getattr(sys.stderr, "plain", sys.stderr)), flush=True)


class _BearingStream:
    """A text stream that bears it if nobody can hear what is said: a log on a full disk, a terminal that was closed.

    Attributes:
        plain: The stream that is written to.
    """

    def __init__(self, stream: Any) -> None:
        self.plain = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self.plain.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self.plain.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class _PublicStream(_BearingStream):
    """Such a stream that rewrites what it is given, so that no message, log or traceback can tell a password."""

    def write(self, text: str) -> int:
        super().write(public_text(text))
        return len(text)


def _hide_arguments() -> None:
    """Overwrites the arguments where Linux keeps them for `ps`: in this process's own memory."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            shown = file.read()
        with open("/proc/self/stat") as file:
            start = int(file.read().rpartition(")")[2].split()[45])  # arg_start, field 48 of proc(5)
        with open("/proc/self/mem", "rb") as file:
            file.seek(start)
            found = file.read(len(shown))
    except (OSError, IndexError):  # Another system, or QEMU's shorter account of a program that it runs.
        return
    arguments = shown.split(b"\0")
    hidden = b"\0".join(map(_public_argument, arguments, [b"", *arguments]))
    if hidden != shown and found == shown:  # Under an emulator the address means nothing.
        # The last byte stays zero: any other tells the kernel that the arguments have outgrown their place.
        ctypes.memmove(start, hidden[: len(shown) - 1].ljust(len(shown), b"\0"), len(shown))


def _public_argument(argument: bytes, before: bytes) -> bytes:
    if before == b"--token":
        return b"..."
    if argument.startswith(b"--token="):
        return b"--token=..."
    return public_text(argument.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
