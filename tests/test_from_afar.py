"""The whole program with its web page and MQTT: three ways in, one set of facts."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import demo_program
import http_camera
import pytest
from conftest import DATA
from live_program import running

pytest.importorskip("starlette", reason="needs requirements-remote.txt")
pytest.importorskip("uvicorn", reason="needs requirements-remote.txt")
from broker import Broker, Listener  # noqa: E402


class Web:
    """Asks the page's API."""

    def __init__(self, program) -> None:
        lines: list[str] = []
        self._reader = threading.Thread(target=lambda: lines.extend(program.process.stderr), daemon=True)
        self._reader.start()
        program.wait_for(lambda: any(line.startswith("web: ") for line in lines))
        self.lines = lines
        self.url = next(line[5:].strip() for line in lines if line.startswith("web: "))

    def ask(self, path, settings=None):
        data = None if settings is None else json.dumps(settings).encode()
        request = urllib.request.Request(
            self.url.split("?")[0].rstrip("/") + path,
            data,
            {"Content-Type": "application/json"} if data else {},
            method="PATCH" if data else "GET",
        )
        with urllib.request.urlopen(request, timeout=demo_program.LIMIT) as answer:
            return answer.read()


@pytest.fixture
def program(tmp_path):
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    broker.start()
    flags = ("--serve", "127.0.0.1:0", "--mqtt", f"{broker.url}/house", "--mqtt-sensors", "Squatting")
    with running(tmp_path, *flags, "--clips", "clips", "--events", "events.db") as program:
        program.broker = broker
        yield program
    broker.kill()


def test_what_is_changed_in_one_way_is_seen_in_the_others(program):
    web = Web(program)
    heard = Listener(program.broker, "house/#")
    try:
        answer = json.loads(web.ask("/api/settings", {"top-k": 5}))
        assert answer["top-k"] == 5
        assert program.settings()["top-k"] == "5"
        program.wait_for(lambda: json.loads(heard.last("house/test/settings") or "{}").get("top-k") == 5)

        heard.say("house/test/set", json.dumps({"threshold": 0.25}))
        program.wait_for(lambda: json.loads(web.ask("/api/settings"))["threshold"] == 0.25)
        program.change("--event-min", 0.5)
        assert json.loads(web.ask("/api/settings"))["event-min"] == 0.5
        program.wait_for(lambda: json.loads(heard.last("house/test/settings"))["event-min"] == 0.5)

        with pytest.raises(urllib.error.HTTPError) as refused:
            web.ask("/api/settings", {"record": "/tmp/out.mp4", "top-k": 7})
        assert refused.value.code in (400, 422)
        assert json.loads(web.ask("/api/settings"))["top-k"] == 5

        # An event of the film reaches everybody.
        program.wait_for(lambda: heard.last("house/test/events"))
        event = json.loads(heard.last("house/test/events"))
        program.wait_for(lambda: event["id"] in web.ask("/api/events").decode())
        assert web.ask("/api/picture.jpg")[:2] == b"\xff\xd8"
        assert b"movinet_steps_total" in web.ask("/metrics")
    finally:
        heard.close()


def test_a_sensor_is_a_label_of_the_model_that_runs(program, tmp_path):
    heard = Listener(program.broker, "house/#", "homeassistant/#")
    try:
        heard.wait("house/test/label/squatting")  # as the model spells it
        status, _, errors = program.live("--model", DATA / "tiny.tflite")
        assert status == 2 and errors.startswith("classify.py: --mqtt-sensors: unknown class 'squatting'; did you mean")

        (tmp_path / "other").mkdir()
        flags = ("--source", "demo", "--display", "none", "--mqtt", f"{program.broker.url}/other", "--mqtt-sensors")
        other = demo_program.start(*flags, "squatting", "wavin", folder=tmp_path / "other")
        status, _, errors = demo_program.finish(other)
        assert status == 2 and errors == "classify.py: --mqtt-sensors: unknown class 'wavin'; did you mean 'waving'?\n"
        assert not [message for message in heard.messages if "other/" in message.topic + message.text]
    finally:
        heard.close()


def test_names_from_afar_are_names_and_nothing_else(program):
    heard = Listener(program.broker, "house/test/set/result")
    try:
        forged = json.dumps({"record": "a\nchanged: threshold 0.mp4"})
        for topic, text in (("set", forged), ("set/record", "a\x1b[2Jb.mp4"), ("set", "{}")):
            before = len(heard.messages)
            heard.say(f"house/test/{topic}", text)
            program.wait_for(lambda before=before: len(heard.messages) > before)
            answer = json.loads(heard.messages[-1].text)
            assert not answer["ok"] and answer["error"].isprintable()
        assert not list(program.folder.glob("*.mp4"))
    finally:
        heard.close()


def test_a_flood_of_changes_from_elsewhere_does_not_keep_the_owner_waiting(program):
    """Each of them asks for a camera that answers and then says nothing, which takes seconds to give up."""
    heard = Listener(program.broker, "house/test/set/result")
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        try:
            for _ in range(100):
                heard.say("house/test/set/source", f"http://127.0.0.1:{silent.getsockname()[1]}/")
            program.wait_for(lambda: any("too many commands" in message.text for message in heard.messages))
            assert "2" in program.change("--top-k", 2)
        finally:
            heard.close()


def test_the_settings_as_they_are_shown_can_be_sent_back(tmp_path, monkeypatch):
    """A camera's password is not shown; the page must be able to put another one beside it all the same."""

    class Locked(http_camera.Camera):
        def do_GET(self):  # noqa: N802
            if self.headers.get("Authorization") == "Basic dTpnZWhlaW0=":  # u:geheim
                super().do_GET()
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()

    monkeypatch.setattr(http_camera, "Camera", Locked)
    with http_camera.serving() as camera:
        shown = http_camera.address(camera, "/cam")
        flags = ("--source", shown.replace("//", "//u:geheim@"), "--model", "movinet_a0_demo.tflite")
        with running(tmp_path, "--serve", "127.0.0.1:0", *flags) as program:
            web = Web(program)
            sources = json.loads(web.ask("/api/settings"))["source"]
            assert sources == ["demo", shown]
            assert json.loads(web.ask("/api/settings", {"source": sources[::-1]}))["source"] == [shown, "demo"]
            program.wait_for(lambda: {line["source"] for line in program.predictions()[-8:]} == {shown, "demo"})
            with pytest.raises(urllib.error.HTTPError) as refused:
                web.ask("/api/settings", {"source": ["ftp://u:geheim@camera/x"]})
            assert refused.value.code == 422
            error = json.loads(refused.value.read())["error"]
            assert "geheim" not in error and "ftp://" in error


def test_a_file_whose_name_is_not_utf_8_hides_nothing_else(tmp_path):
    """As old memory cards and archives have them; JSON can't hold it."""
    with running(tmp_path, "--serve", "0", "--record", os.fsdecode(b"caf\xe9.mp4")) as program:
        web = Web(program)
        program.wait_for(lambda: json.loads(web.ask("/api/status")))
        assert json.loads(web.ask("/api/settings"))["record"] == "caf?.mp4"
        assert json.loads(web.ask("/api/status"))["recording"] == "caf?.mp4"
        assert program.settings()["record"] == "caf?.mp4"


def test_it_ends_within_two_seconds_with_everything_open(program):
    web = Web(program)
    watching = [urllib.request.urlopen(web.url.split("?")[0] + "api/stream.mjpg", timeout=60) for _ in range(3)]
    assert all(stream.read(1000) for stream in watching)
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(demo_program.LIMIT) == 143
    assert time.monotonic() - start < 10  # two seconds on an idle machine; the bound is against hanging


def test_a_page_for_others_has_a_token_that_is_told_once(tmp_path):
    with running(tmp_path, "--serve", "0.0.0.0:0") as program:
        web = Web(program)
        token = re.search(r"token=([\w-]{20,})", web.url).group(1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            web.ask("/api/settings")
        assert refused.value.code == 401
        assert sum(token in line for line in web.lines) == 1


def test_a_token_of_ones_own_is_never_told(tmp_path):
    token = "correct-horse-battery-staple"
    with running(tmp_path, "--serve", "0.0.0.0:0", "--token", token) as program:
        web = Web(program)
        assert not any(token in line for line in web.lines)


@pytest.mark.parametrize(
    ("flag", "address", "said"),
    [
        ("--serve", "nonsense:x", "'nonsense:x' is not an address"),
        ("--serve", "::1", "an IPv6 address in brackets: [::1]:8080"),
        (
            "--mqtt",
            "house",
            "--mqtt house is not a broker's address; write mqtt://host or mqtts://host as --help shows",
        ),
        ("--mqtt", "http://user:s3cret@house", "--mqtt http://house is not a broker's address; write mqtt://host"),
        ("--mqtt", "user:s3cret@house", "is not a broker's address; write mqtt://host or mqtts://host as --help"),
        ("--mqtt", "mqtt://house:x", "and in user and password %40 for an at sign, %2F for /, %3A for :, %23 for #"),
        (
            "--mqtt",
            "mqtt://:s3cret@house",
            "--mqtt mqtt://house has a password and no user, which MQTT can't do; write",
        ),
        ("--mqtt", "mqtt://user:s3cret@house/a/#", "goes on after the prefix; write # and ? of a password as %23"),
        ("--mqtt", "mqtt://user:s3cret@house/a//b", "--mqtt mqtt://house/a//b ends in no prefix; that is one or more"),
    ],
)
def test_a_wrong_address_ends_in_one_line_that_says_what_is_right(tmp_path, flag, address, said):
    """On stderr, where whatever looks like a password is hidden."""
    ended, _, errors = demo_program.finish(
        demo_program.start("--source", "demo", "--display", "none", flag, address, folder=tmp_path)
    )
    assert ended == 2 and errors.count("\n") == 1 and said in errors and "s3cret" not in errors
