#!/usr/bin/env python3
"""Teaches a model your own actions, on this machine, in minutes.

    python train.py collect --label waving
        records clips of each action with the camera
    python train.py fit --out models/mine.tflite
        teaches a model with them, and tells how good it is

Then: python classify.py --model models/mine.tflite. Each has --help.
"""

from __future__ import annotations

import signal
import sys

from credentials import hide_credentials
from environment import use_venv

if __name__ == "__main__":
    hide_credentials()
    # The imports below take a second on a Pi; Ctrl-C during them should end the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    use_venv()

import os
import threading
from typing import Sequence

from errors import UserError
from flags import nearest
from printing import print_out
from utils import say

_COMMANDS = ("collect", "fit")


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        if command in ("-h", "--help"):
            print_out(__doc__)
            return 0
        if command not in _COMMANDS:
            raise UserError(
                f"{command!r} is no subcommand{nearest(command, _COMMANDS)}; give collect or fit, see --help"
                if command
                else "give collect or fit; see --help"
            )
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            say(f"train.py: {error}")
        return error.status
    if command == "collect":
        from teaching.collect_command import run
    else:
        from teaching.fit_command import run
    return run(rest)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if sys.stdout is not None:  # the shell's >&-
        sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(status)  # a camera's driver that never returns holds its thread
    sys.exit(status)
