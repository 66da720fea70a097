"""The description of the API: OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, Sequence

from remote.instance import Flag
from settings import FILE_NAME, FILES
from web.history import MINUTES

_JSON = "application/json"
_NO_CONTROLS = r"^[^\u0000-\u001f]*$"
_NUMBER = {"type": "number"}
_INTEGER = {"type": "integer"}
_TEXT = {"type": "string"}
_COLOUR = {"type": "string", "pattern": "^#[0-9a-f]{6}$", "description": "The same wherever this label is drawn."}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_MAYBE_TEXT = {"type": ["string", "null"]}
_LINES = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "Another site's page asks, or the server was called by a foreign name.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not application/json.",
    416: "The range lies outside the file.",
    422: "A value is wrong; the line says which. Nothing was changed.",
    429: "Too many wrong tokens came from this address; try again in a minute.",
    503: "Not at the moment: too many viewers or commands, no picture, or the database is busy.",
    504: "The program did not get to it in time; it may still come into force.",
}


def describe(flags: Sequence[Flag], secret: bool) -> dict[str, Any]:
    """Returns the OpenAPI document.

    Args:
        flags: What can be changed.
        secret: Whether a token is needed.
    """
    guarded = (401, 403, 429) if secret else (403,)
    settings = _object({flag.name: _of_flag(flag) for flag in flags}, required=())
    change = {**settings, "additionalProperties": False, "minProperties": 1}
    source = _query("source", {**_TEXT, "maxLength": 500}, "Its name; without it, the first one.")
    limit = _query("limit", {**_INTEGER, "minimum": 1, "maximum": 200, "default": 50}, "How many at most.")
    before = _query("before", {**_TEXT, "maxLength": 200}, "Only events older than the one with this id.")
    longest = MINUTES * 60
    seconds = _query("seconds", {**_INTEGER, "minimum": 1, "maximum": longest, "default": longest}, "How far back.")
    point = _object({"time": _NUMBER, "top": _array(_category())})
    name = {**_query("name", {**_TEXT, "minLength": 1, "maxLength": 255}, "As an event's clip says."), "in": "path"}
    name["required"] = True

    def operation(
        summary: str,
        content: dict[str, Any],
        errors: Sequence[int] = (),
        parameters: Sequence[dict[str, Any]] = (),
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        responses = {"200": {"description": "As described.", "content": content}}
        for status in sorted({*errors, *guarded}):
            responses[str(status)] = {
                "description": _LINES[status],
                "content": _json({"$ref": "#/components/schemas/Error"}),
            }
        described: dict[str, Any] = {"summary": summary, "parameters": list(parameters), "responses": responses}
        if body is not None:
            described["requestBody"] = {"required": True, "content": _json(body)}
        return described

    one_setting = "Only what is named is changed: all of it between two frames, or nothing if one value is wrong."
    clip = operation("The video of an event, or a range of it", _binary("video/mp4"), (400, 404, 416), [name])
    clip["responses"]["206"] = {"description": "The range asked for.", "content": _binary("video/mp4")}
    for status in ("400", "416"):
        clip["responses"][status]["content"] = {"text/plain": {"schema": _TEXT}}
    ref = {key: {"$ref": f"#/components/schemas/{key}"} for key in ("Settings", "Status", "Prediction", "Event")}
    paths = {
        "/api/settings": {
            "get": operation("The settings in force", _json(ref["Settings"])),
            "patch": {
                **operation(
                    "Change settings",
                    _json(ref["Settings"]),
                    (400, 408, 413, 415, 422, 503, 504),
                    (),
                    {"$ref": "#/components/schemas/Change"},
                ),
                "description": one_setting,
            },
        },
        "/api/flags": {"get": operation("What can be set: kinds, bounds and help", _json(_array({"type": "object"})))},
        "/api/status": {"get": operation("Statistics", _json(ref["Status"]))},
        "/api/predictions": {
            "get": operation(
                "The newest prediction of each source, by its name",
                _json({"type": "object", "additionalProperties": {"oneOf": [ref["Prediction"], {"type": "null"}]}}),
            )
        },
        "/api/history": {
            "get": operation(
                "The predictions of the last minutes, oldest first, two a second",
                _json(_object({"source": _TEXT, "points": _array(point)})),
                (404, 422),
                [source, seconds],
            )
        },
        "/api/events": {
            "get": operation("Events, newest first", _json(_array(ref["Event"])), (422, 503), [limit, before])
        },
        "/api/clips/{name}": {"get": clip},
        "/api/reset": {
            "post": operation(
                "Forget what was seen",
                _json({"type": "object"}),
                (400, 408, 413, 415, 422, 503, 504),
                (),
                {"type": "object", "maxProperties": 0},
            )
        },
        "/api/picture.jpg": {
            "get": operation("The next picture, with its labels", _binary("image/jpeg"), (404, 503), [source])
        },
        "/api/stream.mjpg": {
            "get": operation(
                "The moving picture, at most 10 a second", _binary("multipart/x-mixed-replace"), (404, 503), [source]
            )
        },
        "/api/updates": {
            "get": {
                **operation("What is new, as server-sent events", {"text/event-stream": {"schema": _TEXT}}, (503,)),
                "description": "Events of the kinds settings, status, prediction and event, each with an object as "
                "JSON: what /api/settings and /api/status return, a Prediction with its source, an Event.",
            }
        },
        "/metrics": {"get": operation("Statistics for Prometheus", {"text/plain": {"schema": _TEXT}})},
        "/healthz": {
            "get": {
                "summary": "Whether the program runs",
                "security": [],
                "responses": {
                    status: {"description": line, "content": {"text/plain": {"schema": _TEXT}}}
                    for status, line in (("200", "It does."), ("503", "It has stood still for 10 s."))
                },
            }
        },
    }
    components: dict[str, Any] = {
        "schemas": {
            "Settings": settings,
            "Change": change,
            "Status": _status(),
            "Prediction": _prediction(),
            "Event": _event(),
            "Error": _object({"error": _TEXT}),
        }
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Action recognition",
            "version": "1",
            "description": "What the program sees, its settings, and its events. A body is application/json.",
        },
        "paths": paths,
        "components": components,
    }
    if secret:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _of_flag(flag: Flag) -> dict[str, Any]:
    text = {**_TEXT, "maxLength": 4096, "pattern": f"^{FILE_NAME}$" if flag.name in FILES else _NO_CONTROLS}
    kinds: dict[str, dict[str, Any]] = {
        "switch": {"type": "boolean"},
        "integer": dict(_INTEGER),
        "number": dict(_NUMBER),
        "choice": {**_TEXT, "enum": list(flag.choices)},
        "text": text,
        "texts": _array(text),
    }
    schema = kinds[flag.kind]
    schema["description"] = flag.help
    for key, bound in (("minimum", flag.low), ("maximum", flag.high)):
        if bound is not None:
            schema[key] = bound
    if flag.optional:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    return schema


def _object(properties: dict[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties if required is None else required)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _binary(media_type: str) -> dict[str, Any]:
    return {media_type: {}}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _category() -> dict[str, Any]:
    probability = {**_NUMBER, "minimum": 0, "maximum": 1}
    return _object({"label": _TEXT, "probability": probability, "index": _INTEGER, "colour": _COLOUR})


def _prediction() -> dict[str, Any]:
    return _object({"time": _NUMBER, "timestamp": _MAYBE_NUMBER, "step": _INTEGER, "top": _array(_category())})


def _event() -> dict[str, Any]:
    texts = {"id": _TEXT, "label": _TEXT, "source": _TEXT, "colour": _COLOUR}
    numbers = {key: _NUMBER for key in ("start", "end", "position", "duration", "peak", "mean")}
    return _object({**texts, **numbers, "ongoing": {"type": "boolean"}, "clip": _MAYBE_TEXT})


def _status() -> dict[str, Any]:
    source = {
        "name": _TEXT,
        "camera_fps": _NUMBER,
        "sample_fps": _NUMBER,
        "wanted_fps": _NUMBER,
        "note": _TEXT,
        "no_signal": _NUMBER,
        "frames": _INTEGER,
        "steps": _INTEGER,
        "step_ms": {"type": ["object", "null"], "additionalProperties": _MAYBE_NUMBER},
        "prediction": {"type": ["object", "null"]},
    }
    return _object(
        {
            "name": _TEXT,
            "pid": _INTEGER,
            "uptime": _NUMBER,
            "model": _TEXT,
            "runtime": _TEXT,
            "threads": _INTEGER,
            "memory_mb": _MAYBE_NUMBER,
            "temperature": _MAYBE_NUMBER,
            "paused": {"type": "boolean"},
            "recording": _MAYBE_TEXT,
            "events": _INTEGER,
            "sources": _array(_object(source)),
        },
        required=(),
    )
