"""`classify.py --doctor`: looks at everything that the program needs, and says what is wrong and what to do.

A broken package can crash the process that imports it, and a driver can hang it. So what is imported here is Python's
own, and each check that needs more runs in a child: this file, started as `doctor.py NAME`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from typing import Any, Callable, NamedTuple, Sequence

from checks import Finding, board, devices, software
from credentials import public_text
from errors import UserError
from printing import print_out

_SECONDS = 90.0  # that a child may take: opening a stream may take 15, trying a model 30
_COLORS = {"ok": "\033[32m", "warning": "\033[33m", "problem": "\033[1;31m"}
_PLAIN = "\033[0m"
_ERASE = "\r\033[K"


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: What it is about.
        look: Returns what it found, or None where there is nothing to tell. One with a parameter takes the options.
        child: Whether it runs in a process of its own.
        options: Whether it takes the command line's options.
        needed: Whether it is a problem, not just a warning, if it can't even be looked at.
    """

    name: str
    look: Callable[..., Finding | None]
    child: bool = False
    options: bool = False
    needed: bool = False


CHECKS = (
    Check("Python", board.check_python),
    Check("numpy", software.check_numpy, child=True, needed=True),
    Check("OpenCV", software.check_opencv, child=True, needed=True),
    Check("PyAV", software.check_pyav, child=True),
    Check("model", software.check_model, child=True, options=True, needed=True),
    Check("runtime", software.check_runtime, child=True, options=True, needed=True),
    Check("picamera2", devices.check_picamera2, child=True),
    Check("devices", board.check_devices),
    Check("camera", devices.check_camera, child=True, options=True, needed=True),
    Check("display", devices.check_display, child=True),
    Check("temperature", board.check_temperature),
    Check("power", board.check_power),
    Check("memory", board.check_memory),
    Check("disk", board.check_disk),
    Check("clock", board.check_clock),
)


def main(arguments: Sequence[str], checks: Sequence[Check] = CHECKS) -> int:
    """Prints a line for each check, as soon as it is known, and a last one.

    Args:
        arguments: The command line of classify.py: the model and the source that it names are looked at.
        checks: What to look at.

    Returns:
        The exit status: 0, 1 if the program can't show what a camera sees, 2 if the command line is wrong, 5 if the
        report can't be written.
    """
    try:
        return _examine([argument for argument in arguments if argument != "--doctor"], checks)
    except UserError as error:
        if error.status:  # 0: the reader of our output has had enough
            print(f"classify.py: {error}", file=sys.stderr)
        return error.status


def _examine(arguments: Sequence[str], checks: Sequence[Check]) -> int:
    report = Report()
    for check in checks:
        report.begin(check.name)
        try:
            finding = _in_child(check, arguments) if check.child else _here(check)
        except UserError:
            report.erase()
            raise
        report.end(check.name, finding)
    return report.conclude()


class Report:
    """Prints findings: in colour and in lines as wide as the terminal on a terminal, else one a line."""

    def __init__(self) -> None:
        self._terminal = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colored = self._terminal and not os.environ.get("NO_COLOR")
        self._found = {"ok": 0, "warning": 0, "problem": 0}

    def begin(self, name: str) -> None:
        """Says what is being looked at, if a person is waiting."""
        if self._terminal:
            print_out(f"{'...':<9}{name}", end="")

    def erase(self) -> None:
        """Takes back what begin() said."""
        if self._terminal:
            print_out(_ERASE, end="")

    def end(self, name: str, finding: Finding | None) -> None:
        """Says what was found, if anything."""
        self.erase()
        if finding is not None:
            self._found[finding.level] += 1
            self._line(finding.level, f"{name:<13}", public_text(finding.text))

    def conclude(self) -> int:
        """Prints the last line; returns the exit status."""
        problems, warnings = (_count(self._found[level], level) for level in ("problem", "warning"))
        if problems:
            text = f"Not ready: {problems}{' and ' if warnings else ''}{warnings}."
        else:
            text = f"Ready{', with ' if warnings else ''}{warnings}."
        print_out(f"\n{text}")
        return 1 if problems else 0

    def _line(self, level: str, name: str, text: str) -> None:
        width = shutil.get_terminal_size().columns if self._terminal else sys.maxsize
        margin = " " * (9 + len(name))
        lines = textwrap.wrap(text, max(30, width - len(margin)), break_long_words=False, break_on_hyphens=False)
        color, plain = (_COLORS[level], _PLAIN) if self._colored else ("", "")
        print_out(f"{color}{level:<9}{plain}{name}" + f"\n{margin}".join(lines))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}" if number else ""


def _here(check: Check) -> Finding | None:
    try:
        return check.look()
    except Exception as error:  # whatever it is, the other checks go on
        return _unknown(check, f"can't be looked at ({error!r})")


def _in_child(check: Check, arguments: Sequence[str]) -> Finding | None:
    """Runs a check in a child process.

    Raises:
        UserError: The command line is wrong.
    """
    child = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), check.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        # Not as arguments, since every user can see those and a URL may hold a password.
        output, errors = child.communicate(json.dumps(arguments), _SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()  # without waiting: one that hangs in a driver can't even be killed
        return _unknown(check, f"no answer for {_SECONDS:.0f} s; restart this machine")
    if child.returncode < 0:
        return _unknown(
            check, f"crashes ({signal.strsignal(-child.returncode)}); rm -rf .venv && ./setup.sh may mend it"
        )
    last = (errors.strip().splitlines() or ["ends without an answer"])[-1]
    if child.returncode == UserError.status:
        raise UserError(last)
    try:
        answer = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return _unknown(check, f"{last}; run ./setup.sh, which installs what is missing")
    return None if answer is None else Finding(*answer)


def _unknown(check: Check, reason: str) -> Finding:
    return Finding("problem" if check.needed else "warning", reason)


def _answer(name: str) -> None:
    """The child's part: makes one check and prints what it found, as the last line."""
    check = next(check for check in CHECKS if check.name == name)
    arguments = json.load(sys.stdin)
    parameters: list[Any] = []
    if check.options:
        from options import parse_options

        try:
            parameters = [parse_options(arguments)]
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(error.status)
    finding = check.look(*parameters)
    print(f"\n{json.dumps(finding)}", flush=True)
    os._exit(0)  # what a driver does at the end of a process is no part of the answer


if __name__ == "__main__":
    _answer(sys.argv[1])
