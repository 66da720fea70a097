"""The running program, as those see it who sit elsewhere: facts to read and commands to give.

The Unix socket, the web page and MQTT each have threads of their own and share one Instance. The main loop alone
changes the program: it publishes facts and obeys commands between two frames.
"""

from __future__ import annotations

import copy
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from errors import UserError

_MOST_WAITING = 32  # commands that the main loop hasn't taken yet, of those who are trusted and of the others each


class NotNow(UserError):
    """What was asked for can't be done at the moment, and perhaps later."""


@dataclass(frozen=True)
class Flag:
    """A flag that can be changed while the program runs.

    Attributes:
        name: Without dashes, as in a TOML file: "top-k".
        kind: What its value is in JSON: "switch" (true, false), "integer", "number", "choice", "text", "texts" (a list
            of texts).
        help: What it does, with units and default.
        choices: Of a choice.
        low: Least value of an integer or number.
        high: Greatest value.
        optional: Whether null is a value: "off", or "as the program chooses".
    """

    name: str
    kind: str
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Command:
    """Something that the main loop is asked to do.

    Attributes:
        action: "change", "reset", "snapshot" or "quit".
        value: The settings by flag name for "change", the file's path for "snapshot".
        trusted: Whether it comes from this machine's user, who may name any file and is served before others.
        done: To be given the answer, or the error.
    """

    action: str
    value: Any = None
    trusted: bool = False
    done: Future[Any] = field(default_factory=Future)


class Instance:
    """Facts of the running program, and the queue of commands to it. All methods may be called from any thread.

    Args:
        name: Tells several instances on one machine apart.
        flags: What can be changed while it runs.
    """

    def __init__(self, name: str, flags: Sequence[Flag]) -> None:
        self.name = name
        self.flags = tuple(flags)
        # Replaced as a whole, never modified: who reads them needs no lock.
        self._settings: dict[str, Any] = {}
        self._status: dict[str, Any] = {}
        self._status_at: float | None = None
        self._lock = threading.Lock()
        self._waiting: list[Command] = []

    def settings(self) -> dict[str, Any]:
        """Returns the current values by flag name, ready for JSON; credentials in URLs are masked."""
        return copy.deepcopy(self._settings)

    def status(self) -> dict[str, Any]:
        """Returns the statistics, ready for JSON; README's "From afar" lists them."""
        return copy.deepcopy(self._status)

    def silence(self) -> float:
        """Returns the seconds since the main loop has told its statistics, twice a second; 0 before the first time."""
        return 0.0 if self._status_at is None else time.monotonic() - self._status_at

    def change(self, settings: Mapping[str, Any], trusted: bool = False) -> Future[dict[str, Any]]:
        """Asks for other values; all of them are applied between two steps, or none.

        Args:
            settings: Values by flag name.
            trusted: Whether they come from this machine's user, who may name any file.

        Returns:
            The settings once they are in force; or a UserError that names the flag that is wrong.
        """
        return self._submit(Command("change", dict(settings), trusted))

    def reset(self, trusted: bool = False) -> Future[None]:
        """Asks the model to start from a fresh state."""
        return self._submit(Command("reset", trusted=trusted))

    def snapshot(self, path: str, trusted: bool = False) -> Future[str]:
        """Asks for the picture with its labels as a JPEG file.

        Args:
            path: Absolute; a folder takes a name by the time. An existing file is replaced.
            trusted: As above.

        Returns:
            The file's path; or an OutputError.
        """
        return self._submit(Command("snapshot", path, trusted))

    def quit(self) -> Future[None]:
        """Asks the program to end, as the q key does; for this machine's user only."""
        return self._submit(Command("quit", trusted=True))

    def publish(self, *, settings: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None) -> None:
        """Replaces the facts. For the main loop, which must not modify afterwards what it gave."""
        self._settings = self._settings if settings is None else dict(settings)
        if status is not None:
            self._status, self._status_at = dict(status), time.monotonic()

    def waiting(self, *actions: str, most: int | None = None) -> list[Command]:
        """Takes commands that wait: those that are trusted first, else the oldest. For the main loop.

        Args:
            actions: Only these; without any, all.
            most: How many at most; None for all.
        """
        with self._lock:
            wanted = [command for command in self._waiting if not actions or command.action in actions]
            taken = sorted(wanted, key=lambda command: not command.trusted)[:most]
            self._waiting = [command for command in self._waiting if command not in taken]
        return taken

    def _submit(self, command: Command) -> Future[Any]:
        with self._lock:
            full = sum(other.trusted == command.trusted for other in self._waiting) >= _MOST_WAITING
            if not full:
                self._waiting.append(command)
        if full:
            command.done.set_exception(NotNow("too many commands are waiting; try again in a moment"))
        return command.done
