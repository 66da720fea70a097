"""What a command line with --live says: the flags that stand in it, and no defaults."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any, Sequence

from errors import UserError
from options import build_parser

_PATHS = ("record", "snapshot")
_PATHS_OR_NAMES = ("model", "labels")  # which are looked up in folders of the program's, too
_NO_PATH = re.compile(r"(csi|usb)(:\d+)?|demo|\s*|[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)


def given_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """Parses a command line.

    Returns:
        The values by flag name, ready for JSON: true and false, numbers, texts, lists of texts; null is "off". The
        program runs in another folder than its caller: paths are absolute.

    Raises:
        UserError: An unknown flag, a value that is out of range, or a path that leads nowhere.
    """
    parser = build_parser()
    actions = {action.dest: action for action in reversed(parser._actions)}
    not_given = object()
    # What stands in the namespace already is kept over a default, and replaced by a flag.
    blank = {
        name: None if isinstance(action, argparse._AppendAction) else not_given for name, action in actions.items()
    }
    values = vars(parser.parse_args(arguments, argparse.Namespace(**blank)))
    return {
        actions[name].option_strings[0][2:]: _to_json(name, value)
        for name, value in values.items()
        if name in actions and value is not blank[name]
    }


def _to_json(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_source(text) if name == "source" else text for text in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    if name in _PATHS or (name in _PATHS_OR_NAMES and _is_path(text)):
        return _absolute(text)
    return text


def _is_path(text: str) -> bool:
    return text.startswith("~") or os.sep in text or os.path.isfile(text)


def _source(text: str) -> str:
    return text if _NO_PATH.fullmatch(text) else _absolute(text)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(os.path.expanduser(path)) if path else path
    except OSError:
        raise UserError(f"{path}: the folder that you are in was deleted; change to another one") from None
