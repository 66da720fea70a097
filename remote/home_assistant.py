"""What tells Home Assistant which sensors and controls there are, so that they appear by themselves.

Home Assistant's MQTT discovery: a JSON object for each entity at homeassistant/PLATFORM/NODE/OBJECT/config, kept by the
broker. Pure functions; remote/mqtt.py sends what they return.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from pathlib import Path
from typing import Any, Sequence

from remote.instance import Flag

DISCOVERY = "homeassistant"  # Home Assistant's own default
BIRTH = f"{DISCOVERY}/status"  # where it says "online" after its start

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
# Those that a household may want to turn; the others are for those who know what they do.
_CONTROLS = ("threshold", "top-k", "event-on", "event-off", "fit", "mirror", "idle")
_PLATFORMS = {"integer": "number", "number": "number", "choice": "select", "switch": "switch"}
_NAMES = {"top-k": "Labels", "event-on": "Event begins at", "event-off": "Event ends below", "idle": "Idle if still"}

_PERCENT = "{{ (100 * (value_json.probability or 0)) | round | int }}"
# Of several sources, the first one's.
_SOURCE = "{{ value_json.sources[0].%s | round(1) if value_json.sources else None }}"
_STEP = "{{ (value_json.sources[0].step_ms or {}).get('p50') if value_json.sources else None }}"
# By object: name, template, unit, device class. Values are taken from the topic "status".
_DIAGNOSTICS = {
    "camera_fps": ("Camera rate", _SOURCE % "camera_fps", "fps", None),
    "sample_fps": ("Model rate", _SOURCE % "sample_fps", "fps", None),
    "step": ("Step", _STEP, "ms", "duration"),
    "memory": ("Memory", "{{ value_json.memory_mb }}", "MB", "data_size"),
    "temperature": ("Temperature", "{{ value_json.temperature }}", "°C", "temperature"),
    "uptime": ("Uptime", "{{ value_json.uptime | int }}", "s", "duration"),
}


def slug(text: str) -> str:
    """Returns a name for topics and ids, of a-z, 0-9 and "-"; two texts never get the same one."""
    if re.fullmatch(r"[a-z0-9]+([ -][a-z0-9]+)*", text) and len(text) <= 60 and "-" not in text:
        return text.replace(" ", "-")
    simple = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return f"{simple}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def node_id(base: str) -> str:
    """Returns the device's id: the same in each run, another on another machine or for another base topic.

    The machine's own id is a secret between it and its programs; this one can't be turned back into it.
    """
    return "movinet_" + hmac.new(_machine(), base.encode(), "sha256").hexdigest()[:16]


def _machine() -> bytes:
    for path in _MACHINE_IDS:
        try:
            content = Path(path).read_bytes().strip()
        except OSError:
            continue
        if content:
            return content
    return socket.gethostname().encode()


def label_topic(base: str, label: str) -> str:
    """Returns where "ON" stands while an event of this label lasts, else "OFF"."""
    return f"{base}/label/{slug(label)}"


def entities(
    base: str, node: str, flags: Sequence[Flag], labels: Sequence[str], snapshots: bool
) -> dict[str, dict[str, Any]]:
    """Returns the configuration of each entity, by topic.

    Args:
        base: What the program's topics begin with.
        node: From `node_id`.
        flags: Those that can be changed.
        labels: Those that get a binary sensor.
        snapshots: Whether pictures can be taken.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(platform: str, key: str, name: str, config: dict[str, Any]) -> None:
        found[f"{DISCOVERY}/{platform}/{node}/{key}/config"] = {
            "name": name,
            "unique_id": f"{node}_{key}",
            "availability_topic": f"{base}/availability",
            "device": {"identifiers": [node], "name": _device_name(base), "model": "MoViNet"},
            "origin": {"name": "movinet-pi"},
            **config,
        }

    state = {"state_topic": f"{base}/state"}
    add(
        "sensor", "action", "Action", {**state, "value_template": "{{ value_json.label or 'none' }}", "icon": "mdi:run"}
    )
    percent = {"value_template": _PERCENT, "unit_of_measurement": "%", "state_class": "measurement"}
    add("sensor", "probability", "Probability", {**state, **percent, "icon": "mdi:percent"})
    for key, (name, template, unit, kind) in _DIAGNOSTICS.items():
        add("sensor", key, name, _diagnostic(base, template, unit, kind))
    for label in labels:
        add("binary_sensor", f"label_{slug(label)}", label[:100], {"state_topic": label_topic(base, label)})
    for flag in flags:
        if flag.name in _CONTROLS and flag.kind in _PLATFORMS:
            name = _NAMES.get(flag.name, flag.name.capitalize())
            add(_PLATFORMS[flag.kind], f"set_{flag.name}", name, _control(base, flag))
    for command in ("reset", "snapshot") if snapshots else ("reset",):
        config = {"command_topic": f"{base}/command", "payload_press": command, "entity_category": "config"}
        add("button", command, command.capitalize(), config)
    return found


def _device_name(base: str) -> str:
    return "Action recognition" if base == "movinet-pi" else f"Action recognition {base.replace('/', ' ')}"


def _diagnostic(base: str, template: str, unit: str, device_class: str | None) -> dict[str, Any]:
    return {
        "state_topic": f"{base}/status",
        "value_template": template,
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "entity_category": "diagnostic",
        **({"device_class": device_class} if device_class else {}),
    }


def _control(base: str, flag: Flag) -> dict[str, Any]:
    value = f"value_json['{flag.name}']"
    config: dict[str, Any] = {
        "state_topic": f"{base}/settings",
        "value_template": f"{{{{ 'ON' if {value} else 'OFF' }}}}" if flag.kind == "switch" else f"{{{{ {value} }}}}",
        "command_topic": f"{base}/set/{flag.name}",
        "entity_category": "config",
    }
    if flag.kind == "choice":
        config["options"] = list(flag.choices)
    if flag.kind in ("integer", "number"):
        config["mode"] = "box"
        config["step"] = 1 if flag.kind == "integer" else 0.01
        config.update({key: bound for key, bound in (("min", flag.low), ("max", flag.high)) if bound is not None})
    return config
