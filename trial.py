"""Native code that a damaged file can crash is first let loose on it in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SECONDS = 30.0
"""How long a trial may take."""


def try_in_child(script: str | os.PathLike[str], *arguments: str, content: bytes = b"") -> str | None:
    """Runs a Python file that tries something; returns what went wrong, or None if nothing did.

    Args:
        script: It writes a reason to standard output and exits with 1 where something is wrong.
        arguments: Its arguments.
        content: Its standard input.
    """
    # The child finds the packages where this process does, also after sys.path was edited or under `python -P`.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(script).resolve()), *arguments]
    try:
        child = subprocess.run(
            command, input=content, capture_output=True, env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"one step took more than {SECONDS:.0f} s"
    if child.returncode < 0:
        return f"it crashes ({signal.strsignal(-child.returncode)})"
    if child.returncode > 0:
        # The reason stands on stdout, what the interpreter itself may have died of on stderr.
        return (child.stdout or child.stderr.strip().rpartition(b"\n")[2]).decode(errors="replace")
    return None
