"""schemathesis asks the running API whatever its OpenAPI description allows, and forbids, and checks each answer."""

from __future__ import annotations

from typing import Iterator

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: requirements-dev.txt")
pytest.importorskip("starlette", reason="needs starlette: pip install -r requirements-remote.txt")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -r requirements-remote.txt")

import requests  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from schemathesis.specs.openapi.checks import ignored_auth  # noqa: E402
from web_program import Program, make_event  # noqa: E402

from web.server import WebServer  # noqa: E402

TOKEN = "a-token-for-the-tests"
ENDLESS = r"/api/(stream\.mjpg|updates)"


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with Program() as program:
        server = WebServer(program.instance, port=0, token=TOKEN)
        program.sinks["demo"] = server.sink("demo")
        for number in range(5):
            server.event(make_event(number))
        yield server
        program.sinks.clear()
        server.close()


@pytest.fixture(scope="module")
def api(server: WebServer) -> object:
    base = server.url.partition("/?")[0]
    document = requests.get(f"{base}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base)
    return schema.exclude(path_regex=ENDLESS)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case) -> None:
    # Whether a token is needed is tested in test_web_api.py: a wrong one costs a pause here, and soon a minute.
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[ignored_auth], timeout=20)


def test_description_is_valid(api: object) -> None:
    api.validate()  # against the OpenAPI 3.1 meta-schema; raises
    assert len(list(api.get_all_operations())) >= 10
