"""What runs now: the model, the sources with their threads, the outputs; and how each is exchanged while it runs."""

from __future__ import annotations

import contextlib
import os
import statistics
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Collection

import models
from classifier import Classifier
from errors import PackageError
from events.rules import Rules
from languages import choose_language, translated, untranslated
from lettering import Lettering, open_lettering
from model_metadata import labels_of
from opening import load_classifier, open_pace, open_recorder, open_sinks, open_sources, open_view, truth_of
from pipeline import InferenceWorker
from services import Services
from sinks import Sink
from sinks.viewer import Viewer
from sources import Source
from sources.clock import Clock
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


@dataclass
class Change:
    """What is opened and checked already for other options, see Session.prepare().

    Attributes:
        options: The new ones.
        fps: Frames a second that the model is to see.
        classifiers: One for each source.
        selections: One for each classifier.
        rules: When an action counts as an event; None if nobody wants to know.
        translations: The class names in the language that is shown; None to show them as they are.
        lettering: Draws them; None where that can't be: the picture shows the labels as they are.
        loaded: Those of the classifiers that are new.
        sources: New ones; None to keep those that run.
        recorder: A list of the new recording, or an empty one for none; None to keep what is.
    """

    options: Namespace
    fps: float = _DEFAULT_FPS
    classifiers: list[Classifier] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    rules: Rules | None = None
    translations: list[str] | None = None
    lettering: Lettering | None = None
    loaded: list[Classifier] = field(default_factory=list)
    sources: list[Source] | None = None
    recorder: list[Sink] | None = None

    def discard(self) -> None:
        """Closes what was opened for it."""
        for each in (*self.loaded, *(self.sources or ()), *(self.recorder or ())):
            each.close()


class Session:
    """A context manager; but for prepare(), for the main thread only.

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
    """

    def __init__(self, window: Viewer | None, services: Services) -> None:
        self.options = Namespace()
        self.fps = _DEFAULT_FPS
        self.views: list[View] = []
        self.sinks: list[Sink] = []
        self.classifiers: list[Classifier] = []
        self.clock: Clock | None = None
        self.paused = False
        self._window = window
        self._services = services
        self._sources: list[Source] = []
        self.names: list[str] = []
        self._running = contextlib.ExitStack()
        self._cooling = Cooling()  # one for all: they share the inference thread and the board

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
        for each in (*self.sinks, *self.classifiers):
            each.close()

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
            self._prepare_model(change)
            if self._differs(options, "source"):
                lores = change.classifiers[0].input_size[::-1]
                change.sources = open_sources(options.source, lores, options)
                names = ", ".join(source.name for source in change.sources)
                say(f"source{'s' * (len(change.sources) > 1)}: {names}")
            if "record" in given:
                fps = (change.sources or self._sources)[0].fps
                recorder = open_recorder(options, fps)
                change.recorder = [] if recorder is None else [recorder]
                say("recording: " + ("off" if recorder is None else str(recorder.path)))
        except BaseException:
            change.discard()
            raise
        return change

    def commit(self, change: Change) -> None:
        """Puts a change into force, between two frames."""
        before, self.options, self.fps = self.options, change.options, change.fps
        kept = [classifier for classifier in self.classifiers if classifier in change.classifiers]
        if change.sources is not None:
            self.summarize()
            self._running.close()
            self.views = []
            for classifier in self.classifiers:
                if classifier not in kept:
                    classifier.close()
            self._start_views(change)
        for view, classifier in zip(self.views, change.classifiers):
            if change.sources is None and classifier not in kept:
                view.pipeline.replace(classifier)
        self.classifiers = change.classifiers
        paced = self._differs(before, *_PACE)
        for place, classifier in enumerate(self.classifiers):
            self._adapt(place, classifier, change, paced and change.sources is None)
        if change.recorder is not None:
            for sink in self.sinks:
                sink.close()
            self.sinks = change.recorder

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
    def heard(self) -> bool:
        """Whether somebody is left to run for."""
        return self._window is not None or bool(self.sinks) or any(view.sinks for view in self.views)

    @property
    def steps(self) -> int:
        """Steps of all models so far."""
        return sum(view.steps for view in self.views)

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

    def summarize(self) -> None:
        """Prints what was done, a line for each source."""
        for view in self.views:
            name = f"{view.name}: " if view.name else ""
            median = f", {statistics.median(view.step_times) * 1e3:.1f} ms a step (median)" if view.step_times else ""
            say(f"ended: {name}{view.frames} frames, {view.steps} steps{median}")
            if view.score.steps:
                say(f"score: {name}{view.score}")

    def _differs(self, options: Namespace, *names: str) -> bool:
        return any(getattr(options, name, None) != getattr(self.options, name, None) for name in names)

    def _prepare_model(self, change: Change) -> None:
        options = change.options
        model = models.find_model(options.model)
        labels = labels_of(model, options.labels)
        known = models.known_model(model)
        change.fps = options.sample_fps or (known.fps if known else _DEFAULT_FPS)
        bounded = (options.memory is None) != (getattr(self.options, "memory", None) is None)
        anew = bounded or self._differs(options, *_MODEL)
        change.classifiers = [] if anew else self.classifiers[: len(options.source)]
        for _ in range(len(options.source) - len(change.classifiers)):
            classifier = load_classifier(model, labels, _memory_frames(options, change.fps), options)
            change.loaded.append(classifier)
            change.classifiers.append(classifier)
        if anew:
            _describe(model, change.classifiers[0], change.fps)
        if anew or self._differs(options, "lang"):
            _prepare_names(change, labels if isinstance(labels, Path) else model.with_suffix(".txt"))
        else:
            change.translations, change.lettering = self.classifiers[0].translations, self.views[0].lettering
        chosen: dict[str, Any] = {name: getattr(options, name) for name in ("top_k", "threshold", "allow", "deny")}
        change.selections = [classifier.select(**chosen) for classifier in change.classifiers]
        change.rules = self._services.rules(options, change.classifiers[0])

    def _start_views(self, change: Change) -> None:
        options, sources = change.options, change.sources or []
        self._sources = sources
        self.names = _distinct([source.name for source in sources])
        worker = self._running.enter_context(InferenceWorker()) if len(sources) > 1 else None
        for name, source, classifier in zip(self.names, sources, change.classifiers):
            if classifier not in change.loaded:
                classifier.reset()
            pace = open_pace(change.fps, source, classifier, len(sources), self._cooling, options)
            view = open_view(source, classifier, pace, worker, options, self._running)
            view.name = view.status.source = name if len(sources) > 1 else ""
            view.looks = self._services.looks
            sinks = [*open_sinks(options, name, self._window, view.name), *self._services.sinks(name)]
            if options.timeline is not None:
                view.timeline = _open_timeline(options.timeline, source, name, view)
                sinks.insert(0, view.timeline)  # closed last: what it prints comes after the console's line
            if change.rules is not None:
                longest = max(change.rules.of(label).minimum for label in classifier.labels)
                patient = not source.live and self._window is None
                view.events = self._services.finder(name, options, longest, patient, view.timeline)
                sinks.append(view.events)
            view.sinks = [self._running.enter_context(contextlib.closing(sink)) for sink in sinks]
            self.views.append(view)
        self.clock = Clock() if self._window is not None and not sources[0].live else None
        self.pause(self.paused)

    def _adapt(self, place: int, classifier: Classifier, change: Change, paced: bool) -> None:
        """Lets a view and its classifier follow the options."""
        options, view, source = self.options, self.views[place], self._sources[place]
        classifier.selection = selection = change.selections[place]
        classifier.fit = view.fit = options.fit
        frames = _memory_frames(options, self.fps)
        classifier.memory = None if frames is None else classifier.bounded_memory(frames)
        view.mirror = options.mirror
        view.truth = truth_of(source, classifier)
        classifier.translations, view.lettering = change.translations, change.lettering
        if change.lettering is None:
            view.names = Names()
        else:
            view.names = Names(dict(zip(classifier.labels, change.translations or ())), change.lettering.regular)
        view.status.wanted_fps = self.fps
        view.pipeline.forget_after = options.memory if source.live else None
        if paced:
            view.pipeline.pace = open_pace(self.fps, source, classifier, len(self._sources), self._cooling, options)
        view.history.follow(classifier.labels, selection.candidates)
        if view.timeline is not None:
            view.timeline.follow(classifier.labels, selection.candidates, view.names)
        if view.events is not None and change.rules is not None:
            view.events.follow(classifier.labels, selection.candidates, change.rules)


def _open_timeline(path: str, source: Source, name: str, view: View) -> Any:
    from sinks.timeline import open_timeline  # it needs packages that nothing else does

    return open_timeline(path, name, live=source.live, fps=source.fps, looks=view.looks, name=view.name)


def _distinct(names: list[str]) -> list[str]:
    """Numbers the second and later ones of equal names: demo, demo 2."""
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [name if number == 1 else f"{name} {number}" for name, number in zip(names, numbers)]


def _memory_frames(options: Namespace, fps: float) -> int | None:
    return None if options.memory is None else max(1, round(options.memory * fps))


def _prepare_names(change: Change, labels: Path) -> None:
    flag, names = change.options.lang, change.classifiers[0].labels
    lang = choose_language(None if flag == "auto" else flag, os.environ)
    change.translations = translated(labels, names, lang)
    if change.translations is None and lang != "en":
        say(untranslated(labels, names, lang))
    try:
        change.lettering = open_lettering(lang, change.translations or names)
    except PackageError as error:
        instead = "the English names" if change.translations else "what it can of them"
        say(f"{error}; until then the picture shows {instead}")


def _describe(model: Path, classifier: Classifier, fps: float) -> None:
    threads = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    say(f"model: {model.name} on {classifier.runtime}, {threads}, {fps:g} frames a second")
    for note in classifier.notes:
        say(f"model: {note}")
