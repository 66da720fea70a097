"""Reads the settings that come over MQTT."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from errors import UserError
from remote.instance import Flag

_SWITCH = {"on": True, "true": True, "off": False, "false": False}
_NUMBER = r"[+-]?(\d{1,9}\.?\d{0,9}|\.\d{1,9})(e[+-]?\d{1,2})?"
_WANTED = {"switch": "ON or OFF", "integer": "a whole number", "number": "a number"}


def read_settings(text: str) -> dict[str, Any]:
    """Reads a JSON object of values by flag name.

    Raises:
        UserError: It is none, or names no flag.
    """
    settings = _from_json(text)
    if not isinstance(settings, dict) or not settings:
        raise UserError('not a JSON object that names a flag; send settings, such as {"top-k": 5}')
    return settings


def read_value(flag: Flag, text: str) -> Any:
    """Reads the plain value of one flag, as Home Assistant sends it.

    Raises:
        UserError: It is no value of the flag's kind.
    """
    word = text.lower()
    if flag.kind == "switch" and word in _SWITCH:
        return _SWITCH[word]
    if flag.optional and word in ("", "none", "null", "off"):
        return None
    if flag.kind == "texts":  # one text can stand there as it is
        return _from_json(text) if text.startswith("[") else [text] if text else []
    if flag.kind in ("choice", "text"):
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
