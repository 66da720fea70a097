"""classify.py with a model that can be made to hang: its steps wait from SIGUSR1 until SIGUSR2."""

from __future__ import annotations

import runpy
import signal
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from video_classifier import VideoClassifier  # noqa: E402

_may_run = threading.Event()
_may_run.set()
_step = VideoClassifier.step


def _slow_step(self, *args, **kwargs):
    _may_run.wait()
    return _step(self, *args, **kwargs)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: _may_run.clear())
    signal.signal(signal.SIGUSR2, lambda *_: _may_run.set())
    VideoClassifier.step = _slow_step
    runpy.run_path(str(ROOT / "classify.py"), run_name="__main__")
