"""The requests that a running program understands.

A request is a line of JSON, and so is its answer:

    {"command": "change", "settings": {"top-k": 5}}     {"ok": true, "result": {"top-k": 5, ...}}
    {"command": "snapshot", "path": "relative.jpg"}     {"ok": false, "error": "the path ...", "status": 2}
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, NoReturn

from errors import UserError
from remote.instance import Instance

_COMMANDS = 'settings, status, reset, quit, change (and "settings": {...}) or snapshot (and "path": "...")'


def obey(instance: Instance, line: bytes) -> Any:
    """Does what a request says; returns the result, or the future of it.

    Raises:
        UserError: The request is none.
    """
    request = _parse(line)
    command = request.pop("command", None)
    plain: dict[Any, Callable[[], Any]] = {
        "settings": instance.settings,
        "status": instance.status,
        "reset": lambda: instance.reset(trusted=True),
        "quit": instance.quit,
    }
    if command == "change" and list(request) == ["settings"]:
        return instance.change(_check_settings(request["settings"]), trusted=True)
    if command == "snapshot" and list(request) == ["path"]:
        return instance.snapshot(_check_path(request["path"]), trusted=True)
    if isinstance(command, str) and command in plain and not request:
        return plain[command]()
    raise UserError(f'a request is {{"command": ...}} with {_COMMANDS}, and nothing else')


def _parse(line: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)  # NaN and infinities, which aren't JSON

    try:
        request = json.loads(line.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise UserError("a request is one line that holds a JSON object")
    return request


def _check_settings(settings: Any) -> dict[str, Any]:
    if not isinstance(settings, dict) or not settings:
        raise UserError('"settings" must be a JSON object of values by flag name')
    return settings


def _check_path(path: Any) -> str:
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        raise UserError('the "path" must be an absolute one')
    return path
