"""A camera on the network as a process of its own, which a test can kill, stop and start again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
RTSP_CAMERA = ["/usr/bin/python3", str(TESTS / "rtsp_camera.py")]
HTTP_CAMERA = [sys.executable, str(TESTS / "http_camera.py")]


class Server:
    """A camera on the network, as a process; killed at the end of the test."""

    def __init__(self, command, *options):
        self._command, self._options = command, options
        self.port = "0"
        self.start()
        scheme = "rtsp" if command is RTSP_CAMERA else "http"
        self.url = f"{scheme}://user:secret@127.0.0.1:{self.port}/cam"

    def start(self):
        command = [*self._command, self.port, *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            reason = (self.process.stderr.read().strip().splitlines() or ["no output"])[-1]
            self.kill()
            pytest.skip(f"no RTSP server here ({reason}); see the packages in rtsp_camera.py")

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.communicate()
