"""What SIGINT, SIGTERM and SIGHUP do to the program."""

from __future__ import annotations

import math
import os
import signal
import threading
import time


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into an orderly end.

    Attributes:
        stop: Set when one came.
        status: 128 + the signal's number, the exit status that shells expect; 0 if none came.
        deferred: While False, a signal ends the program where it stands; while True, whoever set it watches `stop`.
        patience: Seconds after the first signal from which another one ends the program where it stands all the same,
            and at once: what watches `stop` hangs, such as in writing to a pipe that nobody reads.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.status = 0
        self.deferred = False
        self.patience = math.inf
        self._first = math.inf  # seconds of the monotonic clock at which the first one came
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        self.status = 128 + number
        now = time.monotonic()
        if now - self._first > self.patience:
            os._exit(self.status)  # whatever ended it in good order could hang in the same way
        self._first = min(self._first, now)
        self.stop.set()
        if not self.deferred:
            raise SystemExit(self.status)
