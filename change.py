"""What is opened and checked for other options before they are put into force."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from classifier import Classifier
from errors import OutputError, PackageError
from events.rules import Rules
from languages import shown_names
from lettering import Lettering, open_lettering
from sinks import Sink
from stream import Stream
from utils import say
from video_classifier import Selection


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
        streams: The sources, in their order.
        opened: Those of them that are new.
        recorder: A list of the new recording, or an empty one for none; None to keep what is.
    """

    options: Namespace
    fps: float = 0.0
    classifiers: list[Classifier] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    rules: Rules | None = None
    translations: list[str] | None = None
    lettering: Lettering | None = None
    loaded: list[Classifier] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    opened: list[Stream] = field(default_factory=list)
    recorder: list[Sink] | None = None

    def discard(self) -> None:
        """Closes what was opened for it."""
        for each in (*self.loaded, *self.opened, *(self.recorder or ())):
            close_anyway(each.close)


def close_anyway(close: Callable[[], None]) -> None:
    """Closes what isn't needed any more; what can't be finished is told, and no reason to end."""
    try:
        close()
    except OutputError as error:
        say(f"classify.py: {error}")


def prepare_names(change: Change, labels: Path) -> None:
    """Finds the translations of the class names, and what draws them; says what is missing for that."""
    names = change.classifiers[0].labels
    lang, change.translations = shown_names(change.options.lang, labels, names)
    try:
        change.lettering = open_lettering(lang, change.translations or names)
    except PackageError as error:
        instead = "the English names" if change.translations else "what it can of them"
        say(f"{error}; until then the picture shows {instead}")


def describe(model: Path, classifier: Classifier, fps: float) -> None:
    """Says what has been loaded."""
    threads = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    say(f"model: {model.name} on {classifier.runtime}, {threads}, {fps:g} frames a second")
    for note in classifier.notes:
        say(f"model: {note}")
