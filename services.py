"""What tells the world outside: event files, clips, the web page, MQTT. Nothing of it is loaded unless asked for."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any, Sequence

import models
from classifier import find_classes
from credentials import tell_secret
from errors import OutputError, UserError
from events import Event, EventSink
from events.rules import Rules, rules_for
from model_metadata import labels_of
from remote.instance import Instance
from sinks import Sink
from timeline.colours import Looks
from utils import read_labels, say

if TYPE_CHECKING:
    from classifier import Classifier
    from events.finder import EventFinder

_NOTICE = 2.0  # seconds by which an event may be announced later than its least duration


class Services:
    """A context manager, for the main thread; opened once and kept while sources and models change.

    Args:
        options: The command line's; None for no services at all.
        instance: What the web page and MQTT show and change.

    Attributes:
        ended: Events that have ended so far.
        looks: Which colour each label has, everywhere.

    Raises:
        UserError: One of them can't be opened.
    """

    def __init__(self, options: Namespace | None = None, instance: Instance | None = None) -> None:
        self.ended = 0
        self.looks = Looks()
        self._sensors: list[str] = []  # labels that MQTT has a sensor of
        self._clips: Any = None
        self._sinks: list[EventSink] = []
        self._remotes: list[Any] = []  # they give each source a sink of its own, and take events
        self._recorders: list[Any] = []  # of clips, also those of sources that are gone, until they are done
        self._stack = contextlib.ExitStack()
        if options is not None and instance is not None:
            with contextlib.ExitStack() as stack:
                self._open(options, instance, stack)
                self._stack = stack.pop_all()

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        with self._stack:
            for recorder in self._recorders:
                recorder.close()

    def finish(self) -> None:
        """Tells all to come to an end, and waits for none: it takes the time of the slowest, not of one by one."""
        for each in (*self._recorders, *self._remotes, *self._sinks):
            finish = getattr(each, "finish", None)
            if finish is not None:
                finish()

    def rules(self, options: Namespace, classifier: Classifier) -> Rules | None:
        """Returns when an action counts as an event; None if nobody wants to know.

        Raises:
            UserError: See rules_for; or the model lacks a label of --mqtt-sensors.
        """
        _find_sensors(classifier.labels, self._sensors)
        rules = rules_for(options, classifier)
        return rules if self._clips is not None or self._sinks or self._remotes or options.timeline else None

    def sinks(self, source: str) -> list[Sink]:
        """Opens a source's own outputs."""
        return [remote.sink(source) for remote in self._remotes]

    def finder(
        self, source: str, options: Namespace, longest: float, patient: bool, timeline: EventSink | None
    ) -> EventFinder:
        """Opens what finds a source's events.

        Args:
            source: Its name.
            options: Those in force.
            timeline: The source's own, which is told of them first.
            longest: Seconds that any label's action must last to count.
            patient: Whether the source waits for the clips to be written: a file read as fast as possible.
        """
        from events.finder import EventFinder

        clips = None
        if self._clips is not None:
            from events.clips import ClipRecorder

            clips = ClipRecorder(self._clips, pre_roll=options.pre_roll, notice=longest + _NOTICE, patient=patient)
            for recorder in self._recorders:
                if recorder.done:
                    recorder.close()
            self._recorders = [*(one for one in self._recorders if not one.done), clips]
        return EventFinder(source, partial(self._tell, timeline), clips)

    def _open(self, options: Namespace, instance: Instance, stack: contextlib.ExitStack) -> None:
        if options.clips is not None:
            from events.clips_folder import ClipsFolder

            self._clips = ClipsFolder(options.clips, options.clips_limit)
        for path in options.events or ():
            from events.opening import open_event_sink

            self._sinks.append(stack.enter_context(contextlib.closing(open_event_sink(path))))
        if options.mqtt is not None:
            from remote.mqtt import Mqtt

            if options.mqtt_sensors:
                found = labels_of(models.find_model(options.model), options.labels)
                labels = found if isinstance(found, list) else read_labels(found)
                self._sensors = _find_sensors(labels, options.mqtt_sensors)
            mqtt = Mqtt(options.mqtt, instance, ca=options.mqtt_ca, sensors=self._sensors, snapshots=options.snapshots)
            self._remotes.append(stack.enter_context(contextlib.closing(mqtt)))
        if options.serve is not None:
            server = stack.enter_context(contextlib.closing(self._serve(options, instance)))
            self._remotes.append(server)

    def _serve(self, options: Namespace, instance: Instance) -> Any:
        from events.opening import DATABASE_SUFFIXES
        from web.server import WebServer

        database = next((path for path in options.events or () if path.lower().endswith(DATABASE_SUFFIXES)), None)
        address, port = options.serve
        server = WebServer(
            instance, address, port, token=options.token, clips=self._clips, database=database, looks=self.looks
        )
        if options.token is None:
            tell_secret(f"web: {server.url}")  # of a token that was made just now, this once
        else:
            say(f"web: {server.url}")
        return server

    def _tell(self, timeline: EventSink | None, event: Event) -> None:
        if timeline is not None:
            timeline.event(event)
        self.ended += not event.ongoing
        for remote in self._remotes:
            remote.event(event)
        for sink in list(self._sinks):
            try:
                sink.event(event)
            except OutputError as error:
                sink.close()
                self._sinks.remove(sink)
                if self._clips is None and not self._sinks and not self._remotes and timeline is None:
                    raise  # nobody is left to find events for
                say(f"classify.py: {error}")


def _find_sensors(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns those names of labels as the model spells them."""
    try:
        return list(dict.fromkeys(labels[index] for index in sorted(find_classes(labels, names))))
    except UserError as error:
        raise UserError(f"--mqtt-sensors: {error}") from None
