"""The command: finds the files, leaves out what is done, has the rest analysed, and writes what comes of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from argparse import Namespace
from pathlib import Path
from typing import Callable, Sequence

import models
from archive.analyser import Analysis, Settings
from archive.outputs import Outputs, databases_of
from archive.patterns import File, expand
from archive.pool import Pool
from errors import SourceError, UserError
from languages import shown_names
from model_metadata import labels_of
from progress import Progress
from signals import Signals
from teaching.taught import follow_teaching
from utils import printable, read_labels, say

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it
_WORKER_BYTES = 200_000_000  # of memory: 113 MB were measured with small videos and A0, 169 MB at 1920x1080
# What decides the results, besides the model and its labels: a file that was analysed with others is done again.
_DECISIVE = """
    precision compile memory sample_fps idle fit rotate duration max_frames threshold top_k allow deny event_on
    event_off event_min event_gap event_rules stride clip_length clip_size layout mean scale
""".split()
_UNFIT = ("record", "timeline", "clips", "serve", "mqtt", "loop", "live")  # what needs one source, or who looks


def run(options: Namespace) -> int:
    """Analyses an archive, for the main thread; returns the exit status.

    Args:
        options: Of options.parse_options, with model and source filled in.

    Returns:
        0: every file is done, or was skipped with a line; 4: none could be read; 128 + its number after a signal.

    Raises:
        UserError: What the user can mend: no such file, a model that is of no use, an output that is full.
    """
    _check(options)
    files, problems = expand(options.source)
    signals = Signals()
    settings, key = _prepare(options)
    with Outputs(options, key, signals.stop) as outputs:
        signals.deferred = True
        archive = _Archive(files, problems, outputs)
        archive.run(options, settings, signals)
        archive.summarize(bool(signals.status))
    return signals.status or (0 if archive.done else SourceError.status)


class _Archive:
    """The files and how far they have come.

    Args:
        files: All of them.
        problems: What can't be taken, as name and reason.
        outputs: Where results go.

    Attributes:
        done: Files that are done, those of earlier runs included.
    """

    def __init__(self, files: Sequence[File], problems: Sequence[tuple[str, str]], outputs: Outputs) -> None:
        is_done = outputs.holds()
        self._outputs = outputs
        self._all = len(files) + len(problems)
        self._problems = problems
        self._left = [file for file in outputs.distinct(files) if not is_done(file)]
        self._before = self.done = len(files) - len(self._left)
        self._unreadable = self._incomplete = self._events = 0
        self._seconds = 0.0
        self._start = time.monotonic()

    def run(self, options: Namespace, settings: Settings, signals: Signals) -> None:
        """Has what is left analysed, and writes it."""
        if self._before:
            lines = f"; {self._outputs.lines} gets no lines of them now" if self._outputs.lines else ""
            say(f"archive: {self._before} of {self._all} files are done already{lines}")
        for name, reason in self._problems:
            self._skip(say, name, reason)
        if not self._left:
            return
        size = sum(file.size for file in self._left)
        with (
            _open_workers(options, settings, len(self._left), signals.stop) as workers,
            Progress("archive", len(self._left), "files", size) as progress,
        ):
            for file, outcome in workers.run(self._left, signals.stop, progress.show):
                self._outputs.write(file, outcome)
                if isinstance(outcome, Analysis):
                    self.done += 1
                    self._events += len(outcome.events)
                    self._seconds += outcome.seconds
                    if outcome.note:
                        self._incomplete += 1
                        progress.tell(f"incomplete: {printable(file.name)}: {outcome.note}")
                else:
                    self._skip(progress.tell, file.name, outcome.replace(file.path, file.name))
                progress.advance(file.size)

    def summarize(self, stopped: bool) -> None:
        """Says what was done, and after a signal how to go on."""
        if stopped:
            again = "goes on there" if self._outputs.resumes else "starts anew; with --events archive.db it would go on"
            say(f"stopped: {self.done} of {self._all} files are done; the same command {again}")
            return
        took = time.monotonic() - self._start
        before = f" ({self._before} of them before)" if self._before else ""
        unreadable = f", {self._unreadable} can't be read" if self._unreadable else ""
        unreadable += f", {self._incomplete} incomplete" if self._incomplete else ""
        new = f"; now {self._events} events in {_span(self._seconds)} of video, in {_span(took)}" if self._left else ""
        say(f"archive: {self.done} of {self._all} files done{before}{unreadable}{new}")

    def _skip(self, tell: Callable[[str], None], name: str, reason: str) -> None:
        self._unreadable += 1
        reason = reason if reason.startswith(name) else f"{name}: {reason}"
        tell(f"skipped: {printable(reason)}")


def _check(options: Namespace) -> None:
    """Refuses what doesn't go with an archive."""
    for name in _UNFIT:
        if getattr(options, name, None):
            raise UserError(f"--{name} doesn't go with an archive, of which nobody sees a picture; leave it out")
    if options.display in ("window", "screen"):
        raise UserError(f"--display {options.display}: an archive has no picture to show; leave it out")
    if not options.events and options.jsonl is None:
        raise UserError("an archive's results have to go somewhere; give --events archive.db")
    if len(databases_of(options)) > 1:
        raise UserError(f"--events {databases_of(options)[1]}: an archive is kept in one database; give one")
    if options.jobs is not None and options.cluster is not None:
        raise UserError("--jobs is for this machine's workers; with --cluster the cluster's do the work: give one")


def _prepare(options: Namespace) -> tuple[Settings, str]:
    """Loads the model once, which compiles it for all workers; returns how to analyse, and what stands for that.

    Raises:
        UserError: The model can't be used, or a flag doesn't fit it.
    """
    model = models.find_model(options.model)
    labels = labels_of(model, options.labels)
    names = labels if isinstance(labels, list) else read_labels(labels)
    taught = follow_teaching(options, model)
    if taught:
        say(f"model: run with {taught}, as it was taught")
    known = models.known_model(model)
    fps = options.sample_fps or (known.fps if known else _DEFAULT_FPS)
    memory = None if options.memory is None else max(1, round(options.memory * fps))
    values = {**vars(options), "threads": 1}
    if options.cluster is not None and options.precision == "auto":
        values["precision"] = "float"  # not what each machine finds the faster one
    given = labels if isinstance(labels, list) else str(labels.resolve())
    shown = None
    if options.jsonl is not None:
        shown = shown_names(options.lang, labels if isinstance(labels, Path) else model.with_suffix(".txt"), names)[1]
    settings = Settings(Namespace(**values), str(model.resolve()), given, memory, fps, shown)
    classifier = settings.open().classifier
    say(f"model: {model.name} on {classifier.runtime}, {fps:g} frames a second")
    for note in classifier.notes:
        say(f"model: {note}")
    classifier.close()
    decisive = {name: values[name] for name in _DECISIVE if values[name] is not None}
    what = [hashlib.sha256(model.read_bytes()).hexdigest(), names, decisive]
    return settings, hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _open_workers(
    options: Namespace, settings: Settings, files: int, stop: threading.Event
) -> contextlib.AbstractContextManager:
    if options.cluster is not None:
        from archive.cluster import Cluster

        return Cluster(options.cluster, settings, stop)
    jobs = min(files, _jobs_here() if options.jobs in (None, "auto") else options.jobs)
    say(f"archive: {files} file{'s' * (files > 1)}, {jobs} at a time")
    return Pool(settings, jobs)


def _jobs_here() -> int:
    """Returns how many workers suit this machine: one a core, as far as its memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        cores = min(cores, free // _WORKER_BYTES)
    return max(1, cores)


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
