"""New files beside older ones of the same name, which are kept."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import BinaryIO, Iterator

from errors import OutputError


def names(path: Path) -> Iterator[Path]:
    """Yields out.png, out-1.png, out-2.png, ..."""
    yield path
    for number in itertools.count(1):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def check(path: Path) -> None:
    """Checks that a file could be made there.

    Raises:
        OutputError: It could not.
    """
    if os.path.isdir(path):
        raise OutputError(f"can't write {path}: it is a folder; name a file, such as {path}/timeline.png")
    if not os.path.isdir(path.parent):
        raise OutputError(f"can't write {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"can't write {path}: permission denied; name a folder that you may write to")


def create(path: Path) -> BinaryIO:
    """Makes a new file of the first free name.

    Raises:
        OutputError: It can't be made.
    """
    check(path)
    try:
        for free in names(path):
            with contextlib.suppress(FileExistsError):
                return open(free, "xb")
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; name another file") from None
    raise AssertionError  # the names never end
