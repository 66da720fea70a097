#!/usr/bin/env python3
"""Makes docs/demo.gif: what classify.py shows of the demo, label by label.

    python make_demo_gif.py
    python make_demo_gif.py --seed 7 --seconds 30 --out other.gif

The same command makes the same picture again, so the film is drawn at the GIF's
rate instead of read from the live source, and the time of a step is left out.
The actions are shorter than the demo's, so that a short GIF has them all.
"""

from __future__ import annotations

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import argparse
import dataclasses
import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Iterable, Iterator, Sequence

import numpy as np

import models
from errors import UserError
from flags import Number, Parser
from overlay import Status, draw_overlay
from score import Score
from sinks.video_file import import_av
from sources.play import Play
from sources.sampler import Sampler
from startup import DEMO_MODEL
from timeline.gif import map_to_palette
from utils import fit_box, say, write_whole
from video_classifier import Prediction, VideoClassifier

# OpenCV 4's letters are wider than 5's: four rows more, and there would be no room left for the truth beside the label.
WIDTH, HEIGHT = 480, 356
FPS = 10  # of the GIF, which counts hundredths of a second
MODEL_FPS = 5
MEMORY = 12  # frames, as in classify.py: 2.4 s
ACTION_SECONDS = (3.0, 4.0)
# A seed whose first seven actions are all seven, before two people in two rooms, by a camera on a tripod.
SEED, SECONDS = 1105, 24.5


def draw(play: Play, classifier: VideoClassifier, seconds: float, score: Score) -> Iterator[np.ndarray]:
    """Yields the film's pictures as classify.py shows them: uint8 [HEIGHT, WIDTH, 3] BGR, FPS a second.

    Args:
        play: The film.
        classifier: In a fresh state; labels what it sees, MODEL_FPS a second, by channel_order "bgr".
        seconds: How much of the film.
        score: Counts how often the model is right.
    """
    sampler = Sampler(MODEL_FPS)
    status = Status(camera_fps=FPS, sample_fps=MODEL_FPS, wanted_fps=MODEL_FPS, warming_up=True)
    prediction: Prediction | None = None
    for number in range(max(1, round(seconds * FPS))):
        t = number / FPS
        image = play.draw(t, WIDTH, HEIGHT)
        status.truth = play.action(t)
        if sampler.due(t):
            prediction = dataclasses.replace(classifier.step(image, t), step_time=0.0)
            score.count(prediction, status.truth, classifier.labels)
        status.warming_up = prediction is None or prediction.step < MODEL_FPS
        yield draw_overlay(image, prediction, status, fit_box(HEIGHT, WIDTH, classifier.fit))


def encode_gif(pictures: Iterable[np.ndarray]) -> bytes:
    """Returns an endless GIF of pictures, uint8 [HEIGHT, WIDTH, 3] BGR, FPS a second, in the 256 colours that suit all.

    Raises:
        PackageError: PyAV is missing.
    """
    av = import_av()
    file = io.BytesIO()
    with av.open(file, "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "pal8"
        for frame in map_to_palette(list(enumerate(pictures)), Fraction(1, FPS)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status."""
    try:
        options = _parse(arguments)
        model = models.find_model(options.model)
        labels = models.find_labels(model, options.labels)
        score = Score()
        with VideoClassifier(model, labels, threads=1, top_k=1, memory=MEMORY, channel_order="bgr") as classifier:
            for note in classifier.notes:
                say(f"model: {note}")
            gif = encode_gif(draw(Play(options.seed, seconds=ACTION_SECONDS), classifier, options.seconds, score))
        write_whole(options.out, gif)
    except UserError as error:
        say(f"make_demo_gif.py: {error}")
        return error.status
    print(f"{options.out}: {len(gif) / 1e6:.2f} MB; {score}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", default=DEMO_MODEL, help="default: %(default)s")
    parser.add_argument("--labels", help="the model's labels (default: by the model's name)")
    seed, seconds = Number(int, 0, 2**31 - 1, "(a seed)"), Number(float, 0.1, 3600, "seconds")
    parser.add_argument("--seed", type=seed, default=SEED, help="chooses the film (default: %(default)s)")
    parser.add_argument("--seconds", type=seconds, default=SECONDS, help="length of the GIF (default: %(default)s)")
    picture = Path(__file__).resolve().parent / "docs" / "demo.gif"
    parser.add_argument("--out", type=Path, default=picture, help="where to write it (default: docs/demo.gif)")
    options = parser.parse_args(arguments)
    if options.out.suffix.lower() != ".gif":
        raise UserError(f"--out {options.out}: only a GIF can be made; give a name that ends in .gif")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
