"""The folder of --clips: names of clips, files that appear whole, and a limit that holds at every moment."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import stat
import tempfile
import threading
import time
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator

from errors import OutputError
from events import Event
from sinks.video_file import is_full
from utils import say

_NAME = r"[0-9]{8}-[0-9]{6}-[A-Za-z0-9_-]{1,120}\.mp4"
_CLIP = re.compile(_NAME)
_PART = re.compile(rf"\.{_NAME}\.part")  # while it is being written
_LONGEST_LABEL, _LONGEST_ID = 60, 40  # characters of a clip's name
_STEP = 256 * 1024  # bytes that a growing clip reserves at once
_PATIENCE = 1.0  # seconds to wait for another process that holds the folder's lock; then we go on without it


def clip_name(event: Event) -> str:
    """Returns a clip's file name by its event's local time, label and id: 20261121-141530-playing-guitar-1f.mp4."""
    ascii_label = unicodedata.normalize("NFKD", event.label).encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9]+", "-", ascii_label)[:_LONGEST_LABEL].strip("-") or "event"
    identity = re.sub(r"[^A-Za-z0-9_-]+", "", event.id)[:_LONGEST_ID]
    if identity != event.id:  # others could be cut down to the same
        identity += hashlib.sha256(event.id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{datetime.fromtimestamp(event.start):%Y%m%d-%H%M%S}-{label}-{identity}.mp4"


@dataclass(frozen=True)
class _File:
    """A clip, or a part of one, in the folder."""

    name: str
    bytes: int
    modified: int
    is_part: bool


class ClipsFolder:
    """A folder of clips whose sizes, those being written included, never add up to more than a limit.

    Deletes the oldest clips for new ones, and no file that isn't named as a clip is. What a process that was killed
    has left is removed. All methods may be called from any thread. Several processes may share a folder: each keeps
    its own limit for the whole of it.

    Args:
        path: Made if it is missing; its parent must exist.
        limit: Bytes.

    Attributes:
        path: The folder.

    Raises:
        OutputError: It can't be made or written to.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int) -> None:
        self.path = Path(path).expanduser()
        self._limit = limit
        self._threads = threading.Lock()  # so that ours need not poll for the folder's lock
        self._failing = False
        try:
            self.path.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            with self.locked():
                self._remove_leftovers()
                self._make_room(self._scan(), 0)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            raise OutputError(f"can't keep clips in {path}: {reason}; give a folder you may write to") from None

    def list_clips(self) -> list[str]:
        """Returns the names of the finished clips, newest first; none if the folder can't be read."""
        try:
            clips = [file for file in self._scan() if not file.is_part]
        except OSError:
            return []
        return [file.name for file in sorted(clips, key=_age, reverse=True)]

    def find(self, name: str) -> Path | None:
        """Returns the finished clip of this name; None if there is none, or it isn't the name of a clip."""
        path = self.path / name if _CLIP.fullmatch(name) else None
        return path if path is not None and _is_plain_file(path) else None

    def create(self, name: str) -> Part:
        """Begins a clip.

        Args:
            name: What `clip_name` returns.

        Raises:
            OSError: The folder can't be written, or has such a clip.
        """
        with self.locked():
            return Part(self, name)

    def reserve(self, part: Part, size: int) -> bool:
        """Makes room for a part to grow to a size, by deleting the oldest clips if need be.

        Returns:
            False, with nothing deleted, if the limit doesn't allow that.

        Raises:
            OSError: The disk is full or broken.
        """
        with self.locked():
            if is_full(self.path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            others = [file for file in self._scan() if file.name != os.path.basename(str(part.name))]
            for wanted in (size + _STEP, size):
                if self._make_room(others, wanted):
                    part.extend(wanted)
                    return True
            return False

    def report(self, error: Exception | None) -> None:
        """Says that a clip could not be written, once until one could (None)."""
        if error is not None and not self._failing:
            reason = getattr(error, "strerror", None) or error
            say(f"clips: can't write to {self.path}: {reason}; events go without clips until that is mended")
        self._failing = error is not None

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Keeps other threads and processes from changing the folder; yields its file descriptor."""
        with self._threads:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _lock(descriptor, _PATIENCE)
                yield descriptor
            finally:
                os.close(descriptor)  # and the lock with it

    def _scan(self) -> list[_File]:
        files = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                is_part = _PART.fullmatch(entry.name) is not None
                if not is_part and not _CLIP.fullmatch(entry.name):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        files.append(_File(entry.name, status.st_size, status.st_mtime_ns, is_part))
        return files

    def _make_room(self, files: list[_File], wanted: int) -> bool:
        """Deletes the oldest of these clips until `wanted` bytes more are within the limit; False if they can't be."""
        excess = sum(file.bytes for file in files) + wanted - self._limit
        clips = sorted((file for file in files if not file.is_part), key=_age)
        if excess > sum(file.bytes for file in clips) and wanted:
            return False
        for clip in clips:
            if excess <= 0:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path / clip.name)
            excess -= clip.bytes
        return True

    def _remove_leftovers(self) -> None:
        for file in self._scan():
            if not file.is_part:
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(self.path / file.name, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
                    os.unlink(self.path / file.name)
                finally:
                    os.close(descriptor)


class Part(io.FileIO):
    """A clip that is being written, under a hidden name that a living process has locked.

    The file is as long as what has been reserved, so that other processes, too, see the room as taken.

    Attributes:
        clip: The name that it will have.
    """

    def __init__(self, folder: ClipsFolder, clip: str) -> None:
        self.clip = clip
        self._folder = folder
        self._target = folder.path / clip
        self._end = self._reserved = 0
        if os.path.lexists(self._target):
            raise FileExistsError(errno.EEXIST, f"{clip} exists")
        super().__init__(os.fspath(folder.path / f".{clip}.part"), "xb")
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def reserve(self, size: int) -> bool:
        """Makes sure that the file may grow to `size` bytes; returns whether it may.

        Raises:
            OSError: The disk is full or broken.
        """
        return size <= self._reserved or self._folder.reserve(self, size)

    def extend(self, size: int) -> None:
        """Takes room, for the folder to call."""
        os.ftruncate(self.fileno(), size)
        self._reserved = size
        if hasattr(os, "posix_fadvise"):  # starts writing to the disk, so that fsync has little left to wait for
            os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def write(self, data: Any) -> int:
        """Writes all, within what is reserved; FileIO may write a part."""
        rest = memoryview(data)
        end = self.tell() + len(rest)
        if end > self._reserved:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        while rest:
            rest = rest[super().write(rest) :]
        self._end = max(self._end, end)
        return len(data)

    def keep(self) -> None:
        """Gives the whole file its name.

        Raises:
            OSError: It may not have reached the disk; it is removed.
        """
        try:
            os.ftruncate(self.fileno(), self._end)
            os.fsync(self.fileno())
            with self._folder.locked() as folder:
                os.rename(os.fspath(self.name), self._target)
                with contextlib.suppress(OSError):  # some file systems can't for a folder
                    os.fsync(folder)
            self.close()
        except OSError:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes the file."""
        with contextlib.suppress(OSError):
            os.unlink(os.fspath(self.name))
        with contextlib.suppress(OSError):
            self.close()


def _age(file: _File) -> tuple[int, str]:
    return file.modified, file.name


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _lock(descriptor: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return  # another process hangs: better a limit kept less exactly than no clips
        except OSError:
            return  # a file system without locks
        time.sleep(0.005)
