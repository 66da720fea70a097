"""The camera of a soak: MJPEG over HTTP, always the same round of scenes; it can be told to misbehave.

`python camera.py PORT` prints the port (0 takes a free one) and serves http://127.0.0.1:PORT/cam until standard input
ends. Commands, one a line: `size W H`, `damage on`, `damage off`, `refuse on`, `refuse off`. The scenes follow the
machine's monotonic clock, so that whoever reads the clock knows what is shown.
"""

from __future__ import annotations

import http.server
import sys
import threading
import time
from functools import lru_cache

import cv2
import numpy as np

SCENES = ("red", "green", "dark", "moving")
SCENE_TIME = 2.5  # seconds that a scene lasts
ROUND_TIME = SCENE_TIME * len(SCENES)
SIZE = (320, 240)  # width and height in pixels, unless told otherwise
_FPS = 15
_VARIANTS = 16  # pictures of a scene that differ by noise, as a sensor's do, or by where the moving square is
_MOVES = 5  # a second, as often as the model looks
_NOISE = 2.0  # standard deviation in grey levels
_COLOURS = {"red": (30, 30, 220), "green": (30, 200, 30), "dark": (12, 12, 12), "moving": (90, 90, 90)}  # BGR


def scene_at(timestamp: float) -> int:
    """Returns the number of the scene, counted since the clock began, at a moment of time.monotonic()."""
    return int(timestamp // SCENE_TIME)


class _Camera(http.server.ThreadingHTTPServer):
    daemon_threads = True
    size = SIZE
    damage = False
    refuse = False

    def obey(self, command: str) -> None:
        what, *values = command.split()
        if what == "size":
            self.size = int(values[0]), int(values[1])
        else:
            setattr(self, what, values == ["on"])


class _Viewer(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: _Camera

    def do_GET(self) -> None:  # noqa: N802
        if self.server.refuse:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        count, due = 0, time.monotonic()
        random = np.random.default_rng(0)
        try:
            while not self.server.refuse:
                jpeg = _picture(self.server.size, time.monotonic(), count)
                if self.server.damage and count % 2:
                    jpeg = _damaged(jpeg, random)
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                self.wfile.write(head + jpeg + b"\r\n")
                count += 1
                due = max(due + 1 / _FPS, time.monotonic() - 1 / _FPS)  # after a freeze no burst of what was missed
                time.sleep(max(0.0, due - time.monotonic()))
        except OSError:
            pass  # the reader has gone

    def log_message(self, *args: object) -> None:
        pass


def _picture(size: tuple[int, int], timestamp: float, count: int) -> bytes:
    scene = SCENES[scene_at(timestamp) % len(SCENES)]
    variant = int(timestamp % SCENE_TIME * _MOVES) if scene == "moving" else count
    return _jpeg(size, scene, variant % _VARIANTS)


@lru_cache(maxsize=None)
def _jpeg(size: tuple[int, int], scene: str, variant: int) -> bytes:
    width, height = size
    image = np.random.default_rng(variant).normal(_COLOURS[scene], _NOISE, (height, width, 3))
    image = image.clip(0, 255).astype(np.uint8)
    if scene == "moving":
        place, side = variant * 5 % 16, min(size) // 4  # jumps over a grid of 4x4
        left, top = (width - 4 * side) // 2 + place % 4 * side, place // 4 * side
        image[top : top + side, left : left + side] = 240
    return cv2.imencode(".jpg", image)[1].tobytes()


def _damaged(jpeg: bytes, random: np.random.Generator) -> bytes:
    """Overwrites some bytes behind the first two, or loses the second half."""
    data = bytearray(jpeg)
    if random.random() < 0.3:
        return bytes(data[: len(data) // 2])
    for place in random.integers(2, len(data), 20):
        data[place] = random.integers(256)
    return bytes(data)


def main() -> None:
    camera = _Camera(("127.0.0.1", int(sys.argv[1])), _Viewer)
    threading.Thread(target=camera.serve_forever, daemon=True).start()
    print(camera.server_address[1], flush=True)
    for line in sys.stdin:
        camera.obey(line.strip())


if __name__ == "__main__":
    main()
