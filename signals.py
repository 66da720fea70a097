"""What SIGINT, SIGTERM and SIGHUP do to the program."""

from __future__ import annotations

import signal
import threading


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into an orderly end.

    Attributes:
        stop: Set when one came.
        status: 128 + the signal's number, the exit status that shells expect; 0 if none came.
        deferred: While False, a signal ends the program where it stands; while True, whoever set it watches `stop`.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.status = 0
        self.deferred = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        self.status = 128 + number
        self.stop.set()
        if not self.deferred:
            raise SystemExit(self.status)
