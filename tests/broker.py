"""A real MQTT broker on this machine, who listens to it, and a program that it can command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from errors import UserError
from remote.instance import Flag, Instance
from settings import check_untrusted

mqtt = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install -r requirements-remote.txt")

PATIENCE = 30.0  # seconds; for a slow machine
_PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Waits until a condition holds; returns what it returned."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain {what}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Broker:
    """mosquitto, which remembers sessions over a kill.

    Args:
        folder: For its files.
        lines: Further lines of its configuration.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        if _PROGRAM is None:
            pytest.skip("needs a broker: apt install mosquitto")
        self.port = free_port()
        lines = lines or ("allow_anonymous true",)
        if os.geteuid() == 0:
            lines += ("user root",)  # else it becomes a user that can't enter pytest's folders
        self._memory = folder / "mosquitto.db"
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\npersistence true\npersistence_location {folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 5000\n" + "\n".join(lines) + "\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [_PROGRAM, "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._is_up, "for mosquitto")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "mosquitto has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def remember(self, client: str) -> None:
        """Waits until a client's session and subscription would survive a kill."""
        self._process.send_signal(signal.SIGUSR1)  # "save now"
        until(
            lambda: self._memory.exists() and self._memory.read_bytes().count(client.encode()) >= 2, "for the session"
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Message:
    topic: str
    text: str
    retained: bool


class Listener:
    """A client with a lasting session: what is sent while it is away, it gets later.

    Args:
        broker: Where.
        topics: What it listens to.
    """

    def __init__(self, broker: Broker, *topics: str) -> None:
        self.messages: list[Message] = []
        name = f"listener-{id(self)}"
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.on_message = self._hear
        self._client.on_subscribe = lambda *_: subscribed.set()
        subscribed = threading.Event()
        self._client.connect("127.0.0.1", broker.port, keepalive=5)
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in topics or ("#",)])
        assert subscribed.wait(PATIENCE)
        broker.remember(name)

    def _hear(self, client: Any, data: Any, message: Any) -> None:
        self.messages.append(Message(message.topic, message.payload.decode(errors="replace"), message.retain))

    def texts(self, topic: str) -> list[str]:
        return [message.text for message in list(self.messages) if message.topic == topic]

    def last(self, topic: str) -> str | None:
        return (self.texts(topic) or [None])[-1]

    def wait(self, topic: str, wanted: Callable[[str], Any] = lambda text: True) -> str:
        """Returns the first message on a topic that is as wanted."""
        return until(lambda: next((text for text in self.texts(topic) if wanted(text)), None), f"for {topic}")

    def say(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def say_later(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


FLAGS = (
    Flag("model", "text", "the model"),
    Flag("top-k", "integer", "how many labels", low=1, high=50),
    Flag("threshold", "number", "least probability", low=0, high=1),
    Flag("memory", "number", "seconds", low=0.1, high=3600, optional=True),
    Flag("allow", "texts", "only these"),
    Flag("fit", "choice", "how a frame becomes square", choices=("crop", "stretch", "pad")),
    Flag("mirror", "switch", "swap left and right"),
    Flag("idle", "switch", "look seldom while nothing moves"),
    Flag("record", "text", "record to a file", optional=True),
    Flag("event-on", "number", "an event begins", low=0, high=1),
    Flag("event-off", "number", "an event ends", low=0, high=1),
)
SETTINGS = {
    "model": "movinet_a0_int8.tflite", "top-k": 3, "threshold": 0.1, "memory": None, "allow": [], "fit": "crop",
    "mirror": False, "idle": False, "record": None, "event-on": 0.5, "event-off": 0.3,
}  # fmt: skip
SOURCE = {
    "name": "camera", "camera_fps": 29.97, "sample_fps": 5.0, "wanted_fps": 5.0, "note": "", "no_signal": 0.0,
    "frames": 90, "steps": 15, "step_ms": {"p50": 12.5, "p95": 20.0}, "prediction": None,
}  # fmt: skip
STATUS = {
    "name": "test", "pid": 1, "uptime": 12.3, "model": "movinet_a0_int8.tflite", "runtime": "litert", "threads": 2,
    "memory_mb": 143.5, "temperature": 51.2, "paused": False, "recording": None, "events": 0, "sources": [SOURCE],
}  # fmt: skip


class Program:
    """The main loop's part: it publishes facts and obeys, with a check as strict as the real one's."""

    def __init__(self, name: str = "") -> None:
        self.instance = Instance(name, FLAGS)
        self.settings = dict(SETTINGS)
        self.obeyed: list[tuple[str, Any]] = []
        self.instance.publish(settings=self.settings, status=STATUS)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.01):
            for command in self.instance.waiting():
                try:
                    answer = self._change(command.value) if command.action == "change" else command.value
                except UserError as error:
                    command.done.set_exception(error)
                    continue
                self.obeyed.append((command.action, command.value))
                command.done.set_result(answer)

    def _change(self, wanted: dict[str, Any]) -> dict[str, Any]:
        flags = {flag.name: flag for flag in FLAGS}
        for name, value in wanted.items():
            if name not in flags:
                raise UserError(f"{name[:40]!r} is no flag that can be changed")
            self._check(flags[name], value)
        check_untrusted(wanted, [])
        self.settings = {**self.settings, **wanted}
        self.instance.publish(settings=self.settings)
        return self.settings

    @staticmethod
    def _check(flag: Flag, value: Any) -> None:
        kinds = {"switch": bool, "integer": int, "number": (int, float), "texts": list}
        good = isinstance(value, kinds.get(flag.kind, str)) or (flag.optional and value is None)
        if flag.kind in ("integer", "number") and value is not None:
            good = good and not isinstance(value, bool) and flag.low <= value <= flag.high
        if not good or (flag.choices and value not in flag.choices):
            raise UserError(f"{flag.name}: {str(value)[:40]!r} is no good")

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@contextlib.contextmanager
def running(name: str = "") -> Iterator[Program]:
    program = Program(name)
    try:
        yield program
    finally:
        program.stop()
