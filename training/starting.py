"""What the commands do before they import a package: needs none itself."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from typing import Sequence

from errors import PackageError

# Set before torch is loaded. Threads that spin while they wait slow each other down on a busy machine, up to tenfold;
# memory that is given back to the system after each step costs a quarter of the time.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
}


def check_packages(command: str, needed: Sequence[str], advice: str) -> None:
    """Ends the program with one line if a package is missing, and from now on with none at Ctrl-C.

    Args:
        command: What was typed, for the message.
        needed: The packages without which it can't start.
        advice: What to do.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the imports that follow take many seconds
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        error = PackageError(f"{', '.join(missing)} not installed for {sys.executable}; {advice}")
        print(f"{command}: {error}", file=sys.stderr)
        sys.exit(error.status)


def use_environment() -> None:
    """Starts `python -m training` again with the environment that it needs, if that isn't set."""
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, "-m", "training", *sys.argv[1:]], {**os.environ, **_ENVIRONMENT})
