"""Worker processes of this machine. One that crashes or hangs takes no other file with it than its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Iterator, Sequence, Union

from archive.analyser import Analyse, Analysis, Job
from archive.patterns import File
from errors import ModelError, PackageError, UserError

# A file, and what came of it: an Analysis, or why it can't be read.
Outcome = tuple[File, Union[Analysis, str]]

_POLL = 0.1  # seconds between two looks at whether to stop
_END = 1.0  # seconds for a killed process to be gone
_CHANCES = 2  # crashes of which a file is blamed: the first may be another's fault, that of who took all memory
_PATIENCE = 60.0  # seconds without a frame after which a worker hangs
_LOOK = 1.0  # seconds of them that pass between two looks at most: who stopped the workers has stopped us, too


@dataclass(eq=False)
class _Worker:
    """A process.

    Attributes:
        process: Itself.
        connection: Our end of the pipe to it.
        pulse: A number that it changes with every frame.
        ready: Whether its model is loaded.
        file: What it has in hand.
        heard: The pulse when we last looked.
        silent: Seconds for which it has been that.
    """

    process: Any
    connection: Connection
    pulse: Any
    ready: bool = False
    file: File | None = None
    heard: int = 0
    silent: float = 0.0


class Pool:
    """A context manager; processes are started as they are needed, and killed at the end.

    Spawned, not forked: a fork would copy locks that other threads hold.

    Args:
        job: What they are to do.
        jobs: How many.
        patience: Seconds without a frame after which a worker is killed.
    """

    def __init__(self, job: Job, jobs: int, patience: float = _PATIENCE) -> None:
        self._job = job
        self._jobs = jobs
        self._patience = patience
        self._looked = 0.0
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join(_END)
            worker.connection.close()

    def run(self, files: Sequence[File], stop: threading.Event, meanwhile: Callable[[], None]) -> Iterator[Outcome]:
        """Has the files analysed; yields each as it is done, once.

        Args:
            files: To analyse.
            stop: Ends it early.
            meanwhile: Called some times a second.

        Raises:
            UserError: The model is of no use, or no process can be started.
        """
        waiting = deque(files)
        crashes: dict[str, int] = {}
        while not stop.is_set() and (waiting or any(worker.file for worker in self._workers)):
            self._employ(waiting)
            self._end_hanging()
            meanwhile()
            for connection in wait([worker.connection for worker in self._workers], _POLL):
                worker = next(each for each in self._workers if each.connection is connection)
                file = worker.file
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    reason = self._bury(worker)
                    what = f"crashes what reads it ({reason})"
                    if worker.silent > self._patience:
                        what = f"hangs what reads it (no frame in {self._patience:g} s)"
                    if file is None:
                        continue
                    crashes[file.path] = crashes.get(file.path, 0) + 1
                    if crashes[file.path] < _CHANCES:
                        waiting.append(file)
                        continue
                    message = f"it {what}"
                if isinstance(message, UserError):
                    raise message
                worker.ready, worker.file = True, None
                if file is not None:
                    yield file, message

    def _employ(self, waiting: deque[File]) -> None:
        """Gives every idle process a file, and starts more if there are files left."""
        for worker in self._workers:
            if waiting and worker.ready and worker.file is None:
                worker.file, worker.silent = waiting.popleft(), 0.0
                with contextlib.suppress(OSError):  # it has died; that is heard as its pipe is read
                    worker.connection.send(worker.file)
        starting = sum(not worker.ready for worker in self._workers)
        while len(waiting) > starting and len(self._workers) < self._jobs:
            ours, theirs = self._context.Pipe()
            pulse = self._context.RawValue("L")
            process = self._context.Process(target=_serve, args=(theirs, self._job, pulse), daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours, pulse))
            starting += 1

    def _end_hanging(self) -> None:
        """Kills the processes that have been at one frame for too long; that is heard as their pipes are read."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, _LOOK), now
        for worker in self._workers:
            pulse = worker.pulse.value
            going = worker.file is None or pulse != worker.heard
            worker.silent, worker.heard = 0.0 if going else worker.silent + passed, pulse
            if worker.silent > self._patience:
                worker.process.kill()

    def _bury(self, worker: _Worker) -> str:
        """Forgets a process that has died; returns what it died of.

        Raises:
            UserError: It didn't come to its first file, and it was the last one.
        """
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(_END)
        worker.process.kill()
        code = worker.process.exitcode
        reason = signal.strsignal(-code) if code is not None and code < 0 else f"status {code}"
        if not worker.ready:
            self._jobs = len(self._workers)  # as many as there is room for
            if not self._jobs:
                raise UserError(f"no worker process can start ({reason}); is there memory left? free some")
        return str(reason)


def _serve(connection: Connection, job: Job, pulse: Any) -> None:
    """A worker process: loads the model, then takes files and returns what came of them, until it is killed."""
    _settle()
    try:
        analyse = job.open()
    except UserError as error:
        connection.send(error)
        return
    connection.send(None)

    def beat() -> None:
        pulse.value += 1

    while True:
        connection.send(attempt(analyse, connection.recv(), beat))


def attempt(analyse: Analyse, file: File, beat: Callable[[], None]) -> Analysis | str | UserError:
    """Analyses a file; returns what came of it, why it can't be read, or the error that concerns all files."""
    try:
        return analyse(file, beat)
    except (ModelError, PackageError) as error:
        return error
    except UserError as error:
        return str(error)
    except Exception as error:  # OpenCV's own, no memory for a huge picture, ...
        lines = str(error).split("\n")
        return f"{type(error).__name__}: {lines[0]}"


def _settle() -> None:
    """Makes a quiet worker of this process: it leaves signals to its parent, and ends with it."""
    import cv2

    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all of its processes
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # libraries talk
    os.dup2(nowhere, 2)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
