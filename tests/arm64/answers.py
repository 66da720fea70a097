"""Runs models on frames and keeps what they say: `python answers.py FRAMES.npy ANSWERS.npz MODEL.tflite...`.

Started by check.py, once under this machine's Python and once under each emulated one. Every runtime that works there
runs every model as it is and compiled to float and, where that
is the same function, to int8.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from errors import PackageError  # noqa: E402
from runtime import Runtime, choose_runtime, load_interpreter  # noqa: E402
from signature import read_signature  # noqa: E402
from video_classifier import VideoClassifier  # noqa: E402

MEMORY = 12  # frames


def main() -> None:
    frames_file, answers_file, *models = sys.argv[1:]
    frames = np.load(frames_file)
    answers = {}
    for runtime in _runtimes():
        for model in models:
            for precision in ("source", "float", "int8"):
                logits = _logits(model, runtime, precision, frames)
                if logits is not None:
                    answers[f"{runtime.name} {Path(model).name} {precision}"] = logits
    np.savez(answers_file, **answers)


def _runtimes() -> list[Runtime]:
    found = []
    for name in ("litert", "tflite"):
        try:
            found.append(choose_runtime(name))
        except PackageError:
            pass  # tflite-runtime has no wheel for every Python
    return found


def _logits(model: str, runtime: Runtime, precision: str, frames: np.ndarray) -> np.ndarray | None:
    """Returns float32 [frames, classes]; None if the model can't be compiled to that."""
    classes = read_signature(load_interpreter(model, runtime, 1), model).logits.shape[1]
    labels = [str(index) for index in range(classes)]
    with VideoClassifier(
        model, labels, threads=1, runtime=runtime.name, memory=MEMORY, precision=precision, channel_order="bgr"
    ) as classifier:
        if any("not compiled" in note for note in classifier.notes):
            return None
        return np.stack([classifier.step(frame).logits.copy() for frame in frames])


if __name__ == "__main__":
    main()
