"""A program for the web server to show: a real Instance, and a thread that plays the main loop.

`python tests/web_program.py` serves it until Ctrl-C, to be looked at in a browser.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from errors import UserError  # noqa: E402
from events import Event  # noqa: E402
from remote.instance import Flag, Instance  # noqa: E402
from settings import check_untrusted  # noqa: E402
from video_classifier import Category, Prediction  # noqa: E402

LABELS = ["waving hand", "clapping", "jumping jacks", "squat", "walking the dog", "yoga", '<b>tai chi</b> & "zumba"']
FLAGS = [
    Flag("model", "text", "a .tflite file, or the name of a published model"),
    Flag("top-k", "integer", "labels shown, best first (default: 3)", low=1, high=100),
    Flag("threshold", "number", "show labels from this probability on, 0 to 1 (default: 0)", low=0, high=1),
    Flag("memory", "number", "seconds that the model remembers; off: as published", low=0.1, high=3600, optional=True),
    Flag("fit", "choice", "how a frame becomes square (default: crop)", choices=("crop", "stretch", "pad")),
    Flag("allow", "texts", "show these labels only (default: all)"),
    Flag("mirror", "switch", "swap left and right of what is shown (default: no)"),
    Flag("record", "text", "write the picture with its labels to a video", optional=True),
]
SETTINGS: dict[str, Any] = {
    "model": "movinet_a0_int8.tflite", "top-k": 3, "threshold": 0.0, "memory": 2.4, "fit": "crop", "allow": [],
    "mirror": False, "record": None,
}  # fmt: skip


def check(name: str, value: Any) -> None:
    """Refuses what the main loop would refuse."""
    flag = next((flag for flag in FLAGS if flag.name == name), None)
    if flag is None:
        raise UserError(f"{name} can't be changed while the program runs")
    if value is None and flag.optional:
        return
    kinds: dict[str, Any] = {
        "switch": bool, "integer": int, "number": (int, float), "choice": str, "text": str, "texts": list
    }  # fmt: skip
    fits = isinstance(value, kinds[flag.kind]) and isinstance(value, bool) == (flag.kind == "switch")
    if not fits or flag.kind == "texts" and not all(isinstance(text, str) for text in value):
        raise UserError(f"{name} is {value!r}; it must be a {flag.kind}")
    if flag.choices and value not in flag.choices:
        raise UserError(f"{name} is {value!r}; choose from {', '.join(flag.choices)}")
    if flag.low is not None and flag.high is not None and not flag.low <= value <= flag.high:
        raise UserError(f"{name} {value} is not between {flag.low:g} and {flag.high:g}")


class Program:
    """Publishes facts, obeys commands, and gives its sinks a picture whose colour changes.

    Args:
        names: Of the sources.
        fps: Pictures a second.
        size: (width, height) of the pictures.

    Attributes:
        instance: To be served.
        sinks: To be given pictures and predictions, by source; may be filled at any time.
        resets: How often the model was told to forget.
        deaf: While it is set, no command is obeyed.
        slowest: The most seconds that a sink took for a picture.
        drawn: Pictures drawn because a sink wanted them.
    """

    def __init__(self, *names: str, fps: float = 20.0, size: tuple[int, int] = (320, 240)) -> None:
        self.names = names or ("demo",)
        self.instance = Instance("1234", FLAGS)
        self.sinks: dict[str, Any] = {}
        self.resets = 0
        self.deaf = threading.Event()
        self.slowest = 0.0
        self.drawn = 0
        self._settings = dict(SETTINGS)
        self._fps = fps
        self._size = size
        self._started = time.monotonic()
        self._frames = 0
        self._stop = threading.Event()
        self._publish()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join(10)

    def picture(self, number: int) -> np.ndarray:
        """Draws a picture that differs from the ones before and after."""
        width, height = self._size
        picture = np.full((height, width, 3), (40 + number * 7 % 150, 90, 60), np.uint8)
        cv2.circle(picture, (number * 6 % width, height // 2), height // 6, (80, 200, 240), -1)
        return picture

    def _run(self) -> None:
        while not self._stop.wait(1 / self._fps):
            self._frames += 1
            self._obey()
            self._publish()
            for name, sink in list(self.sinks.items()):
                started = time.perf_counter()
                wanted = sink.wants_pictures
                picture = self.picture(self._frames) if wanted else np.zeros((2, 2, 3), np.uint8)
                self.drawn += wanted
                started = time.perf_counter()
                sink.write(picture, self._frames / self._fps, [self._predict(name)] if self._frames % 4 == 0 else [])
                self.slowest = max(self.slowest, time.perf_counter() - started)

    def _obey(self) -> None:
        for command in () if self.deaf.is_set() else self.instance.waiting():
            try:
                if command.action == "change":
                    for name, value in command.value.items():
                        check(name, value)
                    check_untrusted(command.value, [])
                    self._settings = {**self._settings, **command.value}
                    self._publish()
                    command.done.set_result(self.instance.settings())
                else:
                    self.resets += command.action == "reset"
                    command.done.set_result(None)
            except UserError as error:
                command.done.set_exception(error)

    def _predict(self, name: str) -> Prediction:
        seconds = self._frames / self._fps
        weights = np.exp([3 * np.sin(seconds / 9 + 1.7 * place + len(name)) for place in range(len(LABELS))])
        shares = weights / weights.sum()
        top = [Category(LABELS[n], float(shares[n]), int(n)) for n in np.argsort(-shares)[: self._settings["top-k"]]]
        return Prediction(seconds, 0.012, self._frames // 4, top, np.log(weights), shares)

    def _publish(self) -> None:
        source = {
            "camera_fps": 29.9, "sample_fps": 5.0, "wanted_fps": 5.0, "note": "", "no_signal": 0.0,
            "frames": self._frames, "steps": self._frames // 4, "step_ms": {"p50": 12.3, "p95": 15.9},
            "prediction": None,
        }  # fmt: skip
        self.instance.publish(
            settings=self._settings,
            status={
                "name": "1234", "pid": 1234, "uptime": time.monotonic() - self._started,
                "model": self._settings["model"], "runtime": "litert 2.1", "threads": 2, "memory_mb": 181.4,
                "temperature": 48.7, "paused": False, "recording": None, "events": 2,
                "sources": [{"name": name, **source} for name in self.names],
            },
        )  # fmt: skip


def make_event(
    number: int, label: str = "yoga", *, ago: float = 60.0, ongoing: bool = False, clip: str | None = None
) -> Event:
    """Returns an event that began some seconds ago."""
    return Event(f"{number:08d}", label, "demo", time.time() - ago, 3.0, 12.4, 0.93, 0.71, ongoing=ongoing, clip=clip)


def _main() -> None:
    from web.server import WebServer

    with Program("rtsp://10.0.0.7/cam", "demo", size=(640, 480)) as program:
        server = WebServer(program.instance, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
        for name in program.names:
            program.sinks[name] = server.sink(name)
        for number, label in enumerate(LABELS):
            server.event(make_event(number, label, ago=4000 / (number + 1), clip=f"{number}.mp4"))
        server.event(make_event(99, "clapping", ago=2, ongoing=True))
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        finally:
            server.close()


if __name__ == "__main__":
    _main()
