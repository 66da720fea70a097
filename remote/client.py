"""--live: asks the program that runs already, and changes it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

from errors import OutputError, UserError
from printing import print_out
from remote.given import given_settings
from remote.paths import SERVICE_FOLDER, check_name, running
from remote.tables import settings_table, status_table
from utils import printable

_PATIENCE = 10.0  # seconds for an answer
_CHANGE_PATIENCE = 120.0  # seconds for one that may have to wait for a model
_LONGEST_ANSWER = 2**20  # bytes
_ACTIONS = ("live", "instance", "status", "snapshot", "reset", "quit")  # flags that are no settings


def live(arguments: Sequence[str]) -> int:
    """Applies a command line to the running program and prints what is in force then.

    Settings are changed first; then follow --reset, --snapshot, --status and --quit, as far as they are given.

    Args:
        arguments: With "--live" among them.

    Returns:
        The exit status, 0.

    Raises:
        UserError: A flag is wrong or can't change, there isn't one program to ask, or it doesn't answer.
    """
    settings = given_settings(arguments)
    actions = {name: settings.pop(name) for name in _ACTIONS if name in settings}
    with Connection(*find(actions.get("instance"))) as program:
        if settings:
            in_force = program.ask("change", settings=settings)
            with program.understood():
                table = settings_table({name: in_force[name] for name in in_force if name in settings})
            print_out(table)
        if "reset" in actions:
            program.ask("reset")
            print_out("reset")
        if "snapshot" in actions:
            saved = program.ask("snapshot", path=actions["snapshot"])
            _check_seen(saved)
            print_out(f"saved {saved}")
        if "status" in actions:
            status = program.ask_facts("status")
            with program.understood():
                table = status_table(status)
            print_out(table)
        if "quit" in actions:
            program.ask("quit")
            print_out(f"{program.name} ends")
        if not settings and actions.keys() <= {"live", "instance"}:
            in_force = program.ask_facts("settings")
            with program.understood():
                table = settings_table({"instance": program.name, **in_force})
            print_out(table)
    return 0


def find(name: str | None) -> tuple[str, Path]:
    """Returns the name and the socket of the instance that is meant.

    Args:
        name: None for the only one.

    Raises:
        UserError: There is none, or there are several.
    """
    found = running()
    names = ", ".join(sorted(found))
    if name is not None and check_name(name) not in found:
        raise UserError(f"no instance called {name} is running here" + (f"; there is {names}" if names else ""))
    if not found:
        service = os.geteuid() != 0 and SERVICE_FOLDER.parent.exists()
        hint = "; the service obeys root: sudo python classify.py --live" if service else ""
        raise UserError(f"no instance is running here{hint}")
    if name is None and len(found) > 1:
        raise UserError(f"{len(found)} instances are running here; choose one with --instance: {names}")
    name = name or names
    return name, found[name]


class Connection:
    """Asks one instance. A context manager.

    Args:
        name: Of the instance.
        path: Of its socket.

    Raises:
        UserError: It doesn't answer.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._unread = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connect(os.fsencode(path), time.monotonic() + _PATIENCE)
        except OSError as error:
            self._socket.close()
            raise UserError(f"the instance {name} doesn't answer: {error.strerror or error}") from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, **details: Any) -> Any:
        """Returns the result of a command.

        Args:
            command: See remote/request.py.
            details: What belongs to it.

        Raises:
            UserError: The program refuses, with its own message and status; or it doesn't answer.
        """
        patience = _CHANGE_PATIENCE if command == "change" else _PATIENCE
        try:
            line = self._exchange({"command": command, **details}, time.monotonic() + patience)
        except socket.timeout:
            raise UserError(f"the instance {self.name} hasn't answered for {patience:g} s") from None
        except OSError:
            if command == "quit":  # it was faster than its answer
                return None
            raise UserError(f"the instance {self.name} ended before it answered") from None
        with self.understood():
            answer = json.loads(line)
            if answer["ok"]:
                return answer["result"]
            error = UserError(printable(str(answer["error"])))
            error.status = int(answer["status"])
        raise error

    def ask_facts(self, command: str) -> Any:
        """Returns the settings or the statistics.

        Raises:
            UserError: There are none yet; or as above.
        """
        facts = self.ask(command)
        if facts == {}:
            raise UserError(f"the instance {self.name} is still starting; try again in a moment")
        return facts

    @contextlib.contextmanager
    def understood(self) -> Iterator[None]:
        """Has a UserError say so if an answer is none that this version knows: the program may be an older one."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UserError(
                f"the instance {self.name} answers in a way that this version doesn't know; was the program updated "
                "while it ran? Start it again"
            ) from None

    def _connect(self, path: bytes, deadline: float) -> None:
        while True:
            self._wait_until(deadline)
            try:
                self._socket.connect(path)
                return
            except BlockingIOError:  # so many wait there already
                time.sleep(0.05)

    def _exchange(self, request: dict[str, Any], deadline: float) -> bytes:
        """Sends a request; returns the line that is the answer."""
        self._wait_until(deadline)
        with contextlib.suppress(ConnectionError):  # hung up, but perhaps not without a word
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        while b"\n" not in self._unread and len(self._unread) < _LONGEST_ANSWER:
            self._wait_until(deadline)
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _wait_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self._socket.settimeout(left)


def _check_seen(path: str) -> None:
    """Refuses to call a file saved that is out of the caller's sight."""
    if not os.path.exists(path):
        raise OutputError(
            f"the program has saved {path}, but in folders of its own: a service has its own /tmp; try a file in "
            "/var/lib/movinet-pi"
        )
