"""The web server's API over real HTTP: what it answers, what it refuses, who is let in."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import cv2
import numpy as np
import pytest

from errors import OutputError, UserError

pytest.importorskip("starlette", reason="needs starlette: pip install -r requirements-remote.txt")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -r requirements-remote.txt")

from web_program import FLAGS, LABELS, ROOT, SETTINGS, Program, make_event  # noqa: E402

from remote.instance import Instance  # noqa: E402
from web import is_loopback, parse_address  # noqa: E402
from web.server import WebServer  # noqa: E402

WAIT = 20.0  # seconds; generous, for a busy machine
TOKEN = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}


class Clips:
    """A folder of clips."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Path | None:
        path = self.folder / name  # trusting on purpose: the server must not ask for what isn't a name
        return path if path.exists() else None


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with Program("demo", "rtsp://10.0.0.7/cam") as program:
        yield program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "clips"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(bytes(range(256)) * 20)
    (folder / ".hidden.mp4").write_bytes(b"secret")
    (folder / "link.mp4").symlink_to("/etc/passwd")
    (folder / "inner").mkdir()
    (folder.parent / "secret.mp4").write_bytes(b"secret")
    return folder


@pytest.fixture(scope="module")
def server(program: Program, folder: Path) -> Iterator[WebServer]:
    server = WebServer(program.instance, port=0, clips=Clips(folder))
    for name in program.names:
        program.sinks[name] = server.sink(name)
    yield server
    program.sinks.clear()
    server.close()


@pytest.fixture(scope="module")
def guarded(program: Program) -> Iterator[WebServer]:
    server = WebServer(program.instance, port=0, token=TOKEN)
    yield server
    server.close()


def port_of(server: WebServer) -> int:
    return int(re.search(r":(\d+)/", server.url)[1])


def ask(
    server: WebServer, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Returns the status, the headers and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=WAIT)
    try:
        data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, data, {**(JSON if body is not None else {}), **named})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def get(server: WebServer, path: str) -> Any:
    status, _, body = ask(server, path)
    assert status == 200, body
    return json.loads(body)


def error_of(answer: tuple[int, dict[str, str], bytes]) -> str:
    line = json.loads(answer[2])["error"]
    assert line and "\n" not in line
    return line


def wait_until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT
    while not (value := holds()):
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)
    return value


def open_stream(server: WebServer, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=WAIT)
    connection.request("GET", path)
    return connection.getresponse()


def read_picture(stream: Any) -> np.ndarray:
    """Reads the next part of a multipart stream and decodes it."""
    length = 0
    while (line := stream.readline()) != b"\r\n" or not length:
        assert line, "the stream ended"
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    picture = cv2.imdecode(np.frombuffer(stream.read(length), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def read_message(stream: Any, kind: str) -> dict[str, Any]:
    """Reads server-sent events until one of a kind."""
    while True:
        line = stream.readline().decode()
        assert line, "the stream ended"
        if line == f"event: {kind}\n":
            return json.loads(stream.readline().decode().partition(":")[2])


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_are_read_and_changed(server: WebServer, program: Program) -> None:
    assert get(server, "/api/settings") == SETTINGS
    status, _, body = ask(server, "/api/settings", "PATCH", {"top-k": 5, "memory": None, "allow": ["yoga", "squät"]})
    assert status == 200
    assert json.loads(body) == {**SETTINGS, "top-k": 5, "memory": None, "allow": ["yoga", "squät"]}
    assert program.instance.settings()["allow"] == ["yoga", "squät"]
    ask(server, "/api/settings", "PATCH", {"top-k": 3, "memory": 2.4, "allow": []})
    assert get(server, "/api/settings") == SETTINGS


def test_wrong_value_changes_nothing_and_is_said(server: WebServer, program: Program) -> None:
    answer = ask(server, "/api/settings", "PATCH", {"mirror": True, "top-k": 1000})
    assert answer[0] == 422
    assert error_of(answer) == "top-k 1000 is not between 1 and 100"
    assert program.instance.settings() == SETTINGS


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"threshold": NaN}', 400),
        (b'{"threshold": 1e999}', 400),
        (b'{"threshold": 1' + b"0" * 400 + b"}", 400),
        (b'{"model": "\\ud800"}', 400),
        (b"[" * 60000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (b"null", 422),
        (b'{"unknown": 1}', 422),
        (b'{"model": "a\\u0000b"}', 422),
        (b'{"allow": ["a\\nb"]}', 422),
        (b'{"record": "../out.mp4"}', 422),
        (b'{"record": "/etc/out.mp4"}', 422),
        (b'{"model": "~/x.tflite"}', 422),
        (b'{"model": "' + b"x" * 5000 + b'"}', 422),
        (b'{"model": "' + b"x" * 70000 + b'"}', 413),
    ],
)
def test_malformed_bodies(server: WebServer, program: Program, body: bytes, status: int) -> None:
    answer = ask(server, "/api/settings", "PATCH", body)
    assert answer[0] == status
    assert error_of(answer)
    assert program.instance.settings() == SETTINGS


def test_body_must_be_json_by_name_too(server: WebServer) -> None:
    # What a form on another site's page could send without the browser asking us first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask(server, "/api/settings", "PATCH", b'{"top-k": 9}', Content_Type=kind)[0] == 415
        assert ask(server, "/api/reset", "POST", b"{}", Content_Type=kind)[0] == 415


def test_reset(server: WebServer, program: Program) -> None:
    before = program.resets
    assert ask(server, "/api/reset", "POST", {})[0] == 200
    assert program.resets == before + 1
    assert ask(server, "/api/reset", "POST", {"now": True})[0] == 422
    assert ask(server, "/api/reset", "GET")[0] == 405


def test_whole_numbers_may_have_a_point(server: WebServer) -> None:
    status, _, body = ask(server, "/api/settings", "PATCH", b'{"top-k": 3.0, "threshold": 0}')
    assert status == 200 and b'"top-k":3,' in body
    assert ask(server, "/api/settings", "PATCH", b'{"top-k": 3.5}')[0] == 422


def test_main_loop_that_does_not_answer(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.api._ANSWER_TIME", 0.3)
    server = WebServer(program.instance, port=0)
    program.deaf.set()
    try:
        assert ask(server, "/api/settings", "PATCH", {"top-k": 4})[0] == 504
        program.deaf.clear()
        # The main loop must still be able to give the answer that nobody waits for.
        wait_until(lambda: program.instance.settings()["top-k"] == 4)
        assert ask(server, "/api/settings", "PATCH", {"top-k": 3})[0] == 200
    finally:
        program.deaf.clear()
        server.close()


def test_a_program_that_has_too_much_to_do_says_so(program: Program) -> None:
    server = WebServer(program.instance, port=0)
    program.deaf.set()
    try:
        waiting = [program.instance.reset() for _ in range(32)]
        answer = ask(server, "/api/settings", "PATCH", {"top-k": 4})
        assert answer[0] == 503 and "too many" in error_of(answer)
        assert not any(done.done() for done in waiting)
    finally:
        program.deaf.clear()
        server.close()


def test_flags(server: WebServer) -> None:
    flags = get(server, "/api/flags")
    assert [flag["name"] for flag in flags] == [flag.name for flag in FLAGS]
    assert flags[4]["choices"] == ["crop", "stretch", "pad"]


# --- what is seen -------------------------------------------------------------------------------------------------


def test_predictions_and_history(server: WebServer) -> None:
    def both() -> Any:
        latest = get(server, "/api/predictions")
        return latest if all(one and len(one["top"]) == 3 for one in latest.values()) else None

    latest = wait_until(both)
    assert list(latest) == ["demo", "rtsp://10.0.0.7/cam"]
    for prediction in latest.values():
        shares = [one["probability"] for one in prediction["top"]]
        assert len(shares) == 3 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.001
        assert {one["label"] for one in prediction["top"]} <= set(LABELS)
        assert abs(prediction["time"] - time.time()) < WAIT
    wait_until(lambda: len(get(server, "/api/history")["points"]) >= 3)
    history = get(server, "/api/history?source=rtsp%3A%2F%2F10.0.0.7%2Fcam&seconds=60")
    assert history["source"] == "rtsp://10.0.0.7/cam"
    times = [point["time"] for point in history["points"]]
    # The test's source predicts 5 times a second; what is kept is bounded.
    assert all(later - earlier >= 0.5 for earlier, later in zip(times, times[1:]))


def test_history_outlives_a_clock_that_is_set_back(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    server = WebServer(program.instance, port=0)
    clock, back = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: clock() - back)

    def points() -> list[dict[str, Any]]:
        found = get(server, "/api/history?source=twice")["points"]
        assert all(earlier["time"] < later["time"] for earlier, later in zip(found, found[1:]))
        assert all(-WAIT < point["time"] - time.time() <= 0.01 for point in found[-4:])
        return found

    try:
        program.sinks["twice"] = server.sink("twice")
        wait_until(lambda: len(points()) >= 2)
        back = 3600.0
        wait_until(lambda: len(points()) >= 4)
    finally:
        del program.sinks["twice"]
        server.close()


def test_status(server: WebServer, program: Program) -> None:
    status = get(server, "/api/status")
    assert status["sources"][0]["name"] == "demo"
    assert status["temperature"] == 48.7


def test_picture_is_the_newest(server: WebServer, program: Program) -> None:
    status, headers, body = ask(server, "/api/picture.jpg?source=demo")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 320, 3)
    # JPEG changes colours a little; the background's green and red are the same in all pictures.
    assert np.abs(picture[5, 5, 1:].astype(int) - (90, 60)).max() < 12


def test_nothing_is_drawn_while_nobody_looks(server: WebServer, program: Program) -> None:
    sink = program.sinks["demo"]
    wait_until(lambda: not any(one.wants_pictures for one in program.sinks.values()))
    drawn, frames = program.drawn, get(server, "/api/status")["sources"][0]["frames"]
    wait_until(lambda: get(server, "/api/status")["sources"][0]["frames"] > frames + 5)
    assert program.drawn == drawn
    stream = open_stream(server, "/api/stream.mjpg?source=demo")
    read_picture(stream)
    assert sink.wants_pictures
    assert not program.sinks["rtsp://10.0.0.7/cam"].wants_pictures
    stream.close()
    wait_until(lambda: not sink.wants_pictures)


def test_stream_moves_at_a_bounded_rate(server: WebServer) -> None:
    stream = open_stream(server, "/api/stream.mjpg")
    assert stream.getheader("content-type") == "multipart/x-mixed-replace; boundary=picture"
    read_picture(stream)
    started = time.monotonic()
    pictures = [read_picture(stream) for _ in range(12)]
    assert time.monotonic() - started > 0.9  # 12 pictures, at most 10 a second, one may have waited
    assert all(np.abs(a.astype(int) - b).max() > 30 for a, b in zip(pictures, pictures[1:]))
    stream.close()


def test_wide_pictures_are_shrunk(server: WebServer) -> None:
    sink = server.sink("wide")
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(ask(server, "/api/picture.jpg?source=wide")))
    asking.start()
    while asking.is_alive():
        sink.write(np.zeros((1000, 2560, 3), np.uint8), 0.0, [])
        time.sleep(0.02)
    assert cv2.imdecode(np.frombuffer(answers[0][2], np.uint8), cv2.IMREAD_COLOR).shape == (500, 1280, 3)
    sink.close()
    wait_until(lambda: ask(server, "/api/picture.jpg?source=wide")[0] == 404)


def test_source_that_ends_ends_its_stream(server: WebServer) -> None:
    sink = server.sink("short")
    stream = open_stream(server, "/api/stream.mjpg?source=short")
    wait_until(lambda: sink.wants_pictures)
    sink.close()
    sink.close()
    stream.read()  # to its end


def test_two_sources_of_one_name(server: WebServer) -> None:
    sinks = [server.sink("twin"), server.sink("twin")]
    assert {"twin", "twin (2)"} <= set(get(server, "/api/predictions"))
    for sink in sinks:
        sink.close()


def test_no_picture(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.api._PICTURE_TIME", 0.2)
    sink = server.sink("dark")
    assert ask(server, "/api/picture.jpg?source=dark")[0] == 503
    assert ask(server, "/api/picture.jpg?source=nowhere")[0] == 404
    sink.close()


@pytest.mark.parametrize(
    "query", ["seconds=0", "seconds=301", "seconds=x", "seconds=", "seconds=%D9%A3", "seconds=1e1"]
)
def test_wrong_numbers(server: WebServer, query: str) -> None:
    answer = ask(server, f"/api/history?{query}")
    assert answer[0] == 422 and "300" in error_of(answer)


# --- events and clips ---------------------------------------------------------------------------------------------


def test_events_newest_first_in_pages(program: Program) -> None:
    server = WebServer(program.instance, port=0)
    try:
        assert get(server, "/api/events") == []
        for number in range(250):
            server.event(make_event(number, ongoing=True))
            server.event(make_event(number, LABELS[number % 7]))
        first = get(server, "/api/events?limit=100")
        assert [event["id"] for event in first] == [f"{number:08d}" for number in range(249, 149, -1)]
        assert not first[0]["ongoing"] and first[0]["label"] == LABELS[249 % 7]
        assert first[0]["end"] == pytest.approx(first[0]["start"] + 12.4, abs=0.01)
        rest = get(server, f"/api/events?limit=200&before={first[-1]['id']}")
        assert [event["id"] for event in rest] == [f"{number:08d}" for number in range(149, 49, -1)]  # 200 are kept
    finally:
        server.close()


def test_older_events_come_from_the_database(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "events of a day.db"
    columns = "id, label, source, start, duration, position, peak, mean, clip, ongoing"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE events ({columns}, cut, writer)")
        for number in range(30):
            row = (f"{number:08d}", "yoga", "demo", 1000.0 + number, 2.0, 3.0, 0.9, 0.8, None, number == 29)
            connection.execute(f"INSERT INTO events ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
    connection.close()
    server = WebServer(program.instance, port=0, database=path)
    try:
        server.event(make_event(29, "clapping"))  # newer than what the file says of it
        server.event(make_event(30))
        events = get(server, "/api/events?limit=10")
        assert [event["id"] for event in events] == [f"{number:08d}" for number in range(30, 20, -1)]
        assert events[1]["label"] == "clapping" and not events[1]["ongoing"]
        assert events[2]["start"] == 1028.0 and events[2]["end"] == 1030.0
        path.write_bytes(b"no database" * 1000)
        answer = ask(server, "/api/events")
        assert answer[0] == 503 and error_of(answer)
        path.unlink()
        assert [event["id"] for event in get(server, "/api/events")] == ["00000030", "00000029"]
    finally:
        server.close()


def test_clip_and_ranges(server: WebServer) -> None:
    content = bytes(range(256)) * 20
    status, headers, body = ask(server, "/api/clips/clip.mp4")
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "video/mp4", "bytes")
    assert body == content
    status, headers, body = ask(server, "/api/clips/clip.mp4", Range="bytes=100-299")
    assert (status, headers["content-range"], body) == (206, f"bytes 100-299/{len(content)}", content[100:300])
    status, headers, body = ask(server, "/api/clips/clip.mp4", Range="bytes=-10")
    assert (status, body) == (206, content[-10:])
    assert ask(server, "/api/clips/clip.mp4", Range="bytes=999999-")[0] == 416
    status, headers, body = ask(server, "/api/clips/clip.mp4", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(content)), b"")


@pytest.mark.parametrize(
    "name",
    [
        "nothing.mp4", "..", ".", "%2e%2e", "../secret.mp4", "..%2fsecret.mp4", "..%2Fsecret.mp4", "..%5csecret.mp4",
        "%2e%2e%2fsecret.mp4", "..%252fsecret.mp4", "inner%2f..%2f..%2fsecret.mp4", "inner", "link.mp4",
        "%2fetc%2fpasswd", "%00", "clip.mp4%00", "clip.mp4/", "clip.mp4%0a", ".hidden.mp4", "x" * 300,
        "....//secret.mp4", "%c0%ae%c0%ae%c0%afsecret.mp4",
    ],
)  # fmt: skip
def test_no_path_leaves_the_clips_folder(server: WebServer, name: str) -> None:
    answer = ask(server, f"/api/clips/{name}")
    assert answer[0] == 404
    assert error_of(answer) and b"secret" not in answer[2] and b"root" not in answer[2]


# --- updates ------------------------------------------------------------------------------------------------------


def test_updates(server: WebServer, program: Program) -> None:
    stream = open_stream(server, "/api/updates")
    assert stream.getheader("content-type") == "text/event-stream"
    assert read_message(stream, "status")["sources"][0]["name"] == "demo"
    assert read_message(stream, "settings") == SETTINGS
    seen = {read_message(stream, "prediction")["source"] for _ in range(6)}
    assert seen == {"demo", "rtsp://10.0.0.7/cam"}
    server.event(make_event(7, ongoing=True))
    assert read_message(stream, "event")["ongoing"] is True
    server.event(make_event(7))
    assert read_message(stream, "event")["ongoing"] is False
    program.instance.change({"top-k": 2}).result(WAIT)
    assert read_message(stream, "settings")["top-k"] == 2
    program.instance.change({"top-k": 3}).result(WAIT)
    assert read_message(stream, "settings") == SETTINGS
    stream.close()


# --- viewers ------------------------------------------------------------------------------------------------------


def test_twenty_viewers_and_one_that_never_reads(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.server._PATIENCE", 2.0)
    server = WebServer(program.instance, port=0)
    # Noise: 20 times as many bytes as a film would have, so that the one who doesn't read is soon behind.
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    sink = server.sink("noise")
    ended = threading.Event()
    slowest = 0.0

    def play() -> None:
        nonlocal slowest
        number = 0
        while not ended.wait(0.03):
            started = time.perf_counter()
            sink.write(np.roll(noise, number, axis=1), 0.0, [])
            slowest = max(slowest, time.perf_counter() - started)
            number += 1

    playing = threading.Thread(target=play)
    playing.start()
    try:
        deaf = socket.create_connection(("127.0.0.1", port_of(server)))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /api/stream.mjpg?source=noise HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: sink.channel.viewers == 1)
        counts = [0] * 19
        streams = [open_stream(server, "/api/stream.mjpg?source=noise") for _ in counts]

        def watch(number: int) -> None:
            with contextlib.suppress(AssertionError):  # the end of the stream
                while True:
                    read_picture(streams[number])
                    counts[number] += 1

        watching = [threading.Thread(target=watch, args=(number,), daemon=True) for number in range(19)]
        for thread in watching:
            thread.start()
        wait_until(lambda: min(counts) >= 5)
        assert sink.channel.viewers >= 19
        wait_until(lambda: sink.channel.viewers == 19)  # the deaf one has been dropped
        before = list(counts)
        wait_until(lambda: min(now - then for now, then in zip(counts, before)) >= 3)
        assert slowest < 1.0  # handing over a picture waits for nobody
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 2.5
        ended.set()
        deaf.close()
    finally:
        ended.set()
        playing.join(WAIT)
        server.close()


def test_limit_of_viewers(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.api.VIEWERS", 3)
    server = WebServer(program.instance, port=0)
    sink = server.sink("demo")
    streams = [open_stream(server, "/api/stream.mjpg") for _ in range(3)]
    try:
        for path in ("/api/stream.mjpg", "/api/picture.jpg"):
            answer = ask(server, path)
            assert answer[0] == 503 and "3 viewers" in error_of(answer)
        streams.pop().close()
        wait_until(lambda: sink.channel.viewers == 2)
        streams.append(open_stream(server, "/api/stream.mjpg"))
        assert streams[-1].status == 200
    finally:
        server.close()


def test_silent_and_half_requests_are_dropped(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.server._PATIENCE", 1.0)
    monkeypatch.setattr("web.api._BODY_TIME", 0.5)
    server = WebServer(program.instance, port=0)
    try:
        silent = [socket.create_connection(("127.0.0.1", port_of(server)), WAIT) for _ in range(3)]
        silent[1].sendall(b"GET /api/status HTTP/1.1\r\nHost: loc")
        silent[2].sendall(
            b"PATCH /api/settings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 30\r\n\r\n{"top-k"'
        )
        assert silent[2].recv(65536).startswith(b"HTTP/1.1 408 ")
        for connection in silent[:2]:
            try:
                assert connection.recv(65536) == b""
            except ConnectionResetError:
                pass
        assert ask(server, "/healthz")[0] == 200
    finally:
        server.close()


def test_a_watchdog_hears_when_the_program_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = Instance("1234", FLAGS)
    server = WebServer(instance, port=0)

    def health() -> tuple[int, bytes]:
        status, _, body = ask(server, "/healthz")
        return status, body

    try:
        monkeypatch.setattr("web.app._STILL", 0.5)
        assert health() == (200, b"ok\n")  # still starting: it may wait for a camera
        instance.publish(status={"name": "1234"})
        status, body = wait_until(lambda: health()[0] != 200 and health())
        assert status == 503 and b"stood still" in body

        def alive() -> bool:
            instance.publish(status={"name": "1234"})
            return health() == (200, b"ok\n")

        wait_until(alive)
    finally:
        server.close()


# --- who is let in ------------------------------------------------------------------------------------------------


def test_token_is_needed_everywhere(guarded: WebServer) -> None:
    for path in ("/api/settings", "/api/stream.mjpg", "/metrics", "/openapi.json", "/docs", "/app.js", "/nowhere"):
        answer = ask(guarded, path)
        assert answer[0] == 401 and error_of(answer), path
        assert answer[1]["www-authenticate"] == "Bearer"
        assert ask(guarded, path + f"?token={TOKEN}")[0] == 401  # in addresses of the page only
    assert ask(guarded, "/api/settings", "PATCH", {"top-k": 9})[0] == 401
    status, _, body = ask(guarded, "/healthz")
    assert (status, body) == (200, b"ok\n")
    status, headers, body = ask(guarded, "/")
    assert status == 401 and b"<form" in body and b"app.js" not in body


def test_bearer(guarded: WebServer) -> None:
    assert ask(guarded, "/api/settings", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(guarded, "/api/settings", "PATCH", {"top-k": 3}, Authorization=f"bearer {TOKEN}")[0] == 200
    assert ask(guarded, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", f"Basic {TOKEN}", "Bearer \xe9"):
        assert ask(guarded, "/api/settings", Authorization=wrong)[0] == 401


def test_first_visit_makes_a_cookie(guarded: WebServer) -> None:
    assert guarded.url.endswith(f"/?token={TOKEN}")
    status, headers, body = ask(guarded, f"/?token={TOKEN}")
    assert status == 200 and headers["refresh"] == "0; url=/"
    cookie, *attributes = [part.strip() for part in headers["set-cookie"].split(";")]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(attributes)
    assert TOKEN not in cookie and TOKEN.encode() not in body
    assert ask(guarded, "/", Cookie=cookie)[0] == 200
    assert ask(guarded, "/api/settings", Cookie=cookie)[0] == 200
    assert ask(guarded, "/api/settings", Cookie=cookie[:-1] + ("0" if cookie[-1] != "0" else "1"))[0] == 401
    assert ask(guarded, "/api/settings", Cookie=cookie.partition("=")[0] + f"={TOKEN}")[0] == 401


def test_wrong_tokens_are_slowed_and_limited(program: Program) -> None:
    server = WebServer(program.instance, port=0, token=TOKEN)
    try:
        cookie = ask(server, f"/?token={TOKEN}")[1]["set-cookie"].partition(";")[0]
        started = time.monotonic()
        assert ask(server, "/api/status", Authorization="Bearer guess-0000")[0] == 401
        assert time.monotonic() - started > 0.4
        guesses: list[int] = []

        def guess(number: int) -> None:
            guesses.append(ask(server, "/api/status", Authorization=f"Bearer guess-{number:04d}")[0])

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        answer = ask(server, "/api/status", Authorization=f"Bearer {TOKEN}")  # not even the right one, for a while
        assert answer[0] == 429 and answer[1]["retry-after"] and error_of(answer)
        assert ask(server, f"/?token={TOKEN}")[0] == 429
        # Who was signed in before still is: behind a proxy all come from one address.
        assert ask(server, "/api/status", Cookie=cookie)[0] == 200
        assert ask(server, "/api/status", Cookie=cookie, Authorization="Bearer guess-0000")[0] == 200
        assert ask(server, "/api/status", Cookie=cookie + "0")[0] == 429
        assert ask(server, "/healthz")[0] == 200
    finally:
        server.close()


def test_foreign_names_are_refused_without_a_token(server: WebServer, guarded: WebServer) -> None:
    port = port_of(server)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", "LOCALHOST:1", "[::1]:80", "127.1.2.3"):
        assert ask(server, "/api/status", Host=host)[0] == 200, host
    for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.7", "", "[", "localhost.evil", "evil@x"):
        for path in ("/", "/api/status", "/api/picture.jpg"):
            answer = ask(server, path, Host=host)
            assert answer[0] == 403 and error_of(answer), host
    assert ask(guarded, "/api/status", Host="pi.local", Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_other_pages_change_nothing(
    server: WebServer, guarded: WebServer, program: Program, headers: dict[str, str]
) -> None:
    resets = program.resets
    for which in (server, guarded):
        for method, path, body in (("PATCH", "/api/settings", {"top-k": 9}), ("POST", "/api/reset", {})):
            answer = ask(which, path, method, body, Authorization=f"Bearer {TOKEN}", **headers)
            assert answer[0] == 403 and error_of(answer)
    assert program.instance.settings() == SETTINGS and program.resets == resets


def test_our_page_and_other_sites_pages(server: WebServer) -> None:
    port = port_of(server)
    own = {"Origin": f"http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-origin"}
    assert ask(server, "/api/settings", "PATCH", {"top-k": 3}, **own)[0] == 200
    assert ask(server, "/api/stream.mjpg", Sec_Fetch_Site="cross-site")[0] == 403  # nor do they watch
    assert ask(server, "/", Sec_Fetch_Site="cross-site")[0] == 200  # but they may link to us
    assert (
        ask(server, "/api/settings", "OPTIONS", Origin="http://evil.example")[1].get("access-control-allow-origin")
        is None
    )


def test_headers_that_protect(server: WebServer, guarded: WebServer) -> None:
    for which, path in ((server, "/"), (server, "/api/status"), (server, "/nowhere"), (guarded, "/")):
        headers = ask(which, path)[1]
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"] and "http" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_nothing_is_logged(program: Program, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        server = WebServer(program.instance, port=0, token=TOKEN)
        ask(server, f"/?token={TOKEN}")
        ask(server, "/?token=wrong-token")
        ask(server, "/api/status", Authorization=f"Bearer {TOKEN}")
        with socket.create_connection(("127.0.0.1", port_of(server)), WAIT) as connection:
            connection.sendall(f"GARBAGE {TOKEN}\r\n\r\n".encode())
            connection.recv(1000)
        server.close()
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err
    assert "wrong-token" not in caplog.text + out + err


def test_a_token_is_made_for_other_machines(program: Program) -> None:
    servers = [WebServer(program.instance, "0.0.0.0", 0) for _ in range(2)]
    try:
        tokens = [server.url.partition("?token=")[2] for server in servers]
        assert all(len(token) >= 24 for token in tokens) and tokens[0] != tokens[1]
        assert "0.0.0.0" not in servers[0].url
        assert ask(servers[0], "/api/status")[0] == 401
        assert ask(servers[0], "/api/status", Authorization=f"Bearer {tokens[0]}")[0] == 200
        assert ask(servers[0], "/api/status", Authorization=f"Bearer {tokens[1]}")[0] == 401
    finally:
        for server in servers:
            server.close()


def test_weak_tokens_are_refused(program: Program) -> None:
    for token in ("", "short", "with space here", "ümläut-umlaut", "x" * 201, "line\nline-line"):
        with pytest.raises(UserError, match="--token"):
            WebServer(program.instance, port=0, token=token)


# --- the server itself --------------------------------------------------------------------------------------------


def test_unknown_paths_and_methods(server: WebServer) -> None:
    for path in ("/nowhere", "/api", "/api/", "/api/settings/", "/static/app.js", "/..", "/%2e%2e/classify.py"):
        answer = ask(server, path)
        assert answer[0] == 404 and error_of(answer)
    answer = ask(server, "/api/settings", "DELETE")
    assert answer[0] == 405 and error_of(answer)
    assert set(answer[1]["allow"].split(", ")) == {"GET", "HEAD", "PATCH"}


def test_port_that_is_taken(server: WebServer, program: Program) -> None:
    port = port_of(server)
    with pytest.raises(OutputError) as caught:
        WebServer(program.instance, port=port)
    assert f"127.0.0.1:{port}" in str(caught.value) and "\n" not in str(caught.value)
    for address in ("203.0.113.9", "no such name", "1.2.3"):
        with pytest.raises(OutputError):
            WebServer(program.instance, address, 0)


def test_everything_ends(program: Program) -> None:
    before = set(threading.enumerate())
    server = WebServer(program.instance, port=0)
    server.sink("demo")
    streams = [open_stream(server, path) for path in ("/api/updates", "/api/stream.mjpg") for _ in range(10)]
    read_message(streams[0], "status")
    program.deaf.set()
    waiting = threading.Thread(
        target=lambda: pytest.raises(OSError, ask, server, "/api/reset", "POST", {}), daemon=True
    )
    waiting.start()
    started = time.monotonic()
    server.close()
    assert time.monotonic() - started < 2.2
    program.deaf.clear()
    server.close()
    waiting.join(WAIT)
    wait_until(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()])
    with pytest.raises(OSError):
        ask(server, "/healthz")
    sink = server.sink("late")  # the main thread may not know yet
    sink.write(np.zeros((4, 4, 3), np.uint8), 0.0, [])
    sink.close()
    again = WebServer(program.instance, port=port_of(server))  # the port is free at once
    again.close()


def test_missing_package_is_said_and_nothing_is_imported_early() -> None:
    script = """
import sys
import web
assert "starlette" not in sys.modules and "uvicorn" not in sys.modules and "cv2" not in sys.modules
sys.modules["uvicorn"] = None
from errors import PackageError
try:
    import web.server
except PackageError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "uvicorn is not installed; run ./setup.sh --extras remote\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("pi.local", ("pi.local", 8080)),
        ("[::1]:81", ("::1", 81)),
        ("[::]", ("::", 8080)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "a:b", "1:2:3", "::1", "127.0.0.1:70000", "[::1", "127.0.0.1:-1"])
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(UserError, match=r"127.0.0.1:8080 or the like, an IPv6 address in brackets: \[::1\]:8080"):
        parse_address(text)


def test_loopback() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "Localhost"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "10.0.0.7", "pi.local", "", "localhost.evil"))
