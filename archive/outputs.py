"""Where an archive's results go: a database that knows what is done, and files of JSON Lines."""

from __future__ import annotations

import contextlib
import os
import threading
from argparse import Namespace
from typing import Callable, Sequence, TextIO

from archive.analyser import Analysis
from archive.database import ArchiveDatabase
from archive.patterns import File
from errors import OutputError
from events.json_lines import JsonLinesEvents
from events.opening import DATABASE_SUFFIXES
from printing import write_line
from sinks.jsonl import open_lines


def databases_of(options: Namespace) -> list[str]:
    """Returns those of the files of --events that are databases."""
    return [path for path in options.events or () if path.lower().endswith(DATABASE_SUFFIXES)]


class Outputs:
    """A context manager over all of them.

    Args:
        options: The command line's: --events and --jsonl.
        settings: What tells how files are analysed.
        stop: Ends the wait for another program that holds the database.

    Raises:
        OutputError: One can't be opened.
    """

    def __init__(self, options: Namespace, settings: str, stop: threading.Event) -> None:
        databases = databases_of(options)
        self._database: ArchiveDatabase | None = None
        with contextlib.ExitStack() as stack:
            others = [path for path in options.events or () if path not in databases]
            self._events = [stack.enter_context(contextlib.closing(JsonLinesEvents(path))) for path in others]
            self._lines = None
            if options.jsonl is not None:
                self._lines = open_lines(options.jsonl)
                stack.callback(self._lines[0].close)
            if databases:
                self._database = ArchiveDatabase(databases[0], settings, stop)
                stack.callback(self._database.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a line that was reported as lost
            self._stack.close()

    @property
    def lines(self) -> str:
        """The file of --jsonl; "" for none."""
        return "" if self._lines is None else self._lines[1]

    @property
    def resumes(self) -> bool:
        """Whether it is known what an earlier run has done."""
        return self._database is not None

    def holds(self) -> Callable[[File], bool]:
        """Returns what says of a file whether it is done."""
        return self._database.holds() if self._database is not None else lambda file: False

    def distinct(self, files: Sequence[File]) -> Sequence[File]:
        """Returns the files with names that no other file has, of earlier runs either."""
        return self._database.distinct(files) if self._database is not None else files

    def write(self, file: File, outcome: Analysis | str) -> None:
        """Writes what came of a file. The database comes last: a kill before it can't lose a line.

        Raises:
            OutputError: One of them can take no more. The file isn't done then, and --jsonl has no line of it.
        """
        end = None if self._lines is None else os.fstat(self._lines[0].fileno()).st_size
        try:
            self._write(file, outcome)
        except OutputError:
            if self._lines is not None and end is not None:
                _cut_off(self._lines[0], end)
            raise

    def _write(self, file: File, outcome: Analysis | str) -> None:
        if isinstance(outcome, Analysis):
            if self._lines is not None and outcome.lines:
                stream, name = self._lines
                write_line(stream, outcome.lines.rstrip("\n"), name)
            for sink in self._events:
                for event in outcome.events:
                    sink.event(event)
        if self._database is not None:
            self._database.write(file, outcome)


def _cut_off(stream: TextIO, end: int) -> None:
    """Takes back what was written of a file that will be done again, and closes it to what the stream still holds."""
    with contextlib.suppress(OSError):  # a pipe
        os.ftruncate(stream.fileno(), end)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
