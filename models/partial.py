"""A download that may be continued: the bytes so far, and which version of which address they are from."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from errors import OutputError

_LONGEST_HEADER = 4096  # bytes


class Partial:
    """A .part file: one line of JSON that says where the rest is to be had, then the bytes received.

    Attributes:
        url: Where the bytes are from.
        validator: The server's ETag or date for this version of the file; "" if it gave none.
        size: Bytes received.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        file.seek(0)
        header = file.readline(_LONGEST_HEADER)
        try:
            self.url, self.validator = map(str, json.loads(header))
            self.size = os.fstat(file.fileno()).st_size - len(header)
        except (ValueError, TypeError):  # not one of ours
            self.url = self.validator = ""
            self.size = 0

    def start(self, url: str, validator: str) -> None:
        """Drops what was received and begins with another address or version."""
        self.clear()
        self._write(json.dumps([url, validator]).encode() + b"\n")
        self.url, self.validator = url, validator

    def append(self, data: bytes) -> None:
        """Adds bytes, so that they survive the end of the program.

        Raises:
            OutputError: The disk is full, or the like.
        """
        self._write(data)
        self.size += len(data)

    def read(self) -> bytes:
        """Returns the bytes received."""
        self._file.seek(0)
        return self._file.readall().partition(b"\n")[2]

    def clear(self) -> None:
        """Drops what was received."""
        self._file.truncate(0)
        self.url = self.validator = ""
        self.size = 0

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _cannot_write(self._file.name, error) from None


@contextlib.contextmanager
def open_partial(path: Path) -> Iterator[Partial]:
    """Opens a .part file for one process at a time; another one waits here. Leaves no empty file behind.

    Raises:
        OutputError: It can't be written.
    """
    try:
        file = _lock(path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    with file:
        partial = Partial(file)
        try:
            yield partial
        finally:
            if not partial.size:
                with contextlib.suppress(OSError):
                    path.unlink()


def _lock(path: Path) -> io.FileIO:
    while True:
        file = io.FileIO(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The process we waited for may have removed the file: then this lock guards a file that has no name.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _cannot_write(path: object, error: OSError) -> OutputError:
    return OutputError(f"can't write {path}: {error.strerror}; check the folder and the free space")
