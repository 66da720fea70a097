"""The description of the API as a page for people."""

from __future__ import annotations

from html import escape
from typing import Any, Sequence

_PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>API</title><link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg"></head>
<body class="plain docs"><h1>API</h1>
<p><a href="/">The page</a> · <a href="/openapi.json">The same for programs, as OpenAPI 3.1</a></p>
<p>Errors are JSON: <code>{{"error": "one line"}}</code>. Where there is a token, send
<code>Authorization: Bearer TOKEN</code>.</p>
{requests}<h2>Settings</h2>{settings}</body></html>
"""


def page(document: dict[str, Any]) -> str:
    """Returns an OpenAPI document as HTML."""
    requests = [
        (
            f"{method.upper()} {path}",
            _sentences(operation),
            _inputs(operation),
            ", ".join(sorted(operation["responses"])),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    settings = [
        (name, schema["description"], _bounds(schema))
        for name, schema in document["components"]["schemas"]["Change"]["properties"].items()
    ]
    return _PAGE.format(
        requests=_table(("request", "what it does", "what it takes", "answers"), requests),
        settings=_table(("name", "what it does", "values"), settings),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    lines = (
        f"<tr><td><code>{escape(row[0])}</code></td>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _sentences(operation: dict[str, Any]) -> str:
    return f"{operation['summary']}. {operation.get('description', '')}"


def _inputs(operation: dict[str, Any]) -> str:
    inputs = [f"{one['name']}: {one['description']}" for one in operation.get("parameters", ())]
    return " ".join([*inputs, *(["A JSON object."] if "requestBody" in operation else [])])


def _bounds(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join("null" if choice is None else str(choice) for choice in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    ends = [f"{word} {schema[key]:g}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
    return " ".join([" or ".join(kinds), *ends])
