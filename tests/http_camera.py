"""An HTTP camera on this machine, which also stalls, freezes and hangs up.

Run as a program, it is a camera that can be killed: python http_camera.py [PORT] prints its port, then serves.
"""

from __future__ import annotations

import contextlib
import http.server
import sys
import threading

import cv2
import numpy as np


class Camera(http.server.BaseHTTPRequestHandler):
    """/cam gives frames for ever, /stall stops after 20 and keeps the line, /freeze repeats the twentieth for ever.

    /close hangs up after 20, /slow gives one in 6.5 s, /file.avi is a video, /single/NAME is a camera that serves one
    viewer at a time.
    """

    def do_GET(self):  # noqa: N802
        if self.path == "/file.avi":
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.video)))
            self.end_headers()
            self.wfile.write(self.server.video)
        elif self.path.startswith("/single/"):
            if self.path in self.server.watched:
                self.send_error(503)
                return
            self.server.watched.add(self.path)
            try:
                self.send_video()
            finally:
                self.server.watched.remove(self.path)
        elif self.path.split("?")[0] in ("/cam", "/stall", "/freeze", "/close", "/slow"):
            self.send_video()
        else:
            self.send_error(401)

    def send_video(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        self.send_frames()

    def send_frames(self):
        count = 0
        while not self.server.stopped.wait(6.5 if self.path == "/slow" and count else 1 / 25):
            if self.path == "/close" and count == 20:
                return
            if self.path == "/stall" and count == 20:
                self.server.stopped.wait(30)
                return
            # The left half tells the count, so that a reader can see which frame it got.
            image = np.zeros((48, 64, 3), np.uint8)
            image[:, :32] = 10 * (min(count, 20) if self.path == "/freeze" else count % 20)
            if self.path == "/slow":  # so large that FFmpeg waits for no second one before it knows what it is
                image = np.random.default_rng(count).integers(0, 255, (48, 64, 3), np.uint8)
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            try:
                self.wfile.write(head + jpeg + b"\r\n")
            except OSError:
                return
            count += 1

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(video: bytes = b"", port: int = 0):
    """Serves on a port of this machine.

    Args:
        video: What /file.avi holds.
        port: 0 takes a free one.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Camera)
    server.video = video
    server.stopped = threading.Event()
    server.watched = set()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def address(server, path):
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


if __name__ == "__main__":
    with serving(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        print(running.server_address[1], flush=True)
        threading.Event().wait()
