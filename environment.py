"""Runs the commands with the packages that setup.sh installed, whichever `python` they were typed with."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Sequence

from errors import PackageError

_VENV = Path(__file__).resolve().parent / ".venv"


def use_venv(venv: Path = _VENV, needed: Sequence[str] = ("cv2", "numpy")) -> None:
    """Starts the running command again in setup.sh's virtual environment, if the running Python isn't made for it.

    To be called before the first import of a package. Another virtual environment that has the packages is respected.

    Args:
        venv: That environment.
        needed: The packages without which the command can't start.
    """
    module = sys.modules["__main__"].__spec__  # of `python -m compiler`; None if a file was named
    package = module.parent if module is not None else ""  # "" if a folder was
    python = venv / "bin" / "python"
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if python.exists() and Path(sys.prefix) != venv and (missing or sys.prefix == sys.base_prefix):
        command = ["-m", package] if package else [sys.argv[0]]
        os.execv(python, [str(python), *command, *sys.argv[1:]])
    if missing:
        error = PackageError(f"{' and '.join(missing)} not installed for {sys.executable}; run ./setup.sh")
        print(f"{package or Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(error.status)
