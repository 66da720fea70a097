"""Home Assistant: that it would accept what it is sent, understand the values, and command what it shows.

`check` and `DEVICE_CLASSES` are written after Home Assistant's documentation of MQTT discovery and of each platform.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from broker import FLAGS, SETTINGS, SOURCE, STATUS, Broker, running, until
from conftest import ROOT
from test_mqtt import PICTURE, event, hearing, prediction, told

import remote.home_assistant as home_assistant
from remote.home_assistant import entities, label_topic, node_id, slug

LABELS = ["tai chi", 'say "hi" {{ 7 * 7 }}', "跳舞"]
NODE = "movinet_0123456789abcdef"

# Units that each device class may have; a sensor with another one is refused.
DEVICE_CLASSES = {
    "duration": {"d", "h", "min", "s", "ms", "μs"},
    "temperature": {"°C", "°F", "K"},
    "data_size": {"bit", "kbit", "Mbit", "Gbit", "B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"},
}
COMMON = {
    "name", "unique_id", "device", "origin", "availability_topic", "icon", "entity_category", "qos", "device_class",
}  # fmt: skip
# By platform: keys it needs, and those it knows besides.
PLATFORMS = {
    "sensor": ({"state_topic"}, {"value_template", "unit_of_measurement", "state_class"}),
    "binary_sensor": ({"state_topic"}, {"value_template", "payload_on", "payload_off"}),
    "number": ({"command_topic"}, {"state_topic", "value_template", "min", "max", "step", "mode"}),
    "select": ({"command_topic", "options"}, {"state_topic", "value_template"}),
    "switch": ({"command_topic"}, {"state_topic", "value_template", "payload_on", "payload_off"}),
    "button": ({"command_topic"}, {"payload_press"}),
}


def check(topic: str, config: dict) -> None:
    """Fails where Home Assistant would refuse a configuration, or warn of it."""
    place = re.fullmatch(r"homeassistant/(\w+)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config", topic)
    assert place, f"no discovery topic: {topic}"
    platform = place.group(1)
    needed, known = PLATFORMS[platform]
    assert needed <= set(config) <= needed | known | COMMON, (topic, set(config) - needed - known - COMMON)
    assert config["unique_id"] and config["name"], "an entity of a device needs both"
    device = config["device"]
    assert device["identifiers"] and set(device) <= {"identifiers", "name", "manufacturer", "model", "sw_version"}
    assert config["origin"]["name"]
    for key in ("state_topic", "command_topic", "availability_topic"):
        if key in config:
            assert config[key] and not set(config[key]) & set("+#\0")
    assert config.get("entity_category") in (None, "diagnostic", "config")
    if platform in ("sensor", "binary_sensor"):
        assert config.get("entity_category") != "config", "a sensor can't be configuration"
    assert re.fullmatch(r"mdi:[a-z0-9-]+", config.get("icon", "mdi:x"))
    if "device_class" in config:
        assert config["unit_of_measurement"] in DEVICE_CLASSES[config["device_class"]]
    if "state_class" in config:
        assert config["state_class"] in ("measurement", "total", "total_increasing") and config["unit_of_measurement"]
    if platform == "number":
        low, high = config.get("min", 1), config.get("max", 100)
        assert low < high and config["step"] >= 0.001 and config["mode"] in ("auto", "box", "slider")
    if platform == "select":
        assert len(config["options"]) == len(set(config["options"])) > 0


def render(template: str, payload: str) -> str:
    """Returns the state that Home Assistant's template gives for a message."""
    jinja2 = pytest.importorskip("jinja2", reason="needs jinja2: pip install -r requirements-dev.txt")
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(value_json=json.loads(payload), value=payload).strip()


def configs(labels=(), base: str = "movinet-pi", snapshots: bool = False) -> dict[str, dict]:
    """By platform and object."""
    found = entities(base, NODE, FLAGS, labels, snapshots)
    return {re.sub(f"homeassistant/(.*)/{NODE}/(.*)/config", r"\1/\2", topic): v for topic, v in found.items()}


def test_each_configuration_is_one_that_home_assistant_accepts():
    for base in ("movinet-pi", "home/küche/1"):
        found = entities(base, NODE, FLAGS, LABELS, True)
        for topic, config in found.items():
            check(topic, json.loads(json.dumps(config)))
        ids = [config["unique_id"] for config in found.values()]
        assert len(set(ids)) == len(ids)
        names = [config["name"] for config in found.values()]
        assert len(set(names)) == len(names), "two entities of the same name can't be told apart"
        assert len({json.dumps(config["device"]) for config in found.values()}) == 1


def test_what_appears():
    assert set(configs(LABELS[:1], snapshots=True)) == {
        "sensor/action", "sensor/probability", "binary_sensor/label_tai-chi", "sensor/camera_fps", "sensor/sample_fps",
        "sensor/step", "sensor/memory", "sensor/temperature", "sensor/uptime", "number/set_threshold",
        "number/set_top-k", "number/set_event-on", "number/set_event-off", "select/set_fit", "switch/set_mirror",
        "switch/set_idle", "button/reset", "button/snapshot",
    }  # fmt: skip
    assert "button/snapshot" not in configs()


def test_a_control_has_the_bounds_of_its_flag():
    number = configs()["number/set_top-k"]
    assert (number["min"], number["max"], number["step"]) == (1, 50, 1)
    assert configs()["select/set_fit"]["options"] == ["crop", "stretch", "pad"]


@pytest.mark.parametrize(
    ("entity", "payload", "state"),
    [
        ("sensor/action", {"label": "tai chi", "probability": 0.5}, "tai chi"),
        ("sensor/action", {"label": None, "probability": None}, "none"),
        ("sensor/probability", {"label": "yoga", "probability": 0.987}, "99"),
        ("sensor/probability", {"label": None, "probability": None}, "0"),
        ("sensor/camera_fps", STATUS, "30.0"),
        ("sensor/sample_fps", STATUS, "5.0"),
        ("sensor/step", STATUS, "12.5"),
        ("sensor/step", {**STATUS, "sources": [{**SOURCE, "step_ms": None}]}, "None"),
        ("sensor/step", {**STATUS, "sources": [{**SOURCE, "step_ms": {"p50": None, "p95": None}}]}, "None"),
        ("sensor/memory", STATUS, "143.5"),
        ("sensor/temperature", STATUS, "51.2"),
        ("sensor/temperature", {**STATUS, "temperature": None}, "None"),  # Home Assistant's word for unknown
        ("sensor/uptime", STATUS, "12"),
        ("sensor/camera_fps", {**STATUS, "sources": []}, "None"),
        ("sensor/sample_fps", {**STATUS, "sources": []}, "None"),
        ("sensor/step", {**STATUS, "sources": []}, "None"),
        ("number/set_threshold", SETTINGS, "0.1"),
        ("number/set_top-k", SETTINGS, "3"),
        ("select/set_fit", SETTINGS, "crop"),
        ("switch/set_mirror", SETTINGS, "OFF"),
        ("switch/set_mirror", {**SETTINGS, "mirror": True}, "ON"),
    ],
)
def test_the_templates_read_what_is_published(entity, payload, state):
    assert render(configs()[entity]["value_template"], json.dumps(payload)) == state


def test_slugs_are_plain_and_never_the_same():
    texts = [
        "tai chi",
        "tai-chi",
        "Tai chi",
        "tai  chi",
        "tai_chi",
        "跳舞",
        "跳",
        "",
        "-",
        "a" * 61,
        "a" * 60,
        "x/y",
        "../x",
    ]
    slugs = [slug(text) for text in texts]
    assert len(set(slugs)) == len(texts)
    assert all(re.fullmatch(r"[a-z0-9-]{1,60}", found) for found in slugs)
    assert slug("tai chi") == "tai-chi"


def test_the_device_is_the_same_in_each_run_and_does_not_tell_the_machines_id(tmp_path, monkeypatch):
    code = "from remote.home_assistant import node_id; print(node_id('a/b'))"
    runs = {subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() for _ in range(2)}
    assert runs == {node_id("a/b")}
    ids = []
    for secret in ("0123456789abcdef0123456789abcdef", "f123456789abcdef0123456789abcdef"):
        (tmp_path / "id").write_text(secret + "\n")
        monkeypatch.setattr(home_assistant, "_MACHINE_IDS", (str(tmp_path / "missing"), str(tmp_path / "id")))
        ids += [node_id("a"), node_id("b")]
        assert not any(secret[:8] in found or secret[-8:] in found for found in ids)
    assert len(set(ids)) == 4
    monkeypatch.setattr(home_assistant, "_MACHINE_IDS", ())
    assert re.fullmatch(r"movinet_[0-9a-f]{16}", node_id("a"))


# --- with a real broker, in Home Assistant's part


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def program():
    with running(str(os.getpid())) as program:
        yield program


def discovered(listener) -> dict[str, dict]:
    """What stands on the broker: the newest configuration of each topic, without those taken off."""
    newest = {message.topic: message.text for message in list(listener.messages) if message.topic.endswith("/config")}
    return {topic: json.loads(text) for topic, text in newest.items() if text}


def test_the_sensors_appear_by_themselves_and_work(broker, program):
    """Home Assistant, started later: it finds each entity, each entity's state, and each control changes its own."""
    with told(broker, program, sensors=LABELS) as mqtt, hearing(broker) as settled:
        mqtt.sink("camera").write(PICTURE, 1.0, [prediction(("tai chi", 0.8))])
        for topic in ("status", "state", "settings"):
            settled.wait(f"movinet-pi/{topic}")
        mqtt.event(event(1, LABELS[1], ongoing=True))
        until(lambda: settled.last(label_topic("movinet-pi", LABELS[1])) == "ON")
        with hearing(broker) as house:
            until(lambda: len(discovered(house)) == 19)
            found = discovered(house)
            for topic, config in found.items():
                check(topic, config)
                assert house.wait(config["availability_topic"]) == "online"
                assert "state_topic" not in config or house.wait(config["state_topic"])
            entity = {config["name"]: config for config in found.values()}
            assert [house.last(entity[label]["state_topic"]) for label in LABELS] == ["OFF", "ON", "OFF"]
            for name, payload in (
                ("Threshold", "0.25"), ("Labels", "7"), ("Event begins at", "0.75"), ("Event ends below", "0.5"),
                ("Fit", "pad"), ("Mirror", "ON"), ("Idle if still", "ON"),
            ):  # fmt: skip
                config = entity[name]
                house.say(config["command_topic"], payload)
                house.wait(
                    config["state_topic"],
                    lambda text, config=config, payload=payload: render(config["value_template"], text) == payload,
                )
            house.say(entity["Reset"]["command_topic"], entity["Reset"]["payload_press"])
            until(lambda: ("reset", None) in program.obeyed)


def test_they_are_sent_again_when_home_assistant_has_started(broker, program):
    with told(broker, program), hearing(broker, "homeassistant/#") as house:
        topic = until(lambda: discovered(house) and next(iter(discovered(house))))
        until(lambda: len(discovered(house)) == 16)
        before = len(house.texts(topic))
        house.say("homeassistant/status", "offline")
        house.say("homeassistant/status", "online")
        until(lambda: len(house.texts(topic)) > before)


def test_labels_that_are_no_longer_chosen_and_sources_that_are_gone_leave_the_broker(broker, program):
    with hearing(broker) as house:
        with told(broker, program, sensors=["tai chi", "yoga"]) as mqtt:
            until(lambda: len(discovered(house)) == 18)
            mqtt.sink("left")
            mqtt.sink("right").write(PICTURE, 1.0, [prediction(("yoga", 0.5))])
            house.wait("movinet-pi/source/right/state")
        house.say("homeassistant/sensor/another/thing/config", "{}", retain=True)
        with told(broker, program, sensors=["yoga"]):
            until(lambda: not any("tai-chi" in topic for topic in discovered(house)))
            until(lambda: house.last("movinet-pi/label/tai-chi") == "")
            until(lambda: house.last("movinet-pi/source/right/state") == "")
            with hearing(broker) as late:
                late.wait("movinet-pi/label/yoga")
                until(lambda: len(discovered(late)) == 18)  # 17 of ours, and the other device's is left alone
                assert not any("tai-chi" in message.topic for message in late.messages)
