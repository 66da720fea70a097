"""What is done with one file, in whichever process: its predictions and its events."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Protocol

from archive.patterns import File
from events import Event
from events.detector import EventDetector
from events.rules import rules_for
from opening import load_classifier, open_pace, open_sources
from sinks.jsonl import JsonLines
from sources import Frame, Source
from thermal import Cooling

_MISSING = 1.0, 0.02  # seconds and share of a file that may be missing without a word: files don't say it exactly


@dataclass(frozen=True)
class Analysis:
    """What came of a file.

    Attributes:
        events: All of them ended, in the order in which they did.
        lines: A line of JSON per prediction, as --jsonl writes them; "" unless asked for.
        frames: Of the file.
        steps: Of the model.
        seconds: Of the file's time.
        took: Seconds of ours.
        note: What is to be told of the file; "" for nothing.
    """

    events: tuple[Event, ...]
    lines: str
    frames: int
    steps: int
    seconds: float
    took: float
    note: str = ""


class Analyse(Protocol):
    """Analyses files, one at a time."""

    def __call__(self, file: File, beat: Callable[[], None]) -> Analysis:
        """Analyses a file.

        Args:
            file: What to read.
            beat: Called with every frame, as a sign that reading goes on.

        Raises:
            ModelError: The model is of no use.
            SourceError: It can't be read; so does any other error say.
        """


class Job(Protocol):
    """What is sent to the processes that do the work; equal to any other one that asks for the same."""

    def open(self) -> Analyse:
        """Loads what the work needs."""


@dataclass(frozen=True)
class Settings:
    """A Job: how files are to be analysed.

    Attributes:
        options: The command line's.
        model: Path of the model file, absolute.
        labels: Absolute path of its labels, or their names.
        memory: Frames that the model remembers; None for all.
        fps: Frames a second that the model is to see.
        translations: The class names as lines of JSON are to show them, too; None for English alone.
    """

    options: Namespace
    model: str
    labels: str | list[str]
    memory: int | None
    fps: float
    translations: list[str] | None = None

    def open(self) -> Analyser:
        """Loads the model.

        Raises:
            UserError: It can't be used, or a flag doesn't fit it.
        """
        return Analyser(self)


class Analyser:
    """Runs the model over one file after another, each from a fresh state. For one thread.

    Args:
        settings: How.

    Attributes:
        classifier: The model.

    Raises:
        UserError: The model can't be used, or a flag doesn't fit it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        options = settings.options
        self.classifier = load_classifier(Path(settings.model), settings.labels, settings.memory, options)
        self.classifier.translations = settings.translations
        self._rules = rules_for(options, self.classifier)

    def __call__(self, file: File, beat: Callable[[], None]) -> Analysis:
        """Analyses a file, see Analyse.

        The start of its events is the moment at which they were filmed if the file was last modified when its
        recording ended; their position in the file is what is certain.

        Raises:
            SourceError: It can't be read.
            ModelError: The model's logits are not numbers.
        """
        begun = time.monotonic()
        settings, options, classifier = self._settings, self._settings.options, self.classifier
        modified, timestamp, frames, steps = file.modified / 1e9, 0.0, 0, 0
        events: list[Event] = []
        candidates = classifier.selection.candidates
        detector = EventDetector(
            classifier.labels, self._rules, file.name, candidates=candidates, clock=lambda: modified + timestamp
        )
        classifier.reset()
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(contextlib.closing(open_sources([file.path], None, options)[0]))
            sinks, written = [], Path()
            if options.jsonl is not None:
                written = Path(stack.enter_context(tempfile.TemporaryDirectory()), "lines")
                sinks = [JsonLines(written, file.name)]
            pace = open_pace(settings.fps, source, classifier, 1, Cooling(), options)
            for frame in _frames(source, options):
                timestamp, frames = frame.timestamp, frames + 1
                beat()
                prediction = classifier.step(frame.image, timestamp) if pace.due(frame) else None
                if prediction is None:  # a clip model's clip isn't full yet
                    continue
                steps += 1
                events += detector.step(prediction)
                for sink in sinks:
                    sink.write(frame.image, timestamp, [prediction])
            for sink in sinks:
                sink.close()
            lines = written.read_text("utf-8") if sinks else ""
            seconds = timestamp + 1 / (source.fps or settings.fps)
        events += detector.finish()
        ended = tuple(dataclasses.replace(event, start=event.start - seconds) for event in events if not event.ongoing)
        whole = options.duration is None and options.max_frames is None
        note = _missing(file.path, seconds) if whole else ""
        return Analysis(ended, lines, frames, steps, seconds, time.monotonic() - begun, note)


def _frames(source: Source, options: Namespace) -> Iterator[Frame]:
    """Reads a file within the bounds of the run."""
    start = None
    while True:
        frame = source.read()
        if frame is None:
            return
        start = frame.timestamp if start is None else start
        if options.duration is not None and frame.timestamp - start >= options.duration:
            return
        yield frame
        if options.max_frames is not None and frame.index + 1 >= options.max_frames:
            return


def _missing(path: str, seconds: float) -> str:
    """Says whether a file ended before its end: a decoder that comes upon damage, or upon no more data, just ends."""
    length = 0.0
    with contextlib.suppress(Exception):  # without PyAV, and of a file that says nothing sound, it isn't known
        import av

        with av.open(path) as container:
            stream = container.streams.video[0]
            if stream.duration is not None:
                length = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                length = container.duration / av.time_base
    if length - seconds <= max(_MISSING[0], _MISSING[1] * length):
        return ""
    return f"its pictures end after {seconds:.1f} of {length:.1f} s; is it damaged, cut off, or sound alone?"
