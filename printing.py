"""Writes results on standard output, and lines into files, so that what goes wrong there is a UserError."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Iterator, TextIO

from errors import OutputError, UserError

STDOUT = "standard output"  # what messages call it


class ReaderGone(OutputError):
    """Who read our output through a pipe has closed it, as `head` does: not a mistake."""

    status = 0


def print_out(text: str, end: str = "\n") -> None:
    """Prints on standard output, with "?" for what the terminal's encoding lacks; nothing where that is closed.

    Raises:
        ReaderGone: Nobody reads the pipe any more.
        OutputError: It can't be written.
    """
    if sys.stdout is not None:  # the shell's >&-
        encoding = sys.stdout.encoding or "utf-8"
        _write(sys.stdout, text.encode(encoding, "replace").decode(encoding) + end, STDOUT)


@contextlib.contextmanager
def printed_after(text: str, end: str = "\n") -> Iterator[None]:
    """Prints after the work inside: also if that ends with a UserError, which then counts more than a lost reader.

    Raises:
        ReaderGone: Nobody reads the pipe any more.
        OutputError: It can't be written.
    """
    try:
        yield
    except UserError:
        with contextlib.suppress(OutputError):
            print_out(text, end)
        raise
    print_out(text, end)


def write_line(stream: TextIO, line: str, name: str) -> None:
    """Writes a line and hands it to the system.

    Args:
        stream: To write to.
        line: Without its end.
        name: What an error message calls the stream.

    Raises:
        ReaderGone: Nobody reads the pipe any more.
        OutputError: It can't be written.
    """
    _write(stream, line + "\n", name)


def _write(stream: TextIO, text: str, name: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if name == STDOUT:
            _drop_stdout()
        if isinstance(error, BrokenPipeError):
            raise ReaderGone(f"{name}: the reader has closed the pipe") from None
        raise OutputError(f"can't write {name}: {error.strerror}; check the free space") from None


def _drop_stdout() -> None:
    """Leads standard output to nowhere: Python flushes it once more at exit, and would complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
