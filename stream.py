"""A source that runs, with all that is its own: threads, view, outputs. It begins and ends while others go on."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from typing import Any

from classifier import Classifier
from opening import open_sinks, open_view
from pace import Pace
from pipeline.live import InferenceWorker
from sinks import Sink
from sinks.viewer import Viewer
from sources import Source
from timeline.colours import Looks
from view import View


class Stream:
    """Main thread only, but for what comes before start().

    Args:
        identity: What tells that a URI means this source, see sources.identity.
        source: Open.
        name: What its outputs call it, unlike any other's; it keeps it for as long as it runs.
        classifier: Makes its steps.

    Attributes:
        identity: As given.
        source: As given.
        name: As given.
        classifier: As given, or the one that has replaced it.
        view: What the main thread sees of it; None before start().
    """

    def __init__(self, identity: tuple[str, str], source: Source, name: str, classifier: Classifier) -> None:
        self.identity = identity
        self.source = source
        self.name = name
        self.classifier = classifier
        self.view: View | None = None
        self._timeline: Any = None
        self._sinks: list[Sink] = []
        self._threads = contextlib.ExitStack()

    def open_outputs(self, options: Namespace, window: Viewer | None, looks: Looks, several: bool) -> None:
        """Opens those that may be refused, so that they are before anything else has changed.

        Args:
            options: The new ones.
            window: Where the picture is shown, or None.
            looks: The labels' colours.
            several: Whether it won't be the only source.

        Raises:
            UserError: One can't be opened; the others are left to close().
        """
        name, source = self.name if several else "", self.source
        if options.timeline is not None:
            from sinks.timeline import open_timeline  # it needs packages that nothing else does

            self._timeline = open_timeline(
                options.timeline, self.name, live=source.live, fps=source.fps, looks=looks, name=name
            )
        for sink in open_sinks(options, self.name, window, name):
            self._sinks.append(sink)

    def goes_on(self, several: bool) -> bool:
        """Says whether it can stay as it is where its source is asked for again.

        Args:
            several: Whether it won't be the only source: beside others, files play in real time.
        """
        return self.view is not None and not self.view.ended and (self.source.live or not several)

    def start(self, pace: Pace, worker: InferenceWorker | None, options: Namespace) -> View:
        """Starts its threads; the classifier's first step is from a fresh state.

        Returns:
            Its view, without sinks.
        """
        self.view = open_view(self.source, self.classifier, pace, worker, options, self._threads)
        self.view.timeline = self._timeline
        return self.view

    def add_sinks(self, sinks: list[Sink]) -> None:
        """Gives its view the outputs that were opened, and these."""
        assert self.view is not None
        self._sinks += sinks
        self.view.sinks = [*([] if self._timeline is None else [self._timeline]), *self._sinks]

    def finish(self) -> None:
        """Tells its threads to stop, and ends the outputs that take no time for it; may be called twice.

        Raises:
            OutputError: One could not be finished; the others are.
        """
        if self.view is not None:
            self.view.pipeline.stop()
        with contextlib.ExitStack() as stack:  # the last one, which tells the others of events, first
            for sink in self._sinks:
                stack.callback(sink.close)

    def close(self) -> None:
        """Ends everything and closes the source; may be called twice.

        Raises:
            OutputError: As finish().
        """
        with contextlib.ExitStack() as stack:
            if self.view is None:  # else its threads close it, unless it doesn't let go of them
                stack.callback(self.source.close)
            stack.callback(self._threads.close)
            if self._timeline is not None:
                stack.callback(self._timeline.close)
            stack.callback(self.finish)
