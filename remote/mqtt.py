"""Tells an MQTT broker what the program sees, and does what it is told from there; the topics stand in README.

What comes in is never trusted: a broker is often shared by everything in a house. It may change the settings and reset
the model, but neither end the program nor name a folder to write to or read from.
"""

from __future__ import annotations

import json
import math
import os
import time
from concurrent.futures import Future
from functools import partial
from typing import Any, Callable, Sequence

import numpy as np

from credentials import public_text
from errors import UserError
from events import Event
from events.json_lines import record, utc
from remote.home_assistant import BIRTH, DISCOVERY, entities, label_topic, node_id, slug
from remote.instance import Instance
from remote.mqtt_address import parse_url
from remote.mqtt_link import Link
from remote.mqtt_settings import read_settings, read_value
from video_classifier import Prediction

_STATE_PERIOD = 0.5  # seconds between two states with the same label
_STATUS_PERIOD = 30.0
_SETTINGS_PERIOD = 1.0
_SNAPSHOT_PERIOD = 1.0  # each takes space on the disk
_MOST_LABELS = 10  # in a state
_LONGEST_COMMAND = 16_384  # bytes
_LONGEST_ERROR = 500  # characters


class Mqtt:
    """The program on an MQTT broker; an EventSink, and the maker of a Sink for each source.

    Topics begin with the prefix of the URL, and the instance's name after it if the user gave it one: the default name
    changes with each run, and would leave dead sensors behind.

    Args:
        url: See `parse_url`.
        instance: The running program.
        ca: File of the certificates that are trusted instead of the system's.
        sensors: Labels that get a binary sensor in Home Assistant.
        snapshots: Folder for the pictures that the command "snapshot" takes; "" refuses it.

    Raises:
        UserError: The URL or the file of `ca` is wrong.
        PackageError: paho-mqtt is missing.
    """

    def __init__(
        self, url: str, instance: Instance, *, ca: str | None = None, sensors: Sequence[str] = (), snapshots: str = ""
    ) -> None:
        address = parse_url(url)
        own_name = instance.name not in ("", str(os.getpid()))
        self._base = f"{address.prefix}/{slug(instance.name)}" if own_name else address.prefix
        self._instance = instance
        self._snapshots = os.path.abspath(os.path.expanduser(snapshots)) if snapshots else ""
        self._flags = {f"{self._base}/set/{flag.name}": flag for flag in instance.flags}
        self._sources: dict[str, dict[str, Any]] = {}  # the newest state of each
        self._several = False  # whether there ever were several sources, each with a topic of its own
        self._sensors: dict[str, set[str]] = {label: set() for label in sensors}  # ids of the events that last
        self._settings_due = self._status_due = self._snapshot_due = -math.inf
        node = node_id(self._base)
        topics = [self._topic("set"), *self._flags, self._topic("command"), BIRTH]
        # What an earlier run left on the broker: labels that are no longer chosen, sources that are gone.
        topics += [f"{DISCOVERY}/+/{node}/+/config", self._topic("label/+"), self._topic("source/+/state")]
        availability = self._topic("availability")
        self._link = Link(
            address,
            ca=ca,
            will=(availability, "offline"),
            topics=topics,
            on_message=self._obey,
            on_tick=self._tell_facts,
        )
        self._link.show(availability, "online")
        configs = entities(self._base, node, instance.flags, list(self._sensors), bool(self._snapshots))
        for topic, config in configs.items():
            self._link.show(topic, _json(config))
        self._repeated = [availability, *configs]
        for label in self._sensors:
            self._link.show(label_topic(self._base, label), "OFF")
        self._link.start()

    def sink(self, source_name: str) -> SourceSink:
        """Returns the Sink of a source.

        Args:
            source_name: Without credentials.
        """
        self._sources[source_name] = _state(source_name)
        self._several = self._several or len(self._sources) > 1
        return SourceSink(source_name, self._tell_state, self._forget)

    def event(self, event: Event) -> None:
        """Takes an event that has begun or ended; see EventSink."""
        self._link.send(self._topic("events"), _json(record(event)))
        for label, lasting in self._sensors.items():
            if label.casefold() == event.label.casefold():  # another model may spell it in another way
                (lasting.add if event.ongoing else lasting.discard)(event.id)
                self._link.show(label_topic(self._base, label), "ON" if lasting else "OFF")

    def finish(self) -> None:
        """Begins to say goodbye; may be called twice."""
        self._link.finish()

    def close(self) -> None:
        """Says goodbye, within a second of the first call of finish() or of this one; may be called twice."""
        self._link.close()

    def _topic(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _source_topic(self, name: str) -> str:
        return self._topic(f"source/{slug(name)}/state")

    def _tell_state(self, name: str, state: dict[str, Any]) -> None:
        """Shows a source's state, and the likeliest of all sources' as that of the program."""
        before, likeliest_before = self._sources.get(name), self._likeliest()
        self._sources[name] = state
        if self._several:
            self._show_state(self._source_topic(name), state, before)
        self._show_state(self._topic("state"), self._likeliest(), likeliest_before)

    def _show_state(self, topic: str, state: dict[str, Any], before: dict[str, Any] | None) -> None:
        same = before is not None and before["label"] == state["label"]
        self._link.show(topic, _json(state), _STATE_PERIOD if same else 0)

    def _likeliest(self) -> dict[str, Any]:
        return max(self._sources.values(), key=lambda state: state["probability"] or 0.0)

    def _forget(self, name: str) -> None:
        """Takes a source off that has ended."""
        self._tell_state(name, _state(name))
        if len(self._sources) > 1:
            del self._sources[name]
        if self._several:
            self._link.show(self._source_topic(name), "")

    # On the link's thread from here on.

    def _tell_facts(self) -> None:
        now = time.monotonic()
        if now >= self._settings_due:
            self._settings_due = now + _SETTINGS_PERIOD
            self._show_facts("settings", self._instance.settings())
        if now >= self._status_due:
            status = self._instance.status()
            self._show_facts("status", status)
            # Once more, too: the broker may have declared the connection before this one dead only now.
            self._link.repeat([self._topic("availability")])
            self._status_due = now + (_STATUS_PERIOD if status else _SETTINGS_PERIOD)

    def _show_facts(self, name: str, facts: dict[str, Any]) -> None:
        if facts:
            self._link.show(self._topic(name), _json(facts))

    def _obey(self, topic: str, payload: bytes, retained: bool) -> None:
        name = topic[len(self._base) + 1 :]
        if topic == BIRTH:
            if payload == b"online" and not retained:
                self._link.repeat(self._repeated)
        elif topic not in self._flags and name not in ("set", "command"):
            if payload and retained and not self._link.shows(topic):
                self._link.show(topic, "")
        elif not retained:  # else it would be done again at each connection
            try:
                done = self._start(topic, name, payload)
            except UserError as error:
                self._answer(name, error)
            else:
                done.add_done_callback(partial(self._tell_done, name))

    def _start(self, topic: str, name: str, payload: bytes) -> Future[Any]:
        if len(payload) > _LONGEST_COMMAND:
            raise UserError(f"longer than {_LONGEST_COMMAND} bytes")
        try:
            text = payload.decode().strip()
        except UnicodeDecodeError:
            raise UserError("not UTF-8 text") from None
        if name == "command":
            return self._command(text)
        flag = self._flags.get(topic)
        return self._instance.change({flag.name: read_value(flag, text)} if flag else read_settings(text))

    def _command(self, text: str) -> Future[Any]:
        if text == "reset":
            return self._instance.reset()
        if text != "snapshot" or not self._snapshots:
            raise UserError(f"the commands are reset{' and snapshot' if self._snapshots else ''}")
        now = time.monotonic()
        if now < self._snapshot_due:
            raise UserError("one snapshot a second is enough")
        self._snapshot_due = now + _SNAPSHOT_PERIOD
        return self._instance.snapshot(self._snapshots)

    def _tell_done(self, name: str, done: Future[Any]) -> None:
        """On the thread that has done it."""
        if done.cancelled():
            self._answer(name, UserError("the program is ending"))
            return
        self._settings_due = -math.inf
        self._answer(name, done.exception())

    def _answer(self, name: str, error: BaseException | None) -> None:
        answer: dict[str, Any] = {"topic": name, "ok": error is None}
        if error is not None:
            answer["error"] = public_text(str(error))[:_LONGEST_ERROR]
        self._link.answer(self._topic("set/result"), _json(answer))


class SourceSink:
    """A Sink that tells the broker the newest prediction of a source.

    Args:
        source_name: The source's.
        tell: Takes the source's name and state.
        forget: Called with the name, once, at the end.
    """

    wants_pictures = False

    def __init__(
        self, source_name: str, tell: Callable[[str, dict[str, Any]], None], forget: Callable[[str], None]
    ) -> None:
        self._source_name = source_name
        self._tell = tell
        self._forget = forget
        self._closed = False

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes the newest prediction; the picture and its timestamp are not used."""
        if predictions:
            top = [
                {"label": category.label, "probability": _number(category.probability, 4)}
                for category in predictions[-1].top[:_MOST_LABELS]
            ]
            self._tell(self._source_name, _state(self._source_name, top))

    def no_signal(self, seconds: float) -> None:
        """Says for how long there has been no picture."""
        self._tell(self._source_name, {**_state(self._source_name), "no_signal": round(seconds, 1)})

    def close(self) -> None:
        """Takes the source off; may be called twice."""
        if not self._closed:
            self._closed = True
            self._forget(self._source_name)


def _state(source: str, top: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    best = top[0] if top else {"label": None, "probability": None}
    return {"time": utc(time.time()), "source": source, **best, "top": list(top)}


def _number(value: float, digits: int) -> float | None:
    """Rounds a number; JSON has none that isn't finite."""
    return round(float(value), digits) if math.isfinite(value) else None


def _json(value: Any) -> str:
    # What came in as half a character can't go out.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
