"""Reads the settings that come over MQTT, and refuses those that must not come from there."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from errors import UserError
from remote.instance import Flag

_FILES = ("model", "labels", "record")  # flags whose values are names of files
_SWITCH = {"on": True, "true": True, "off": False, "false": False}
_NUMBER = r"[+-]?(\d{1,9}\.?\d{0,9}|\.\d{1,9})(e[+-]?\d{1,2})?"
_WANTED = {"switch": "ON or OFF", "integer": "a whole number", "number": "a number"}


def read_settings(text: str) -> dict[str, Any]:
    """Reads a JSON object of values by flag name.

    Raises:
        UserError: It is none, or names a folder.
    """
    settings = _from_json(text)
    if not isinstance(settings, dict):
        raise UserError('not a JSON object; send settings, such as {"top-k": 5}')
    for name in _FILES:
        _check_file(name, settings.get(name))
    return settings


def read_value(flag: Flag, text: str) -> Any:
    """Reads the plain value of one flag, as Home Assistant sends it.

    Raises:
        UserError: It is no value of the flag's kind, or names a folder.
    """
    word = text.lower()
    if flag.kind == "switch" and word in _SWITCH:
        return _SWITCH[word]
    if flag.optional and word in ("", "none", "null", "off"):
        return None
    if flag.kind == "texts":  # one text can stand there as it is
        return _from_json(text) if text.startswith("[") else [text] if text else []
    if flag.kind in ("choice", "text"):
        if flag.name in _FILES:
            _check_file(flag.name, text)
        return text
    if flag.kind == "integer" and re.fullmatch(r"[+-]?\d{1,9}(\.0+)?", text):
        return int(float(text))
    if flag.kind == "number" and re.fullmatch(_NUMBER, word):
        return float(text)
    raise UserError(f"{flag.name}: {text[:40]!r} is not {_WANTED[flag.kind]}")


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise UserError('not JSON; send an object of settings, such as {"top-k": 5}') from None


def _finite(text: str) -> float:
    """Reads a number; NaN, Infinity and 1e999 are none."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _check_file(name: str, value: Any) -> None:
    """Refuses folders: whoever is on the broker shall not choose where this machine writes and reads."""
    if isinstance(value, str) and (set(value) & set("/\\\0") or value.startswith(("~", "."))):
        raise UserError(f"{name}: over MQTT it is the name of a file, without a folder")
