"""What runs now: the model, the sources with their threads, the outputs; and how each is exchanged while it runs."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from argparse import Namespace
from pathlib import Path
from typing import Any, Collection, Sequence

import models
from change import Change, close_anyway, describe, prepare_names
from classifier import Classifier
from model_metadata import labels_of
from opening import load_classifier, open_pace, open_recorder, open_sources, truth_of
from pipeline.live import InferenceWorker
from services import Services
from sinks import Sink
from sinks.console import Console
from sinks.video_file import VideoFile
from sinks.viewer import Viewer
from sources import identity
from sources.clock import Clock
from sources.link import link_to
from stream import Stream
from teaching.taught import follow_teaching
from thermal import Cooling
from timeline.drawing import Names
from utils import say
from video_classifier import Selection
from view import View

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it
# Options that need the model loaded again, and those that the choice of frames follows.
_MODEL = (
    "model", "labels", "threads", "precision", "compile",
    "clip_length", "stride", "clip_size", "layout", "mean", "scale",
)  # fmt: skip
_PACE = ("model", "sample_fps", "idle", "max_cpu")


class Session:
    """A context manager that tells in the end what was done; but for prepare(), for the main thread only.

    Args:
        window: Where the picture is shown, or None.
        services: What the outside world is told through.

    Attributes:
        options: Those in force, with model and sources filled in.
        fps: Frames a second that the model is to see.
        views: The sources.
        names: Theirs, no two alike.
        sinks: Outputs of the whole picture, besides those of each view.
        classifiers: One for each view.
        clock: Paces a file in a window; None for cameras, and where nobody looks.
        paused: Whether the picture stands still.
        awaits_camera: Whether prepare() is opening sources of which one is a camera: with --retry that takes as long
            as the camera is away.
    """

    def __init__(self, window: Viewer | None, services: Services) -> None:
        self.options = Namespace()
        self.fps = _DEFAULT_FPS
        self.views: list[View] = []
        self.names: list[str] = []
        self.sinks: list[Sink] = []
        self.classifiers: list[Classifier] = []
        self.clock: Clock | None = None
        self.paused = False
        self.awaits_camera = False
        self._window = window
        self._services = services
        self._streams: list[Stream] = []
        self._worker: InferenceWorker | None = None  # makes the steps of all cameras
        self._running = contextlib.ExitStack()  # holds it
        self._cooling = Cooling()  # one for all: they share the inference thread and the board

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as stack:  # from the last line to the first, whichever of them fails
            stack.callback(_summarize, self.views)  # also where a camera was given up
            for each in (*self.sinks, *self.classifiers, self._running):
                stack.callback(each.close)
            for stream in self._streams:
                stack.callback(stream.close)
            stack.callback(self._services.finish)  # nothing more is to be told, and nobody has been waited for
            for stream in self._streams:
                stack.callback(stream.finish)

    def prepare(self, options: Namespace, given: Collection[str]) -> Change:
        """Opens and checks all that other options need; what runs isn't touched. For any thread.

        Args:
            options: The new ones, complete.
            given: Names of those that were asked for, also where they are what they were.

        Raises:
            UserError: Something is wrong; nothing is left open.
        """
        change = Change(options)
        try:
            going_on = self._going_on(options)
            self._prepare_model(change, going_on)
            self._prepare_streams(change, going_on)
            if "record" in given:
                fps = change.streams[0].source.fps
                recorder = open_recorder(options, fps)
                change.recorder = [] if recorder is None else [recorder]
                say("recording: " + ("off" if recorder is None else str(recorder.path)))
        except BaseException:
            change.discard()
            raise
        finally:
            self.awaits_camera = False
        return change

    def commit(self, change: Change) -> None:
        """Puts a change into force, between two frames."""
        before, self.options, self.fps = self.options, change.options, change.fps
        for classifier in change.classifiers:  # before any of them makes a step
            classifier.translations = change.translations
        if change.recorder is not None:
            for sink in self.sinks:
                close_anyway(sink.close)
            self.sinks = change.recorder
        for sink in self.sinks:
            if isinstance(sink, VideoFile):
                sink.limit = self.options.record_limit
        anew = change.streams != self._streams
        self._end([stream for stream in self._streams if stream not in change.streams], change.classifiers)
        self._streams, self.classifiers = change.streams, change.classifiers
        for stream, classifier in zip(self._streams, self.classifiers):
            if stream.view is None:
                self._start(stream, change)
            elif stream.classifier is not classifier:
                stream.classifier = classifier
                stream.view.pipeline.replace(classifier)
        if anew:
            self._arrange()
        paced = self._differs(before, *_PACE) or (anew and self.options.max_cpu is not None)  # each has its share of it
        for stream, selection in zip(self._streams, change.selections):
            self._adapt(stream, selection, change, paced and stream not in change.opened)

    @property
    def running(self) -> list[View]:
        """The views of which more may come."""
        return [view for view in self.views if not view.ended]

    @property
    def draws(self) -> bool:
        """Whether somebody wants to see pictures now."""
        sinks = [*self.sinks, *(sink for view in self.views for sink in view.sinks)]
        return self._window is not None or any(sink.wants_pictures for sink in sinks)

    @property
    def recording(self) -> str | None:
        """The file that is being recorded."""
        return next((str(sink.path) for sink in self.sinks if isinstance(sink, VideoFile)), None)

    @property
    def heard(self) -> bool:
        """Whether somebody is left to run for."""
        return self._window is not None or bool(self.sinks) or any(view.sinks for view in self.views)

    @property
    def turns(self) -> int:
        """Those of all views, see Pipeline.turns; begins anew with other sources."""
        return sum(view.pipeline.turns for view in self.views)

    @property
    def events(self) -> int:
        """Events that have ended so far."""
        return self._services.ended

    def pause(self, paused: bool) -> None:
        """Stops or resumes the models; cameras are read on all the while."""
        self.paused = paused
        for view in self.views:
            view.status.paused = paused
            view.pipeline.pause(paused)
        if self.clock is not None:
            self.clock.restart()

    def _differs(self, options: Namespace, *names: str) -> bool:
        return any(getattr(options, name, None) != getattr(self.options, name, None) for name in names)

    def _going_on(self, options: Namespace) -> list[Stream | None]:
        """Returns for each of the sources what runs of it already and stays as it is; None for one to be opened.

        Raises:
            SourceError: One can't be: this is known before a model is fetched.
        """
        if not self._differs(options, "source"):
            return list(self._streams)
        left = [stream for stream in self._streams if stream.goes_on(len(options.source) > 1)]
        found: list[Stream | None] = []
        for wanted in [identity(uri) for uri in options.source]:
            found.append(next((stream for stream in left if stream.identity == wanted), None))
            left = [stream for stream in left if stream is not found[-1]]
        return found

    def _prepare_model(self, change: Change, going_on: Sequence[Stream | None]) -> None:
        options = change.options
        model = models.find_model(options.model)
        labels = labels_of(model, options.labels)
        taught = "" if self.classifiers else follow_teaching(options, model)  # later what was in force stays so
        if taught:
            say(f"model: run with {taught}, as it was taught")
        known = models.known_model(model)
        change.fps = options.sample_fps or (known.fps if known else _DEFAULT_FPS)
        bounded = (options.memory is None) != (getattr(self.options, "memory", None) is None)
        anew = bounded or self._differs(options, *_MODEL)
        left = [] if anew else [stream.classifier for stream in self._streams if stream not in going_on]
        for stream in going_on:
            if stream is not None and not anew:
                classifier = stream.classifier
            elif left:
                classifier = left.pop(0)
            else:
                classifier = load_classifier(model, labels, _memory_frames(options, change.fps), options)
                change.loaded.append(classifier)
            change.classifiers.append(classifier)
        if anew:
            describe(model, change.classifiers[0], change.fps)
        if anew or self._differs(options, "lang"):
            prepare_names(change, labels if isinstance(labels, Path) else model.with_suffix(".txt"))
        else:
            change.translations, change.lettering = self.classifiers[0].translations, self.views[0].lettering
        chosen: dict[str, Any] = {name: getattr(options, name) for name in ("top_k", "threshold", "allow", "deny")}
        change.selections = [classifier.select(**chosen) for classifier in change.classifiers]
        change.rules = self._services.rules(options, change.classifiers[0])

    def _prepare_streams(self, change: Change, going_on: Sequence[Stream | None]) -> None:
        options = change.options
        running = {place: stream.source for place, stream in enumerate(going_on) if stream is not None}
        self.awaits_camera = any(link_to(uri) is not None for uri in options.source)
        sources = open_sources(options.source, change.classifiers[0].input_size[::-1], options, running)
        names = [stream.name for stream in going_on if stream is not None]
        for uri, source, stream, classifier in zip(options.source, sources, going_on, change.classifiers):
            if stream is None:
                names.append(_distinct(source.name, names))
                stream = Stream(identity(uri), source, names[-1], classifier)
                change.opened.append(stream)
            change.streams.append(stream)
        for stream in change.opened:
            stream.open_outputs(options, self._window, self._services.looks, len(sources) > 1)
        if change.streams != self._streams:
            names = [stream.name for stream in change.streams]
            say(f"source{'s' * (len(names) > 1)}: {', '.join(names)}")

    def _end(self, streams: Sequence[Stream], kept: Sequence[Classifier]) -> None:
        """Ends streams, and their classifiers but for those that others are to have."""
        _summarize([stream.view for stream in streams if stream.view is not None])
        for stream in streams:
            close_anyway(stream.finish)
        for stream in streams:
            close_anyway(stream.close)
            if stream.classifier not in kept:
                stream.classifier.close()

    def _start(self, stream: Stream, change: Change) -> None:
        options, source, name, classifier = self.options, stream.source, stream.name, stream.classifier
        if source.live and self._worker is None:
            self._worker = self._running.enter_context(InferenceWorker())
        pace = open_pace(self.fps, source, classifier, len(change.streams), self._cooling, options)
        view = stream.start(pace, self._worker if source.live else None, options)
        view.looks = self._services.looks
        if self.views:
            view.status.strip = self.views[0].status.strip
        sinks = self._services.sinks(name)
        if change.rules is not None:
            longest = max(change.rules.of(label).minimum for label in classifier.labels)
            patient = not source.live and self._window is None
            view.events = self._services.finder(name, options, longest, patient, view.timeline)
            sinks.append(view.events)
        stream.add_sinks(sinks)

    def _arrange(self) -> None:
        """Follows new sources, or a new order."""
        self.views = [stream.view for stream in self._streams if stream.view is not None]
        self.names = [stream.name for stream in self._streams]
        for view, name in zip(self.views, self.names):
            view.name = view.status.source = name if len(self.views) > 1 else ""
            for sink in view.sinks:
                if isinstance(sink, Console):
                    sink.name = view.name
        self.clock = Clock() if self._window is not None and not self._streams[0].source.live else None
        self.pause(self.paused)

    def _adapt(self, stream: Stream, selection: Selection, change: Change, paced: bool) -> None:
        """Lets a stream follow the options."""
        options, view, source, classifier = self.options, stream.view, stream.source, stream.classifier
        assert view is not None
        classifier.selection = selection
        classifier.fit = view.fit = options.fit
        frames = _memory_frames(options, self.fps)
        classifier.memory = None if frames is None else classifier.bounded_memory(frames)
        view.mirror = options.mirror
        view.truth = truth_of(source, classifier)
        view.lettering = change.lettering
        if change.lettering is None:
            view.names = Names()
        else:
            view.names = Names(dict(zip(classifier.labels, change.translations or ())), change.lettering.regular)
        view.status.wanted_fps = self.fps
        view.pipeline.forget_after = options.memory if source.live else None
        if paced:
            view.pipeline.pace = open_pace(self.fps, source, classifier, len(self._streams), self._cooling, options)
        view.follow(classifier.labels, selection.candidates)
        if view.timeline is not None:
            view.timeline.follow(classifier.labels, selection.candidates, view.names)
        if view.events is not None and change.rules is not None:
            view.events.follow(classifier.labels, selection.candidates, change.rules)


def _summarize(views: Sequence[View]) -> None:
    """Prints what was done, a line for each source."""
    for view in views:
        name = f"{view.name}: " if view.name else ""
        median = f", {statistics.median(view.step_times) * 1e3:.1f} ms a step (median)" if view.step_times else ""
        say(f"ended: {name}{view.frames} frames, {view.steps} steps{median}")
        if view.score.steps:
            say(f"score: {name}{view.score}")


def _distinct(name: str, taken: Collection[str]) -> str:
    """Numbers the second and later ones of equal names: a.mp4, a.mp4 2."""
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def _memory_frames(options: Namespace, fps: float) -> int | None:
    return None if options.memory is None else max(1, round(options.memory * fps))
