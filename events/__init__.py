"""Events: actions that began and ended, found in the stream of predictions, and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Event:
    """An action, from its beginning to its end.

    Attributes:
        id: Unlike that of any other event, of any run; sorts by time.
        label: The class's name.
        source: The name of the source, without credentials.
        start: When it began, in seconds since 1970 (UTC), by this machine's clock.
        position: The source's timestamp at which it began, in seconds: of a file, from its beginning.
        duration: Seconds by the source's clock; so far, while it lasts.
        peak: Its highest probability so far, 0..1.
        mean: Its mean probability so far, from start to end.
        ongoing: Whether it lasts.
        clip: Name of the video in the folder of --clips; None without one.
    """

    id: str
    label: str
    source: str
    start: float
    position: float
    duration: float
    peak: float
    mean: float
    ongoing: bool
    clip: str | None = None

    @property
    def end(self) -> float:
        """When it ended, in seconds since 1970 (UTC); so far, while it lasts."""
        return self.start + self.duration


class EventSink(Protocol):
    """Where events go. Called from the main thread only, which it must not hold up."""

    def event(self, event: Event) -> None:
        """Takes an event, once when it has begun and once, with the same id, when it has ended.

        Raises:
            OutputError: It can take no more; the program drops it and goes on.
        """

    def close(self) -> None:
        """Finishes the output; may be called twice."""
