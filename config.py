"""The TOML file that can hold the same flags as the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from errors import UserError
from flags import Parser, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Flags that are about this one command.
_ONCE = """
    help config list-models model-info list-cameras doctor events-report day live status snapshot reset quit
""".split()


def read_config(path: Path, parser: Parser) -> dict[str, Any]:
    """Returns the values of a TOML file by option name, converted and checked as if they stood on the command line.

    The table "event", with rules for single labels, is returned as it is.

    Raises:
        UserError: The file can't be read or is no TOML, or holds what no flag takes.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path} is not TOML: {' '.join(str(error).split())}") from None
    actions = {
        flag[2:]: action for action in parser._actions for flag in action.option_strings if not flag.startswith("--no-")
    }
    for key in _ONCE:
        del actions[key]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key == "event" and isinstance(value, dict):
            values[key] = value
            continue
        flag = key.replace("_", "-")
        if flag not in actions:
            raise UserError(f"--config {path}: unknown key {key!r}{nearest(flag, list(actions))}")
        try:
            parsed = parser.parse_args(as_arguments(flag, value, actions[flag]))
        except UserError as error:
            raise UserError(f"--config {path}: {error}") from None
        values[actions[flag].dest] = getattr(parsed, actions[flag].dest)
    return values


def as_arguments(flag: str, value: Any, action: argparse.Action) -> list[str]:
    """Spells one key of a TOML file as it would stand on the command line.

    Raises:
        UserError: The value is of a type that the flag can't take.
    """
    if isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise UserError(f"{flag} is {value!r}; it must be true or false")
        return [f"--{flag}" if value else f"--no-{flag}"]
    if action.nargs == "*":
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and not name.startswith("-") for name in names):
            raise UserError(f"{flag} is {value!r}; it must be a list of labels")
        return [f"--{flag}", *names]
    several = value if isinstance(action, argparse._AppendAction) and isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, (str, int, float)) for one in several) or not several:
        raise UserError(f"{flag} is {value!r}; it must be a number or a text")
    return [f"--{flag}={one}" for one in several]
