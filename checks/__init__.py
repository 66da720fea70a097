"""What `classify.py --doctor` looks at, and how a check tells what it found."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        level: "ok"; "warning" if the program runs all the same; "problem" if it can't show what a camera sees.
        text: One line: what is there, or what is wrong and what to do.
    """

    level: str
    text: str


def ok(text: str) -> Finding:
    return Finding("ok", text)


def warning(text: str) -> Finding:
    return Finding("warning", text)


def problem(text: str) -> Finding:
    return Finding("problem", text)
