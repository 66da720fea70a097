"""Obeys those who sit elsewhere: takes their commands between two frames, and publishes the facts that they read."""

from __future__ import annotations

import copy
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from change import Change
from credentials import public_name
from remote.instance import Command, Instance, NotNow
from remote.tables import setting_text
from session import Session
from settings import check_untrusted, read_settings, settings_of
from thermal import read_heat
from utils import printable, say
from view import View

_PUBLISH_PERIOD = 0.5  # seconds between two looks at the statistics
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Live:
    """The main loop's side of an Instance. Main thread only.

    A change is prepared in a thread, since a model takes seconds to load; the next ones wait with the instance, which
    bounds their number. Everything else is done at once.

    Args:
        instance: Where commands come from and facts go.
        session: What they are about.
        actions: What to do for "reset" and "quit", and for "snapshot" with a path.
    """

    def __init__(self, instance: Instance, session: Session, actions: Mapping[str, Callable[..., object]]) -> None:
        self._instance = instance
        self._session = session
        self._actions = actions
        self._change: Command | None = None  # that is being prepared
        self._prepared: Future[Change] | None = None  # for it
        self._publish_at = 0.0
        self._started = time.monotonic()
        self._recording = session.recording  # as it was published
        instance.publish(settings=self._settings())

    def obey(self) -> None:
        """Does what there is to do; to be called many times a second."""
        for command in self._instance.waiting(*self._actions):
            self._act(command)
        if self._prepared is not None and self._prepared.done():
            self._finish()
        if self._prepared is None:
            for command in self._instance.waiting("change", most=1):
                self._begin(command)
        now = time.monotonic()
        if now >= self._publish_at:
            self._publish_at = now + _PUBLISH_PERIOD
            self._instance.publish(status=self._status(now))
            if self._session.recording != self._recording:  # it has ended
                self._recording = self._session.recording
                self._instance.publish(settings=self._settings())

    def close(self) -> None:
        """Tells those who wait that nothing more will be done; may be called twice."""
        changes = [] if self._change is None else [self._change]
        for command in (*changes, *self._instance.waiting()):
            command.done.set_exception(NotNow("the program is ending"))
        self._change = None
        if self._prepared is not None:
            self._prepared.add_done_callback(_discard)
            self._prepared = None

    def _act(self, command: Command) -> None:
        arguments = () if command.value is None else (command.value,)
        try:
            command.done.set_result(self._actions[command.action](*arguments))
        except Exception as error:  # it is for who asked; the pictures go on
            command.done.set_exception(error)

    def _begin(self, command: Command) -> None:
        """Lets a thread prepare a change."""
        try:
            values = read_settings(command.value)
            if values.get("source"):
                values["source"] = _with_credentials(values["source"], self._session.options.source)
            if not command.trusted:
                check_untrusted(values, self._session.options.source)
        except Exception as error:  # such as a name that no file can have
            command.done.set_exception(error)
            return
        options = copy.copy(self._session.options)
        if "model" in values:
            options.labels = None  # those of the old model
        vars(options).update(values)
        prepared: Future[Change] = Future()

        def prepare() -> None:
            try:
                prepared.set_result(self._session.prepare(options, values))
            except BaseException as error:
                prepared.set_exception(error)

        threading.Thread(target=prepare, name="change", daemon=True).start()
        self._change, self._prepared = command, prepared

    def _finish(self) -> None:
        """Puts the prepared change into force, or tells why it can't be."""
        assert self._change is not None and self._prepared is not None
        command, prepared, self._change, self._prepared = self._change, self._prepared, None, None
        error = prepared.exception()
        if error is None:
            self._session.commit(prepared.result())
            settings = self._settings()
            self._instance.publish(settings=settings, status=self._status(time.monotonic()))
            say("changed: " + ", ".join(f"{name} {setting_text(name, settings[name])}" for name in command.value))
            command.done.set_result(settings)
        else:
            command.done.set_exception(error)

    def _settings(self) -> dict[str, Any]:
        """Returns what is in force; of a recording, the name that it has, and none once it has ended."""
        return {**settings_of(self._session.options), "record": self._recording_name()}

    def _recording_name(self) -> str | None:
        recording = self._session.recording
        return None if recording is None else printable(recording)

    def _status(self, now: float) -> dict[str, Any]:
        session = self._session
        classifier = session.classifiers[0]
        return {
            "name": self._instance.name,
            "pid": os.getpid(),
            "uptime": round(now - self._started, 1),
            "model": printable(Path(session.options.model).name),
            "runtime": str(classifier.runtime),
            "threads": classifier.threads,
            "memory_mb": _resident_memory(),
            "temperature": read_heat().temperature,
            "paused": session.paused,
            "recording": self._recording_name(),
            "events": session.events,
            "sources": [_source_status(view, name) for view, name in zip(session.views, session.names)],
        }


def _source_status(view: View, name: str) -> dict[str, Any]:
    pipeline, prediction = view.pipeline, view.prediction
    step_ms = None
    if view.step_times:
        p50, p95 = np.percentile(view.step_times, (50, 95)) * 1e3
        step_ms = {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
    return {
        "name": name,
        "camera_fps": round(pipeline.camera_fps, 2),
        "sample_fps": round(pipeline.sample_fps, 2),
        "wanted_fps": view.status.wanted_fps,
        "note": pipeline.note,
        "no_signal": round(view.status.no_signal, 1),
        "frames": view.frames,
        "steps": view.steps,
        "step_ms": step_ms,
        "prediction": None if prediction is None else prediction.to_json(),
    }


def _resident_memory() -> float | None:
    """Returns megabytes; None where the system doesn't tell."""
    try:
        return round(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6, 1)
    except OSError:
        return None


def _with_credentials(uris: Sequence[str], running: Sequence[str]) -> list[str]:
    """Returns the URIs; those as which the settings show running sources, with what is hidden there: they are meant."""
    left, found = list(running), []
    for uri in uris:
        # Of several that look alike each is meant once.
        found.append(next((one for one in [*left, *running] if public_name(one) == uri), uri))
        if found[-1] in left:
            left.remove(found[-1])
    return found


def _discard(prepared: Future[Change]) -> None:
    if prepared.exception() is None:
        prepared.result().discard()
