"""Memory that isn't needed any longer, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
from pathlib import Path


def release_file(file: Path) -> None:
    """Gives back what a file takes that is mapped for reading; what is read again comes from the file.

    Does nothing where the system has no /proc.
    """
    with contextlib.suppress(OSError), open("/proc/self/maps", "rb") as maps:
        path = os.fsencode(file.resolve())
        for line in maps:
            # start-end rights offset device inode path, proc_pid_maps(5)
            fields = line.rstrip(b"\n").split(maxsplit=5)
            if fields[-1] == path and b"w" not in fields[1]:
                start, end = (int(number, 16) for number in fields[0].split(b"-"))
                ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def release_heap() -> None:
    """Gives back what isn't used any longer but kept for later, after work that took much."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # It is glibc's.
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
