"""Tells systemd how the program fares: ready, at work, ending. It restarts a service that falls silent.

The protocol is that of sd_notify(3): lines of text in one datagram to the socket that $NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Callable

_PERIOD = 10.0  # seconds between messages at most, so that what `systemctl status` shows is no older
_PATIENCE = 60.0  # seconds that a start may still take, counted from each message that says what it waits for
_START_TIME = 300.0  # seconds that loading may take, however long the camera was waited for; as TimeoutStartSec
_SEND_TIMEOUT = 1.0  # seconds; a system that is too busy to listen must not stop the pictures


class Notifier:
    """Reports to the service manager that started this process; does nothing if none did. For one thread.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # Taken out of the environment, so that child processes don't report in this one's name.
        address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog = os.environ.pop("WATCHDOG_USEC", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period = min(_PERIOD, int(watchdog) / 2e6) if watchdog.isdecimal() else _PERIOD
        self._clock = clock
        self._due = clock()
        self._ready = False
        self._turns = 0  # when the last message was sent
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_SEND_TIMEOUT)

    def begin(self, status: str) -> None:
        """Reports what the program does before its first step, and asks for some minutes for it, once.

        Args:
            status: One line for `systemctl status`.
        """
        if self._socket is not None:
            self._send(f"EXTEND_TIMEOUT_USEC={_START_TIME * 1e6:.0f}\nSTATUS={status}")

    def beat(self, turns: int, status: str, waiting: bool = False) -> None:
        """Reports that the program is alive: READY=1 with the model's first step, then WATCHDOG=1.

        To be called many times a second, from the loop that must not stand still; sends a message every few seconds
        (at most half of WatchdogSec). While the inference thread makes no further turn it sends nothing, so that
        systemd restarts a program whose inference hangs. Not so while it waits for a camera that is away: that is no
        fault of the program, and a restart would not bring the camera back.

        Args:
            turns: Of the inference thread so far, 0 before the model's first step, see Pipeline.turns. What counts is
                that the number changes: with other sources it begins anew.
            status: One line for `systemctl status`.
            waiting: No turn is to be expected: the source is away and being tried again, or the user paused.
        """
        now = self._clock()
        if self._socket is None or now < self._due or not (waiting or turns != self._turns):
            return
        if self._ready:
            news = "WATCHDOG=1"
        elif turns:
            news = "READY=1"
        else:
            news = f"EXTEND_TIMEOUT_USEC={_PATIENCE * 1e6:.0f}"
        sent = self._send(f"{news}\nSTATUS={status}")
        self._ready = self._ready or (sent and turns > 0)
        self._turns, self._due = turns, now + self._period

    def stop(self) -> None:
        """Reports that the program is ending on purpose; may be called twice."""
        if self._socket is not None:
            self._send("STOPPING=1\nSTATUS=ending")
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> bool:
        assert self._socket is not None
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:  # nobody listens, or not in time; the pictures are more important
            return False
        return True
