"""The flags that can change while the program runs: as JSON for those who sit elsewhere, as options for the program."""

from __future__ import annotations

import argparse
import functools
import re
from argparse import Namespace
from typing import Any, Mapping, Sequence

from config import as_arguments
from credentials import public_name, public_text
from errors import UserError
from flags import Number, OrOff, Parser, nearest
from options import build_parser
from remote.instance import Flag
from utils import printable

_LIVE = """
    model labels source threads precision compile memory sample-fps idle max-cpu fit lang top-k threshold allow deny
    mirror record record-limit event-on event-off event-min event-gap
""".split()
FILES = ("model", "labels", "record")  # flags that name files
# What a terminal or a journal would obey: controls, ends of lines, directions of writing.
_OBEYED = r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
FILE_NAME = rf"[^~./\\{_OBEYED}][^/\\{_OBEYED}]*"  # without a folder
_CAMERA = rf"csi(:\d+)?|usb:\d+|demo|(?i:rtsps?|https?)://[^{_OBEYED}]*"


def live_flags() -> list[Flag]:
    """Describes the flags that can change."""
    actions = _actions()
    return [_describe(name, actions[name]) for name in _LIVE]


def settings_of(options: Namespace) -> dict[str, Any]:
    """Returns the values of the flags that can change, by flag name, ready for JSON and without credentials."""
    actions = _actions()
    return {name: _to_json(getattr(options, actions[name].dest), actions[name]) for name in _LIVE}


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks and converts settings that came from elsewhere, as if they stood on the command line.

    Args:
        settings: Values by flag name, from JSON.

    Returns:
        Values by the option's name.

    Raises:
        UserError: A flag is unknown, can't change, or its value is wrong; the line names it.
    """
    actions = _actions()
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in actions:
            raise UserError(f"unknown flag {name!r}{nearest(str(name), _LIVE)}")
        if name not in _LIVE:
            raise UserError(f"--{name} can't change while the program runs; start it again with the new value")
        action = actions[name]
        if value is None or value == []:
            if not _describe(name, action).optional and action.nargs != "*":
                raise UserError(f"--{name} needs a value")
            values[action.dest] = None
        else:
            values[action.dest] = getattr(_parser().parse_args(as_arguments(name, value, action)), action.dest)
    return values


def check_untrusted(values: Mapping[str, Any], sources: Sequence[str]) -> None:
    """Keeps those who sit elsewhere to the program's own folders and to cameras.

    Args:
        values: From `read_settings`.
        sources: Those that run, which are allowed whatever they are.

    Raises:
        UserError: A name leads elsewhere, or would do more than be read where it is shown.
    """
    for name in FILES:
        value = values.get(name)
        if value is not None and not re.fullmatch(FILE_NAME, value):
            raise UserError(f"--{name} {value!r}: from afar only a plain name is taken, without a folder")
    for uri in values.get("source") or ():
        if uri not in sources and not re.fullmatch(_CAMERA, uri):
            shown = repr(public_text(uri))
            raise UserError(f"--source {shown}: from afar only cameras, addresses and the demo are taken")


@functools.lru_cache(maxsize=None)  # the pictures wait while it is built
def _parser() -> Parser:
    return build_parser()


def _actions() -> dict[str, argparse.Action]:
    return {action.option_strings[0][2:]: action for action in _parser()._actions}


def _describe(name: str, action: argparse.Action) -> Flag:
    text = (action.help or "") % vars(action)
    convert = action.type.convert if isinstance(action.type, OrOff) else action.type
    optional = isinstance(action.type, OrOff)
    if isinstance(action, argparse.BooleanOptionalAction):
        return Flag(name, "switch", text)
    if action.choices:
        return Flag(name, "choice", text, tuple(action.choices))
    if isinstance(convert, Number):
        kind = "integer" if convert.kind is int else "number"
        return Flag(name, kind, text, low=convert.low, high=convert.high, optional=optional)
    several = action.nargs == "*" or isinstance(action, argparse._AppendAction)
    return Flag(name, "texts" if several else "text", text, optional=optional)


def _to_json(value: Any, action: argparse.Action) -> Any:
    if isinstance(action, argparse._AppendAction):
        return [public_name(uri) for uri in value or []]
    if action.nargs == "*":
        return list(value or [])
    # A file's name may hold what no JSON can.
    return value if value is None or isinstance(value, (bool, int, float)) else printable(str(value))
