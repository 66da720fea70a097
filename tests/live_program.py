"""A running program for the tests of what can be done to it from afar."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import demo_program

LIMIT = 60.0  # seconds; against hanging only


class Running:
    """classify.py on the demo, and what it is told through --live.

    Attributes:
        folder: Where it runs; it writes its predictions to out.jsonl there.
        process: Its process.
    """

    def __init__(self, folder: Path, *flags: object, wrapper: Sequence[object] = ()) -> None:
        self.folder = folder
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        for name in ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY"):
            self._environment.pop(name, None)
        folder.chmod(0o700)
        self.process = demo_program.start(
            *("--source", "demo", "--display", "none", "--jsonl", "out.jsonl", "--instance", "test"),
            *(*demo_program.ONE_THREAD, *flags),
            folder=folder,
            wrapper=wrapper,
            env=self._environment,
        )
        self.wait_for(lambda: self.predictions())

    def live(self, *flags: object) -> tuple[int, str, str]:
        """Types a command with --live; returns its exit status, standard output and standard error."""
        command = demo_program.start("--live", "--instance", "test", *flags, folder=self.folder, env=self._environment)
        return demo_program.finish(command)

    def change(self, *flags: object) -> str:
        """Changes settings, which must be taken; returns what is printed."""
        status, output, errors = self.live(*flags)
        assert status == 0, errors
        return output

    def predictions(self) -> list[dict[str, Any]]:
        """Returns all so far, without the lines that tell of outages."""
        with contextlib.suppress(FileNotFoundError):
            lines = demo_program.predictions((self.folder / "out.jsonl").read_text())
            return [line for line in lines if "top" in line]
        return []

    def next_predictions(self, number: int) -> list[dict[str, Any]]:
        """Waits for that many more; the first one's step may have begun before."""
        before = len(self.predictions())
        self.wait_for(lambda: len(self.predictions()) >= before + number)
        return self.predictions()[before : before + number]

    def wait_for(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.05)

    def settings(self) -> dict[str, str]:
        """Returns what --live alone prints, by flag."""
        return dict(line.split(None, 1) for line in self.change().splitlines())


@contextlib.contextmanager
def running(folder: Path, *flags: object, wrapper: Sequence[object] = ()) -> Iterator[Running]:
    """Starts the program, or what wraps it, and ends it at the latest with the context."""
    program = Running(folder, *flags, wrapper=wrapper)
    try:
        yield program
    finally:
        demo_program.stop(program.process)
