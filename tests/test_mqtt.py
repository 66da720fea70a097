"""MQTT against a real broker: what it is told, what it may command, and that it may come and go."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from broker import PATIENCE, SETTINGS, STATUS, Broker, Listener, Program, free_port, running, until
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import remote.mqtt_link as mqtt_link
from credentials import public_text
from errors import PackageError, UserError
from events import Event
from events.json_lines import JsonLinesEvents
from remote.mqtt import Mqtt
from remote.mqtt_address import parse_url

PICTURE = np.zeros((2, 2, 3), np.uint8)
SECRET = "hunter2"


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def program():
    with running() as program:
        yield program


@contextlib.contextmanager
def told(broker: Broker, program: Program, **options):
    """The program on the broker."""
    told = Mqtt(options.pop("url", broker.url), program.instance, **options)
    try:
        yield told
    finally:
        told.close()


@contextlib.contextmanager
def hearing(broker: Broker, *topics: str):
    listener = Listener(broker, *topics)
    try:
        yield listener
    finally:
        listener.close()


def prediction(*top: tuple[str, float]):
    return SimpleNamespace(
        timestamp=1.0, step=7, step_time=0.01,
        top=[SimpleNamespace(label=label, probability=p, index=i) for i, (label, p) in enumerate(top)],
    )  # fmt: skip


def event(number: int, label: str = "yoga", ongoing: bool = False) -> Event:
    return Event(f"id{number:05}", label, "camera", 1.7e9 + number, float(number), 2.5, 0.9, 0.7, ongoing)


def ids(listener: Listener) -> list[str]:
    """The events' ids as first heard, each once: QoS 1 may repeat."""
    return list(dict.fromkeys(json.loads(text)["id"] for text in listener.texts("movinet-pi/events")))


# --- where the broker is


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://house", ("house", 1883, False, "movinet-pi", None, None)),
        ("mqtt://house/", ("house", 1883, False, "movinet-pi", None, None)),
        ("mqtts://house", ("house", 8883, True, "movinet-pi", None, None)),
        ("mqtt://house:2000/pi/kitchen", ("house", 2000, False, "pi/kitchen", None, None)),
        ("mqtt://me@house", ("house", 1883, False, "movinet-pi", "me", None)),
        ("mqtt://me:p%40s%2Fs%3A%23%25@house/x", ("house", 1883, False, "x", "me", "p@s/s:#%")),
        ("mqtt://me:p@ss@house", ("house", 1883, False, "movinet-pi", "me", "p@ss")),
        ("mqtt://[fe80::1]:99/x", ("fe80::1", 99, False, "x", None, None)),
        ("mqtt://house/k%C3%BCche", ("house", 1883, False, "küche", None, None)),
    ],
)
def test_url(url, expected):
    address = parse_url(url)
    assert (address.host, address.port, address.tls, address.prefix, address.user, address.password) == expected


@given(user=st.text(min_size=1, max_size=20), password=st.text(max_size=20))
def test_any_credentials_survive_percent_encoding_and_are_never_shown(user, password):
    address = parse_url(f"mqtts://{quote(user, safe='')}:{quote(password, safe='')}@house/there")
    assert (address.user, address.password) == (user, password)
    assert f"{address} {address!r}" == f"{address} {parse_url('mqtts://house/there')!r}"


@pytest.mark.parametrize(
    "url",
    [
        "house", "mqtt://", "http://house", "mqtt:///prefix", "mqtt://house:0", "mqtt://house:70000", "mqtt://house:x",
        f"mqtt://me:{SECRET}@house/a//b", f"mqtt://me:{SECRET}@house/a/", f"mqtt://me:{SECRET}@house/+",
        f"mqtt://me:{SECRET}@house/a%23", f"mqtt://me:{SECRET}@house/#", f"mqtt://me:{SECRET}@house/$SYS",
        f"mqtt://me:{SECRET}@house/a%00", f"mqtt://me:{SECRET}@house/a%0Ab", f"mqtt://me:{SECRET}@house/{'x' * 201}",
        f"mqtt://me:{SECRET}@house?x=1", f"mqtt://me:{SECRET}#1@house", f"mqtt://me:{SECRET}/1@house",
        f"mqtt://me:1/{SECRET}@house", f"mqtt://:{SECRET}@house", f"mqtt://me:{SECRET}%FF@house",
        f"mqtt://me:{SECRET}@[house", f"mqtt://me:{SECRET}?@house",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused_in_one_line_without_its_credentials(url):
    with pytest.raises(UserError) as caught:
        parse_url(url)
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)
    assert public_text(str(caught.value)) == str(caught.value)  # or the user would see the half of it


def test_a_ca_is_for_tls_and_must_be_one(tmp_path, program):
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "text.pem").write_text("a page of words\n")
    for url, ca, reason in (
        ("mqtt://h", "x", "not encrypted"),
        ("mqtts://h", "none", "No such file"),
        ("mqtts://h", "empty.pem", "it holds no certificate in PEM format"),
        ("mqtts://h", "text.pem", "it holds no certificate in PEM format"),
    ):
        with pytest.raises(UserError, match=f"^--mqtt-ca {tmp_path / ca}: .*{reason}") as caught:
            Mqtt(url, program.instance, ca=str(tmp_path / ca))
        assert "_ssl" not in str(caught.value)


def test_without_the_package_one_line_says_what_to_install(monkeypatch, program):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(PackageError, match="setup.sh --extras remote"):
        Mqtt("mqtt://house", program.instance)


def test_the_module_costs_nothing_before_it_is_used():
    code = "import sys, remote.mqtt_address; print([name for name in sys.modules if name.startswith(('paho', 'cv2'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "[]"


# --- what the broker is told


def test_state_settings_and_statistics_stand_on_the_broker_for_who_comes_later(broker, program):
    with told(broker, program) as mqtt, hearing(broker) as early:
        mqtt.sink("camera").write(
            PICTURE, 1.0, [prediction(("yoga", 0.25)), prediction(("zumba", 0.987654), ("yoga", 0.01))]
        )
        early.wait("movinet-pi/status")
        early.wait("movinet-pi/state")
        early.wait("movinet-pi/settings")
        with hearing(broker, "movinet-pi/#") as late:
            assert late.wait("movinet-pi/availability") == "online"
            state = json.loads(late.wait("movinet-pi/state"))
            assert json.loads(late.wait("movinet-pi/settings")) == SETTINGS
            assert json.loads(late.wait("movinet-pi/status")) == STATUS
            assert all(message.retained for message in late.messages)
    assert state.pop("time").endswith("Z")
    assert state == {
        "source": "camera",
        "label": "zumba",
        "probability": 0.9877,
        "top": [{"label": "zumba", "probability": 0.9877}, {"label": "yoga", "probability": 0.01}],
    }


def test_nothing_above_the_threshold_and_no_signal_are_states(broker, program):
    with told(broker, program) as mqtt, hearing(broker) as listener:
        sink = mqtt.sink("camera")
        assert not sink.wants_pictures
        sink.write(PICTURE, 1.0, [prediction()])
        state = json.loads(listener.wait("movinet-pi/state"))
        assert (state["label"], state["probability"], state["top"]) == (None, None, [])
        sink.no_signal(12.34)
        assert json.loads(listener.wait("movinet-pi/state", lambda text: "no_signal" in text))["no_signal"] == 12.3


def test_a_state_comes_at_most_twice_a_second_but_a_new_label_at_once(broker, program):
    with told(broker, program) as mqtt, hearing(broker, "movinet-pi/state") as listener:
        sink = mqtt.sink("camera")
        began = time.monotonic()
        for step in range(60):
            sink.write(PICTURE, step, [prediction(("yoga", step / 100))])
            time.sleep(0.03)
        listener.wait("movinet-pi/state", lambda text: '"probability": 0.59' in text)
        heard = len(listener.texts("movinet-pi/state"))
        assert heard <= 2 * (time.monotonic() - began) + 2
        for label in ("a", "b", "c", "d"):
            sink.write(PICTURE, 1.0, [prediction((label, 0.5))])
            sink.write(PICTURE, 1.0, [prediction((label, 0.6))])
            listener.wait("movinet-pi/state", lambda text, label=label: f'"label": "{label}"' in text)


def test_several_sources_have_a_state_each_and_the_likeliest_is_the_programs(broker, program):
    with told(broker, program) as mqtt, hearing(broker) as listener:
        left, right = mqtt.sink("usb:0"), mqtt.sink("Küche")
        left.write(PICTURE, 1.0, [prediction(("yoga", 0.4))])
        right.write(PICTURE, 1.0, [prediction(("zumba", 0.8))])
        until(lambda: '"zumba"' in (listener.last("movinet-pi/state") or ""))
        left.write(PICTURE, 1.0, [prediction(("yoga", 0.9))])
        until(lambda: '"yoga"' in listener.last("movinet-pi/state"))
        own = {m.topic: json.loads(m.text)["source"] for m in list(listener.messages) if "/source/" in m.topic}
        assert sorted(own.values()) == ["Küche", "usb:0"]
        assert all(set(topic) <= set("abcdefghijklmnopqrstuvwxyz0123456789-/") for topic in own)
        left.close()
        until(lambda: '"zumba"' in listener.last("movinet-pi/state"))
        gone = next(topic for topic, source in own.items() if source == "usb:0")
        until(lambda: listener.last(gone) == "", "for the ended source to be taken off")


def test_events_say_when_they_began_and_ended(broker, program):
    with told(broker, program) as mqtt, hearing(broker, "movinet-pi/events") as listener:
        mqtt.event(Event("a1", "yoga", "usb:0", 1.7e9, 12.0, 0.4, 0.5, 0.5, True, "yoga.mp4"))
        mqtt.event(Event("a1", "yoga", "usb:0", 1.7e9, 12.0, 3.25, 0.98765, 0.75, False, "yoga.mp4"))
        until(lambda: len(listener.messages) >= 2)
        begin, end = (json.loads(message.text) for message in listener.messages[:2])
    assert not any(message.retained for message in listener.messages)
    assert (begin["id"], begin["event"], begin["end"]) == ("a1", "began", None)
    assert end == {
        "event": "ended", "id": "a1", "label": "yoga", "source": "usb:0", "start": "2023-11-14T22:13:20.000Z",
        "end": "2023-11-14T22:13:23.250Z", "duration": 3.25, "position": 12.0, "peak": 0.98765, "mean": 0.75,
        "clip": "yoga.mp4",
    }  # fmt: skip


def test_events_are_those_of_json_lines(broker, program, tmp_path):
    lines = JsonLinesEvents(tmp_path / "events.jsonl")
    with told(broker, program) as mqtt, hearing(broker, "movinet-pi/events") as listener:
        for sink in (mqtt, lines):
            sink.event(event(1, ongoing=True))
            sink.event(event(1))
        until(lambda: len(listener.messages) >= 2)
    lines.close()
    written = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [json.loads(message.text) for message in listener.messages] == written


def test_a_chosen_label_is_on_while_an_event_of_any_source_lasts(broker, program):
    topic = "movinet-pi/label/tai-chi"
    with told(broker, program, sensors=["tai chi"]) as mqtt, hearing(broker) as listener:
        assert listener.wait(topic) == "OFF"
        mqtt.event(event(1, "Tai Chi", ongoing=True))
        until(lambda: listener.last(topic) == "ON")
        mqtt.event(event(2, "tai chi", ongoing=True))
        mqtt.event(event(1, "Tai Chi"))
        mqtt.event(event(3, "yoga"))
        until(lambda: len(ids(listener)) == 3)
        assert listener.last(topic) == "ON"
        mqtt.event(event(2, "tai chi"))
        until(lambda: listener.last(topic) == "OFF")


def test_a_named_instance_has_topics_of_its_own_an_unnamed_one_the_prefix(broker):
    with running("Kitchen/+#"), running("kitchen") as named, running(str(os.getpid())) as unnamed:
        with told(broker, named, url=f"{broker.url}/home"), told(broker, unnamed, url=f"{broker.url}/home"):
            with hearing(broker) as listener:
                listener.wait("home/kitchen/availability")
                listener.wait("home/availability")


# --- what the broker may command


def answers(listener: Listener) -> list[dict]:
    return [json.loads(text) for text in listener.texts("movinet-pi/set/result")]


def command(listener: Listener, topic: str, payload: str | bytes) -> dict:
    """Sends a command and returns its answer."""
    before = len(answers(listener))
    listener.say(f"movinet-pi/{topic}", payload)
    return until(lambda: answers(listener)[before:], f"for the answer to {topic}")[0]


@pytest.fixture
def remote_control(broker, program):
    """The listener of a program that is connected and obeys, and the program."""
    with hearing(broker) as listener, told(broker, program):
        listener.wait("movinet-pi/status")
        yield listener, program


def test_settings_change_all_or_none(remote_control):
    listener, program = remote_control
    assert command(listener, "set", '{"top-k": 5, "threshold": 0.4}') == {"topic": "set", "ok": True}
    shown = json.loads(listener.wait("movinet-pi/settings", lambda text: '"top-k": 5' in text))
    assert shown == {**SETTINGS, "top-k": 5, "threshold": 0.4}
    answer = command(listener, "set", '{"top-k": 7, "threshold": 4}')
    assert not answer["ok"] and "threshold" in answer["error"]
    assert program.settings["top-k"] == 5


def test_plain_values_as_home_assistant_sends_them(remote_control):
    listener, program = remote_control
    for flag, payload, expected in (
        ("top-k", "5", 5), ("top-k", "4.0", 4), ("threshold", "0.4", 0.4), ("threshold", "1", 1.0),
        ("mirror", "ON", True), ("mirror", "OFF", False), ("idle", "true", True), ("fit", "pad", "pad"),
        ("memory", "2.5", 2.5), ("memory", "off", None), ("allow", "tai chi", ["tai chi"]),
        ("allow", '["yoga", "a, b"]', ["yoga", "a, b"]), ("allow", "", []), ("record", "out.mp4", "out.mp4"),
        ("record", "None", None),
    ):  # fmt: skip
        assert command(listener, f"set/{flag}", payload) == {"topic": f"set/{flag}", "ok": True}
        assert program.settings[flag] == expected and type(program.settings[flag]) is type(expected)


def test_a_change_made_elsewhere_is_shown(remote_control):
    listener, program = remote_control
    program.instance.change({"fit": "pad"})
    listener.wait("movinet-pi/settings", lambda text: '"fit": "pad"' in text)


GARBAGE = [
    ("set", b""), ("set", b"top-k 5"), ("set", b"[1]"), ("set", b"5"), ("set", b"null"), ("set", b'"x"'),
    ("set", b"{"), ("set", b"\xff\xfe{}"), ("set", b"[" * 10_000), ("set", b'{"a":' * 3000), ("set", b"{}" * 9000),
    ("set", b'{"threshold": NaN}'), ("set", b'{"threshold": 1e999}'), ("set", b'{"threshold": -Infinity}'),
    ("set", b'{"top-k": ' + b"9" * 6000 + b"}"), ("set", b'{"\\ud800": 1}'), ("set", b'{"top-k": "5"}'),
    ("set", b'{"top-k": true}'), ("set", b'{"top-k": null}'), ("set", b'{"nonsense": 1}'), ("set", b"\0" * 100),
    ("set", b'{"model": "/etc/passwd"}'), ("set", b'{"record": "../x.mp4"}'), ("set", b'{"record": "~/x.mp4"}'),
    ("set/record", b"/tmp/x.mp4"), ("set/model", b"..\\x"), ("set/top-k", b""), ("set/top-k", b"1_000"),
    ("set/top-k", b"5.5"), ("set/top-k", b"-1"), ("set/top-k", "\u0665".encode()), ("set/threshold", b"nan"),
    ("set/threshold", b"inf"), ("set/threshold", b"1e99"), ("set/mirror", b"maybe"), ("set/fit", b"tilt"),
    ("set/allow", b"[1"), ("command", b""), ("command", b"quit"), ("command", b"snapshot"), ("command", b"\xff"),
]  # fmt: skip


def test_garbage_is_answered_with_an_error_and_changes_nothing(remote_control):
    listener, program = remote_control
    for topic, payload in GARBAGE:
        answer = command(listener, topic, payload)
        # Eastern Arabic digits are a number, too; any other answer is a refusal with a reason.
        assert answer["topic"] == topic and len(answer.get("error", "")) <= 500
        if not (topic == "set/top-k" and payload == "\u0665".encode()):
            assert not answer["ok"] and answer["error"], (topic, payload)
    assert {**program.settings, "top-k": 3} == SETTINGS
    assert command(listener, "set", '{"top-k": 9}')["ok"]


def test_a_retained_command_is_not_obeyed_at_each_connection(broker, program):
    with hearing(broker) as listener:
        listener.say("movinet-pi/set", '{"top-k": 9}', retain=True)
        listener.say("movinet-pi/set/top-k", "9", retain=True)
        listener.say("movinet-pi/command", "reset", retain=True)
        with told(broker, program):
            listener.wait("movinet-pi/status")
            assert command(listener, "set/threshold", "0.2")["ok"]
    assert program.obeyed == [("change", {"threshold": 0.2})]


def test_a_huge_message_is_not_read_and_costs_only_the_connection(remote_control):
    listener, program = remote_control
    listener.say("movinet-pi/set", b"x" * 30_000_000)
    until(lambda: listener.texts("movinet-pi/availability").count("online") >= 2, "for the reconnection")
    assert command(listener, "set", '{"top-k": 4}')["ok"]


def test_more_commands_at_once_than_the_program_can_take(broker):
    """One that is busy for long: each command is answered, the late ones with a refusal."""
    busy = Program()
    busy.stop()
    with hearing(broker) as listener, told(broker, busy):
        listener.wait("movinet-pi/status")
        for number in range(1, 41):
            listener.say("movinet-pi/set/top-k", str(number))
        until(lambda: len(answers(listener)) == 8)
        assert all("too many" in answer["error"] for answer in answers(listener))


def test_commands_and_none_that_ends_the_program_or_names_a_path(broker, program, tmp_path):
    with hearing(broker) as listener, told(broker, program, snapshots=str(tmp_path)):
        listener.wait("movinet-pi/status")
        assert command(listener, "command", "reset")["ok"]
        assert command(listener, "command", "snapshot")["ok"]
        assert "second" in command(listener, "command", "snapshot")["error"]
        assert not command(listener, "command", "snapshot /tmp/x.jpg")["ok"]
        assert not command(listener, "command", "quit")["ok"]
    assert program.obeyed == [("reset", None), ("snapshot", str(tmp_path))]


def test_a_password_in_an_error_is_not_told(broker):
    program = Program()
    program.stop()
    with hearing(broker) as listener, told(broker, program):
        listener.wait("movinet-pi/status")
        listener.say("movinet-pi/set/fit", "pad")
        (waiting,) = until(lambda: list(program.instance.waiting()))
        waiting.done.set_exception(UserError(f"can't open rtsp://me:{SECRET}@camera/stream"))
        text = listener.wait("movinet-pi/set/result")
    assert SECRET not in text and "camera" in text


# --- a broker that comes and goes


def test_a_broker_that_is_down_at_the_start(tmp_path, program, capfd):
    broker = Broker(tmp_path)
    with told(broker, program) as mqtt:
        sink = mqtt.sink("camera")
        sink.write(PICTURE, 1.0, [prediction(("early", 0.5))])
        mqtt.event(event(1, ongoing=True))
        until(lambda: "trying again" in "".join(capfd.readouterr().err), "for the line")
        mqtt.event(event(1))
        sink.write(PICTURE, 1.0, [prediction(("late", 0.5))])
        broker.start()
        try:
            with hearing(broker, "movinet-pi/state") as listener:
                states = [listener.wait("movinet-pi/state")]
                assert [json.loads(text)["label"] for text in states] == ["late"]
        finally:
            broker.kill()


def test_killed_and_restarted_no_event_is_lost_and_all_come_in_order(broker, program, capfd):
    with hearing(broker, "movinet-pi/events", "movinet-pi/availability") as listener, told(broker, program) as mqtt:
        listener.wait("movinet-pi/availability", lambda text: text == "online")
        sent = 0
        for _ in range(2):
            for stage in (None, broker.freeze, broker.kill, broker.start, None):
                if stage:
                    stage()
                for _ in range(40):
                    mqtt.event(event(sent))
                    sent += 1
                    time.sleep(0.002)  # so that some are on their way when it dies
            until(lambda sent=sent: len(ids(listener)) == sent, "for the events after the return")
        heard = [json.loads(text) for text in listener.texts("movinet-pi/events")]
    assert ids(listener) == [f"id{number:05}" for number in range(sent)]
    times = {record["id"]: record["start"] for record in heard}
    assert len(set(times.values())) == sent  # each with its own time
    lines = capfd.readouterr().err.splitlines()
    assert all(line.startswith("mqtt: ") for line in lines) and len(lines) < 15, "a line a change, not one a try"


def test_of_too_many_events_the_oldest_are_dropped_and_counted(broker, program, capfd, monkeypatch):
    monkeypatch.setattr(mqtt_link, "MOST_EVENTS", 100)
    with hearing(broker, "movinet-pi/events") as listener:
        broker.kill()
        with told(broker, program) as mqtt:
            for number in range(107):
                mqtt.event(event(number))
            broker.start()
            until(lambda: len(ids(listener)) >= 100)
        assert ids(listener) == [f"id{number:05}" for number in range(7, 107)]
    assert "7 events were lost" in capfd.readouterr().err


def test_a_frozen_broker_holds_nobody_up_and_gets_only_the_newest_state(broker, program):
    with hearing(broker, "movinet-pi/state", "movinet-pi/events", "movinet-pi/status") as listener:
        with told(broker, program) as mqtt:
            sink = mqtt.sink("camera")
            listener.wait("movinet-pi/status")
            broker.freeze()
            slowest = 0.0
            for step in range(3000):
                began = time.monotonic()
                sink.write(PICTURE, step, [prediction((f"label {step}", 0.5))])
                if step % 10 == 0:
                    mqtt.event(event(step))
                slowest = max(slowest, time.monotonic() - began)
                if step < 100:
                    time.sleep(0.003)  # the link could send each of these
            broker.thaw()
            assert slowest < 1  # a call takes microseconds; a busy machine may pause for a while
            until(lambda: len(ids(listener)) == 300)
            listener.wait("movinet-pi/state", lambda text: '"label 2999"' in text)
            assert len(listener.texts("movinet-pi/state")) <= 3, "the one on its way, and the newest"
            assert ids(listener) == [f"id{step:05}" for step in range(0, 3000, 10)]


def test_the_end_is_quick_and_says_offline(broker, program):
    with hearing(broker) as listener:
        mqtt = Mqtt(broker.url, program.instance)
        listener.wait("movinet-pi/status")
        for number in range(50):
            mqtt.event(event(number))
        mqtt.close()
        assert len(ids(listener)) == 50 or until(lambda: len(ids(listener)) == 50)
        until(lambda: listener.last("movinet-pi/availability") == "offline")
        assert not [thread for thread in threading.enumerate() if thread.name == "mqtt"]
        mqtt.close()


def test_the_end_is_quick_with_a_frozen_broker_and_without_any(broker, program):
    with told(broker, program) as mqtt, hearing(broker) as listener:
        listener.wait("movinet-pi/status")
        broker.freeze()
        mqtt.event(event(1))
        began = time.monotonic()
        mqtt.close()
        assert time.monotonic() - began < 3
        broker.kill()
        away = Mqtt(broker.url, program.instance)
        began = time.monotonic()
        away.close()
        assert time.monotonic() - began < 3
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "mqtt"])


def test_a_name_that_takes_for_ever_to_look_up_holds_nobody_up(program, monkeypatch):
    released = threading.Event()
    asked = threading.Event()

    def look_up(*arguments, **options):
        asked.set()
        released.wait(PATIENCE)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    mqtt = Mqtt("mqtt://house.invalid", program.instance)
    assert asked.wait(PATIENCE)
    mqtt.event(event(1))
    mqtt.close()
    assert time.monotonic() - began < 5
    released.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "mqtt"])


def test_a_host_that_cant_be_a_name_is_told(program, capfd):
    mqtt = Mqtt(f"mqtt://{'x' * 70}.y", program.instance)
    until(lambda: "can't reach" in capfd.readouterr().err)
    mqtt.close()


CHILD = """
import sys, time
from remote.instance import Instance
from remote.mqtt import Mqtt
mqtt = Mqtt(sys.argv[1], Instance("", ()))
time.sleep(60)
"""


def test_a_program_that_is_killed_is_offline(broker):
    with hearing(broker) as listener:
        child = subprocess.Popen([sys.executable, "-c", CHILD, broker.url], cwd=ROOT)
        listener.wait("movinet-pi/availability", lambda text: text == "online")
        child.kill()
        child.wait()
        listener.wait("movinet-pi/availability", lambda text: text == "offline")


def test_offline_said_of_an_earlier_connection_is_put_right(broker, program, monkeypatch):
    monkeypatch.setattr("remote.mqtt._STATUS_PERIOD", 0.2)
    with hearing(broker) as listener, told(broker, program):
        listener.wait("movinet-pi/status")
        listener.say("movinet-pi/availability", "offline", retain=True)
        until(lambda: listener.last("movinet-pi/availability") == "online")


# --- who may come in


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=PATIENCE)


def certificates(folder: Path, modern: bool = True) -> None:
    """Makes a CA and a server's certificate; without `modern` as mosquitto's instructions do, without extensions."""
    make = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*make, "-x509", "-subj", "/CN=house CA", "-keyout", "ca.key", "-out", "ca.pem", folder=folder)
    extensions = "subjectAltName=IP:127.0.0.1\n"
    if modern:
        extensions += "authorityKeyIdentifier=keyid\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
    (folder / "extensions").write_text(extensions)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=house", "-keyout", "key.pem", "-out", "request",
            folder=folder)  # fmt: skip
    openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", "cert.pem", folder=folder)  # fmt: skip
    (folder / "key.pem").chmod(0o644)


@pytest.mark.parametrize("modern", [True, False])
def test_tls_with_the_right_and_the_wrong_ca(tmp_path, program, capfd, modern, monkeypatch):
    certificates(tmp_path, modern)
    port = free_port()
    broker = Broker(
        tmp_path, "allow_anonymous true", f"listener {port} 127.0.0.1", f"certfile {tmp_path}/cert.pem",
        f"keyfile {tmp_path}/key.pem",
    )  # fmt: skip
    broker.start()
    tls = f"mqtts://127.0.0.1:{port}"
    try:
        with told(broker, program, url=tls, ca=str(tmp_path / "ca.pem")) as mqtt, hearing(broker) as listener:
            until(lambda: f"connected to {tls}" in capfd.readouterr().err)
            for number in range(100):
                mqtt.event(event(number))
            for number in range(1, 21):  # at once: they come in one piece of encrypted data
                listener.say_later("movinet-pi/set/top-k", str(number))
            until(lambda: len(answers(listener)) == 20 and len(ids(listener)) == 100)
        # Another CA than the broker's: the system's.
        tries = []
        monkeypatch.setattr("remote.mqtt_link._SHORTEST_WAIT", 0.05)
        connect = mqtt_link._import_paho().Client.connect
        monkeypatch.setattr("paho.mqtt.client.Client.connect", lambda *a, **o: tries.append(1) or connect(*a, **o))
        with told(broker, program, url=tls):
            until(lambda: len(tries) >= 3, "for it to be tried again")
        refused = capfd.readouterr().err.splitlines()
        assert len(refused) == 1 and "not trusted" in refused[0] and "--mqtt-ca" in refused[0]
        with told(broker, program, url=f"mqtt://127.0.0.1:{port}"):  # not TLS at all
            until(lambda: "trying again" in capfd.readouterr().err)
    finally:
        broker.kill()


def test_the_right_password_comes_in_and_a_wrong_one_stays_unseen(tmp_path, program, capfd, monkeypatch):
    passwords = tmp_path / "passwords"
    passwords.touch(0o644)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "me", f"{SECRET}@/:"], check=True, timeout=PATIENCE)
    passwords.chmod(0o644)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    broker.start()
    waits = []
    monkeypatch.setattr("remote.mqtt_link._LONGEST_WAIT", 3.0)
    wait = threading.Event.wait
    monkeypatch.setattr(
        threading.Event, "wait", lambda self, timeout=None: waits.append(timeout) or wait(self, timeout)
    )
    try:
        with told(broker, program, url=f"mqtt://me:{quote(SECRET + '@/:', safe='')}@127.0.0.1:{broker.port}"):
            until(lambda: "connected" in capfd.readouterr().err)
        with told(broker, program, url=f"mqtt://me:{SECRET}@127.0.0.1:{broker.port}"):
            until(lambda: 3.0 in waits, "for the longest pause")
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1 and "refuses" in lines[0] and "authorized" in lines[0] and SECRET not in lines[0]
    finally:
        broker.kill()
