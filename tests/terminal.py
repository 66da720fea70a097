"""A program whose standard error is a terminal, for tests."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios

LIMIT = 90  # seconds; against hanging only


def written_on_a_terminal(command, columns=0, **options):
    """Runs a program; returns the lines that it left on a terminal of so many columns (0: nobody knows).

    Args:
        command: As of subprocess.run, like the options.
        columns: Of the terminal.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24 if columns else 0, columns, 0, 0))
    with subprocess.Popen([str(part) for part in command], stderr=theirs, **options) as program:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux says that nobody writes any more
                part = b""
            if not part:
                break
            written += part
        assert program.wait(LIMIT) == 0, written.decode()
    os.close(ours)
    return [_visible(line) for line in written.decode().replace("\r\n", "\n").splitlines() if line]


def _visible(line):
    """What is seen of a line that was written over, by carriage returns, again and again."""
    seen = ""
    for part in line.split("\r"):
        seen = part + seen[len(part) :]
    return seen.rstrip()
