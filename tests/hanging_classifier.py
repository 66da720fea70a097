"""classify.py as it is, but a step of its model hangs for as long as a file exists.

python hanging_classifier.py FILE [flags of classify.py]

While one hangs, there is FILE.hangs beside it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import classify  # noqa: E402
import opening  # noqa: E402
from clip_classifier import ClipClassifier  # noqa: E402
from video_classifier import VideoClassifier  # noqa: E402

FILE = Path(sys.argv[1])
HANGS = Path(f"{FILE}.hangs")


def hang() -> None:
    """Doesn't return once the file is there, as when a driver or a runtime is stuck."""
    while FILE.exists():
        HANGS.touch()
        time.sleep(0.05)
    HANGS.unlink(missing_ok=True)


class HangingClassifier(VideoClassifier):
    def step(self, frame, timestamp=None):
        hang()
        return super().step(frame, timestamp)


class HangingClipClassifier(ClipClassifier):
    def step(self, frame, timestamp=None):
        hang()
        return super().step(frame, timestamp)


opening.VideoClassifier, opening.ClipClassifier = HangingClassifier, HangingClipClassifier
if __name__ == "__main__":
    sys.exit(classify.main(sys.argv[2:]))
