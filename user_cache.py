"""Small files that the program remembers things in, in the user's cache folder. Losing them costs only time."""

from __future__ import annotations

import os
from pathlib import Path

from errors import OutputError
from utils import write_whole


def cache_folder() -> Path:
    """Returns movinet-pi in $XDG_CACHE_HOME, or else in ~/.cache; it may not exist."""
    # A relative path is to be ignored, says the XDG Base Directory Specification.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "movinet-pi"


def recall(name: str) -> bytes | None:
    """Returns what was remembered under a name, or None."""
    try:
        return (cache_folder() / name).read_bytes()
    except OSError:
        return None


def remember(name: str, content: bytes) -> bool:
    """Remembers something under a name; returns whether that was possible (a full or read-only disk is no error)."""
    path = cache_folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except (OSError, OutputError):
        return False
    return True
