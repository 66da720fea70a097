"""The kinds of values that flags take, and a parser whose errors are one line."""

from __future__ import annotations

import argparse
import difflib
import math
from dataclasses import dataclass
from datetime import date
from typing import Any, Callable, NoReturn, Sequence

from errors import UserError
from printing import print_out
from sinks.video_file import parse_limit
from web import parse_address

_LEAST_SIZE = 1_000_000  # bytes: seconds of a small picture


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Lists each flag by its first name only."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.nargs == 0:
            return action.option_strings[0]
        return f"{action.option_strings[0]} {self._format_args(action, action.dest.upper())}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and suggest the flag that was meant."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")

    def print_help(self, file: Any = None) -> None:
        print_out(self.format_help(), end="")

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown and not unknown[0].startswith("-"):  # as of a pattern that the shell has filled in
            advice = "quote a pattern, and what holds spaces: 'videos/*.mp4'"
            raise UserError(f"{unknown[0]!r} belongs to no flag; {advice}; see --help")
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            raise UserError(f"unknown flag {unknown[0]!r}{nearest(unknown[0].split('=')[0], flags)}; see --help")
        for action in self._actions:
            value = getattr(options, action.dest, None)
            if value == "" or isinstance(value, list) and "" in value:  # as of a shell variable that isn't set
                raise UserError(f"{action.option_strings[0]} is given an empty text; name a value, or leave it out")
        return options


class Noted(argparse.Action):
    """Stores a value like argparse's own, and its name in `given`: whether a flag was typed or has its default."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, flag: str | None = None) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = {*getattr(namespace, "given", ()), self.dest}


def nearest(word: str, words: Sequence[str]) -> str:
    """Returns ", did you mean 'top-k'?" with the word that is most alike, or "" where none is."""
    matches = difflib.get_close_matches(word, words, 1)
    return f", did you mean {matches[0]!r}?" if matches else ""


@dataclass(frozen=True)
class Number:
    """An argparse type: a number within bounds.

    Attributes:
        kind: int or float.
        low: The least one.
        high: The greatest one.
        unit: For messages: what is counted, or in brackets what the number is.
    """

    kind: Callable[[str], Any]
    low: float
    high: float
    unit: str

    def __call__(self, text: str) -> Any:
        try:
            value = self.kind(text)
        except ValueError:
            number = "a whole number" if self.kind is int else "a number"
            of = "" if self.unit.startswith("(") else "of "
            raise argparse.ArgumentTypeError(f"{text!r} is not {number} {of}{self.unit}") from None
        if not (self.low <= value <= self.high):
            raise argparse.ArgumentTypeError(f"{text} is not between {self.low:.15g} and {self.high:.15g} {self.unit}")
        return value


@dataclass(frozen=True)
class OrOff:
    """An argparse type: another one's value, or "off", which is None.

    Attributes:
        convert: The other type.
    """

    convert: Callable[[str], Any]

    def __call__(self, text: str) -> Any:
        return None if text == "off" else self.convert(text)


def camera_id(text: str) -> str:
    """Converts the reference example's --cameraId to a source."""
    return f"usb:{Number(int, 0, 99, '(a camera number)')(text)}"


def threads(text: str) -> Any:
    """Converts a number of threads, or "auto"."""
    return text if text == "auto" else Number(int, 1, 64, "threads")(text)


def jobs(text: str) -> Any:
    """Converts a number of worker processes, or "auto"."""
    return text if text == "auto" else Number(int, 1, 256, "jobs")(text)


def limit(text: str) -> Any:
    """Converts the limit of a recording."""
    try:
        return parse_limit(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(text: str) -> tuple[str, int]:
    """Converts an address and port to serve at."""
    try:
        return parse_address(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> int:
    """Converts a size with its unit, of all clips together, to bytes."""
    try:
        found = parse_limit(text).bytes
    except UserError:  # it speaks of times, too
        found = math.inf
    if not _LEAST_SIZE <= found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size from 1MB on, such as 500MB or 2GB")
    return int(found)


def timeline(text: str) -> str:
    """Checks the name of a timeline."""
    from sinks.timeline import check_path

    try:
        return check_path(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def per_channel(text: str) -> tuple[float, ...]:
    """Converts a number for all channels, or three, as in 114.8,107.7,99.5."""
    try:
        numbers = tuple(float(each) for each in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, or three with commas, such as 114.8,107.7,99.5")
    return numbers


def day(text: str) -> date:
    """Converts a day, 2026-11-21."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, such as 2026-11-21") from None
