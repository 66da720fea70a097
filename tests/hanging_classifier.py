"""classify.py as it is, but a step of its model hangs for ever as soon as a file exists.

python hanging_classifier.py FILE [flags of classify.py]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import classify  # noqa: E402
import opening  # noqa: E402
from video_classifier import VideoClassifier  # noqa: E402


class HangingClassifier(VideoClassifier):
    """Its step doesn't return once the file is there, as when a driver or a runtime is stuck."""

    file = Path(sys.argv[1])

    def step(self, frame, timestamp=None):
        while self.file.exists():
            time.sleep(0.05)
        return super().step(frame, timestamp)


opening.VideoClassifier = HangingClassifier
if __name__ == "__main__":
    sys.exit(classify.main(sys.argv[2:]))
