"""Files that the program remembers things in, in the user's cache folder. Losing them costs only time."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import time
from pathlib import Path

from errors import OutputError
from utils import write_whole

KEPT = 90
"""Days since their last use for which files are kept that others may have made useless."""


def cache_folder() -> Path:
    """Returns movinet-pi in $XDG_CACHE_HOME, or else in ~/.cache; it may not exist."""
    # A relative path is to be ignored, says the XDG Base Directory Specification.
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        # A user without a home, as in a container, can't remember anything: nothing stands in there.
        base = os.path.join(home if os.path.isabs(home) else os.devnull, ".cache")
    return Path(base) / "movinet-pi"


def cache_path(name: str) -> Path:
    """Returns the file that something is remembered in; it may not exist."""
    return cache_folder() / name


def recall(name: str) -> bytes | None:
    """Returns what was remembered under a name, or None."""
    try:
        return cache_path(name).read_bytes()
    except OSError:
        return None


def recall_mapped(name: str) -> mmap.mmap | None:
    """Returns what was remembered under a name, mapped for reading, so that it takes no memory of its own; or None."""
    with contextlib.suppress(OSError, ValueError), open(cache_path(name), "rb") as file:  # the latter: it is empty
        mark_used(cache_path(name))
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return None


def remember(name: str, content: bytes) -> bool:
    """Remembers something under a name; returns whether that was possible (a full or read-only disk is no error)."""
    path = cache_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except (OSError, OutputError):
        return False
    return True


def mark_used(path: Path) -> None:
    """Lets prune() see that a file was used today."""
    with contextlib.suppress(OSError):  # somebody else's, or a read-only disk
        os.utime(path)


def prune(folder: Path, pattern: str = "*", most_bytes: float = math.inf) -> None:
    """Removes a folder's files that were not used for KEPT days, and the longest unused ones that are too much."""
    oldest, total = time.time() - KEPT * 24 * 3600, 0
    with contextlib.suppress(OSError):
        facts = {path: path.stat() for path in folder.glob(pattern)}
        for path in sorted(facts, key=lambda path: facts[path].st_mtime, reverse=True):
            total += facts[path].st_size
            if facts[path].st_mtime < oldest or total > most_bytes:
                path.unlink()
