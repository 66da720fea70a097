"""schemathesis asks the running API whatever its OpenAPI description allows, and forbids, and checks each answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs starlette: pip install -r requirements-remote.txt")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -r requirements-remote.txt")

from web_program import Program, make_event  # noqa: E402

from web.server import WebServer  # noqa: E402

TOKEN = "a-token-for-the-tests"
ENDLESS = r"/api/(stream\.mjpg|updates)"
PATIENCE = 100  # seconds, for a busy machine


def test_answers_are_as_described(tmp_path: Path) -> None:
    # The last one for Python 3.9 wants unknown parameters refused.
    pytest.importorskip("schemathesis", "4.20", reason="needs schemathesis 4.20: requirements-dev.txt")
    (tmp_path / "clip.mp4").write_bytes(b"0123456789" * 10)
    description = tmp_path / "openapi.json"
    with Program() as program:
        server = WebServer(program.instance, port=0, token=TOKEN)
        program.sinks["demo"] = server.sink("demo")
        for number in range(5):
            server.event(make_event(number))
        base = server.url.partition("/?")[0]
        try:
            request = urllib.request.Request(f"{base}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                description.write_bytes(answer.read())
            document = json.loads(description.read_text())
            run = subprocess.run(
                [
                    *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"),
                    *(str(description), "--url", base, "--header", f"Authorization: Bearer {TOKEN}"),
                    *("--exclude-path-regex", ENDLESS, "--max-examples", "10", "--seed", "1", "--no-color"),
                    *("--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--request-timeout", "20"),
                    # That a token is needed is tested in test_web_api.py; a wrong one costs a pause, and soon a minute.
                    *("--exclude-checks", "ignored_auth"),
                ],
                cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
        finally:
            program.sinks.clear()
            server.close()
    assert run.returncode == 0, run.stdout + run.stderr
    # Everything was asked for, but what never ends.
    operations = sum(len(methods) for methods in document["paths"].values())
    assert re.search(rf"Tested: {operations - 2}\n", run.stdout), run.stdout
    assert re.search(r"(\d{3,}) generated, \1 passed", run.stdout), run.stdout
